"""Hands exporters each span with its final label, on a copy where the label changed when the span ended.

A copy is needed because the SDK freezes a span's attributes before it calls any hook at the end
(https://github.com/open-telemetry/opentelemetry-python/issues/5614), and we never write to the SDK's private fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .. import wire
from ..failures import swallow
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

    from ..tracking.on_end import Outcome


class FinalizedSpan(ReadableSpan):
    """A span that has ended, with its final label. Everything else is the original's, also what changes in it later.

    Stock processors hand spans to a queue. Until an exporter takes them out of it, processors behind may redact the
    original, so nothing is copied before an exporter reads the attributes.

    Args:
        span: The original.
        outcome: What was decided for it.

    Attributes:
        logged: Whether the span is a request whose row we log, because no gateway saw it.
    """

    def __init__(self, span: ReadableSpan, outcome: Outcome) -> None:
        # Without `super().__init__`: the fields are the original's, see `__getattr__`.
        self._original = span
        self._outcome = outcome
        self.logged = outcome.logged

    def __getattr__(self, name: str) -> Any:
        """Return what the SDK's class keeps in fields, as the original has it now."""
        if name == "_original":  # not set yet, while a copy of this is being made
            raise AttributeError(name)
        if name == "_attributes":
            # Kept, so that what an exporter redacts stays redacted. Not by a `cached_property`: up to Python 3.11 that
            # has one lock for all threads, which gevent and eventlet replace.
            return vars(self).setdefault(name, self._outcome.exported_attributes(self._original))
        return getattr(self._original, name)

    @property
    def attributes(self) -> Attributes:
        """The attributes; the id of the gateway's row is among them as soon as its answer has come."""
        attributes, call = super().attributes, self._outcome.waits
        row_id = call.row_id if call is not None else None
        return attributes if row_id is None else {**(attributes or {}), wire.REQUEST_ID: row_id}

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the original lost to the SDK's limits."""
        return self._original.dropped_attributes


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
        is_as_written = outcome.written is outcome.final and outcome.waits is None
        if is_as_written and not _differs(span.attributes or {}, outcome.final):
            return span
        return FinalizedSpan(span, outcome)
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
