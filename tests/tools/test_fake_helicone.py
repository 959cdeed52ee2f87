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

from helicone_otel.testing import Row, Trouble
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
        "object": "chat",
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
    scope["spans"].append({**scope["spans"][0], "startTimeUnixNano": "soon"})

    assert client.post("/v1/trace/log", body).status == 500
    assert len(client.fake.rows) == 1


@pytest.mark.parametrize("path", ["/v1/trace/log", "/v1/trace/log-python", "/v1/session/query", "/v1/request/x"])
def test_jawn_needs_a_key_that_may_read(client: Client, path: str) -> None:
    for shown in (None, "Bearer sk-unknown", f"Bearer {client.fake.write_only_key}"):
        answer = client.post(path, {}, Authorization=shown)
        assert (answer.status, list(answer.body)) == (401, ["error"])


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
        ({"search": ...}, 400),
        ({"filter": ...}, 400),
        ({"timeFilter": ...}, 400),
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
    assert status == 400 or (said["data"] is None and said["error"])


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
    assert (bodies["request_body"], bodies["response_body"], "request_body" in told) == (ASKED, ANSWERED, False)
    assert client.send("GET", f"/v1/request/{uuid.uuid4()}").status == 500


def test_feedback_is_a_property_of_the_earliest_request(client: Client) -> None:
    later, earlier = logged(client, "/a", 1), logged(client, "/a", 0)

    answers = [client.post("/v1/session/s-1/feedback", {"rating": rating})[:2] for rating in (True, False)]

    marks = {row.id: row.properties.get("Helicone-Session-Feedback") for row in client.fake.rows}
    assert (answers, marks) == ([(200, {"data": None, "error": None})] * 2, {later: None, earlier: "0"})
    assert client.post("/v1/session/s-9/feedback", {"rating": True})[:2] == (
        500,
        {"data": None, "error": "No request found"},
    )
    assert client.post("/v1/session/s-1/feedback", {}).status == 400


def test_a_request_takes_properties_in_any_script_and_a_session_a_tag(client: Client) -> None:
    row_id = logged(client, "/a")

    assert client.send("PUT", f"/v1/request/{row_id}/property", {"key": "Plan", "value": "東"}).status == 200
    assert client.fake.rows[0].properties["Plan"] == "東"
    assert client.send("GET", "/v1/session/s-1/tag").body["data"] is None
    client.post("/v1/session/s-1/tag", {"tag": "x"})
    assert client.send("GET", "/v1/session/s-1/tag").body["data"] == "x"
    assert client.send("PUT", f"/v1/request/{uuid.uuid4()}/property", {"key": "a", "value": "b"}).status == 500


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
    assert client.post("/v1/session/name/query", {**body, "nameContains": "Trip"}).body["data"] == []
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


def test_an_unknown_path_is_answered_404(client: Client) -> None:
    assert client.send("GET", "/v1/session/s-1/nothing").status == 404


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
