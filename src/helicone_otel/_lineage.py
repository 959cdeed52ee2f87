"""Which span stands above which: records of spans, made when somebody first asks for them."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ._context import Place
from ._memory import Generations, Recent
from ._record import MAX_DEPTH, Record
from ._spans import Vocabulary
from ._stands import Alike

Entry = Record | tuple[Alike, Place | None]

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

    A plain span that was labelled like others has no record of its own either: an entry says whom
    it is like and in which place it started.

    Attributes:
        live: The entries of spans that have not ended, by span id.
        ended: The entries of those that have.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.live: Recent[int, Entry] = Recent(MAX_LIVE)
        self.ended: Generations[int, Entry] = Generations(MAX_ENDED)
        self._above: Generations[int, trace.Span] = Generations(MAX_LINKS)

    def remembers(self, span_id: int) -> bool:
        """Tell whether anything is remembered of a span but what stands above it."""
        return span_id in self.live or self.ended.get(span_id) is not None

    def known(self, span_id: int, span: object = None) -> Record | None:
        """Return the record of a span that is remembered; of one that is like others, make it now."""
        entry = self.live.get(span_id) or self.ended.get(span_id)
        if not isinstance(entry, tuple):
            return entry
        readable = span if isinstance(span, ReadableSpan) else None
        ended = span_id not in self.live
        record = self._record_alike(entry, readable)
        record.ended = ended
        if ended:
            self.ended.put(span_id, record)
        else:
            self.live[span_id] = record
        return record

    def _record_alike(self, entry: tuple[Alike, Place | None], span: ReadableSpan | None) -> Record:
        alike, place = entry
        above = span.parent if span is not None else None
        ids = span.get_span_context() if span is not None else None
        parent = self.known(above.span_id) if above is not None else None
        if (parent is None or parent.stand is not alike.base) and place is not None and place.record is not None:
            parent = place.record[1]
        scope = span.instrumentation_scope if span is not None else None
        record = Record(
            span, parent, self._vocabulary.scope(scope.name) if scope else None, place, ids.trace_id if ids else 0
        )
        record.reading, record.stand, record.base, record.name = alike
        record.label = alike.stand.label
        record.size = len(alike.stand.label)
        if parent is None or parent.stand is not alike.base:
            # What enclosed it is forgotten; where it stood is not.
            record.parent = None
            record.own, record.opened, record.begins = alike.stand.session, True, alike.stand.path
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
        record = self.known(context.span_id, span)
        if record is not None or not isinstance(span, ReadableSpan) or span.instrumentation_scope is None:
            return record
        scope = self._vocabulary.scope(span.instrumentation_scope.name)
        record = Record(span, None, scope, None, context.trace_id)
        record.ended = span.end_time is not None
        (self.ended if record.ended else self.live).put(context.span_id, record)
        return record

    def ended_record(self, span: ReadableSpan) -> Record | None:
        """Make the record of a span of which nothing was remembered, after its end."""
        ids, scope = span.get_span_context(), span.instrumentation_scope
        if ids is None or scope is None:
            return None
        record = Record(span, self.above(ids.span_id), self._vocabulary.scope(scope.name), None, ids.trace_id)
        record.ended = True
        self.ended.put(ids.span_id, record)
        return record
