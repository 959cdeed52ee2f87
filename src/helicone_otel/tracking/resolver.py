"""The rules: what a span is, whose session holds there, and at which path node it is.

Whose session? The first that exists: a context frame that code opened and that is newer than the parent's
label; the parent's label, unless it is provisional; an id on the span itself; the parent's provisional label;
`HELICONE_SESSION_ID`; an id that a framework made up; the provisional session of the trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN, SpanKind

from .. import wire
from ..caches import Recent
from ..destinations import Destination, call_kind, calls_model
from ..sessions.context import ContextFrame
from ..sessions.foreign import IMPORTED, WRITING_SCOPES, SessionClaim, claim_in, claim_of_run
from ..sessions.inbound import UntrustedBaggage
from ..sessions.model import Session, SessionDetails, path_segments
from ..settings import named_attributes
from ..spans.dialects import LIBRARIES
from ..spans.reader import SpanReader
from ..spans.routes import ENTRY_KINDS as _ENTRY_KINDS
from ..spans.routes import entry_route_of
from ..spans.schema import APPLICATION, BY_HAND, NOTHING, URL_ATTRIBUTES, Classification, Dialect
from ..wire import CALL_KINDS
from .derived import SET_BY_HAND, SessionFactory, by_hand
from .enclosing import ForeignSessions, FrameworkSpans
from .nodes import NodeKey, PathNode, top
from .records import (
    MAX_DEPTH,
    ClaimRecord,
    FrameRecord,
    Record,
    SpanRecord,
    SpanStore,
    attributes_of,
    copied,
    held_by,
    recognised_by,
    trace_of,
    work_of,
)
from .state import ProcessState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

MAX_TRACES: Final = 2048
GATEWAY: Final = "gateway"
# Spans that OpenTelemetry's GenAI conventions do not describe.
_NOT_GEN_AI: Final = frozenset({"", APPLICATION, GATEWAY})
_SET_BY_HAND: Final = frozenset(SET_BY_HAND)
# What a request to a model says that nothing instruments: what encloses it is part of an LLM app. It is no call itself,
# because nobody knows what was asked and answered.
MODEL_CALLED: Final = Classification(recognised=True)
_NO_FACTS: Final[dict[str, object]] = {}
_URL_ATTRIBUTES: Final = frozenset(URL_ATTRIBUTES)


class Trace:
    """A trace that is part of an LLM app.

    Attributes:
        node: The path node of those of its spans that no chosen session encloses. `None` where provisional
            sessions are switched off and no span has named a session yet.
        final: The id of that session has left the process, so the trace keeps it.
        named: A span has named the session; otherwise its id is the trace's own.
    """

    __slots__ = ("final", "named", "node")

    def __init__(self, node: PathNode | None, final: bool, named: bool) -> None:
        self.node = node
        self.final = final
        self.named = named


class Resolver:
    """Reads spans into their records, and finds the path nodes of records.

    Args:
        state: The settings in force.
        dialects: The tables by which spans are read.

    Attributes:
        reader: What reads spans by the dialects.
        span_store: The records of spans.
        sessions: Makes sessions from ids and names.
        traces: The traces that are part of an LLM app, by `Record.trace_id`. The id of a trace in which only work that
            began anew is part of one stands for `None`.
        accepts_callers: Whether work that comes in goes on in the session that its caller's ids lead to.
        value_limit: The length to which the SDK cuts values, once it has cut one of ours.
    """

    def __init__(self, state: ProcessState, dialects: Sequence[Dialect]) -> None:
        settings = state.settings
        own = (dialect._replace(foremost=True) for dialect in settings.dialects)
        self.reader = SpanReader(
            (*own, *dialects),
            libraries=LIBRARIES,
            session_ids=settings.session_id_attributes,
            user_ids=settings.user_id_attributes,
            properties=[attribute for _, attribute in named_attributes(settings.property_attributes)],
            application_spans=settings.application_spans,
            plumbing=settings.plumbing == "keep",
        )
        self.span_store = SpanStore(self.reader, state.live, state.left_alone)
        self._left_alone = state.left_alone
        self.framework_spans = FrameworkSpans(self.reader, self.span_store)
        self.accepts_callers = settings.accept_inbound
        self.untrusted = UntrustedBaggage(self.reader, settings.accept_inbound)
        self.sessions = SessionFactory(settings, self.reader.session_ids, self.reader.user_ids, state.vendors_services)
        self.foreign_sessions = ForeignSessions(self.sessions, self.find_nodes)
        self.destinations = state.destinations
        self.traces: Recent[int, Trace | None] = Recent(MAX_TRACES)
        self.families = frozenset(settings.attributes)
        self.value_limit: int | None = None
        self._session_ids = frozenset(self.reader.session_ids)
        self._details = self.reader.details
        self._shared_attributes = frozenset(wire.OTEL_IDS).union(self.reader.grouped_by.values())

    # --- what is a span? ----------------------------------------------------------------------

    def has_changed(self, record: Record) -> bool:
        """Tell whether a span bears anything else than when it was read last."""
        if not isinstance(record, SpanRecord) or (span := record.span) is None:
            return False
        attributes = held_by(attributes_of(span)) or _NO_FACTS
        if record.size != len(attributes) or record.name != span.name:
            return True
        label = record.label
        return label is not None and self.is_overwritten(attributes, label)

    def is_overwritten(self, attributes: Mapping[str, object], label: Mapping[str, str]) -> bool:
        """Tell whether the user has put values of their own in the place of ours."""
        try:
            for key in wire.LABEL:
                if key in label:
                    value = attributes[key]
                    if value is not label[key] and not self._is_ours(key, value, label):
                        return True
        except KeyError:  # evicted by the SDK's limit, not overwritten
            pass
        return False

    def is_of_named_scope(self, span: ReadableSpan) -> bool:
        """Tell whether a dialect names the scope of a span: it may matter although it bears nothing."""
        scope = span.instrumentation_scope
        return scope is not None and self.reader.scope(scope.name).named

    def is_recognisable(self, span: ReadableSpan) -> bool:
        """Tell whether a span of which nothing is remembered is part of an LLM app, or names a session."""
        attributes, name, kind, span_scope = recognised_by(span)
        if span_scope is None:
            return False
        scope = self.reader.scopes.get(span_scope.name) or self.reader.scope(span_scope.name)
        attributes = held_by(attributes)
        if not attributes:
            return scope.named and self.reader.recognises(scope, name, kind._name_, _NO_FACTS)
        if not scope.named and scope.attributes.isdisjoint(attributes):
            return False
        facts = scope.facts(copied(attributes))
        for key in _URL_ATTRIBUTES.intersection(facts):
            url = facts[key]
            # Most requests go to hosts that are on no list, and call no model.
            if (
                isinstance(url, str)
                and self.destinations.of_url(url) is Destination.UNKNOWN
                and not (kind is SpanKind.CLIENT and calls_model(url))
            ):
                del facts[key]
        if not self.reader.are_common(facts):
            return True
        return self.reader.recognises(scope, name, kind._name_, facts)

    def read(self, record: Record) -> None:
        """Read a span into its record: what it is, what encloses it, which session it names."""
        span, scope = record.span, record.scope
        if not isinstance(record, SpanRecord) or span is None or scope is None:
            return
        attributes = span.attributes
        facts = self._facts_of(record, attributes) if attributes else _NO_FACTS
        if attributes:
            self.note_preset(record, attributes)
        if record.size < 0 and record.frame is not None:
            self._enclose(record, record.frame)
        name, span_kind = span.name, span.kind._name_
        classification = self.reader.read(scope, name, span_kind, facts)
        if facts:
            if span_kind == "CLIENT" and scope.takes_headers:
                classification = self._read_destination(record, facts, classification)
            self._read_session(record, facts)
        # An INTERNAL span with which work begins anew stands for the SERVER span that would be made elsewhere.
        entry_kind = "SERVER" if scope.inbound and record.parent is None and record.trace_id < 0 else span_kind
        if entry_kind in _ENTRY_KINDS:
            record.entry_route = entry_route_of(entry_kind, name, attributes or _NO_FACTS)
        row = classification.row
        if record.parent is None and (classification is MODEL_CALLED or (row is not None and row.app)):
            classification = classification._replace(recognised=False)
        if not self._is_poorer(classification, record.classification, span):
            record.classification = classification
        record.name = name
        record.size = len(attributes) if attributes else 0

    def note_preset(self, record: SpanRecord, attributes: Mapping[str, object]) -> None:
        """Note which attributes of other conventions the app has set itself: they stay as they are."""
        shared = self._shared_attributes.intersection(attributes)
        shared |= {key for key in attributes if key.startswith(wire.PROPERTY_PREFIX)}
        if not shared:
            return
        label = record.label or {}
        theirs = frozenset(key for key in shared if not self._is_ours(key, attributes[key], label))
        if not theirs <= record.preset:
            record.preset, record.filtered_label = record.preset | theirs, None

    def _is_poorer(self, classification: Classification, before: Classification, span: ReadableSpan) -> bool:
        """Tell whether a span only seems to be less than it was."""
        if before.dialect == BY_HAND:
            # The kind that the user set has our label's value by now, and so looks like ours.
            return classification.dialect != BY_HAND
        # The attribute that decided it may have been evicted by the SDK's limit.
        return before.recognised and not classification.recognised and span.dropped_attributes > 0

    def _facts_of(self, record: SpanRecord, attributes: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes that matter, without those that we wrote and those that a caller's baggage brought."""
        facts = record.scope.facts(attributes) if record.scope is not None else {}
        if self.untrusted.is_used:
            facts = self.untrusted.removed_from(facts, trace_of(record.trace_id))
        label = record.label
        if label is None:
            return facts
        return {key: value for key, value in facts.items() if not self._is_ours(key, value, label)}

    def _is_ours(self, key: str, value: object, label: Mapping[str, str]) -> bool:
        """Tell whether an attribute has the value that we wrote, or what the SDK's limit of values left of it."""
        ours = label.get(key)
        limit = self.value_limit
        return ours is not None and (value == ours or (limit is not None and value == ours[:limit]))

    def _enclose(self, record: SpanRecord, frame: ContextFrame | None) -> None:
        """Make a context frame the record's parent, if it is newer than the parent span."""
        while frame is not None and frame.stale:
            frame = frame.outer
        record.frame = frame
        if frame is not None and (record.parent is None or is_newer(frame, record.parent)):
            record.parent = self.record_of(frame, record.trace_id, record.span)

    def _read_destination(
        self, record: SpanRecord, facts: dict[str, object], classification: Classification
    ) -> Classification:
        """Note where a client's request goes; a request to a gateway may itself be the call."""
        url = next((url for key in URL_ATTRIBUTES if isinstance(url := facts.get(key), str)), None)
        if url is None:
            return classification
        record.destination = self.destinations.of_url(url)
        if record.destination is not Destination.GATEWAY:
            return MODEL_CALLED if classification is NOTHING and calls_model(url) else classification
        # The gateway makes a row of it even if no LLM span is above it.
        if any(above.classification.kind in CALL_KINDS for above in record.line() if above is not record):
            return classification
        return Classification(call_kind(url), None, GATEWAY, recognised=True)

    def _read_session(self, record: SpanRecord, facts: dict[str, object]) -> None:
        """Note the session that a span's own attributes name, set by hand or by a convention."""
        span = record.span
        if span is None:
            return
        hand = {} if _SET_BY_HAND.isdisjoint(facts) else by_hand(facts)
        name = hand.get(wire.SESSION_NAME)
        if session_id := hand.get(wire.SESSION_ID):
            record.own_session, record.is_explicit = self.sessions.chosen(session_id, span, name), True
        elif record.own_session is None and not self._session_ids.isdisjoint(facts):
            self._read_named_session(record, facts)
        if (
            not self._details.isdisjoint(facts)
            and (details := self.sessions.details_on(facts))
            and not _is_of_scope(record, details)
        ):
            record.details = details
            record.own_session = details.added_to(record.own_session) if record.own_session is not None else None
        if name:
            record.own_name = name
        if path := hand.get(wire.SESSION_PATH):
            record.begins_at = path_segments(path)

    def _read_named_session(self, record: SpanRecord, facts: dict[str, object]) -> None:
        """Note the session that a convention's attributes name: one that somebody chose, or one that was made up."""
        made_up = record.scope.made_up(facts) if record.scope is not None and record.scope.made_up_ids else _NO_FACTS
        chosen = {key: value for key, value in facts.items() if key not in made_up} if made_up else facts
        if session_id := self.sessions.id_on(chosen):
            record.own_session = self.sessions.chosen(session_id, record.span)
        elif session_id := self.sessions.id_on(made_up):
            record.made_up = self.sessions.made_up(session_id, record.span)

    # --- whose session, and which path node? --------------------------------------------------

    def base_of(self, record: Record) -> PathNode | None:
        """Return the path node of what encloses a record."""
        if record.parent is not None:
            return record.parent.node
        trace = self.traces.get(record.trace_id)
        return trace.node if trace is not None else None

    def has_moved(self, record: Record) -> bool:
        """Tell whether something that encloses a record has another path node than when its own was found."""
        above: Record | None = record
        for _ in range(MAX_DEPTH):
            if above is None:
                return False
            if above.base_node is not self.base_of(above):
                return True
            above = above.parent
        return False

    def find_node(self, record: Record) -> None:
        """Find the path node of a record, below that of what encloses it."""
        record.base_node = base = self.base_of(record)
        key = self.key_of(record)
        own = record.own_session
        if own is not None and (
            record.is_explicit or ((base is None or not base.chosen) and self._may_name(record, own))
        ):
            above = base or self._top(record, own)
            record.node = above.begin(own, True, record.begins_at, key)
        elif base is None:
            record.node = None
        elif record.made_up is not None and self._adopts(record, record.made_up, base):
            record.node = base.begin(record.made_up, False, record.begins_at, key)
        elif record.begins_at is not None:
            record.node = base.begin(base.session, base.chosen, record.begins_at, key)
        else:
            record.node = base.below(key)
        if record.node is not None:
            self._complete(record, record.node, key)

    def _top(self, record: Record, own: Session) -> PathNode:
        """Return the first path node of a session that nothing encloses."""
        node = top(self.families, own, True, _entry_route_around(record))
        if isinstance(record, ClaimRecord):  # another SDK names the session and says nothing of the path
            for above in reversed(list(record.line())[1:]):
                node = node.below(self.key_of(above))
        return node

    def find_nodes(self, record: Record) -> None:
        """Find the path nodes of a record and of whatever encloses it and has none yet."""
        for above in reversed(list(record.line())):
            if above.size < 0:
                self.read(above)
            if above.node is None or above is record:
                self.find_node(above)

    def _complete(self, record: Record, node: PathNode, key: NodeKey) -> None:
        """Give the session the name, user and properties that a span's own attributes name."""
        session, base = node.session, record.base_node
        if record.own_name and record.own_name != session.name:
            session = replace(session, name=record.own_name)
        if record.details is not None:
            session = record.details.added_to(session)
        if session is not node.session:
            begins_at = record.begins_at if record.begins_at is not None else (base.path if base is not None else None)
            record.node = (base or node).begin(session, node.chosen, begins_at, key)

    def key_of(self, record: Record) -> NodeKey:
        """Return what distinguishes a record from others below the same path node."""
        classification = record.classification
        segments = record.steps
        if classification.segment is not None and record.begins_at is None:
            segments = (classification.segment,)
        return NodeKey(
            classification.kind,
            segments,
            classification.dialect not in _NOT_GEN_AI and classification.kind != "vector_db",
            record.entry_route,
            self.reader.grouped_by.get(classification.dialect, ""),
        )

    def _may_name(self, record: Record, own: Session) -> bool:
        """Let the id that a framework put on a span replace a provisional one.

        Not in a trace in which nothing is recognised, and not where the trace's provisional id has left already.
        """
        trace = self.traces.get(record.trace_id)
        if trace is None or trace.final:
            return False
        if trace.node is None or trace.node.session.provisional:
            trace.node, trace.named = top(self.families, own, chosen=False), True
        return True

    def _adopts(self, record: Record, made_up: Session, base: PathNode) -> bool:
        """Let an id that a framework made up replace the trace's own: the first one, before any id has left."""
        trace = self.traces.get(record.trace_id)
        if trace is None or base.chosen or base.session.id == made_up.id:
            return False
        if trace.node is not None and not trace.final and not trace.named:
            trace.node, trace.named = top(self.families, made_up, chosen=False), True
        return trace.node is not None and trace.node.session.id == made_up.id

    def begin_trace(self, record: Record) -> None:
        """Give a trace a session, because it has turned out to be part of an LLM app."""
        span = record.span
        named = next((above.own_session for above in reversed(list(record.line())) if above.own_session), None)
        process = self.sessions.of_process(span)
        trace_id = trace_of(record.trace_id)
        made_up = next((above.made_up for above in reversed(list(record.line())) if above.made_up), None)
        session = named or process or made_up or self.sessions.provisional(trace_id, span)
        node = top(self.families, session, chosen=False) if session is not None else None
        is_named = named is not None or made_up is not None
        self.traces.put(record.trace_id, Trace(node, named is None and process is not None, is_named))
        if trace_id not in self.traces:
            self.traces.put(trace_id, None)

    def is_begun(self, record: Record) -> bool:
        """Tell whether a record's trace is known to be part of an LLM app."""
        return self.traces.get(record.trace_id) is not None

    def keep_session_id(self, record: Record) -> None:
        """Keep the trace's session id from now on, because it has left the process."""
        if record.node is not None and not record.node.chosen and (trace := self.traces.get(record.trace_id)):
            trace.final = trace.final or trace.node is None or trace.node.session.provisional

    # --- context frames -----------------------------------------------------------------------

    def record_of(self, frame: ContextFrame, trace_id: int, span: ReadableSpan | None) -> Record:
        """Return the record of a context frame, and make those of the frames around it.

        A step outside of any session and span belongs to every trace that begins in it, so it has a record
        for each.

        Args:
            frame: The context frame.
            trace_id: The trace for which the record is wanted.
            span: The span for which it is wanted, if any. Its service gives a name to a session without one;
                otherwise the span does in which the frame was opened.
        """
        unknown: list[ContextFrame] = []
        outer: ContextFrame | None = frame
        record: Record | None = None
        while outer is not None and (record := self.known_record(outer, trace_id)) is None:
            unknown.append(outer)
            outer = outer.outer
        for inner in reversed(unknown):
            # Another trace may put its own record there at any time, so this one is handed on as it is.
            asks = span or (
                anchor if isinstance(anchor := self._left_alone.app_span(inner.anchor), ReadableSpan) else None
            )
            record = self._make_record(inner, record, trace_id, asks)
            # A session without a name is not kept until a span asks that may have one.
            if asks is not None or record.node is None or record.node.session.wire_name:
                inner.record = (self, record)
        return cast("Record", record)

    def with_claims(
        self, parent: Record | None, frame: ContextFrame | None, claim: SessionClaim | None, span: Span
    ) -> Record | None:
        """Return the record of what encloses a span, with the claims of other SDKs taken into account.

        Args:
            parent: The record of the span above it.
            frame: The innermost context frame.
            claim: What the Context claims.
            span: The span.
        """
        trace_id = work_of(parent, span.get_span_context())
        while frame is not None and frame.stale:
            frame = frame.outer
        if frame is not None and (parent is None or is_newer(frame, parent)):
            parent = self.record_of(frame, trace_id, span)
        is_chosen = parent is not None and parent.node is not None and parent.node.chosen
        run = None if is_chosen else claim_of_run()
        return self.foreign_sessions.innermost(parent, claim, run, trace_id, span)

    def known_record(self, frame: ContextFrame, trace_id: int) -> Record | None:
        """Return the record of a context frame, if it was made and holds for this trace."""
        known: tuple[Resolver, Record] | None = frame.record
        if known is None or known[0] is not self:
            return None
        record = known[1]
        return record if record.is_shared or record.trace_id == trace_id else None

    def _make_record(
        self, frame: ContextFrame, outer: Record | None, trace_id: int, span: ReadableSpan | None
    ) -> Record:
        enclosing: Record | None = self.span_store.record_at(frame.anchor)
        if frame.outer is not None and (enclosing is None or is_newer(frame.outer, enclosing)):
            enclosing = outer
        if frame.claim is not None and not frame.detached:
            enclosing = self.foreign_sessions.claim_record(enclosing, frame.claim, trace_id, span)
        record = FrameRecord(frame, enclosing, enclosing.trace_id if enclosing is not None else trace_id)
        if frame.session is not None:
            session = frame.session
            record.own_session = session if session.wire_name else self.sessions.named(session, span)
            record.is_explicit = True
            record.is_shared = True
            record.begins_at = frame.session.path.segments
        if record.is_shared:
            frame.anchor = INVALID_SPAN  # a frame may be remembered longer than the span's content should be
        self.find_nodes(record)
        return record


def _is_of_scope(record: Record, details: SessionDetails) -> bool:
    """Tell whether the user that a span bears is one whom a scope of another SDK inside of it names, or named.

    Such an SDK writes it onto the span that is current, too. It flows down into that scope, not beside it.
    """
    if record.size >= 0 and record.scope is not None and record.scope.name in WRITING_SCOPES:
        return True
    claims = [*(record.claims_inside or ()), claim_in(get_current())] if IMPORTED and details.user_id else ()
    return any(claim is not None and claim.user_id == details.user_id for claim in claims)


def _entry_route_around(record: Record) -> str:
    return next((above.entry_route for above in record.line() if above.entry_route), "")


def is_newer(frame: ContextFrame, record: Record) -> bool:
    """Tell whether a context frame was opened after the one in which a span started."""
    older = record.frame
    return older is not frame and (older is None or frame.number > older.number)
