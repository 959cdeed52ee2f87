"""The fake Helicone without its log APIs: rows of the gateway, the OTLP receivers, and the read API."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel.testing import FakeHelicone, Row, Trouble
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.read_api import session_tree, tree_lines
from tests.support.logs import ANSWERED, ASKED, CUSTOM, SESSION, START, TIMING, Client, a_log

QUESTION = {"role": "user", "content": "Where to?"}


# --- the gateway ----------------------------------------------------------------------------------


def test_requests_to_the_gateway_are_rows_beside_those_of_the_log(client: Client) -> None:
    fake, request_id = client.fake, str(uuid.uuid4())
    headers = {**SESSION, "Helicone-Request-Id": request_id, "Helicone-Property-Plan": "free"}
    with OpenAI(base_url=f"{fake.url}/v1", api_key=fake.key) as openai:
        answer = openai.chat.completions.with_raw_response.create(
            model="gpt-5.4-mini", messages=[QUESTION], extra_headers=headers, user="u-17"
        )
        openai.embeddings.create(model="text-embedding-3-small", input="Porto", extra_headers=SESSION)
    client.log(a_log())

    call, embedding, logged = fake.rows
    assert answer.headers["helicone-id"] == call.id == request_id
    assert (call.door, call.provider, call.model, call.status) == ("gateway", "OPENAI", "gpt-5.4-mini", 200)
    assert (call.user_id, call.properties) == ("u-17", {**SESSION, "plan": "free"})
    assert (call.prompt_tokens, call.completion_tokens, call.request["messages"]) == (1, 1, [QUESTION])
    assert (embedding.path, embedding.model) == ("/v1/embeddings", "text-embedding-3-small")
    assert [row.session_id for row in (call, embedding, logged)] == ["s-1"] * 3


def test_streams_are_rows_with_model_and_tokens(client: Client) -> None:
    fake = client.fake
    with OpenAI(base_url=f"{fake.url}/v1", api_key=fake.key) as openai:
        options = {"include_usage": True}
        list(openai.chat.completions.create(model="m-1", messages=[QUESTION], stream=True, stream_options=options))
    with Anthropic(base_url=fake.url, api_key=fake.key) as anthropic:
        with anthropic.messages.stream(model="m-2", messages=[QUESTION], max_tokens=9) as stream:
            assert stream.get_final_text() == "OK"

    assert [(row.provider, row.model, row.prompt_tokens, row.completion_tokens, row.flaws) for row in fake.rows] == [
        ("OPENAI", "m-1", 1, 1, []),
        ("ANTHROPIC", "m-2", 1, 1, []),
    ]


def test_a_request_that_the_provider_refuses_makes_a_row_and_one_that_never_reaches_it_makes_none(
    client: Client,
) -> None:
    assert client.post("/v1/chat/completions", {"model": "m"}).status == 400
    assert client.post("/v1/nonsense", {}, helicone_session_name="").status == 400
    with OpenAI(base_url=f"{client.fake.url}/v1", api_key="x", max_retries=0) as openai:
        client.fake.troubles.next(Trouble(status=529), door="gateway")
        with pytest.raises(Exception, match="529"):
            openai.chat.completions.create(model="m", messages=[QUESTION])

    assert [(row.path, row.status, row.failed) for row in client.fake.rows] == [("/v1/chat/completions", 400, True)]


# --- OTLP -----------------------------------------------------------------------------------------

ASSOCIATION = "traceloop.association.properties.Helicone-"
SPAN = {
    "gen_ai.system": "openai",
    "gen_ai.response.model": "gpt-4o-mini",
    "llm.request.type": "chat",
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "hi",
    "gen_ai.prompt.1.content": "no role",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "hello",
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.usage.prompt_tokens": 3,
    "gen_ai.usage.completion_tokens": 1,
    "llm.usage.total_tokens": 4,
    "llm.user": "u-17",
    f"{ASSOCIATION}Session-Id": "s-東",
    f"{ASSOCIATION}Session-Path": "/plan/draft",
    f"{ASSOCIATION}Session-Name": "Trip planner",
    f"{ASSOCIATION}Property-Env": "Staging",
    "traceloop.association.properties.plain": "lost",
    "session.id": "lost",
    "a bool": True,
    "a float": 0.5,
    "a list": ["x"],
}


def spans(*attributes: Mapping[str, Any]) -> bytes:
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for each in attributes:
        provider.get_tracer("t").start_span("chat", attributes=each, start_time=START * 10**6).end((START + 9) * 10**6)
    encoded: bytes = encode_spans(memory.get_finished_spans()).SerializeToString()
    return encoded


def test_a_span_becomes_a_row_without_most_of_its_data(client: Client) -> None:
    answer = client.post("/v1/trace/log-python", spans(SPAN, {}), Content_Type="application/x-protobuf")

    row, plumbing = client.fake.rows
    assert (answer.status, answer.body) == (200, "")
    assert (row.door, row.provider, row.model, row.status, row.path) == (
        "otlp",
        "OPENAI",
        "gpt-4o-mini",
        200,
        "async-unknown-path",
    )
    assert (row.started, row.ended, row.user_id, row.time_to_first_token) == (START, START + 9, "u-17", None)
    assert row.properties == {
        "Helicone-Session-Id": "s-東",
        "Helicone-Session-Path": "/plan/draft",
        "Helicone-Session-Name": "Trip planner",
        "Env": "Staging",
    }
    assert row.request == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "n": 1,
        "temperature": 1,
        "stream": False,
        "max_tokens": 50,
    }
    assert row.response == {
        "id": row.id,
        "object": "chat",
        "created": "2025-10-09T08:53:20.125Z",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": "3", "completion_tokens": "1", "total_tokens": "4"},
    }
    assert (row.prompt_tokens, row.completion_tokens) == (3, 1)
    assert (plumbing.model, plumbing.badge, plumbing.session_id, plumbing.properties) == ("", "LLM", None, {})


def test_a_span_that_is_sent_again_is_another_row(client: Client) -> None:
    body = spans(SPAN)
    for _ in range(2):
        client.post("/v1/trace/log-python", body, Content_Type="application/x-protobuf")

    assert len({row.id for row in client.fake.rows}) == 2


def test_the_fake_understands_opentelemetrys_own_exporter(client: Client) -> None:
    url, key = f"{client.fake.url}/v1/trace/log-python", client.fake.key
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(url, headers={"Authorization": f"Bearer {key}"})
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span("chat", attributes=SPAN).end()
    provider.shutdown()

    assert [row.session_id for row in client.fake.rows] == ["s-東"]


@pytest.mark.parametrize("path", ["/v1/trace/log", "/v1/trace/log-python"])
@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"{}", mtime=0)[:-4], gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20],
    ids=["no gzip", "cut", "broken"],
)
def test_gzip_that_cannot_be_unpacked_is_an_error_of_jawns(client: Client, path: str, body: bytes) -> None:
    kind = "application/json" if path.endswith("log") else "application/x-protobuf"

    answer = client.post(path, body, Content_Type=kind, Content_Encoding="gzip")

    assert (answer.status, "bug" in answer.body) == (500, False)


def test_only_jawn_unpacks_gzip(client: Client) -> None:
    packed = gzip.compress(spans(SPAN))
    headers = {"Content_Type": "application/x-protobuf", "Content_Encoding": "gzip"}

    assert client.post("/v1/trace/log-python", packed, **headers).status == 200
    assert client.post(CUSTOM, gzip.compress(json.dumps(a_log()).encode()), Content_Encoding="gzip").status == 400


def otlp_json(**changes: Any) -> dict[str, Any]:
    attributes = [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": value}}
        for key, value in SPAN.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    ]
    nothing: dict[str, Any] = {"events": [], "links": [], "status": {"code": 0}}
    counts = dict.fromkeys(("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"), 0)
    times = {"startTimeUnixNano": str(START * 10**6), "endTimeUnixNano": str((START + 9) * 10**6)}
    span = {"traceId": "1", "spanId": "2", "name": "chat", "kind": 1, "attributes": attributes, **nothing, **counts}
    span = {key: value for key, value in {**span, **times, **changes}.items() if value is not ...}
    scope = {"scope": {"name": "t", "version": "1"}, "spans": [span]}
    return {"resourceSpans": [{"resource": {"attributes": [], "droppedAttributesCount": 0}, "scopeSpans": [scope]}]}


def test_otlp_as_json_must_have_all_fields(client: Client) -> None:
    assert client.post("/v1/trace/log", otlp_json()).status == 200
    for left_out in ("links", "kind", "droppedEventsCount", "status"):
        answer = client.post("/v1/trace/log", otlp_json(**{left_out: ...}))
        assert (answer.status, left_out in answer.body["error"]) == (400, True)

    [row] = client.fake.rows
    assert (row.session_id, row.started, row.prompt_tokens) == ("s-東", START, 3)


def test_each_otlp_receiver_takes_one_form_only_and_its_errors_have_no_body(client: Client) -> None:
    assert client.post("/v1/trace/log-python", otlp_json()).status == 500
    assert client.post("/v1/trace/log", spans(SPAN), Content_Type="application/x-protobuf").status == 400
    answer = client.post("/v1/trace/log-python", b"no protobuf", Content_Type="application/x-protobuf")
    assert (answer.status, answer.body, client.fake.rows) == (500, "", [])


def test_spans_before_an_error_are_stored(client: Client) -> None:
    body = otlp_json()
    scope = body["resourceSpans"][0]["scopeSpans"][0]
    number = {"key": "gen_ai.system", "value": {"intValue": 7}}
    scope["spans"].append({**scope["spans"][0], "attributes": [number]})

    assert client.post("/v1/trace/log", body).status == 500
    assert len(client.fake.rows) == 1


# What Helicone's own code showed of the same bodies: provider and model of the span; whether the messages of both sides
# are shown, the numbers of tokens, and the cost of 300 and 100 tokens.
SONNET = "claude-sonnet-4-20250514"
AS_SHOWN = [
    ("openai", "gpt-4o-mini", True, (300, 100), 0.000105),
    ("azure", "gpt-4o-mini", True, (300, 100), 0.000105),
    ("azure.ai.openai", "gpt-4o-mini", True, (300, 100), 0),
    ("groq", "llama-3.1-8b-instant", True, (300, 100), 0.000023),
    ("openrouter", "openai/gpt-4o-mini", True, (300, 100), 0.0001107),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", True, (300, 100), 0.000352),
    ("anthropic", SONNET, True, (0, 0), 0),
    ("custom", SONNET, True, (300, 100), 0),
    ("aws", SONNET, True, (300, 100), 0.0024),
    ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", True, (300, 100), 0),
    ("google", "gemini-2.5-flash", False, (0, 0), 0),
    ("gcp.gemini", "gemini-2.5-flash", False, (300, 100), 0),
    ("custom", "gemini-2.5-flash", True, (300, 100), 0),
    ("mistral", "mistral-large-latest", True, (300, 100), 1.2),
    ("mistral_ai", "mistral-large-latest", True, (300, 100), 0),
    ("deepseek", "deepseek-chat", True, (300, 100), 0.000168),
    ("x", "grok-9", True, (300, 1000), 0),
    ("llama", "llama3.2", False, (0, 0), 0),
    ("azure", "Llama-3.3-70B-Instruct", False, (300, 100), 0),
]


@pytest.mark.parametrize(("system", "model", "both_sides", "tokens", "cost"), AS_SHOWN)
def test_rows_by_otlp_are_read_by_the_name_of_their_provider(
    client: Client, system: str, model: str, both_sides: bool, tokens: tuple[int, int], cost: float
) -> None:
    used = {"gen_ai.usage.prompt_tokens": 300, "gen_ai.usage.completion_tokens": 100}
    span = {**SPAN, "gen_ai.system": system, "gen_ai.response.model": model, **used}
    client.post("/v1/trace/log-python", spans(span), Content_Type="application/x-protobuf")

    [row] = client.fake.rows
    texts = [message.text for message in (*row.shown.sent, *row.shown.answered)]
    assert (row.provider, texts == ["hi", "hello"]) == (system.upper(), both_sides)
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (*tokens, pytest.approx(cost))


def test_messages_by_otlp_stand_in_the_order_of_the_attributes(client: Client) -> None:
    span = {
        "gen_ai.prompt_id": "p-1",
        "gen_ai.prompt.10.role": "user",
        "gen_ai.prompt.10.content": "ten",
        "gen_ai.prompt.2.content": "two",
        "gen_ai.prompt.2.role": "system",
        "gen_ai.prompt.3.content": "no role",
        "gen_ai.prompt.x.role": "user",
        "gen_ai.prompt.4.role": True,
        "gen_ai.completion.1.role": "assistant",
    }
    client.post("/v1/trace/log-python", spans(span), Content_Type="application/x-protobuf")

    [row] = client.fake.rows
    assert row.request["messages"] == [{"role": "user", "content": "ten"}, {"role": "system", "content": "two"}, {}]
    assert row.response["choices"] == [{"index": 1, "message": {"role": "assistant"}}]


def test_tools_and_queries_by_otlp_show_their_badge_only(client: Client) -> None:
    for model in ("tool:get_weather", "vector_db", "data:rank"):
        span = {**SPAN, "gen_ai.response.model": model}
        client.post("/v1/trace/log-python", spans(span), Content_Type="application/x-protobuf")

    tool, query, data = client.fake.rows
    assert [row.badge for row in client.fake.rows] == ["Tool", "VectorDB", "Data"]
    assert [(row.shown.sent, row.shown.answered, row.shown.request) for row in (tool, query)] == [((), (), "")] * 2
    assert data.shown.details["messages"] == [{"role": "user", "content": "hi"}]


def test_a_span_without_a_time_is_of_1970(client: Client) -> None:
    assert client.post("/v1/trace/log", otlp_json(startTimeUnixNano="soon")).status == 200

    [row] = client.fake.rows
    assert row.started == 0


@pytest.mark.parametrize("path", ["/v1/trace/log", "/v1/trace/log-python", "/v1/session/query", "/v1/request/x"])
def test_jawn_needs_a_key(client: Client, path: str) -> None:
    for shown in (None, "Bearer sk-unknown"):
        answer = client.post(path, {}, Authorization=shown)
        assert answer[:2] == (401, {"error": "No API key found", "trace": "isAuthenticated.error"})


def test_a_key_that_only_writes_may_query_by_post_but_not_by_get(client: Client) -> None:
    row_id, write_only = logged(client, "/a"), f"Bearer {client.fake.write_only_key}"

    assert client.post("/v1/request/query", {"filter": "all"}, Authorization=write_only).status == 201
    assert client.send("GET", f"/v1/request/{row_id}", Authorization=write_only)[:2] == (
        401,
        {"error": None, "trace": "isAuthenticated.error"},
    )


@pytest.mark.parametrize("body", ["no JSON", "null", '{"search": NaN', '"text"', "[" * 100_000])
def test_jawn_reads_a_body_before_it_looks_at_the_key(client: Client, body: str) -> None:
    status, said = client.post("/v1/session/query", body, Authorization=None)[:2]

    assert (status, said["message"]) == (500, "Internal Server Error")


def test_jawn_takes_bodies_of_ten_mebibytes_and_counts_their_bytes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(a_log(meta={"a": "b"}, asked={"é": "é"}), ensure_ascii=False).encode()
    monkeypatch.setattr("helicone_otel.tools.fakes.jawn_api.MAX_BYTES", len(body))

    assert client.post("/v1/trace/custom/v1/log", body).status == 200
    status, said = client.post("/v1/trace/custom/v1/log", body + b" ")[:2]
    assert (status, said["details"]) == (500, "request entity too large")


# --- reading back ---------------------------------------------------------------------------------


def logged(
    client: Client, path: str, start: int = 0, *, session: str = "s-1", name: str = "Trip planner", **meta: str
) -> str:
    """Log a row that starts some seconds after the first and lasts one second; return its id."""
    start += TIMING["startTime"]["seconds"]
    names = {"Helicone-Session-Id": session, "Helicone-Session-Name": name, "Helicone-Session-Path": path}
    timing = {
        "startTime": {"seconds": start, "milliseconds": 125},
        "endTime": {"seconds": start + 1, "milliseconds": 125},
    }
    meta = {key.replace("_", "-"): value for key, value in meta.items()}
    return client.post(CUSTOM, a_log(meta={**names, **meta}, timing=timing)).headers["helicone-id"]


def query(client: Client, **changes: Any) -> Any:
    body = {
        "search": "",
        "timeFilter": {"startTimeUnixMs": START - 1000, "endTimeUnixMs": START + 100_000},
        "timezoneDifference": 0,
        "filter": "all",
        **changes,
    }
    answer = client.post("/v1/session/query", {key: value for key, value in body.items() if value is not ...})
    return answer.body["data"] if answer.status == 200 else answer[:2]


def test_sessions_are_rows_of_one_id_and_name(client: Client) -> None:
    logged(client, "/a", 3, Helicone_User_Id="u-2")
    logged(client, "/a", 0, Helicone_User_Id="u-1")
    logged(client, "/b", 1, name="Renamed")
    client.log(a_log(meta={}))

    newest, oldest = query(client)
    assert (newest["session_name"], newest["total_requests"]) == ("Renamed", 1)
    assert oldest == {
        "created_at": "2025-10-09 08:53:20.125",
        "latest_request_created_at": "2025-10-09 08:53:23.125",
        "session_id": "s-1",
        "session_name": "Trip planner",
        "total_cost": 0,
        "total_requests": 2,
        "prompt_tokens": 6,
        "completion_tokens": 2,
        "total_tokens": 8,
        "avg_latency": 1000,
        "user_ids": ["u-1", "u-2"],
    }


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"search": "S-"}, ["s-2", "s-1"]),
        ({"search": "trip"}, ["s-1"]),
        ({"search": "s_1"}, ["s-1"]),
        ({"search": "T%P"}, ["s-1"]),
        ({"search": "nobody"}, []),
        ({"nameEquals": "Support"}, ["s-2"]),
        ({"nameEquals": "Supp"}, []),
        ({"limit": 1}, ["s-2"]),
        ({"limit": 1, "offset": 1}, ["s-1"]),
        ({"filter": {}}, ["s-2", "s-1"]),
        ({"filter": {"sessions_request_response_rmt": {"session_session_id": {"equals": "s-1"}}}}, ["s-1"]),
        ({"timeFilter": {"startTimeUnixMs": START, "endTimeUnixMs": START + 99_000}}, ["s-2"]),
        ({"timeFilter": {"startTimeUnixMs": START - 1, "endTimeUnixMs": START + 5000}}, ["s-1"]),
    ],
)
def test_sessions_can_be_searched(client: Client, changes: Any, found: list[str]) -> None:
    logged(client, "/a")
    logged(client, "/a", 5, session="s-2", name="Support")

    assert [entry["session_id"] for entry in query(client, **changes)] == found


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"search": ...}, 422),
        ({"filter": ...}, 422),
        ({"timeFilter": ...}, 422),
        ({"filter": "some"}, 500),
        ({"filter": {"request_response_rmt": {"nonsense": {"equals": 1}}}}, 500),
        ({"filter": {"request_response_rmt": {"model": {"is": "x"}}}}, 500),
        ({"filter": {"left": "all", "right": "all", "operator": "xor"}}, 500),
        ({"timezoneDifference": "x"}, 500),
        ({"timeFilter": {}}, 500),
    ],
)
def test_an_invalid_query_is_answered_with_an_error(client: Client, changes: Any, status: int) -> None:
    logged(client, "/a")

    answered, said = query(client, **changes)

    assert answered == status
    if status == 422:
        [field] = changes
        assert said == {
            "message": "Validation Failed",
            "details": {f"requestBody.{field}": {"message": f"'{field}' is required"}},
        }
    else:
        assert said["data"] is None
        assert said["error"]


@pytest.mark.parametrize(
    ("condition", "paths"),
    [
        ({"properties": {"Helicone-Session-Id": {"equals": "s-1"}}}, ["/a", "/b"]),
        ({"properties": {"Helicone-Session-Id": {"not-equals": "s-1"}}}, ["/c"]),
        ({"properties": {"plan": {"equals": "free"}}}, ["/b"]),
        ({"properties": {"Helicone-Session-Name": {"ilike": "%TRIP%"}}}, ["/a", "/b"]),
        ({"properties": {"Helicone-Session-Name": {"like": "%TRIP%"}}}, []),
        ({"properties": {"Helicone-Session-Name": {"contains": "upp"}}}, ["/c"]),
        ({"properties": {"Helicone-Session-Name": {"not-contains": "upp"}}}, ["/a", "/b"]),
        ({"user_id": {"equals": "u"}}, ["/c"]),
        ({"status": {"gte": 200}}, ["/a", "/b", "/c"]),
        ({"request_created_at": {"gt": "2025-10-09T08:53:21Z"}}, ["/c"]),
    ],
)
def test_requests_can_be_filtered_and_sorted(client: Client, condition: Any, paths: list[str]) -> None:
    logged(client, "/c", 2, session="s-2", name="Support", Helicone_User_Id="u")
    logged(client, "/a", 0)
    logged(client, "/b", 0, Helicone_Property_Plan="free")

    def found(**more: Any) -> list[str]:
        body = {"filter": {"request_response_rmt": condition}, "sort": {"created_at": "asc"}, **more}
        data = client.post("/v1/request/query-clickhouse", body).body["data"]
        return [row["request_properties"]["Helicone-Session-Path"] for row in data]

    assert (sorted(found()), found(limit=1, offset=len(paths))) == (paths, [])


def test_filters_can_be_joined(client: Client) -> None:
    for path, session in (("/a", "1"), ("/b", "1"), ("/a", "2")):
        logged(client, path, session=session)
    is_a, is_1 = (
        {"request_response_rmt": {"properties": {name: {"equals": value}}}}
        for name, value in (("Helicone-Session-Path", "/a"), ("Helicone-Session-Id", "1"))
    )

    counts = [
        len(client.post("/v1/request/query", {"filter": {"left": is_a, "operator": word, "right": is_1}}).body["data"])
        for word in ("and", "or")
    ]
    assert counts == [1, 3]


def test_a_request_is_returned_with_its_bodies_on_demand(client: Client) -> None:
    row_id = logged(client, "/a", Helicone_User_Id="u")

    told = client.send("GET", f"/v1/request/{row_id}").body["data"]
    bodies = client.send("GET", f"/v1/request/{row_id}?includeBody=true").body["data"]

    assert (told["request_id"], told["request_user_id"], told["response_status"]) == (row_id, "u", 200)
    assert (told["request_created_at"], told["delay_ms"], told["model"]) == (
        "2025-10-09 08:53:20.125",
        1000,
        "gpt-4o-mini-2024",
    )
    assert (bodies["request_body"]["providerRequest"]["json"], bodies["response_body"]) == (ASKED, ANSWERED)
    assert "request_body" not in told
    assert client.send("GET", f"/v1/request/{uuid.uuid4()}").status == 500


def test_the_route_for_feedback_always_fails(client: Client) -> None:
    logged(client, "/a")

    answer = client.post("/v1/session/s-1/feedback", {"rating": True})

    assert answer[:2] == (500, {"data": None, "error": 'relation "request" does not exist'})
    assert client.post("/v1/session/s-1/feedback", {}).status == 422


def test_a_request_takes_properties_in_any_script_and_a_session_a_tag(client: Client) -> None:
    row_id = logged(client, "/a")

    answer = client.send("PUT", f"/v1/request/{row_id}/property", {"key": "Plan", "value": "東"})
    assert answer[:2] == (201, {"data": None, "error": None})
    assert client.fake.rows[0].properties["Plan"] == "東"
    assert client.send("GET", "/v1/session/s-1/tag").body["data"] is None
    client.post("/v1/session/s-1/tag", {"tag": "x"})
    assert client.send("GET", "/v1/session/s-1/tag").body["data"] == "x"
    assert client.send("PUT", f"/v1/request/{uuid.uuid4()}/property", {"key": "a", "value": "b"}).status == 500
    client.fake.store.lag = 60.0
    assert client.send("PUT", f"/v1/request/{row_id}/property", {"key": "Plan", "value": "b"}).status == 500


def test_sessions_are_counted_and_their_names_listed(client: Client) -> None:
    assert client.send("GET", "/v1/session/has-session").body["data"] is False
    logged(client, "/a")
    logged(client, "/b", 4)
    logged(client, "/a", session="s-2")
    body = {"timeFilter": {"startTimeUnixMs": 0, "endTimeUnixMs": START + 10_000}, "timezoneDifference": 0}

    counted = client.post("/v1/session/count", {**body, "search": "", "filter": "all"}).body["data"]
    [named] = client.post("/v1/session/name/query", {**body, "nameContains": "Trip planner"}).body["data"]

    assert (counted["count"], counted["avg_requests"], counted["avg_latency"]) == (2, 1.5, 1000)
    assert (named["name"], named["session_count"], named["first_used"], named["last_used"]) == (
        "Trip planner",
        2,
        "2025-10-09 08:53:20.125",
        "2025-10-09 08:53:24.125",
    )
    for part, number in (("trip", 1), ("", 1), ("tip", 0)):
        assert len(client.post("/v1/session/name/query", {**body, "nameContains": part}).body["data"]) == number
    assert client.send("GET", "/v1/session/has-session").body["data"] is True


def test_a_query_sees_only_the_rows_of_its_organization_that_have_left_the_queue(client: Client) -> None:
    other = "sk-helicone-another-tenants-private-keyhere"
    client.fake.keys.admit(other, "another tenant")
    logged(client, "/a")
    client.fake.store.lag = 60.0
    assert query(client) == []

    client.fake.store.lag = 0.0
    assert len(query(client)) == 1
    body = {"filter": "all"}
    assert client.post("/v1/request/query", body, Authorization=f"Bearer {other}").body["data"] == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/session/s-1/nothing"), ("POST", "/v1/trace/logs"), ("GET", "/v1/trace/log")]
)
def test_jawn_answers_an_unknown_path_with_a_page_and_after_it_looked_at_the_key(
    client: Client, method: str, path: str
) -> None:
    status, page, _ = client.send(method, path)

    assert (status, f"<pre>Cannot {method} {path}</pre>" in page) == (404, True)
    assert client.send(method, path, Authorization=None).status == 401


# --- one server of the two, and hosts -------------------------------------------------------------

EUROPEAN_KEY = "sk-helicone-eu-testing-fixture-nothing-private"


def test_jawn_alone_has_no_log_and_no_gateway_of_the_worker() -> None:
    with serving(FakeHelicone(worker=False)) as fake:
        client = Client(fake)
        statuses = [client.post(path, a_log()).status for path in (CUSTOM, "/oai/v1/log", "/v1/trace/custom/v1/log")]
        assert client.post(CUSTOM, a_log(), Authorization=None).status == 401
        chat = {"model": "m", "messages": [QUESTION]}
        chats = [client.post(f"{at}/v1/chat/completions", chat).status for at in ("", "/v1/gateway/oai")]
        health = client.send("GET", "/healthcheck", Authorization=None)
        client.connection.close()

    assert (statuses, chats) == ([404, 404, 200], [404, 200])
    assert health[:2] == (200, {"status": "healthy :)"})
    assert [row.door for row in fake.rows] == ["log", "gateway"]


def test_the_worker_says_in_another_way_that_it_is_healthy(client: Client) -> None:
    assert client.send("GET", "/healthcheck", Authorization=None)[:2] == (200, "")


@pytest.mark.parametrize(
    ("host", "log", "query"),
    [
        ("api.worker.helicone.ai", 200, 404),
        ("API.HCONEAI.COM.:443", 200, 404),
        ("api.helicone.ai", 404, 201),
        ("api.eu.helicone.ai", 421, 421),
        ("api.us.helicone.ai", 421, 421),
        ("us.helicone.ai", 421, 421),
    ],
)
def test_under_a_name_of_helicones_it_has_the_api_of_that_host_only(
    client: Client, host: str, log: int, query: int
) -> None:
    assert client.post(CUSTOM, a_log(), Host=host).status == log
    assert client.post("/v1/request/query", {"filter": "all"}, Host=host).status == query


@pytest.mark.parametrize(
    ("host", "status"), [("oai.helicone.ai", 200), ("oai.eu.hconeai.com", 200), ("oai.eu.helicone.ai", 421)]
)
def test_only_hosts_on_a_route_of_the_worker_are_gateways(client: Client, host: str, status: int) -> None:
    assert client.post("/v1/chat/completions", {"model": "m", "messages": [QUESTION]}, Host=host).status == status


@pytest.mark.parametrize(
    ("host", "knows"),
    [
        ("api.worker.helicone.ai", [True, True]),
        ("api.hconeai.com", [True, True]),
        ("api.eu.hconeai.com", [False, True]),
        ("api.helicone.ai", [True, False]),
        ("eu.api.helicone.ai", [False, True]),
    ],
)
def test_the_region_is_that_of_the_host_or_at_the_worker_of_the_key(
    client: Client, host: str, knows: list[bool]
) -> None:
    client.fake.keys.admit(EUROPEAN_KEY, "a European tenant")
    path = "/v1/trace/custom/v1/log" if host.endswith("api.helicone.ai") else CUSTOM

    known = []
    for key in (client.fake.key, EUROPEAN_KEY):
        client.log(a_log(meta={}), path, Host=host, Authorization=f"Bearer {key}")
        known.append(bool(client.fake.rows))
        client.fake.forget()

    assert known == knows


# --- the tree -------------------------------------------------------------------------------------


def at(path: str, started: int = 0) -> Row:
    return Row("", "log", "", "m", 200, "", started, started, "", {**SESSION, "Helicone-Session-Path": path}, {}, {})


@pytest.mark.parametrize(
    ("paths", "lines"),
    [
        (["/a/b", "/a"], ["a/", "  LLM m", "  b/", "    LLM m"]),
        (["/a", "/a"], ["a/", "  LLM m", "  LLM m"]),
        (["a", "/a"], ["a/", "  LLM m", "  LLM m"]),
        (["/A", "/a"], ["A/", "  LLM m", "a/", "  LLM m"]),
        (["/a/"], ["a/", "  /", "    LLM m"]),
        (["/a//b"], ["a/", "  /", "    b/", "      LLM m"]),
        (["/"], ["/", "  LLM m"]),
        (["//x"], ["/", "  x/", "    LLM m"]),
        (["/a b?c#d%2F"], ["a b?c#d%2F/", "  LLM m"]),
        ([""], []),
    ],
)
def test_a_tree_is_drawn_as_helicone_draws_it(paths: list[str], lines: list[str]) -> None:
    assert tree_lines(session_tree(at(path, start) for start, path in enumerate(paths))) == lines


def test_folders_are_in_the_order_of_their_starts() -> None:
    rows = [at("/late/inner", 2), at("/early", 1)]

    drawn = session_tree(rows)

    assert list(drawn.folders) == ["early", "late"]
    assert drawn.folders["late"].folders["inner"].content == rows[:1]


def test_a_row_without_a_path_is_in_a_folder_without_a_name() -> None:
    row = Row(*["x"] * 2, "", "m", 200, "", 0, 0, "", {}, {}, {})

    tree = session_tree([row])

    assert (tree.content, list(tree.folders)) == ([], [""])
    assert (tree.folders[""].content, tree.folders[""].folders) == ([row], {})


def test_the_clock_of_a_gateway_row_is_that_of_the_machine(client: Client) -> None:
    before = time.time_ns() // 1_000_000
    client.post("/v1/embeddings", {"model": "m", "input": "x"})

    [row] = client.fake.rows
    assert before <= row.started <= row.ended <= time.time_ns() // 1_000_000
