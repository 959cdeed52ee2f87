"""The servers of a view: OTLP, Helicone's log API and the pages, and the requests that they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]  # ships no types
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from helicone_otel.log.rows.content import Content
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.types import Event, FinishedSpan
from helicone_otel.tools.redaction import redact
from helicone_otel.tools.replay.otlp import MalformedError, batch_of, decode_json, decode_protobuf
from helicone_otel.tools.view import database, limits
from helicone_otel.tools.view.assets import find_packaged, read_asset
from helicone_otel.tools.view.content import content_of
from helicone_otel.tools.view.database import BusyError, Database, DatabaseError
from helicone_otel.tools.view.log_rows import InvalidRowError, read_row
from helicone_otel.tools.view.sockets import listening_socket
from tests.support.examples import examples
from tests.support.spans import with_hex_ids
from tests.support.view_seed import request_of, span, wait_until_labelled
from tests.support.viewing import JSON, PROTOBUF, Answer, ViewClient, ask, posted_row, view_client, with_requests

# Of `dist/echarts.min.js` in the npm package `echarts` 5.6.0.
ECHARTS = "bf4a223524e40b77c304bec67e1222cf551f14880cf42c69dc046558e11c07b1"

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
REQUEST = request_of("shop", [span(1, 1, attributes=CHAT)])
BODY = REQUEST.SerializeToString()
HEX_JSON = json.dumps(with_hex_ids(MessageToDict(REQUEST))).encode()
GZIP = {"Content-Encoding": "gzip"}
ORIGIN = "http://evil.example"


def post(view: ViewClient, body: bytes, headers: Mapping[str, str] = PROTOBUF, path: str = "/v1/traces") -> Answer:
    return ask(f"{view.view.http_url}{path}", "POST", body, headers)


def spans_in(view: ViewClient) -> int:
    return int(view.get("status")["spans"])


# --- OTLP -------------------------------------------------------------------------------------------------------------


def exporters(view: ViewClient) -> dict[str, SpanExporter]:
    url = f"{view.view.http_url}/v1/traces"
    return {
        "protobuf": HttpExporter(url),
        "gzip": HttpExporter(url, compression=Compression.Gzip),
        "grpc": GrpcExporter(view.view.grpc_address, insecure=True),
    }


@pytest.mark.parametrize("protocol", ["protobuf", "gzip", "grpc"])
def test_the_sdks_own_exporters_are_understood(view: ViewClient, protocol: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporters(view)[protocol]))
    with provider.get_tracer("opentelemetry.instrumentation.openai_v2").start_as_current_span(
        "chat m", attributes=CHAT
    ):
        pass
    provider.shutdown()
    wait_until_labelled(view.view)

    assert view.requests("c") == [("/chat", "llm", "m")]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (BODY, PROTOBUF, 200),
        (gzip.compress(BODY), PROTOBUF | GZIP, 200),
        (HEX_JSON, JSON, 200),
        (gzip.compress(HEX_JSON), {"Content-Type": "application/json; charset=utf-8"} | GZIP, 200),
        (gzip.compress(BODY[:40]) + gzip.compress(BODY[40:]), PROTOBUF | GZIP, 200),
        (gzip.compress(BODY) + b"no gzip", PROTOBUF | GZIP, 400),
        (gzip.compress(BODY) + gzip.compress(b"") * 16, PROTOBUF | GZIP, 400),
        (b"", PROTOBUF | GZIP, 400),
        (b"", PROTOBUF, 200),
        (b"\xff\xff", PROTOBUF, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": 7}]}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 1e400}]}]}]}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (gzip.compress(b'{"resourceSpans":[%s{}]}' % (b"{}," * 2_000_000)), JSON | GZIP, 400),
        (BODY, PROTOBUF | GZIP, 400),
        (gzip.compress(BODY)[:-9], PROTOBUF | GZIP, 400),
        (gzip.compress(bytes(limits.MAX_BODY + 1)), PROTOBUF | GZIP, 413),
        (BODY, {"Content-Type": "text/plain"}, 415),
        (BODY, {}, 415),
        (BODY, PROTOBUF | {"Content-Encoding": "br"}, 415),
    ],
)
def test_the_status_depends_on_the_body_and_its_headers(
    view: ViewClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(view, body, headers)

    assert answer.status == status
    kept = spans_in(view)
    assert kept == (1 if status == 200 and body else 0)
    if status == 200:
        assert answer.headers["content-type"] == headers["Content-Type"].partition(";")[0]


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs"])
def test_other_signals_are_accepted_and_dropped(view: ViewClient, path: str) -> None:
    assert post(view, b"", path=path).status == 200


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/traces", "GET", 405), ("/v1/nothing", "POST", 404)])
def test_other_addresses_are_refused(view: ViewClient, path: str, method: str, status: int) -> None:
    assert ask(f"{view.view.http_url}{path}", method, b"", PROTOBUF).status == status


def test_a_body_that_is_too_long_is_refused_before_it_is_read(view: ViewClient) -> None:
    parts = urlsplit(view.view.http_url or "")
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-protobuf\r\n"
        client.sendall(f"{head}Content-Length: {limits.MAX_BODY + 1}\r\n\r\n".encode())

        assert client.recv(1024).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_ends_is_cut_off_and_does_not_slow_other_requests(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_BODY_SECONDS", 0.4)
    parts = urlsplit(view.view.http_url or "")
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-protobuf\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n".encode())
        assert post(view, BODY).status == 200

        assert client.recv(1024).startswith(b"HTTP/1.1 408")


def test_a_request_head_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.2)
    with view_client() as one:
        parts = urlsplit(one.view.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost:")
            assert client.recv(1024) == b""
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
            assert client.recv(1024).startswith(b"HTTP/1.1 400")
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
            whole = f"GET /api/status HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
            # The rest of a second head comes in time, that of a third does not.
            for piece in (whole, whole[:9], whole[9:]):
                client.sendall(piece)
                time.sleep(0.05)
            time.sleep(0.3)
            assert client.recv(1 << 16).count(b"HTTP/1.1 200") == 2
            client.sendall(whole[:9])
            assert client.recv(1024) == b""
        assert ask(one.view.url).status == 200


def test_spans_without_ids_are_counted_and_the_others_kept(view: ViewClient) -> None:
    request = request_of("shop", [span(1, 1, attributes=CHAT), span(2, 2, attributes=CHAT)])
    request.resource_spans[0].scope_spans[1].spans[0].trace_id = b""
    answer = post(view, request.SerializeToString())

    told = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, told.rejected_spans, spans_in(view)) == (200, 1, 1)


def test_grpc_refuses_requests_with_its_status_codes(view: ViewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with grpc.insecure_channel(view.view.grpc_address or "") as channel:
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        large = request_of("shop", [span(1, 1, attributes={**CHAT, "x": "y" * (17 * 1024 * 1024)})])
        with pytest.raises(grpc.RpcError) as too_large:
            stub.Export(large, timeout=20)
        monkeypatch.setattr(view.view.database, "write", busy)
        with pytest.raises(grpc.RpcError) as too_many:
            stub.Export(REQUEST, timeout=20)

    assert too_large.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    # One that an exporter tries again after.
    assert too_many.value.code() == grpc.StatusCode.UNAVAILABLE


def busy(*_: object) -> None:
    raise BusyError


# --- Helicone's log API -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda row: row.pop("providerRequest"), "Missing providerRequest"),
        (lambda row: row["providerRequest"].pop("url"), "Missing or invalid providerRequest.url"),
        (lambda row: row["providerRequest"].pop("json"), "Missing providerRequest.json"),
        (lambda row: row["providerRequest"].pop("meta"), "Missing or invalid providerRequest.meta"),
        (lambda row: row["providerResponse"].pop("json"), "Missing providerResponse.json"),
        (lambda row: row["providerResponse"].update(status="200"), "Missing or invalid providerResponse.status"),
        (lambda row: row["providerResponse"].pop("headers"), "Missing or invalid providerResponse.headers"),
        (
            lambda row: row["timing"]["endTime"].update(seconds=1),
            "Invalid timing: it ends before it starts, or is negative",
        ),
        (lambda row: row["timing"].pop("endTime"), "Missing or invalid timing.startTime or timing.endTime"),
    ],
)
def test_a_row_that_helicone_would_refuse_is_refused(view: ViewClient, change: Any, error: str) -> None:
    row = posted_row("s", "/x", "Rows")
    change(row)
    answer = view.log(row)

    assert (answer.status, answer.data) == (400, {"error": error})


def test_an_accepted_row_is_answered_as_helicone_answers(view: ViewClient) -> None:
    id_ = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"
    answer = view.log(posted_row("s", "/x", "Rows", request_id=id_), "/oai/v1/log")

    assert (answer.status, answer.body, answer.headers["helicone-id"]) == (200, b"ok", id_)
    assert view.request(id_)["provider"] == "openai"
    # Of versions above 5, Helicone makes another.
    replaced = view.log(posted_row("s", "/x", "Rows", request_id="01a203b9-181f-7643-bc00-1151041e7471"))
    assert replaced.headers["helicone-id"] != "01a203b9-181f-7643-bc00-1151041e7471"


@pytest.mark.parametrize("route", ["/v1/trace/custom/v1/log", "/v1/trace/custom/log"])
@pytest.mark.parametrize(("named", "provider"), [("ANTHROPIC", "anthropic"), ("CUSTOM", None), (None, "openai")])
def test_the_routes_of_an_api_server_read_the_provider_from_the_body_and_answer_without_one(
    view: ViewClient, route: str, named: str | None, provider: str | None
) -> None:
    id_ = str(uuid.uuid4())
    row = posted_row("s", "/x", "Rows", request_id=id_)

    answer = view.log({**row, "provider": named} if named else row, route)

    assert (answer.status, answer.body) == (200, b"")
    assert view.request(id_)["provider"] == provider


def test_a_row_that_is_too_large_is_refused_as_helicone_refuses_it(view: ViewClient) -> None:
    row = posted_row("s", "/x", "Rows", asked_for={"text": "x" * (10 * 1024 * 1024)})
    answer = view.log(row)

    assert (answer.status, answer.body) == (400, b"Payload too large")


def test_headers_of_the_request_override_meta(view: ViewClient) -> None:
    headers = JSON | {"Helicone-Session-Id": "from-the-header", "Authorization": "Bearer sk-helicone-secret"}
    ask(f"{view.view.http_url}/custom/v1/log", "POST", json.dumps(posted_row("s", "/x", "Rows")).encode(), headers)

    assert view.requests("from-the-header") == [("/x", "llm", "gpt-4o-mini")]


# --- hosts and origins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "view.localhost:4316"}, 200),
        ({"Host": "[::1]:4316"}, 200),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": ORIGIN}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
    ],
)
def test_other_hosts_and_origins_are_refused(view: ViewClient, headers: dict[str, str], status: int) -> None:
    assert ask(f"{view.view.url}/api/sessions", headers=headers).status == status
    written = post(view, BODY, PROTOBUF | headers)
    assert written.status == status
    assert spans_in(view) == (1 if status == 200 else 0)


def test_a_link_on_another_site_opens_a_page_and_writes_nothing(view: ViewClient) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert ask(f"{view.view.url}/", headers=link).status == 200
    assert post(view, BODY, PROTOBUF | link).status == 403
    assert spans_in(view) == 0


@pytest.mark.parametrize(
    "path", ["/", "/session?id=c", "/compare?name=", "/static/view.css", "/api/status", "/nothing"]
)
def test_every_answer_forbids_inline_and_foreign_scripts(view: ViewClient, path: str) -> None:
    headers = ask(view.view.url + path).headers

    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/..%2fpages.py",
        "/static//etc/passwd",
        "/parts/echarts/../cli.py",
        "/parts/os/x.js",
        "/static/",
        "/static/%00.js",
        "/parts/echarts/%00.js",
    ],
)
def test_no_other_file_can_be_read(view: ViewClient, path: str) -> None:
    assert ask(view.view.url + path).status == 404


@pytest.mark.parametrize(
    ("address", "status", "error"),
    [
        ("sessions?page=0", 400, "page: between 1 and 1e+06"),
        ("sessions?page=x", 400, "page: not a number"),
        ("sessions?from=nan", 400, "from: not a number"),
        (
            "sessions?sort=price",
            400,
            "sort: one of start, last, duration, requests, tokens, errors, cost, name, id, with '-' before it or not",
        ),
        ("session", 400, "id: missing"),
        ("session?id=none", 404, "there is no such session"),
        ("request?id=none", 404, "there is no such request"),
        ("compare", 400, "name: missing"),
        ("compare?name=x&split=env&a=1", 400, "b: missing"),
        ("compare?name=x&at=noon", 400, "at: not a number"),
        ("sessions?range=p10", 400, "range: one of p50, p75, p95, p99, p99.9"),
        ("export?id=none", 404, "there is no such session"),
    ],
)
def test_the_api_says_why_it_cannot_answer(view: ViewClient, address: str, status: int, error: str) -> None:
    answer = ask(f"{view.view.url}/api/{address}")

    assert (answer.status, answer.data) == (status, {"error": error})


@settings(max_examples=examples(50))
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_spans_or_malformed(body: bytes) -> None:
    for decode in (decode_protobuf, decode_json):
        with contextlib.suppress(MalformedError):
            batch_of(decode(body))


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(30))
@given(
    JSONS,
    JSONS,
    st.dictionaries(st.sampled_from(["Helicone-Session-Id", "Helicone-Session-Path", "Helicone-User-Id"]), JSONS),
    JSONS,
)
def test_any_row_is_read_or_refused(asked_for: Any, answered: Any, meta: Any, timing: Any) -> None:
    row = {
        "providerRequest": {"url": "x", "json": asked_for, "meta": meta},
        "providerResponse": {"json": answered, "status": 200, "headers": {}},
        **({"timing": timing} if timing is not None else {}),
    }
    try:
        read = read_row(json.dumps(row).encode(), {}, "custom")
    except InvalidRowError:
        return
    content_of(json.loads(read.data))
    json.dumps(redact(content_of(json.loads(read.data))._asdict()), allow_nan=False)


KEYS = st.sampled_from(
    [
        "gen_ai.input.messages",
        "gen_ai.prompt.0.content",
        "llm.input_messages.0.message.tool_calls.0.tool_call.id",
        "output.value",
        "retrieval.documents.0.document.score",
        "gen_ai.retrieval.documents",
        "db.query.text",
        "gen_ai.tool.call.arguments",
    ]
)


@settings(max_examples=examples(40))
@given(
    st.sampled_from(["llm", "tool", "vector_db", "rerank"]), st.dictionaries(KEYS, JSONS | JSONS.map(json.dumps)), JSONS
)
def test_any_content_is_shown(kind: str, attributes: dict[str, Any], said: Any) -> None:
    label = {"helicone.request.id": str(uuid.uuid4()), "helicone.span.kind": kind, "helicone.session.id": "s"}
    events = [Event("gen_ai.choice", 1, {"message": said}), Event("db.query.result", 2, attributes)]
    row = row_of(FinishedSpan("x", "app", attributes | label, events, 1, 2, failed=False, reason=""), Content())

    assert row is not None
    json.dumps(redact(content_of(row.body)._asdict()), allow_nan=False)


# --- the database -----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_reported_and_loses_nothing_that_was_acknowledged(view: ViewClient) -> None:
    assert post(view, BODY).status == 200
    wait_until_labelled(view.view)
    connection = view.view.database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = request_of("shop", [span(2, number, attributes={**CHAT, "x": "y" * 5000}) for number in range(1, 60)])
    try:
        refused = post(view, large.SerializeToString())
        told = view.get("status")
    finally:
        connection.execute("PRAGMA max_page_count = 1000000")

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert told["problem"] == "view.db: the disk is full: nothing more can be kept"
    assert (told["spans"], view.requests("c")) == (1, [("/chat", "llm", "m")])
    assert post(view, large.SerializeToString()).status == 200
    assert (spans_in(view), view.get("status")["problem"]) == (60, None)


def test_a_sender_must_try_again_while_too_much_waits_to_be_written(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAX_WAITING", 1000)
    going_on = threading.Event()
    waits = view.view.database.write(lambda _: going_on.wait(10), size=900)
    try:
        refused = post(view, BODY)
    finally:
        going_on.set()
    waits.result(10)

    assert refused.status == 503
    assert post(view, BODY).status == 200


def test_a_caller_that_cancels_does_not_block_the_others() -> None:
    kept = Database()
    gate = threading.Event()
    kept.write(lambda _: gate.wait(10))
    gone, other = kept.write(lambda _: 1), kept.write(lambda _: 2)
    assert gone.cancel()
    gate.set()

    assert (other.result(10), kept.write(lambda _: 3).result(10)) == (2, 3)
    kept.close()


def test_short_lived_threads_share_one_connection() -> None:
    kept = Database()
    found = set()

    def look() -> None:
        with kept.reading() as connection:
            found.add(id(connection))

    for _ in range(10):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    assert len(found) == 1
    kept.close()


def test_a_second_view_of_the_same_file_is_an_error(tmp_path: Path) -> None:
    first = Database(tmp_path / "view.db")
    with pytest.raises(DatabaseError) as raised:
        Database(tmp_path / "view.db")
    first.close()

    assert str(raised.value) == "another helicone-otel view has view.db open; stop it, or name another file"
    Database(tmp_path / "view.db").close()
    assert [one.name for one in tmp_path.iterdir()] == ["view.db"]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be taken for one by its size" * 20, None])
def test_a_database_of_another_program_is_not_changed(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "other.db"
    if content is not None:
        file.write_bytes(content)
    else:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE mine (id)")
        connection.close()
    before = file.read_bytes()
    with pytest.raises(DatabaseError, match=r"other\.db"):
        Database(file)

    assert file.read_bytes() == before


@pytest.mark.parametrize("name", [":memory:", "file:view.db", "a?mode=ro#%20", "\udcff.db"])
def test_a_file_is_a_file_whatever_its_name_looks_like_to_sqlite(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("the file system has no such names")
    database = Database(Path(name))
    database.write(lambda connection: connection.execute("DELETE FROM traces")).result()
    database.close()

    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


def test_the_error_for_a_missing_folder_does_not_show_its_path(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as raised:
        Database(tmp_path / "nowhere" / "view.db")

    assert str(raised.value) == "view.db: it cannot be opened: is there such a folder, and may it be written?"


# --- events and files -------------------------------------------------------------------------------------------------


def test_pages_are_sent_the_sessions_that_change(view: ViewClient) -> None:
    parts = urlsplit(view.view.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(f"GET /api/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        heard = client.recv(4096)
        while b"retry" not in heard:
            heard += client.recv(4096)
        view.take(span(1, 1, attributes=CHAT), service="shop")
        while b"}\n\n" not in heard:
            heard += client.recv(4096)

    assert b"content-type: text/event-stream" in heard.lower()
    event = json.loads(heard.decode().partition("data: ")[2].partition("\n")[0])
    assert (event["sessions"], event["more"]) == ([{"id": "c", "name": "shop"}], False)


@pytest.mark.parametrize(
    ("part", "name", "says"),
    [
        ("echarts", "echarts.min.js", ".echarts="),
        ("tabulator", "tabulator_esm.min.mjs", "TabulatorFull"),
        ("tabulator", "tabulator.min.css", ".tabulator"),
    ],
)
def test_the_files_of_other_packages_are_found(part: str, name: str, says: str) -> None:
    path = find_packaged(part, name)

    assert path is not None
    assert says in path.read_text()


def test_a_browser_that_has_a_file_does_not_get_it_again(view: ViewClient) -> None:
    first = ask(f"{view.view.url}/static/dom.js")
    tag = first.headers["etag"]
    again = ask(f"{view.view.url}/static/dom.js", headers={"If-None-Match": tag})
    other = ask(f"{view.view.url}/static/dom.js", headers={"If-None-Match": '"another"'})

    assert (first.status, first.headers["cache-control"]) == (200, "no-cache")
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (other.status, other.body) == (200, first.body)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "one.js"
    file.write_text("1")
    first = read_asset(file)
    file.write_text("22")

    assert read_asset(file) == (b"22", read_asset(file)[1])
    assert read_asset(file)[1] != first[1]


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("/session?id=c&name=A%20%26+%C3%A4*~", "id=c&name=A+%26+%C3%A4%2A~"),
        ("/session?id=c&as=table", "id=c"),
    ],
)
def test_the_page_of_a_session_has_the_address_of_its_data_in_its_head(
    view: ViewClient, address: str, query: str
) -> None:
    assert view.log(posted_row("c", "/p", "A & ä*~")).status == 200
    html = ask(view.view.url + address).body.decode()

    (preloaded,) = re.findall(r'<link rel="preload" id="data" [^>]*href="/api/session\?([^"]*)">', html)
    assert unescape(preloaded) == query


def test_the_page_of_an_unknown_session_asks_for_no_data(view: ViewClient) -> None:
    assert b'rel="preload"' not in ask(f"{view.view.url}/session?id=nothing").body


async def test_parts_of_an_answer_are_sent_at_once() -> None:
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listening_socket("127.0.0.1", 0, "the test")
    async with await asyncio.start_server(accepted, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert await asyncio.wait_for(found, 20) != 0
        writer.close()
        await writer.wait_closed()


def test_the_script_of_the_charts_is_apaches_byte_for_byte() -> None:
    path = find_packaged("echarts", "echarts.min.js")

    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ECHARTS


def test_a_session_can_be_exported_as_one_file(view: ViewClient) -> None:
    nasty = '</script><img src=x onerror="alert(1)">'
    message = json.dumps([{"role": "user", "content": nasty}])
    view.take(span(1, 1, attributes={**CHAT, "gen_ai.input.messages": message}))
    answer = ask(f"{view.view.url}/api/export?id=c")
    html = answer.body.decode()

    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''session%20c.html"
    data = json.loads(html.partition('id="exported">')[2].partition("</script>")[0])
    (request,) = data["requests"].values()
    assert request["messages"][0]["parts"] == [{"type": "text", "text": nasty}]
    assert with_requests(data["session"])["requests"][0]["id"] == request["id"]
    assert "<img" not in html
    assert not [at for at in ('src="', 'href="/', "url(", "http://127") if at in html.partition("<body>")[0]]
    assert "default-src 'none'; script-src 'sha256-" in html


def test_a_view_stops_while_pages_are_open() -> None:
    with view_client() as one:
        parts = urlsplit(one.view.url)
        client = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        client.sendall(f"GET /api/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        heard = client.recv(4096)
    while more := client.recv(4096):
        heard += more
    client.close()

    assert heard.startswith(b"HTTP/1.1 200")
