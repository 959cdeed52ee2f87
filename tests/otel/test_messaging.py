"""Session headers in messages, which the settings switch on and which workers continue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.textmap import Getter, Setter, default_getter, default_setter
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconePropagator, Settings, session, step
from helicone_otel.failures import swallowed
from helicone_otel.otel.messaging import _MAX_CARRIERS
from tests.support.spans import App

SENDING = Settings(propagate_messaging=True)
CELERY = "opentelemetry.instrumentation.celery"
KAFKA = "opentelemetry.instrumentation.kafka"

HEADERS = {
    "Helicone-Session-Id": "s-1",
    "Helicone-Session-Path": "/trip/plan",
    "Helicone-Session-Name": "Trip",
    "Helicone-User-Id": "ann",
    "Helicone-Property-Plan": "pro",
}
Pairs = list[tuple[str, bytes]]


# The same as in the published instrumentations, which the slow tests use.
class KafkaSetter(Setter[Pairs]):
    def set(self, carrier: Pairs, key: str, value: str) -> None:
        carrier.append((key, value.encode()))


class KafkaGetter(Getter[Pairs]):
    def get(self, carrier: Pairs, key: str) -> list[str] | None:
        return next(([value.decode()] for name, value in carrier if name == key), None)

    def keys(self, carrier: Pairs) -> list[str]:
        return [name for name, _ in carrier]


class SqsSetter(Setter[dict[str, Any]]):
    def set(self, carrier: dict[str, Any], key: str, value: str) -> None:
        if len(carrier) < 10:
            carrier[key] = {"StringValue": value, "DataType": "String"}


class CeleryGetter(Getter[Any]):
    def get(self, carrier: Any, key: str) -> list[str] | None:
        value = getattr(carrier, key, None)
        return None if value is None else [value]

    def keys(self, carrier: Any) -> list[str]:  # noqa: ARG002  # Celery's tells none
        return []


class Sender(App):
    """An app with one propagator, which remembers what it wrote."""

    def __init__(self, settings: Settings = SENDING) -> None:
        super().__init__(settings)
        self.propagator = HeliconePropagator(self.registry)

    def send(
        self, carrier: Any, setter: Setter[Any] = default_setter, session_id: str = "s-1", name: str = "plan"
    ) -> Any:
        """Send a message in a session, with a carrier that may hold something already."""
        with session("Trip", id=session_id, path="/trip", user_id="ann", properties={"Plan": "pro"}), step(name):
            self.write(carrier, setter)
        return carrier

    def write(self, carrier: Any, setter: Setter[Any] = default_setter) -> None:
        """Send a message, as instrumentations do."""
        with self.span("apply_async/plan", scope=CELERY, kind=SpanKind.PRODUCER):
            self.propagator.inject(carrier, setter=setter)


def pairs(headers: Mapping[str, str]) -> Pairs:
    return [(name, value.encode()) for name, value in headers.items()]


def test_a_message_has_the_session_in_which_it_is_sent() -> None:
    app = Sender()

    assert app.send({"task": "plan"}) == {"task": "plan", **HEADERS}
    assert app.send([("key", b"v")], KafkaSetter()) == [("key", b"v"), *pairs(HEADERS)]
    assert app.send({}, SqsSetter()) == {
        name: {"StringValue": value, "DataType": "String"} for name, value in HEADERS.items()
    }


NAMED = {
    "Helicone-Session-Id": "%C3%9C/1",
    "Helicone-Session-Path": "/%E6%97%85",
    "Helicone-Session-Name": "50%EF%BC%85",
}


def test_a_message_has_names_in_ascii() -> None:
    app = Sender()
    carriers: list[Any] = [{}, [], {}]
    with session("50%", id="Ü/1", path="/旅"):
        for carrier, setter in zip(carriers, (default_setter, KafkaSetter(), SqsSetter()), strict=True):
            app.write(carrier, setter)

    strings = {name: {"StringValue": value, "DataType": "String"} for name, value in NAMED.items()}
    assert carriers == [NAMED, pairs(NAMED), strings]


@pytest.mark.parametrize("kafka", [False, True])
def test_a_worker_continues_a_session_by_the_same_names(kafka: bool) -> None:
    app = App(Settings(accept_inbound=True))
    carrier, getter = (pairs(NAMED), KafkaGetter()) if kafka else (NAMED, default_getter)
    context = HeliconePropagator(app.registry).extract(carrier, Context(), getter)  # type: ignore[arg-type]  # either
    with app.span("process", kind=SpanKind.CONSUMER, context=context), app.chat():
        pass

    assert app.where()["chat gpt-4o"] == ("Ü/1", "/旅")


def test_a_task_that_is_tried_again_stays_in_its_session_whatever_its_name() -> None:
    app = Sender(Settings(propagate_messaging=True, accept_inbound=True))
    carrier: dict[str, str] = {}
    with session("50%", id="Ü/1", path="/旅"):
        app.write(carrier)
    before = dict(carrier)
    token = attach(app.propagator.extract(carrier, Context()))
    app.write(carrier)
    detach(token)

    assert carrier == before == NAMED


def test_messages_get_no_headers_by_default() -> None:
    app = Sender(Settings(propagate_hosts=("broker", ".example"), gateway_hosts=("broker",)))

    assert app.send({"task": "plan", "host": "unlisted"}) == {"task": "plan", "host": "unlisted"}
    assert app.send([], KafkaSetter()) == []


@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.SERVER])
def test_headers_are_written_only_if_the_current_span_is_a_producer(kind: SpanKind) -> None:
    app = Sender()
    carrier: dict[str, str] = {}
    with session("Trip"), app.span("plan", kind=kind):
        HeliconePropagator(app.registry).inject(carrier)

    assert carrier == {}


def test_a_message_outside_of_all_sessions_has_no_headers() -> None:
    app = Sender()
    carrier: dict[str, str] = {}
    app.write(carrier)

    assert carrier == {}


def test_a_provisional_session_is_final_once_a_message_has_it() -> None:
    app = Sender()
    carrier: dict[str, str] = {}
    with app.span("work"):
        with app.chat():
            pass
        app.write(carrier)
        with app.span("late", {"session.id": "late"}):
            pass

    ids = {label["helicone.session.id"] for label in app.labels().values()}
    assert (len(ids), carrier["Helicone-Session-Id"], carrier["Helicone-Session-Path"]) == (1, ids.pop(), "/work")


@pytest.mark.parametrize("name", ["Helicone-Session-Id", "helicone-session-id"])
def test_a_message_that_has_a_session_is_not_changed(name: str) -> None:
    app = Sender()

    assert app.send({name: "theirs"}) == {name: "theirs"}
    assert app.send([(name, b"theirs")], KafkaSetter()) == [(name, b"theirs")]
    sqs = {name: {"StringValue": "theirs", "DataType": "String"}}
    assert app.send(dict(sqs), SqsSetter()) == sqs


def test_a_task_that_is_tried_again_keeps_its_session_in_the_process_that_sent_it() -> None:
    app = Sender()
    first, listed = app.send({}), app.send([], KafkaSetter())

    assert app.send(json.loads(json.dumps(first)), name="run") == first
    assert app.send(list(listed), KafkaSetter(), name="run") == listed


def test_a_message_that_is_passed_on_as_the_same_object_keeps_its_session() -> None:
    app = Sender(Settings(propagate_messaging=True, accept_inbound=True))
    message = app.send({})
    first = dict(message)
    for _ in range(3):
        inbound = app.propagator.extract(message, Context())
        with app.span("run/plan", scope=CELERY, kind=SpanKind.CONSUMER, context=inbound) as consumer:
            token = attach(trace.set_span_in_context(consumer, inbound))
            with step("fetch"), step("page"):
                app.write(message)
            detach(token)

        assert message == first


def test_messages_that_a_worker_sends_with_one_carrier_have_their_own_paths() -> None:
    app = Sender(Settings(propagate_messaging=True, accept_inbound=True))
    token = attach(app.propagator.extract(app.send({}), Context()))
    headers: dict[str, str] = {}
    paths = []
    for name in ("fetch", "page"):
        with step(name):
            app.write(headers)
        paths.append(headers["Helicone-Session-Path"])
    detach(token)

    assert paths == ["/trip/plan/fetch", "/trip/plan/page"]


def test_a_carrier_that_the_app_uses_again_has_the_session_of_each_message() -> None:
    app = Sender()
    headers: dict[str, Any] = {"app": "shop"}
    listed: Pairs = [("app", b"shop")]
    for number in range(3):
        expected = {**HEADERS, "Helicone-Session-Id": f"s-{number}"}
        app.send(headers, session_id=f"s-{number}")
        app.send(listed, KafkaSetter(), session_id=f"s-{number}")

        assert headers == {"app": "shop", **expected}
        assert listed == [("app", b"shop"), *pairs(expected)]


def test_headers_of_an_earlier_message_do_not_stay_in_a_carrier_that_is_used_again() -> None:
    app = Sender()
    headers = app.send({})
    with session("Other", id="s-2"):
        app.write(headers)

    assert headers == {
        "Helicone-Session-Path": "/",
        "Helicone-Session-Id": "s-2",
        "Helicone-Session-Name": "Other",
    }


@pytest.mark.parametrize("setter", [default_setter, SqsSetter()])
def test_a_carrier_that_is_used_again_outside_of_sessions_has_no_headers(setter: Setter[Any]) -> None:
    app = Sender()
    headers = app.send({"app": "shop"}, setter)
    app.write(headers, setter)

    assert headers == {"app": "shop"}


def test_a_list_that_is_used_again_outside_of_sessions_has_no_headers() -> None:
    app = Sender()
    headers = app.send([("app", b"shop")], KafkaSetter())
    app.write(headers, KafkaSetter())

    assert headers == [("app", b"shop")]


def test_a_carrier_of_an_earlier_message_sends_no_headers_to_an_unlisted_host() -> None:
    app = Sender()
    headers = app.send({})
    with session("Trip"), app.span("GET", {"url.full": "https://example.com/"}, kind=SpanKind.CLIENT):
        app.propagator.inject(headers)

    assert headers == {}


def test_headers_that_the_caller_wrote_into_a_message_stay_and_the_others_are_added() -> None:
    app = Sender()
    theirs = {"helicone-session-path": "/mine", "Helicone-User-Id": "bob", "Helicone-Property-Team": "blue"}
    headers = dict(theirs)
    for _ in range(2):
        app.send(headers)
        rest = {
            name: HEADERS[name] for name in ("Helicone-Session-Id", "Helicone-Session-Name", "Helicone-Property-Plan")
        }

        assert headers == {**theirs, **rest}
    app.write(headers)

    assert headers == theirs


def test_the_id_is_written_first_if_a_message_has_room_for_few_headers() -> None:
    app = Sender()
    names = [list(app.send(dict.fromkeys(map(str, range(10 - room))), SqsSetter()))[-room:] for room in (1, 2, 3)]

    assert names == [list(HEADERS)[:room] for room in (1, 2, 3)]


def test_the_carriers_that_are_remembered_are_bounded() -> None:
    app = Sender()
    carriers: list[dict[str, str]] = [{} for _ in range(_MAX_CARRIERS + 5)]
    for carrier in carriers:
        app.send(carrier)

    assert len(app.propagator._message_headers()._written) == _MAX_CARRIERS


@pytest.mark.parametrize("carrier", [None, 5, (), object(), [None], [()], {5: object()}, [(b"Helicone-Session-Id",)]])
def test_a_carrier_of_an_unknown_type_fails_no_message(carrier: object) -> None:
    app = Sender()

    class Deaf(Setter[Any]):
        def set(self, carrier: Any, key: str, value: str) -> None:
            """Do nothing."""

    app.send(carrier, Deaf())

    assert swallowed() == {}


@pytest.mark.parametrize("accept", [True, False])
def test_a_kafka_message_continues_its_senders_path_if_callers_are_accepted(accept: bool) -> None:
    message = Sender().send([], KafkaSetter())
    worker = App(Settings(accept_inbound=accept, session_fallback="none"))
    inbound = HeliconePropagator(worker.registry).extract(message, Context(), KafkaGetter())
    with worker.span("trips process", scope=KAFKA, kind=SpanKind.CONSUMER, context=inbound):
        with worker.span("book"), worker.chat():
            pass

    label = {
        "helicone.session.id": "s-1",
        "helicone.session.path": "/trip/plan/book",
        "helicone.session.name": "Trip",
        "helicone.span.kind": "llm",
        "helicone.property.Plan": "pro",
        "session.id": "s-1",
        "gen_ai.conversation.id": "s-1",
        "user.id": "ann",
    }
    assert worker.labels()["chat gpt-4o"] == (label if accept else {})


def test_properties_of_a_celery_task_continue_although_its_getter_returns_no_names() -> None:
    request = SimpleNamespace(**Sender().send({"id": "7", "timelimit": (None, None)}))
    worker = App(Settings(accept_inbound=True))
    inbound = HeliconePropagator(worker.registry).extract(request, Context(), CeleryGetter())
    with worker.span("run/plan", scope=CELERY, kind=SpanKind.CONSUMER, context=inbound):
        pass

    label = worker.labels()["run/plan"]
    assert (label["helicone.session.path"], label["helicone.property.Plan"]) == ("/trip/plan", "pro")
