"""The product's rules: which session, which path, which attributes. README: "Which session does a span belong to?"."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager, nullcontext

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor, SessionPath, Settings, session, step
from helicone_otel.failures import swallowed
from helicone_otel.tracking.records import MAX_DEPTH
from tests.support.spans import GENAI, HTTP, SERVER, App

CLIENT = SpanKind.CLIENT


def _trace_session(span: Span) -> str:
    return str(uuid.UUID(int=span.get_span_context().trace_id))


# --- untouched ------------------------------------------------------------------------------------


def test_a_trace_in_which_nothing_is_recognised_stays_untouched() -> None:
    app = App()
    with app.span("GET /users", {"http.route": "/users"}, scope=SERVER, kind=SpanKind.SERVER):
        with app.span("load users"), app.span("SELECT", {"db.system": "postgresql"}, scope="x", kind=CLIENT):
            pass

    assert [dict(span.attributes or {}) for span in app.exporter.get_finished_spans()] == [
        {"db.system": "postgresql"},
        {},
        {"http.route": "/users"},
    ]


_ENDPOINTS = (
    "https://api.openai.com/v1/chat/completions",
    "http://localhost:8000/v1/embeddings",
    "https://acme.openai.azure.com/openai/deployments/d/embeddings?api-version=2026-01-01",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-3:streamGenerateContent?alt=sse",
)


@pytest.mark.parametrize("name", ["url.full", "http.url"])
@pytest.mark.parametrize("url", _ENDPOINTS)
def test_steps_around_a_request_to_a_model_belong_to_a_session_although_nothing_instruments_the_call(
    url: str, name: str
) -> None:
    app = App()
    with app.span("embed doc") as outer, app.span("POST", {name: url}, scope=HTTP, kind=CLIENT):
        pass

    where = (_trace_session(outer), "/embed_doc")
    assert app.where() == {"embed doc": where, "POST": where}
    assert app.labels()["embed doc"]["helicone.span.kind"] == "task"
    assert "helicone.span.kind" not in app.labels()["POST"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://api.acme.com/v1/messages", CLIENT),
        ("https://api.acme.com/v1/embeddings/7", CLIENT),
        ("https://api.acme.com/search?q=/v1/embeddings", CLIENT),
        ("http://localhost:8000/v1/chat/completions", SpanKind.SERVER),
    ],
)
def test_other_requests_leave_their_trace_untouched(url: str, kind: SpanKind) -> None:
    app = App()
    with app.span("load users"), app.span("POST", {"url.full": url}, scope=HTTP, kind=kind):
        pass

    assert app.where() == {"load users": (None, None), "POST": (None, None)}


def test_a_request_to_a_model_alone_stays_untouched() -> None:
    app = App()
    with app.span("POST", {"url.full": _ENDPOINTS[0]}, scope=HTTP, kind=CLIENT):
        pass

    assert app.where() == {"POST": (None, None)}


def test_the_span_of_a_call_that_has_a_url_stays_a_call() -> None:
    app = App()
    with app.chat(url__full=_ENDPOINTS[0]):
        pass

    assert app.labels()["chat gpt-4o"]["helicone.span.kind"] == "llm"


def test_an_untouched_span_is_exported_itself_and_not_as_a_copy() -> None:
    app = App()
    with app.span("plain"):
        pass

    (span,) = app.exporter.get_finished_spans()
    assert type(span).__name__ == "ReadableSpan"


def test_a_session_opened_in_code_includes_spans_that_no_dialect_recognises() -> None:
    app = App()
    with session("Trip", id="s"), app.span("load users"), app.span("SELECT", scope="db.driver", kind=CLIENT):
        pass

    assert app.where() == {"load users": ("s", "/load_users"), "SELECT": ("s", "/load_users")}


def test_without_application_spans_only_dialects_make_steps() -> None:
    app = App(Settings(application_spans=False))
    with session("Trip", id="s"), app.span("load users"), app.chat():
        pass

    assert app.where() == {"chat gpt-4o": ("s", "/chat"), "load users": ("s", "/")}


# --- whose session? -------------------------------------------------------------------------------


def test_a_session_opened_in_code_wins_over_an_id_on_the_span() -> None:
    app = App()
    with session("Trip", id="mine"), app.chat(gen_ai__conversation__id="theirs"):
        pass

    label = app.labels()["chat gpt-4o"]
    assert label["helicone.session.id"] == "mine"
    assert label["gen_ai.conversation.id"] == "theirs"


def test_a_session_opened_before_the_parent_does_not_win_over_the_parents_label() -> None:
    app = App()
    with session("Outer", id="outer"):
        with session("Inner", id="inner"):
            inner = app.provider.get_tracer("my.app").start_span("inner step")
        with trace.use_span(inner, end_on_exit=True), app.chat():
            pass

    assert app.where()["chat gpt-4o"] == ("inner", "/inner_step")


def test_a_frameworks_id_on_an_inner_span_does_not_split_the_outer_session() -> None:
    app = App()
    with app.span("invoke_agent lead", {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "lead"}):
        with app.span("invoke_agent sub", {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "sub"}):
            pass

    assert app.where() == {
        "invoke_agent sub": ("lead", "/lead/sub"),
        "invoke_agent lead": ("lead", "/lead"),
    }


def test_the_first_real_id_in_a_trace_replaces_the_provisional_one() -> None:
    app = App()
    with app.span("root"):
        with app.span("invoke_agent a", {"gen_ai.operation.name": "invoke_agent"}) as agent:
            agent.set_attribute("gen_ai.conversation.id", "thread-7")
            with app.chat():
                pass

    assert {name: label["helicone.session.id"] for name, label in app.labels().items()} == {
        "chat gpt-4o": "thread-7",
        "invoke_agent a": "thread-7",
        "root": "thread-7",
    }


def test_a_provisional_id_that_left_on_a_span_is_kept_for_the_trace() -> None:
    app = App()
    with app.span("root") as root:
        with app.chat():
            pass
        with app.span("invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "late"}):
            pass

    assert {label["helicone.session.id"] for label in app.labels().values()} == {_trace_session(root)}


@pytest.mark.parametrize("theirs", [{}, {"Helicone-Session-Path": "/theirs"}, {"Helicone-Session-Name": "Theirs"}])
def test_a_provisional_id_that_left_in_a_header_is_kept_for_the_trace(theirs: dict[str, str]) -> None:
    app = App(Settings(gateway_hosts=("gateway.test",)))
    carrier = dict(theirs)
    with app.span("root") as root:
        with app.chat() as chat:
            with app.span("POST", {"http.url": "https://gateway.test/v1"}, scope=HTTP, kind=CLIENT):
                HeliconePropagator(app.registry).inject(carrier)
                chat.set_attribute("gen_ai.conversation.id", "late")
                with app.span("beside", context=trace.set_span_in_context(chat)):
                    pass

    assert carrier["Helicone-Session-Id"] == _trace_session(root)
    assert {label["helicone.session.id"] for label in app.labels().values()} == {_trace_session(root)}


def test_ids_are_inherited_from_parents_and_never_from_siblings() -> None:
    app = App()
    invoke = {"gen_ai.operation.name": "invoke_agent"}
    with app.span("worker"):
        with app.span("invoke_agent one", invoke | {"gen_ai.conversation.id": "c1"}), app.chat():
            pass
        with app.span("invoke_agent two", invoke | {"gen_ai.conversation.id": "c2"}):
            with app.span("execute_tool t", {"gen_ai.operation.name": "execute_tool"}):
                pass

    assert {name: where[0] for name, where in app.where().items()} == {
        "chat gpt-4o": "c1",
        "invoke_agent one": "c1",
        "execute_tool t": "c2",
        "invoke_agent two": "c2",
        "worker": "c1",
    }


def test_the_session_of_the_process_wins_over_the_session_of_the_trace() -> None:
    app = App(Settings(session_id="batch-1"))
    with app.span("root"), app.chat():
        pass

    assert app.where() == {"chat gpt-4o": ("batch-1", "/root"), "root": ("batch-1", "/root")}


def test_an_id_on_the_span_wins_over_the_session_of_the_process() -> None:
    app = App(Settings(session_id="batch-1"))
    with app.chat(gen_ai__conversation__id="c1"):
        pass

    assert app.where() == {"chat gpt-4o": ("c1", "/chat")}


def test_configured_attributes_win_over_those_that_dialects_know() -> None:
    app = App(Settings(session_id_attributes=("http.request.header.x_conversation_id",)))
    header = {"http.request.header.x_conversation_id": ("chat-9",), "http.route": "/ask"}
    with app.span("POST /ask", header, scope=SERVER, kind=SpanKind.SERVER):
        with app.chat(gen_ai__conversation__id="other"):
            pass

    assert app.where() == {"chat gpt-4o": ("chat-9", "/ask"), "POST /ask": ("chat-9", "/")}


def test_the_trace_is_the_session_if_there_is_no_other_and_this_can_be_switched_off() -> None:
    made_up, off = App(), App(Settings(session_fallback="none"))
    with made_up.chat() as span:
        pass
    with off.chat():
        pass

    assert made_up.where() == {"chat gpt-4o": (_trace_session(span), "/chat")}
    assert off.labels() == {"chat gpt-4o": {}}


@pytest.mark.parametrize("attribute", ["mcp.session.id", "gen_ai.agent.call.id", "thread.id"])
def test_ids_of_other_things_than_conversations_are_no_sessions(attribute: str) -> None:
    app = App()
    with app.chat(**{attribute.replace(".", "__"): "x"}) as span:
        pass

    assert app.where() == {"chat gpt-4o": (_trace_session(span), "/chat")}


def test_baggage_and_headers_of_a_caller_change_nothing_by_default() -> None:
    app = App()
    inbound = HeliconePropagator(app.registry).extract({"Helicone-Session-Id": "evil"}, Context())
    inbound = baggage.set_baggage("session.id", "evil", inbound)
    with app.span("POST /ask", scope=SERVER, kind=SpanKind.SERVER, context=inbound) as server, app.chat():
        pass

    assert app.where()["chat gpt-4o"] == (_trace_session(server), "/ask")


def test_an_accepted_callers_session_continues_below_its_path() -> None:
    app = App(Settings(accept_inbound=True))
    headers = {
        "Helicone-Session-Id": "s-1",
        "Helicone-Session-Path": "/trip//research/",
        "Helicone-Session-Name": "Trip",
    }
    inbound = HeliconePropagator(app.registry).extract(headers, Context())
    with app.span("POST /search", {"http.route": "/search"}, scope=SERVER, kind=SpanKind.SERVER, context=inbound):
        with app.span("rank"), app.chat():
            pass

    assert app.labels()["chat gpt-4o"] == {
        "helicone.session.id": "s-1",
        "helicone.session.path": "/trip/research/rank",
        "helicone.session.name": "Trip",
        "helicone.span.kind": "llm",
        "session.id": "s-1",
        "gen_ai.conversation.id": "s-1",
    }


def test_an_accepted_callers_user_and_properties_continue_too() -> None:
    app = App(Settings(accept_inbound=True))
    headers = {"Helicone-Session-Id": "s-1", "Helicone-User-Id": "ann", "Helicone-Property-env": "test"}
    inbound = HeliconePropagator(app.registry).extract(headers, Context())
    with app.span("POST /search", scope=SERVER, kind=SpanKind.SERVER, context=inbound):
        pass

    label = app.labels()["POST /search"]
    assert (label["user.id"], label["helicone.property.env"]) == ("ann", "test")


def test_a_session_comes_from_parents_and_never_from_links() -> None:
    app = App()
    with session("Trip", id="s"), app.span("linked") as linked:
        pass
    tracer = app.provider.get_tracer(GENAI)
    attributes = {"gen_ai.operation.name": "chat"}
    span = tracer.start_span("chat", attributes=attributes, links=[trace.Link(linked.get_span_context())])
    span.end()

    assert app.where()["chat"][0] != "s"


# --- the name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "resource", "name"),
    [
        (Settings(session_name="Trip"), {"service.name": "shop"}, "Trip"),
        (Settings(), {"service.name": "cart", "service.namespace": "shop"}, "shop"),
        (Settings(), {"service.name": "cart"}, "cart"),
        (Settings(), {"service.name": "unknown_service:python"}, None),
        (Settings(), {}, None),
        (Settings(session_name_attributes=("app.flow",), session_name="Trip"), {}, "Plan a trip"),
    ],
)
def test_the_name_comes_from_attributes_then_settings_then_the_service(
    settings: Settings, resource: dict[str, str], name: str | None
) -> None:
    app = App(settings, resource)
    with app.chat(app__flow="Plan a trip"):
        pass

    assert app.labels()["chat gpt-4o"].get("helicone.session.name") == name


def test_the_name_of_a_session_never_changes_inside_it() -> None:
    app = App(Settings(session_name_attributes=("app.flow",)))
    for flow in ("first", "second"):
        with app.chat(gen_ai__conversation__id="c1", app__flow=flow):
            pass

    names = [(span.attributes or {})["helicone.session.name"] for span in app.exporter.get_finished_spans()]
    assert names == ["first", "first"]


def name_here(app: App) -> str | None:
    """Return the name that headers without a span have."""
    location = app.registry.locate()
    assert location is not None
    return location.session.name


@pytest.mark.parametrize("headers_first", [True, False])
@pytest.mark.parametrize(
    "settings", [Settings(session_id="batch-1"), Settings(session_id="batch-1", session_name_attributes=("app.name",))]
)
def test_the_processs_session_has_the_name_of_its_service_for_spans_and_headers(
    settings: Settings, headers_first: bool
) -> None:
    app = App(settings, {"service.name": "shop"})
    if headers_first:
        assert name_here(app) is None
    with app.chat():
        pass

    assert (app.labels()["chat gpt-4o"]["helicone.session.name"], name_here(app)) == ("shop", "shop")


@pytest.mark.parametrize("headers_first", [True, False])
@pytest.mark.parametrize("inner", [nullcontext(), step("plan")], ids=["session", "step"])
def test_a_session_without_a_name_has_the_name_of_its_service(
    inner: AbstractContextManager[object], headers_first: bool
) -> None:
    app = App(resource={"service.name": "shop"})
    with session("", id="s-1"), inner:
        if headers_first:
            assert name_here(app) is None
        with app.chat():
            pass

        assert (app.labels()["chat gpt-4o"]["helicone.session.name"], name_here(app)) == ("shop", "shop")


@pytest.mark.parametrize("headers_first", [True, False])
def test_a_callers_session_without_a_name_has_the_name_of_this_service(headers_first: bool) -> None:
    app = App(Settings(accept_inbound=True), {"service.name": "shop"})
    token = attach(HeliconePropagator(app.registry).extract({"Helicone-Session-Id": "s-1"}, Context()))
    if headers_first:
        assert name_here(app) is None
    with app.chat():
        pass

    assert (app.labels()["chat gpt-4o"]["helicone.session.name"], name_here(app)) == ("shop", "shop")
    detach(token)


def test_a_session_opened_in_a_span_has_the_name_of_its_service_at_once() -> None:
    app = App(resource={"service.name": "shop"})
    with app.span("work"), session("", id="s-1"), step("plan"):
        assert name_here(app) == "shop"


def test_without_any_span_a_session_has_the_name_of_the_providers_service(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(Settings(session_id="batch-1"), {"service.name": "shop"})
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", app.provider)
    names = [name_here(app)]
    with session("", id="s-1"):
        names.append(name_here(app))

    assert names == ["shop", "shop"]


# --- which path? ----------------------------------------------------------------------------------


def test_an_llm_call_below_three_application_spans_has_them_in_its_path() -> None:
    app = App()
    with app.span("handle request"), app.span("plan 3"), app.span("draft"), app.chat():
        pass

    assert {name: where[1] for name, where in app.where().items()} == {
        "chat gpt-4o": "/handle_request/plan/draft",
        "draft": "/handle_request/plan/draft",
        "plan 3": "/handle_request/plan",
        "handle request": "/handle_request",
    }


def test_spans_above_a_call_are_labelled_while_they_are_open() -> None:
    app = App()
    with app.span("root") as root, app.chat():
        assert (root.attributes or {})["helicone.session.path"] == "/root"


@pytest.mark.parametrize(
    ("name", "attributes", "kind", "path"),
    [
        ("POST /trips/{id}/plan", {"http.route": "/trips/{id}/plan"}, SpanKind.SERVER, "/trips/plan"),
        ("POST /trips/{id}/plan", {}, SpanKind.SERVER, "/trips/plan"),
        ("GET", {"http.route": "/"}, SpanKind.SERVER, "/chat"),
        ("POST", {}, SpanKind.SERVER, "/chat"),
        ("run/tasks.plan_trip", {}, SpanKind.CONSUMER, "/tasks.plan_trip"),
        ("orders process", {}, SpanKind.CONSUMER, "/orders"),
    ],
)
def test_a_call_without_a_step_has_the_path_of_its_route_or_task(
    name: str, attributes: dict[str, str], kind: SpanKind, path: str
) -> None:
    app = App()
    with app.span(name, attributes, scope=SERVER, kind=kind), app.chat():
        pass

    assert app.where()["chat gpt-4o"][1] == path


def test_a_call_without_a_step_and_a_route_has_the_path_of_its_kind() -> None:
    app = App()
    with app.chat(), app.span("POST", {"http.url": "https://provider.test"}, scope=HTTP, kind=CLIENT):
        pass
    with app.span("embeddings e", {"gen_ai.operation.name": "embeddings"}, scope=GENAI, kind=CLIENT):
        pass

    assert {name: where[1] for name, where in app.where().items()} == {
        "POST": "/chat",
        "chat gpt-4o": "/chat",
        "embeddings e": "/embeddings",
    }


def test_equal_segments_one_after_another_are_one_level() -> None:
    app = App()
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
    with app.span("writer"), app.span("invoke_agent writer", agent), app.span("writer!"), app.chat():
        pass

    assert app.where()["chat gpt-4o"][1] == "/writer/writer!"


def test_a_path_given_to_a_session_keeps_its_levels_and_steps_are_added_to_it() -> None:
    app = App()
    with session("Course Plan", id="s", path="/abstract/outline"), step("lesson-1/part"), app.chat():
        pass

    assert app.where()["chat gpt-4o"] == ("s", "/abstract/outline/lesson-1/part")


def test_only_segments_taken_from_span_names_are_cleaned() -> None:
    app = App()
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search_v2/fast 1"}
    with session("T", id="s"), step("question_1"), app.span("batch 12"), app.span("execute_tool", tool):
        pass

    assert app.where()["execute_tool"][1] == "/question_1/batch/search_v2_fast_1"


def test_depth_and_length_of_a_path_are_bounded() -> None:
    app = App()
    with session("T", id="s", path="/" + "/".join(["x" * 90] * 40)), app.chat():
        pass

    path = app.where()["chat gpt-4o"][1] or ""
    assert path == str(SessionPath("/" + "/".join(["x" * 90] * 5)))


def test_values_that_the_user_sets_on_a_span_win() -> None:
    app = App()
    by_hand = {"helicone.session.id": "h", "helicone.session.path": "/mine", "helicone.session.name": "Mine"}
    with session("Trip", id="s"), app.span("step", {**by_hand, "helicone.span.kind": "agent"}), app.chat():
        pass

    assert app.labels() == {
        "chat gpt-4o": {
            "helicone.session.id": "h",
            "helicone.session.path": "/mine",
            "helicone.session.name": "Mine",
            "helicone.span.kind": "llm",
            "session.id": "h",
            "gen_ai.conversation.id": "h",
        },
        "step": {
            "helicone.session.id": "h",
            "helicone.session.path": "/mine",
            "helicone.session.name": "Mine",
            "helicone.span.kind": "agent",
            "session.id": "h",
            "gen_ai.conversation.id": "h",
        },
    }


def test_a_name_that_the_user_sets_counts_for_the_span_and_those_below() -> None:
    app = App()
    with session("Trip", id="s"), app.span("step", {"helicone.session.name": "Mine"}), app.chat():
        pass

    assert {name: label["helicone.session.name"] for name, label in app.labels().items()} == {
        "chat gpt-4o": "Mine",
        "step": "Mine",
    }
    assert app.where() == {"chat gpt-4o": ("s", "/step"), "step": ("s", "/step")}


def test_values_that_the_user_sets_later_win_from_the_next_read_on() -> None:
    app = App()
    with session("Trip", id="s"), app.span("step") as span:
        span.set_attribute("helicone.span.kind", "tool")
        span.set_attribute("helicone.session.path", "/elsewhere")
        with app.chat():
            pass

    assert app.where() == {"chat gpt-4o": ("s", "/elsewhere"), "step": ("s", "/elsewhere")}
    assert app.labels()["step"]["helicone.span.kind"] == "tool"


# --- which attributes? ----------------------------------------------------------------------------


def test_a_provisional_id_is_not_in_attributes_for_other_backends() -> None:
    app = App()
    with app.chat() as span:
        pass

    assert app.labels()["chat gpt-4o"] == {
        "helicone.session.id": _trace_session(span),
        "helicone.session.path": "/chat",
        "helicone.span.kind": "llm",
    }


def test_attributes_for_other_backends_are_added_and_never_overwritten() -> None:
    app = App()
    with session("Trip", id="s", user_id="u", properties={"tier": "gold"}):
        with app.chat(session__id="browser", user__id="somebody"):
            pass

    assert app.labels()["chat gpt-4o"] == {
        "helicone.session.id": "s",
        "helicone.session.path": "/chat",
        "helicone.session.name": "Trip",
        "helicone.span.kind": "llm",
        "helicone.property.tier": "gold",
        "session.id": "browser",
        "user.id": "somebody",
        "gen_ai.conversation.id": "s",
    }


def test_a_property_that_the_app_sets_on_a_span_itself_stays_on_all_spans_like_it() -> None:
    app = App()
    with session("Trip", id="s", properties={"tier": "gold", "team": "blue"}):
        for tier in ("silver", "silver", "bronze"):
            with app.span("work", {"helicone.property.tier": tier}):
                pass
        with app.span("work"):
            pass

    found = [
        (span.attributes["helicone.property.tier"], span.attributes["helicone.property.team"])
        for span in app.exporter.get_finished_spans()
        if span.attributes
    ]
    assert found == [("silver", "blue"), ("silver", "blue"), ("bronze", "blue"), ("gold", "blue")]


def test_a_setting_decides_which_families_of_attributes_are_added() -> None:
    app = App(Settings(attributes=("none",)))
    with session("Trip", id="s", user_id="u"), app.chat():
        pass

    assert sorted(app.labels()["chat gpt-4o"]) == [
        "helicone.session.id",
        "helicone.session.name",
        "helicone.session.path",
        "helicone.span.kind",
    ]


# --- requests, and what is remembered ---------------------------------------------------------------


def test_a_call_that_a_gateway_saw_gets_no_request_id_of_ours() -> None:
    app = App(Settings(gateway_hosts=("gateway.test",)))
    with app.chat() as chat:
        with app.span("POST", {"url.full": "https://gateway.test/v1"}, scope=HTTP, kind=CLIENT):
            HeliconePropagator(app.registry).inject({})
    with app.chat():
        pass

    seen, direct = (span for span in app.exporter.get_finished_spans() if span.name == chat.name)
    assert "helicone.request.id" not in (seen.attributes or {})
    assert uuid.UUID(str((direct.attributes or {})["helicone.request.id"])).version == 5


def test_an_http_request_to_a_gateway_without_an_llm_span_above_is_a_call() -> None:
    app = App(Settings(gateway_hosts=("gateway.test",)))
    carrier: dict[str, str] = {}
    url = {"url.full": "https://gateway.test/v1/embeddings"}
    with app.span("index"), app.span("POST", url, scope=HTTP, kind=CLIENT):
        HeliconePropagator(app.registry).inject(carrier)

    assert app.labels()["POST"]["helicone.span.kind"] == "embedding"
    assert carrier["Helicone-Session-Path"] == "/index"


def test_a_child_that_starts_after_its_parents_end_is_below_it_in_the_path() -> None:
    app = App()
    with session("Trip", id="s"), app.span("outer"):
        with app.span("handler") as handler:
            pass
        late = trace.set_span_in_context(handler)
        with app.span("background", context=late), app.chat():
            pass

    assert app.where()["chat gpt-4o"][1] == "/outer/handler/background"


def test_a_second_processor_added_by_hand_changes_nothing() -> None:
    app = App()
    app.provider.add_span_processor(HeliconeSpanProcessor(app.registry))
    with session("Trip", id="s"), app.span("step"), app.chat(gen_ai__conversation__id="other"):
        pass

    assert app.where() == {"chat gpt-4o": ("s", "/step"), "step": ("s", "/step")}


def test_the_oldest_spans_of_an_endless_chain_are_forgotten() -> None:
    app = App()
    tracer = app.provider.get_tracer("my.app")
    with session("Trip", id="s"):
        last = tracer.start_span("tick")
        for _ in range(2000):
            span = tracer.start_span("tick", context=trace.set_span_in_context(last))
            last.end()
            last = span
        with trace.use_span(last, end_on_exit=True), app.chat():
            record = app.registry.record_of(trace.get_current_span())

    assert record is not None
    assert len(list(record.line())) < MAX_DEPTH
    assert app.where()["chat gpt-4o"] == ("s", "/tick")


def test_a_span_with_a_value_that_cannot_be_hashed_is_labelled() -> None:
    app = App()
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": {"a": 1}}
    with session("Trip", id="s"):
        for name in ("first", "second"):
            with app.span(name, tool):
                pass

    assert app.where() == {"first": ("s", "/first"), "second": ("s", "/second")}
    assert swallowed() == {}


def test_an_id_that_the_user_sets_on_a_span_is_in_headers_sent_from_it() -> None:
    app = App()
    with app.span("invoke_agent a", {"gen_ai.operation.name": "invoke_agent"}) as agent:
        before = app.registry.locate()
        agent.set_attribute("helicone.session.id", "mine")
        after = app.registry.locate()

    assert before is not None
    assert before.session.provisional
    assert after is not None
    assert after.session.id == "mine"
