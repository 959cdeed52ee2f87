"""What is remembered of a span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ._context import Place
from ._destinations import Destination
from ._scopes import Said
from ._session import Belongings, Session
from ._spans import NOTHING, Reading
from ._stands import Alike, Stand
from ._vocabulary import Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Nothing is looked for further out than this; a path has at most 16 segments anyway.
MAX_DEPTH: Final = 128
_NO_CALLS: Final[Mapping[str, int]] = {}


class Record:
    """What is remembered of one span, or of one place that code opened.

    A record starts with what its constructor sets; the rest are defaults of the class until
    somebody asks.
    """

    reading: Reading = NOTHING
    size: int = -1
    """How many attributes the span had when it was read last, ours included; -1: never read."""
    name: str = ""
    """The span's name when it was read last."""
    own: Session | None = None
    """The session that an attribute of this very span names, or that this place opened."""
    belongings: Belongings | None = None
    """The user and the properties that its attributes name."""
    named: str = ""
    """The name that the user gave the session, on this very span."""
    opened: bool = False
    """It was named on purpose, so it holds whatever encloses the span or its trace."""
    begins: tuple[str, ...] | None = None
    """The path begins here anew: at the root of a session, or where the user said by hand."""
    steps: tuple[str, ...] = ()
    """The segments that a place adds."""
    rooted: bool = False
    """A place inside of a session or span, and so the same for every trace that begins in it."""
    heard: Said | None = None
    """What another SDK's scope says that was opened here, or was open here already; see `_around`."""
    others: bool = False
    """It is the record of such a scope, and neither of a span nor of a place of ours."""
    around: dict[Said, Record] | None = None
    """The records of the scopes that others opened inside of it; see `_around`."""
    destination: Destination = Destination.UNKNOWN
    """Where the span's request goes, if it is the span of one."""
    entrance: str = ""
    """The path of the route or task by which work came in."""
    base: Stand | None = None
    """Where that which encloses it stood when its own stand was found."""
    stand: Stand | None = None
    label: dict[str, str] | None = None
    """What was written on the span while it lived."""
    said: dict[str, object] | None = None
    """What the user had put in the place of that by the time the span ended."""
    foreign: frozenset[str] = frozenset()
    """Attributes of other conventions that stood there before us and are not overwritten."""
    filtered: tuple[Stand, dict[str, str]] | None = None
    """The label without what is foreign, and for where it was made."""
    theirs: dict[str, str] | None = None
    """The label that the caller's own request headers amount to."""
    sent: tuple[tuple[str, str], ...] = ()
    """The Helicone headers that left with its request."""
    by_gateway: bool = False
    """A gateway saw the call, so Helicone has a row of it."""
    row_id: str | None = None
    """The id of that row, if it is known: of the last attempt, if there were several."""
    inside: Mapping[str, int] = _NO_CALLS
    """By the kinds of calls that were made inside, the id of the one call's span; 0: there were several."""
    beside: int = 0
    """The id of the span of the call that it wraps, which was found beside it."""
    doubtful: bool = False
    """What it was matched with beside it may be another call, at the same time and alike."""
    request: bool = False
    ended: bool = False
    settled: bool = False
    """What it is has been decided for good."""

    def __init__(
        self, span: ReadableSpan | None, parent: Record | None, scope: Scope | None, place: Place | None, trace_id: int
    ) -> None:
        self.span = span
        self.parent = parent
        self.scope = scope
        self.place = place
        self.trace_id = trace_id
        self.depth: int = parent.depth + 1 if parent is not None else 0

    def be_like(self, alike: Alike) -> None:
        """Take over what holds for all spans that are like this one."""
        self.reading, self.stand, self.base, self.name = alike.reading, alike.stand, alike.base, alike.name
        self.label = alike.stand.label
        self.size = alike.size

    @property
    def wraps(self) -> bool:
        """Tell whether another span stands for the call that this one tells of."""
        return self.beside != 0 or self.reading.kind in self.inside

    @property
    def tells_of(self) -> int:
        """Return the id of the span of the one call that this span wraps; 0: it wraps none, or several."""
        if self.beside:
            return 0 if self.doubtful else self.beside
        return self.inside.get(self.reading.kind or "", 0)

    def hear(self, made: Mapping[str, int], teller: int) -> bool:
        """Take note of calls that were made inside; return whether that is news.

        Args:
            made: As `inside`.
            teller: The id of the span that tells; what was said of itself when it started holds no more.
        """
        # In one step: calls run in parallel.
        inside: dict[str, int] = vars(self).setdefault("inside", {})
        is_news = False
        for kind, call in made.items():
            is_news |= kind not in inside
            known = inside.setdefault(kind, call)
            if known not in (call, 0):
                inside[kind] = call if known == teller else 0
                is_news = True
        return is_news

    def cut_off(self) -> None:
        """Forget what stands above, of a line of spans too long to be remembered, but for where it stood."""
        parent, self.parent, self.depth = self.parent, None, 0
        if parent is not None and parent.stand is not None:
            self.own, self.opened, self.begins = parent.stand.session, parent.stand.chosen, parent.stand.path

    def line(self) -> Iterator[Record]:
        """Yield the record and what encloses it, from the inside out."""
        record: Record | None = self
        for _ in range(MAX_DEPTH):
            if record is None:
                return
            yield record
            record = record.parent
