"""A small OTLP backend for what a real collector sends: gRPC and HTTP, with moods."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from tests.support.backend import dict_of


@dataclass
class SpanStarts:
    """What arrived, by whichever door.

    Attributes:
        requests: Each as it was decoded.
        headers: Of each, in lower case.
        sizes: Of each, in bytes as decoded.
        status: What HTTP requests are answered; anything but 200 takes nothing.
        delay: How long each answer takes, in seconds.
    """

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    status: int = 200
    delay: float = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, request: ExportTraceServiceRequest, headers: Mapping[str, str]) -> None:
        with self._lock:
            self.requests.append(request)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self.sizes.append(request.ByteSize())

    @property
    def spans(self) -> list[Any]:
        with self._lock:
            requests = list(self.requests)
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scoped in resource.scope_spans
            for span in scoped.spans
        ]

    @property
    def ids(self) -> list[bytes]:
        return [span.span_id for span in self.spans]

    def attributes(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of each span by its name."""
        return {span.name: dict_of(span.attributes) for span in self.spans}

    def wait_for(self, count: int, seconds: float = 20) -> list[Any]:
        """Return the spans once there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.spans) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.spans) >= count, f"{len(self.spans)} of {count} spans after {seconds} s"
        return self.spans


class HttpSink(LoopbackServer):
    """Takes OTLP over HTTP in protobuf at any path."""

    def __init__(self, arrivals: SpanStarts, port: int = 0) -> None:
        self.arrivals = arrivals
        self.paths: list[str] = []
        # Not by the parent's door: a backend that comes back has the port that it had.
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", port), _Handler)


class _Handler(QuietHandler):
    server: HttpSink

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        arrivals = self.server.arrivals
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        time.sleep(arrivals.delay)
        if arrivals.status == 200:
            zipped = self.headers.get("Content-Encoding") == "gzip"
            self.server.paths.append(self.path)
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if zipped else body)
            arrivals.take(request, dict(self.headers.items()))
        self.send_response(arrivals.status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Servicer(TraceServiceServicer):
    def __init__(self, arrivals: SpanStarts) -> None:
        self._arrivals = arrivals

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        time.sleep(self._arrivals.delay)
        self._arrivals.take(request, {key: str(value) for key, value in context.invocation_metadata()})
        return ExportTraceServiceResponse()


@contextmanager
def http_sink(arrivals: SpanStarts | None = None, port: int = 0) -> Iterator[HttpSink]:
    """Listen for OTLP over HTTP."""
    with serving(HttpSink(arrivals or SpanStarts(), port)) as server:
        yield server


@contextmanager
def grpc_sink(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[int, SpanStarts]]:
    """Listen for OTLP over gRPC; yields the port."""
    arrivals = SpanStarts()
    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(_Servicer(arrivals), server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield port, arrivals
    finally:
        server.stop(None).wait()
