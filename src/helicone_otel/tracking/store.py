"""The bounded store of span records."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ..caches import Generations, Recent
from ..spans.reader import SpanReader
from .records import MAX_DEPTH, Entry, Leaf, LeafRecord, SpanRecord

# Spans of an LLM app that live: beyond this many, which are ones that never end, the oldest are forgotten.
MAX_LIVE: Final = 8192
# Spans of an LLM app that have ended, for children that come late: one generation of them; there are two at most.
MAX_ENDED: Final = 4096
# Other spans, of which only the parent is remembered: the same.
MAX_LINKS: Final = 4096


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

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self.live: Recent[int, SpanRecord] = Recent(MAX_LIVE)
        self.recent: Generations[int, SpanRecord | Leaf] = Generations(MAX_ENDED)
        self._parents: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def remembers(self, span_id: int) -> bool:
        """Tell whether anything but its parent is remembered of a span."""
        return span_id in self.live or self.recent.get(span_id) is not None

    def known(self, span_context: trace.SpanContext, span: object = None) -> SpanRecord | None:
        """Return the record of a span that is remembered; make it now if there is only a `LeafRecord`.

        Args:
            span_context: The span's.
            span: The span itself, if it is at hand.
        """
        entry = self.live.get(span_context.span_id) or self.recent.get(span_context.span_id)
        if not isinstance(entry, tuple):
            return entry
        record = LeafRecord._make(entry).record(span_context, span if isinstance(span, ReadableSpan) else None)
        (self.recent if record.ended else self.live).put(span_context.span_id, record)
        return record

    def ended(self, span_id: int) -> Entry | None:
        """Return what is remembered of a span that has ended."""
        entry = self.recent.get(span_id)
        return LeafRecord._make(entry) if isinstance(entry, tuple) else entry

    def note_parent(self, span_id: int, parent: trace.Span) -> None:
        """Remember the parent of a span of which nothing else is remembered."""
        self._parents.put(span_id, parent)

    def parent_of(self, span_id: int) -> SpanRecord | None:
        """Return the record of the parent of a span of which nothing else is remembered."""
        return self.record_at(self._parents.get(span_id))

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
                break  # known before, and so is what is above it
            below = record
            span = self._parents.get(span.get_span_context().span_id) if span is not None else None
        return lowest

    def _known_or_new(self, span: trace.Span | None) -> SpanRecord | None:
        span_context = span.get_span_context() if span is not None else trace.INVALID_SPAN_CONTEXT
        record = self.known(span_context, span)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._reader.scope(span.instrumentation_scope.name)
        record = SpanRecord(span, None, scope, None, span_context.trace_id)
        record.ended = span.end_time is not None
        (self.recent if record.ended else self.live).put(span_context.span_id, record)
        return record

    def ended_record(self, span: ReadableSpan) -> SpanRecord | None:
        """Make the record of a span that has ended, and of which nothing was remembered."""
        span_context, scope = span.get_span_context(), span.instrumentation_scope
        if span_context is None or scope is None:
            return None
        span_id = span_context.span_id
        record = SpanRecord(span, self.parent_of(span_id), self._reader.scope(scope.name), None, span_context.trace_id)
        record.ended = True
        self.recent.put(span_id, record)
        return record
