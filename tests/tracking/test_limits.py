"""Exported labels are complete with the SDK's limits and with attributes that are set late."""

from __future__ import annotations

import json

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from helicone_otel import current_session, session
from tests.support.small_app import App, Label, helicone_attributes, label_of, trace_session


@pytest.fixture
def app() -> App:
    return App()


# --- the SDK's limits -----------------------------------------------------------------------------


def test_labels_evicted_by_the_attribute_limit_are_on_the_exported_copy() -> None:
    app = App(limits=SpanLimits(max_span_attributes=8))
    with session("Trips", id="s1", user_id="ann"), app.work("plan") as span:
        for number in range(20):
            span.set_attribute(f"k{number}", number)
        assert not helicone_attributes(span)  # type: ignore[arg-type]

    (plan,) = app.all_spans()
    assert dict(plan.attributes or {}) == {
        **{f"k{number}": number for number in range(6, 20)},  # those of ours that were evicted made room for more
        "helicone.session.id": "s1",
        "helicone.session.name": "Trips",
        "helicone.session.path": "/plan",
        "helicone.span.kind": "task",
        "session.id": "s1",
        "user.id": "ann",
    }
    assert plan.dropped_attributes == 20 - 8  # as without us


@pytest.mark.parametrize("given", [0, 2, 128], ids=lambda count: f"{count} given at the start")
def test_labels_take_no_room_from_the_apps_own_attributes(
    app: App, given: int, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"gen_ai.prompt.{number}.content" for number in range(128)]
    for name in ("plan", "plan", "plan"):  # one by a record of its own, then by its template
        with (
            session("Trips", id="s1"),
            app.tracer.start_as_current_span(name, attributes=dict.fromkeys(names[:given], "x")) as span,
        ):
            for key in names[given:]:
                span.set_attribute(key, "x")

    for span in app.all_spans():
        assert [key for key in span.attributes or {} if key in names] == names
        assert label_of(span) == Label("s1", "Trips", "/plan", "task")
        assert span.dropped_attributes == 0
    assert caplog.records == []


def test_an_llm_span_with_a_long_prompt_stays_labelled_under_the_default_limit(app: App) -> None:
    with session("Trips", id="s1"), app.calling("ask") as span:
        for number in range(130):
            span.set_attribute(f"gen_ai.prompt.{number}.content", "x")

    ask = app.spans()["ask"]
    assert label_of(ask) == Label("s1", "Trips", "/chat", "llm")
    assert "helicone.request.id" in (ask.attributes or {})
    assert ask.dropped_attributes == 1 + 130 - 128  # as without us


def test_the_exported_copy_differs_from_the_original_only_in_its_attributes() -> None:
    app = App(limits=SpanLimits(max_span_attributes=4, max_events=1, max_links=1))
    plain = InMemorySpanExporter()
    app.provider.add_span_processor(SimpleSpanProcessor(plain))
    links = [Link(SpanContext(trace_id=1, span_id=number, is_remote=True), {"n": number}) for number in (1, 2)]
    with session("Trips", id="s1"), app.tracer.start_as_current_span("plan", links=links) as span:
        span.add_event("first", {"a": 1})
        span.add_event("second", {"b": 2})
        span.set_attributes({f"k{number}": number for number in range(9)})
        span.set_status(Status(StatusCode.ERROR, "no seats"))

    (copy,) = app.all_spans()
    (original,) = plain.get_finished_spans()
    assert copy is not original
    assert {**json.loads(copy.to_json()), "attributes": None} == {**json.loads(original.to_json()), "attributes": None}
    assert copy.instrumentation_scope is original.instrumentation_scope
    assert copy.resource is original.resource
    counts = (original.dropped_attributes, original.dropped_events, original.dropped_links)
    assert (copy.dropped_attributes, copy.dropped_events, copy.dropped_links) == counts == (9 - 4, 1, 1)
    encoded = encode_spans([copy]).resource_spans[0].scope_spans[0].spans[0]
    assert (encoded.dropped_attributes_count, encoded.dropped_events_count, encoded.dropped_links_count) == counts


@pytest.mark.parametrize(
    "late",
    [{}, {"k": 1}],
    ids=["as it started", "later"],
)
def test_labels_cut_by_the_value_limit_are_complete_on_the_exported_copy(late: dict[str, int]) -> None:
    app = App(limits=SpanLimits(max_span_attribute_length=10))
    trip = session("Trip Planning", id="conversation-7", user_id="ann@shop.test", path="/abstract/outline")
    with trip, app.work("plan") as span:
        span.set_attributes(late)
        assert span.attributes["helicone.session.id"] == "conversati"  # type: ignore[attr-defined]

    (plan,) = app.all_spans()
    assert helicone_attributes(plan) == {
        "helicone.session.id": "conversation-7",
        "helicone.session.name": "Trip Planning",
        "helicone.session.path": "/abstract/outline/plan",
        "helicone.span.kind": "task",
        "session.id": "conversation-7",
        "user.id": "ann@shop.test",
    }


def test_a_value_limit_does_not_split_a_session() -> None:
    app = App(limits=SpanLimits(max_span_attribute_length=10))
    with session("Trip Planning", id="conversation-7"), app.work("plan") as span:
        span.set_attribute("k", 1)
        app.chat("ask")
        here = current_session()
    assert here is not None
    assert here.id == "conversation-7"

    assert {label.id for label in app.labels().values()} == {"conversation-7"}


def test_a_value_limit_does_not_make_a_provisional_session_a_chosen_one() -> None:
    app = App(limits=SpanLimits(max_span_attribute_length=10))
    with app.calling("ask") as span:
        span.set_attribute("k", 1)

    (ask,) = app.all_spans()
    made_up = trace_session(ask)
    assert helicone_attributes(ask) == {
        "helicone.session.id": made_up,
        "helicone.session.path": "/chat",
        "helicone.span.kind": "llm",
        "helicone.request.id": (ask.attributes or {})["helicone.request.id"],
    }


def test_spans_that_may_have_no_attributes_are_exported_with_their_labels() -> None:
    app = App(limits=SpanLimits(max_span_attributes=0))
    with session("Trips", id="s1"), app.work("plan"):
        pass

    assert app.label("plan") == Label("s1", "Trips", "/plan", "task")


# --- values of ours and values of the user --------------------------------------------------------


def test_a_span_gets_its_kind_from_an_attribute_that_is_set_late(app: App) -> None:
    with session("Trips", id="s1"), app.work("execute_tool search") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")

    assert app.label("execute_tool search") == Label("s1", "Trips", "/search", "tool")
    assert "helicone.request.id" in (app.all_spans()[0].attributes or {})


def test_a_late_attribute_does_not_add_a_conversation_id_to_an_application_span(app: App) -> None:
    with session("Trips", id="s1"), app.work("plan") as span:
        span.set_attribute("seats", 2)

    assert dict(app.all_spans()[0].attributes or {}) == {
        "helicone.session.id": "s1",
        "helicone.session.name": "Trips",
        "helicone.session.path": "/plan",
        "helicone.span.kind": "task",
        "session.id": "s1",
        "seats": 2,
    }


def test_values_set_by_hand_win_even_if_ours_begin_with_them(app: App) -> None:
    with session("Trips", id="trip-10"), app.work("plan"), app.work("book") as span:
        span.set_attribute("helicone.session.id", "trip-1")
        span.set_attribute("helicone.session.name", "Trip")
        span.set_attribute("helicone.session.path", "/plan")

    assert app.label("book") == Label("trip-1", "Trip", "/plan", "task")
    assert app.label("plan") == Label("trip-10", "Trips", "/plan", "task")


def test_values_set_by_hand_count_for_the_spans_below(app: App) -> None:
    with session("Trips", id="s1"), app.work("plan") as span:
        span.set_attribute("helicone.session.id", "theirs")
        span.set_attribute("helicone.session.path", "/their/own")
        app.chat("ask")

    assert app.label("ask").id == app.label("plan").id == "theirs"
    assert app.label("ask").path == app.label("plan").path == "/their/own"


def test_a_trace_of_application_spans_stays_untouched_with_late_attributes(app: App) -> None:
    with app.work("plan") as span:
        span.set_attribute("seats", 2)

    assert dict(app.all_spans()[0].attributes or {}) == {"seats": 2}
