"""Headers leave: whose session and which path do they carry?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from .. import wire
from ..destinations import Destination
from ..sessions.context import FRAME_KEY, OPEN_FRAMES, SPAN_KEY, ContextFrame, current_frame
from ..sessions.foreign import IMPORTED, SessionClaim, claim_in, claim_of_run
from ..sessions.model import Session
from ..wire import CALL_KINDS
from .labels import LabelWriter
from .records import MAX_DEPTH, Record
from .requests import Calls
from .resolver import Resolver, is_newer
from .state import ProcessState


class Location(NamedTuple):
    """Where a piece of work is.

    Attributes:
        session: The session that holds here.
        path: The path that headers carry here.
        headers: The headers of a request that is made here, in wire form.
        record: The record of the span or context frame that the path belongs to, if there is one.
        sender: The record of the current span, if it is remembered.
    """

    session: Session
    path: str
    headers: tuple[tuple[str, str], ...]
    record: Record | None = None
    sender: Record | None = None


class Locator:
    """Finds the session and path of headers that leave, and remembers that they left.

    Args:
        state: The settings in force.
        resolver: Finds path nodes.
        label_writer: Brings labels up to date before they are read.
        calls: Is told of calls that no span stands for.
    """

    def __init__(self, state: ProcessState, resolver: Resolver, label_writer: LabelWriter, calls: Calls) -> None:
        self._state = state
        self._resolver = resolver
        self._label_writer = label_writer
        self._calls = calls
        self._span_store = resolver.span_store
        self._live = resolver.span_store.live
        self._recent = resolver.span_store.recent
        self._traces = resolver.traces
        self._reader = resolver.reader

    def locate(self, context: Context | None = None, call: str | None = None) -> Location | None:  # noqa: C901  # hot
        """Return the session and path that hold in a Context, or `None` where there is no session.

        Args:
            context: The current one if not given.
            call: `llm` or `embedding` if such a call is about to be made here without a span.
        """
        if context is None:
            context = get_current()
        frame: ContextFrame | None = None
        if OPEN_FRAMES:
            frame = context.get(FRAME_KEY)  # type: ignore[assignment]  # our own key
            if frame is not None and frame.stale:
                frame = current_frame(context)
        if frame is None and not (IMPORTED or self._live or self._traces or self._recent.young):
            return self._locate_process(call)
        span: Any = context.get(SPAN_KEY) or trace.INVALID_SPAN
        ids = span.get_span_context()
        record: Record | None = self._live.get(ids.span_id)
        if record is None or record.span is not span:  # its id may be that of another span
            record = self._span_store.known(ids, span)
        sender = record
        if self._reader.framework_spans:
            record = self._resolver.framework_spans.innermost(record)
        if frame is not None and (record is None or is_newer(frame, record)):
            record = self._resolver.record_of(frame, ids.trace_id, None)
        if IMPORTED:
            record = self._with_claims(record, span, claim_in(context))
        if record is None or (record.node is None and frame is None and not self._resolver.is_begun(record)):
            return self._locate_process(call)
        self._label_writer.update_line(record)
        node = record.node
        if node is None:
            return None
        if call is None or node.path or (text := node.text_of_call(call)) == node.text:
            return Location(node.session, node.text, node.headers, record, sender)
        return _location(node.session, text, record, sender)

    def locate_gateway_call(self, kind: str) -> Location | None:
        """Return where a call is that leaves for a gateway, with or without a span of its own.

        A call without a span makes its trace part of an LLM app, as a recognised span would.

        Args:
            kind: `llm` or `embedding`.
        """
        location = self.locate(call=kind)
        if location is not None and location.record is not None:
            return location
        return self._locate_bare_call(kind) or location

    def _locate_bare_call(self, kind: str) -> Location | None:
        """Give the current span's trace a session, if it has none; return where the call is then."""
        span = trace.get_current_span()
        record: Record | None = self._span_store.record_at(span)
        if record is None:
            return None
        if IMPORTED:
            record = self._with_claims(record, span, None) or record
        self._label_writer.update_line(record)
        if record.node is None and not self._resolver.is_begun(record):
            self._label_writer.begin_trace(record)
        return self.locate(call=kind)

    def _with_claims(self, record: Record | None, span: trace.Span, claim: SessionClaim | None) -> Record | None:
        """Return the record of what encloses headers, with the claims of other SDKs taken into account.

        Args:
            record: The record of what encloses them as far as we remember.
            span: The current span.
            claim: What the Context claims.
        """
        run = None if record is not None and record.node is not None and record.node.chosen else claim_of_run()
        if record is None and (claim is not None or run is not None):
            record = self._span_store.record_at(span)
        return self._resolver.foreign_sessions.innermost(record, claim, run, span.get_span_context().trace_id, None)

    def _locate_process(self, call: str | None) -> Location | None:
        """Return the location that `HELICONE_SESSION_ID` gives to the whole process."""
        if not self._state.settings.session_id or (session := self._resolver.sessions.of_process(None)) is None:
            return None
        path = str(session.path)
        return _location(session, "/" + CALL_KINDS[call] if call and path == "/" else path)

    def sent(
        self,
        record: Record | None,
        headers: tuple[tuple[str, str], ...],
        destination: Destination,
        at: Record | None = None,
        row_id: str | None = None,
    ) -> Record | None:
        """Note that headers have left from a span. What they say about a session is final now.

        Args:
            record: The record of the span, or of the context frame if there is no span.
            headers: The headers that left.
            destination: Where they went.
            at: Where the request was made, if that is a context frame inside the span.
            row_id: The id that the request's row gets, if the caller's headers decide it.

        Returns:
            The record of the call, if a gateway makes its row: the answer names the row's id.
        """
        if record is None:
            return None
        record.sent_headers = headers
        call: Record | None = None
        if destination is Destination.GATEWAY:
            call = _call_around(at or record)
            if call is not None:
                call.by_gateway, call.row_id = True, row_id
            else:
                call = self._calls.note_without_span(record, row_id)
        if record.node is not None and not record.node.chosen:
            self._resolver.keep_session_id(record)
        return call

    def adopt_caller_headers(
        self, record: Record, headers: Mapping[str, str], destination: Destination
    ) -> Record | None:
        """Label a request's spans with the session headers that the caller itself wrote.

        Args:
            record: The record of the span that sends the request.
            headers: The session headers that leave, by their canonical names.
            destination: Where they go.

        Returns:
            As `sent`.
        """
        call = _call_around(record)
        if record.destination is Destination.UNKNOWN and call is not record:
            return None  # a span that did not send the request: the application's own, most likely
        for above in record.line():
            self._label_writer.adopt_caller_headers(above, headers)
            if call is None or above is call:
                break
        record.sent_headers = tuple(headers.items())
        if destination is Destination.GATEWAY and call is not None:
            call.by_gateway, call.row_id = True, wire.row_id_in(headers)
        node = record.node
        if node is not None and headers.get(wire.SESSION_ID_HEADER) == node.session.wire_id:
            self._resolver.keep_session_id(record)  # the caller set a path or name only: the id that leaves is ours
        return call if destination is Destination.GATEWAY else None


def _location(session: Session, path: str, record: Record | None = None, sender: Record | None = None) -> Location:
    return Location(session, path, ((wire.SESSION_PATH_HEADER, path), *session.headers), record, sender)


def _call_around(record: Record) -> Record | None:
    """Return the record of the call that a request belongs to: the innermost one, if there is one."""
    above: Record | None = record
    for _ in range(MAX_DEPTH):
        if above is None or above.classification.kind in CALL_KINDS:
            return above
        if above.classification.segment is not None or above.steps:
            return None  # a step: a call further out may enclose it, but does not make this request
        above = above.parent
    return None
