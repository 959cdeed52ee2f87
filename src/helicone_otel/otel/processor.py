"""The span processor: tells the registry that a span has started or ended, and never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from ..failures import swallow
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span


class HeliconeSpanProcessor(SpanProcessor):
    """Puts session id, path, name and kind on the spans of LLM calls, vector queries and tool calls.

    It holds no thread, lock or queue, so forks, shutdown and use after it are no events. Add it
    before the processors that export: what is decided when a span ends is then known to them.

    Args:
        registry: Where spans are remembered; the process's own if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry: Registry | _Nobody = registry or REGISTRY

    def disarm(self) -> None:
        """Do nothing from here on: the SDK offers no way to take a processor out."""
        self._registry = _Nobody()

    def arm(self, registry: Registry) -> None:
        """Do what it is for again."""
        self._registry = registry

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Label a span that has started."""
        try:
            self._registry.on_start(span, parent_context)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's start_span
            swallow("on_start", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Decide for good what a span that has ended bears."""
        try:
            registry = self._registry
            if registry.log is not None:
                registry.finalize_and_log(span)
            elif registry.live or registry.thorough:
                registry.finalize(span)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's span.end
            swallow("on_end", error)

    def shutdown(self) -> None:
        """Send what is to be logged to Helicone; there is nothing to release."""
        if self._registry.flush_log is not None:
            self._registry.flush_log(None)

    def force_flush(self, timeout_millis: int | None = 30000) -> bool:
        """Send what is to be logged to Helicone; nothing else is held back."""
        flush = self._registry.flush_log
        return flush is None or flush(30000 if timeout_millis is None else timeout_millis)


class _Nobody:
    """Stands in for the registry once the processor is disarmed."""

    live = ()
    thorough = False
    log = None
    flush_log = None

    def on_start(self, span: Span, parent_context: Context | None) -> None:
        """Take no note."""

    def finalize(self, span: ReadableSpan) -> None:
        """Decide nothing."""

    def finalize_and_log(self, span: ReadableSpan) -> None:
        """Decide nothing."""
