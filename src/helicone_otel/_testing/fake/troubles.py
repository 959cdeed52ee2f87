"""What can be made to go wrong between a client and Helicone."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from .requests import Reply, in_json, in_text

Door: TypeAlias = Literal["gateway", "log", "otlp", "api"]
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong. The default ones go wrong before anything is stored.

    Attributes:
        status: What is answered instead; with `text` alone, 200.
        text: The body that is answered instead.
        error: Logging failed: the answer is 200 with `{"error": …}`.
        headers: Of that answer, `Retry-After` for instance.
        seconds: How long the client waits before anything else happens.
        reset: The connection is reset instead of an answer.
        trickle: Seconds between two bytes of the answer.
        drop: The answer is as ever, and no row is made: what Helicone does beyond a rate limit.
        stored: The row is made although the answer does not say so.
    """

    status: int | None = None
    text: str | None = None
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reset: bool = False
    trickle: float = 0.0
    drop: bool = False
    stored: bool = False

    @property
    def reply(self) -> Reply | None:
        """What is answered instead, if anything is."""
        if self.error is not None:
            return in_json(_OK, {"error": self.error}, *self.headers.items())
        if self.status is not None or self.text is not None:
            return in_text(self.status or _OK, self.text or "", *self.headers.items())
        return None

    @property
    def makes_rows(self) -> bool:
        """Whether what was sent becomes a row."""
        return self.stored or not (self.drop or self.reset or self.reply)


NONE: Final = Trouble()


class Troubles:
    """What will go wrong, door by door: a few times, or from now on."""

    def __init__(self) -> None:
        self._next: defaultdict[str, deque[Trouble]] = defaultdict(deque)
        self._from_now_on: dict[str, Trouble] = {}
        self._lock = threading.Lock()

    def next(self, *troubles: Trouble, door: Door = "log") -> None:
        """Let the next requests by a door run into trouble, one each."""
        with self._lock:
            self._next[door].extend(troubles)

    def from_now_on(self, trouble: Trouble, door: Door = "log") -> None:
        """Let every request by a door run into trouble, after those that `next` was told of."""
        with self._lock:
            self._from_now_on[door] = trouble

    def end(self) -> None:
        """Let all be well again."""
        with self._lock:
            self._next.clear()
            self._from_now_on.clear()

    def take(self, door: str) -> Trouble:
        """Return what goes wrong now."""
        with self._lock:
            coming = self._next[door]
            return coming.popleft() if coming else self._from_now_on.get(door, NONE)
