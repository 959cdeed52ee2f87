"""What is remembered of a span."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from ..caches import Generations, Recent
from ..destinations import Destination
from ..sessions.context import ContextFrame
from ..sessions.foreign import SessionClaim
from ..sessions.model import Session, SessionDetails
from ..spans.reader import ScopeRules, SpanReader
from ..spans.schema import NOTHING, Classification
from .nodes import PathNode, SpanTemplate

# Nothing is looked for further out than this; a path has at most 16 segments anyway.
MAX_DEPTH: Final = 128
_NO_CALLS: Final[Mapping[str, int]] = {}


class SpanRecord:
    """What is remembered of one span, or of one place that code opened.

    A record starts with what its constructor sets; the rest are defaults of the class until
    somebody asks.
    """

    classification: Classification = NOTHING
    size: int = -1
    """How many attributes the span had when it was read last, ours included; -1: never read."""
    name: str = ""
    """The span's name when it was read last."""
    own: Session | None = None
    """The session that an attribute of this very span names, or that this place opened."""
    details: SessionDetails | None = None
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
    claim: SessionClaim | None = None
    """What another SDK's scope says that was opened here, or was open here already; see `_foreign_sessions`."""
    others: bool = False
    """It is the record of such a scope, and neither of a span nor of a place of ours."""
    foreign_sessions: dict[SessionClaim, SpanRecord] | None = None
    """The records of the scopes that others opened inside of it; see `_foreign_sessions`."""
    destination: Destination = Destination.UNKNOWN
    """Where the span's request goes, if it is the span of one."""
    entry_route: str = ""
    """The path of the route or task by which work came in."""
    base: PathNode | None = None
    """Where that which encloses it stood when its own stand was found."""
    node: PathNode | None = None
    label: dict[str, str] | None = None
    """What was written on the span while it lived."""
    overwritten: dict[str, object] | None = None
    """What the user had put in the place of that by the time the span ended."""
    foreign: frozenset[str] = frozenset()
    """Attributes of other conventions that stood there before us and are not overwritten."""
    filtered: tuple[PathNode, dict[str, str]] | None = None
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
    matched: int = 0
    """The id of the span of the call that it wraps, which was found beside it."""
    ambiguous: bool = False
    """What it was matched with beside it may be another call, at the same time and alike."""
    request: bool = False
    ended: bool = False
    finalized: bool = False
    """What it is has been decided for good."""

    def __init__(
        self,
        span: ReadableSpan | None,
        parent: SpanRecord | None,
        scope: ScopeRules | None,
        frame: ContextFrame | None,
        trace_id: int,
    ) -> None:
        self.span = span
        self.parent = parent
        self.scope = scope
        self.frame = frame
        self.trace_id = trace_id
        self.depth: int = parent.depth + 1 if parent is not None else 0

    def apply_template(self, template: SpanTemplate) -> None:
        """Take over what holds for all spans that are like this one."""
        self.classification, self.node, self.base, self.name = (
            template.classification,
            template.node,
            template.base,
            template.name,
        )
        self.label = template.node.label
        self.size = template.size

    @property
    def wraps(self) -> bool:
        """Tell whether another span stands for the call that this one tells of."""
        return self.matched != 0 or self.classification.kind in self.inside

    @property
    def tells_of(self) -> int:
        """Return the id of the span of the one call that this span wraps; 0: it wraps none, or several."""
        if self.matched:
            return 0 if self.ambiguous else self.matched
        return self.inside.get(self.classification.kind or "", 0)

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
        if parent is not None and parent.node is not None:
            self.own, self.opened, self.begins = parent.node.session, parent.node.chosen, parent.node.path

    def line(self) -> Iterator[SpanRecord]:
        """Yield the record and what encloses it, from the inside out."""
        record: SpanRecord | None = self
        for _ in range(MAX_DEPTH):
            if record is None:
                return
            yield record
            record = record.parent


_PRIVATE: Final = "_attributes"

shown: Final[Callable[[ReadableSpan], Mapping[str, object] | None]] = attrgetter(
    # With a resource of its own: to find out the default one takes half a millisecond.
    _PRIVATE if hasattr(ReadableSpan("probe", resource=Resource.get_empty()), _PRIVATE) else "attributes"
)


def size_of(span: ReadableSpan) -> int:
    """Return how many attributes a span has."""
    attributes = shown(span)
    return 0 if attributes is None else len(attributes)


# A span below which there is nothing: what it is like, the place in which it started, what encloses it.
LeafRecord = tuple[SpanTemplate, ContextFrame | None, SpanRecord]
Entry = SpanRecord | LeafRecord

# Spans of an LLM app that live: beyond this many, which are ones that never end, the oldest are forgotten.
MAX_LIVE: Final = 8192
# Spans of an LLM app that have ended, for children that come late: a generation of them; two at the most.
MAX_ENDED: Final = 4096
# Other spans of which it is remembered what stands above them: the same.
MAX_LINKS: Final = 4096


class SpanStore:
    """Remembers spans.

    Of a span in which nothing was recognised nothing is kept but its parent; the record comes into
    being when a recognised span turns out to be below it. The Context hands over the parent itself,
    also when it has ended, so that a span without children costs nothing.

    A span that was labelled like others has no record of its own either while nothing is below it: it
    is a leaf.

    Attributes:
        live: The entries of spans that have not ended, by span id.
        recent: The entries of those that have, and leaves at whose end there is nothing to decide.
    """

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self.live: Recent[int, Entry] = Recent(MAX_LIVE)
        self.recent: Generations[int, Entry] = Generations(MAX_ENDED)
        self._above: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def remembers(self, span_id: int) -> bool:
        """Tell whether anything is remembered of a span but what stands above it."""
        return span_id in self.live or self.recent.get(span_id) is not None

    def known(self, ids: trace.SpanContext, span: object = None) -> SpanRecord | None:
        """Return the record of a span that is remembered; of a leaf, make it now.

        Args:
            ids: The span's.
            span: The span itself, if it is at hand.
        """
        entry = self.live.get(ids.span_id) or self.recent.get(ids.span_id)
        if not isinstance(entry, tuple):
            return entry
        record = _record_of_leaf(entry, ids, span if isinstance(span, ReadableSpan) else None)
        (self.recent if record.ended else self.live).put(ids.span_id, record)
        return record

    def note(self, span_id: int, parent: trace.Span) -> None:
        """Remember what stands above a span of which nothing else is remembered."""
        self._above.put(span_id, parent)

    def above(self, span_id: int) -> SpanRecord | None:
        """Return the record of what stands above a span of which nothing else is remembered."""
        return self.record_at(self._above.get(span_id))

    def record_at(self, span: trace.Span | None) -> SpanRecord | None:
        """Return the record of a span; make it, and those of the spans above it, if there is none."""
        lowest: SpanRecord | None = None
        below: SpanRecord | None = None
        for _ in range(MAX_DEPTH):
            record = self._known_or_new(span)
            if record is None:
                break
            lowest = lowest or record
            if below is not None:
                below.parent = record
            if record.size >= 0 or record.parent is not None:
                break  # known before, and so is what stands above it
            below = record
            span = self._above.get(span.get_span_context().span_id) if span is not None else None
        return lowest

    def _known_or_new(self, span: trace.Span | None) -> SpanRecord | None:
        context = span.get_span_context() if span is not None else trace.INVALID_SPAN_CONTEXT
        record = self.known(context, span)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._reader.scope(span.instrumentation_scope.name)
        record = SpanRecord(span, None, scope, None, context.trace_id)
        record.ended = span.end_time is not None
        (self.recent if record.ended else self.live).put(context.span_id, record)
        return record

    def ended_record(self, span: ReadableSpan) -> SpanRecord | None:
        """Make the record of a span of which nothing was remembered, after its end."""
        ids, scope = span.get_span_context(), span.instrumentation_scope
        if ids is None or scope is None:
            return None
        record = SpanRecord(span, self.above(ids.span_id), self._reader.scope(scope.name), None, ids.trace_id)
        record.ended = True
        self.recent.put(ids.span_id, record)
        return record


def _record_of_leaf(leaf: LeafRecord, ids: trace.SpanContext, span: ReadableSpan | None) -> SpanRecord:
    template, frame, parent = leaf
    record = SpanRecord(span, parent, template.scope, frame, ids.trace_id)
    record.apply_template(template)
    # One that is known by its ids alone may still live, and is settled when it ends.
    record.ended = span is not None and span.end_time is not None
    if record.depth > MAX_DEPTH:
        record.cut_off()
    return record
