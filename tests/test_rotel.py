"""Through Rotel, a second collector that shares no code with OpenTelemetry's: what left arrives as it was."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from backend import Span, receiving
from collectors import Collector, free_port, rotel, running
from helicone_otel import session, step
from spans import App

TURNS = 20


def conversation() -> App:
    """Return an app that has had a conversation: a trace for each turn."""
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
def test_a_session_passes_through_it_as_it_was(protocol: str, gzip: bool, tmp_path: Path) -> None:
    app, grpc_port, http_port = conversation(), free_port(), free_port()
    to_grpc = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
    to_http = Compression.Gzip if gzip else Compression.NoCompression
    exporter: SpanExporter = (
        GrpcExporter(endpoint=f"127.0.0.1:{grpc_port}", insecure=True, compression=to_grpc)
        if protocol == "grpc"
        else HttpExporter(f"http://127.0.0.1:{http_port}/v1/traces", compression=to_http)
    )
    with receiving() as sink:
        command = rotel(
            f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
            f"--otlp-http-endpoint=127.0.0.1:{http_port}",
            f"--otlp-exporter-endpoint={sink.url}",
            "--exporter=otlp",
            "--otlp-exporter-protocol=http",
            f"--otlp-exporter-compression={'gzip' if gzip else 'none'}",
            f"--pid-file={tmp_path}/pid",
            f"--log-file={tmp_path}/log",
        )
        with running(Collector(command, {}, [grpc_port, http_port], tmp_path)):
            sent(exporter, app)
        arrived = sink.spans

    assert len({span.trace for span in arrived}) == TURNS
    assert {span.attributes["helicone.session.path"] for span in arrived} == {"/research/plan"}
    assert {span.attributes["helicone.span.kind"] for span in arrived} == {"task", "llm"}
    assert arrived == without_a_collector(app)
