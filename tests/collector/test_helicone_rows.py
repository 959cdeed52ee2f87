"""What a person sees in Helicone of the rows that the collector sends to its OTLP endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from helicone_otel.spans.providers import FRAMEWORKS, MODELS, OTLP_NAMES, PROVIDERS
from helicone_otel.testing import FakeHelicone
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.rows import Row
from tests.support.otelcol import Collector, request, running, span
from tests.support.replay import load
from tests.support.sink import http_sink


class RowsByCollector:
    """A collector that sends requests to a fake Helicone."""

    def __init__(self, collector: Collector, fake: FakeHelicone) -> None:
        self._collector = collector
        self._fake = fake

    def rows(self, spans: Sequence[Span]) -> list[Row]:
        """Send spans of which each is a request, and return their rows in the same order."""
        self._fake.forget()
        self._collector.send(request(spans))
        deadline = time.monotonic() + 20
        while len(self._fake.rows) < len(spans) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._fake.rows

    def row(self, attributes: Mapping[str, object], name: str = "chat") -> Row:
        """Send one span and return its row."""
        (row,) = self.rows([span(name, attributes)])
        return row


@pytest.fixture(scope="module")
def helicone(otelcol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RowsByCollector]:
    with http_sink() as backend, serving(FakeHelicone()) as fake:
        environ = {
            "OTEL_BACKEND_ENDPOINT": backend.url,
            "HELICONE_OTLP": "on",
            "HELICONE_API_KEY": fake.key,
            "HELICONE_OTLP_ENDPOINT": f"{fake.url}/v1/trace/log-python",
        }
        with running(otelcol, tmp_path_factory.mktemp("otelcol"), environ) as collector:
            yield RowsByCollector(collector, fake)
            assert collector.warnings() == []


def talk(provider: str | None, model: str, **more: object) -> dict[str, object]:
    named = {} if provider is None else {"gen_ai.provider.name": provider}
    return {
        **named,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.conversation.id": "s-1",
        "gen_ai.usage.input_tokens": 300,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]),
        **more,
    }


def texts(row: Row) -> tuple[list[str], list[str]]:
    return [message.text for message in row.shown.sent], [message.text for message in row.shown.answered]


SONNET = "claude-sonnet-4-20250514"
# The provider on the span and its model; the provider and the model of the row.
PROVIDER_NAMES = [
    ("openai", "gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    ("OpenAI", "openai/gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    ("azure.ai.openai", "gpt-4o-mini", "AZURE", "gpt-4o-mini"),
    ("az.ai.openai", "gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    ("azure.ai.inference", "azure_ai/Llama-3.3-70B-Instruct", "CUSTOM", "azure_ai/Llama-3.3-70B-Instruct"),
    ("anthropic", SONNET, "CUSTOM", SONNET),
    ("Anthropic", SONNET, "CUSTOM", SONNET),
    ("aws.bedrock", f"us.anthropic.{SONNET}-v1:0", "AWS", f"{SONNET}-v1:0"),
    ("AWS", "amazon.nova-lite-v1:0", "AWS", "amazon.nova-lite-v1:0"),
    ("gcp.gemini", "gemini-2.5-flash", "CUSTOM", "gemini-2.5-flash"),
    ("gcp.vertex_ai", "gemini-2.5-flash", "CUSTOM", "gemini-2.5-flash"),
    ("vertex_ai", "claude-sonnet-4@20250514", "CUSTOM", "claude-sonnet-4@20250514"),
    ("Google", "gemini-2.5-flash", "CUSTOM", "gemini-2.5-flash"),
    ("openai", "gemini-2.5-flash", "CUSTOM", "gemini-2.5-flash"),
    ("mistral_ai", "mistral-large-latest", "CUSTOM", "mistral-large-latest"),
    ("x_ai", "grok-4", "CUSTOM", "grok-4"),
    ("xai", "grok-4", "CUSTOM", "grok-4"),
    ("deepseek", "deepseek-chat", "CUSTOM", "deepseek-chat"),
    ("openrouter", "google/gemini-2.5-flash", "OPENROUTER", "google/gemini-2.5-flash"),
    ("openrouter", "openai/gpt-4o-mini", "OPENROUTER", "openai/gpt-4o-mini"),
    ("groq", "llama-3.1-8b-instant", "GROQ", "llama-3.1-8b-instant"),
    ("TogetherAI", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "TOGETHER", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ("perplexity", "sonar", "PERPLEXITY", "sonar"),
    ("fireworks_ai", "accounts/fireworks/models/kimi-k2", "FIREWORKS", "accounts/fireworks/models/kimi-k2"),
    ("Cohere", "command-r", "COHERE", "command-r"),
    ("Ollama", "llama3.2", "CUSTOM", "llama3.2"),
    ("ibm.watsonx.ai", "ibm/granite-3", "CUSTOM", "ibm/granite-3"),
    ("acme", "gpt-4o-mini", "CUSTOM", "gpt-4o-mini"),
    ("langchain", "gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    ("llama_index", "gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    ("strands-agents", SONNET, "CUSTOM", SONNET),
    (None, "gpt-4o-mini", "OPENAI", "gpt-4o-mini"),
    (None, SONNET, "CUSTOM", SONNET),
]
PRICED = {
    *(("OPENAI", "gpt-4o-mini"), ("AZURE", "gpt-4o-mini"), ("AWS", f"{SONNET}-v1:0"), ("GROQ", "llama-3.1-8b-instant")),
    *(("OPENROUTER", "openai/gpt-4o-mini"), ("TOGETHER", "meta-llama/Llama-3.3-70B-Instruct-Turbo")),
}


def test_calls_of_every_provider_show_both_sides_and_their_tokens(helicone: RowsByCollector) -> None:
    rows = helicone.rows([span("chat", talk(provider, model)) for provider, model, *_ in PROVIDER_NAMES])

    assert [(row.provider, row.model) for row in rows] == [(provider, model) for *_, provider, model in PROVIDER_NAMES]
    assert [texts(row) for row in rows] == [(["hi"], ["hello"])] * len(PROVIDER_NAMES)
    assert {(row.prompt_tokens, row.completion_tokens) for row in rows} == {(300, 100)}
    assert {(row.provider, row.model) for row in rows if row.cost} == PRICED


def test_the_provider_is_read_from_every_attribute_that_names_one(helicone: RowsByCollector) -> None:
    kind = {"helicone.span.kind": "llm", "llm.model_name": "mine"}
    spans = [
        span("one", {**kind, "gen_ai.system": "Azure"}),
        span("two", {**kind, "llm.provider": "azure", "llm.system": "openai"}),
        span("three", {**kind, "ai.model.provider": "azure-openai.chat"}),
        span("four", {**kind, "gen_ai.provider.name": "langchain", "gen_ai.system": "groq"}),
        span("five", {**kind, "gen_ai.provider.name": 7, "gen_ai.system": ["openai"]}),
    ]

    assert [row.provider for row in helicone.rows(spans)] == ["AZURE", "AZURE", "AZURE", "GROQ", "CUSTOM"]


def test_a_vector_query_is_stored_under_the_name_of_its_store(helicone: RowsByCollector) -> None:
    spans = [
        span("query", {"db.system.name": "qdrant", "gen_ai.provider.name": "openai"}),
        span("query", {"db.system": "chroma"}),
        span("retrieve", {"gen_ai.operation.name": "retrieval", "gen_ai.provider.name": "lancedb"}),
    ]

    assert [(row.provider, row.badge) for row in helicone.rows(spans)] == [
        ("QDRANT", "VectorDB"),
        ("CHROMA", "VectorDB"),
        ("LANCEDB", "VectorDB"),
    ]


def test_names_of_properties_are_in_lower_case_as_in_headers(helicone: RowsByCollector) -> None:
    association = "traceloop.association.properties.Helicone-"
    row = helicone.row(
        talk(
            "openai",
            "gpt-4o-mini",
            **{
                "helicone.property.Env": "Staging",
                "helicone.property.n": 7,
                "helicone.property.Helicone-Session-Id": "not a session",
                f"{association}Property-ReGion": "EU",
                f"{association}Session-Path": "/from/traceloop",
            },
        )
    )

    assert row.properties == {
        "Helicone-Session-Id": "s-1",
        "Helicone-Session-Name": "shop",
        "Helicone-Session-Path": "/from/traceloop",
        "env": "Staging",
        "n": "7",
        "helicone-session-id": "not a session",
        "region": "EU",
    }


def parts(role: str, *parts: object, **more: object) -> dict[str, object]:
    return {"role": role, "parts": list(parts), **more}


THOUGHT = {"type": "reasoning", "content": "They want {a} greeting."}
CALL = {"type": "tool_call", "id": "c-1", "name": "get_weather", "arguments": {"city": "Oslo"}}
OI = "llm.output_messages.0.message."
TL = "gen_ai.completion.0."
# What is on the span beside the provider and the model; what is shown as the answer.
ANSWERS: list[tuple[Mapping[str, object], str]] = [
    ({"gen_ai.output.messages": json.dumps([parts("assistant", CALL)])}, 'get_weather({"city":"Oslo"})'),
    ({"gen_ai.output.messages": json.dumps([parts("assistant", {"type": "tool_call", "name": "go"})])}, "go()"),
    (
        {"gen_ai.output.messages": json.dumps([parts("assistant", {"type": "thinking", "content": "Hm"}, CALL)])},
        'get_weather({"city":"Oslo"})',
    ),
    (
        {"gen_ai.output.messages": json.dumps([parts("assistant", {"type": "text", "content": "Let me see."}, CALL)])},
        "Let me see.",
    ),
    (
        {
            "gen_ai.output.messages": json.dumps(
                [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"function": {"name": "go", "arguments": '{"a": 1}'}}],
                    }
                ]
            )
        },
        'go({"a": 1})',
    ),
    ({f"{TL}role": "assistant", f"{TL}tool_calls.0.name": "go", f"{TL}tool_calls.0.arguments": "{}"}, "go({})"),
    ({f"{OI}role": "assistant", f"{OI}contents.0.message_content.text": "hello"}, "hello"),
    (
        {
            f"{OI}role": "assistant",
            f"{OI}tool_calls.0.tool_call.function.name": "go",
            f"{OI}tool_calls.0.tool_call.function.arguments": '{"a": 1}',
        },
        'go({"a": 1})',
    ),
    ({f"{OI}role": "assistant", f"{OI}tool_calls.0.tool_call.function.name": "go"}, "go()"),
    ({"ai.response.text": "hello"}, "hello"),
]


@pytest.mark.parametrize("model", ["gpt-4o-mini", SONNET])
def test_an_answer_shows_its_first_text_or_else_its_first_call_of_a_tool(helicone: RowsByCollector, model: str) -> None:
    kind = {"helicone.span.kind": "llm", "gen_ai.request.model": model}
    rows = helicone.rows([span("chat", {**kind, **attributes}) for attributes, _ in ANSWERS])

    # The mapper for Claude formats JSON, but not a call.
    assert [texts(row)[1] for row in rows] == [[text] for _, text in ANSWERS]


def test_a_request_shows_the_first_text_of_each_message(helicone: RowsByCollector) -> None:
    image = {"type": "blob", "mime_type": "image/png", "content": "aGk="}
    oi = "llm.input_messages.0.message."
    spans = [
        span(
            "genai",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json.dumps(
                    [parts("user", image, {"type": "text", "content": "What is it?"}), parts("assistant", THOUGHT)]
                ),
            },
        ),
        span(
            "openinference",
            {
                "openinference.span.kind": "LLM",
                f"{oi}role": "user",
                f"{oi}contents.0.message_content.type": "text",
                f"{oi}contents.0.message_content.text": "What is it?",
            },
        ),
        span(
            "vercel",
            {
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.prompt.messages": json.dumps(
                    [
                        {"role": "system", "content": "Be brief."},
                        {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
                    ]
                ),
            },
        ),
    ]

    assert [texts(row)[0] for row in helicone.rows(spans)] == [
        ["What is it?", "They want {a} greeting."],
        ["What is it?"],
        ["Be brief.", "What is it?"],
    ]


REASONS: list[tuple[Mapping[str, object], str | None]] = [
    ({"gen_ai.response.finish_reasons": ["tool_calls", "stop"]}, "tool_calls"),
    ({"gen_ai.response.finish_reasons": '["stop"]'}, "stop"),
    ({"gen_ai.response.finish_reasons": "FinishReason.STOP"}, "STOP"),
    ({"gen_ai.response.finish_reasons": []}, None),
    ({"ai.response.finishReason": "tool-calls"}, "tool-calls"),
    ({f"{TL}finish_reason": "end_turn", "gen_ai.response.finish_reasons": ["stop"]}, "end_turn"),
    ({}, None),
]


def test_the_finish_reason_is_a_word(helicone: RowsByCollector) -> None:
    answer = {"helicone.span.kind": "llm", f"{TL}role": "assistant", f"{TL}content": "hello"}
    rows = helicone.rows([span("chat", {**answer, **attributes}) for attributes, _ in REASONS])

    assert [row.response["choices"][0].get("finish_reason") for row in rows] == [reason for _, reason in REASONS]


def test_messages_keep_their_order(helicone: RowsByCollector) -> None:
    said = [f"message {number}" for number in range(24)]
    messages = [parts("user", {"type": "text", "content": text}) for text in said]
    row = helicone.row(talk("openai", "gpt-4o-mini", **{"gen_ai.input.messages": json.dumps(messages)}))

    assert texts(row)[0] == said


# Recordings of which the spans of calls have messages.
RECORDED = (
    *("genai_anthropic", "genai_langchain", "genai_openai", "logfire", "native_litellm", "native_mistral"),
    *("native_pydantic_ai_v2", "oi_anthropic", "oi_langchain", "oi_openai", "oi_openai_agents", "openlit_openai"),
    *("tl_anthropic", "tl_langchain", "tl_openai", "tl_openai_agents", "tl_sdk_decorators"),
)


@pytest.mark.parametrize("name", RECORDED)
def test_calls_of_real_libraries_show_both_sides_if_their_spans_have_them(helicone: RowsByCollector, name: str) -> None:
    calls = [
        one["attributes_at_end"]
        for one in load(name)["spans"]
        if _has_content(one.get("attributes_at_end") or {}) and not one["attributes_at_end"].get("error.type")
    ]
    rows = helicone.rows([span("chat", plain(attributes) | {"helicone.span.kind": "llm"}) for attributes in calls])

    assert calls != []
    assert [row.flaws for row in rows] == [[]] * len(calls)
    assert [row for row in rows if not all(map(any, texts(row)))] == []


def _has_content(attributes: Mapping[str, Any]) -> bool:
    answers = json.loads(attributes.get("gen_ai.output.messages", "[]"))
    genai = "gen_ai.input.messages" in attributes and any(answer["parts"] for answer in answers)
    return genai or any(key.startswith("llm.output_messages.0.message.content") for key in attributes)


def plain(attributes: Mapping[str, Any]) -> dict[str, object]:
    return {
        key: value if isinstance(value, str | int | float) else json.dumps(value) for key, value in attributes.items()
    }


def test_the_names_are_of_known_providers_and_a_framework_is_none_of_them() -> None:
    assert set(OTLP_NAMES) <= set(PROVIDERS.values())
    assert {maker for _, maker in MODELS} <= set(PROVIDERS.values())
    assert FRAMEWORKS.isdisjoint(PROVIDERS)
