"""The pipeline of collector-config.yaml that sends requests to Helicone's OTLP endpoint."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor, SessionSpanExporter, session, step
from helicone_otel.collector.config import VARIABLES
from helicone_otel.destinations import Destination, Destinations
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.reader import SpanReader
from helicone_otel.wire import REQUEST_KINDS
from tests.support.backend import dict_of
from tests.support.otelcol import Collector, attributes_of, request, running, span
from tests.support.sink import HttpSink, http_sink

PROPERTY = "traceloop.association.properties.Helicone-"
NODE = {"service.name": "shop", "telemetry.sdk.language": "nodejs"}
PYTHON = {"service.name": "shop", "telemetry.sdk.language": "python"}
SESSION = {PROPERTY + "Session-Id": "s-1", PROPERTY + "Session-Name": "shop"}


class HeliconePipeline:
    """A collector that sends to a backend and to Helicone's OTLP endpoint."""

    def __init__(self, collector: Collector, backend: HttpSink, helicone: HttpSink) -> None:
        self.collector = collector
        self.backend = backend
        self.helicone = helicone

    def rows(self, spans: Sequence[Span], resource: Mapping[str, object] = NODE) -> dict[str, dict[str, Any]]:
        """Send spans, and return the attributes that reach Helicone's endpoint, by the name of the span."""
        before = len(self.helicone.received.spans)
        self.collector.send(request([*spans, span("last", {"gen_ai.operation.name": "chat"})], resource))
        names: list[str] = []
        while "last" not in names:
            names = [one.name for one in self.helicone.received.wait_for(before + len(names) + 1)[before:]]
        arrived = self.helicone.received.attributes()
        return {name: arrived[name] for name in names if name != "last"}


@pytest.fixture(scope="module")
def pipeline(otelcol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeliconePipeline]:
    with http_sink() as backend, http_sink() as helicone:
        environ = {
            "OTEL_BACKEND_ENDPOINT": backend.url,
            "HELICONE_OTLP": "on",
            "HELICONE_API_KEY": "sk-helicone-test",
            "HELICONE_OTLP_ENDPOINT": f"{helicone.url}/v1/trace/log-python",
        }
        with running(otelcol, tmp_path_factory.mktemp("otelcol"), environ) as collector:
            yield HeliconePipeline(collector, backend, helicone)
            assert collector.warnings() == []


def test_the_pipeline_is_off_unless_helicone_otlp_is_on(otelcol: str, tmp_path: Path) -> None:
    with http_sink() as backend, http_sink() as helicone:
        environ = {"OTEL_BACKEND_ENDPOINT": backend.url, "HELICONE_OTLP_ENDPOINT": helicone.url}
        with running(otelcol, tmp_path, environ) as collector:
            collector.send(request([span("chat", {"gen_ai.operation.name": "chat", "session.id": "s-1"})]))
            backend.received.wait_for(1)
        # The collector has ended, so it has sent everything.
        assert helicone.received.spans == []


def test_requests_go_to_the_endpoints_path_with_the_key(pipeline: HeliconePipeline) -> None:
    pipeline.rows([])

    assert pipeline.helicone.paths[-1] == "/v1/trace/log-python"
    assert pipeline.helicone.received.headers[-1]["authorization"] == "Bearer sk-helicone-test"
    assert "content-encoding" not in pipeline.helicone.received.headers[-1]
    assert all("authorization" not in headers for headers in pipeline.backend.received.headers)


MESSAGES = [
    {
        "role": "user",
        "parts": [{"type": "text", "content": 'Where "to" go for $1?'}, {"type": "image", "content": "x"}],
    },
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "x"}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "Porto"}]},
]
ANSWER = [{"role": "assistant", "parts": [{"type": "text", "content": "Porto."}], "finish_reason": "stop"}]
CHAT: Mapping[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
    "gen_ai.conversation.id": "s-1",
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.request.temperature": 0.2,
    "gen_ai.input.messages": json.dumps(MESSAGES),
    "gen_ai.output.messages": json.dumps(ANSWER),
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "user.id": "u-17",
    "helicone.property.Plan": "pro",
    "http.request.method": "POST",
}
ROW = {
    **SESSION,
    PROPERTY + "Session-Path": "/chat",
    PROPERTY + "User-Id": "u-17",
    PROPERTY + "Property-plan": "pro",
    "gen_ai.system": "openai",
    "gen_ai.response.model": "gpt-5.4-mini",
    "llm.request.type": "chat",
    "gen_ai.usage.prompt_tokens": 30,
    "gen_ai.usage.completion_tokens": 9,
    "llm.usage.total_tokens": 39,
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": 'Where "to" go for $1?',
    "gen_ai.prompt.2.role": "assistant",
    "gen_ai.prompt.3.role": "tool",
    "gen_ai.prompt.3.content": "Porto",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Porto.",
    "gen_ai.completion.0.finish_reason": "stop",
}


def test_a_call_by_todays_conventions_is_renamed_for_the_endpoint(pipeline: HeliconePipeline) -> None:
    assert pipeline.rows([span("chat gpt-5.4-mini", CHAT)]) == {"chat gpt-5.4-mini": ROW}


def test_a_call_without_instructions_tokens_or_messages_makes_a_row_without_them(pipeline: HeliconePipeline) -> None:
    bare = {"gen_ai.operation.name": "chat", "session.id": "s-1", "helicone.session.path": "/plan/draft"}
    named = {**bare, "gen_ai.response.model": "gpt-4o-2024", "gen_ai.request.model": "gpt-4o", "gen_ai.system": "az"}
    odd = {**named, "gen_ai.input.messages": "not JSON", "gen_ai.output.messages": "[]"}
    cut = {**named, "gen_ai.input.messages": '[{"role": "user", "par', "gen_ai.system_instructions": "[{"}
    common = {
        **SESSION,
        PROPERTY + "Session-Path": "/plan/draft",
        "llm.request.type": "chat",
        "gen_ai.system": "custom",
    }
    model = {"gen_ai.response.model": "gpt-4o-2024"}

    assert pipeline.rows([span("bare", bare), span("named", named), span("odd", odd), span("cut", cut)]) == {
        "bare": common,
        "named": {**common, **model},
        "odd": {**common, **model},
        "cut": {**common, **model},
    }


def test_calls_of_openinference_and_openllmetry_make_the_same_row(pipeline: HeliconePipeline) -> None:
    openinference = {
        "openinference.span.kind": "LLM",
        "session.id": "s-1",
        "llm.model_name": "gpt-4o",
        "llm.system": "openai",
        "llm.token_count.prompt": 3,
        "llm.token_count.completion": 1,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "hello",
    }
    openllmetry = {
        "llm.request.type": "chat",
        "traceloop.association.properties.session_id": "s-1",
        "gen_ai.system": "openai",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": 3,
        "gen_ai.usage.completion_tokens": 1,
        "llm.usage.total_tokens": 4,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "hi",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "hello",
    }
    users = {"llm.user": "u-1", "gen_ai.response.max_tokens": 9}
    row = {
        **{key: value for key, value in openllmetry.items() if not key.startswith("traceloop")},
        **SESSION,
        PROPERTY + "Session-Path": "/chat",
    }

    assert pipeline.rows([span("oi", openinference), span("tl", openllmetry | users)]) == {"oi": row, "tl": row | users}


def test_the_model_shows_which_rows_are_tools_vector_queries_and_data(pipeline: HeliconePipeline) -> None:
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get/weather é",
        "gen_ai.tool.call.arguments": '{"city": "Porto"}',
        "gen_ai.tool.call.result": "Sunny",
        "session.id": "s-1",
    }
    spans = [
        span("execute_tool get_weather", tool),
        span("a tool", {"openinference.span.kind": "TOOL", "input.value": "in", "output.value": "out"}),
        span("vercel", {"ai.operationId": "ai.toolCall", "ai.toolCall.args": "{}", "ai.toolCall.result": "1"}),
        span("search", {"db.system.name": "qdrant", "db.query.text": "visa", "session.id": "s-1"}),
        span("old search", {"db.system": "chroma", "db.statement": "visa"}),
        span("retrieve", {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "visa"}),
        span("rank", {"openinference.span.kind": "RERANKER", "reranker.model_name": "r-1"}),
        span("embed", {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 4}),
        span(
            "vercel embed", {"ai.operationId": "ai.embed.doEmbed", "ai.model.provider": "openai", "ai.model.id": "e-1"}
        ),
        span("azure", {"openinference.span.kind": "LLM", "llm.provider": "azure", "llm.system": "openai"}),
    ]
    rows = pipeline.rows(spans, {**NODE, "service.name": "unknown_service"})
    shown = {
        name: {key: value for key, value in row.items() if not key.startswith(PROPERTY)} for name, row in rows.items()
    }

    def row_with(prompt: str | None, completion: str | None = None, **more: object) -> dict[str, object]:
        row: dict[str, object] = {key.replace("__", "."): value for key, value in more.items()}
        if prompt is not None:
            row |= {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": prompt}
        if completion is not None:
            row |= {"gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": completion}
        return row

    custom = {"gen_ai__system": "custom"}
    assert shown == {
        "execute_tool get_weather": row_with(
            '{"city": "Porto"}', "Sunny", gen_ai__response__model="tool:get/weather é", **custom
        ),
        "a tool": row_with("in", "out", gen_ai__response__model="tool:a tool", **custom),
        "vercel": row_with("{}", "1", gen_ai__response__model="tool:vercel", **custom),
        "search": row_with("visa", gen_ai__response__model="vector_db", gen_ai__system="qdrant"),
        "old search": row_with("visa", gen_ai__response__model="vector_db", gen_ai__system="chroma"),
        "retrieve": row_with("visa", gen_ai__response__model="vector_db"),
        "rank": row_with(None, gen_ai__response__model="data:rank", **custom),
        "embed": {
            "gen_ai.system": "custom",
            "llm.request.type": "embedding",
            "gen_ai.usage.prompt_tokens": 4,
            "llm.usage.total_tokens": 4,
        },
        "vercel embed": {"llm.request.type": "embedding", "gen_ai.system": "openai", "gen_ai.response.model": "e-1"},
        "azure": {"llm.request.type": "chat", "gen_ai.system": "azure"},
    }
    paths = {name: row[PROPERTY + "Session-Path"] for name, row in rows.items()}
    assert paths == {
        "execute_tool get_weather": "/get_weather__",
        **dict.fromkeys(("a tool", "vercel"), "/tool"),
        **dict.fromkeys(("search", "old search", "retrieve"), "/vector_db"),
        **dict.fromkeys(("embed", "vercel embed"), "/embeddings"),
        "rank": "/rerank",
        "azure": "/chat",
    }


def test_the_model_is_read_from_every_attribute_of_the_dialects(pipeline: HeliconePipeline) -> None:
    models = SpanReader(DIALECTS).models
    kind = {"helicone.span.kind": "llm"}
    spans = [span(name, {name: f"m {name}", **kind}) for name in models]
    spans += [span(f"from {name}", {one: one for one in models[n:]} | kind) for n, name in enumerate(models)]
    rows = pipeline.rows(spans)

    answered = "gen_ai.response.model"
    assert {name: rows[name][answered] for name in models} == {name: f"m {name}" for name in models}
    # Each of these spans already has the attribute that the endpoint reads.
    assert {rows[f"from {name}"][answered] for name in models} == {answered}


def test_steps_and_spans_of_infrastructure_make_no_rows(pipeline: HeliconePipeline) -> None:
    spans = [
        span("agent", {"gen_ai.operation.name": "invoke_agent", "session.id": "s-1"}),
        span("workflow", {"traceloop.span.kind": "workflow"}),
        span("POST", {"http.request.method": "POST", "session.id": "s-1"}),
    ]

    assert pipeline.rows(spans) == {}


@pytest.mark.parametrize("named", [True, False], ids=["the answer named a row", "no answer"])
def test_of_spans_labelled_by_helicone_otel_only_calls_that_bypassed_the_gateway_make_rows(
    pipeline: HeliconePipeline, named: bool
) -> None:
    """The library labels these spans: a direct call with its wrapper, a call through a gateway, and a step."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(HeliconeSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(SessionSpanExporter(memory)))
    tracer, chat = provider.get_tracer("acme"), {"gen_ai.operation.name": "chat"}
    with session("shop", id="s-1"), step("plan"):
        with (
            tracer.start_as_current_span("wrapper", attributes=chat),
            tracer.start_as_current_span("direct", attributes=chat),
        ):
            pass
        with tracer.start_as_current_span("by gateway", attributes=chat) as call:
            through = {"http.url": "https://oai.helicone.ai/v1", "http.method": "POST"}
            with provider.get_tracer("opentelemetry.instrumentation.httpx").start_as_current_span(
                "POST", kind=SpanKind.CLIENT, attributes=through
            ):
                HeliconePropagator().inject(httpx.Headers())
        assert call.is_recording() is False
        with tracer.start_as_current_span("invoke_agent A", attributes={"gen_ai.operation.name": "invoke_agent"}):
            pass
    provider.shutdown()
    spans = encode_spans(memory.get_finished_spans()).resource_spans[0].scope_spans
    labelled = [one for scoped in spans for one in scoped.spans]
    # Of the call through the gateway, the hook in the HTTP client would have read the id of the row: a UUIDv4.
    for one in labelled:
        if one.name == "by gateway":
            assert "helicone.request.id" not in dict_of(one.attributes)
            one.attributes.extend(attributes_of({"helicone.request.id": str(uuid.uuid4())} if named else {}))
    with_id = {one.name for one in labelled if "helicone.request.id" in dict_of(one.attributes)}
    assert with_id == ({"direct", "by gateway"} if named else {"direct"})

    rows = pipeline.rows(labelled, PYTHON)

    row = {**SESSION, PROPERTY + "Session-Path": "/plan", "llm.request.type": "chat", "gen_ai.system": "custom"}
    assert rows == {"direct": row}


def test_a_span_of_another_language_with_a_request_id_makes_a_row_whatever_its_kind(pipeline: HeliconePipeline) -> None:
    rows = pipeline.rows([span("by hand", {"helicone.request.id": "r-1", "helicone.span.kind": "task"})])

    assert list(rows) == ["by hand"]


HOSTS = ("oai.helicone.ai", "ai-gateway.helicone.ai", "OAI.hconeai.com", "api.openai.com", "helicone.ai.evil.org")
HOSTS += ("nothelicone.ai", "localhost")


def test_calls_through_a_gateway_make_no_second_row(pipeline: HeliconePipeline) -> None:
    chat = {"gen_ai.operation.name": "chat"}
    spans = [span(f"address {host}", {**chat, "server.address": host}) for host in HOSTS]
    spans += [span(f"url {host}", {**chat, "url.full": f"https://user@{host}:443/v1?a=b"}) for host in HOSTS]
    spans += [span(f"base {host}", {**chat, "gen_ai.openai.api_base": f"https://{host}/v1"}) for host in HOSTS]
    away = [host for host in HOSTS if Destinations().of_url(f"https://{host}/") is not Destination.GATEWAY]

    assert sorted(pipeline.rows(spans)) == sorted(
        f"{word} {host}" for word in ("address", "url", "base") for host in away
    )


def test_variables_name_further_gateways_and_the_kinds_that_make_rows(otelcol: str, tmp_path: Path) -> None:
    with http_sink() as backend, http_sink() as helicone:
        environ = {
            "OTEL_BACKEND_ENDPOINT": backend.url,
            "HELICONE_OTLP": "on",
            "HELICONE_OTLP_ENDPOINT": helicone.url,
            "HELICONE_GATEWAYS": "gw[.]acme[.]org",
            "HELICONE_OTLP_KINDS": "tool|llm",
        }
        with running(otelcol, tmp_path, environ) as collector:
            rows = HeliconePipeline(collector, backend, helicone).rows(
                [
                    span("through", {"gen_ai.operation.name": "chat", "server.address": "gw.acme.org"}),
                    span("direct", {"gen_ai.operation.name": "chat", "server.address": "gwxacme.org"}),
                    span("store", {"db.system.name": "qdrant"}),
                ]
            )

    assert sorted(rows) == ["direct"]


def test_the_default_kinds_that_make_rows_are_those_of_the_library() -> None:
    (kinds,) = [variable.default for variable in VARIABLES if variable.name == "HELICONE_OTLP_KINDS"]

    assert set(kinds.split("|")) == REQUEST_KINDS


def test_a_row_that_the_endpoint_refuses_is_not_sent_again(otelcol: str, tmp_path: Path) -> None:
    with http_sink() as backend, http_sink() as helicone:
        environ = {
            "OTEL_BACKEND_ENDPOINT": backend.url,
            "HELICONE_OTLP": "on",
            "HELICONE_OTLP_ENDPOINT": helicone.url,
        }
        helicone.received.status = 500
        with running(otelcol, tmp_path, environ) as collector:
            collector.send(request([span("chat", {"gen_ai.operation.name": "chat"})]))
            backend.received.wait_for(1)
            failed = 0.0
            while not failed:
                failed = collector.own_metric("otelcol_exporter_send_failed_spans", 'exporter="otlp_http/helicone"')
            helicone.received.status = 200
            collector.send(request([span("again", {"gen_ai.operation.name": "chat"})]))
            helicone.received.wait_for(1)

    assert failed == 1
    assert [one.name for one in helicone.received.spans] == ["again"]
