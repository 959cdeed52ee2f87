"""Bad spans: attributes of wrong types, megabytes of text, spans that never end, traces that are too long or deep."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span

from helicone_otel import session
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.schema import Dialect, Row
from helicone_otel.tracking.records import MAX_ENDED
from helicone_otel.tracking.state import MAX_LIVE
from helicone_otel.wire import MAX_DEPTH, MAX_PATH
from tests.support.spans import CHAT, GENAI, App, ours

CLIENT = trace.SpanKind.CLIENT
MEGABYTES = "[{" * 5_000_000
NOT_JSON = '{"role": "user", "content": '


def _rows(dialect: Dialect) -> Iterable[Row]:
    return (*dialect.rows, *dialect.guesses)


def _attributes(dialect: Dialect) -> list[str]:
    named = {key for row in _rows(dialect) for key in (row.attribute, *row.named_by, *row.operations) if key}
    of_calls = (dialect.response_ids, dialect.providers, dialect.models, dialect.statements)
    return sorted(named.union(dialect.session_ids, dialect.user_ids, *of_calls))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("value", [True, -1, 2.5, (), ("a", "b"), (1, 2), "", " ", "\ud800", "/", NOT_JSON], ids=repr)
def test_attributes_of_a_family_may_have_values_of_any_type(dialect: Dialect, value: Any) -> None:
    app = App()
    scope = dialect.scopes[0].replace("*", "x") if dialect.scopes else "my.app"
    wrong = dict.fromkeys(_attributes(dialect), value)
    for attributes in (wrong, {}):
        with app.span("chat", attributes, scope=scope, kind=CLIENT) as span, app.chat():
            span.set_attributes(wrong)

    labels = [ours(span.attributes or {}) for span in app.exporter.get_finished_spans() if span.name == "chat gpt-4o"]
    assert [label["helicone.span.kind"] for label in labels] == ["llm", "llm"]
    assert all(label["helicone.session.id"] for label in labels)


def test_messages_and_metadata_that_are_no_json_do_not_change_the_path() -> None:
    app = App()
    with session("Trip", id="s1"), app.span("rag", scope="openinference.instrumentation.langchain") as run:
        run.set_attributes({"openinference.span.kind": "CHAIN", "metadata": NOT_JSON})
        with app.chat(gen_ai__input__messages=NOT_JSON, gen_ai__output__messages="nil"):
            pass

    assert [label["helicone.session.path"] for label in app.labels().values()] == ["/rag", "/rag"]


def test_ten_megabytes_of_messages_are_neither_copied_nor_kept() -> None:
    app = App()
    tracemalloc.start()
    try:
        with session("Trip", id="s1"):
            for number in range(10):
                long = MEGABYTES + str(number)
                texts = {"gen_ai.input.messages": long, "gen_ai.prompt.0.content": long, "db.statement": long}
                tool = {"gen_ai.tool.name": long, "gen_ai.operation.name": "execute_tool"}
                with app.span("chat gpt-4o", CHAT | texts, scope=GENAI, kind=CLIENT) as span:
                    span.set_attribute("gen_ai.output.messages", long)
                with app.span(f"SELECT {number}", texts, scope="opentelemetry.instrumentation.asyncpg", kind=CLIENT):
                    pass
                with app.span("execute_tool", tool), app.span(long), app.span(long, tool):
                    pass
                del long, texts, tool, span
                app.exporter.clear()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 2_000_000
    assert peak < 2 * len(MEGABYTES)


def test_spans_that_never_end_are_forgotten_when_there_are_too_many() -> None:
    app = App()
    tracer = app.provider.get_tracer(GENAI)
    never = [tracer.start_span("chat gpt-4o", attributes=CHAT, kind=CLIENT) for _ in range(MAX_LIVE + 2000)]
    with app.chat():
        pass

    assert len(app.registry.live) <= MAX_LIVE
    assert app.labels()["chat gpt-4o"]["helicone.session.path"] == "/chat"
    assert len(never) == MAX_LIVE + 2000


@pytest.mark.parametrize("id", [None, "s1"])
def test_ten_thousand_spans_in_one_trace_are_all_labelled_and_not_all_remembered(id: str | None) -> None:  # noqa: A002
    app = App()
    with session("Trip", id=id), app.span("plan"):
        for number in range(5_000):
            with app.span(f"step {number}"), app.chat():
                pass

    paths = {(span.attributes or {}).get("helicone.session.path") for span in app.exporter.get_finished_spans()}
    assert len(app.exporter.get_finished_spans()) == 10_001
    assert paths == {"/plan", "/plan/step"}
    assert len(app.registry.resolver.span_store.recent) <= 2 * MAX_ENDED


def test_each_of_a_thousand_nested_spans_has_a_path_of_bounded_length() -> None:
    app = App()
    context = Context()
    line: list[trace.Span] = []
    with session("Trip", id="s1"):
        for number in range(1_000):
            scope, attributes = (GENAI, CHAT) if number == 999 else ("my.app", {})
            tracer = app.provider.get_tracer(scope)
            span = tracer.start_span(f"level {'abcdefghij'[number % 10]}", context or None, attributes=attributes)
            line.append(span)
            context = trace.set_span_in_context(span)
        for span in reversed(line):
            span.end()

    labels = [ours(span.attributes or {}) for span in app.exporter.get_finished_spans()]
    assert {label["helicone.session.id"] for label in labels} == {"s1"}
    assert max(label["helicone.session.path"].count("/") for label in labels) == MAX_DEPTH
    assert max(len(label["helicone.session.path"]) for label in labels) <= MAX_PATH


def test_a_recognised_span_below_a_thousand_others_starts_a_session() -> None:
    app = App()
    context = Context()
    line: list[Span] = []
    for number in range(1_000):
        span = app.provider.get_tracer("my.app").start_span(f"level {'ab'[number % 2]}", context)
        assert isinstance(span, Span)
        line.append(span)
        context = trace.set_span_in_context(span, Context())
    with app.span("chat gpt-4o", CHAT, scope=GENAI, kind=CLIENT, context=context):
        pass
    for span in reversed(line):
        span.end()

    chat = app.labels()["chat gpt-4o"]
    assert chat["helicone.span.kind"] == "llm"
    assert chat["helicone.session.path"].count("/") == MAX_DEPTH


def test_database_spans_of_an_app_without_llm_calls_are_neither_changed_nor_remembered() -> None:
    app = App()
    query = {"db.system": "postgresql", "db.statement": "SELECT name FROM trips ORDER BY name"}
    for scope in ("psycopg", "sqlalchemy", "redis", "pymongo", "elasticsearch"):
        with app.span("SELECT", query, scope=f"opentelemetry.instrumentation.{scope}", kind=CLIENT) as span:
            span.set_attribute("net.peer.name", "db")

    spans = app.exporter.get_finished_spans()
    assert [dict(span.attributes or {}) for span in spans] == [{**query, "net.peer.name": "db"}] * 5
    assert not app.registry.live
    assert len(app.registry.resolver.span_store.recent) == 0
