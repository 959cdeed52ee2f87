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
from ._labels import Labels
from ._memory import Record
from ._paths import call_text, entrance_of, path_text, place_of_call
from ._requests import Calls, request_id
from ._resolver import GATEWAY, Resolver, is_newer
from ._session import Session
from ._settings import Settings
from ._spans import APPLICATION, CALL_KINDS, REQUEST_KINDS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span


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
        self.spans = self.resolver.lineage.spans
        self._vocabulary = self.resolver.vocabulary
        self._traces = self.resolver.traces
        self._labels = Labels(settings.attributes)
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
        scope = self._vocabulary.known_scope(scope_name) or self._vocabulary.scope(scope_name)
        place = self._place_in(parent_context) if PLACES else None
        ids, above = span.get_span_context(), span.parent
        if (
            place is not None
            or scope.known
            or (self._traces and ids.trace_id in self._traces)
            or ((attributes := span.attributes) and self._vocabulary.speaks_of(attributes))
        ):
            if self.spans.get(ids.span_id) is None:  # else: a second processor of ours, added by hand
                lineage = self.resolver.lineage
                parent = self.spans.get(above.span_id) if above is not None else None
                if parent is None and above is not None:
                    parent = lineage.record_at(trace.get_current_span(parent_context))
                record = Record(span, parent, scope, place, ids.trace_id)
                self.spans.put(ids.span_id, record)
                self._ask(record)
        elif above is not None:
            self.resolver.lineage.note(ids.span_id, trace.get_current_span(parent_context))

    def _place_in(self, context: Context | None) -> Place | None:
        return cast("Place | None", (get_current() if context is None else context).get(PLACE_KEY))

    # --- headers leave ------------------------------------------------------------------------

    def locate(self, context: Context | None = None, call: str | None = None) -> Location | None:
        """Tell whose session and which path hold in a Context.

        Args:
            context: The current one if not given.
            call: `llm` or `embedding` if such a call is about to be made here without a span.

        Returns:
            `None` where there is no session.
        """
        place = current_place(context)
        record = self.record_of(trace.get_current_span(context))
        if place is not None and (record is None or is_newer(place, record)):
            record = self.resolver.record_of(place)
        if record is None:
            return self._locate_process(call)
        self._ask_everything(record)
        session = self.resolver.session_of(record)
        if session is None:
            return None
        resolver = self.resolver
        path = call_text(record, call, resolver.root, resolver.age) if call else self._path(record)
        return Location(session, path, record)

    def locate_gateway_call(self, kind: str) -> Location | None:
        """Tell whose session holds where a call leaves for a gateway without a span of its own.

        Such a call makes its trace part of an LLM app, as a recognised span would.
        """
        record = self.resolver.lineage.record_at(trace.get_current_span())
        if record is not None:
            self._ask_everything(record)
            if not record.opened and record.trace_id not in self._traces:
                self.resolver.begin_trace(record)
                for above in record.line():
                    self._write(above)
        return self.locate(call=kind)

    def _locate_process(self, call: str | None) -> Location | None:
        session = self.resolver.sessions.of_process(None)
        if session is None:
            return None
        if call and not session.path.segments:
            return Location(session, place_of_call(None, call), None)
        return Location(session, str(session.path), None)

    def record_of(self, span: trace.Span) -> Record | None:
        """Return what is remembered of a span."""
        return self.spans.get(span.get_span_context().span_id)

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
        session = self.resolver.session_of(record)
        session_id = headers.get(_wire.SESSION_ID_HEADER) or (session.id if session else None)
        if not session_id:
            return
        name = headers.get(_wire.SESSION_NAME_HEADER)
        theirs = replace(session, id=session_id, name=name) if session else Session(session_id, name)
        call = _call_at(record)
        for above in record.line():
            above.session, above.opened = theirs, True
            above.fixed = headers.get(_wire.SESSION_PATH_HEADER, "/")
            self._write(above)
            if call is None or above is call:
                break
        self.sent(Location(theirs, record.fixed or "/", record), tuple(headers.items()), destination)

    # --- a span has ended ---------------------------------------------------------------------

    def settle(self, span: ReadableSpan) -> None:
        """Decide for good, when a span has ended, what it is and whether it stands for a call."""
        ids = span.get_span_context()
        record = self.spans.get(ids.span_id) if ids is not None else None
        if record is None or record.ended:
            return
        record.ended = True
        record.span = span
        if self.resolver.has_changed(record) or record.reading.recognised:
            self._read(record, [record])
        if record.reading.kind in REQUEST_KINDS:
            record.request = self._calls.settle(record, span)
        elif record.scope is not None and not record.scope.application:
            record.span = span
            record.entrance = entrance_of(record)
        record.span = None
        self.resolver.finalise(record)

    def final_label(self, span: ReadableSpan) -> Mapping[str, str | list[str]] | None:
        """Return the attributes that a span which has ended bears; `None`: it passes untouched."""
        ids = span.get_span_context()
        record = self.spans.get(ids.span_id) if ids is not None else None
        if record is None and span.attributes and self._vocabulary.speaks_of(span.attributes):
            record = self._record_of_late(span)
        session = self.resolver.session_of(record) if record is not None else None
        if record is None or session is None:
            return None
        label = self._label(record, session)
        extra: dict[str, str | list[str]] = {}
        if record.request and not record.by_gateway:
            extra[_wire.REQUEST_ID] = request_id(span)
        if record.sent and self.settings.capture_headers:
            extra |= {_wire.REQUEST_HEADER_PREFIX + name.lower(): [value] for name, value in record.sent}
        return {**label, **extra} if extra else label

    def written(self, span: ReadableSpan) -> Mapping[str, str]:
        """Return what was written on a span while it lived."""
        ids = span.get_span_context()
        record = self.spans.get(ids.span_id) if ids is not None else None
        return (record.label if record is not None else None) or {}

    def _record_of_late(self, span: ReadableSpan) -> Record | None:
        """Remember a span that showed only at its end, when nobody asked any more, what it is."""
        ids, scope = span.get_span_context(), span.instrumentation_scope
        if ids is None or scope is None:
            return None
        parent = self.resolver.lineage.above(ids.span_id)
        record = Record(span, parent, self._vocabulary.scope(scope.name), None, ids.trace_id)
        self.spans.put(ids.span_id, record)
        self.settle(span)
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

    def _ask_everything(self, record: Record) -> None:
        """Read a span and all that encloses it, wherever something has changed."""
        if changed := [above for above in record.line() if self.resolver.has_changed(above)]:
            self._read(record, changed)

    def _read(self, record: Record, changed: list[Record]) -> None:
        for above in reversed(changed):
            self.resolver.show(above)
        if not record.opened and record.trace_id not in self._traces:
            if not any(above.reading.recognised for above in changed):
                return
            self.resolver.begin_trace(record)
            changed = list(record.line())
        for above in changed:
            self._write(above)
            if above.ended:
                above.span = None  # what has ended is not kept alive

    def _write(self, record: Record) -> None:
        """Write a span's label, as far as it is not there yet and the span still lives."""
        span = record.span
        if span is None or record.ended:
            return
        session = self.resolver.session_of(record)
        if session is None:
            return
        label = self._label(record, session)
        before = record.label
        if label is before:
            return
        cast("Span", span).set_attributes(label)
        record.size += len(label) if before is None else len(label.keys() - before.keys())
        record.label = label

    def _label(self, record: Record, session: Session) -> Mapping[str, str]:
        reading = record.reading
        gen_ai = reading.dialect not in _NOT_GEN_AI and reading.kind != "vector_db"
        label = self._labels.of(session, self._path(record), reading.kind, gen_ai)
        if not record.foreign:
            return label
        return {key: value for key, value in label.items() if key not in record.foreign}

    def _path(self, record: Record) -> str:
        return path_text(record, self.resolver.root, self.resolver.age)


# Spans that OpenTelemetry's GenAI conventions do not describe.
_NOT_GEN_AI: Final = frozenset({"", APPLICATION, GATEWAY})


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
