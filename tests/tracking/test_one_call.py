"""Of several spans of one call, exactly one is the request. Two calls are always two requests."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from helicone_otel import session
from helicone_otel.destinations import Destination
from tests.support.spans import CHAT, GENAI, HTTP, App

CLIENT = trace.SpanKind.CLIENT
LANGCHAIN = "opentelemetry.instrumentation.langchain"
OI_LANGCHAIN = "openinference.instrumentation.langchain"
OI_OPENAI = "openinference.instrumentation.openai"
ANTHROPIC = "com.anthropic.sdk.python"
SQLALCHEMY = "opentelemetry.instrumentation.sqlalchemy"
PSYCOPG = "opentelemetry.instrumentation.psycopg"
OPENAI_URL = {"http.url": "https://api.openai.com/v1/chat/completions"}
GATEWAY_URL = {"http.url": "https://oai.helicone.ai/v1/chat/completions"}
SEARCH = "SELECT id FROM docs ORDER BY embedding <=> %s LIMIT 3"


def _chat(model: str = "gpt-4o", **more: str) -> dict[str, str]:
    return CHAT | {"gen_ai.request.model": model} | {name.replace("__", "."): value for name, value in more.items()}


class NeverCurrent(NamedTuple):
    """A span that is started and ended by hand, and is never current."""

    app: App
    span: trace.Span

    @classmethod
    def begin(cls, app: App, name: str, scope: str, context: Context | None = None, **start: Any) -> NeverCurrent:
        return cls(app, app.provider.get_tracer(scope).start_span(name, context, kind=CLIENT, **start))

    def end(self, attributes: Mapping[str, Any], at: int | None = None) -> None:
        self.span.set_attributes(dict(attributes))
        self.span.end(at)


@pytest.fixture
def app() -> App:
    return App()


def _requests(app: App) -> list[tuple[str, str]]:
    """Return the scope and the name of the spans that are requests, in the order in which they ended."""
    return [
        (span.instrumentation_scope.name, span.name)
        for span in app.exporter.get_finished_spans()
        if "helicone.request.id" in (span.attributes or {}) and span.instrumentation_scope is not None
    ]


# --- spans of one call inside each other ----------------------------------------------------------


def test_the_sdks_span_is_the_request_among_nested_framework_client_and_http_spans(app: App) -> None:
    with (
        app.span("ChatAnthropic.chat", _chat("claude"), scope="my.framework"),
        app.span("chat claude", _chat("claude"), scope=GENAI, kind=CLIENT),
        app.span("anthropic.messages.create", _chat("claude"), scope=ANTHROPIC, kind=CLIENT),
        app.span("POST", {"http.url": "https://api.anthropic.com/v1/messages"}, scope=HTTP, kind=CLIENT),
    ):
        pass

    assert _requests(app) == [(ANTHROPIC, "anthropic.messages.create")]


def test_a_wrapper_that_ends_before_the_stream_inside_it_is_no_second_request(app: App) -> None:
    outer = app.provider.get_tracer("my.framework").start_span("chat", attributes=_chat())
    inner = app.provider.get_tracer(GENAI).start_span(
        "chat gpt-4o", trace.set_span_in_context(outer), attributes=_chat(), kind=CLIENT
    )
    outer.end()
    inner.end()

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


def test_a_span_that_becomes_llm_at_its_end_is_a_wrapper_of_the_call_inside_it(app: App) -> None:
    with app.span("answer", scope="openinference.instrumentation.llama_index") as outer:
        with app.chat():
            pass
        outer.set_attribute("openinference.span.kind", "LLM")

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


def test_a_tool_whose_agent_runs_another_tool_is_a_request_of_its_own(app: App) -> None:
    tool = {"openinference.span.kind": "TOOL"}
    with app.span("delegate", scope=OI_LANGCHAIN) as outer:
        with app.span("helper", scope=OI_LANGCHAIN) as agent:
            with app.span("search", scope=OI_LANGCHAIN) as inner:
                inner.set_attributes(tool)
            agent.set_attribute("openinference.span.kind", "AGENT")
        outer.set_attributes(tool)

    assert _requests(app) == [(OI_LANGCHAIN, "search"), (OI_LANGCHAIN, "delegate")]


# --- spans of one call beside each other ----------------------------------------------------------


def test_a_framework_span_beside_the_clients_span_is_a_wrapper(app: App) -> None:
    with app.span("rag"):
        parallel = NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN)
        with app.span("chat gpt-4o", _chat(), scope=GENAI, kind=CLIENT), app.span("POST", OPENAI_URL, scope=HTTP):
            pass
        parallel.end(_chat("gpt-4o-2024-07-18"))

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


def test_a_framework_span_beside_a_gateway_request_is_a_wrapper_and_no_row_is_logged(app: App) -> None:
    with app.span("rag"):
        parallel = NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN)
        with app.span("POST", GATEWAY_URL, scope=HTTP, kind=CLIENT) as http:
            location = app.registry.locate(trace.set_span_in_context(http))
            assert location is not None
            app.registry.locator.sent(location.sender, location.headers, location.sender.destination)  # type: ignore[union-attr]
        parallel.end(_chat())

    assert location.path == "/rag"
    assert _requests(app) == []


def test_a_framework_span_that_is_never_current_is_matched_with_a_call_in_another_trace(app: App) -> None:
    with session("Trip", id="s1"):
        chain = app.provider.get_tracer(OI_LANGCHAIN).start_span("rag")
        run = NeverCurrent.begin(app, "ChatOpenAI", OI_LANGCHAIN, trace.set_span_in_context(chain))
        with app.span("chat gpt-4o", _chat(), scope=GENAI, kind=CLIENT, context=None):
            pass
        run.end({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-2024-07-18"})
        chain.end()

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


def test_a_span_written_after_the_call_in_another_trace_is_matched_by_the_response_id(app: App) -> None:
    with app.chat(gen_ai__response__id="chatcmpl-1"):
        pass
    late = NeverCurrent.begin(app, "litellm_request", "litellm", Context(), start_time=1)
    late.end({"gen_ai.operation.name": "acompletion", "gen_ai.response.id": "chatcmpl-1"}, at=2)

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


def test_the_second_span_that_litellm_writes_below_its_own_is_no_request(app: App) -> None:
    with app.span("litellm_request", {"llm.request.type": "completion"}, scope="litellm"):
        with app.span("raw_gen_ai_request", scope="litellm"):
            pass

    assert _requests(app) == [("litellm", "litellm_request")]


@pytest.mark.parametrize("name", ["db.statement", "db.query.text"])
def test_the_drivers_span_beside_sqlalchemys_span_is_the_request(app: App, name: str) -> None:
    with session("Trip", id="s1"):
        for _ in range(2):
            orm = NeverCurrent.begin(app, "SELECT trips", SQLALCHEMY)
            driver = NeverCurrent.begin(app, "SELECT", PSYCOPG)
            driver.end({"db.system": "postgresql", name: SEARCH + " /*traceparent='00-1'*/"})
            orm.end({"db.system": "postgresql", name: SEARCH})

    assert _requests(app) == [(PSYCOPG, "SELECT")] * 2


def test_sqlalchemys_span_is_the_request_if_the_driver_is_not_instrumented(app: App) -> None:
    with session("Trip", id="s1"):
        NeverCurrent.begin(app, "SELECT trips", SQLALCHEMY).end({"db.statement": SEARCH})

    assert _requests(app) == [(SQLALCHEMY, "SELECT trips")]


def test_a_framework_span_beside_the_clients_span_wraps_the_call_inside_that_too(app: App) -> None:
    with session("Trip", id="s1"):
        parallel = NeverCurrent.begin(app, "ChatOpenAI", OI_LANGCHAIN)
        with (
            app.span("chat gpt-4o", _chat(), scope=GENAI, kind=CLIENT) as client,
            app.span("ChatCompletion", {"openinference.span.kind": "LLM"}, scope=OI_OPENAI) as inner,
        ):
            inner.set_attribute("llm.model_name", "gpt-4o")
            client.set_attribute("gen_ai.response.id", "r-1")
        parallel.end({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "gen_ai.response.id": "r-1"})

    assert _requests(app) == [(OI_OPENAI, "ChatCompletion")]


def test_two_framework_spans_beside_one_call_both_wrap_it(app: App) -> None:
    with app.span("rag"):
        others = [NeverCurrent.begin(app, "ChatOpenAI.chat", scope) for scope in (LANGCHAIN, OI_LANGCHAIN)]
        with app.span("chat gpt-4o", _chat(), scope=GENAI, kind=CLIENT):
            pass
        for other in others:
            other.end(_chat(openinference__span__kind="LLM"))

    assert _requests(app) == [(GENAI, "chat gpt-4o")]


@given(st.data())
def test_each_of_parallel_calls_finds_its_wrapper_in_whatever_order_they_begin_and_end(data: st.DataObject) -> None:
    app, count = App(), data.draw(st.integers(1, 5))
    # Four events of each call: its wrapper begins, it begins, it ends, its wrapper ends.
    order = data.draw(st.permutations([number for number in range(count) for _ in range(4)]))
    with app.span("plan"):
        wrappers: dict[int, NeverCurrent] = {}
        calls: dict[int, NeverCurrent] = {}
        for at, number in enumerate(order, 1):
            if number not in wrappers:
                wrappers[number] = NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN, start_time=at)
            elif number not in calls:
                calls[number] = NeverCurrent.begin(app, "chat", GENAI, attributes=_chat(), start_time=at)
            elif number >= 0 and calls[number].span.is_recording():
                calls[number].end({}, at)
            else:
                wrappers[number].end(_chat(), at)

    assert _requests(app) == [(GENAI, "chat")] * count


def test_spans_with_the_same_answer_are_one_call_wherever_they_are(app: App) -> None:
    with app.span("plan"):
        answered = {"gen_ai.response.id": "r-1"}
        native = app.provider.get_tracer("mistralai_sdk_tracer").start_span("chat", Context(), CLIENT, _chat("m"))
        other = app.provider.get_tracer("opentelemetry.instrumentation.mistralai").start_span("mistralai.chat")
        native.set_attributes(answered)
        native.end()
        other.set_attributes(_chat("m") | answered)
        other.end()

    assert _requests(app) == [("mistralai_sdk_tracer", "chat")]


def test_an_answer_that_comes_again_from_a_cache_is_a_call_of_its_own(app: App) -> None:
    with app.span("plan"):
        for scope in (GENAI, "my.client", GENAI):
            with app.span("chat", _chat(gen_ai__response__id="r-1"), scope=scope, kind=CLIENT):
                pass

    assert _requests(app) == [(GENAI, "chat"), ("my.client", "chat"), (GENAI, "chat")]


# --- LiteLLM's own callback ------------------------------------------------------------------------

# LiteLLM writes these onto the span that is current, if there is one.
BY_LITELLM = {"hidden_params": '{"api_base": "https://api.openai.com/v1"}', "gen_ai.operation.name": "chat"}


def test_a_step_onto_which_litellm_writes_its_call_stays_a_step(app: App) -> None:
    with app.span("plan") as step:
        with app.span("raw_gen_ai_request", scope="litellm"):
            pass
        step.set_attributes(BY_LITELLM | {"gen_ai.request.model": "gpt-4o"})

    assert _requests(app) == [("litellm", "raw_gen_ai_request")]
    kinds = {name: label["helicone.span.kind"] for name, label in app.labels().items()}
    assert kinds == {"plan": "task", "raw_gen_ai_request": "llm"}
    assert {path for _, path in app.where().values()} == {"/plan"}


def test_a_span_of_litellm_that_has_lost_the_context_belongs_where_its_call_went_to_a_gateway(app: App) -> None:
    with session("Trip", id="s1", path="/ask"):
        start = time.time_ns()
        location = app.registry.locate()
        assert location is not None
        app.registry.locator.sent(location.record, location.headers, Destination.GATEWAY)
    late = NeverCurrent.begin(app, "litellm_request", "litellm", Context(), start_time=start)
    late.end(_chat())

    assert (_requests(app), app.where()) == ([], {"litellm_request": ("s1", "/ask")})


@pytest.mark.parametrize(
    ("api_base", "logged"),
    [("https://oai.helicone.ai/v1", False), ("https://api.openai.com/v1", True), ("no url", True), (None, True)],
)
def test_the_address_that_litellm_called_tells_whether_a_gateway_has_made_the_row(
    app: App, api_base: str | None, logged: bool
) -> None:
    told = {"hidden_params": json.dumps({"model_id": None, "api_base": api_base})}
    NeverCurrent.begin(app, "litellm_request", "litellm", Context()).end(_chat() | told)

    assert _requests(app) == ([("litellm", "litellm_request")] if logged else [])


# --- two calls ------------------------------------------------------------------------------------

TWO_CALLS = {
    "other answers": (_chat(gen_ai__response__id="a"), _chat(gen_ai__response__id="b")),
    "other models": (_chat("gpt-4o"), _chat("gpt-4o-mini")),
    "other providers": (_chat(gen_ai__provider__name="openai"), _chat(gen_ai__provider__name="azure")),
    "one without a model": (_chat(), CHAT),
}


@pytest.mark.parametrize(("theirs", "ours"), TWO_CALLS.values(), ids=TWO_CALLS)
def test_two_different_calls_at_the_same_time_are_two_requests(
    app: App, theirs: dict[str, str], ours: dict[str, str]
) -> None:
    with app.span("plan"):
        parallel = NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN)
        with app.span("chat", ours, scope=GENAI, kind=CLIENT):
            pass
        parallel.end(theirs)

    assert _requests(app) == [(GENAI, "chat"), (LANGCHAIN, "ChatOpenAI.chat")]


def test_two_calls_in_different_steps_are_two_requests(app: App) -> None:
    with app.span("plan"):
        with app.span("research"):
            parallel = NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN)
        with app.span("book"), app.span("chat", _chat(), scope=GENAI, kind=CLIENT):
            pass
        parallel.end(_chat())

    assert _requests(app) == [(GENAI, "chat"), (LANGCHAIN, "ChatOpenAI.chat")]


def test_two_wrappers_at_the_same_time_are_matched_with_one_call_each(app: App) -> None:
    with app.span("plan"):
        wrappers = [NeverCurrent.begin(app, "ChatOpenAI.chat", LANGCHAIN) for _ in range(2)]
        calls = [NeverCurrent.begin(app, "chat gpt-4o", GENAI, attributes=_chat()) for _ in range(2)]
        for span in (*calls, *wrappers):
            span.end(_chat())

    assert _requests(app) == [(GENAI, "chat gpt-4o")] * 2


def test_an_http_span_to_a_gateway_is_a_request_after_one_to_another_host(app: App) -> None:
    with session("Trip", id="s1"):
        for url in (OPENAI_URL, GATEWAY_URL):
            with app.span("POST", url, scope=HTTP, kind=CLIENT):
                pass

    kinds = [(span.attributes or {}).get("helicone.span.kind") for span in app.exporter.get_finished_spans()]
    assert kinds == [None, "llm"]


# --- the server's side of a call ------------------------------------------------------------------

MCP = {"mcp.method.name": "tools/call", "gen_ai.tool.name": "add"}


def _mcp(app: App, kind: trace.SpanKind, context: Context | None = None) -> AbstractContextManager[Span]:
    name = "tools/call add" if kind is trace.SpanKind.SERVER else "MCP send tools/call add"
    return app.span(name, MCP, scope="mcp-python-sdk", kind=kind, context=context)


def test_the_clients_span_of_a_tool_call_is_the_request_and_the_servers_is_not(app: App) -> None:
    with app.span("ask"), _mcp(app, CLIENT), _mcp(app, trace.SpanKind.SERVER):
        pass

    assert _requests(app) == [("mcp-python-sdk", "MCP send tools/call add")]


def test_the_servers_span_is_the_request_where_the_client_makes_none(app: App) -> None:
    with app.span("ask"), _mcp(app, trace.SpanKind.SERVER):
        pass
    with _mcp(app, trace.SpanKind.SERVER):
        pass

    assert _requests(app) == 2 * [("mcp-python-sdk", "tools/call add")]


def test_the_servers_span_is_no_request_if_another_process_has_called(app: App) -> None:
    ids = trace.SpanContext(0xA, 0xB, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    with _mcp(app, trace.SpanKind.SERVER, trace.set_span_in_context(trace.NonRecordingSpan(ids))):
        pass

    assert _requests(app) == []


def test_a_tool_around_an_agent_is_not_the_client_of_that_agents_tool_calls(app: App) -> None:
    tool, agent = {"gen_ai.operation.name": "execute_tool"}, {"gen_ai.operation.name": "invoke_agent"}
    with app.span("delegate", tool, scope=GENAI), app.span("helper", agent, scope=GENAI):
        with _mcp(app, trace.SpanKind.SERVER):
            pass

    assert _requests(app) == [("mcp-python-sdk", "tools/call add"), (GENAI, "delegate")]


def test_clients_of_mcp_show_that_what_encloses_them_is_part_of_an_llm_app(app: App) -> None:
    listing = {"mcp.method.name": "tools/list"}
    with app.span("assistant"), app.span("MCP send tools/list", listing, scope="mcp-python-sdk", kind=CLIENT):
        pass
    with app.span("MCP send initialize", {"mcp.method.name": "initialize"}, scope="mcp-python-sdk", kind=CLIENT):
        pass
    with app.span("tools/list", listing, scope="fastmcp", kind=trace.SpanKind.SERVER):
        pass

    paths = {name: path for name, (_, path) in app.where().items()}
    assert paths == {
        "assistant": "/assistant",
        "MCP send tools/list": "/assistant",
        "MCP send initialize": None,
        "tools/list": None,
    }


# --- a retriever beside its store -----------------------------------------------------------------


def test_a_retriever_without_a_query_wraps_the_store_beside_it(app: App) -> None:
    with app.span("find"):
        retriever = NeverCurrent.begin(app, "retrieval VectorStoreRetriever", "openlit.instrumentation.langchain")
        with app.span("GET docs", {"db.operation.name": "GET"}, scope="openlit.instrumentation.chroma", kind=CLIENT):
            pass
        retriever.end({"gen_ai.operation.name": "retrieval"})

    assert _requests(app) == [("openlit.instrumentation.chroma", "GET docs")]


def test_a_retriever_without_a_store_beside_it_is_the_request(app: App) -> None:
    with app.span("GET docs", {"db.operation.name": "GET"}, scope="openlit.instrumentation.chroma", kind=CLIENT):
        pass
    with app.span("find"):
        retriever = NeverCurrent.begin(app, "retrieval VectorStoreRetriever", "openlit.instrumentation.langchain")
        retriever.end({"gen_ai.operation.name": "retrieval"})

    assert _requests(app)[-1] == ("openlit.instrumentation.langchain", "retrieval VectorStoreRetriever")


# --- a span of a call that names a session ------------------------------------------------------------


def test_a_span_inside_a_call_that_names_a_session_keeps_the_path_of_the_call(app: App) -> None:
    with app.chat(), app.span("POST", {"session.id": "s-1"}, scope=HTTP, kind=CLIENT):
        pass

    assert app.where()["POST"] == ("s-1", "/chat")
