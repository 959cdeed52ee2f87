"""What is remembered of spans and of what else encloses work, and the bounded store of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ..caches import Generations, Recent
from ..destinations import Destination
from ..sessions.context import ContextFrame
from ..sessions.foreign import SessionClaim
from ..sessions.model import Session, SessionDetails
from ..spans.names import fits_any
from ..spans.reader import ScopeRules, SpanReader
from ..spans.routes import INNER_NAMES
from ..spans.schema import NOTHING, Classification
from .left_alone import SpansLeftAlone
from .nodes import PathNode, SpanTemplate

# Nothing is looked for further out than this; a path has at most 16 segments anyway.
MAX_DEPTH: Final = 128
_NO_CALLS: Final[Mapping[str, int]] = {}
_NO_ATTRIBUTES: Final[Mapping[str, object]] = {}

# Spans of an LLM app that have ended, for children that come late: one generation of them; there are two at most.
MAX_ENDED: Final = 4096
# Other spans, of which only the parent is remembered: the same.
MAX_LINKS: Final = 4096

# Work comes in by spans of these kinds.
ENTRY_SPAN_KINDS: Final = frozenset({trace.SpanKind.SERVER, trace.SpanKind.CONSUMER})

# With a resource of its own: to find the default one takes half a millisecond.
_PROBE: Final = ReadableSpan("probe", resource=Resource.get_empty())


def _as_kept(name: str, probe: object = _PROBE) -> str:
    """Return the name under which the SDK keeps what its property of this name returns."""
    return f"_{name}" if hasattr(probe, f"_{name}") else name


# `span.attributes` builds a view of the attributes at each call. That view is a third of what we cost a span that
# has nothing to do with an LLM app (`tests/benchmarks`), so the mapping behind it is read, and never written. Where an
# SDK keeps it under another name, the view is used.
attributes_of: Final[Callable[[ReadableSpan], Mapping[str, object] | None]] = attrgetter(_as_kept("attributes"))


# Attributes and name.
shown_by: Final[Callable[[ReadableSpan], tuple[Mapping[str, object] | None, str]]] = attrgetter(
    _as_kept("attributes"), _as_kept("name")
)
# Attributes, name, kind and scope.
recognised_by: Final[Callable[[ReadableSpan], tuple[Any, ...]]] = attrgetter(
    *map(_as_kept, ("attributes", "name", "kind", "instrumentation_scope"))
)
# What the start of a span reads of it, in this order: attributes, parent, kind, name, ids and the scope's name.
# Each of these properties is a call, and together they were a tenth of what we cost a span in a session.
fields_of: Final[Callable[[ReadableSpan], tuple[Any, ...]]] = attrgetter(
    *map(_as_kept, ("attributes", "parent", "kind", "name", "context")),
    f"{_as_kept('instrumentation_scope')}.{_as_kept('name', InstrumentationScope('probe'))}",
)


def held_by(attributes: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return the dict that the SDK's mapping of attributes holds: to look into now, not to change or to keep.

    Each look-up in that mapping, and its length, is a call of a method written in Python. Loop over the dict only where
    no other thread writes on the span.
    """
    held: Mapping[str, object] | None = getattr(attributes, "_dict", attributes)
    return held


def copied(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return attributes as a dict. All but copying is slow on the SDK's mapping, which copies itself into one."""
    return dict(attributes) if (copy := getattr(attributes, "copy", None)) is None else copy()


def make_room(span: ReadableSpan, count: int) -> None:
    """Let attributes that we are about to write not count against the app's own limit (`SpanLimits`).

    OpenTelemetry's mapping of attributes drops the oldest beyond `maxlen`, which would be the app's.
    """
    attributes: Any = attributes_of(span)
    if limit := getattr(attributes, "maxlen", None):
        attributes.maxlen = limit + count


def new_work(span_context: trace.SpanContext) -> int:
    """Return what stands for the trace in the records of work that begins anew at a span, inside that trace.

    Such work has a session of its own, whatever the rest of the trace has. The number is negative, as no trace id is.
    """
    return -(span_context.trace_id << 64 | span_context.span_id)


def trace_of(work: int) -> int:
    """Return the id of the trace in which work began, from `Record.trace_id`."""
    return work if work >= 0 else -work >> 64


def size_of(span: ReadableSpan) -> int:
    """Return how many attributes a span has."""
    attributes = held_by(attributes_of(span))
    return 0 if attributes is None else len(attributes)


class Record:
    """What is remembered of something that encloses work: a span, a context frame, a claim of another SDK.

    A record starts with what its constructor sets. Everything else is a default of the class until
    somebody sets it, because most records need little of it.

    Attributes:
        parent: The record of what encloses it.
        frame: The context frame in which it started.
        trace_id: The id of its trace, or what stands for it where work began anew inside the trace; see `new_work`.
        depth: How many records enclose it.
    """

    span: ReadableSpan | None = None
    """The live span, if this is the record of one and it has not ended."""
    scope: ScopeRules | None = None
    """How spans of its instrumentation scope are read, if this is the record of a span."""
    classification: Classification = NOTHING
    ended: bool = False

    # --- what it says of a session ---
    own_session: Session | None = None
    """The session that it names itself: by an attribute, or because code opened it here."""
    made_up: Session | None = None
    """A session whose id a framework has made up for it: as weak as the trace's own."""
    is_explicit: bool = False
    """That session was named on purpose, so it holds whatever encloses this, or its trace."""
    own_name: str = ""
    """The session name that the user set on this very span."""
    details: SessionDetails | None = None
    """The user and the properties that it names."""
    begins_at: tuple[str, ...] | None = None
    """The path starts anew here, with these segments: at a session's root, or where the user set a path."""
    steps: tuple[str, ...] = ()
    """The segments that a `step()` adds."""
    entry_route: str = ""
    """The path of the route or task by which work came in here."""
    claim: SessionClaim | None = None
    """What another SDK's scope claims that was opened here, or was open here already."""
    claims_inside: dict[SessionClaim, Record] | None = None
    """The records of the claims that other SDKs made inside of this; see `enclosing`."""
    is_shared: bool = False
    """It is inside a session or span, so it is the same for every trace that begins in it."""

    # --- where it is ---
    node: PathNode | None = None
    """Its path node; `None` while there is no session."""
    base_node: PathNode | None = None
    """The path node of what encloses it, when its own was found."""

    # --- requests inside it ---
    destination: Destination = Destination.UNKNOWN
    """Where its request goes, if it is the span of one."""
    sent_headers: tuple[tuple[str, str], ...] = ()
    """The Helicone headers that left with its request."""
    by_gateway: bool = False
    """A gateway saw the call, so Helicone has a row of it."""
    row_id: str | None = None
    """The id of that row, if the caller or the gateway's answer named it: that of the last attempt."""
    inside: Mapping[str, int] = _NO_CALLS
    """By kind, the span id of the one call that was made inside; 0: there were several."""
    matched: int = 0
    """The span id of the call that this span wraps, and which was found beside it, not inside."""
    ambiguous: bool = False
    """The call that it was matched with may be another one, alike and at the same time."""

    # --- how it was read and labelled ---
    size: int = -1
    """How many attributes it had when it was read last, our label included; -1: it was never read."""
    label: dict[str, str] | None = None
    """The label that was written on it while it lived."""

    def __init__(self, parent: Record | None, frame: ContextFrame | None, trace_id: int) -> None:
        self.parent = parent
        self.frame = frame
        self.trace_id = trace_id
        self.depth: int = parent.depth + 1 if parent is not None else 0

    @property
    def wraps(self) -> bool:
        """Whether another span stands for the call that this one describes."""
        return self.matched != 0 or self.classification.kind in self.inside

    @property
    def tells_of(self) -> int:
        """The span id of the one call that this span wraps; 0: it wraps none, or several."""
        if self.matched:
            return 0 if self.ambiguous else self.matched
        return self.inside.get(self.classification.kind or "", 0)

    def note_calls(self, calls: Mapping[str, int], reporter: int) -> bool:
        """Note calls that were made inside; return whether any of that is new.

        Args:
            calls: As `inside`.
            reporter: The id of the span that reports them. What was noted of itself when it started is replaced.
        """
        # In one step: calls run in parallel.
        inside: dict[str, int] = vars(self).setdefault("inside", {})
        is_new = False
        for kind, call in calls.items():
            is_new |= kind not in inside
            known = inside.setdefault(kind, call)
            if known not in (call, 0):
                inside[kind] = call if known == reporter else 0
                is_new = True
        return is_new

    def cut_off(self) -> None:
        """Forget what encloses this, because the line is too long; keep the session and path that it gave."""
        parent, self.parent, self.depth = self.parent, None, 0
        if parent is not None and parent.node is not None:
            node = parent.node
            self.own_session, self.is_explicit, self.begins_at = node.session, node.chosen, node.path

    def line(self) -> Iterator[Record]:
        """Yield the record and what encloses it, from the inside out."""
        record: Record | None = self
        for _ in range(MAX_DEPTH):
            if record is None:
                return
            yield record
            record = record.parent


class SpanRecord(Record):
    """What is remembered of one span.

    Attributes:
        start_time: When the span started, in nanoseconds since the epoch; `None` if it is known by its ids alone.
    """

    name: str = ""
    """The span's name when it was read last."""
    preset: frozenset[str] = frozenset()
    """Attributes of other conventions that the app has set itself, which are not overwritten."""
    filtered_label: tuple[PathNode, dict[str, str]] | None = None
    """A path node, and its label without what was preset."""
    caller_label: dict[str, str] | None = None
    """The label by the headers that the caller itself wrote into the request."""
    overwritten: dict[str, object] | None = None
    """The values that the user had put in the place of ours by the time the span ended."""
    request: bool = False
    """It stands for a call: one row in Helicone."""
    finalized: bool = False
    """What it is has been decided for good."""

    def __init__(
        self,
        span: ReadableSpan | None,
        parent: Record | None,
        scope: ScopeRules,
        frame: ContextFrame | None,
        trace_id: int,
    ) -> None:
        super().__init__(parent, frame, trace_id)
        self.span = span
        self.scope = scope
        self.start_time = span.start_time if span is not None else None

    def full_label(self) -> dict[str, str] | None:
        """Return the label that the span should bear, or `None`: it gets none."""
        if self.caller_label is not None:
            return self.caller_label
        if self.node is None:
            return None
        if not self.preset:
            return self.node.label
        if self.filtered_label is None or self.filtered_label[0] is not self.node:
            label = {key: value for key, value in self.node.label.items() if key not in self.preset}
            self.filtered_label = (self.node, label)
        return self.filtered_label[1]

    def apply_template(self, template: SpanTemplate) -> None:
        """Take over what holds for all spans of a template."""
        self.classification, self.node, self.name = template.classification, template.node, template.name
        self.base_node, self.label, self.size = template.base, template.node.label, template.size


class FrameRecord(Record):
    """What is remembered of a `session()` or `step()` that code opened."""

    def __init__(self, frame: ContextFrame, parent: Record | None, trace_id: int) -> None:
        super().__init__(parent, frame, trace_id)
        self.size = 0
        self.steps = frame.steps
        self.claim = frame.claim  # what is inside is newer
        self.is_shared = isinstance(parent, SpanRecord) or (parent is not None and parent.is_shared)


class ClaimRecord(Record):
    """What is remembered of a session that another SDK claims, in the Context or by a run of its own."""

    def __init__(self, claim: SessionClaim, parent: Record | None, trace_id: int) -> None:
        super().__init__(parent, parent.frame if parent is not None else None, trace_id)
        self.size = 0
        self.claim = claim
        self.is_shared = parent is not None


class LeafRecord(NamedTuple):
    """What is remembered of a span that is like one before it, as long as nothing is below it.

    Attributes:
        template: What it has in common with those spans.
        frame: The context frame in which it started.
        parent: The record of what encloses it.
    """

    template: SpanTemplate
    frame: ContextFrame | None
    parent: Record

    @property
    def classification(self) -> Classification:
        """What the span is."""
        return self.template.classification

    def record(self, span_context: trace.SpanContext, span: ReadableSpan | None) -> SpanRecord:
        """Return the span's own record, made now because something is below it, or somebody asks."""
        record = SpanRecord(span, self.parent, self.template.scope, self.frame, work_of(self.parent, span_context))
        record.apply_template(self.template)
        # A span that is known by its ids alone may still live, and is finalized when it ends.
        record.ended = span is not None and span.end_time is not None
        if record.depth > MAX_DEPTH:
            record.cut_off()
        return record


def work_of(parent: Record | None, span_context: trace.SpanContext) -> int:
    """Return `Record.trace_id` of a span: that of what encloses it, even if that has another trace."""
    while isinstance(parent, ClaimRecord):
        parent = parent.parent
    if isinstance(parent, SpanRecord):
        return parent.trace_id
    trace_id = span_context.trace_id
    return parent.trace_id if parent is not None and trace_of(parent.trace_id) == trace_id else trace_id


# A leaf as the store holds it. It is a bare tuple, because a named one takes nine times as long to make
# (190 against 21 ns), and one is made for nearly every span; what is taken out becomes a `LeafRecord`.
Leaf = tuple[SpanTemplate, ContextFrame | None, Record]
Entry = SpanRecord | LeafRecord


def scope_of(entry: Entry) -> ScopeRules | None:
    """Return the rules of the scope of a span."""
    return entry.template.scope if isinstance(entry, LeafRecord) else entry.scope


def is_of(entry: Entry | Leaf, span: ReadableSpan) -> bool:
    """Tell whether an entry is of this span, and not of an older one with the same id.

    Ids repeat where an app seeds `random` anew for each task, as evaluations do.
    """
    if isinstance(entry, SpanRecord):
        return entry.start_time in (None, span.start_time)
    # A leaf was labelled when it started. If the label is gone, the SDK's limit must have evicted it.
    attributes = attributes_of(span) or _NO_ATTRIBUTES
    return span.dropped_attributes > 0 or not entry[0].node.label.keys().isdisjoint(attributes)


def is_entry_span(kind: trace.SpanKind, scope: ScopeRules, name: str) -> bool:
    """Tell whether work may come in by a span of this kind and name."""
    if kind in ENTRY_SPAN_KINDS:
        return True
    return scope.inbound and kind is trace.SpanKind.INTERNAL and not fits_any(INNER_NAMES, name)


class SpanStore:
    """Remembers spans.

    Of a span in which nothing was recognised only the parent is remembered. Its record is made when a
    recognised span turns out to be below it. The Context hands over the parent itself, even when that has
    ended, so a span without children costs nothing.

    A span that is like one before it is remembered as a `LeafRecord` as long as nothing is below it.

    Attributes:
        live: The records of spans that have not ended, by span id.
        recent: The records of spans that have, and leaves, at whose end there is nothing to decide.
    """

    def __init__(self, reader: SpanReader, live: Recent[int, SpanRecord], left_alone: SpansLeftAlone) -> None:
        self._reader = reader
        self._left_alone = left_alone
        self.live = live
        self.recent: Generations[int, SpanRecord | Leaf] = Generations(MAX_ENDED)
        self.parents: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def remembers(self, span_id: int) -> bool:
        """Tell whether anything but its parent is remembered of a span with this id."""
        if span_id in self.live or self.recent.get(span_id) is not None:
            return True
        return self._left_alone.any and self._record_around(span_id) is not None

    def known(self, span_context: trace.SpanContext, span: object = None) -> SpanRecord | None:
        """Return the record of a span that is remembered; make it now if there is only a `LeafRecord`.

        Args:
            span_context: The span's.
            span: The span itself, if it is at hand.
        """
        entry = self.live.get(span_context.span_id) or self.recent.get(span_context.span_id)
        if entry is None or (isinstance(span, ReadableSpan) and not is_of(entry, span)):
            if not self._left_alone.any or (isinstance(span, ReadableSpan) and not self._left_alone.has(span)):
                return None
            return self._record_around(span_context.span_id)
        if not isinstance(entry, tuple):
            return entry
        record = LeafRecord._make(entry).record(span_context, span if isinstance(span, ReadableSpan) else None)
        (self.recent if record.ended else self.live).put(span_context.span_id, record)
        return record

    def ended(self, span_id: int, span: ReadableSpan) -> Entry | None:
        """Return what is remembered of a span that has ended."""
        entry = self.recent.young.get(span_id) or self.recent.old.get(span_id)
        if entry is None or not is_of(entry, span):
            return None
        return LeafRecord._make(entry) if isinstance(entry, tuple) else entry

    def _record_around(self, span_id: int) -> SpanRecord | None:
        """Return what is remembered of the span of the app that encloses one which is not the app's."""
        around = self._left_alone.around(span_id)
        return self.known(around.get_span_context(), around) if around is not None else None

    def parent_of(self, span_id: int) -> SpanRecord | None:
        """Return the record of the parent of a span of which nothing else is remembered."""
        return self.record_at(self.parents.get(span_id))

    def record_at(self, span: trace.Span | None) -> SpanRecord | None:
        """Return the record of a span; make it, and those of the spans above it, if there is none."""
        new: list[SpanRecord] = []  # from the inside out
        lowest: SpanRecord | None = None
        for _ in range(MAX_DEPTH):
            if self._left_alone.any and span is not None:
                span = self._left_alone.app_span(span)
            record = self._known_or_new(span)
            if record is None:
                break
            if record.size >= 0 or record.parent is not None:
                lowest = record  # known before, and so is what is above it
                break
            new.append(record)
            span = self.parents.get(span.get_span_context().span_id) if span is not None else None
        for record in reversed(new):
            if lowest is not None:
                record.parent, record.trace_id = lowest, lowest.trace_id
            lowest = record
        return lowest

    def _known_or_new(self, span: trace.Span | None) -> SpanRecord | None:
        span_context = span.get_span_context() if span is not None else trace.INVALID_SPAN_CONTEXT
        record = self.known(span_context, span)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._reader.scope(span.instrumentation_scope.name)
        record = SpanRecord(span, None, scope, None, self._work_at(span, scope, span_context))
        record.ended = span.end_time is not None
        (self.recent if record.ended else self.live).put(span_context.span_id, record)
        return record

    def ended_record(self, span: ReadableSpan) -> SpanRecord | None:
        """Make the record of a span that has ended, and of which nothing was remembered."""
        span_context, scope = span.get_span_context(), span.instrumentation_scope
        if span_context is None or scope is None:
            return None
        span_id, rules = span_context.span_id, self._reader.scope(scope.name)
        parent = self.parent_of(span_id)
        work = work_of(parent, span_context) if parent is not None else self._work_at(span, rules, span_context)
        record = SpanRecord(span, parent, rules, None, work)
        record.ended = True
        self.recent.put(span_id, record)
        return record

    def _work_at(self, span: ReadableSpan, scope: ScopeRules, span_context: trace.SpanContext) -> int:
        """Return `Record.trace_id` of a span with nothing above it: work may have begun anew there."""
        is_entry = is_entry_span(span.kind, scope, span.name)
        if is_entry and span.parent is not None and self.parents.get(span_context.span_id) is None:
            return new_work(span_context)
        return span_context.trace_id
