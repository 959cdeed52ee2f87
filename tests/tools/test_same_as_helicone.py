"""The view and `run` show of a session what Helicone shows of its rows: requests, errors, folders, badges, order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from openai import OpenAI, OpenAIError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation import httpx as http_instrumentation

from helicone_otel import data, session, step, tool, vector_query
from helicone_otel.destinations import Destinations
from helicone_otel.testing import Helicone
from helicone_otel.tools.cli.receiver import decode
from helicone_otel.tools.cli.tree import build_sessions, logged_rows_by_id
from helicone_otel.tools.fakes.read_api import session_tree
from tests.support.view_seed import span
from tests.support.viewing import ViewClient, posted_row

QUESTION = {"role": "user", "content": "Where to?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
LABEL = {"helicone.session.id": "s", "helicone.session.name": "Trip", "helicone.session.path": "/plan"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "openai"}
GATEWAY = "https://oai.helicone.ai/v1/chat/completions"
# By path, in the order of the tree: badge and failure of each request.
Outline: TypeAlias = list[tuple[str, list[tuple[str, bool]]]]


@pytest.fixture(autouse=True)
def _http_spans(helicone: Helicone) -> Iterator[None]:
    names = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")
    instrumentors = [getattr(http_instrumentation, name)() for name in names if hasattr(http_instrumentation, name)]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=helicone.provider)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def ask(helicone: Helicone, operation: str = "chat", answer: dict[str, Any] | None = None, retries: int = 1) -> None:
    """Call a model, in a span with the content of the answer as an instrumentation writes it."""
    attributes = {**CHAT, "gen_ai.operation.name": operation}
    if answer is not None:
        parts = [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {}}]
        written = [{"role": "assistant", "parts": parts, "finish_reason": "tool_calls"}]
        attributes["gen_ai.output.messages"] = json.dumps(written)
        helicone.answer_with(answer)
    with (
        helicone.tracer.start_as_current_span(f"{operation} m", attributes=attributes),
        OpenAI(max_retries=retries) as client,
    ):
        if operation == "chat":
            client.chat.completions.create(model="m", messages=[QUESTION])  # type: ignore[list-item]
        else:
            client.embeddings.create(model="m", input="Porto")


def calls_a_tool() -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def in_helicone(helicone: Helicone) -> Outline:
    folders = list(session_tree(helicone.rows("s")).walk())
    return [(folder.path, [(row.badge, row.failed) for row in folder.content]) for folder in folders[1:]]


def in_view(view: ViewClient) -> Outline:
    shown = view.session("s", "Trip")
    return [
        (
            level["path"],
            [(one["badge"], bool(one["error"])) for one in shown["requests"] if one["path"] == level["path"]],
        )
        for level in shown["tree"]
    ]


def in_run(helicone: Helicone) -> list[tuple[str, list[bool]]]:
    """Return the outline of what `run` draws, without badges: it keeps no content."""
    spans = decode(encode_spans(helicone.spans).SerializeToString())
    [drawn] = build_sessions(spans, Destinations(), logged_rows_by_id(helicone.rows("s")))
    return [
        (level.path, [request.error is not None for request in level.requests])
        for level in drawn.root.walk()
        if level.path != "/" or level.requests
    ]


@pytest.mark.skipif(
    not hasattr(http_instrumentation, "HTTPX2ClientInstrumentor"),
    reason="this OpenTelemetry has no spans of httpx2, which OpenAI's SDK sends by: the view sees no attempts",
)
def test_a_session_is_shown_as_helicone_shows_it(helicone: Helicone, view: ViewClient) -> None:
    helicone.configure(log=True, capture_headers=True)
    with session("Trip", id="s"):
        with data("note"):
            pass
        with step("plan"):
            with step("weather"):
                time.sleep(0.002)
            helicone.answer_with(429)
            ask(helicone, answer=calls_a_tool())
            with pytest.raises(ZeroDivisionError), tool("find"), vector_query("guides", system="qdrant"):
                raise ZeroDivisionError
            helicone.answer_with(500, 500)
            with pytest.raises(OpenAIError):
                ask(helicone)
            with step("remember"):
                ask(helicone, "embeddings")
    view.send(encode_spans(helicone.spans))

    expected: Outline = [
        ("/note", [("Data", False)]),
        ("/plan", [("LLM", True), ("Tool", False), ("LLM", True), ("LLM", True)]),
        ("/plan/find", [("Tool", True)]),
        ("/plan/find/search", [("VectorDB", True)]),
        ("/plan/remember", [("LLM", False)]),
    ]
    assert in_helicone(helicone) == expected
    assert in_view(view) == expected
    assert in_run(helicone) == [(path, [failed for _, failed in requests]) for path, requests in expected]
    ids = {row.id for row in helicone.rows("s")}
    shown = view.session("s", "Trip")["requests"]
    # The earlier attempts have no span with the id that the gateway gave them.
    assert len([one for one in shown if one["id"] in ids]) == len(ids) - 2


# --- attempts at a gateway, in spans of any origin ----------------------------------------------------------------


def attempts(*statuses: int, url: str = GATEWAY, **attributes: Any) -> list[dict[str, Any]]:
    """Return the span of a call of 100 ms, and 10 ms for each of its HTTP requests, one each 20 ms."""
    fields = {"scope": "opentelemetry.instrumentation.httpx", "kind": "CLIENT", "name": "POST", "length": 10}
    return [
        span(1, 1, attributes={**CHAT, **LABEL, **attributes}, length=100),
        *(
            span(1, 2 + n, 1, start=20 * n, attributes={"url.full": url, "http.response.status_code": status}, **fields)
            for n, status in enumerate(statuses)
        ),
    ]


def shown(view: ViewClient) -> list[tuple[float, float, str | None]]:
    """Return start and end, in milliseconds since that of the first, and error of each request."""
    requests = view.session("s")["requests"]
    zero = requests[0]["start_ms"]
    return [(one["start_ms"] - zero, one["end_ms"] - zero, one["error"]) for one in requests]


def test_each_attempt_is_a_request_of_the_same_call(view: ViewClient) -> None:
    view.take(*attempts(429, 503, 200, **{"gen_ai.input.messages": json.dumps([QUESTION])}))

    assert shown(view) == [(0, 10, "status 429"), (20, 30, "status 503"), (40, 100, None)]
    requests = view.session("s")["requests"]
    assert {(one["path"], one["kind"], one["model"], one["badge"]) for one in requests} == {
        ("/plan", "llm", "m", "LLM")
    }
    assert len({one["id"] for one in requests}) == 3
    session_ = view.session("s")["session"]
    assert (session_["requests"], session_["errors"], session_["kinds"]) == (3, 2, {"llm": 3})
    # What was sent was the same each time; only the last attempt has an answer.
    for one in requests:
        [message] = view.request(one["id"])["messages"]
        assert (message["role"], message["from"]) == ("user", "input")


def test_one_attempt_is_as_long_as_its_call_and_fails_with_its_status(view: ViewClient) -> None:
    view.take(*attempts(400))

    assert shown(view) == [(0, 100, "status 400")]


def test_attempts_are_the_same_in_whatever_order_their_spans_arrive(view: ViewClient) -> None:
    call, refused, answered = attempts(429, 200)
    for arriving in (answered, refused, call, refused):
        view.take(arriving)

    assert shown(view) == [(0, 10, "status 429"), (20, 100, None)]


def test_the_time_to_the_first_token_counts_from_the_last_attempt(view: ViewClient) -> None:
    view.take(*attempts(429, 200, **{"gen_ai.response.time_to_first_chunk": 0.03}))

    assert [one["ttft_ms"] for one in view.session("s")["requests"]] == [None, 10.0]


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1/chat/completions", "https://api.worker.helicone.ai/x", "", 5]
)
def test_attempts_at_other_hosts_are_one_request_for_one_row_is_logged(view: ViewClient, url: str) -> None:
    view.take(*attempts(429, 200, url=url))

    assert shown(view) == [(0, 100, None)]


# --- badges and errors --------------------------------------------------------------------------------------------


def test_without_content_the_reason_of_the_end_says_that_a_gateways_answer_calls_tools(view: ViewClient) -> None:
    view.take(*attempts(200, **{"gen_ai.response.finish_reasons": ["tool_calls"]}))

    assert [one["badge"] for one in view.session("s")["requests"]] == ["Tool"]


def test_a_row_without_content_shows_no_tools(view: ViewClient) -> None:
    call, *_ = attempts(**{"gen_ai.response.finish_reasons": ["tool_calls"]})
    view.take(call)

    assert [one["badge"] for one in view.session("s")["requests"]] == ["LLM"]


ROW = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"


@pytest.mark.parametrize(
    ("asked_for", "answered", "badge"),
    [
        ({"model": "m", "messages": [QUESTION]}, calls_a_tool(), "Tool"),
        (
            {"model": "claude-x", "messages": [QUESTION]},
            {"model": "claude-x", "content": [{"type": "tool_use", "id": "c", "name": "find", "input": {}}]},
            "Tool",
        ),
        ({"model": "m", "messages": [QUESTION]}, {"choices": [{"message": {"content": "Oslo"}}]}, "LLM"),
        ({"model": "m", "input": "x", "encoding_format": "float"}, {"data": []}, "LLM"),
        ({"_type": "tool", "toolName": "find", "input": {}}, {"_type": "tool", "toolName": "find"}, "Tool"),
        ({"_type": "vector_db", "operation": "search"}, {"_type": "vector_db"}, "VectorDB"),
        ({"_type": "data", "name": "rerank"}, {"_type": "data", "name": "rerank", "content": calls_a_tool()}, "Data"),
    ],
)
@pytest.mark.parametrize("spans", ["", "before", "after"])
def test_a_row_has_the_badge_of_its_content(
    view: ViewClient, asked_for: Any, answered: Any, badge: str, spans: str
) -> None:
    row = posted_row("s", "/plan", "Trip", request_id=ROW, asked_for=asked_for, answered=answered)
    [of_span] = attempts(**{"helicone.span.kind": "llm", "helicone.request.id": ROW})
    if spans == "before":
        view.take(of_span)
    view.log(row)
    if spans == "after":
        view.take(of_span)

    [one] = view.session("s")["requests"]
    assert (one["id"], one["badge"], view.request(ROW)["badge"]) == (ROW, badge, badge)


def test_a_call_fails_if_its_span_has_a_failed_status_only(view: ViewClient) -> None:
    call, *_ = attempts(**{"http.response.status_code": 400, "error.message": "no such model"})
    view.take(call)

    assert shown(view) == [(0, 100, "no such model")]
