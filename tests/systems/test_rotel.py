"""Spans pass unchanged through Rotel, a collector that shares no code with OpenTelemetry's."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from helicone_otel import session, step
from tests.support.backend import Span, receiving
from tests.support.otelcol import free_ports
from tests.support.spans import App

TURNS = 20


def agent() -> Path:
    """Return Rotel's binary; skip the test if there is none or if it does not start."""
    spec = find_spec("rotel")
    if spec is None or spec.origin is None:
        pytest.skip("rotel is not installed: it has wheels for Linux on x86_64 only")
    found = Path(spec.origin).with_name("rotel-agent")
    # It needs the system's libpython.
    tried = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"rotel does not start here: {tried.stderr.strip()}")
    return found


@contextmanager
def running(folder: Path, ports: Sequence[int], *options: str) -> Iterator[None]:
    """Run Rotel while the block runs, and let it send all spans at the end."""
    command = [agent(), "start", "--exporter=otlp", f"--pid-file={folder}/pid", f"--log-file={folder}/log", *options]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 20
        for port in ports:
            while not _listens(port):
                assert process.poll() is None, (folder / "output").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def conversation() -> App:
    """Return an app that has had a conversation with one trace for each turn."""
    app = App()
    for turn in range(TURNS):
        with session("Trips", id="trip 42 ü", user_id="ann"), step("research"):
            with app.span("plan", {"turn": turn}), app.chat(gen_ai__usage__input_tokens=5):
                pass
    return app


def sent(exporter: SpanExporter, app: App) -> None:
    assert exporter.export(app.exporter.get_finished_spans()) is SpanExportResult.SUCCESS
    exporter.shutdown()


def without_a_collector(app: App) -> list[Span]:
    with receiving() as sink:
        sent(HttpExporter(f"{sink.url}/v1/traces"), app)
        return sink.spans


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_spans_of_a_session_pass_through_rotel_unchanged(protocol: str, gzip: bool, tmp_path: Path) -> None:
    app, (grpc_port, http_port) = conversation(), free_ports(2)
    to_grpc = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
    to_http = Compression.Gzip if gzip else Compression.NoCompression
    exporter: SpanExporter = (
        GrpcExporter(endpoint=f"127.0.0.1:{grpc_port}", insecure=True, compression=to_grpc)
        if protocol == "grpc"
        else HttpExporter(f"http://127.0.0.1:{http_port}/v1/traces", compression=to_http)
    )
    with receiving() as sink:
        options = (
            f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
            f"--otlp-http-endpoint=127.0.0.1:{http_port}",
            f"--otlp-exporter-endpoint={sink.url}",
            "--otlp-exporter-protocol=http",
            f"--otlp-exporter-compression={'gzip' if gzip else 'none'}",
        )
        with running(tmp_path, (grpc_port, http_port), *options):
            sent(exporter, app)
        arrived = sink.spans

    assert len({span.trace for span in arrived}) == TURNS
    assert {span.attributes["helicone.session.path"] for span in arrived} == {"/research/plan"}
    assert {span.attributes["helicone.span.kind"] for span in arrived} == {"task", "llm"}
    assert arrived == without_a_collector(app)
