"""What can be made to go wrong between a client and Helicone."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .rows import Row

JSON_TYPE: Final = "application/json"
STREAM_TYPE: Final = "text/event-stream"
# https://www.rfc-editor.org/rfc/rfc9112#section-5, without folded lines, which nobody may send any more.
HEADER_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*\r\n\Z", re.DOTALL)
# Headers of Helicone's that tell nothing of a session.
_ASIDE: Final = frozenset({"helicone-auth", "helicone-request-id"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        head: The request line and the headers with the empty line after them, byte for byte.
        body: The body, byte for byte.
        method: Such as `POST`.
        path: With the query.
        headers: Names and values in the order and the case in which they were sent.
    """

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def helicone_headers(self) -> dict[str, str]:
        """The `Helicone-*` headers in the case in which they were sent.

        The key in `Helicone-Auth` is left out, and so is `Helicone-Request-Id`, which is another one each time.
        """
        return {name: value for name, value in self.headers if name.lower() not in _ASIDE and _is_helicones(name)}

    @property
    def request_id(self) -> str | None:
        """The id of the row that Helicone makes of this request: `helicone.request.id` on its span."""
        return self.header("Helicone-Request-Id")

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever case its name was sent in, or `None`."""
        return next((value for sent, value in self.headers if sent.lower() == name.lower()), None)


class Reply(NamedTuple):
    """An answer.

    Attributes:
        seconds: How long it takes until it is there, all in all.
        events: Parts that are sent one by one instead of the body.
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    events: tuple[bytes, ...] = ()


class Outcome(NamedTuple):
    """What came of a request: an answer, and rows if some are made of it."""

    reply: Reply
    rows: tuple[Row, ...] = ()


def in_json(status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, json.dumps(body).encode(), JSON_TYPE, headers)


def in_text(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Return an answer in plain text."""
    return Reply(status, text.encode(), "text/plain;charset=UTF-8", headers)


def refused(status: int, error: str) -> Outcome:
    """Return the answer to what is not accepted."""
    return Outcome(in_json(status, {"error": error}))


def _is_helicones(name: str) -> bool:
    return name.lower().startswith("helicone-")


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
