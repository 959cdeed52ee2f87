"""Work begins anew at a span by which it comes in, unless it goes on under an open span of the same Context.

The stale Contexts of these tests are those that servers leave behind: uvicorn handles the next request of a connection
in the Context in which the last one was read.
"""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from helicone_otel import HeliconePropagator, Settings, current_session, session, step
from helicone_otel.spans.routes import INBOUND_SCOPES
from helicone_otel.tracking.resolver import MAX_TRACES
from tests.support.spans import GENAI, SERVER, App

CONVERSATION = {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "ann-private"}
MINE = ("ann-private", "/ask")


def remote(span: Span | int, span_id: int = 0xB) -> Context:
    """Return the Context that a propagator extracts from a request: it holds ids, and nothing else."""
    ids = span if isinstance(span, int) else span.get_span_context().trace_id
    span_id = span_id if isinstance(span, int) else span.get_span_context().span_id
    flags = TraceFlags(TraceFlags.SAMPLED)
    return set_span_in_context(
        NonRecordingSpan(SpanContext(ids, span_id, is_remote=True, trace_flags=flags)), Context()
    )


def made_up(span: Span) -> str:
    return str(uuid.UUID(int=span.get_span_context().trace_id))


@contextmanager
def entering(
    app: App,
    context: Context | None,
    *,
    name: str = "POST /ask",
    kind: SpanKind = SpanKind.SERVER,
    scope: str = SERVER,
    **attributes: Any,
) -> Iterator[Span]:
    """Handle a request as instrumentations do: what was extracted becomes current, then the span."""
    token = attach(context) if context is not None else None
    try:
        with app.span(name, attributes, scope=scope, kind=kind) as span:
            yield span
    finally:
        if token is not None:
            detach(token)


def victim(app: App) -> Span:
    """Handle a request whose LLM call names its conversation; return the span of the request, which has ended."""
    with entering(app, Context()) as server, app.span("first", CONVERSATION, scope=GENAI):
        pass
    return server


KINDS = [
    pytest.param(SpanKind.SERVER, SERVER, id="server"),
    pytest.param(SpanKind.CONSUMER, "opentelemetry.instrumentation.celery", id="consumer"),
]


@pytest.mark.parametrize(("kind", "scope"), KINDS)
@pytest.mark.parametrize("ids", ["request", "call", "unknown"])
def test_a_callers_traceparent_joins_no_session_that_was_chosen(kind: SpanKind, scope: str, ids: str) -> None:
    app = App()
    server = victim(app)
    trace_id = server.get_span_context().trace_id
    call = next(span for span in app.exporter.get_finished_spans() if span.name == "first").get_span_context()
    span_id = {"request": server.get_span_context().span_id, "call": call.span_id if call else 0, "unknown": 7}[ids]
    with entering(app, remote(trace_id, span_id), name="stranger", kind=kind, scope=scope), app.chat():
        carrier: dict[str, str] = {}
        with app.span("POST", {"url.full": "https://oai.helicone.ai/v1"}, kind=SpanKind.CLIENT):
            HeliconePropagator(app.registry).inject(carrier)

    assert app.where()["first"] == MINE
    assert app.where()["chat gpt-4o"][0] == carrier["Helicone-Session-Id"] == made_up(server)


def test_an_accepted_callers_traceparent_joins_the_session_of_its_trace() -> None:
    app = App(Settings(accept_inbound=True))
    server = victim(app)
    with entering(app, remote(server), name="POST /next"), app.chat():
        pass

    assert app.where()["chat gpt-4o"] == ("ann-private", "/next")


def test_work_of_the_trace_that_comes_in_later_does_not_change_the_first() -> None:
    app = App()
    with entering(app, Context(), name="POST /first") as server:
        with entering(app, remote(server), name="POST /second"):
            with app.span("second", CONVERSATION, scope=GENAI):
                pass
        with app.chat():
            pass

    assert app.where()["second"] == ("ann-private", "/second")
    assert app.where()["chat gpt-4o"] == (made_up(server), "/first")


def test_two_requests_of_one_trace_have_sessions_of_their_own() -> None:
    app = App()
    for number in range(2):
        with entering(app, remote(0xA), name=f"POST /{number}"), app.span("load"):
            named = {**CONVERSATION, "gen_ai.conversation.id": f"c-{number}"}
            with app.span(f"chat {number}", named, scope=GENAI):
                pass
        with entering(app, remote(0xA)), app.span(f"bare {number}", {"gen_ai.operation.name": "chat"}, scope=GENAI):
            pass

    where = app.where()
    assert [where[f"chat {number}"] for number in range(2)] == [("c-0", "/load"), ("c-1", "/load")]
    assert {where[f"bare {number}"][0] for number in range(2)} == {str(uuid.UUID(int=0xA))}


def test_a_span_that_starts_after_its_work_was_recognised_belongs_to_it() -> None:
    app = App()
    with entering(app, remote(0xA)), app.span("outer"):
        with app.span("early"):
            with app.chat():
                pass
            with app.span("late"):
                pass
        with app.span("aside"), app.span("inner"):
            pass

    where = app.where()
    assert {session_id for session_id, _ in where.values()} == {str(uuid.UUID(int=0xA))}
    assert (where["late"][1], where["inner"][1]) == ("/outer/early/late", "/outer/aside/inner")


# --- stale Contexts -------------------------------------------------------------------------------


def left_behind(app: App, **attributes: Any) -> tuple[contextvars.Context, Span]:
    """Handle a request, and return what uvicorn handles the next one in, and the span that is current there."""
    with entering(app, Context(), name="POST /first", **attributes) as server:
        with session("Secret", id="ann-private", user_id="ann"), step("read"), app.chat():
            pass
        with session("Secret", id="ann-private", user_id="ann"), step("read"):
            with app.span("POST /first http receive", scope=SERVER):
                context = contextvars.copy_context()
    app.exporter.clear()
    return context, server


def next_request(app: App, scope: str = SERVER, *, recognised: bool = False) -> dict[str, Any]:
    """Handle a request as instrumentations do where a span is current: below it, by an INTERNAL span."""
    seen: dict[str, Any] = {}
    attributes: dict[str, Any] = {"http.route": "/next"} | ({"session.id": "c-2"} if recognised else {})
    with entering(app, None, name="POST /next", kind=SpanKind.INTERNAL, scope=scope, **attributes) as server:
        seen["before"] = current_session()
        carrier = seen["headers"] = {}
        with app.span("work"), app.chat():
            with app.span("POST", {"url.full": "https://oai.helicone.ai/v1"}, kind=SpanKind.CLIENT):
                HeliconePropagator(app.registry).inject(carrier)
        with app.span("bare", {"gen_ai.operation.name": "chat"}, scope=GENAI):
            pass
        with step("alone"), app.span("in a step", {"gen_ai.operation.name": "chat"}, scope=GENAI):
            pass
        with session("Own", id="bob"), app.span("own", {"gen_ai.operation.name": "chat"}, scope=GENAI):
            pass
        seen["trace"] = made_up(server)
    return seen


@pytest.mark.parametrize("scope", [pattern.rstrip("*") for pattern in INBOUND_SCOPES])
def test_the_next_request_of_a_connection_is_not_in_the_session_of_the_last(scope: str) -> None:
    app = App()
    context, _ = left_behind(app)
    seen = context.run(next_request, app, scope)

    where, trace_id = app.where(), seen["trace"]
    assert (where["chat gpt-4o"], where["in a step"]) == ((trace_id, "/work"), (trace_id, "/alone"))
    assert where["bare"] == (trace_id, "/next")
    assert where["own"] == ("bob", "/next")
    assert seen["headers"] == {"Helicone-Session-Id": trace_id, "Helicone-Session-Path": "/work"}
    assert "ann" not in str(app.labels())


def test_a_recognised_next_request_has_the_session_that_it_names() -> None:
    app = App()
    context, _ = left_behind(app)
    context.run(next_request, app, recognised=True)

    assert app.where()["chat gpt-4o"] == ("c-2", "/work")


def test_a_request_below_the_request_that_encloses_it_goes_on_in_its_session() -> None:
    app = App()
    with session("Trip", id="trip-42"), app.span("call the app in memory"):
        seen = next_request(app)

    assert app.where()["chat gpt-4o"] == ("trip-42", "/call_the_app_in_memory/work")
    assert seen["headers"]["Helicone-Session-Id"] == "trip-42"


def test_a_task_that_outlives_its_request_keeps_the_session() -> None:
    app = App()
    context, _ = left_behind(app)

    def task() -> None:
        with app.span("mail"), app.chat():
            pass

    context.run(task)

    assert app.where()["chat gpt-4o"] == ("ann-private", "/read/mail")


@pytest.mark.parametrize(("kind", "scope"), KINDS)
def test_work_that_comes_in_below_a_span_that_has_ended_begins_anew(kind: SpanKind, scope: str) -> None:
    app = App()
    _, server = left_behind(app)
    ended = set_span_in_context(server, Context())
    with entering(app, ended, name="later", kind=kind, scope=scope), app.chat():
        pass

    assert app.where()["chat gpt-4o"][0] == made_up(server)


# --- work that goes on ----------------------------------------------------------------------------


def served(app: App, context: Context, kind: SpanKind = SpanKind.SERVER) -> None:
    """Handle a message as in-process servers do: the span starts below what was extracted, the rest stays current."""
    with app.span("tools/call", scope="mcp-python-sdk", kind=kind, context=context), app.chat():
        pass


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_work_goes_on_where_its_session_is_current_and_the_caller_is_open(kind: SpanKind) -> None:
    app = App()
    with session("Trip", id="trip-42"):
        around = contextvars.copy_context()
        with app.span("plan"), app.span("call", scope="mcp-python-sdk", kind=SpanKind.CLIENT) as client:
            around.run(served, app, remote(client), kind)  # a server that was started in the session
            inside = app.where()["chat gpt-4o"]
            served(app, remote(client), kind)  # the caller's own Context

    assert inside == app.where()["chat gpt-4o"] == ("trip-42", "/plan")


def test_work_goes_on_in_the_provisional_session_of_its_caller() -> None:
    app = App()
    with app.span("plan") as plan, app.chat():
        around = contextvars.copy_context()
        with app.span("call", kind=SpanKind.CLIENT) as client:
            around.run(served, app, remote(client))
            served(app, remote(client))

    assert app.where()["tools/call"][0] == made_up(plan)
    assert app.where()["tools/call"][1] == "/plan"


def test_work_does_not_go_on_in_a_session_that_is_not_current() -> None:
    app = App()
    outside = contextvars.copy_context()
    with session("Other", id="other"):
        other = contextvars.copy_context()
    with session("Trip", id="trip-42"), app.span("plan"), app.span("call", kind=SpanKind.CLIENT) as client:
        outside.run(served, app, remote(client))
        other.run(served, app, remote(client))

    chats = [span.attributes for span in app.exporter.get_finished_spans() if span.name == "chat gpt-4o"]
    assert [(chat or {}).get("helicone.session.id") for chat in chats] == [made_up(client)] * 2


def test_a_caller_that_has_ended_is_not_joined_in_its_own_session() -> None:
    app = App()
    with session("Trip", id="trip-42"):
        with app.span("call", scope="mcp-python-sdk", kind=SpanKind.CLIENT) as client:
            pass
        served(app, remote(client))

    assert app.where()["chat gpt-4o"][0] == made_up(client)


def test_the_memory_of_work_that_began_anew_is_bounded() -> None:
    app = App()
    for number in range(1, MAX_TRACES + 100):
        with entering(app, remote(number)), app.chat():
            pass

    assert len(app.registry.resolver.traces) <= MAX_TRACES


# --- below the route ----------------------------------------------------------------------------------

VECTOR = {"db.system": "qdrant", "db.operation": "query"}


def test_a_vector_query_and_a_rerank_without_a_step_are_below_the_route_where_the_call_is() -> None:
    app = App()
    with entering(app, None, **{"http.route": "/rag/{id}/ask"}):
        with app.span("query", VECTOR, scope="my.index"):
            pass
        with app.span("rerank docs", {"gen_ai.operation.name": "rerank"}, scope="my.index"):
            pass
        with app.chat(), app.span("tool x", {"gen_ai.operation.name": "execute_tool"}, scope=GENAI):
            pass

    assert {name: path for name, (_, path) in app.where().items()} == {
        "query": "/rag/ask/query",
        "rerank docs": "/rag/ask/rerank",
        "tool x": "/tool_x",
        "chat gpt-4o": "/rag/ask",
        "POST /ask": "/",
    }


def test_a_vector_query_inside_a_step_is_below_the_step_alone() -> None:
    app = App()
    with entering(app, None, **{"http.route": "/ask"}), app.span("find docs"):
        with app.span("query", VECTOR, scope="my.index"):
            pass

    assert app.where()["query"][1] == "/find_docs/query"


def test_calls_of_an_app_under_fastapis_own_spans_are_at_the_route() -> None:
    app = App()
    with entering(app, None, name="POST", scope="fastapi") as server:
        server.set_attribute("http.route", "/ask")
        server.update_name("POST /ask")
        with app.span("fastapi.dependencies", scope="fastapi"), app.span("query", VECTOR, scope="my.index"):
            pass
        with app.span("fastapi.endpoint", scope="fastapi"), app.chat():
            pass

    assert {name: path for name, (_, path) in app.where().items()} == {
        "query": "/ask/query",
        "fastapi.dependencies": "/",
        "chat gpt-4o": "/ask",
        "fastapi.endpoint": "/",
        "POST /ask": "/",
    }


def test_work_after_the_answer_is_at_the_route_of_its_request() -> None:
    app = App()
    with entering(app, None, **{"http.route": "/ask"}) as server:
        pass
    with app.span("BackgroundTask title", scope=SERVER, context=set_span_in_context(server)), app.chat():
        pass

    assert app.where()["chat gpt-4o"] == (made_up(server), "/ask")
