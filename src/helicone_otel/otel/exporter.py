"""Hands exporters each span with its final label, on a copy where the label changed when the span ended.

A copy is needed because the SDK freezes a span's attributes before it calls any hook at the end
(https://github.com/open-telemetry/opentelemetry-python/issues/5614), and we never write to the SDK's private fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ..failures import swallow
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.sdk.util.instrumentation import InstrumentationInfo


class FinalizedSpan(ReadableSpan):
    """A copy of a span that has ended, with its final label. Everything else is the original's.

    Args:
        span: The original.
        attributes: Its attributes with the final label.
        logged: Whether the span is a request whose row we log, because no gateway saw it.

    Attributes:
        logged: The same.
    """

    def __init__(self, span: ReadableSpan, attributes: Mapping[str, object], logged: bool) -> None:
        super().__init__(
            name=span.name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=attributes,  # type: ignore[arg-type]  # attribute values, as the original had them
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._original = span
        self.logged = logged

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the original lost to the SDK's limits."""
        return self._original.dropped_attributes

    @property
    def dropped_events(self) -> int:
        """How many events the original lost to the SDK's limits."""
        return self._original.dropped_events

    @property
    def dropped_links(self) -> int:
        """How many links the original lost to the SDK's limits."""
        return self._original.dropped_links

    @property
    def instrumentation_info(self) -> InstrumentationInfo | None:
        """The deprecated form of `instrumentation_scope`, which old exporters still read."""
        return self._original.instrumentation_info


def finalized(span: ReadableSpan, registry: Registry | None = None) -> ReadableSpan:
    """Return a span as it leaves the process: itself, or a copy with its final label.

    Never raises. On a failure it returns the span itself.

    Args:
        span: A span that has ended.
        registry: Where spans are remembered; the process's own if not given.
    """
    try:
        outcome = None if isinstance(span, FinalizedSpan) else (registry or REGISTRY).outcome(span)
        if outcome is None:
            return span
        if outcome.written is outcome.final and not _differs(span.attributes or {}, outcome.final):
            return span
        return FinalizedSpan(span, outcome.exported_attributes(span), outcome.logged)
    except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's span.end
        swallow("finalized", error)
        return span


def _differs(attributes: Mapping[str, object], final: Mapping[str, object]) -> bool:
    try:
        return any(attributes[key] != value for key, value in final.items())
    except KeyError:  # never written, or evicted by the SDK's limit
        return True


class SessionSpanExporter(SpanExporter):
    """Wraps any exporter (OTLP, console, …) and hands it spans with their final labels.

    With `configure()`, the SDK's own span processors do this already, and no exporter needs to be wrapped.

        exporter = SessionSpanExporter(OTLPSpanExporter())
        provider.add_span_processor(HeliconeSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(exporter))

    Args:
        exporter: The exporter that sends the spans.
        registry: Where spans are remembered; the process's own if not given.
    """

    def __init__(self, exporter: SpanExporter, registry: Registry | None = None) -> None:
        self._exporter = exporter
        self._registry = registry

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans with their final labels, and return the wrapped exporter's result."""
        return self._exporter.export([finalized(span, self._registry) for span in spans])

    def shutdown(self) -> None:
        """Shut the wrapped exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the wrapped exporter, and return whether it was done within this time, in milliseconds."""
        return self._exporter.force_flush(timeout_millis)
