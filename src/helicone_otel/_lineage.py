"""Which span stands above which: records of spans, made when somebody first asks for them."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ._context import Place
from ._memory import Generations, Recent
from ._record import MAX_DEPTH, Record
from ._stands import Alike
from ._vocabulary import Vocabulary

# A span below which there is nothing: what it is like, the place in which it started, what encloses it.
Leaf = tuple[Alike, Place | None, Record]
Entry = Record | Leaf

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

    A span that was labelled like others has no record of its own either while nothing is below it: it
    is a leaf.

    Attributes:
        live: The entries of spans that have not ended, by span id.
        recent: The entries of those that have, and leaves at whose end there is nothing to decide.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.live: Recent[int, Entry] = Recent(MAX_LIVE)
        self.recent: Generations[int, Entry] = Generations(MAX_ENDED)
        self._above: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def remembers(self, span_id: int) -> bool:
        """Tell whether anything is remembered of a span but what stands above it."""
        return span_id in self.live or self.recent.get(span_id) is not None

    def known(self, ids: trace.SpanContext, span: object = None) -> Record | None:
        """Return the record of a span that is remembered; of a leaf, make it now.

        Args:
            ids: The span's.
            span: The span itself, if it is at hand.
        """
        entry = self.live.get(ids.span_id) or self.recent.get(ids.span_id)
        if not isinstance(entry, tuple):
            return entry
        record = _record_of_leaf(entry, ids, span if isinstance(span, ReadableSpan) else None)
        (self.recent if record.ended else self.live).put(ids.span_id, record)
        return record

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
        record = self.known(context, span)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._vocabulary.scope(span.instrumentation_scope.name)
        record = Record(span, None, scope, None, context.trace_id)
        record.ended = span.end_time is not None
        (self.recent if record.ended else self.live).put(context.span_id, record)
        return record

    def ended_record(self, span: ReadableSpan) -> Record | None:
        """Make the record of a span of which nothing was remembered, after its end."""
        ids, scope = span.get_span_context(), span.instrumentation_scope
        if ids is None or scope is None:
            return None
        record = Record(span, self.above(ids.span_id), self._vocabulary.scope(scope.name), None, ids.trace_id)
        record.ended = True
        self.recent.put(ids.span_id, record)
        return record


def _record_of_leaf(leaf: Leaf, ids: trace.SpanContext, span: ReadableSpan | None) -> Record:
    alike, place, parent = leaf
    record = Record(span, parent, alike.scope, place, ids.trace_id)
    record.be_like(alike)
    # One that is known by its ids alone may still live, and is settled when it ends.
    record.ended = span is not None and span.end_time is not None
    if record.depth > MAX_DEPTH:
        record.cut_off()
    return record
