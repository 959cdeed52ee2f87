"""The sessions of a view: spans and rows that arrive become the sessions that the library would make of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from helicone_otel import session, step, tool, vector_query
from helicone_otel.testing import Helicone
from helicone_otel.tools.view.labelling import SessionSpan, StoredSpan, TraceLabeller
from helicone_otel.wire import percent_encoded
from tests.support import replay
from tests.support.view_seed import recorded, request_of, review, span
from tests.support.viewing import ViewClient, posted_row, view_client

EPOCH = 1_760_000_000_000_000_000
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up"}
# Spans that the view labels better: it has their final attributes, which the library in the app learnt too late.
KNOWN_BETTER = {
    ("langsmith_otel", "plan trip"),
    ("oi_llamaindex", "GET"),
}
ALL = tuple(sorted(file.stem for file in replay.RECORDINGS.glob("*.json")))
SOME = ("genai_smolagents", "oi_anthropic", "tl_chroma", "otel_db_semconv_new")


@pytest.fixture(scope="module")
def reviews() -> Iterator[ViewClient]:
    """Five reviews of eight questions, ten minutes apart; in the third a check fails. And another session."""
    with view_client() as one:
        for number in range(1, 6):
            spans = review(number, f"review/{number}", 8, EPOCH + number * 600_000_000_000, fails=number == 3)
            one.send(request_of("reviewer", spans))
        one.take(span(77, 1, attributes=CHAT, epoch=EPOCH), service="other")
        yield one


# --- labelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [SOME, pytest.param(ALL, marks=pytest.mark.slow)], ids=["some", "all"])
def test_the_spans_of_recordings_get_the_labels_that_the_library_gives_them(
    view: ViewClient, names: tuple[str, ...]
) -> None:
    view.send(*recorded(names))
    with view.view.database.reading() as connection:
        sql = "SELECT s.span, p.path, p.kind, p.request IS NOT NULL FROM places p JOIN spans s ON s.id = p.id"
        found = {row[0]: (row[1], row[2], bool(row[3])) for row in connection.execute(sql)}
    differing = set()
    for name in names:
        recording = replay.load(name)
        span_names = {one["span_id"]: one["name"] for one in recording["spans"]}
        for key, outcome in replay.replay(recording).items():
            expected = (outcome.path, outcome.kind, outcome.request) if outcome.session_id else None
            if found.get(key) != expected:
                differing.add((name, span_names[key]))

    assert differing == {(name, span_name) for name, span_name in KNOWN_BETTER if name in names}
    assert len(found) > 5 * len(names)


def test_labels_that_the_library_wrote_in_the_app_are_kept(view: ViewClient, helicone: Helicone) -> None:
    with session("Trip Planning", id="trip-42", user_id="u-1", properties={"env": "staging"}), step("research"):
        with tool("get_weather"), vector_query("guides", system="qdrant"):
            pass
        with helicone.tracer.start_as_current_span("chat m", attributes=CHAT):
            pass
    view.send(encode_spans(helicone.spans))

    shown = view.session("trip-42", "Trip Planning")
    # Two levels are steps without a span, which have no kind of their own.
    tree = {node["path"]: node["kind"] or next(iter(node["kinds"])) for node in shown["tree"]}
    assert tree == {path: kinds[0] for path, kinds in helicone.tree().items()}
    assert (shown["session"]["users"], shown["session"]["properties"]) == (["u-1"], {"env": ["staging"]})
    ids = {str((one.attributes or {})["helicone.request.id"]) for one in helicone.spans if _is_request(one)}
    assert {one["id"] for one in shown["requests"]} == ids


def _is_request(one: Any) -> bool:
    return "helicone.request.id" in (one.attributes or {})


def test_a_service_of_another_language_continues_the_session_of_its_caller(view: ViewClient) -> None:
    label = {"helicone.session.id": "s", "helicone.session.path": "/plan/call", "helicone.session.name": "Trips"}
    ours = span(1, 1, name="call", attributes={**label, "helicone.span.kind": "task"}, length=50)
    theirs = [
        span(
            1,
            2,
            1,
            name="POST /weather",
            kind="SERVER",
            scope="@opentelemetry/instrumentation-http",
            start=5,
            length=40,
        ),
        span(1, 3, 2, name="execute_tool look_up", scope="weather", attributes=TOOL, start=6),
    ]
    view.take(ours, service="planner")
    view.take(*theirs, service="weather")

    assert view.requests("s") == [("/plan/call/look_up", "tool", "look_up")]
    assert view.session("s")["session"]["services"] == ["planner", "weather"]


def test_what_the_span_of_a_call_lacks_is_shown_from_its_wrappers(view: ViewClient) -> None:
    captured = {**TOOL, "gen_ai.tool.call.arguments": '{"city": "Oslo"}', "gen_ai.tool.call.result": "4 degrees"}
    wrapper = span(1, 1, name="execute_tool look_up", scope="weather", attributes=captured, length=50)
    inner = span(1, 2, 1, name="execute_tool look_up", scope="mcp", attributes=TOOL, start=5)
    # Another run of the tool beside it has its own content, or none.
    view.take(wrapper, inner, span(1, 3, name="execute_tool look_up", scope="mcp", attributes=TOOL, start=60))

    [summary] = view.get("sessions")["sessions"]
    requests = view.session(summary["id"])["requests"]
    assert [view.get("request", id=one["id"])["tool"] for one in requests] == [
        {"name": "look_up", "input": {"city": "Oslo"}, "result": "4 degrees"},
        {"name": "look_up", "input": None, "result": None},
    ]


def test_the_order_of_arrival_changes_nothing(view: ViewClient) -> None:
    spans = review(1, "review/1", 3, EPOCH, fails=True)
    view.take(*spans)
    at_once = view.session("review/1")
    view.clear()
    shuffled = [*spans, *random.Random(7).sample(spans, 4)]  # some arrive twice
    for one in sorted(shuffled, key=lambda one: one["end_time_unix_nano"]):
        view.send(request_of("shop", [one]))  # children before parents, each batch read before the next

    assert {**view.session("review/1"), "revision": 0} == {**at_once, "revision": 0}


def test_spans_that_are_each_others_parents_are_shown(view: ViewClient) -> None:
    view.take(span(1, 1, 2, attributes=CHAT), span(1, 2, 1, attributes=CHAT, start=1), span(2, 3, attributes=CHAT))

    assert view.get("status")["requests"] == 3


@pytest.mark.failures
def test_a_trace_that_cannot_be_labelled_does_not_stop_the_others(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    label = TraceLabeller.label

    def failing(
        self: TraceLabeller, spans: Sequence[StoredSpan], neighbours: Sequence[StoredSpan] = ()
    ) -> list[SessionSpan]:
        if spans[0].span.trace_id == f"{1:032x}":
            raise RuntimeError("broken")
        return label(self, spans, neighbours)

    monkeypatch.setattr(TraceLabeller, "label", failing)
    view.take(span(1, 1, attributes=CHAT), span(2, 2, attributes=CHAT))

    assert [one["id"] for one in view.get("sessions")["sessions"]] == [str(uuid.UUID(int=2))]
    assert "the view's labelling" in caplog.text


def test_odd_attributes_are_shown_without_errors(view: ViewClient, caplog: pytest.LogCaptureFixture) -> None:
    request = request_of("shop", [span(1, 1, attributes={**CHAT, "gen_ai.conversation.id": "c"})])
    one = request.resource_spans[0].scope_spans[0].spans[0]
    mixed = AnyValue(array_value=ArrayValue(values=[AnyValue(), AnyValue(int_value=1), AnyValue(string_value="a")]))
    deep = AnyValue(string_value="bottom")
    for _ in range(20):
        deep = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=deep)]))
    odd = {
        "": AnyValue(int_value=1),
        "mixed": mixed,
        "deep": deep,
        "bytes": AnyValue(bytes_value=b"\xff"),
        "none": AnyValue(),
    }
    one.attributes.extend(KeyValue(key=key, value=value) for key, value in odd.items())
    one.attributes.append(KeyValue(key="nan", value=AnyValue(double_value=float("nan"))))
    one.end_time_unix_nano = 2**64 - 1
    view.send(request)

    (shown,) = view.session("c")["requests"]
    attributes = dict(view.request(shown["id"])["attributes"])
    assert (attributes["mixed"], attributes["bytes"], attributes["nan"]) == ([None, 1, "a"], "ff", "nan")
    assert caplog.text == ""


def test_a_trace_in_which_nothing_is_recognised_makes_no_session(view: ViewClient) -> None:
    view.take(span(1, 1, name="GET /", kind="SERVER", scope="http"), span(1, 2, 1, name="work", scope="my.app"))

    assert view.get("sessions")["total"] == 0


def test_a_provisional_session_id_is_replaced_when_a_span_with_a_real_one_arrives(view: ViewClient) -> None:
    view.take(span(1, 2, 1, attributes=CHAT, start=1))
    assert view.get("sessions")["sessions"][0]["id"] == str(uuid.UUID(int=1))

    view.take(
        span(
            1,
            1,
            name="invoke_agent a",
            attributes={"gen_ai.conversation.id": "c-1", "gen_ai.agent.name": "a"},
            length=9,
        )
    )

    assert [(one["id"], one["requests"]) for one in view.get("sessions")["sessions"]] == [("c-1", 1)]


# --- rows of the log API ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row_first", [True, False])
def test_a_span_and_a_row_of_the_same_request_are_one(view: ViewClient, row_first: bool) -> None:
    id_ = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"
    label = {
        "helicone.session.id": "s",
        "helicone.session.path": "/plan",
        "helicone.session.name": "Trips",
        "helicone.span.kind": "llm",
        "helicone.request.id": id_,
    }
    one = span(1, 1, attributes={**CHAT, **label}, length=20)
    row = posted_row("s", "/plan", "Trips", request_id=id_)
    for arrives in (lambda: view.log(row), lambda: view.take(one))[:: 1 if row_first else -1]:
        arrives()

    shown = view.session("s", "Trips")
    assert [(r["id"], r["path"], r["duration_ms"], r["input_tokens"]) for r in shown["requests"]] == [
        (id_, "/plan", 20.0, 3)
    ]
    request = view.request(id_)
    assert (request["logged"], request["trace"]["trace_id"]) == (True, f"{1:032x}")
    assert [part["text"] for message in request["messages"] for part in message["parts"]] == ["hi", "hello"]


@pytest.mark.parametrize("encoded", [str, percent_encoded], ids=["text", "percent-encoded"])
def test_rows_and_spans_of_any_language_meet_in_one_session(view: ViewClient, encoded: Callable[[str], str]) -> None:
    id_, name, path = "Ünïcode/1％2F2", "旅行 50％", "/計画"
    properties = {"Stadt": encoded("Köln")}
    label = {"helicone.session.id": id_, "helicone.session.name": name, "helicone.session.path": path}
    view.take(span(1, 1, attributes={**CHAT, **label}))
    view.log(posted_row(encoded(id_), encoded(path), encoded(name), user=encoded("zoë"), properties=properties))

    shown = view.session(id_, name)
    assert [request["path"] for request in shown["requests"]] == [path, path]


def test_a_row_without_a_span_is_a_request_of_its_own(view: ViewClient) -> None:
    view.log(posted_row("s", "/a/b", "Rows", user="u-1", properties={"Env": "prod"}))

    shown = view.session("s", "Rows")
    assert view.requests("s") == [("/a/b", "llm", "gpt-4o-mini")]
    assert (shown["session"]["users"], shown["session"]["properties"]) == (["u-1"], {"env": ["prod"]})
    assert view.request(shown["requests"][0]["id"])["trace"] is None


@pytest.mark.parametrize(
    ("asked_for", "answered", "field", "shown"),
    [
        (
            {"_type": "tool", "toolName": "get_weather", "input": {"city": "Oslo"}},
            {"_type": "tool", "toolName": "get_weather", "status": "success", "result": {"temp_c": 4}},
            "tool",
            {"name": "get_weather", "input": {"city": "Oslo"}, "result": {"temp_c": 4}},
        ),
        (
            {"_type": "tool", "input": {"city": "Oslo"}},  # has the request's name, not the session's
            {"_type": "tool", "status": "success", "result": {"temp_c": 4}},
            "tool",
            {"name": "tool", "input": {"city": "Oslo"}, "result": {"temp_c": 4}},
        ),
        (
            {"_type": "vector_db", "operation": "search", "databaseName": "pinecone", "query": "visa", "topK": 2},
            {"_type": "vector_db", "matches": [{"id": "a", "score": 0.91, "text": "t"}, {"id": 2, "score": "0.7"}]},
            "vector",
            {
                "operation": "search",
                "database": "pinecone",
                "collection": None,
                "query": "visa",
                "top_k": 2,
                "filter": None,
                "matches": [
                    {"id": "a", "score": 0.91, "text": "t", "metadata": None},
                    {"id": "2", "score": 0.7, "text": None, "metadata": None},
                ],
            },
        ),
        (
            {"_type": "data", "name": "rerank", "candidates": 12},
            {"_type": "data", "name": "rerank", "result": {"kept": 5}},
            "data",
            {"input": {"candidates": 12}, "output": {"result": {"kept": 5}}},
        ),
    ],
)
def test_helicones_own_shapes_are_shown(
    view: ViewClient, asked_for: Any, answered: Any, field: str, shown: Any
) -> None:
    view.log(posted_row("s", "/x", "Rows", asked_for=asked_for, answered=answered))

    (one,) = view.session("s")["requests"]
    assert view.request(one["id"])[field] == shown


@pytest.mark.parametrize(
    ("asked_for", "answered"),
    [
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
            {
                "choices": [
                    {
                        "message": {
                            "content": "a",
                            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
                        }
                    }
                ]
            },
        ),
        (
            {"instructions": "s", "input": [{"role": "user", "content": [{"type": "input_text", "text": "u"}]}]},
            {
                "output": [
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
                    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                ]
            },
        ),
        (
            {"system": "s", "messages": [{"role": "user", "content": [{"type": "text", "text": "u"}]}]},
            {"content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        ),
        (
            {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "u"}]}]},
            {
                "candidates": [
                    {
                        "content": {
                            "role": "model",
                            "parts": [{"text": "a"}, {"functionCall": {"id": "1", "name": "f", "args": {}}}],
                        }
                    }
                ]
            },
        ),
    ],
    ids=["chat", "responses", "anthropic", "google"],
)
def test_conversations_of_all_providers_read_alike(view: ViewClient, asked_for: Any, answered: Any) -> None:
    view.log(posted_row("s", "/x", "Rows", asked_for=asked_for, answered=answered))
    (one,) = view.session("s")["requests"]

    messages = view.request(one["id"])["messages"]
    assert [(message["role"], part) for message in messages for part in message["parts"]] == [
        ("system", {"type": "text", "text": "s"}),
        ("user", {"type": "text", "text": "u"}),
        ("assistant", {"type": "text", "text": "a"}),
        ("assistant", {"type": "tool_call", "id": "1", "name": "f", "arguments": {}}),
    ]


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_list_has_the_numbers_of_each_session_and_of_all(reviews: ViewClient) -> None:
    found = reviews.get("sessions", name="reviewer", sort="start")

    assert [one["id"] for one in found["sessions"]] == [f"review/{number}" for number in range(1, 6)]
    first = found["sessions"][0]
    assert (first["requests"], first["kinds"], first["errors"]) == (24, {"llm": 8, "tool": 8, "vector_db": 8}, 0)
    # From the first request to the end of the last one; the agent around them took longer.
    assert first["duration_ms"] == first["last_ms"] - first["start_ms"] == 7 * 60 + 32 + 47
    assert found["totals"]["requests"] == 120
    assert found["totals"]["sessions_with_errors"] == 1
    for bars in found["histograms"].values():
        assert sum(bar["count"] for bar in bars) == 5


def test_histograms_show_all_values_or_those_up_to_a_percentile_or_an_inner_range(view: ViewClient) -> None:
    label = {**CHAT, "gen_ai.usage.input_tokens": 10}
    for number in range(1, 21):  # sessions of 1 to 19 requests, and one of 100
        calls = 100 if number == 20 else number
        spans = (
            span(number, one, attributes={**label, "gen_ai.conversation.id": f"s-{number}"}, start=one)
            for one in range(1, calls + 1)
        )
        view.take(*spans)

    def shown(**parameters: object) -> tuple[int, float, float]:
        """Return how many sessions the bars of the requests count, and their outer borders."""
        bars = view.get("sessions", **parameters)["histograms"]["requests"]
        return sum(bar["count"] for bar in bars), bars[0]["from"], bars[-1]["to"]

    assert shown() == (20, 0, 105)
    assert shown(range="p95") == (19, 1, 20)
    assert shown(range="p75") == (15, 1, 16)
    assert shown(range="p75", inner=1) == (11, 5, 16)
    assert shown(search="s-3") == (1, 3, 4)
    totals = view.get("sessions")["totals"]
    assert totals["mean"] == {"requests": 14.5, "duration_ms": 14.5, "tokens": 145, "cost": None}
    assert totals["duration_ms"] == {"mean": 14.5, "p50": 10, "p95": 19, "max": 100}
    assert view.get("sessions", search="nobody")["histograms"] == {
        "requests": [],
        "duration_ms": [],
        "tokens": [],
        "cost": [],
    }


@pytest.mark.parametrize(
    ("parameters", "ids"),
    [
        ({"search": "REVIEW/4"}, ["review/4"]),
        ({"search": "u-2 view"}, ["review/2"]),
        ({"search": "nobody"}, []),
        ({"search": "%"}, []),
        ({"errors": 1}, ["review/3"]),
        ({"from": EPOCH / 1e6 + 4 * 600_000 + 100}, ["review/5", "review/4"]),
        ({"to": EPOCH / 1e6 + 600_100, "name": "reviewer"}, ["review/1"]),
        ({"name": "other"}, [str(uuid.UUID(int=77))]),
        ({"name": ""}, []),
        ({"name": "reviewer", "size": 2, "page": 2}, ["review/3", "review/2"]),
        ({"name": "reviewer", "sort": "-errors", "size": 1}, ["review/3"]),
        ({"sort": "requests", "size": 1}, [str(uuid.UUID(int=77))]),
    ],
)
def test_filters_select_sessions(reviews: ViewClient, parameters: dict[str, object], ids: list[str]) -> None:
    assert [one["id"] for one in reviews.get("sessions", **parameters)["sessions"]] == ids


def test_names_have_counts(reviews: ViewClient) -> None:
    found = reviews.get("names")

    assert [(one["name"], one["sessions"], one["errors"]) for one in found["names"]] == [
        ("reviewer", 5, 1),
        ("other", 1, 0),
    ]
    assert reviews.get("names", contains="VIEW")["total"] == 1


def test_sessions_of_one_name_are_compared(reviews: ViewClient) -> None:
    found = reviews.get("compare", ("id", "review/2"), ("id", "review/3"), name="reviewer")

    assert [one["id"] for one in found["sessions"]] == ["review/2", "review/3"]
    paths = {one["path"]: one for one in found["paths"]}
    check = paths["/reviewer/security_check"]
    assert (check["count"], check["sessions"], check["error_rate"]) == (4, 2, 0.5)
    assert [(one["session"], one["errors"]) for one in check["moved"]] == [(0, 0), (1, 2)]
    assert check["p95"] >= check["p50"] > 40


def test_two_sets_of_sessions_are_compared_by_time_or_by_a_property(view: ViewClient) -> None:
    for number in range(1, 5):
        env = ("staging", "prod")[number % 2]
        told = {**CHAT, "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": number * 1000}
        label = {
            "gen_ai.conversation.id": f"s-{number}",
            "helicone.property.env": env,
            "gen_ai.provider.name": "openai",
        }
        at = {"helicone.session.path": "/later"} if number > 2 else {"helicone.session.path": "/both"}
        both = {"helicone.session.path": "/both"}
        epoch = EPOCH + number * 10**9 + 7003  # not exact as a float
        view.take(
            span(number, 1, attributes={**told, **label, **both}, length=number * 10, epoch=epoch),
            span(number, 2, attributes={**told, **label, **at}, length=number * 10, epoch=epoch),
        )

    whole = view.get("compare", name="shop")
    assert (whole["sets"], whole["properties"]) == (None, {"env": ["prod", "staging"]})
    assert [one["set"] for one in whole["sessions"]] == [None] * 4
    halves = view.get("compare", name="shop", at=EPOCH / 1e6 + 3000)
    assert [one["set"] for one in halves["sessions"]] == [0, 0, 1, 1]
    at = halves["sessions"][2]["start_ms"]  # as the page asks
    assert view.get("compare", name="shop", at=at)["sessions"] == halves["sessions"]
    assert [(one["sessions"], one["p50"], one["tokens"], one["cost"]) for one in halves["sets"]] == [
        (2, 10, 3000, 0.00045),
        (2, 30, 7000, 0.00105),
    ]
    assert [(one["session"], one["count"], one["p50"], one["tokens"], one["cost"]) for one in whole["whole"]] == [
        (number - 1, 2, number * 10, number * 2000, number * 0.0003) for number in range(1, 5)
    ]
    paths = {one["path"]: one["sets"] for one in halves["paths"]}
    assert [one["count"] for one in paths["/both"]] == [4, 2]
    assert [one["p99"] for one in paths["/both"]] == [20, 40]
    assert [one["tokens"] for one in paths["/both"]] == [3000, 3500]  # for each session
    assert [one["cost"] for one in paths["/both"]] == [0.00045, 0.000525]
    assert paths["/later"][0] is None
    by_env = view.get("compare", name="shop", split="env", a="prod", b="staging")
    assert [one["set"] for one in by_env["sessions"]] == [0, 1, 0, 1]
    assert [one["sessions"] for one in view.get("compare", name="shop", split="env", a="x", b="y")["sets"]] == [0, 0]


# --- one session ------------------------------------------------------------------------------------------------------


def test_the_tree_has_every_level_with_its_runs_and_requests(reviews: ViewClient) -> None:
    shown = reviews.session("review/3")

    assert [
        (n["path"], n["kind"], n["runs"], n["requests"], n["requests_below"], n["errors"]) for n in shown["tree"]
    ] == [
        ("/reviewer", "agent", 1, 8, 24, 2),
        ("/reviewer/read_file", "tool", 6, 6, 12, 0),
        ("/reviewer/read_file/search", "vector_db", 6, 6, 6, 0),
        ("/reviewer/security_check", "tool", 2, 2, 4, 2),
        ("/reviewer/security_check/search", "vector_db", 2, 2, 2, 0),
    ]
    assert [one["depth"] for one in shown["tree"]] == [1, 2, 3, 2, 3]


def test_a_level_has_the_kind_of_its_step_and_the_mix_of_what_is_below(view: ViewClient) -> None:
    at = {"helicone.session.id": "s", "helicone.session.name": "Trips", "helicone.session.path": "/plan"}
    embed = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"}
    by_hand = [
        span(1, 1, attributes={**embed, **at}),
        *(span(1, 1 + number, attributes={**CHAT, **at}, start=number * 10, length=5) for number in (1, 2, 3)),
        span(1, 9, attributes={**TOOL, **at, "helicone.session.path": "/plan/look_up"}, start=50),
    ]
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "gen_ai.conversation.id": "c"}
    with_step = [
        span(2, 20, name="invoke_agent planner", attributes=agent, length=90),
        span(2, 21, 20, attributes=embed, start=1),
        span(2, 22, 20, attributes=CHAT, start=3),
    ]
    view.take(*by_hand, *with_step)

    shown = [[(n["path"], n["kind"], n["kinds"]) for n in view.session(session)["tree"]] for session in ("s", "c")]
    assert shown == [
        [
            ("/plan", None, {"llm": 3, "embedding": 1, "tool": 1}),
            ("/plan/look_up", "tool", {"tool": 1}),
        ],
        [("/planner", "agent", {"embedding": 1, "llm": 1})],
    ]


def test_time_is_busy_while_at_least_one_request_runs(view: ViewClient) -> None:
    label = {**CHAT, "gen_ai.conversation.id": "c"}
    times = ((0, 10), (5, 10), (100, 20), (105, 5), (1000, 1))
    view.take(*(span(1, 1 + place, attributes=label, start=at, length=took) for place, (at, took) in enumerate(times)))
    shown = view.session("c")

    assert (shown["session"]["busy_ms"], shown["session"]["duration_ms"]) == (15 + 20 + 1, 1001)
    assert [(node["busy_ms"], node["duration_ms"]) for node in shown["tree"]] == [(36, 1001)]


@pytest.mark.parametrize(
    ("spans", "critical"),
    [
        # One after the other, with a pause: all.
        ([("/a", CHAT, 0, 10), ("/a", CHAT, 12, 10), ("/a", CHAT, 30, 5)], [0, 1, 2]),
        # Beside each other: the one that ended last.
        ([("/a", CHAT, 0, 10), ("/a", CHAT, 10, 20), ("/a", CHAT, 10, 30), ("/a", CHAT, 40, 5)], [0, 2, 3]),
        # What a tool did is on it if the tool is.
        (
            [
                ("/a/t", TOOL, 0, 30),
                ("/a/t/s", CHAT, 2, 10),
                ("/a/t/s", CHAT, 14, 10),
                ("/a/u", TOOL, 0, 20),
                ("/a/u/s", CHAT, 2, 10),
            ],
            [0, 1, 2],
        ),
        # Not what a tool did that runs on beside the next step.
        ([("/a", CHAT, 0, 10), ("/a/t", TOOL, 11, 30), ("/a/t/s", CHAT, 12, 3), ("/a", CHAT, 20, 40)], [0, 3]),
        # Requests that take no time do not stop the search.
        ([("/a", CHAT, 0, 10), ("/a", CHAT, 20, 0), ("/a", CHAT, 20, 0)], [0, 1, 2]),
    ],
)
def test_the_critical_path_is_what_the_end_of_the_session_waited_for(
    view: ViewClient, spans: list[tuple[str, dict[str, Any], int, int]], critical: list[int]
) -> None:
    label = {"helicone.session.id": "s", "helicone.session.name": ""}
    view.take(
        *(
            span(1, 1 + place, attributes={**kind, **label, "helicone.session.path": path}, start=start, length=length)
            for place, (path, kind, start, length) in enumerate(spans)
        )
    )
    shown = view.session("s")
    found = {view.request(one["id"])["trace"]["span_id"] for one in shown["requests"] if one["critical"]}

    assert found == {f"{1 + place:016x}" for place in critical}
    assert shown["session"]["critical_ms"] <= shown["session"]["busy_ms"]


def test_the_same_path_has_the_same_colour_everywhere(reviews: ViewClient) -> None:
    shown, compared = reviews.session("review/3"), reviews.get("compare", name="reviewer")
    colours = {one["path"]: one["colour"] for one in shown["tree"]}

    for others in (shown["durations"], compared["paths"], reviews.session("review/1")["tree"]):
        assert {one["path"]: one["colour"] for one in others} == colours
    assert len(set(colours.values())) == len(colours)


def test_no_two_requests_overlap_on_a_lane(reviews: ViewClient) -> None:
    lanes: dict[int, float] = {}
    for one in reviews.session("review/1")["requests"]:
        assert lanes.get(one["lane"], 0) <= one["start_ms"]
        lanes[one["lane"]] = one["end_ms"]

    assert set(lanes) == {0, 1, 2}


def test_a_session_of_the_same_id_and_another_name_is_another(view: ViewClient) -> None:
    for name in ("one", "two"):
        view.log(posted_row("s", "/x", name))

    assert [one["name"] for one in view.get("sessions", search="s", sort="name")["sessions"]] == ["one", "two"]
    assert view.session("s", "one")["session"]["requests"] == 1


# --- one request ------------------------------------------------------------------------------------------------------


def test_a_request_is_shown_with_its_conversation_and_the_spans_around_it(reviews: ViewClient) -> None:
    requests = reviews.session("review/3")["requests"]
    shown = reviews.request(requests[0]["id"])

    assert [(m["role"], m["from"]) for m in shown["messages"]] == [
        ("system", "input"),
        ("user", "input"),
        ("assistant", "output"),
    ]
    assert shown["messages"][2] == {
        "role": "assistant",
        "from": "output",
        "finish_reason": "tool_calls",
        "parts": [{"type": "tool_call", "id": "c1", "name": "read_file", "arguments": {"file": 0}}],
    }
    assert (shown["ttft_ms"], shown["input_tokens"], shown["previous"], shown["next"]) == (
        12.0,
        100,
        None,
        requests[1]["id"],
    )
    assert [one["name"] for one in shown["trace"]["spans"]][:2] == ["invoke_agent reviewer", "chat gpt-4o-mini"]
    assert [one["span_id"] for one in shown["trace"]["spans"] if one["this"]] == [shown["trace"]["span_id"]]


def test_the_headers_that_were_sent_are_shown_with_their_request(view: ViewClient) -> None:
    sent = {
        "http.request.header.helicone-session-id": ["s-1"],
        "http.request.header.helicone-property-env": ["prod"],
        "http.request.header.authorization": ["Bearer of-a-secret-key"],
    }
    view.take(
        span(1, 1, attributes={**CHAT, "gen_ai.conversation.id": "c"}, length=20, kind="CLIENT"),
        span(
            1, 2, 1, name="POST", kind="CLIENT", scope="opentelemetry.instrumentation.httpx", attributes=sent, start=1
        ),
    )
    (one,) = view.session("c")["requests"]

    assert view.request(one["id"])["headers"] == [["Helicone-Session-Id", "s-1"], ["Helicone-Property-env", "prod"]]


@pytest.mark.parametrize(
    ("attributes", "texts"),
    [
        (
            {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "a", "gen_ai.completion.0.content": "b"},
            [("user", "a"), ("assistant", "b")],
        ),
        (
            {
                "llm.input_messages.0.message.role": "system",
                "llm.input_messages.0.message.content": "a",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.contents.0.message_content.type": "text",
                "llm.output_messages.0.message.contents.0.message_content.text": "b",
            },
            [("system", "a"), ("assistant", "b")],
        ),
        (
            {
                "gen_ai.system_instructions": '[{"type": "text", "content": "a"}]',
                "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "b"}]}]',
            },
            [("system", "a"), ("user", "b")],
        ),
        (
            {"langfuse.observation.input": '[{"role": "user", "content": "a"}]', "langfuse.observation.output": "b"},
            [("user", "a"), ("assistant", "b")],
        ),
        (
            {"input.value": '{"system": "a", "messages": [{"role": "user", "content": [{"text": "b"}]}]}'},
            [("system", "a"), ("user", "b")],
        ),
        ({}, []),
    ],
)
def test_conversations_of_all_conventions_read_alike(view: ViewClient, attributes: dict[str, str], texts: Any) -> None:
    view.take(span(1, 1, attributes={**CHAT, "gen_ai.conversation.id": "c", **attributes}))
    (one,) = view.session("c")["requests"]

    messages = view.request(one["id"])["messages"]
    assert [(message["role"], part["text"]) for message in messages for part in message["parts"]] == texts


def test_matches_are_read_from_attributes(view: ViewClient) -> None:
    found = {
        "openinference.span.kind": "RETRIEVER",
        "input.value": "visa rules",
        "retrieval.documents.0.document.id": "a",
        "retrieval.documents.0.document.score": 0.9,
        "retrieval.documents.0.document.content": "Norway: none",
        "retrieval.documents.0.document.metadata": '{"page": 3}',
        "session.id": "c",
    }
    view.take(span(1, 1, name="retrieve", scope="openinference.instrumentation.langchain", attributes=found))
    (one,) = view.session("c")["requests"]

    vector = view.request(one["id"])["vector"]
    assert (vector["query"], vector["matches"]) == (
        "visa rules",
        [{"id": "a", "score": 0.9, "text": "Norway: none", "metadata": {"page": 3}}],
    )


def test_keys_and_folders_are_not_shown(view: ViewClient) -> None:
    secrets = {
        "http.request.header.authorization": ["Bearer abcdefghijk"],
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": "my key is sk-helicone-abcdefg-hijklmn"}]),
        "url.full": "https://user:password123@oai.helicone.ai/v1",
        "code.file.path": "/home/ann/secret-project/app.py",
        "gen_ai.conversation.id": "c",
    }
    view.take(span(1, 1, attributes={**CHAT, **secrets}))
    (one,) = view.session("c")["requests"]
    shown = json.dumps(view.request(one["id"]))

    for secret in ("abcdefghijk", "sk-helicone", "password123", "secret-project"):
        assert secret not in shown
    assert "app.py" in shown


def test_only_some_of_very_many_properties_are_shown_and_users_and_services_still_are(view: ViewClient) -> None:
    properties = [{f"helicone.property.{number}-{key}": "v" for key in range(300)} for number in range(5)]
    label = {"gen_ai.conversation.id": "c", "user.id": "ann"}
    view.take(*(span(1, 1 + number, attributes={**CHAT, **label, **held}) for number, held in enumerate(properties)))
    (one,) = view.get("sessions")["sessions"]

    assert (one["users"], one["services"]) == (["ann"], ["shop"])
    assert list(one["properties"].values()) == [["v"]] * 64


def test_a_span_without_a_start_time_does_not_start_in_1970(view: ViewClient) -> None:
    label = {"gen_ai.conversation.id": "c"}
    unknown = span(1, 2, attributes={**CHAT, **label}, epoch=0, length=0) | {"end_time_unix_nano": EPOCH + 5_000_000}
    view.take(span(1, 1, attributes={**CHAT, **label}, epoch=EPOCH, length=9), unknown)

    assert view.session("c")["session"]["duration_ms"] == 9.0


def test_a_scope_without_a_name_logs_no_warning(view: ViewClient, caplog: pytest.LogCaptureFixture) -> None:
    view.take(span(1, 1, attributes={**CHAT, "gen_ai.conversation.id": "c"}, scope=""))

    assert (view.requests("c"), caplog.messages) == ([("/chat", "llm", "m")], [])


def test_a_path_set_by_hand_is_cut_to_the_limit(view: ViewClient) -> None:
    label = {"helicone.session.id": "c", "helicone.session.path": "a/" * 3000, "helicone.span.kind": "llm"}
    view.take(span(1, 1, attributes={**CHAT, **label}))

    assert view.requests("c") == [("/a" * 16, "llm", "m")]


def test_keys_in_errors_headers_and_texts_of_json_are_not_shown(view: ViewClient) -> None:
    secrets = {
        "llm.headers": "{'anything': 'hidden-by-its-name'}",
        "llm.invocation_parameters": json.dumps(
            {"extra_headers": {"api-key": "hidden-in-json-1", "X-Api-Key": ["hidden-in-json-2"], "Accept": "seen-1"}}
        ),
        "gen_ai.tool.call.arguments": json.dumps(
            json.dumps({"Authorization": "Basic hidden-in-json-3", "q": "seen-2"})
        ),
        "helicone.property.api_key": "hidden-in-properties",
        "gen_ai.conversation.id": "c",
    }
    secrets["error.type"] = "Incorrect API key: sk-hidden-in-the-status"
    view.take(span(1, 1, attributes={**TOOL, **secrets}))
    view.log(
        posted_row("c", "/row", "shop", answered={"error": {"message": "Incorrect API key: sk-hidden-in-the-row"}})
    )
    requests = [view.request(one["id"]) for one in view.session("c")["requests"]]
    shown = json.dumps([requests, view.session("c"), view.get("sessions")])

    assert "hidden-" not in shown
    assert [len(requests), *("seen-1" in shown, "seen-2" in shown)] == [2, True, True]


def test_the_search_for_keys_takes_linear_time() -> None:
    # Quadratic, each of these would keep the whole process busy for minutes.
    program = """
from helicone_otel.tools.redaction import redact_attributes
for text in ("//" + "a:" * 100_000, "/" * 200_000, "/a:" * 66_000, "'a" * 99_000, "'" + "a." * 99_000):
    redact_attributes({"exception.stacktrace": text, "'api_key'" + text: "x", "q": "'api_key'" + " " * 190_000})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_answers_can_be_put_into_a_page_as_they_are(view: ViewClient) -> None:
    nasty = "</script><!-- \u2028 &amp; \ud83d\ude00 \u202e \x00".encode("utf-16", "surrogatepass").decode("utf-16")
    view.take(
        span(1, 1, name=nasty, attributes={**CHAT, "gen_ai.request.model": nasty, "gen_ai.conversation.id": nasty})
    )
    raw = view.raw("sessions")

    assert not {"<", ">", "&", "\u2028"} & set(raw.decode())
    (one,) = json.loads(raw)["sessions"]
    assert one["models"] == [nasty]
    assert view.session(one["id"])["requests"][0]["name"] == nasty
