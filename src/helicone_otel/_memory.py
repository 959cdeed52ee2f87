"""What is remembered of a span, and for how long. Bounded, and no lock: it survives a fork."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ._context import Place
from ._session import Session
from ._spans import NOTHING, Reading, Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Nothing is looked for further out than this; a path has at most 16 segments anyway.
MAX_DEPTH: Final = 128

_K = TypeVar("_K", bound=Hashable)
_R = TypeVar("_R")

MAX_DEPTH: Final = 128


class Record:
    """What is remembered of one span, or of one place that code opened.

    Most spans are never asked about, so a record starts with what its constructor sets; the rest
    are defaults of the class until somebody asks.
    """

    reading: Reading = NOTHING
    session: Session | None = None
    """A session that somebody chose; `None`: that of the trace."""
    opened: bool = False
    """That session was opened on purpose, so the span is labelled whatever its trace is."""
    steps: tuple[str, ...] = ()
    """The segments that a place adds."""
    fixed: str | None = None
    """The path as the caller itself wrote it into the request's header."""
    begins: tuple[str, ...] | None = None
    """The path begins here anew: at the root of a session, or where the user said by hand."""
    name: str = ""
    """The span's name when it was read last."""
    size: int = -1
    """How many attributes the span had then, ours included; -1: it has not been read."""
    label: Mapping[str, str] | None = None
    """What was written on the span while it lived."""
    foreign: frozenset[str] = frozenset()
    """Attributes of other conventions that stood there before us and are not overwritten."""
    sent: tuple[tuple[str, str], ...] = ()
    """The Helicone headers that left with its request."""
    by_gateway: bool = False
    """A gateway saw the call, so Helicone has a row of it."""
    wraps: bool = False
    """A call of the same kind was seen inside."""
    claimed: bool = False
    """A detached wrapper beside it has found it."""
    request: bool = False
    ended: bool = False
    entrance: tuple[str, ...] = ()
    """The route or task name by which work came in; for SERVER and CONSUMER spans that ended."""
    path: tuple[str, ...] = ()
    text: str = "/"
    path_age: int = -1

    def __init__(
        self, span: ReadableSpan | None, parent: Record | None, scope: Scope | None, place: Place | None, trace_id: int
    ) -> None:
        self.span = span
        self.parent = parent
        self.scope = scope
        self.place = place
        self.trace_id = trace_id

    def line(self) -> Iterator[Record]:
        """Yield the record and what encloses it, from the inside out."""
        record: Record | None = self
        for _ in range(MAX_DEPTH):
            if record is None:
                return
            yield record
            record = record.parent


class Generations(Generic[_K, _R]):
    """A bounded memory: full, it forgets what was put in longest ago, but first what is over.

    Two dicts take turns, so that neither putting nor getting costs more than a dict does. It never
    holds more than three times `limit` entries.

    Args:
        limit: How many entries a generation has.
        lives: Tells whether an entry is still in use; half a generation of such is kept on.
    """

    def __init__(self, limit: int, lives: Callable[[_R], bool]) -> None:
        self._limit = limit
        self._lives = lives
        self._young: dict[_K, _R] = {}
        self._old: dict[_K, _R] = {}
        # A counter's step is atomic, so exactly one thread sees the limit: no lock is held when a
        # process forks.
        self._ticks = itertools.count(1)

    def get(self, key: _K) -> _R | None:
        """Return what was put in under a key, if it is still remembered."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: _K, value: _R) -> None:
        """Remember a value."""
        self._young[key] = value
        if not next(self._ticks) % self._limit:
            self._age()

    def _age(self) -> None:
        living = [entry for entry in self._old.items() if self._lives(entry[1])]
        self._old, self._young = self._young, dict(living[-self._limit // 2 :])

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Recent(dict[_K, _R]):
    """A bounded dict: full, it forgets its oldest entry."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: _K, value: _R) -> None:
        """Remember a value."""
        self[key] = value
        while len(self) > self._limit:
            try:
                del self[next(iter(self))]
            except (KeyError, RuntimeError, StopIteration):
                return  # another thread is at it
