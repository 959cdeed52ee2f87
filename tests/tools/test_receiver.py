"""The OTLP receiver of `run`: requests of the SDK's exporter, and requests that it must refuse."""

from __future__ import annotations

import gzip
import http.client
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode, format_span_id, format_trace_id

from helicone_otel.tools.cli import receiver
from helicone_otel.tools.cli.receiver import Inbox, ReceivedSpan, decode, receiving
from helicone_otel.tools.replay.calls import model_of
from helicone_otel.tools.replay.otlp import MalformedError
from tests.support import bombs
from tests.support.examples import examples

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def endpoint(inbox: Inbox) -> Iterator[str]:
    with receiving(inbox) as url:
        yield url


def post(url: str, body: bytes = b"", headers: Mapping[str, str] = PROTOBUF) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("POST", parts.path, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def request_with(*names: str) -> bytes:
    """Return an export request with one span per name."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for name in names:
        scoped.spans.add(name=name, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    return bytes(request.SerializeToString())


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_a_span_of_the_sdk_arrives_as_it_was_sent(inbox: Inbox, endpoint: str, compression: Compression) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("a.scope")

    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner") as inner:
        inner.set_attribute("helicone.session.path", "/a")
        inner.set_attribute("http.request.header.helicone-session-id", ["s"])
        inner.set_attribute("http.response.status_code", 429)
        inner.set_attribute("gen_ai.input.messages", "x" * 10_000)
        inner.set_status(Status(StatusCode.ERROR, "no such model"))

    assert isinstance(inner, ReadableSpan)
    assert inbox.spans[0] == ReceivedSpan(
        trace_id=format_trace_id(outer.get_span_context().trace_id),
        span_id=format_span_id(inner.get_span_context().span_id),
        parent_id=format_span_id(outer.get_span_context().span_id),
        name="inner",
        scope="a.scope",
        start=inner.start_time or 0,
        end=inner.end_time or 0,
        error="no such model",
        attributes={
            "helicone.session.path": "/a",
            "http.request.header.helicone-session-id": "s",
            "http.response.status_code": "429",
        },
    )
    assert [(span.name, span.parent_id, span.error) for span in inbox.spans[1:]] == [("outer", "", None)]


def test_a_process_can_report_that_it_is_instrumented(inbox: Inbox, endpoint: str) -> None:
    assert [post(f"{endpoint}/hello"), post(f"{endpoint}/hello")] == [200, 200]
    assert inbox.greetings == 2


def test_requests_without_the_secret_path_are_refused(inbox: Inbox, endpoint: str) -> None:
    address = endpoint.rpartition("/")[0]

    assert post(f"{address}/v1/traces", request_with("a")) == 404
    assert post(f"{address}/guessed/v1/traces", request_with("a")) == 404
    assert (inbox.spans, inbox.greetings) == ([], 0)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", PROTOBUF, 400),
        (b"no gzip", {**PROTOBUF, "Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"cut short")[:-4], {**PROTOBUF, "Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"", {**PROTOBUF, "Content-Encoding": "br"}, 415),
        (b"", {**PROTOBUF, "Content-Length": "-1"}, 411),
        (b"", {**PROTOBUF, "Content-Length": "9" * 20}, 413),
    ],
)
def test_a_body_that_is_not_an_export_request_is_refused(
    inbox: Inbox, endpoint: str, body: bytes, headers: Mapping[str, str], status: int
) -> None:
    assert post(f"{endpoint}/v1/traces", body, headers) == status
    assert inbox.spans == []


def test_a_small_body_that_decompresses_to_a_huge_one_is_refused(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "MAX_BODY", 100_000)
    bomb = gzip.compress(b"\0" * 1_000_000)

    assert post(f"{endpoint}/v1/traces", bomb, {**PROTOBUF, "Content-Encoding": "gzip"}) == 413


@pytest.mark.parametrize("kind", bombs.KINDS)
def test_a_body_of_many_small_parts_is_refused(inbox: Inbox, endpoint: str, kind: str) -> None:
    bomb = gzip.compress(bombs.PROTOBUF[kind](8 * 1024 * 1024), 1)

    assert post(f"{endpoint}/v1/traces", bomb, {**PROTOBUF, "Content-Encoding": "gzip"}) == 400
    assert inbox.spans == []


def test_a_large_body_is_not_read_without_the_secret_path(endpoint: str) -> None:
    address = urlsplit(endpoint)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
        client.sendall(
            b"POST /guessed/v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n" + bytes(65536)
        )

        assert client.recv(1024).startswith(b"HTTP/1.1 404")


def test_spans_beyond_the_limit_are_counted_and_not_kept() -> None:
    inbox = Inbox(max_spans=2)
    with receiving(inbox) as endpoint:
        post(f"{endpoint}/v1/traces", request_with("a", "b", "c"))
        post(f"{endpoint}/v1/traces", request_with("d"))

    assert ([span.name for span in inbox.spans], inbox.dropped) == (["a", "b"], 2)


def test_the_receiver_stops_listening_at_the_end_of_the_block(inbox: Inbox) -> None:
    with receiving(inbox) as endpoint:
        pass

    with pytest.raises(ConnectionRefusedError):
        post(f"{endpoint}/hello")


@pytest.mark.parametrize(
    "attribute", ["gen_ai.request.model", "llm.model_name", "ai.model.id", "gen_ai.response.model"]
)
def test_the_model_is_known_from_the_attributes_that_are_kept(attribute: str) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="chat")
    span.attributes.add(key=attribute).value.string_value = "gpt-4o-mini"

    [decoded] = decode(request.SerializeToString())

    assert model_of(decoded.attributes) == "gpt-4o-mini"


@given(st.binary(max_size=200))
@settings(max_examples=examples(200), deadline=None)
def test_arbitrary_bytes_are_spans_or_an_error_that_is_expected(body: bytes) -> None:
    try:
        spans = decode(body)
    except MalformedError:
        return
    assert all(span.end >= span.start for span in spans)


@given(st.text(st.characters(codec="utf-8"), max_size=50), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@settings(max_examples=examples(100), deadline=None)
def test_names_and_times_survive_and_no_span_ends_before_it_starts(name: str, start: int, end: int) -> None:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(name=name, start_time_unix_nano=start, end_time_unix_nano=end)
    )
    span.attributes.add(key="helicone.session.name").value.string_value = name

    [decoded] = decode(request.SerializeToString())

    assert (decoded.name, decoded.start, decoded.end) == (name, start, max(start, end))
    assert decoded.attributes == {"helicone.session.name": name}
