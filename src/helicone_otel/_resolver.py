"""Reading spans and deciding whose they are: the product's rules, one function each.

Whose session? The first that exists: a place that code opened and that is newer than the parent's
label; the parent's label unless it is provisional; an id on the span itself; the parent's
provisional label; the process's; the trace's, made up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from opentelemetry.trace import SpanKind

from . import _wire
from ._context import Place
from ._destinations import Destination, Destinations
from ._lineage import Lineage
from ._memory import Recent, Record
from ._session import Session, path_segments
from ._sessions import Sessions, Trace, by_hand
from ._settings import Settings
from ._spans import CALL_KINDS, URL_ATTRIBUTES, Kind, Reading, Scope, Vocabulary
from .dialects import DIALECTS, LIBRARIES

MAX_TRACES: Final = 2048
GATEWAY: Final = "gateway"
_NO_FACTS: Final[dict[str, object]] = {}
_KIND_NAMES: Final = {kind: kind.name for kind in SpanKind}
_FOREIGN: Final = frozenset({_wire.OTEL_SESSION_ID, _wire.OTEL_CONVERSATION_ID, _wire.OTEL_USER_ID})


class Resolver:
    """Reads spans into their records.

    Attributes:
        age: Grows when something shows itself late, so that paths from before are known as stale.
        root: The path at which sessions begin that were not opened in code.
    """

    def __init__(self, settings: Settings) -> None:
        self.vocabulary = Vocabulary(
            DIALECTS,
            libraries=LIBRARIES,
            session_ids=settings.session_id_attributes,
            application_spans=settings.application_spans,
        )
        self.lineage = Lineage(self.vocabulary)
        self.sessions = Sessions(settings, self.vocabulary.session_ids, self.vocabulary.user_ids)
        self.destinations = Destinations(settings.gateway_hosts, settings.propagate_hosts)
        self.traces: Recent[int, Trace] = Recent(MAX_TRACES)
        self.root = self.sessions.path.segments
        self.age = 0

    def session_of(self, record: Record) -> Session | None:
        """Return the session that holds at a record, or `None`: it passes untouched."""
        if record.opened:
            return record.session
        trace = self.traces.get(record.trace_id)
        if trace is None:
            return None
        return record.session or trace.session

    # --- reading ------------------------------------------------------------------------------

    def has_changed(self, record: Record) -> bool:
        """Tell whether a span shows more of itself than when it was read last."""
        span = record.span
        if span is None:
            return False
        return record.size != len(span.attributes or ()) or record.name != span.name

    def show(self, record: Record) -> None:
        """Read a span into its record: what it is, what encloses it, whose it is."""
        span, scope = record.span, record.scope
        if span is None or scope is None:
            return
        first = record.size < 0
        attributes = span.attributes
        facts = self.vocabulary.facts(attributes) if attributes else _NO_FACTS
        if first and facts:
            record.foreign = _FOREIGN.intersection(facts)
        if first and record.place is not None:
            self._enclose(record, record.place)
        name = span.name
        span_kind = _KIND_NAMES[span.kind]
        reading = self.vocabulary.read(scope, name, span_kind, facts)
        if facts and reading.kind is None and span_kind == "CLIENT":
            reading = self._gateway_call(record, facts) or reading
        before = record.reading
        if not first and (reading.kind != before.kind or reading.segment != before.segment):
            self.age += 1
        record.reading = reading
        record.name = name
        record.size = len(attributes) if attributes else 0
        self._choose_session(record, facts)

    def _enclose(self, record: Record, place: Place | None) -> None:
        """Put a span into the place that code opened, where that is newer than its parent."""
        while place is not None and place.left:
            place = place.outer
        record.place = place
        if place is not None and (record.parent is None or is_newer(place, record.parent)):
            record.parent = self.record_of(place)

    def _gateway_call(self, record: Record, facts: dict[str, object]) -> Reading | None:
        # A request to a gateway with no LLM span above it: the gateway makes a row of it all the same.
        url = next((url for key in URL_ATTRIBUTES if isinstance(url := facts.get(key), str)), "")
        if self.destinations.of_url(url) is not Destination.GATEWAY:
            return None
        if any(above.reading.kind in CALL_KINDS for above in record.line() if above is not record):
            return None
        return Reading(call_kind(url), None, GATEWAY)

    # --- whose session? -----------------------------------------------------------------------

    def _choose_session(self, record: Record, facts: dict[str, object]) -> None:
        parent = record.parent
        if facts and (hand := by_hand(facts, record.label)):
            self._obey_attributes(record, hand)
        elif record.session is not None:
            return  # A session never changes once somebody has chosen it.
        elif parent is not None and parent.session is not None:
            record.session = parent.session
            record.opened = parent.opened
        elif facts and (session_id := self.sessions.id_on(facts)):
            self._adopt(record, session_id)

    def _adopt(self, record: Record, session_id: str) -> None:
        """Take the id that a framework put on a span, and let it replace a made-up one."""
        trace = self.traces.get(record.trace_id)
        if record.span is None or (trace is not None and trace.final):
            return
        record.session = self.sessions.chosen(session_id, record.span)
        if trace is not None and (trace.session is None or trace.session.provisional):
            trace.session = record.session

    def _obey_attributes(self, record: Record, hand: dict[str, str]) -> None:
        """Follow the session attributes that the user set on a span."""
        if record.span is None:
            return
        name = hand.get(_wire.SESSION_NAME)
        if session_id := hand.get(_wire.SESSION_ID):
            record.session, record.opened = self.sessions.chosen(session_id, record.span, name), True
        elif name and (session := record.session or (record.parent and self.session_of(record.parent))):
            record.session, record.opened = replace(session, name=name), True
        if path := hand.get(_wire.SESSION_PATH):
            record.begins = path_segments(path)
            self.age += 1

    def begin_trace(self, record: Record) -> None:
        """A trace has turned out to be part of an LLM app: from here on it has a session."""
        if record.span is None:
            return
        trace = Trace(record.session) if record.session else self.sessions.of_trace(record.trace_id, record.span)
        self.traces.put(record.trace_id, trace)

    def finalise(self, record: Record) -> None:
        """The session's id has left the process: the trace keeps it."""
        if record.session is None and (trace := self.traces.get(record.trace_id)):
            trace.final = True

    # --- places -------------------------------------------------------------------------------

    def record_of(self, place: Place) -> Record:
        """Return the record of a place that code opened, and make those of the places around it."""
        unknown: list[Place] = []
        outer: Place | None = place
        while outer is not None and self._known(outer) is None:
            unknown.append(outer)
            outer = None if outer.detached else outer.outer
        for inner in reversed(unknown):
            inner.record = (self, self._make_record(inner))
        return cast("Record", self._known(place))

    def _known(self, place: Place) -> Record | None:
        known = cast("tuple[Resolver, Record] | None", place.record)
        return known[1] if known is not None and known[0] is self else None

    def _make_record(self, place: Place) -> Record:
        if place.detached:
            return Record(None, None, None, place, 0)
        encloses = self.lineage.record_at(place.anchor)
        outer = place.outer
        if outer is not None and (encloses is None or is_newer(outer, encloses)):
            encloses = self._known(outer)
        record = Record(None, encloses, None, place, place.anchor.get_span_context().trace_id)
        record.steps = place.steps
        if place.session is not None:
            span = encloses.span if encloses else None
            record.session, record.opened = self.sessions.named(place.session, span), True
            record.begins = place.session.path.segments
        elif encloses is not None:
            record.session, record.opened = encloses.session, encloses.opened
        return record


def is_newer(place: Place, record: Record) -> bool:
    """Tell whether a place was opened after the one in which a span started."""
    older = record.place
    return older is not place and (older is None or place.number > older.number)


def call_kind(url: str) -> Kind:
    """Tell by its URL which kind of call a request to a gateway is."""
    path = url.partition("?")[0].rstrip("/")
    return "embedding" if path.endswith("/embeddings") else "llm"
