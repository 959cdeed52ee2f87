"""Ids repeat where an app seeds `random` for each task, as evaluations do: a span that starts is always a new one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from helicone_otel import session
from tests.support.small_app import App

CHAT = {"gen_ai.operation.name": "chat"}


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(autouse=True)
def _random_afterwards() -> Iterator[None]:
    state = random.getstate()
    yield
    random.setstate(state)


def sessions(spans: list[ReadableSpan]) -> list[tuple[str, object, object]]:
    labels = [span.attributes or {} for span in spans]
    return [
        (span.name, label.get("helicone.session.id"), label.get("helicone.session.path"))
        for span, label in zip(spans, labels, strict=True)
    ]


def run(app: App, who: str | None, inner: str = "chat") -> list[tuple[str, object, object]]:
    """Run a task with the ids of the run before it; return its spans with their sessions and paths."""
    random.seed(42)
    before = len(app.all_spans())
    with (
        session("Evaluation", id=who) if who else nullcontext(),
        app.tracer.start_as_current_span("task"),
        app.tracer.start_as_current_span(inner, attributes=CHAT if inner == "chat" else None),
    ):
        pass
    return sessions(app.all_spans()[before:])


def labelled(who: str) -> list[tuple[str, object, object]]:
    return [("chat", who, "/task"), ("task", who, "/task")]


def test_each_run_is_in_its_own_session(app: App) -> None:
    assert [run(app, who) for who in ("ann", "bob", "ann", "cyd")] == [
        labelled(who) for who in ("ann", "bob", "ann", "cyd")
    ]
    ids = [(span.context.trace_id, span.context.span_id) for span in app.all_spans()]
    assert len(set(ids)) == 2


def test_work_of_no_session_gets_no_label_of_an_earlier_one(app: App) -> None:
    assert run(app, "ann") == labelled("ann")
    assert run(app, None, "load") == [("load", None, None), ("task", None, None)]
    assert run(app, "bob", "load") == [("load", "bob", "/task/load"), ("task", "bob", "/task")]
    assert run(app, "ann") == labelled("ann")


def test_a_trace_of_an_llm_app_is_none_any_more_when_its_id_comes_again(app: App) -> None:
    run(app, None)
    assert run(app, None, "load") == [("load", None, None), ("task", None, None)]


def test_headers_are_those_of_the_new_span(app: App) -> None:
    written = []
    for who in ("ann", "bob"):
        random.seed(42)
        with session("Evaluation", id=who), app.tracer.start_as_current_span("task"):
            written.append(app.headers()["Helicone-Session-Id"])
    assert written == ["ann", "bob"]
