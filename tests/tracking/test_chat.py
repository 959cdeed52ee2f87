"""Sessions, users and properties from attributes of application spans, set at the start or later."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconePropagator, Settings, session
from helicone_otel.failures import swallowed
from helicone_otel.wire import percent_decoded, wire_text
from tests.support.spans import SERVER, App

HEADER = "http.request.header.x_conversation_id"
SETTINGS = Settings(
    session_id_attributes=(HEADER, "app.conversation"),
    user_id_attributes=("app.user",),
    property_attributes=("Plan=app.plan", "Tenant=app.tenant"),
)
TURN = {HEADER: ["c-1"], "app.user": "ann", "app.plan": "pro"}
LABEL = {
    "helicone.session.id": "c-1",
    "helicone.session.path": "/chat",
    "helicone.span.kind": "llm",
    "helicone.property.Plan": "pro",
    "session.id": "c-1",
    "gen_ai.conversation.id": "c-1",
    "user.id": "ann",
}


def turn(app: App, start: dict[str, Any], late: dict[str, Any] | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Serve one turn of a chat; return the label of its LLM call and the headers of its request."""
    app.exporter.clear()
    carrier: dict[str, str] = {}
    with app.span("POST /chat", start, scope=SERVER, kind=SpanKind.SERVER, context=Context()) as server:
        server.set_attributes(late or {})
        with app.chat(), app.span("POST", {"url.full": "https://oai.helicone.ai/v1"}, kind=SpanKind.CLIENT):
            HeliconePropagator(app.registry).inject(carrier)
    return app.labels()["chat gpt-4o"], carrier


@pytest.mark.parametrize("late", [False, True], ids=["at start", "later"])
def test_configured_attributes_give_the_session_the_user_and_the_properties(late: bool) -> None:
    label, headers = turn(App(SETTINGS), *(({}, TURN) if late else (TURN, {})))

    assert label == LABEL
    assert headers == {
        "Helicone-Session-Path": "/chat",
        "Helicone-Session-Id": "c-1",
        "Helicone-User-Id": "ann",
        "Helicone-Property-Plan": "pro",
    }


def test_each_turn_of_a_chat_has_its_own_user_and_properties() -> None:
    app = App(SETTINGS)
    turn(app, TURN)
    label, _ = turn(app, {HEADER: ["c-1"], "app.user": "bob", "app.tenant": 7})
    bare, _ = turn(app, {HEADER: ["c-1"]})

    assert label == {k: v for k, v in LABEL.items() if "Plan" not in k} | {
        "user.id": "bob",
        "helicone.property.Tenant": "7",
    }
    assert {"user.id", "helicone.property.Plan"}.isdisjoint(bare)


def test_a_user_is_labelled_without_a_session_id() -> None:
    app = App(SETTINGS)
    label, headers = turn(app, {}, {"app.user": "ann", "app.plan": "pro"})

    assert (label["user.id"], label["helicone.property.Plan"]) == ("ann", "pro")
    assert (headers["Helicone-User-Id"], headers["Helicone-Property-Plan"]) == ("ann", "pro")
    assert "session.id" not in label


def test_values_given_in_code_win_over_attributes() -> None:
    app = App(SETTINGS)
    with session("Trip", id="s", user_id="eve", properties={"Plan": "free"}):
        with app.span("answer", TURN), app.chat():
            pass

    label = app.labels()["chat gpt-4o"]
    assert (label["helicone.session.id"], label["user.id"], label["helicone.property.Plan"]) == ("s", "eve", "free")


def test_a_configured_attribute_wins_over_those_of_the_dialects() -> None:
    label, headers = turn(App(SETTINGS), {**TURN, "user.id": "dialect's"})

    assert headers["Helicone-User-Id"] == label["user.id"] == "ann"


def test_users_of_parallel_branches_do_not_mix() -> None:
    app = App(SETTINGS)
    with app.span("batch"):
        for user in ("ann", "bob"):
            with (
                app.span(f"for {user}", {"app.user": user}),
                app.span(f"{user} calls", {"gen_ai.operation.name": "chat"}),
            ):
                pass
        with app.chat():
            pass

    users = {name: label.get("user.id") for name, label in app.labels().items()}
    assert users == {
        "ann calls": "ann",
        "for ann": "ann",
        "bob calls": "bob",
        "for bob": "bob",
        "chat gpt-4o": None,
        "batch": None,
    }


@pytest.mark.parametrize("value", ["", " ", [], ["a", "b"], True, 1.5, "\x00", "\r\nEvil: 1", "é" * 3000])
def test_unexpected_values_of_attributes_fail_nothing(value: Any) -> None:
    _, headers = turn(App(SETTINGS), {HEADER: value, "app.user": value, "app.plan": value})

    assert swallowed() == {}
    assert all(wire_text(percent_decoded(text)) == percent_decoded(text) for text in headers.values())
    assert all(text.isascii() for text in headers.values())


def test_an_attribute_set_before_the_request_leaves_is_used() -> None:
    app = App(SETTINGS)
    carrier: dict[str, str] = {}
    with app.span("POST /chat", scope=SERVER, kind=SpanKind.SERVER, context=Context()) as server:
        with app.chat():
            server.set_attribute("app.conversation", "c-1")
            with app.span("POST", {"url.full": "https://oai.helicone.ai/v1"}, kind=SpanKind.CLIENT):
                HeliconePropagator(app.registry).inject(carrier)

    assert carrier["Helicone-Session-Id"] == "c-1"
    assert {session_id for session_id, _ in app.where().values()} == {"c-1"}
