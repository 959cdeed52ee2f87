"""Rows from each family's spans: forms without a recording, content that is withheld, secrets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel.failures import swallowed
from helicone_otel.log.rows.content import Content, Where
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.sources import EVENTS, SIDES, SOURCES
from helicone_otel.log.rows.types import Event
from helicone_otel.wire import REQUEST_KINDS
from tests.support import logged
from tests.support.logged import bodies, row

USER = {"role": "user", "content": "hi"}
HELLO = {"role": "assistant", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
# Helicone's pages leave out calls without a content.
ASKING = {**CALLING, "content": " "}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "4"}


def _event(name: str, /, **attributes: Any) -> Event:
    return Event(name, logged.START + 40_000_000, {key.replace("__", "."): value for key, value in attributes.items()})


def _conversation(attributes: dict[str, Any], *events: Event) -> tuple[Any, Any]:
    """Return the messages of a row, and the answers."""
    request, response = bodies(row("llm", attributes, events=events))
    return request["messages"], [choice["message"] for choice in response["choices"]]


# --- messages in all forms -----------------------------------------------------------------------

FORMS: dict[str, tuple[dict[str, Any], list[Event]]] = {
    "OpenTelemetry's messages as attributes": (
        {
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]
            ),
        },
        [],
    ),
    "OpenTelemetry's messages in one event": (
        {},
        [
            _event(
                "gen_ai.client.inference.operation.details",
                gen_ai__input__messages=json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
                gen_ai__output__messages=json.dumps([HELLO]),
            )
        ],
    ),
    "OpenTelemetry's messages, an event each": (
        {},
        [
            _event("gen_ai.user.message", content="hi"),
            _event("gen_ai.choice", index=0, message=json.dumps({"role": "assistant", "content": "hello"})),
        ],
    ),
    "Strands' events": (
        {},
        [
            _event("gen_ai.user.message", content='[{"text": "hi"}]'),
            _event("gen_ai.choice", message='[{"text": "hello"}]'),
        ],
    ),
    "OpenLIT's and LangSmith's older events": (
        {},
        [
            _event("gen_ai.content.prompt", gen_ai__prompt=json.dumps([USER])),
            _event("gen_ai.content.completion", gen_ai__completion="hello"),
        ],
    ),
    "LangSmith's attributes": (
        {
            "gen_ai.prompt": json.dumps({"messages": [[{"type": "human", "content": "hi"}]]}),
            "gen_ai.completion": json.dumps(
                {"generations": [[{"text": "hello", "message": {"role": "ai", "content": "hello"}}]]}
            ),
        },
        [],
    ),
    "OpenLLMetry's numbered attributes": (
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "hello",
        },
        [],
    ),
    "OpenInference's numbered attributes": (
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text",
            "llm.input_messages.0.message.contents.0.message_content.text": "hi",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "hello",
        },
        [],
    ),
    "OpenInference's bodies": (
        {
            "input.value": json.dumps({"model": "gpt-4o", "messages": [USER]}),
            "output.value": json.dumps({"choices": [{"message": HELLO}]}),
        },
        [],
    ),
    "Pydantic AI's events": (
        {
            "events": json.dumps(
                [
                    {"event.name": "gen_ai.user.message", "content": "hi", "role": "user"},
                    {"event.name": "gen_ai.choice", "index": 0, "message": HELLO},
                ]
            )
        },
        [],
    ),
    "Logfire's bodies": (
        {
            "request_data": json.dumps({"model": "gpt-4o", "messages": [USER]}),
            "response_data": json.dumps({"message": HELLO, "usage": None}),
        },
        [],
    ),
    "Logfire's streams": (
        {
            "request_data": json.dumps({"messages": [USER]}),
            "response_data": json.dumps({"combined_chunk_content": "hello", "chunk_count": 3}),
        },
        [],
    ),
    "Langfuse's": (
        {"langfuse.observation.input": json.dumps([USER]), "langfuse.observation.output": json.dumps(HELLO)},
        [],
    ),
    "Vercel's": (
        {
            "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
            "ai.response.text": "hello",
        },
        [],
    ),
    "OpenLLMetry's decorators": (
        {
            "traceloop.entity.input": json.dumps({"inputs": "hi", "tags": [], "kwargs": {}}),
            "traceloop.entity.output": json.dumps({"outputs": "hello"}),
        },
        [],
    ),
    "Gemini's contents": (
        {
            "input.value": json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            "output.value": json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}}]}),
        },
        [],
    ),
    "Anthropic's blocks": (
        {
            "input.value": json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}),
            "output.value": json.dumps({"role": "assistant", "content": [{"type": "text", "text": "hello"}]}),
        },
        [],
    ),
    "LangChain's serialised messages": (
        {
            "input.value": json.dumps(
                {"messages": [[{"lc": 1, "id": ["langchain", "HumanMessage"], "kwargs": {"content": "hi"}}]]}
            ),
            "output.value": json.dumps(
                {"generations": [[{"message": {"lc": 1, "kwargs": {"type": "ai", "content": "hello"}}}]]}
            ),
        },
        [],
    ),
    "bare texts": ({"input.value": "hi", "output.value": "hello"}, []),
}


@pytest.mark.parametrize("form", FORMS)
def test_messages_are_read_in_the_form_of(form: str) -> None:
    attributes, events = FORMS[form]

    assert _conversation(attributes, *events) == ([USER], [HELLO])


TOOL_FORMS: dict[str, list[dict[str, Any]]] = {
    "OpenTelemetry": [
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "4"}]},
    ],
    "OpenAI's chats": [CALLING, RESULT],
    "OpenAI's Responses": [
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
    ],
    "Anthropic": [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "4"}]},
    ],
    "Bedrock": [
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}}],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": "4"}}]},
    ],
    "Vercel": [
        {
            "role": "assistant",
            "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "args": {"city": "Oslo"}}],
        },
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "result": "4"}]},
    ],
    "LangChain": [
        {"role": "ai", "content": "", "tool_calls": [{"name": "weather", "args": {"city": "Oslo"}, "id": "c1"}]},
        {"type": "tool", "content": "4", "tool_call_id": "c1", "role": "tool"},
    ],
}


@pytest.mark.parametrize("family", TOOL_FORMS)
def test_tool_calls_and_their_results_are_read_from(family: str) -> None:
    messages, _ = _conversation({"gen_ai.input.messages": json.dumps(TOOL_FORMS[family])})

    assert messages == [ASKING, RESULT]


def test_a_message_that_looks_like_json_stays_a_text() -> None:
    answer = '{"city": "Oslo", "type": "text"}'

    assert _conversation({"gen_ai.output.messages": json.dumps([{"role": "assistant", "content": answer}])})[1] == [
        {"role": "assistant", "content": answer}
    ]
    assert _conversation({}, _event("gen_ai.user.message", content=answer))[0] == [{"role": "user", "content": answer}]


def test_reasoning_and_images_are_kept() -> None:
    parts = [
        {"type": "reasoning", "content": "think"},
        {"type": "text", "content": "see"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBO"},
    ]
    attributes = {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}])}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}

    assert _conversation(attributes)[0] == [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image], "reasoning": "think"}
    ]


# --- providers and shapes ------------------------------------------------------------------------

TALK = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "terse"}]),
    "gen_ai.input.messages": json.dumps([USER, *TOOL_FORMS["OpenTelemetry"]]),
    "gen_ai.output.messages": json.dumps([{**HELLO, "finish_reason": "stop"}]),
    "gen_ai.tool.definitions": json.dumps([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]),
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.max_tokens": 64,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.response.id": "r1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 5,
}


def test_a_call_to_openai_has_openais_bodies() -> None:
    made = row("llm", {**TALK, "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"})

    assert (made.route, made.body["providerRequest"]["url"]) == (
        "/oai/v1/log",
        "https://api.openai.com/v1/chat/completions",
    )
    assert bodies(made) == (
        {
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "terse"}, USER, ASKING, RESULT],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
            "temperature": 0.5,
            "max_tokens": 64,
            "stop": ["END"],
        },
        {
            "id": "r1",
            "object": "chat.completion",
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": HELLO, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
        },
    )


def test_a_call_to_anthropic_has_anthropics_bodies_and_token_counts() -> None:
    made = row("llm", {**TALK, "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5"})

    assert (made.route, made.body["providerRequest"]["url"]) == (
        "/anthropic/v1/log",
        "https://api.anthropic.com/v1/messages",
    )
    assert bodies(made) == (
        {
            "model": "claude-sonnet-4-5",
            "system": "terse",
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "4"}]},
            ],
            "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
            "temperature": 0.5,
            "max_tokens": 64,
            "stop_sequences": ["END"],
        },
        {
            "id": "r1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 30,
                "output_tokens": 20,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0},
            },
        },
    )


def test_a_call_to_google_has_geminis_bodies() -> None:
    made = row("llm", {**TALK, "gen_ai.provider.name": "gcp.gemini", "gen_ai.request.model": "gemini-2.5-flash"})
    url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"

    assert (made.route, made.body["providerRequest"]["url"]) == ("/googleapis/v1/log", url)
    assert bodies(made) == (
        {
            "model": "gemini-2.5-flash",
            "systemInstruction": {"parts": [{"text": "terse"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}},
                            "text": 'weather({"city":"Oslo"})',
                        }
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "c1", "response": {"result": "4"}}, "text": "4"}],
                },
            ],
            "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "object"}}]}],
            "generationConfig": {"temperature": 0.5, "maxOutputTokens": 64, "stopSequences": ["END"]},
        },
        {
            "responseId": "r1",
            "model": "gemini-2.5-flash",
            "modelVersion": "gemini-2.5-flash",
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": 100,
                "candidatesTokenCount": 15,
                "totalTokenCount": 120,
                "cachedContentTokenCount": 60,
                "thoughtsTokenCount": 5,
            },
        },
    )


@pytest.mark.parametrize(
    ("attributes", "route", "model"),
    [
        ({"gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o"}, "/oai/v1/log", "gpt-4o"),
        ({"gen_ai.provider.name": "azure.ai.openai", "gen_ai.request.model": "gpt-4o"}, "/oai/v1/log", "gpt-4o"),
        (
            {"gen_ai.provider.name": "gcp.vertex_ai", "gen_ai.request.model": "gemini-2"},
            "/googleapis/v1/log",
            "gemini-2",
        ),
        ({"gen_ai.provider.name": "groq", "gen_ai.request.model": "llama-3"}, "/custom/v1/log", "llama-3"),
        (
            {"gen_ai.provider.name": "aws.bedrock", "gen_ai.request.model": "eu.anthropic.claude-3"},
            "/custom/v1/log",
            "eu.anthropic.claude-3",
        ),
        ({"gen_ai.provider.name": "my-own", "gen_ai.request.model": "gpt-4o"}, "/custom/v1/log", "gpt-4o"),
        # Routers put the provider before the model, and the provider's prices are for the bare name.
        ({"llm.provider": "openai", "llm.model_name": "openai/gpt-4o"}, "/oai/v1/log", "gpt-4o"),
        # If the span names no provider, it is the one that made the model.
        ({"langfuse.observation.model.name": "claude-sonnet-4-5"}, "/anthropic/v1/log", "claude-sonnet-4-5"),
        ({"gen_ai.provider.name": "langchain", "gen_ai.request.model": "gpt-4o"}, "/oai/v1/log", "gpt-4o"),
        ({"gen_ai.request.model": "mine"}, "/custom/v1/log", "mine"),
    ],
)
def test_the_provider_decides_the_route(attributes: dict[str, Any], route: str, model: str) -> None:
    made = row("llm", attributes)

    assert (made.route, bodies(made)[0]["model"]) == (route, model)


@pytest.mark.parametrize(
    ("model", "member"), [("eu.anthropic.claude-3", "choices"), ("claude-3", "content"), ("amazon.nova-pro", "choices")]
)
def test_claude_at_bedrock_has_the_bodies_that_helicone_reads(model: str, member: str) -> None:
    attributes = {**TALK, "gen_ai.provider.name": "aws.bedrock", "gen_ai.request.model": model}
    request, response = bodies(row("llm", attributes))

    assert (member in response, len(request["messages"])) == (True, 4 if member == "choices" else 3)
    assert response["usage"]["prompt_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 10}


def test_an_embedding_at_google_has_googles_token_counts() -> None:
    attributes = {"gen_ai.provider.name": "gemini", "gen_ai.request.model": "e-1", "gen_ai.usage.input_tokens": 4}

    assert bodies(row("embedding", attributes)) == (
        {"model": "e-1", "requests": []},
        {
            "model": "e-1",
            "embeddings": [],
            "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4, "cachedContentTokenCount": 0},
        },
    )


# --- finish reasons ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (("stop",), "stop"),
        ('["stop"]', "stop"),
        ("stop", "stop"),
        ("STOP", "stop"),
        ("FinishReason.STOP", "stop"),
        ("finish_reason.MAX_TOKENS", "length"),
        ('["tool_calls"]', "tool_calls"),
        ('[["length"]]', "length"),
        ("tool-calls", "tool_calls"),
        ('{"reason": 5}', "reason"),
        ("content_filter", "content_filter"),
        ("[]", None),
        ("[null]", None),
        ("7", None),
        ("", None),
    ],
)
def test_a_finish_reason_is_a_word(written: Any, reason: str | None) -> None:
    attributes = {"gen_ai.output.messages": '[{"role": "assistant", "content": "hi"}]', "gen_ai.system": "openai"}
    response = bodies(row("llm", {**attributes, "gen_ai.response.finish_reasons": written}))[1]

    assert response["choices"][0].get("finish_reason") == reason


@given(st.text(max_size=12) | st.lists(st.text(max_size=6) | st.none(), max_size=3).map(json.dumps))
def test_any_finish_reason_is_a_word_or_left_out(written: str) -> None:
    attributes = {"gen_ai.output.messages": '[{"role": "assistant", "content": "hi"}]', "gen_ai.system": "openai"}
    response = bodies(row("llm", {**attributes, "gen_ai.response.finish_reasons": (written,)}))[1]

    assert re.fullmatch(r"[^\W\d_][\w-]*|", response["choices"][0].get("finish_reason", ""))


# --- time to the first token ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "events", "expected"),
    [
        ({"gen_ai.response.time_to_first_chunk": 0.25}, [], 250),
        ({"ai.response.msToFirstChunk": 12.7}, [], 12),
        ({"langfuse.observation.completion_start_time": '"2025-10-09T08:53:20.325000Z"'}, [], 200),
        ({}, [_event("First Token Stream Event"), _event("First Token Stream Event")], 40),
        ({"gen_ai.server.time_to_first_token": 0.25, "gen_ai.request.stream": False}, [], None),
        ({"gen_ai.response.time_to_first_chunk": float("nan")}, [], None),
        ({"gen_ai.response.time_to_first_chunk": -1.0}, [], None),
        ({"gen_ai.response.time_to_first_chunk": float("inf")}, [], None),
        ({"gen_ai.response.time_to_first_chunk": 1e300}, [], None),
        ({"gen_ai.response.time_to_first_chunk": 10**30}, [], None),
        ({"gen_ai.response.time_to_first_chunk": "nan"}, [], None),
        ({"ai.response.msToFirstChunk": 1e305}, [], None),
        # The call took 1515 ms. Strands writes milliseconds.
        ({"gen_ai.server.time_to_first_token": 1500}, [], 1500),
        ({"gen_ai.server.time_to_first_token": 1.515}, [], 1515),
        ({"gen_ai.server.time_to_first_token": 1600}, [], None),
        ({"ai.response.msToFirstChunk": 1600}, [], None),
        ({}, [], None),
    ],
)
def test_the_time_to_the_first_token_is_in_milliseconds(
    attributes: dict[str, Any], events: list[Event], expected: int | None
) -> None:
    assert row("llm", attributes, events=events).body["timing"].get("timeToFirstToken") == expected


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "reason", "expected"),
    [
        (
            {"http.response.status_code": 429, "error.type": "RateLimitError"},
            "slow down",
            (429, "slow down", "RateLimitError"),
        ),
        ({"error.type": "503"}, "", (503, "503", "503")),
        ({"error.type": "TimeoutError"}, "", (500, "TimeoutError", "TimeoutError")),
        ({}, "Error code: 401 - bad key", (401, "Error code: 401 - bad key", None)),
        # The answer started with 200, and broke off.
        ({"http.response.status_code": 200, "error.type": "ReadError"}, "reset", (500, "reset", "ReadError")),
        ({}, "", (500, "error", None)),
    ],
)
def test_a_failure_has_type_message_and_status(
    attributes: dict[str, Any], reason: str, expected: tuple[int, str, str | None]
) -> None:
    made = row("llm", attributes, failed=True, reason=reason)

    error = bodies(made)[1]["error"]
    assert (made.body["providerResponse"]["status"], error["message"], error.get("type")) == expected


def test_an_http_status_of_400_is_a_failure_even_if_the_span_has_none() -> None:
    assert row("tool", {"http.response.status_code": 404}).body["providerResponse"]["status"] == 404


def test_the_last_exception_is_the_failure() -> None:
    events = [
        _event("exception", exception__type="First", exception__message="one"),
        _event(
            "exception", exception__type="ValueError", exception__message="no such city", exception__stacktrace="secret"
        ),
    ]

    assert bodies(row("tool", failed=True, events=events))[1] == {
        "_type": "tool",
        "toolName": "draft",
        "status": "error",
        "message": "no such city",
        "error": {"message": "no such city", "type": "ValueError"},
    }


# --- vectors, rerankings, data -------------------------------------------------------------------


def test_a_vector_query_by_hand_shows_query_filter_and_matches() -> None:
    attributes = {
        "db.operation.name": "search",
        "db.system.name": "faiss",
        "db.collection.name": "docs",
        "db.query.text": "visa rules",
        "gen_ai.retrieval.query.text": "visa rules",
        "gen_ai.retrieval.top_k": 3,
        "db.filter": "{'lang': 'en'}",
        "db.response.returned_rows": 2,
        "gen_ai.retrieval.documents": json.dumps(
            [
                {"id": "a", "score": 0.91, "content": "…", "metadata": {"p": 1}},
                {"id": "b", "score": "NaN", "distance": 0.2},
            ]
        ),
    }

    assert bodies(row("vector_db", attributes)) == (
        {
            "_type": "vector_db",
            "operation": "search",
            "databaseName": "faiss",
            "collection": "docs",
            "query": "visa rules",
            "topK": 3,
            "filter": {"lang": "en"},
        },
        {
            "_type": "vector_db",
            "status": "success",
            "message": "2 matches",
            "matches": [
                {"id": "a", "score": 0.91, "text": "…", "metadata": {"p": 1}},
                {"id": "b", "distance": 0.2},
            ],
        },
    )


def test_a_vector_and_the_scores_of_events_are_numbers() -> None:
    events = [
        _event("db.query.embeddings", db__query__embeddings__vector=(0.1, 0.2)),
        _event(
            "db.query.result", db__query__result__id="a", db__query__result__score=0.5, db__query__result__document="A"
        ),
        _event("db.query.result", db__query__result__id="b", db__query__result__score="high"),
    ]
    request, response = bodies(row("vector_db", {"db.system": "pinecone", "db.operation": "query"}, events=events))

    assert request["vector"] == [0.1, 0.2]
    assert response["matches"] == [{"id": "a", "score": 0.5, "text": "A"}, {"id": "b"}]


@pytest.mark.parametrize(
    ("word", "operation"),
    [
        ("QUERY", "search"),
        ("upsert", "insert"),
        ("set_payload", "update"),
        ("VREM", "delete"),
        ("create_collection", "create_collection"),
    ],
)
def test_operations_get_the_names_that_helicone_knows(word: str, operation: str) -> None:
    assert bodies(row("vector_db", {"db.operation.name": word}))[0]["operation"] == operation


def test_a_rerank_has_the_documents_before_and_after() -> None:
    attributes = {
        "reranker.query": "visa",
        "reranker.model_name": "rerank-3",
        "reranker.top_k": 1,
        "reranker.input_documents.0.document.content": "A",
        "reranker.input_documents.1.document.content": "B",
        "reranker.output_documents.0.document.content": "B",
        "reranker.output_documents.0.document.score": 0.9,
    }

    assert bodies(row("rerank", attributes)) == (
        {
            "_type": "data",
            "name": "draft",
            "kind": "rerank",
            "model": "rerank-3",
            "query": "visa",
            "documents": [{"text": "A"}, {"text": "B"}],
            "topK": 1,
        },
        {"_type": "data", "name": "draft", "status": "success", "result": {"documents": [{"score": 0.9, "text": "B"}]}},
    )


def test_data_by_hand_has_its_name_in_request_and_response() -> None:
    attributes = {"helicone.data.name": "score trip", "input.value": '{"a": 1}', "output.value": "fine"}

    assert bodies(row("data", attributes)) == (
        {"_type": "data", "name": "score trip", "input": {"a": 1}},
        {"_type": "data", "name": "score trip", "status": "success", "result": "fine"},
    )


# --- sessions ------------------------------------------------------------------------------------


def test_the_headers_of_a_session_are_byte_for_byte_those_of_the_label() -> None:
    label = {
        "helicone.session.id": "chat 7 ％41",
        "helicone.session.name": "Reise ü 100％",
        "helicone.session.path": "/plan/🚀_％",
        "user.id": "Zoë 🚀",
        "helicone.property.Env": "a b",
    }
    made = row("tool", label)

    assert made.body["providerRequest"]["meta"] == {
        "Helicone-Request-Id": logged.ROW_ID,
        "Helicone-Session-Id": "chat 7 ％41",
        "Helicone-Session-Name": "Reise ü 100％",
        "Helicone-Session-Path": "/plan/🚀_％",
        "Helicone-User-Id": "Zoë 🚀",
        "Helicone-Property-Env": "a b",
    }
    assert (made.session.wire_id, made.session.wire_name) == ("chat 7 ％41", "Reise ü 100％")


@pytest.mark.parametrize("value", ["a\r\nHelicone-Auth: x", "\x00", "\ud800", "x" * 5000, 7, None, ("a", "b"), b"\xff"])
def test_no_value_of_a_label_makes_a_row_invalid(value: object) -> None:
    names = ("session.id", "session.name", "session.path", "property.a", "property.A", "property.b c", "property.")

    row("tool", {f"helicone.{name}": value for name in names} | {"user.id": value})


def test_the_row_of_a_request_without_a_session_has_no_session_headers() -> None:
    made = row("tool", {"helicone.session.id": "", "helicone.session.name": ""})

    assert made.body["providerRequest"]["meta"] == {"Helicone-Request-Id": logged.ROW_ID}


# --- content -----------------------------------------------------------------------------------

SPOKEN = {
    **TALK,
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}


def test_inputs_can_be_withheld() -> None:
    assert bodies(row("llm", SPOKEN, Content(inputs=REQUEST_KINDS - {"llm"})))[0] == {
        "model": "gpt-4o",
        "messages": [],
        "temperature": 0.5,
        "max_tokens": 64,
    }


def test_outputs_can_be_withheld_with_the_messages_of_errors() -> None:
    content = Content(outputs=frozenset())

    answered = bodies(row("llm", SPOKEN, content))[1]
    assert answered["choices"] == []
    assert answered["usage"]["total_tokens"] == 120
    failed = row("tool", {"error.type": "ValueError"}, content, failed=True, reason="no city Oslo")
    assert bodies(failed)[1]["error"] == {"message": "ValueError", "type": "ValueError"}


def test_content_of_other_kinds_is_logged() -> None:
    call = {"gen_ai.tool.call.arguments": '{"city": "Oslo"}', "gen_ai.tool.call.result": "4"}

    kept = bodies(row("tool", call, Content(inputs=frozenset({"tool"}), outputs=frozenset({"llm"}))))

    assert (kept[0]["input"], "result" in kept[1]) == ({"city": "Oslo"}, False)


def test_a_hook_gets_each_text_with_its_kind_side_and_key() -> None:
    seen: set[tuple[str, Where]] = set()

    def hide(text: str, where: Where) -> str:
        seen.add((text, where))
        return "***"

    made = row(
        "tool", {"gen_ai.tool.call.arguments": '{"city": "Oslo"}', "gen_ai.tool.call.result": "4"}, Content(redact=hide)
    )

    assert (bodies(made)[0]["input"], bodies(made)[1]["result"]) == ({"city": "***"}, "***")
    assert seen == {("Oslo", Where("tool", "inputs", "city")), ("4", Where("tool", "outputs", "output"))}


def test_a_hook_changes_the_content_of_messages_and_not_their_roles() -> None:
    made = row("llm", SPOKEN, Content(redact=lambda text, _: text.upper()))

    request, response = bodies(made)
    assert request["messages"] == [
        {"role": "system", "content": "TERSE"},
        {"role": "user", "content": "HI"},
        {**ASKING, "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": '{"city":"OSLO"}'}}]},
        RESULT,
    ]
    assert (request["model"], response["choices"][0]["message"]["content"]) == ("gpt-4o", "HELLO")


def test_a_hook_gets_the_query_and_the_matches() -> None:
    found = {"gen_ai.retrieval.documents": json.dumps([{"id": "a", "content": "Oslo", "metadata": {"town": "Oslo"}}])}
    events = [_event("db.query.result", db__query__result__id="a", db__query__result__document="Oslo")]
    hook = Content(redact=lambda text, _: text.replace("Oslo", "***"))

    asked = {"gen_ai.retrieval.query.text": "near Oslo", "db.filter": '{"a": "Oslo"}'}
    by_attribute = row("vector_db", {**found, **asked}, hook)
    by_event = row("vector_db", {"db.system": "chroma"}, hook, events=events)

    assert bodies(by_attribute)[0]["query"] == "near ***"
    assert bodies(by_attribute)[0]["filter"] == {"a": "***"}
    assert bodies(by_attribute)[1]["matches"] == [{"id": "a", "text": "***", "metadata": {"town": "***"}}]
    assert bodies(by_event)[1]["matches"] == [{"id": "a", "text": "***"}]


def _talking_of(town: str, form: str) -> dict[str, Any]:
    """Return a span with the name of a town in each attribute and event that may hold content."""
    keys = {key for source in SOURCES if source.fact in SIDES for key in source.keys}
    content = [{"role": "user", "content": town, "score": 1, "text": town}] if form == "JSON" else f"in {town}"
    attributes = {key: json.dumps(content) for key in keys if not key.endswith(".")}
    attributes |= {
        f"{key}0.{tail}": town for key in keys if key.endswith(".") for tail in ("content", "document.content")
    }
    if form == "events":
        attributes = {}
    events = [_event(name, content=town, **{"db.query.result.document": town}) for name in EVENTS]
    return {"attributes": attributes, "events": events, "reason": f"no {town}"}


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("form", ["JSON", "text", "events"])
@pytest.mark.parametrize("kind", sorted(REQUEST_KINDS))
def test_no_content_is_logged_without_the_hook_or_against_a_setting(kind: str, form: str, failed: bool) -> None:
    span = {"kind": kind, "failed": failed, **_talking_of("Oslo", form)}

    redacted = row(content=Content(redact=lambda text, _: text.replace("Oslo", "***")), **span)
    switched_off = row(content=Content(frozenset(), frozenset()), **span)

    assert "Oslo" in str(row(**span).body)
    assert "Oslo" not in str(redacted.body)
    assert "***" in str(redacted.body)
    assert "Oslo" not in str(switched_off.body)


@pytest.mark.failures
def test_a_hook_that_raises_loses_the_content_and_not_the_row(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str, where: Where) -> str:
        raise RuntimeError(f"{where}: {text}")

    request, response = bodies(
        row("llm", SPOKEN, Content(redact=broken), events=[_event("gen_ai.user.message", content="hi")])
    )

    assert "hi" not in json.dumps([request, response]).replace("third", "")
    assert request["messages"] == []
    assert swallowed()["The redaction hook failed (RuntimeError); that content is not logged."] > 0
    assert "terse" not in caplog.text


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(REQUEST_KINDS))
def test_headers_that_instrumentations_record_never_enter_a_row(kind: str) -> None:
    secret = "Bearer sk-helicone-secret"
    attributes = {
        "gen_ai.headers": f"{{'Helicone-Auth': '{secret}'}}",
        "llm.headers": secret,
        "http.request.header.authorization": (secret,),
        "llm.invocation_parameters": json.dumps({"model": "gpt-4o", "extra_headers": {"Helicone-Auth": secret}}),
        "gen_ai.tool.call.arguments": json.dumps({"headers": {"Authorization": secret, "x-api-key": secret}}),
    }

    assert secret not in str(row(kind, attributes).body)


def test_a_row_is_pure_json_and_the_span_is_unchanged() -> None:
    span = logged.finished_span("llm", SPOKEN)
    before = dict(span.attributes)

    assert row_of(span, Content()) == row_of(span, Content())
    assert span.attributes == before
