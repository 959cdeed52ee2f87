"""An id that a framework made up is as weak as the trace's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Span

from helicone_otel import Settings, session
from tests.support.spans import App

FIRST, SECOND = "01a203b9-0094-77c0-aeb2-55a55d033584", "01a203b9-016c-71c5-b2a2-a154aa06349e"
PYDANTIC_AI = "pydantic-ai"


@contextmanager
def run(app: App, name: str, conversation: str, scope: str = PYDANTIC_AI) -> Iterator[Span]:
    """Run an agent, which writes the id of a conversation on all its spans."""
    told: dict[str, Any] = {"gen_ai.conversation.id": conversation}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **told}
    with app.span(f"invoke_agent {name}", agent, scope=scope) as span:
        with app.span(f"chat {name}", {"gen_ai.operation.name": "chat", **told}, scope=scope):
            pass
        yield span


def sessions(app: App) -> dict[str, str | None]:
    return {name: session_id for name, (session_id, _) in app.where().items()}


def test_the_session_of_the_process_holds_against_ids_that_a_framework_made_up() -> None:
    app = App(Settings(session_id="nightly-7"))
    with run(app, "plan", FIRST), run(app, "write", SECOND):
        pass

    assert set(sessions(app).values()) == {"nightly-7"}


def test_two_runs_in_one_request_are_one_session() -> None:
    app = App()
    with app.span("POST /report", {"http.route": "/report"}, scope="my.server", kind=trace.SpanKind.SERVER):
        with run(app, "plan", FIRST):
            pass
        with run(app, "write", SECOND):
            pass

    assert set(sessions(app).values()) == {FIRST}


def test_a_run_inside_a_run_stays_in_the_session_of_the_outer_one() -> None:
    app = App()
    with run(app, "plan", FIRST), run(app, "write", SECOND):
        pass

    assert set(sessions(app).values()) == {FIRST}


def test_two_traces_that_go_on_in_one_conversation_are_one_session() -> None:
    app = App()
    for name in ("hello", "and"):
        with run(app, name, FIRST):
            pass

    assert set(sessions(app).values()) == {FIRST}


def test_an_id_that_an_app_gives_replaces_one_that_was_made_up_and_has_not_left() -> None:
    app = App()
    with app.span("invoke_agent plan", {"gen_ai.conversation.id": FIRST}, scope=PYDANTIC_AI):
        with run(app, "write", "conv-1"):
            pass

    assert set(sessions(app).values()) == {"conv-1"}


def test_a_session_that_code_opened_holds_against_ids_that_a_framework_made_up() -> None:
    app = App()
    with session("Trip", id="s-1"), run(app, "plan", FIRST):
        pass

    assert set(sessions(app).values()) == {"s-1"}


def test_a_uuid_that_another_family_writes_is_chosen() -> None:
    app = App(Settings(session_id="nightly-7"))
    with run(app, "plan", FIRST, scope="opentelemetry.instrumentation.genai.openai"):
        pass

    assert set(sessions(app).values()) == {FIRST}


def test_an_attribute_that_the_user_configured_is_chosen() -> None:
    app = App(Settings(session_id="nightly-7", session_id_attributes=("gen_ai.conversation.id",)))
    with run(app, "plan", FIRST):
        pass

    assert set(sessions(app).values()) == {FIRST}


def test_without_sessions_of_traces_a_made_up_id_makes_none_either() -> None:
    app = App(Settings(session_fallback="none"))
    with run(app, "plan", FIRST):
        pass

    assert set(sessions(app).values()) == {None}


def test_a_made_up_id_does_not_replace_the_traces_own_after_that_has_left() -> None:
    app = App()
    with app.span("answer") as root:
        with app.chat():
            pass
        with run(app, "plan", FIRST):
            pass
        trace_uuid = str(uuid.UUID(int=root.get_span_context().trace_id))

    assert set(sessions(app).values()) == {trace_uuid}


def test_a_made_up_id_is_not_written_as_an_id_of_a_conversation_on_other_spans() -> None:
    app = App()
    with run(app, "plan", FIRST), app.chat():
        pass

    (chat,) = (span for span in app.exporter.get_finished_spans() if span.name == "chat gpt-4o")
    attributes = chat.attributes or {}
    assert attributes["helicone.session.id"] == FIRST
    assert "gen_ai.conversation.id" not in attributes
    assert "session.id" not in attributes


@pytest.mark.parametrize(("given", "expected"), [(FIRST, "nightly-7"), ("thread-1", "thread-1")])
def test_the_sampler_predicts_the_session_that_a_run_will_get(given: str, expected: str) -> None:
    app = App(Settings(session_id="nightly-7"))

    assert app.registry.predicted_session_id(1, attributes={"gen_ai.conversation.id": given}) == expected
