"""The real collector accepts OTLP in every form, sends it in the configured form, and makes metrics."""

from __future__ import annotations

import gzip
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # ships no types
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.reader import SpanReader
from tests.support.otelcol import Collector, request, running, span
from tests.support.sink import grpc_sink, http_sink

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
LABEL = {"session.id": "s-1", "helicone.session.id": "s-1", "helicone.session.name": "shop"}


@pytest.fixture(scope="module")
def both(otelcol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, Any, Any]]:
    """A collector that sends by HTTP and by gRPC, with the two backends that receive."""
    with http_sink() as http, grpc_sink() as (port, grpc_received):
        environ = {
            "OTEL_BACKEND_ENDPOINT": http.url,
            "OTEL_BACKEND_GRPC_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BACKEND_HEADERS": '{authorization: Bearer t1, x-mlflow-experiment-id: "0"}',
            "OTEL_COLLECTOR_EXPORTERS": "[otlp_http, otlp_grpc]",
        }
        with running(otelcol, tmp_path_factory.mktemp("otelcol"), environ) as collector:
            yield collector, http, grpc_received
            assert [line for line in collector.warnings() if "larger than max" not in line] == []


def _json(whole: ExportTraceServiceRequest) -> bytes:
    """Return a request as OTLP's JSON, whose ids are hexadecimal."""
    import json  # noqa: PLC0415  # the constant JSON above has almost the same name

    text = MessageToDict(whole)
    for spans in text["resourceSpans"][0]["scopeSpans"]:
        for one, original in zip(spans["spans"], whole.resource_spans[0].scope_spans[0].spans, strict=True):
            one["traceId"], one["spanId"] = original.trace_id.hex(), original.span_id.hex()
    return json.dumps(text).encode()


@pytest.mark.parametrize("way", ["grpc", "protobuf", "protobuf gzip", "json", "json gzip"])
def test_spans_received_in_any_form_are_sent_by_http_and_by_grpc(both: tuple[Collector, Any, Any], way: str) -> None:
    collector, http, grpc_received = both
    whole = request([span(way, {"session.id": "s-1"})])
    body, content_type = (_json(whole), JSON) if "json" in way else (whole.SerializeToString(), PROTOBUF)

    if way == "grpc":
        collector.send(whole)
    elif "gzip" in way:
        assert collector.post(gzip.compress(body), content_type, "gzip") == 200
    else:
        assert collector.post(body, content_type) == 200

    for received in (http.received, grpc_received):
        deadline = time.monotonic() + 20
        while way not in received.attributes():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert received.attributes()[way] == LABEL
        arrived = next(one for one in received.spans if one.name == way)
        assert arrived.span_id == whole.resource_spans[0].scope_spans[0].spans[0].span_id
        assert received.headers[-1]["authorization"] == "Bearer t1"
        assert received.headers[-1]["x-mlflow-experiment-id"] == "0"
    assert http.paths[-1] == "/v1/traces"
    assert http.received.headers[-1]["content-encoding"] == "gzip"


@pytest.mark.parametrize("protocol", ["grpc", "grpc gzip", "http", "http gzip"])
def test_spans_of_the_python_sdks_exporters_arrive(both: tuple[Collector, Any, Any], protocol: str) -> None:
    collector, http, _ = both
    if protocol.startswith("grpc"):
        compression = grpc.Compression.Gzip if "gzip" in protocol else None
        exporter: SpanExporter = GrpcExporter(f"http://127.0.0.1:{collector.grpc_port}", compression=compression)
    else:
        http_compression = Compression.Gzip if "gzip" in protocol else Compression.NoCompression
        url = f"http://127.0.0.1:{collector.http_port}/v1/traces"
        exporter = HttpExporter(url, compression=http_compression)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("acme").start_as_current_span(f"sdk {protocol}", attributes={"session.id": "s-2"}):
        pass
    provider.shutdown()

    before = len(http.received.spans)
    deadline = time.monotonic() + 20
    while f"sdk {protocol}" not in http.received.attributes():
        assert time.monotonic() < deadline, before
        time.sleep(0.02)
    assert http.received.attributes()[f"sdk {protocol}"]["helicone.session.id"] == "s-2"


def test_a_span_of_5_mb_arrives_by_http_and_12_mb_of_spans_arrive_by_grpc(
    both: tuple[Collector, Any, Any],
) -> None:
    collector, http, grpc_received = both
    prompt = "x" * 30_000
    collector.send(request([span(f"long {n}", {"prompt": prompt}) for n in range(400)]))
    collector.send(request([span("longest", {"prompt": "x" * 5_000_000}), span("beside it", {})]))

    long = {f"long {n}" for n in range(400)}
    for received, names in ((grpc_received, long), (http.received, long | {"longest", "beside it"})):
        deadline = time.monotonic() + 30
        while not names <= {one.name for one in received.spans}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    # Like most gRPC servers this one accepts 4 MiB, so a single span that is larger cannot arrive there.
    assert max(grpc_received.sizes) < 4 * 2**20


def test_the_scheme_of_the_endpoint_and_the_certificate_files_switch_tls_on(otelcol: str, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so there is no certificate to test with")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run(
        [*make.split(), *files, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True
    )
    key, certificate = (tmp_path / "key.pem").read_bytes(), (tmp_path / "cert.pem").read_bytes()
    # A backend that requires a certificate from the collector.
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, require_client_auth=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.load_verify_locations(tmp_path / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with grpc_sink(credentials) as (port, received), http_sink() as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        environ = {
            "OTEL_BACKEND_ENDPOINT": http.url.replace("http://", "https://"),
            "OTEL_BACKEND_GRPC_ENDPOINT": f"https://localhost:{port}",
            "OTEL_BACKEND_CA_FILE": str(tmp_path / "cert.pem"),
            "OTEL_BACKEND_CERT_FILE": str(tmp_path / "cert.pem"),
            "OTEL_BACKEND_KEY_FILE": str(tmp_path / "key.pem"),
            "OTEL_COLLECTOR_EXPORTERS": "[otlp_grpc, otlp_http]",
        }
        with running(otelcol, tmp_path / "otelcol", environ) as collector:
            collector.send(request([span("a", {"session.id": "s-1"})]))
            received.wait_for(1)
            http.received.wait_for(1)

    assert received.attributes() == http.received.attributes() == {"a": LABEL}


def test_without_a_backend_it_starts_and_prints_spans(otelcol: str, tmp_path: Path) -> None:
    with running(otelcol, tmp_path, {"OTEL_COLLECTOR_EXPORTERS": "[debug]"}) as collector:
        collector.send(request([span("first look", {"session.id": "s-1"})]))
        deadline = time.monotonic() + 10
        while "-> helicone.session.id: Str(s-1)" not in collector.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert collector.warnings() == []


def test_the_configuration_is_valid_and_uses_nothing_deprecated(otelcol: str) -> None:
    command = [otelcol, "validate", "--config", "collector-config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


SERIES = r"^(traces_span_metrics_\w+)\{(.*)\} (\S+)$"


def _series(collector: Collector) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for name, labels, value in re.findall(
        SERIES, collector.get(collector.metrics_port, "/metrics") or "", flags=re.MULTILINE
    ):
        found.setdefault(name, []).append((dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)))
    return found


def _calls(collector: Collector, count: float) -> list[tuple[Mapping[str, str], float]]:
    calls: list[tuple[Mapping[str, str], float]] = []
    deadline = time.monotonic() + 20
    while sum(value for _, value in calls) < count:
        assert time.monotonic() < deadline, calls
        time.sleep(0.05)
        calls = _series(collector).get("traces_span_metrics_calls_total", [])
    return calls


def test_metrics_count_durations_and_errors_by_name_path_kind_and_model(otelcol: str, tmp_path: Path) -> None:
    chat = {
        "session.id": "s-1",
        "helicone.session.path": "/plan",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-5.4-mini",
    }
    failed = span("chat", {**chat, "session.id": "s-2", "error.type": "429"}, seconds=3)
    failed.status.code = failed.status.STATUS_CODE_ERROR
    spans = [span("chat", chat, seconds=0.2), span("chat again", {**chat, "session.id": "s-3"}, seconds=0.2), failed]
    spans += [span("oi", {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "session.id": "s-1"})]
    spans += [span("GET", {"http.request.method": "GET"})]
    with running(otelcol, tmp_path, {"OTEL_COLLECTOR_EXPORTERS": "[debug]"}) as collector:
        collector.send(request(spans))
        calls = _calls(collector, 4)
        series = _series(collector)

    common = {"service_name": "shop", "helicone_session_name": "shop", "helicone_span_kind": "llm"}
    mini = {**common, "helicone_session_path": "/plan", "helicone_model": "gpt-5.4-mini"}
    kept = {*mini, "status_code", "error_type"}
    counts = [({key: value for key, value in labels.items() if key in kept}, count) for labels, count in calls]
    assert sorted(counts, key=lambda one: one[1] + len(one[0])) == [
        ({**common, "status_code": "STATUS_CODE_UNSET", "helicone_model": "gpt-4o"}, 1),
        ({**mini, "status_code": "STATUS_CODE_UNSET"}, 2),
        ({**mini, "status_code": "STATUS_CODE_ERROR", "error_type": "429"}, 1),
    ]
    # No label grows with the number of sessions.
    known = {*kept, "service_name", "otel_scope_name", "otel_scope_version", "otel_scope_schema_url"}
    assert {key for labels, _ in calls for key in labels} <= {*known, "collector_instance_id", "job", "instance"}
    sums = series["traces_span_metrics_duration_seconds_sum"]
    assert sorted(round(value, 3) for _, value in sums) == [0.1, 0.4, 3.0]


def test_metrics_read_the_model_from_every_attribute_of_the_dialects(otelcol: str, tmp_path: Path) -> None:
    models = SpanReader(DIALECTS).models
    spans = [span("one", {"session.id": "s-1", name: f"m {name}"}) for name in models]
    spans += [span("first", {"session.id": "s-1", **{name: f"from {name}" for name in models[n:]}}) for n in range(3)]
    with running(otelcol, tmp_path, {"OTEL_COLLECTOR_EXPORTERS": "[debug]"}) as collector:
        collector.send(request(spans))
        calls = _calls(collector, len(spans))

    assert sorted(labels["helicone_model"] for labels, _ in calls) == sorted(
        [*(f"m {name}" for name in models), *(f"from {name}" for name in models[:3])]
    )


def test_the_number_of_series_is_bounded_however_many_paths_there_are(otelcol: str, tmp_path: Path) -> None:
    environ = {"OTEL_COLLECTOR_EXPORTERS": "[debug]", "OTEL_COLLECTOR_MAX_SERIES": "50"}
    spans = [span("a", {"session.id": f"s-{n}", "helicone.session.path": f"/p/{n}"}) for n in range(1000)]
    with running(otelcol, tmp_path, environ) as collector:
        collector.send(request(spans))
        calls = _calls(collector, 1000)

    assert len(calls) <= 51
    (overflow,) = [count for labels, count in calls if labels.get("otel_metric_overflow") == "true"]
    assert overflow >= 949
    # No series contains a session's id.
    assert not any("s-" in value for labels, _ in calls for value in labels.values())
