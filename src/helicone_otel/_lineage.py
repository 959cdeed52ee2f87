"""Which span stands above which: records of spans, made when somebody first asks for them."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ._memory import Generations, Recent
from ._record import MAX_DEPTH, Record
from ._spans import Vocabulary

# Spans of an LLM app that live: beyond this many, which are ones that never end, the oldest are forgotten.
MAX_LIVE: Final = 8192
# Spans of an LLM app that have ended, for children that come late: a generation of them; two at the most.
MAX_ENDED: Final = 4096
# Other spans of which it is remembered what stands above them: the same.
MAX_LINKS: Final = 4096


class Lineage:
    """Remembers spans.

    Of a span in which nothing was recognised nothing is kept but its parent; the record comes into
    being when a recognised span turns out to be below it. The Context hands over the parent itself,
    also when it has ended, so that a span without children costs nothing.

    Attributes:
        live: The records of spans that have not ended, by span id.
        ended: The records of those that have.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.live: Recent[int, Record] = Recent(MAX_LIVE)
        self.ended: Generations[int, Record] = Generations(MAX_ENDED)
        self._above: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def get(self, span_id: int) -> Record | None:
        """Return what is remembered of a span."""
        return self.live.get(span_id) or self.ended.get(span_id)

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
        record = self.get(context.span_id)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._vocabulary.scope(span.instrumentation_scope.name)
        record = Record(span, None, scope, None, context.trace_id)
        record.ended = span.end_time is not None
        (self.ended if record.ended else self.live).put(context.span_id, record)
        return record
