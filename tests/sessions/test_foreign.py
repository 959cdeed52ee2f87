"""Sessions that other SDKs claim: the innermost of claims and open sessions wins."""

from __future__ import annotations

import importlib
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconePropagator, Settings, session, step
from helicone_otel.failures import swallowed
from helicone_otel.install.patches import Patches
from helicone_otel.sessions import foreign
from tests.support.spans import CHAT, GENAI, HTTP, SERVER, App

GATEWAY = Settings(gateway_hosts=("gateway.test",))
AGENT = {"gen_ai.operation.name": "invoke_agent"}
OI = "openinference.instrumentation"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that makes a module look imported; undo everything after the test."""
    for memory in ("_IMPORTED_SOURCES", "_IMPORTED_RUNS"):
        monkeypatch.setattr(foreign, memory, [])
    monkeypatch.setattr(foreign, "_CONTEXT_KEYS", set())

    def load(name: str, **contents: object) -> None:
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        foreign.find_imported_sdks()

    yield load
    foreign.IMPORTED.clear()


@contextmanager
def claiming(**values: object) -> Iterator[None]:
    """Attach a Context as another SDK does: `a__b="c1"` becomes the entry `a.b`."""
    context = get_current()
    for name, value in values.items():
        context = set_value(name.replace("__", "."), value, context)
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def using_session(session_id: str) -> Any:
    return claiming(session__id=session_id)


@pytest.fixture
def app() -> App:
    return App(GATEWAY)


# --- claims in the Context ------------------------------------------------------------------------

WAYS = {
    "OpenInference": (OI, {"session__id": "c1", "user__id": "ann"}),
    "Langfuse": ("langfuse", {"langfuse__propagated__session_id": "c1", "langfuse__propagated__user_id": "ann"}),
    "Traceloop": ("traceloop.sdk", {"association_properties": {"session_id": "c1", "user_id": "ann"}}),
    "Traceloop's @conversation": (
        "traceloop.sdk",
        {"conversation_id": "c1", "association_properties": {"user_id": "ann"}},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_id_set_with_another_sdk_is_the_session(load: Any, app: App, way: str) -> None:
    module, values = WAYS[way]
    load(module)
    with claiming(**values), app.span("plan"), app.chat():
        pass

    shared = {"helicone.session.id": "c1", "helicone.session.path": "/plan", "session.id": "c1", "user.id": "ann"}
    assert app.labels() == {
        "plan": {**shared, "helicone.span.kind": "task"},
        "chat gpt-4o": {**shared, "helicone.span.kind": "llm", "gen_ai.conversation.id": "c1"},
    }


@contextmanager
def propagating(user_id: str) -> Iterator[None]:
    """Name a user as Langfuse's `propagate_attributes` does: in the Context, and on the span that is current."""
    trace.get_current_span().set_attribute("user.id", user_id)
    with claiming(langfuse__propagated__user_id=user_id):
        yield


def call(app: App, name: str) -> None:
    with app.span(name, CHAT, scope=GENAI):
        pass


@pytest.mark.parametrize("scope", ["langfuse-sdk", "shop"])
def test_a_user_whom_another_sdk_names_flows_down_and_not_aside(load: Any, app: App, scope: str) -> None:
    load("langfuse")
    with app.span("parent", scope=scope):
        with propagating("ann"):
            call(app, "of ann")
            with propagating("bob"):
                call(app, "of bob")
            call(app, "of ann again")
        call(app, "of nobody")

    users = {name: label.get("user.id") for name, label in app.labels().items() if name.startswith("of ")}
    assert users == {"of ann": "ann", "of bob": "bob", "of ann again": "ann", "of nobody": None}


def test_a_user_whom_a_scope_without_any_span_names_stays_in_that_scope(load: Any, app: App) -> None:
    load("langfuse")
    with app.span("parent", scope="langfuse-sdk"):
        with propagating("bob"):
            pass
        call(app, "of nobody")

    assert app.labels()["of nobody"].get("user.id") is None


def test_a_user_whom_the_app_names_late_still_flows_down(load: Any, app: App) -> None:
    load("langfuse")
    with app.span("request") as span:
        span.set_attribute("user.id", "ann")
        call(app, "of ann")

    assert app.labels()["of ann"]["user.id"] == "ann"


def test_an_sdk_that_the_app_has_not_imported_is_not_asked(app: App) -> None:
    foreign.find_imported_sdks()
    with using_session("c1"), app.span("plan"):
        pass

    assert app.labels() == {"plan": {}}


@pytest.mark.parametrize("value", [None, 7.5, "", "  ", {"session_id": "x"}, ["a", "b"], object()], ids=repr)
def test_a_value_that_is_no_id_claims_no_session(load: Any, app: App, value: object) -> None:
    load(OI)
    load("traceloop.sdk")
    with claiming(session__id=value, association_properties=value), app.span("plan"):
        pass

    id_ = "x" if isinstance(value, dict) else None
    assert app.where() == {"plan": (id_, "/plan" if id_ else None)}


@pytest.mark.failures
def test_a_context_that_cannot_be_read_claims_no_session_and_raises_nothing(load: Any, app: App) -> None:
    class Broken(dict[str, str]):
        def get(self, *_: object) -> Any:
            raise RuntimeError

    load("traceloop.sdk")
    with claiming(association_properties=Broken()), session("Trip", id="ours"), app.span("plan"):
        pass

    assert app.where() == {"plan": ("ours", "/plan")}
    assert set(swallowed()) == {"other SDKs' session claims: RuntimeError"}


def test_a_long_id_is_cut_before_it_is_remembered(load: Any, app: App) -> None:
    load(OI)
    with using_session("x" * 10_000_000), app.span("plan") as span:
        pass

    record = app.registry.record_of(span)
    assert record is not None
    assert [len(above.claim.session_id or "") for above in record.line() if above.claim] == [1024]


def test_an_sdk_that_the_app_imports_later_is_found(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load  # so that nothing is left behind
    (tmp_path / "langfuse.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    Patches().watch_sdks()
    before = list(foreign.IMPORTED)
    importlib.import_module("langfuse")
    del sys.modules["langfuse"]

    assert [scope.module for scope in foreign.IMPORTED if scope not in before] == ["langfuse"]


def test_a_claim_inside_our_session_wins_for_spans_that_start_in_it(load: Any, app: App) -> None:
    load(OI)
    with session("Trip", id="ours"), app.span("before"):
        with using_session("c1"), app.span("inside"), app.chat():
            pass
    with session("Trip", id="ours"), app.span("after"):
        pass

    assert app.where() == {
        "chat gpt-4o": ("c1", "/before/inside"),
        "inside": ("c1", "/before/inside"),
        "before": ("ours", "/before"),
        "after": ("ours", "/after"),
    }


def test_our_session_inside_a_claim_wins_for_spans_that_start_in_it(load: Any, app: App) -> None:
    load(OI)
    with using_session("c1"), app.span("before"):
        with session("Trip", id="ours"), step("research"), app.span("inside"), app.chat():
            pass
        with app.span("after"):
            pass

    assert app.where() == {
        "chat gpt-4o": ("ours", "/research/inside"),
        "inside": ("ours", "/research/inside"),
        "after": ("c1", "/before/after"),
        "before": ("c1", "/before"),
    }


def test_a_claim_inside_our_session_inside_a_claim_wins(load: Any, app: App) -> None:
    load(OI)
    with using_session("c1"), session("Trip", id="ours"), using_session("c2"), app.chat():
        pass

    assert app.where() == {"chat gpt-4o": ("c2", "/chat")}


def test_a_step_inside_a_claim_belongs_to_the_claimed_session(load: Any, app: App) -> None:
    load(OI)
    with using_session("c1"), step("research"), app.chat():
        pass
    with using_session("c2"), step("research"), app.chat() as second:
        second.update_name("second")

    assert app.where() == {"chat gpt-4o": ("c1", "/research"), "second": ("c2", "/research")}


def test_detaching_ends_claims_of_other_sdks_too(load: Any, app: App) -> None:
    load(OI)
    with using_session("c1"), session(None), app.span("plan"):
        pass

    assert app.labels() == {"plan": {}}


def test_a_claim_with_the_id_of_our_session_keeps_the_sessions_name(load: Any) -> None:
    load(OI)
    app = App(Settings(session_name="Shop"))
    with session("Trip", id="c1"), using_session("c1"), app.chat():
        pass
    with using_session("c1"), app.span("plan"):
        pass

    assert {name: label["helicone.session.name"] for name, label in app.labels().items()} == {
        "chat gpt-4o": "Trip",
        "plan": "Shop",
    }


def test_a_user_claimed_later_joins_the_session_that_is_open(load: Any, app: App) -> None:
    load(OI)
    with using_session("c1"), session("Trip", id="ours"), claiming(user__id="ann"), app.chat():
        pass

    label = app.labels()["chat gpt-4o"]
    assert (label["helicone.session.id"], label["user.id"]) == ("ours", "ann")


def test_a_claimed_user_alone_is_no_session(load: Any, app: App) -> None:
    load(OI)
    with claiming(user__id="ann"), app.span("plan"):
        pass

    assert app.labels() == {"plan": {}}


def test_a_claimed_user_alone_joins_the_session_that_comes_later(load: Any, app: App) -> None:
    load(OI)
    for name in ("first", "second"):
        with claiming(user__id="ann"), app.chat() as chat:
            chat.update_name(name)
    with app.span("worker"), claiming(user__id="ann"):
        with app.span("before"):
            pass
        with app.span("invoke_agent a", AGENT), app.chat():
            pass

    labels = app.labels()
    assert {name for name, label in labels.items() if label.get("user.id") == "ann"} == {
        *("first", "second", "invoke_agent a", "chat gpt-4o")
    }
    assert len({label["helicone.session.id"] for label in labels.values() if label}) == 3
    assert labels["chat gpt-4o"]["helicone.session.path"] == "/worker/a"


def test_a_claim_older_than_the_parents_label_does_not_win(load: Any, app: App) -> None:
    load(OI)
    with using_session("outer"), app.span("worker"):
        with using_session("inner"):
            inner = app.provider.get_tracer("my.app").start_span("inner step")
        with trace.use_span(inner, end_on_exit=True), app.chat():
            pass

    assert app.where()["chat gpt-4o"] == ("inner", "/worker/inner_step")


def test_an_id_that_was_claimed_before_wins_when_it_is_the_newest_claim(load: Any, app: App) -> None:
    load(OI)
    with using_session("judge"), app.chat():
        pass
    with using_session("c1"), app.span("worker"), using_session("judge"), app.span("rate"):
        pass

    assert app.where()["rate"] == ("judge", "/worker/rate")


def test_conversations_below_one_long_span_are_sessions_of_their_own(load: Any, app: App) -> None:
    load(OI)
    with app.span("worker"):
        for conversation in ("c1", "c2", "c1"):
            with using_session(conversation), app.span("answer"), app.chat():
                pass

    labelled = [
        (span.name, (span.attributes or {}).get("helicone.session.id")) for span in app.exporter.get_finished_spans()
    ]
    assert labelled == [
        ("chat gpt-4o", "c1"),
        ("answer", "c1"),
        ("chat gpt-4o", "c2"),
        ("answer", "c2"),
        ("chat gpt-4o", "c1"),
        ("answer", "c1"),
        ("worker", None),
    ]


def test_claims_that_are_attached_and_never_detached_count_until_the_next_one(load: Any, app: App) -> None:
    load("traceloop.sdk")
    with app.span("worker"):
        for conversation in ("c1", "c2"):
            attach(set_value("association_properties", {"session_id": conversation}))
            with app.span(conversation), app.chat():
                pass

    assert app.where() == {
        "chat gpt-4o": ("c2", "/worker/c2"),
        "c1": ("c1", "/worker/c1"),
        "c2": ("c2", "/worker/c2"),
        "worker": (None, None),
    }


def test_a_call_in_a_claim_without_a_step_has_the_path_of_the_route(load: Any, app: App) -> None:
    load(OI)
    with app.span("POST /ask", {"http.route": "/ask"}, scope=SERVER, kind=SpanKind.SERVER):
        with using_session("c1"), app.chat():
            pass

    assert app.where() == {"chat gpt-4o": ("c1", "/ask"), "POST /ask": (None, None)}


def test_the_claims_remembered_for_one_span_are_bounded(load: Any, app: App) -> None:
    load(OI)
    with app.span("worker") as worker:
        for number in range(200):
            with using_session(f"c{number}"), app.chat():
                pass

    record = app.registry.record_of(worker)
    assert record is not None
    assert len(record.claims_inside or {}) <= 64
    assert app.where()["chat gpt-4o"] == ("c199", "/worker")


# --- headers --------------------------------------------------------------------------------------


def _headers(app: App, context: Context | None = None) -> dict[str, str]:
    carrier = {"host": "gateway.test"}
    HeliconePropagator(app.registry).inject(carrier, context)
    del carrier["host"]
    return carrier


def test_headers_of_a_claim_leave_without_a_span_and_below_one_that_is_sampled_out(load: Any, app: App) -> None:
    load(OI)
    expected = {"Helicone-Session-Id": "c1", "Helicone-Session-Path": "/chat", "Helicone-User-Id": "ann"}
    with claiming(session__id="c1", user__id="ann"):
        assert _headers(app) == expected
        with TracerProvider(sampler=ALWAYS_OFF).get_tracer("x").start_as_current_span("sampled out"):
            assert _headers(app) == expected
    assert _headers(app) == {}


def test_headers_in_a_claim_inside_a_span_have_the_claimed_session(load: Any, app: App) -> None:
    load(OI)
    with session("Trip", id="ours"), app.span("plan"):
        with using_session("c1"):
            location = app.registry.locate(call="llm")

    assert location is not None
    assert (location.session.id, location.path) == ("c1", "/plan")


# --- runs of frameworks ---------------------------------------------------------------------------

CONFIG: ContextVar[dict[str, Any] | None] = ContextVar("config", default=None)


@contextmanager
def running(thread_id: str, **more: Any) -> Iterator[None]:
    token = CONFIG.set({"configurable": {"thread_id": thread_id}, "metadata": more})
    try:
        yield
    finally:
        CONFIG.reset(token)


@pytest.fixture
def langgraph(load: Any) -> None:
    load("langchain_core.runnables.config", var_child_runnable_config=CONFIG)


@pytest.mark.usefixtures("langgraph")
def test_the_id_of_a_langgraph_thread_is_used_before_anything_has_left(app: App) -> None:
    with app.span("handle"), app.span("invoke_agent a", AGENT):
        with running("thread-7", user_id="ann"), app.chat():
            with app.span("POST", {"url.full": "https://gateway.test/v1"}, scope=HTTP, kind=SpanKind.CLIENT):
                headers = _headers(app)

    assert headers["Helicone-Session-Id"] == "thread-7"
    assert headers["Helicone-User-Id"] == "ann"
    assert {where[0] for where in app.where().values()} == {"thread-7"}


@pytest.mark.usefixtures("langgraph")
def test_headers_of_a_run_without_spans_have_the_id_of_its_thread(app: App) -> None:
    with running("thread-7"):
        assert _headers(app) == {"Helicone-Session-Id": "thread-7", "Helicone-Session-Path": "/chat"}
        with app.span("handle"):
            location = app.registry.locator.locate_gateway_call("llm")
    assert _headers(app) == {}

    assert location is not None
    assert (location.session.id, location.path) == ("thread-7", "/handle")
    assert app.where() == {"handle": ("thread-7", "/handle")}


@pytest.mark.usefixtures("langgraph")
def test_a_sub_agent_with_its_own_thread_stays_in_the_session_of_its_caller(app: App) -> None:
    with app.span("invoke_agent lead", AGENT), running("lead"), app.chat():
        pass
    with app.span("invoke_agent again", AGENT), running("lead"), app.span("execute"):
        with running("sub"), app.span("invoke_agent sub", AGENT), app.chat() as chat:
            chat.update_name("sub call")

    assert app.where() == {
        "chat gpt-4o": ("lead", "/lead"),
        "invoke_agent lead": ("lead", "/lead"),
        "sub call": ("lead", "/again/execute/sub"),
        "invoke_agent sub": ("lead", "/again/execute/sub"),
        "execute": ("lead", "/again/execute"),
        "invoke_agent again": ("lead", "/again"),
    }


@pytest.mark.usefixtures("langgraph")
def test_a_thread_inside_an_open_session_stays_in_it(load: Any, app: App) -> None:
    load(OI)
    with session("Trip", id="ours"), running("thread-7"), app.chat():
        pass
    with using_session("c1"), running("thread-7"), app.span("plan"):
        pass

    assert {name: where[0] for name, where in app.where().items()} == {"chat gpt-4o": "ours", "plan": "c1"}


@pytest.mark.usefixtures("langgraph")
def test_threads_below_one_long_span_are_sessions_of_their_own(app: App) -> None:
    seen = []
    with app.span("worker"):
        for thread in ("c1", "c2", "c1"):
            with running(thread), app.chat():
                location = app.registry.locate()
                seen.append(location.session.id if location else None)

    assert seen == ["c1", "c2", "c1"]


@pytest.mark.usefixtures("langgraph")
def test_spans_that_no_dialect_recognises_stay_untouched_in_a_run(app: App) -> None:
    with running("thread-7"), app.span("load users"), app.span("SELECT", scope="db.driver", kind=SpanKind.CLIENT):
        pass

    assert app.labels() == {"load users": {}, "SELECT": {}}


def test_the_group_id_of_an_openai_agents_trace_is_the_session(load: Any, app: App) -> None:
    load("agents.tracing", get_current_trace=lambda: types.SimpleNamespace(group_id="group-1"))
    with app.span("invoke_agent a", AGENT), app.chat():
        pass

    assert {where[0] for where in app.where().values()} == {"group-1"}


def test_metadata_of_a_langsmith_run_has_the_session_id(load: Any, app: App) -> None:
    run = types.SimpleNamespace(metadata={"session_id": "c1", "user_id": "ann"})
    load("langsmith.run_helpers", get_current_run_tree=lambda: run)
    with app.chat():
        pass

    label = app.labels()["chat gpt-4o"]
    assert (label["helicone.session.id"], label["user.id"]) == ("c1", "ann")


@pytest.mark.failures
def test_a_framework_that_raises_claims_no_session_and_fails_nothing(load: Any, app: App) -> None:
    load("agents.tracing")
    with app.chat():
        pass

    assert app.where()["chat gpt-4o"][1] == "/chat"
    assert set(swallowed()) == {"agents.tracing:get_current_trace: AttributeError"}


@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.SERVER])
def test_work_that_begins_anew_is_not_in_what_the_request_before_it_claimed(
    load: Any, app: App, kind: SpanKind
) -> None:
    load(OI)
    with app.span("POST /first", scope=SERVER, kind=SpanKind.SERVER) as first:
        with claiming(session__id="c1", user__id="ann"), app.chat():
            context = copy_context()
    parent = trace.set_span_in_context(trace.NonRecordingSpan(first.get_span_context()), Context())

    def next_request() -> None:
        with app.span("next", scope=SERVER, kind=kind, context=parent if kind is SpanKind.SERVER else None):
            call(app, "of nobody")
            with using_session("c2"):
                call(app, "of c2")

    context.run(next_request)

    where, trace_id = app.where(), str(uuid.UUID(int=first.get_span_context().trace_id))
    assert (where["of nobody"][0], where["of c2"][0]) == (trace_id, "c2")
    assert "user.id" not in app.labels()["of nobody"]
