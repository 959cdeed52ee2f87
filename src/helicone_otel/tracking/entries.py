"""A span by which work comes in: does the work begin anew there, or go on in what encloses it?

Such spans are those of servers and of consumers of messages. Their parent may be a span of a caller, who must not
choose the session. And servers may handle a request in the Context that the request before it has left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan

from ..sessions.context import FRAME_KEY, ContextFrame
from ..sessions.foreign import IMPORTED, SessionClaim, claim_in, claim_of_run
from ..spans.reader import ScopeRules
from .labels import LabelWriter
from .records import Record, SpanRecord, is_entry_span, new_work
from .resolver import Resolver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

_INTERNAL: Final = trace.SpanKind.INTERNAL


class EntrySpans:
    """Takes in spans with which work begins anew.

    Args:
        resolver: Reads spans and finds path nodes.
        label_writer: Writes labels.
    """

    def __init__(self, resolver: Resolver, label_writer: LabelWriter) -> None:
        self._resolver = resolver
        self._label_writer = label_writer
        self._span_store = resolver.span_store

    def begins_anew(self, span: Span, scope: ScopeRules, parent_context: Context | None) -> bool:
        """Begin anew at a span, and return true, unless work does not come in by it, or goes on in what encloses it.

        Args:
            span: A span that starts.
            scope: The rules of its instrumentation scope.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        if not is_entry_span(span.kind, scope, span.name):
            return False
        trace_id, goes_on = span.get_span_context().trace_id, True
        if span.parent is not None:
            goes_on = self._goes_on(span, span.parent, parent_context)
        if span.kind is not _INTERNAL or not goes_on:
            self._resolver.untrusted.note(trace_id, parent_context)
        if goes_on:
            return False
        frame, claim = self._left_behind(parent_context)
        if frame is not None or claim is not None or scope.known or self._resolver.is_recognisable(span):
            self._take_in_anew(span, scope, frame, claim)
        return True

    def _goes_on(self, span: Span, parent_ids: trace.SpanContext, parent_context: Context | None) -> bool:
        """Tell whether work that comes in goes on where it came from: below an open span, in the same Context."""
        parent = trace.get_current_span(parent_context)
        if isinstance(parent, ReadableSpan):
            return parent.end_time is None
        if self._resolver.accepts_callers:
            return True
        # The parent is known by ids, which a caller may have sent. In this process, the thread or task tells more.
        here = trace.get_current_span()
        if isinstance(here, ReadableSpan) and here.get_span_context().span_id == parent_ids.span_id:
            return here.end_time is None
        known = self._span_store.known(parent_ids)
        if known is None or known.ended:
            return False
        if known.node is None:
            return here.is_recording() and here.get_span_context().trace_id == parent_ids.trace_id
        around = self._record_here(span)
        return around is not None and around.node is not None and around.node.session.id == known.node.session.id

    def _record_here(self, span: Span) -> Record | None:
        """Return the record of what encloses the code that runs in this thread or task."""
        context, here = get_current(), trace.get_current_span()
        frame: ContextFrame | None = context.get(FRAME_KEY)  # type: ignore[assignment]  # our own key
        claim = claim_in(context) if IMPORTED else None
        return self._resolver.with_claims(self._span_store.known(here.get_span_context(), here), frame, claim, span)

    def _left_behind(self, parent_context: Context | None) -> tuple[ContextFrame | None, SessionClaim | None]:
        """Return the newest context frame and claim that are current here, and that new work must not get into."""
        frame: ContextFrame | None = None
        claim: SessionClaim | None = None
        for context in (get_current(), parent_context):
            if context is None:
                continue
            other: ContextFrame | None = context.get(FRAME_KEY)  # type: ignore[assignment]  # our own key
            frame = other if frame is None or (other is not None and other.number > frame.number) else frame
            claim = claim or (claim_in(context) if IMPORTED else None)
        return frame, claim or (claim_of_run() if IMPORTED else None)

    def _take_in_anew(
        self, span: Span, scope: ScopeRules, frame: ContextFrame | None, claim: SessionClaim | None
    ) -> None:
        """Read and label a span with which work begins anew."""
        span_context = span.get_span_context()
        if self._span_store.known(span_context, span) is not None:
            return  # a second processor of ours, added by hand
        record = SpanRecord(span, None, scope, None, new_work(span_context))
        self._span_store.live.put(span_context.span_id, record)
        self._label_writer.read(record, [record])
        # What is newer than these was opened inside.
        record.frame, record.claim = frame, claim
