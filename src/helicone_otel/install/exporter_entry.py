"""What `OTEL_TRACES_EXPORTER=…,helicone` and configuration files load.

An exception there would cost the app its whole set-up, so what is wrong is one line in the log, and an
exporter that does nothing.
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
    """The exporter to Helicone's log as the environment says, or one that does nothing.

    Where `HELICONE_LOG` has the same logged already, each row is made once all the same.
    """

    def __init__(self, **options: Any) -> None:
        self._exporter: HeliconeSpanExporter | None = None
        if is_switched_off():
            return
        try:
            from ..log.exporter import HeliconeSpanExporter  # noqa: PLC0415  # whatever fails in there must fail in here

            self._exporter = HeliconeSpanExporter(**options)
        except Exception as error:  # noqa: BLE001  # see the module's docstring
            log_that_log_is_off(error)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Log the spans that are calls which no gateway saw."""
        return self._exporter.export(spans) if self._exporter is not None else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is there."""
        return self._exporter.force_flush(timeout_millis) if self._exporter is not None else True

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Send what is there, and take nothing more."""
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis)
