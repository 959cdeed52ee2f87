"""Where am I, and what label does a span bear? The one home of the library's state.

Three questions are answered here: `attend` (a span has started: whose is it?), `locate` (headers
leave: which session, which path?) and `settle` (a span has ended: what does it bear for good?).
Labels are written on spans here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from . import _wire
from ._context import PLACE_KEY, PLACES, Place, current_place
from ._destinations import Destination
from ._guard import swallow
from ._lineage import MAX_LIVE
from ._record import Record
from ._requests import Calls, request_id
from ._resolver import Resolver, is_newer
from ._session import Session
from ._settings import Settings
from ._spans import CALL_KINDS, REQUEST_KINDS, Scope
from ._stands import Alike, Stand

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span


_NO_FACTS: Final[dict[str, object]] = {}
_INTERNAL: Final = trace.SpanKind.INTERNAL
_SERVER: Final = trace.SpanKind.SERVER
_CONSUMER: Final = trace.SpanKind.CONSUMER
Attributes = Mapping[str, object] | None


class Location(NamedTuple):
    """Where a piece of work is: what its headers say."""

    session: Session
    path: str
    record: Record | None


class Registry:
    """Remembers spans and answers for them.

    Args:
        settings: What to do; the defaults if not given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.configure(settings or Settings())

    def configure(self, settings: Settings) -> None:
        """Start anew with other settings; what was remembered is forgotten."""
        self.settings = settings
        self.resolver = Resolver(settings)
        self.lineage = self.resolver.lineage
        self._known_scope = self.resolver.vocabulary.known_scope
        self._live = self.lineage.live
        self._put_ended = self.lineage.ended.put
        self._vocabulary = self.resolver.vocabulary
        self._traces = self.resolver.traces
        self._calls = Calls()

    # --- a span has started -------------------------------------------------------------------

    def attend(self, span: Span, parent_context: Context | None = None) -> None:
        """Take note of a span that has started, and label it if it belongs to a session.

        Most spans of most apps are none of our business, which must cost next to nothing: no place
        is open, no dialect knows the scope or an attribute, the trace has no session.

        Args:
            span: The live span.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        scope_name = span.instrumentation_scope.name  # type: ignore[union-attr]  # the SDK always sets one
        scope = self._known_scope(scope_name) or self._vocabulary.scope(scope_name)
        attributes = span.attributes
        if scope.known or PLACES or self._traces or attributes:
            self._consider(span, scope, attributes, parent_context)
        elif span.parent is not None:
            self.lineage.note(span.get_span_context().span_id, trace.get_current_span(parent_context))

    def _consider(self, span: Span, scope: Scope, attributes: Attributes, parent_context: Context | None) -> None:
        """Label a span if it is our business, else remember what stands above it."""
        ids, above = span.get_span_context(), span.parent
        place: Place | None = None
        if PLACES:
            place = (get_current() if parent_context is None else parent_context).get(PLACE_KEY)  # type: ignore[assignment]  # our own key
        facts = self._vocabulary.facts(attributes) if attributes else _NO_FACTS
        if place is None and not facts and not scope.known and ids.trace_id not in self._traces:
            if above is not None:
                self.lineage.note(ids.span_id, trace.get_current_span(parent_context))
            return
        parent = self._parent_of(above, parent_context) if above is not None else None
        if not attributes and span.kind is _INTERNAL:
            # The common case is spelled out: see the benchmarks.
            base = self._base(place, parent)
            alike = base.alike.get((scope, span.name)) if base is not None else None
            if alike is not None and alike.stand.chosen:
                self._live[ids.span_id] = (alike, place)
                if len(self._live) > MAX_LIVE:
                    self._live.forget_oldest()
                span.set_attributes(alike.stand.label)
                return
        elif ids.span_id in self._live:
            return  # a second processor of ours, added by hand
        record = Record(span, parent, scope, place, ids.trace_id)
        self.lineage.keep(ids.span_id, record)
        self._take_in(record, span, facts, len(attributes) if attributes else 0)

    def _parent_of(self, above: trace.SpanContext, parent_context: Context | None) -> Record | None:
        parent = self._live.get(above.span_id)
        if not isinstance(parent, Record):
            parent = self.lineage.record_at(trace.get_current_span(parent_context)) or self.lineage.known(above.span_id)
        if parent is not None and self.resolver.has_changed(parent):
            self._ask(parent)
        return parent

    def _base(self, place: Place | None, parent: Record | None) -> Stand | None:
        """Return where that stands which encloses a span, if that is known already."""
        if place is not None and (parent is None or is_newer(place, parent)):
            known = place.record
            return known[1].stand if known is not None and known[0] is self.resolver and not place.left else None
        return parent.stand if parent is not None else None

    def _take_in(self, record: Record, span: Span, facts: Mapping[str, object], size: int) -> None:
        """Read and label a span that has started, or label it like the last that showed the same."""
        key: tuple[object, ...] | None = None
        if not facts and span.kind is _INTERNAL:
            key = (record.scope, span.name)
        elif self._vocabulary.are_common(facts) and span.kind is not _SERVER and span.kind is not _CONSUMER:
            key = (record.scope, span.name, span.kind, *facts.items())
        base = self._base(record.place, record.parent)
        alike = base.alike.get(key) if base is not None and key is not None else None
        if alike is not None:
            self._label_alike(record, alike, span, size)
            return
        self._read(record, [record])
        # What the SDK's limits cut does for no one else.
        if key and record.base is not None and record.stand is not None and _bears(span, record.label):
            record.base.alike.put(key, Alike(record.reading, record.stand, record.base, span.name))

    def _label_alike(self, record: Record, alike: Alike, span: Span, size: int) -> None:
        place = record.place
        if place is not None and (record.parent is None or is_newer(place, record.parent)):
            record.parent = place.record[1]
        record.reading, record.stand, record.base, record.name = alike
        record.label = label = alike.stand.label
        record.size = size + len(label)
        span.set_attributes(label)

    # --- headers leave ------------------------------------------------------------------------

    def locate(self, context: Context | None = None, call: str | None = None) -> Location | None:
        """Tell whose session and which path hold in a Context.

        Args:
            context: The current one if not given.
            call: `llm` or `embedding` if such a call is about to be made here without a span.

        Returns:
            `None` where there is no session.
        """
        span = trace.get_current_span(context)
        ids = span.get_span_context()
        record = self.lineage.known(ids.span_id, span)
        place = current_place(context) if PLACES else None
        if place is not None and (record is None or is_newer(place, record)):
            record = self.resolver.record_of(place, ids.trace_id)
        if record is None:
            return self._locate_process(call)
        self._ask_everything(record)
        stand = record.stand
        if stand is None:
            return None
        return Location(stand.session, stand.text if call is None else stand.text_of_call(call), record)

    def locate_gateway_call(self, kind: str) -> Location | None:
        """Tell whose session holds where a call leaves for a gateway without a span of its own.

        Such a call makes its trace part of an LLM app, as a recognised span would.
        """
        record = self.lineage.record_at(trace.get_current_span())
        if record is not None:
            self._ask_everything(record)
            if record.stand is None and record.trace_id not in self._traces:
                self._begin_trace(record)
        return self.locate(call=kind)

    def _locate_process(self, call: str | None) -> Location | None:
        session = self.resolver.sessions.of_process(None)
        if session is None:
            return None
        path = str(session.path)
        return Location(session, "/" + CALL_KINDS[call] if call and path == "/" else path, None)

    def record_of(self, span: trace.Span) -> Record | None:
        """Return what is remembered of a span."""
        return self.lineage.known(span.get_span_context().span_id, span)

    def sent(self, location: Location, headers: tuple[tuple[str, str], ...], destination: Destination) -> None:
        """Note that headers have left: what they say about a session is final now."""
        record = location.record
        if record is None:
            return
        record.sent = headers
        if destination is Destination.GATEWAY and (call := _call_at(record)):
            call.by_gateway = True
        self.resolver.finalise(record)

    def obey(self, record: Record, headers: Mapping[str, str], destination: Destination) -> None:
        """Label a request's spans with what the caller itself wrote into the request's headers.

        Args:
            record: The record of the span that sends the request.
            headers: The session headers that leave, by their canonical names.
            destination: Where they go.
        """
        theirs = {attribute: headers.get(header) for header, attribute in _ATTRIBUTE_OF.items()}
        theirs[_wire.SESSION_PATH] = theirs[_wire.SESSION_PATH] or "/"
        theirs[_wire.OTEL_SESSION_ID] = theirs[_wire.SESSION_ID]
        call = _call_at(record)
        for above in record.line():
            above.theirs = theirs
            self._write(above)
            if call is None or above is call:
                break
        record.sent = tuple(headers.items())
        if destination is Destination.GATEWAY and call is not None:
            call.by_gateway = True

    # --- a span has ended ---------------------------------------------------------------------

    def settle(self, span: ReadableSpan) -> None:
        """Decide for good, when a span has ended, what it is and whether it stands for a call."""
        if not self._live or (ids := span.get_span_context()) is None:
            return
        entry = self._live.pop(ids.span_id, None)
        if entry is None:
            return
        self._put_ended(ids.span_id, entry)
        if not isinstance(entry, tuple):
            self._settle(entry, span)

    def _settle(self, record: Record, span: ReadableSpan) -> None:
        self._follow(record)
        record.ended = True
        record.span = span
        if self.resolver.has_changed(record):
            self._read(record, [record])
        record.span = None
        if record.reading.kind in REQUEST_KINDS:
            record.request = self._calls.settle(record, span)
        if record.stand is not None and not record.stand.chosen:
            self.resolver.finalise(record)

    def final_label(self, span: ReadableSpan) -> Mapping[str, str | list[str]] | None:
        """Return the attributes that a span which has ended bears; `None`: it passes untouched."""
        record = self._record_of_ended(span)
        label = self._label(record) if record is not None else None
        if record is None or label is None:
            return None
        extra: dict[str, str | list[str]] = {}
        if record.request and not record.by_gateway:
            extra[_wire.REQUEST_ID] = request_id(span)
        if record.sent and self.settings.capture_headers:
            extra |= {_wire.REQUEST_HEADER_PREFIX + name.lower(): [value] for name, value in record.sent}
        return {**label, **extra} if extra else label

    def written(self, span: ReadableSpan) -> Mapping[str, str]:
        """Return what was written on a span while it lived."""
        ids = span.get_span_context()
        record = self.lineage.known(ids.span_id) if ids is not None else None
        return (record.label if record is not None else None) or {}

    def _record_of_ended(self, span: ReadableSpan) -> Record | None:
        """Return the record of a span that has ended; make it if only now it matters what it is."""
        ids = span.get_span_context()
        if ids is None:
            return None
        entry = self.lineage.ended.get(ids.span_id)
        if isinstance(entry, Record):
            return entry
        facts = self._vocabulary.facts(span.attributes) if span.attributes else _NO_FACTS
        if entry is None and not facts:
            return None
        record = self.lineage.known(ids.span_id, span) or self.lineage.ended_record(span)
        if record is not None and not record.request and (entry is None or self.resolver.has_changed(record)):
            self._settle(record, span)
        return record

    # --- reading and writing ------------------------------------------------------------------

    def _ask(self, record: Record) -> None:
        """Read a span, and outwards whatever encloses it and has changed since it was read."""
        changed: list[Record] = []
        above: Record | None = record
        while above is not None and self.resolver.has_changed(above):
            changed.append(above)
            above = above.parent
        if changed:
            self._read(record, changed)

    def _read(self, record: Record, changed: list[Record]) -> None:
        """Read spans, given from the inside out, and label them."""
        recognised = False
        for above in reversed(changed):
            self.resolver.show(above)
            self.resolver.find_stand(above)
            recognised = recognised or above.reading.recognised
        if recognised and record.stand is None and record.trace_id not in self._traces:
            self._begin_trace(record)
            return
        for above in changed:
            self._write(above)

    def _ask_everything(self, record: Record) -> None:
        """Read a span and all that encloses it, wherever something has changed."""
        resolver = self.resolver
        for above in reversed(list(record.line())):
            if resolver.has_changed(above):
                self._read(above, [above])
            elif above.base is not resolver.base_of(above):
                resolver.find_stand(above)
                self._write(above)

    def _follow(self, record: Record) -> None:
        """Find a record's stand again where something above it has moved since."""
        for above in reversed(list(record.line())):
            if above.base is not self.resolver.base_of(above):
                self.resolver.find_stand(above)
                self._write(above)

    def _begin_trace(self, record: Record) -> None:
        self.resolver.begin_trace(record)
        for above in reversed(list(record.line())):
            if above.stand is None:
                self.resolver.find_stand(above)
                self._write(above)

    def _write(self, record: Record) -> None:
        """Write a span's label, as far as it is not there yet and the span still lives."""
        span = record.span
        if span is None:
            return
        if record.ended:
            record.span = None  # what has ended is not kept alive
            return
        label = self._label(record)
        before = record.label
        if label is None or label is before:
            return
        cast("Span", span).set_attributes(label)
        record.size += len(label) if before is None else len(label.keys() - before.keys())
        record.label = label

    def _label(self, record: Record) -> dict[str, str] | None:
        if record.theirs is not None:
            own = record.stand.label if record.stand is not None else {}
            label = {**own, **record.theirs}
            return {key: value for key, value in label.items() if value is not None and key not in record.foreign}
        if record.stand is None:
            return None
        if not record.foreign:
            return record.stand.label
        return {key: value for key, value in record.stand.label.items() if key not in record.foreign}


def _bears(span: ReadableSpan, label: Mapping[str, object] | None) -> bool:
    attributes = span.attributes or _NO_FACTS
    return label is not None and all(attributes.get(key) == value for key, value in label.items())


_ATTRIBUTE_OF: Final = {
    _wire.SESSION_ID_HEADER: _wire.SESSION_ID,
    _wire.SESSION_PATH_HEADER: _wire.SESSION_PATH,
    _wire.SESSION_NAME_HEADER: _wire.SESSION_NAME,
}


def _call_at(record: Record) -> Record | None:
    """Return the span of the call that a request belongs to: the innermost, if there is one."""
    return next((above for above in record.line() if above.reading.kind in CALL_KINDS), None)


# The one registry of the process. Entry points construct propagators without arguments, and they
# must meet the processor's state.
REGISTRY = Registry()


def current_session() -> Session | None:
    """Return the session that holds here, whoever chose it, or `None`."""
    try:
        location = REGISTRY.locate()
    except Exception as error:  # noqa: BLE001  # asking must not fail the user's work
        swallow("current_session", error)
        return None
    return location.session if location else None
