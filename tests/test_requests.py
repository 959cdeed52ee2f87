"""Two spans, one call: exactly one of them is the request, however often such a call was seen before."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, session
from helicone_otel._registry import Registry
from spans import CHAT, GENAI, App

CLIENT = trace.SpanKind.CLIENT
LANGCHAIN = "opentelemetry.instrumentation.langchain"
WRAPPER = {"traceloop.span.kind": "tool", "traceloop.entity.name": "search"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


def _requests(app: App) -> Counter[str]:
    spans = app.exporter.get_finished_spans()
    return Counter(span.name for span in spans if "helicone.request.id" in (span.attributes or {}))


@pytest.mark.parametrize("id", [None, "s1"])
def test_the_inner_of_two_spans_is_the_request_however_many_were_like_it_before(id: str | None) -> None:  # noqa: A002
    app = App()
    with session("Trip", id=id):
        for _ in range(3):
            with app.chat():
                pass
            with app.span("ChatOpenAI.chat", CHAT, scope=LANGCHAIN, kind=CLIENT), app.chat():
                pass
            with app.span("search.tool", WRAPPER, scope="traceloop.tracer"), app.span("execute_tool search", TOOL):
                pass

    assert _requests(app) == {"chat gpt-4o": 6, "execute_tool search": 3}


def test_the_inner_span_is_the_request_where_spans_are_exported_in_batches() -> None:
    registry, exporter = Registry(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(HeliconeSpanProcessor(registry))
    provider.add_span_processor(BatchSpanProcessor(SessionSpanExporter(exporter, registry)))
    outer, inner = provider.get_tracer(LANGCHAIN), provider.get_tracer(GENAI)
    with session("Trip"):
        for _ in range(3):
            with outer.start_as_current_span("ChatOpenAI.chat", attributes=CHAT):
                with inner.start_as_current_span("chat gpt-4o", kind=CLIENT, attributes=CHAT) as call:
                    call.set_attribute("gen_ai.response.model", "gpt-4o-2026-01-01")
    provider.force_flush()
    provider.shutdown()

    requests = [span.name for span in exporter.get_finished_spans() if "helicone.request.id" in (span.attributes or {})]
    assert requests == ["chat gpt-4o"] * 3


def test_a_wrapper_beside_its_call_finds_it_though_such_calls_were_seen_before_any_wrapper() -> None:
    app = App()
    tracer = app.provider.get_tracer("openinference.instrumentation.anthropic")
    with session("Trip"):
        for _ in range(2):
            with app.chat(gen_ai__request__model="claude-sonnet-4-5"):
                pass
        for _ in range(2):
            beside = tracer.start_span("messages.stream")
            with app.chat(gen_ai__request__model="claude-sonnet-4-5"):
                pass
            beside.set_attribute("llm.model_name", "claude-sonnet-4-5-20250929")
            beside.end()

    assert _requests(app) == {"chat gpt-4o": 4}


def test_spans_of_one_name_that_show_different_things_are_not_taken_for_the_same() -> None:
    app = App()
    with session("Trip", id="s1"):
        for tool in ("search", "book", "search"):
            with app.span("execute_tool", {**TOOL, "gen_ai.tool.name": tool}):
                pass
        with app.span("execute_tool", {"gen_ai.operation.name": "chat", "gen_ai.tool.name": "none"}, kind=CLIENT):
            pass

    paths = [(span.attributes or {})["helicone.session.path"] for span in app.exporter.get_finished_spans()]
    assert paths == ["/search", "/book", "/search", "/chat"]


def test_a_call_that_names_a_conversation_late_keeps_the_session_that_was_opened_around_it() -> None:
    app = App()
    with session("Trip", id="s1"):
        for number in range(3):
            with app.chat() as call:
                call.set_attribute("gen_ai.conversation.id", f"late-{number}")

    labels = [span.attributes or {} for span in app.exporter.get_finished_spans()]
    assert [(label["helicone.session.id"], label["helicone.session.path"]) for label in labels] == [("s1", "/chat")] * 3
