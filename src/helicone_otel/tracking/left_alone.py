"""Remembers the spans that are not the app's: nothing is written on them, and nothing is told of them.

They share OpenTelemetry's Context with the app's spans. So a span of the app may be below one of them, and belongs to
what encloses that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from ..caches import Generations

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

# One generation of them; there are two at most.
_MAX_SPANS: Final = 2048
# Nothing is looked for further out than this.
_MAX_DEPTH: Final = 128

# When a span started, and the span that was current then.
_Entry = tuple[int | None, trace.Span]


class SpansLeftAlone:
    """The spans that are not the app's.

    Attributes:
        any: Whether there was one.
    """

    def __init__(self) -> None:
        self.any = False
        self._spans: Generations[int, _Entry] = Generations(_MAX_SPANS)

    def note(self, span: Span, parent_context: Context | None) -> None:
        """Remember a span that starts.

        Args:
            span: The span.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        self.any = True
        self._spans.put(span.get_span_context().span_id, (span.start_time, trace.get_current_span(parent_context)))

    def note_ended(self, span: ReadableSpan) -> None:
        """Remember a span once more: exporters will ask, now that it has ended."""
        if (span_context := span.get_span_context()) is not None:
            self.any = True
            _, parent = self._spans.get(span_context.span_id) or (None, trace.INVALID_SPAN)
            self._spans.put(span_context.span_id, (span.start_time, parent))

    def has(self, span: ReadableSpan) -> bool:
        """Tell whether a span is one of them."""
        return self.any and self._entry(span) is not None

    def around(self, span_id: int) -> trace.Span | None:
        """Return the innermost span of the app around one of them; `None` if the id is none of theirs."""
        found, entry = None, self._spans.get(span_id)
        for _ in range(_MAX_DEPTH):
            if entry is None:
                break
            found = entry[1]
            entry = self._entry(found)
        return found

    def app_span(self, span: trace.Span) -> trace.Span:
        """Return a span, or the innermost span of the app around it if it is one of them."""
        if not self.any or self._entry(span) is None:
            return span
        return self.around(span.get_span_context().span_id) or span

    def _entry(self, span: trace.Span | ReadableSpan) -> _Entry | None:
        span_context = span.get_span_context()
        entry = self._spans.get(span_context.span_id) if span_context is not None else None
        # Ids repeat where an app seeds `random` anew for each task.
        if entry is not None and isinstance(span, ReadableSpan) and entry[0] != span.start_time:
            return None
        return entry
