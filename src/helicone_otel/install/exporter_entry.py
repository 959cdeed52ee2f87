"""The exporter that OpenTelemetry makes for `OTEL_TRACES_EXPORTER=…,helicone` and for configuration files.

An exception in its constructor would leave the app without any SDK. So a failure is one line in the log, and the
exporter then does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ..failures import log_that_log_is_off
from .entry_points import is_switched_off

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ..log.exporter import HeliconeSpanExporter


class NamedExporter(SpanExporter):
    """Logs requests to Helicone with the settings of the environment; does nothing if it is switched off or fails.

    If `HELICONE_LOG` logs the same requests already, each row is still made once.

    Args:
        options: The same as of `HeliconeSpanExporter`.
    """

    def __init__(self, **options: Any) -> None:
        self._exporter: HeliconeSpanExporter | None = None
        if is_switched_off():
            return
        try:
            from ..log.exporter import HeliconeSpanExporter  # noqa: PLC0415  # its import may fail, and is caught here
            from .greenlets import load_after_patch  # noqa: PLC0415

            load_after_patch()
            self._exporter = HeliconeSpanExporter(**options)
        except Exception as error:  # noqa: BLE001  # see the module's docstring
            log_that_log_is_off(error)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Log those of the spans that are requests which no gateway saw."""
        return self._exporter.export(spans) if self._exporter is not None else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send all waiting rows; return whether that was done in time (in milliseconds)."""
        return self._exporter.force_flush(timeout_millis) if self._exporter is not None else True

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Send all waiting rows, and accept no spans from now on."""
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis)
