"""A session may have any number of step names, and a span may live longer than its session."""

from __future__ import annotations

import gc

import pytest
from opentelemetry import trace

from helicone_otel import session
from helicone_otel.tracking.nodes import _MAX_NODES
from helicone_otel.tracking.registry import REGISTRY
from tests.support.small_app import App

TOOL = {"gen_ai.operation.name": "execute_tool"}


def paths(app: App) -> list[object]:
    return [(span.attributes or {})["helicone.session.path"] for span in app.all_spans()]


def test_every_span_has_its_own_path_however_many_names_there_are() -> None:
    app = App()
    names = [f"t{number}" for number in range(2 * _MAX_NODES)] * 2
    with session("Trips", id="s1"), app.work("plan"):
        for name in names:
            attributes = {**TOOL, "gen_ai.tool.name": name}
            app.tracer.start_span(f"execute_tool {name}", attributes=attributes).end()

    assert paths(app) == [*(f"/plan/{name}" for name in names), "/plan"]


def test_a_span_that_outlives_its_session_still_has_spans_below_it() -> None:
    app = App()
    with session("Trips", id="s1"):
        outer = app.tracer.start_span("plan")
    for _ in range(2):
        gc.collect()
        with trace.use_span(outer), app.work("search"), app.work("again"):
            pass
    outer.end()

    assert paths(app) == ["/plan/search/again", "/plan/search", "/plan/search/again", "/plan/search", "/plan"]


@pytest.mark.parametrize(("name", "is_kept"), [("city", True), ("x" * 100_000, False)], ids=["short", "long"])
def test_only_short_names_of_attributes_are_remembered(name: str, is_kept: bool) -> None:
    app = App()
    with session("Trips", id="s1"), app.work("plan"):
        app.tracer.start_span("execute_tool", attributes={**TOOL, name: 1}).end()
        record = REGISTRY.record_of(trace.get_current_span())

    assert record is not None
    assert record.node is not None
    assert (len(record.node.templates) == 1) is is_kept
