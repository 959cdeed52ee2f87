"""The span processor: tells the registry that a span has started or ended, and never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from ..failures import swallow
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

_DEFAULT_MILLIS = 30_000


class HeliconeSpanProcessor(SpanProcessor):
    """Puts session id, path, name and kind on the spans of LLM calls, vector queries and tool calls.

    It holds no thread, lock or queue, so it works after a fork and after `shutdown`. Add it before the
    processors that export, so that they see what is decided when a span ends.

        provider.add_span_processor(HeliconeSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(exporter))

    Args:
        registry: Where spans are remembered; the process's own if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry: Registry | None = registry or REGISTRY

    def disarm(self) -> None:
        """Do nothing from now on: the SDK offers no way to remove a processor."""
        self._registry = None

    def arm(self, registry: Registry) -> None:
        """Label spans again, with this registry."""
        self._registry = registry

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Label a span that has started."""
        try:
            if (registry := self._registry) is not None:
                registry.on_start(span, parent_context)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's start_span
            swallow("on_start", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Decide for good what a span that has ended bears."""
        registry = self._registry
        # Most spans are decided when they start: nobody needs to be asked when they end.
        if registry is not None and (registry.live or registry.log is not None or registry.decides_at_end):
            self.decide(span)
            if registry.ending:  # asked here as well, to save a call
                self.hand_on(span)

    def decide(self, span: ReadableSpan) -> None:
        """Do what `on_end` does, for a caller that calls `hand_on` when all other processors have had the span."""
        try:
            registry = self._registry
            if registry is not None and (registry.live or registry.log is not None or registry.decides_at_end):
                registry.ends.on_end(span)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's span.end
            swallow("on_end", error)

    def hand_on(self, span: ReadableSpan) -> None:
        """Let a span that has ended become a row: processors that redact it have done so."""
        try:
            if (registry := self._registry) is not None and registry.ending:
                registry.ends.handed_on(span)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's span.end
            swallow("on_end", error)

    def shutdown(self) -> None:
        """Send what is to be logged to Helicone; there is nothing to release."""
        registry = self._registry
        if registry is not None and (flush := registry.flush_log) is not None:
            flush(None)

    def force_flush(self, timeout_millis: int | None = _DEFAULT_MILLIS) -> bool:
        """Send what is to be logged to Helicone; nothing else is held back.

        Args:
            timeout_millis: How long that may take, in milliseconds; `None` stands for 30,000.

        Returns:
            Whether all of it was sent in time.
        """
        registry = self._registry
        if registry is None or (flush := registry.flush_log) is None:
            return True
        return flush(_DEFAULT_MILLIS if timeout_millis is None else timeout_millis)
