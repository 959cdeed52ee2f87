"""Calls inside a framework's run belong to it, although the span of the run is never current."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from helicone_otel import session
from helicone_otel.failures import swallowed
from tests.support.spans import CHAT, GENAI, HTTP, App

OI_LANGCHAIN = "openinference.instrumentation.langchain"
CLIENT = trace.SpanKind.CLIENT


class Framework:
    """Runs whose spans are never current; the framework knows the current one, as OpenInference's LangChain does."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.current: trace.Span | None = None

    @contextmanager
    def run(self, name: str, kind: str = "CHAIN", **more: str) -> Iterator[None]:
        outer = self.current
        context = trace.set_span_in_context(outer) if outer is not None else None
        self.current = span = self._app.provider.get_tracer(OI_LANGCHAIN).start_span(name, context)
        yield
        self.current = outer
        span.set_attributes({"openinference.span.kind": kind, **more})
        span.end()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def framework(app: App, monkeypatch: pytest.MonkeyPatch) -> Framework:
    framework = Framework(app)
    put_in(monkeypatch, lambda: framework.current)
    return framework


def put_in(monkeypatch: pytest.MonkeyPatch, get_current_span: Callable[[], object]) -> None:
    module = types.ModuleType(OI_LANGCHAIN)
    module.__dict__["get_current_span"] = get_current_span
    monkeypatch.setitem(sys.modules, OI_LANGCHAIN, module)


def test_a_call_in_another_trace_has_the_path_of_the_run_around_it(app: App, framework: Framework) -> None:
    with framework.run("agent", "AGENT"), framework.run("model"), app.chat():
        with app.span("POST", scope=HTTP, kind=CLIENT) as http:
            location = app.registry.locate(trace.set_span_in_context(http))

    labels = app.labels()
    assert location is not None
    assert location.path == labels["chat gpt-4o"]["helicone.session.path"] == "/agent/model"
    assert len({label["helicone.session.id"] for label in labels.values()}) == 1


def test_headers_in_a_run_without_a_current_span_have_the_path_of_the_run(app: App, framework: Framework) -> None:
    with framework.run("agent", "AGENT"), framework.run("model"):
        inside = app.registry.locate(call="llm")
    outside = app.registry.locate(call="llm")

    assert inside is not None
    assert inside.path == "/agent/model"
    assert outside is None


def test_a_provisional_id_of_a_run_that_left_in_a_header_is_kept(app: App, framework: Framework) -> None:
    with framework.run("agent", "AGENT", **{"session.id": "late"}):
        with app.chat() as call:
            location = app.registry.locate(trace.set_span_in_context(call))
            assert location is not None
            app.registry.locator.sent(location.record, location.headers, location.record.destination)  # type: ignore[union-attr]

    assert {label["helicone.session.id"] for label in app.labels().values()} == {location.session.wire_id}


def test_an_application_span_inside_a_run_comes_after_the_run_in_the_path(app: App, framework: Framework) -> None:
    with framework.run("agent", "AGENT"), app.span("look up"), app.chat():
        pass

    assert app.labels()["chat gpt-4o"]["helicone.session.path"] == "/agent/look_up"


def test_a_run_inside_a_session_and_a_span_belongs_to_them(app: App, framework: Framework) -> None:
    with session("Trip", id="s1"), app.span("plan"), framework.run("agent", "AGENT"), app.chat():
        pass

    assert app.where()["chat gpt-4o"] == ("s1", "/plan/agent")


def test_a_span_with_an_explicit_parent_is_not_put_below_the_run(app: App, framework: Framework) -> None:
    with app.span("elsewhere") as elsewhere:
        pass
    context = trace.set_span_in_context(elsewhere, Context())
    with framework.run("agent", "AGENT"):
        app.provider.get_tracer(GENAI).start_span("chat", context, attributes=CHAT, kind=CLIENT).end()

    assert app.labels()["chat"]["helicone.session.path"] == "/elsewhere"


def test_a_run_that_has_ended_encloses_nothing(app: App, framework: Framework) -> None:
    with framework.run("agent", "AGENT"):
        over = framework.current
    framework.current = over
    with app.chat():
        pass

    assert app.labels()["chat gpt-4o"]["helicone.session.path"] == "/chat"


@pytest.mark.parametrize("answer", [None, 7, trace.INVALID_SPAN], ids=repr)
def test_an_answer_of_a_framework_that_is_no_span_changes_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    put_in(monkeypatch, lambda: answer)
    with app.span("run", scope=OI_LANGCHAIN):
        pass
    with app.chat():
        pass

    assert app.labels()["chat gpt-4o"]["helicone.session.path"] == "/chat"


@pytest.mark.failures
def test_a_framework_that_raises_changes_nothing_and_fails_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError

    put_in(monkeypatch, fail)
    with app.span("run", scope=OI_LANGCHAIN):
        pass
    with app.chat():
        pass

    assert app.labels()["chat gpt-4o"]["helicone.session.path"] == "/chat"
    assert set(swallowed()) == {f"{OI_LANGCHAIN}:get_current_span: RuntimeError"}
