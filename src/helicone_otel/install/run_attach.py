"""Sends the spans and rows of an app that `helicone-otel run` has started to that run, too.

The exporter is a minimal one. The SDK's own OTLP exporter would use our endpoint together with the user's headers,
certificates, timeouts and proxies, because it reads all of them from the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..log.delivery.verdict import is_success
from ..log.exporter import HeliconeSpanExporter
from .configure import Installation
from .entry_points import LOGS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# If the app is killed, or a forked worker ends without a shutdown, at most the spans of this time are lost.
_DELAY_MILLIS: Final = 100
_QUEUE_SIZE: Final = 65_536
_BATCH_SIZE: Final = 512
_TIMEOUT_SECONDS: Final = 10.0


def attach(installation: Installation, endpoint: str, log: str) -> None:
    """Report to the receiver of a run, and send it the spans of the app's providers in this process.

    Args:
        installation: Knows the providers.
        endpoint: The URL of the run's receiver.
        log: Where rows go as well: the URL of the run's own Helicone log, a blank, and a key for it. If empty, no rows
            are sent to the run.
    """
    exporter = _RunExporter(endpoint, installation)
    exporter.post("/hello", b"")
    # All three sizes are given, because the user's OTEL_BSP_* variables might not fit together with ours.
    installation.add_processor_to_all(lambda: BatchSpanProcessor(exporter, _QUEUE_SIZE, _DELAY_MILLIS, _BATCH_SIZE))
    if log:
        log_endpoint, _, key = log.partition(" ")
        rows = HeliconeSpanExporter(key, endpoint=log_endpoint)
        installation.add_processor_to_all(lambda: BatchSpanProcessor(rows, _QUEUE_SIZE, _DELAY_MILLIS, _BATCH_SIZE))


class _RunExporter(SpanExporter):
    """Sends spans to the receiver of a run as OTLP over HTTP, without retries."""

    def __init__(self, endpoint: str, installation: Installation) -> None:
        self._installation = installation
        url = urlsplit(endpoint)
        self._host, self._port, self._path = url.hostname or "", url.port, url.path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self.post("/v1/traces", encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def post(self, path: str, body: bytes) -> bool:
        """Send one request, and return whether it was accepted.

        If nobody listens any more, the app has outlived the run, which is no error.
        """
        # `http.client` reads no proxy settings, and no instrumentation makes spans for it.
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            headers = {"Content-Type": "application/x-protobuf"}
            if self._installation.exporter is not None:
                headers[LOGS] = "true"
            connection.request("POST", self._path + path, body, headers)
            return is_success(connection.getresponse().status)
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
