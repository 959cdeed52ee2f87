"""Which span stands above which: records of spans, made when somebody first asks for them."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ._memory import MAX_DEPTH, Generations, Record
from ._spans import Vocabulary

# Recognised spans, ended or not, that are remembered: a generation of them; three at the most.
MAX_SPANS: Final = 4096
# Other spans of which it is remembered what stands above them.
MAX_LINKS: Final = 4096


class Lineage:
    """Remembers spans.

    Of a span in which nothing was recognised nothing is kept but its parent; the record comes into
    being when a recognised span turns out to be below it. The Context hands over the parent itself,
    also when it has ended, so that a span without children costs nothing.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.spans: Generations[int, Record] = Generations(MAX_SPANS, lambda record: not record.ended)
        self._above: Generations[int, trace.Span] = Generations(MAX_LINKS, lambda span: span.is_recording())

    def note(self, span_id: int, parent: trace.Span) -> None:
        """Remember what stands above a span of which nothing else is remembered."""
        self._above.put(span_id, parent)

    def above(self, span_id: int) -> Record | None:
        """Return the record of what stands above a span of which nothing else is remembered."""
        return self.record_at(self._above.get(span_id))

    def record_at(self, span: trace.Span | None) -> Record | None:
        """Return the record of a span; make it, and those of the spans above it, if there is none."""
        lowest: Record | None = None
        below: Record | None = None
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

    def _known_or_new(self, span: trace.Span | None) -> Record | None:
        context = span.get_span_context() if span is not None else trace.INVALID_SPAN_CONTEXT
        record = self.spans.get(context.span_id)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._vocabulary.scope(span.instrumentation_scope.name)
        record = Record(span, None, scope, None, context.trace_id)
        record.ended = span.end_time is not None
        self.spans.put(context.span_id, record)
        return record
