"""What the app sets itself stays as it is, whenever it sets it: a label replaces nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import Span

from helicone_otel import session
from tests.support.small_app import App

SHARED = ("session.id", "gen_ai.conversation.id", "user.id")
CHAT = {"gen_ai.operation.name": "chat"}


@pytest.fixture
def app() -> App:
    return App()


def exported(app: App, name: str) -> Mapping[str, Any]:
    (span,) = [span for span in app.all_spans() if span.name == name]
    return span.attributes or {}


@pytest.mark.parametrize("more", [{}, {"k": 1}], ids=["alone", "with another attribute"])
@pytest.mark.parametrize("value", ["mine", "a"])  # our user's id, "ann", begins with "a"
@pytest.mark.parametrize("key", SHARED)
def test_a_value_that_is_set_late_is_exported(app: App, key: str, value: str, more: dict[str, int]) -> None:
    with session("Trips", id="a1", user_id="ann"), app.tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attributes({key: value, **more})

    assert exported(app, "chat")[key] == value


@pytest.mark.parametrize("key", SHARED)
def test_a_value_that_is_set_late_stays_where_the_span_is_labelled_again(app: App, key: str) -> None:
    with app.tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attributes({key: "mine", "k": 1})
        with app.tracer.start_as_current_span("inner"):
            pass
        span.set_attribute("helicone.session.id", "s2")  # names another session, so all of the label changes
        with app.tracer.start_as_current_span("inner"):
            pass
        assert isinstance(span, Span)
        assert (span.attributes or {})[key] == "mine"

    assert (exported(app, "chat")[key], exported(app, "chat")["helicone.session.id"]) == ("mine", "s2")


@pytest.mark.parametrize("key", SHARED)
def test_a_value_that_replaces_ours_stays_where_the_session_changes(app: App, key: str) -> None:
    with session("Trips", id="a1", user_id="ann"), app.tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attribute(key, "mine")
        span.set_attribute("helicone.session.id", "s2")
        with app.tracer.start_as_current_span("inner"):
            pass

    assert exported(app, "chat")[key] == "mine"


def test_a_value_that_is_set_late_stays_beside_one_that_the_parent_names(app: App) -> None:
    with app.tracer.start_as_current_span("work", attributes={"user.id": "ann"}):
        with app.tracer.start_as_current_span("chat", attributes=CHAT) as span:
            span.set_attributes({"user.id": "bob", "k": 1})
        with app.tracer.start_as_current_span("chat 2", attributes=CHAT):
            pass

    assert [exported(app, name)["user.id"] for name in ("work", "chat", "chat 2")] == ["ann", "bob", "ann"]
