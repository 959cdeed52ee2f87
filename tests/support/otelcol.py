"""The real collector for tests: find its binary, run it on free ports, and send OTLP to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.paths import REPOSITORY

CONFIG: Final = REPOSITORY / "collector-config.yaml"
_BUILT: Final = REPOSITORY / "tests" / "collector" / "build" / "otelcol"
_NO_COLLECTOR: Final = (
    "there is no collector: set OTELCOL_BIN, put otelcol-contrib or otelcol on PATH, or run "
    "`python tests/collector/build.py`"
)


def binary() -> str | None:
    """Return the path of the collector to run, or `None`."""
    named = os.environ.get("OTELCOL_BIN")
    found = named or shutil.which("otelcol-contrib") or shutil.which("otelcol")
    return found or (str(_BUILT) if _BUILT.exists() else None)


@pytest.fixture(scope="session")
def otelcol() -> str:
    """Return the path of the collector's binary. Without one, skip the test, or fail it if `CI` is set."""
    return found_or_skipped()


def found_or_skipped() -> str:
    """Return the path of the collector's binary. Without one, skip the test, or fail it if `CI` is set."""
    found = binary()
    if found is None:
        pytest.fail(_NO_COLLECTOR) if os.environ.get("CI") else pytest.skip(_NO_COLLECTOR)
    return found


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback interface."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Collector:
    """A collector with `collector-config.yaml`, on ports of its own.

    Args:
        path: The path of the binary.
        folder: The folder for its queues, its log and the changes of the configuration.
        environ: Environment variables for it.
        changes: A configuration that is merged into the file.
        config: The file of the configuration.
    """

    def __init__(
        self,
        path: str,
        folder: Path,
        environ: Mapping[str, str],
        changes: Mapping[str, Any] | None = None,
        config: Path = CONFIG,
    ) -> None:
        self.path = path
        self.folder = folder
        self.grpc_port, self.http_port, self.health_port, self.metrics_port, self.own_port = free_ports(5)
        self.environ = {
            "PATH": os.environ["PATH"],
            "OTEL_COLLECTOR_STORAGE": str(folder / "queue"),
            "OTEL_COLLECTOR_METRICS_INTERVAL": "200ms",
            "OTEL_COLLECTOR_RETRY_INTERVAL": "2s",
            **environ,
        }
        self._changes = folder / "changes.yaml"
        self._config = config
        ours = {**self._common_ports(), **self._ports()} if config == CONFIG else self._common_ports()
        self._changes.write_text(yaml.safe_dump(_merged(ours, changes or {})))
        self.log = folder / "otelcol.log"
        self.process: subprocess.Popen[bytes] | None = None

    def _common_ports(self) -> dict[str, Any]:
        reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.own_port}}}}
        return {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": f"127.0.0.1:{self.grpc_port}"},
                        "http": {"endpoint": f"127.0.0.1:{self.http_port}"},
                    }
                }
            },
            "service": {"telemetry": {"metrics": {"readers": [reader]}}},
        }

    def _ports(self) -> dict[str, Any]:
        quick = {"sending_queue": {"batch": {"flush_timeout": "50ms"}}}
        return {
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self.health_port}"}},
            "exporters": {
                "prometheus": {"endpoint": f"127.0.0.1:{self.metrics_port}"},
                **dict.fromkeys(("otlp_http", "otlp_grpc", "otlp_http/helicone"), quick),
            },
        }

    def start(self) -> None:
        """Start it, and wait until it is healthy."""
        command = [self.path, "--config", self._config, "--config", self._changes]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        if self._config == CONFIG:
            return self.get(self.health_port, "/") is not None
        try:
            for port in (self.grpc_port, self.http_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait until the collector has ended."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def get(self, port: int, path: str) -> str | None:
        """Return the collector's answer to a GET, or `None` if there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def own_metric(self, name: str, *parts: str) -> float:
        """Return the sum of one of the metrics that the collector keeps of itself.

        Args:
            name: The beginning of the metric's name.
            parts: Texts that a line of the metric must contain to count.
        """
        total = 0.0
        for line in (self.get(self.own_port, "/metrics") or "").splitlines():
            if line.startswith(name) and all(part in line for part in parts):
                total += float(line.rpartition(" ")[2])
        return total

    def send(self, request: ExportTraceServiceRequest) -> None:
        """Send a request by gRPC, and return when the collector has acknowledged it."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            TraceServiceStub(channel).Export(request, timeout=20)

    def post(self, body: bytes, content_type: str, encoding: str = "") -> int:
        """Send a body by HTTP and return the status of the answer."""
        headers = {"Content-Type": content_type, **({"Content-Encoding": encoding} if encoding else {})}
        url = f"http://127.0.0.1:{self.http_port}/v1/traces"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def warnings(self) -> list[str]:
        """Return the warnings and errors in its log."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if "\twarn\t" in line.lower() or "\terror\t" in line.lower()]


@contextmanager
def running(
    path: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
    config: Path = CONFIG,
) -> Iterator[Collector]:
    """Run a collector while the block runs. For the arguments, see `Collector`."""
    folder.mkdir(parents=True, exist_ok=True)
    collector = Collector(path, folder, environ or {}, changes, config)
    try:
        collector.start()
        yield collector
    finally:
        collector.stop()


def _merged(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with another one merged into it."""
    both = dict(one)
    for key, value in other.items():
        both[key] = (
            _merged(both[key], value) if isinstance(both.get(key), dict) and isinstance(value, Mapping) else value
        )
    return both


# --- OTLP -----------------------------------------------------------------------------------------


def value_of(value: object) -> AnyValue:
    """Return a Python value as a value of OTLP."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=[value_of(one) for one in value]))
        case _:
            raise TypeError(type(value).__name__)


def attributes_of(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Return attributes as key-value pairs of OTLP."""
    return [KeyValue(key=key, value=value_of(value)) for key, value in attributes.items()]


_numbers = iter(range(1, 1 << 62))


def span(name: str, attributes: Mapping[str, object], trace: int = 0xABC, seconds: float = 0.1) -> Span:
    """Return a span that has just ended."""
    now = time.time_ns()
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=next(_numbers).to_bytes(8, "big"),
        name=name,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now - int(seconds * 1e9),
        end_time_unix_nano=now,
        attributes=attributes_of(attributes),
    )


def request(spans: Sequence[Span], resource: Mapping[str, object] | None = None) -> ExportTraceServiceRequest:
    """Return a request with spans of one service."""
    whole = ExportTraceServiceRequest()
    resource_spans = whole.resource_spans.add()
    resource_spans.resource.attributes.extend(attributes_of(resource or {"service.name": "shop"}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "acme"
    scope_spans.spans.extend(spans)
    return whole
