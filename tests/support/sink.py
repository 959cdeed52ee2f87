"""OTLP backends for the tests of the real collector: by gRPC and by HTTP, with delays and errors on request."""

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
class ReceivedSpans:
    """The requests that a backend received, by HTTP or gRPC.

    Attributes:
        requests: The requests, decoded.
        headers: The headers of each request, with names in lower case.
        sizes: The decoded size of each request, in bytes.
        status: The status with which HTTP requests are answered; with any other than 200, nothing is stored.
        delay: The time before each answer, in seconds.
    """

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    status: int = 200
    delay: float = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def add(self, request: ExportTraceServiceRequest, headers: Mapping[str, str]) -> None:
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
        """Wait until at least `count` spans have arrived, and return all spans."""
        deadline = time.monotonic() + seconds
        while len(self.spans) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.spans) >= count, f"{len(self.spans)} of {count} spans after {seconds} s"
        return self.spans


class HttpSink(LoopbackServer):
    """Receives OTLP over HTTP, in protobuf, at any path."""

    def __init__(self, received: ReceivedSpans, port: int = 0) -> None:
        self.received = received
        self.paths: list[str] = []
        # Not `super().__init__`, which takes a free port: a restarted backend needs the port that it had before.
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", port), _Handler)


class _Handler(QuietHandler):
    server: HttpSink

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        received = self.server.received
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        time.sleep(received.delay)
        if received.status == 200:
            zipped = self.headers.get("Content-Encoding") == "gzip"
            self.server.paths.append(self.path)
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if zipped else body)
            received.add(request, dict(self.headers.items()))
        self.send_response(received.status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Servicer(TraceServiceServicer):
    def __init__(self, received: ReceivedSpans) -> None:
        self._received = received

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        time.sleep(self._received.delay)
        self._received.add(request, {key: str(value) for key, value in context.invocation_metadata()})
        return ExportTraceServiceResponse()


@contextmanager
def http_sink(received: ReceivedSpans | None = None, port: int = 0) -> Iterator[HttpSink]:
    """Run a backend for OTLP over HTTP while the block runs."""
    with serving(HttpSink(received or ReceivedSpans(), port)) as server:
        yield server


@contextmanager
def grpc_sink(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[int, ReceivedSpans]]:
    """Run a backend for OTLP over gRPC while the block runs; yield its port and the requests it received."""
    received = ReceivedSpans()
    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(_Servicer(received), server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield port, received
    finally:
        server.stop(None).wait()
