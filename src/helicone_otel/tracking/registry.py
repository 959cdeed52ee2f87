"""Where am I, and what label does a span bear? The one home of the library's state.

Three questions are answered here: `on_start` (a span has started: whose is it?), `locate` (headers
leave: which session, which path?) and `finalize` (a span has ended: what does it bear for good?).
What spans are told to bear is written by `_label_writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from .. import wire
from ..destinations import Destination
from ..failures import swallow
from ..sessions.context import OPEN_FRAMES, current_frame
from ..sessions.foreign import LOADED, SessionClaim, claim_in, claim_of_run, find_imported_sdks
from ..sessions.model import Session
from ..settings import Settings
from ..spans.dialects import DIALECTS
from ..spans.schema import CALL_KINDS, Dialect
from .labels import LabelWriter
from .nodes import SpanTemplate
from .on_start import SpanStarts
from .records import MAX_DEPTH, Entry, LeafRecord, SpanRecord, shown, size_of
from .requests import Calls, request_id
from .resolver import Resolver, is_newer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


_NOTHING: Final[Mapping[str, object]] = {}
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/
_SERVER_ADDRESS: Final = "server.address"
_SERVER_PORT: Final = "server.port"


class Location(NamedTuple):
    """Where a piece of work is.

    Attributes:
        session: Whose it is.
        path: Which path its headers say.
        headers: Those headers.
        record: The record of the span or place that it stands at, if there is one.
        sender: The record of the current span, if it is remembered.
        row_id: The id among those headers that the request's row is to have, if there is one.
    """

    session: Session
    path: str
    headers: tuple[tuple[str, str], ...]
    record: SpanRecord | None = None
    sender: SpanRecord | None = None
    row_id: str | None = None


class Outcome(NamedTuple):
    """What became of a span.

    Attributes:
        written: What was written on it while it lived.
        final: What it bears for good.
        overwritten: What the user had put in the place of what was written, by the time it ended.
        logged: It stands for a call that no gateway saw: a row of it is ours to make.
    """

    written: Mapping[str, str]
    final: Mapping[str, str | list[str]]
    overwritten: Mapping[str, object] = _NOTHING
    logged: bool = False


class Registry:
    """Remembers spans and answers for them.

    Args:
        settings: What to do; the defaults if not given.
        dialects: The tables by which spans are read; ours if not given.

    Attributes:
        active: False once everything was taken out again: propagators then do nothing.
        thorough: Processors are around that may hand on spans with other attributes than they have, so
            what a span is must be decided when it ends; else that can wait until an exporter asks.
        hooked: Where the transport hook writes instead of the propagator: scopes of instrumentations,
            and packages of carriers.
        log: `log(entry, span)` takes a span that has ended and may become a row of Helicone's log, with what is
            remembered of it; `None`: nobody logs.
        flush_log: `flush_log(milliseconds)` sends what was taken so, and tells whether there was time for all;
            `flush_log(None)` does so when the app, or a provider, ends.
        on_start: `attend(span, parent_context)` takes note of a span that has started (see `_arrivals`).
    """

    def __init__(self, settings: Settings | None = None, dialects: Sequence[Dialect] = DIALECTS) -> None:
        self.active = True
        self.thorough = False
        self.log: Callable[[Entry, ReadableSpan], None] | None = None
        self.flush_log: Callable[[int | None], bool] | None = None
        self.hooked: set[str] = set()
        self._dialects = dialects
        self.configure(settings or Settings())

    def configure(self, settings: Settings) -> None:
        """Start anew with other settings; what was remembered is forgotten."""
        self.settings = settings
        self.resolver = Resolver(settings, self._dialects)
        self.span_store = self.resolver.span_store
        self.live = self.span_store.live
        self._recent = self.span_store.recent
        self._put_recent = self._recent.put
        self._reader = self.resolver.reader
        self._label_writer = LabelWriter(self.resolver)
        self.on_start = SpanStarts(self.resolver, self._label_writer).on_start
        self._calls = Calls(self._reader)
        find_imported_sdks()

    # --- headers leave ------------------------------------------------------------------------

    @property
    def has_not_current(self) -> bool:
        """Whether there are spans that tell of calls beside which they stand."""
        return self._reader.has_not_current

    def locate(self, context: Context | None = None, call: str | None = None) -> Location | None:
        """Tell whose session and which path hold in a Context.

        Args:
            context: The current one if not given.
            call: `llm` or `embedding` if such a call is about to be made here without a span.

        Returns:
            `None` where there is no session.
        """
        if context is None:
            context = get_current()
        frame = current_frame(context) if OPEN_FRAMES else None
        if frame is None and not (LOADED or self.live or self.resolver.traces or self.span_store.recent.young):
            return self._locate_process(call)
        span = trace.get_current_span(context)
        ids = span.get_span_context()
        record = sender = self.span_store.known(ids, span)
        if self._reader.framework_spans:
            record = self.resolver.framework_spans.innermost(record)
        if frame is not None and (record is None or is_newer(frame, record)):
            record = self.resolver.record_of(frame, ids.trace_id, None)
        if LOADED:
            record = self._heard(record, span, claim_in(context))
        if record is None or (record.node is None and frame is None and ids.trace_id not in self.resolver.traces):
            return self._locate_process(call)
        self._label_writer.ask_everything(record)
        node = record.node
        if node is None:
            return None
        if call is None or node.path:
            return Location(node.session, node.text, node.headers, record, sender)
        return _located(node.session, node.text_of_call(call), record, sender)

    def _heard(self, record: SpanRecord | None, span: trace.Span, said: SessionClaim | None) -> SpanRecord | None:
        """Return the record of what encloses headers, where other SDKs may have a say in it.

        Args:
            record: The record of what does so as far as is remembered.
            span: The current span.
            said: What the Context says.
        """
        run = None if record is not None and record.node is not None and record.node.chosen else claim_of_run()
        if record is None and (said is not None or run is not None):
            record = self.span_store.record_at(span)
        return self.resolver.foreign_sessions.innermost(record, said, run, span.get_span_context().trace_id, None)

    def locate_gateway_call(self, kind: str) -> Location | None:
        """Tell whose session holds where a call leaves for a gateway without a span of its own.

        Such a call makes its trace part of an LLM app, as a recognised span would.
        """
        location = self.locate(call=kind)
        if location is not None and location.record is not None:
            return location
        span = trace.get_current_span()
        record = self.span_store.record_at(span)
        if record is None:
            return location
        if LOADED:
            record = self._heard(record, span, None) or record
        self._label_writer.ask_everything(record)
        if record.node is None and record.trace_id not in self.resolver.traces:
            self._label_writer.begin_trace(record)
        return self.locate(call=kind)

    def _locate_process(self, call: str | None) -> Location | None:
        if not self.settings.session_id or (session := self.resolver.sessions.of_process(None)) is None:
            return None
        path = str(session.path)
        return _located(session, "/" + CALL_KINDS[call] if call and path == "/" else path)

    def record_of(self, span: trace.Span) -> SpanRecord | None:
        """Return what is remembered of a span."""
        return self.span_store.known(span.get_span_context(), span)

    def sent(
        self,
        record: SpanRecord | None,
        headers: tuple[tuple[str, str], ...],
        destination: Destination,
        at: SpanRecord | None = None,
        row_id: str | None = None,
    ) -> None:
        """Note that headers have left from a span: what they say about a session is final now.

        Args:
            record: The span's, or the place's if there is no span.
            headers: What left.
            destination: Where to.
            at: Where the request was made, if that is a place inside of the span.
            row_id: The id that its row gets, if the headers decide it.
        """
        if record is None:
            return
        record.sent = headers
        if destination is Destination.GATEWAY:
            call = _call_at(at or record)
            if call is not None:
                call.by_gateway, call.row_id = True, row_id
            elif self._reader.has_not_current:
                self._calls.note_without_span(record, row_id)
        if record.node is not None and not record.node.chosen:
            self.resolver.keep_session_id(record)

    def adopt_caller_headers(self, record: SpanRecord, headers: Mapping[str, str], destination: Destination) -> None:
        """Label a request's spans with what the caller itself wrote into the request's headers.

        Args:
            record: The record of the span that sends the request.
            headers: The session headers that leave, by their canonical names.
            destination: Where they go.
        """
        call = _call_at(record)
        if record.destination is Destination.UNKNOWN and call is not record:
            return  # a span that did not send the request: the application's own, most likely
        for above in record.line():
            self._label_writer.adopt_caller_headers(above, headers)
            if call is None or above is call:
                break
        record.sent = tuple(headers.items())
        if destination is Destination.GATEWAY and call is not None:
            call.by_gateway, call.row_id = True, row_id_said(headers)
        node = record.node
        if node is not None and headers.get(wire.SESSION_ID_HEADER) == node.session.wire_id:
            self.resolver.keep_session_id(record)  # the caller set a path or name only, so the id that leaves is ours

    # --- a span has ended ---------------------------------------------------------------------

    def finalize(self, span: ReadableSpan) -> None:
        """Decide for good, when a span has ended, what it is and whether it stands for a call."""
        ids = span.get_span_context()
        if ids is None:
            return
        if (entry := self.live.pop(ids.span_id, None)) is not None:
            self._end(entry, ids.span_id, span)
        elif self.thorough:
            self._end_late(ids.span_id, span)

    def _end(self, entry: Entry, span_id: int, span: ReadableSpan) -> None:
        self._put_recent(span_id, entry)
        if isinstance(entry, SpanRecord):
            self._finalize(entry, span)
            self._offer(entry, span)
        elif self.log is not None:
            if entry[0].request:
                self.log(entry, span)
            elif _has_changed(entry[0], span):
                self._offer(self._record_of_ended(span), span)

    # --- and is to be logged: on the way of every span, so it is written out -------------------

    def finalize_and_log(self, span: ReadableSpan) -> None:
        """Do the same, and hand the span to the log if it is to be a row there, as far as can be told by now."""
        ids = span.get_span_context()
        if ids is None:
            return
        span_id = ids.span_id
        if (entry := self.live.pop(span_id, None)) is not None:
            self._end(entry, span_id, span)
            return
        recent = self._recent
        entry = recent.young.get(span_id) or recent.old.get(span_id)
        if isinstance(entry, tuple):
            if entry[0].request:
                self.log(entry, span)  # type: ignore[misc]  # there is a log, or nobody would ask
            elif _has_changed(entry[0], span):
                self._offer(self._record_of_ended(span), span)
        elif entry is None and (self.thorough or shown(span) or self.resolver.is_of_named_scope(span)):
            self._offer(self._record_of_ended(span), span)

    def _offer(self, record: SpanRecord | None, span: ReadableSpan) -> None:
        if record is None or self.log is None:
            return
        if self._is_logged(record, span) or ((call := record.tells_of) and self._may_lack_content(call)):
            self.log(record, span)

    def _may_lack_content(self, span_id: int) -> bool:
        """Tell whether the row of a span may be made from what its wrappers tell: no gateway makes it."""
        entry = self.live.get(span_id) or self._recent.get(span_id)
        return not (isinstance(entry, SpanRecord) and entry.by_gateway)

    def _end_late(self, span_id: int, span: ReadableSpan) -> None:
        """Settle a span of which no record was kept, if it has shown something since it started."""
        entry = self.span_store.recent.get(span_id)
        if entry is None or (isinstance(entry, tuple) and not self._is_as_it_started(entry, span)):
            self._record_of_ended(span)

    def _is_as_it_started(self, leaf: LeafRecord, span: ReadableSpan) -> bool:
        """Tell whether a leaf has shown nothing more of itself than at its start, and stands where it did."""
        template, _, encloses = leaf
        return (
            size_of(span) == template.size
            and span.name == template.name
            and encloses.node is template.base
            and not self.resolver.is_overwritten(shown(span) or _NOTHING, template.node.label)
        )

    def _finalize(self, record: SpanRecord, span: ReadableSpan) -> None:
        # The live span, if there is one: what is handed over may be a copy that somebody redacted.
        record.span = live = record.span or span
        self._label_writer.follow(record)
        record.span = live  # where it had to move, it was found to have ended
        record.ended = record.finalized = True
        if self.resolver.has_changed(record):
            record.overwritten = _overwritten_values(record)
            self._label_writer.read(record, [record])
        record.span, record.name = None, ""  # it is not read again, and a name may be any length
        self._calls.finalize(record, span)
        if record.node is not None and not record.node.chosen:
            self.resolver.keep_session_id(record)

    def outcome(self, span: ReadableSpan) -> Outcome | None:
        """Return the attributes that a span which has ended bears; `None`: it passes untouched."""
        ids = span.get_span_context()
        return None if ids is None else self.outcome_of(self._entry_of(ids.span_id, span), span)

    def _entry_of(self, span_id: int, span: ReadableSpan) -> Entry | None:
        if (entry := self.live.pop(span_id, None)) is not None:
            self._end(entry, span_id, span)  # it came to an exporter before it came to our processor
        return self.span_store.recent.get(span_id)

    def outcome_later(self, entry: Entry, span: ReadableSpan) -> Outcome | None:
        """Return the outcome of a candidate, which may be forgotten by now, or have turned out a wrapper."""
        ids = span.get_span_context()
        return self.outcome_of((self.span_store.recent.get(ids.span_id) if ids is not None else None) or entry, span)

    def outcome_of(self, entry: Entry | None, span: ReadableSpan) -> Outcome | None:
        """Return the attributes that a span bears of which this is remembered."""
        if isinstance(entry, tuple) and (self.thorough or self._is_as_it_started(entry, span)):
            written = entry[0].node.label
            if not entry[0].request:
                return Outcome(written, written)
            return Outcome(written, {**written, wire.REQUEST_ID: request_id(span)}, logged=True)
        record = entry if isinstance(entry, SpanRecord) else None
        if record is None and not self.thorough:  # else what is unknown here is a copy that stands for something else
            record = self._record_of_ended(span)
        label = self._label_writer.label_of(record) if record is not None else None
        if record is None or label is None:
            return None
        extra: dict[str, str | list[str]] = {}
        logged = self._is_logged(record, span)
        if row_id := request_id(span) if logged else _gateways_row_id(record):
            extra[wire.REQUEST_ID] = row_id
        if record.sent and self.settings.capture_headers:
            extra |= {wire.REQUEST_HEADER_PREFIX + name.lower(): [value] for name, value in record.sent}
        return Outcome(
            record.label or {}, {**label, **extra} if extra else label, record.overwritten or _NOTHING, logged
        )

    def _is_logged(self, record: SpanRecord, span: ReadableSpan) -> bool:
        """Tell whether a row of a span that has ended is ours to make: it stands for a call that no gateway saw."""
        if not record.request or record.wraps or record.by_gateway or record.destination is Destination.GATEWAY:
            return False
        # Where a client is not hooked no headers leave, but its span may say where the call went.
        host = (shown(span) or _NOTHING).get(_SERVER_ADDRESS) if record.classification.kind in CALL_KINDS else None
        if not isinstance(host, str):
            return True
        port = (shown(span) or _NOTHING).get(_SERVER_PORT)
        destination = self.resolver.destinations.of_host(host, port if isinstance(port, int) else None, "https")
        return destination is not Destination.GATEWAY

    def _record_of_ended(self, span: ReadableSpan) -> SpanRecord | None:
        """Make the record of a span that has ended, if only now it matters what it is."""
        ids = span.get_span_context()
        record = self.span_store.known(ids, span) if ids is not None else None
        if record is None and self.resolver.shows_itself(span):
            record = self.span_store.ended_record(span)
        if record is not None and not record.finalized:
            self._finalize(record, span)
        return record


def _has_changed(template: SpanTemplate, span: ReadableSpan) -> bool:
    """Tell, as cheaply as can be, whether a span has shown more than at its start, or another kind was set by hand."""
    attributes = shown(span)
    if attributes is None:
        return False
    if len(attributes) != template.size or span.name != template.name:
        return True
    try:
        return template.classification.kind is not None and attributes[wire.SPAN_KIND] != template.classification.kind
    except KeyError:  # evicted by the SDK's limit
        return False


def _overwritten_values(record: SpanRecord) -> dict[str, object] | None:
    """Return what stands on a span in the place of what was written there."""
    attributes = (record.span.attributes if record.span is not None else None) or _NOTHING
    label = record.label or {}
    return {key: attributes[key] for key in label if key in attributes and attributes[key] != label[key]} or None


def _located(
    session: Session, path: str, record: SpanRecord | None = None, sender: SpanRecord | None = None
) -> Location:
    return Location(session, path, ((wire.SESSION_PATH_HEADER, path), *session.headers), record, sender)


def row_id_said(headers: Mapping[str, str]) -> str | None:
    """Return the id that the row of a request with these headers gets, if they decide it."""
    row_id = headers.get(wire.REQUEST_ID_HEADER)
    return row_id.lower() if row_id is not None and wire.is_row_id(row_id) else None


def _gateways_row_id(record: SpanRecord) -> str | None:
    """Return the id of the row that a gateway makes of a request, or `None`: it chose one itself, or makes none."""
    return record.row_id if record.request and not record.wraps else None


def _call_at(record: SpanRecord) -> SpanRecord | None:
    """Return the span of the call that a request belongs to: the innermost, if there is one."""
    above: SpanRecord | None = record
    for _ in range(MAX_DEPTH):
        if above is None or above.classification.kind in CALL_KINDS:
            return above
        if above.classification.segment is not None or above.steps:
            return None  # a step of its own: what calls further out may enclose it is another matter
        above = above.parent
    return None


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
