"""Inside an application under `run`: a second way out for its spans, to the receiver of that run.

A minimal exporter, because the stock one would mix our endpoint with the user's headers,
certificates, timeouts and proxies, all of which it reads from the environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..log.exporter import HeliconeSpanExporter
from .configure import Installation

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Applications get killed, and forked workers leave without a goodbye: at most this much is lost then.
_DELAY_MILLIS: Final = 100
_QUEUE: Final = 65_536
_BATCH: Final = 512
_TIMEOUT: Final = 10.0


def attach(installation: Installation, endpoint: str, log: str) -> None:
    """Greet the receiver of a run, and send it what every provider of this process makes.

    Args:
        installation: Knows the providers.
        endpoint: The receiver's.
        log: The address of the run's own Helicone, a blank and its key: rows go there, too. Nothing if not.
    """
    exporter = _RunExporter(endpoint)
    exporter.post("/hello", b"")
    # All three in numbers: what the user sets for exporters by OTEL_BSP_* might not fit together with ours.
    installation.add_to_all(lambda: BatchSpanProcessor(exporter, _QUEUE, _DELAY_MILLIS, _BATCH))
    if log:
        address, _, key = log.partition(" ")
        rows = HeliconeSpanExporter(key, endpoint=address)
        installation.add_to_all(lambda: BatchSpanProcessor(rows, _QUEUE, _DELAY_MILLIS, _BATCH))


class _RunExporter(SpanExporter):
    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self._host, self._port, self._path = url.hostname or "", url.port, url.path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self.post("/v1/traces", encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def post(self, path: str, body: bytes) -> bool:
        """Send one request. A receiver that is gone is no error: the application outlived the run."""
        # `http.client` reads no proxy settings, and no instrumentation makes spans of it.
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", self._path + path, body, {"Content-Type": "application/x-protobuf"})
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
