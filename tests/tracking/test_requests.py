"""Of two spans of one call, exactly one is the request, also after many equal calls."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, session, step
from helicone_otel.destinations import Destination
from helicone_otel.tracking.nodes import PathNode
from helicone_otel.tracking.records import MAX_ENDED
from helicone_otel.tracking.registry import Registry
from tests.support.spans import CHAT, GENAI, App

CLIENT = trace.SpanKind.CLIENT
LANGCHAIN = "opentelemetry.instrumentation.langchain"
WRAPPER = {"traceloop.span.kind": "tool", "traceloop.entity.name": "search"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


def _requests(app: App) -> Counter[str]:
    spans = app.exporter.get_finished_spans()
    return Counter(span.name for span in spans if "helicone.request.id" in (span.attributes or {}))


@pytest.mark.parametrize("id", [None, "s1"])
def test_the_inner_of_two_spans_is_the_request_after_many_equal_ones(id: str | None) -> None:  # noqa: A002
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


def test_the_inner_span_is_the_request_if_spans_are_exported_in_batches() -> None:
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


def test_a_wrapper_is_matched_after_equal_calls_without_a_wrapper() -> None:
    app = App()
    tracer = app.provider.get_tracer("openinference.instrumentation.anthropic")
    with session("Trip"):
        for _ in range(2):
            with app.chat(gen_ai__request__model="claude-sonnet-4-5"):
                pass
        for _ in range(2):
            parallel = tracer.start_span("messages.stream")
            with app.chat(gen_ai__request__model="claude-sonnet-4-5"):
                pass
            parallel.set_attribute("llm.model_name", "claude-sonnet-4-5-20250929")
            parallel.end()

    assert _requests(app) == {"chat gpt-4o": 4}


def test_spans_with_the_same_name_and_other_attributes_have_other_paths() -> None:
    app = App()
    with session("Trip", id="s1"):
        for tool in ("search", "book", "search"):
            with app.span("execute_tool", {**TOOL, "gen_ai.tool.name": tool}):
                pass
        with app.span("execute_tool", {"gen_ai.operation.name": "chat", "gen_ai.tool.name": "none"}, kind=CLIENT):
            pass

    paths = [(span.attributes or {})["helicone.session.path"] for span in app.exporter.get_finished_spans()]
    assert paths == ["/search", "/book", "/search", "/chat"]


def test_a_conversation_id_set_late_on_a_call_does_not_change_its_open_session() -> None:
    app = App()
    with session("Trip", id="s1"):
        for number in range(3):
            with app.chat() as call:
                call.set_attribute("gen_ai.conversation.id", f"late-{number}")

    labels = [span.attributes or {} for span in app.exporter.get_finished_spans()]
    assert [(label["helicone.session.id"], label["helicone.session.path"]) for label in labels] == [("s1", "/chat")] * 3


# --- a span that equals an earlier one and then changes -------------------------------------------------


def _twice(app: App, change: Callable[[Span], object], name: str = "chat gpt-4o") -> list[dict[str, object]]:
    """Return the labels of two equal spans that change in the same way."""
    with session("Trip", id="s1"):
        for _ in range(2):
            with app.span(name, CHAT, scope=GENAI, kind=CLIENT) as span:
                change(span)
    labels = [dict(span.attributes or {}) for span in app.exporter.get_finished_spans()]
    for label in labels:
        assert ("helicone.request.id" in label) == (label["helicone.span.kind"] == "llm")
        label.pop("helicone.request.id", None)
    return labels


@pytest.mark.parametrize(
    ("attribute", "value", "path"),
    [
        ("helicone.session.id", "other", "/chat"),
        ("helicone.session.path", "/mine", "/mine"),
        ("helicone.span.kind", "agent", "/chat"),
    ],
)
def test_values_that_the_user_overwrites_are_kept_after_equal_spans(attribute: str, value: str, path: str) -> None:
    first, second = _twice(App(), lambda span: span.set_attribute(attribute, value), name="chat")

    assert first == second
    assert (first[attribute], first["helicone.session.path"]) == (value, path)
    assert first["session.id"] == first["helicone.session.id"]


def test_spans_get_the_name_of_their_parent_that_is_set_late_into_their_path() -> None:
    app = App()
    with session("Trip", id="s1"):
        with app.span("invoke_agent", {"gen_ai.operation.name": "invoke_agent"}) as agent:
            tracer = app.provider.get_tracer(GENAI)
            calls = [tracer.start_span(f"chat {number // 3}", attributes=CHAT) for number in range(4)]
            agent.set_attribute("gen_ai.agent.name", "Researcher")
            for call in [tracer.start_span("chat late", attributes=CHAT), *calls]:
                call.end()

    paths = [(span.attributes or {})["helicone.session.path"] for span in app.exporter.get_finished_spans()]
    assert paths == ["/Researcher"] * 6


def test_a_span_used_outside_the_block_in_which_it_started_keeps_its_session() -> None:
    app = App()
    tracer = app.provider.get_tracer("my.app")
    with session("Trip", id="s1"):
        spans = [tracer.start_span("plan") for _ in range(2)]
    spans[0].end()

    with trace.use_span(spans[1], end_on_exit=True):
        location = app.registry.locate()
        with app.span("inside"):
            pass

    assert location is not None
    assert (location.session.id, location.path) == ("s1", "/plan")
    assert app.where() == {"plan": ("s1", "/plan"), "inside": ("s1", "/plan/inside")}


def test_a_child_with_a_remote_copy_of_its_parent_does_not_change_the_parent() -> None:
    app = App()
    with session("Trip", id="s1"):
        for _ in range(2):
            with app.span("execute_tool", {"gen_ai.operation.name": "execute_tool"}) as tool:
                remote = trace.NonRecordingSpan(tool.get_span_context())
                with app.span("inside", context=trace.set_span_in_context(remote)):
                    pass
                tool.set_attribute("gen_ai.tool.name", "web_search")

    assert _requests(app) == {"execute_tool": 2}
    assert app.where()["execute_tool"] == ("s1", "/web_search")


# --- calls that a gateway saw -------------------------------------------------------------------------


def _posts(app: App) -> None:
    location = app.registry.locator.locate_gateway_call("llm")
    assert location is not None
    app.registry.locator.sent(
        location.sender or location.record, location.headers, Destination.GATEWAY, location.record
    )


def test_a_step_inside_a_call_separates_the_call_from_a_request_in_the_step() -> None:
    app = App()
    with session("Trip", id="s1"), app.chat(), step("my tool"):
        _posts(app)

    assert _requests(app) == {"chat gpt-4o": 1}


def test_a_span_that_is_never_current_is_no_request_if_the_gateway_saw_the_call() -> None:
    app = App()
    with session("Trip", id="s1"):
        parallel = app.provider.get_tracer("opentelemetry.instrumentation.anthropic").start_span("anthropic.chat")
        _posts(app)
        parallel.end()

    assert _requests(app) == {}


def test_a_call_in_a_session_gives_the_span_around_it_no_session() -> None:
    app = App()
    with app.span("POST /trips/{id}", kind=trace.SpanKind.SERVER, scope="opentelemetry.instrumentation.fastapi"):
        with session("Trip", id="s1"):
            _posts(app)

    assert app.labels() == {"POST /trips/{id}": {}}


def test_the_path_nodes_of_a_long_session_are_bounded() -> None:
    app = App()
    gc.collect()
    with session("Trip", id="s1"):
        for number in range(40):
            with step(f"tenant {number}"):
                for tool in range(250):
                    with app.span("execute_tool", {**TOOL, "gen_ai.tool.name": f"tool {tool}"}):
                        pass
        nodes = sum(isinstance(thing, PathNode) for thing in gc.get_objects())

    assert nodes < 4096 + MAX_ENDED
