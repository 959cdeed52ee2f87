"""A chat is one session: a real FastAPI or Flask app, instrumented with zero code."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.support.deployed import Deployment, sessions

pytestmark = pytest.mark.slow

BY_HEADER = {
    "HELICONE_SESSION_ID_ATTRIBUTES": "http.request.header.x_conversation_id",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-conversation-id,x-user",
}
BY_MIDDLEWARE = {"HELICONE_SESSION_ID_ATTRIBUTES": "app.conversation"}


def post(url: str, **headers: str) -> None:
    httpx.post(url, headers=headers, timeout=60).raise_for_status()


@pytest.mark.parametrize(
    ("settings", "header"), [(BY_HEADER, "X-Conversation-Id"), (BY_MIDDLEWARE, "X-Chat")], ids=["header", "middleware"]
)
def test_the_turns_of_a_chat_are_one_session(deployment: Deployment, settings: dict[str, str], header: str) -> None:
    _, url = deployment.uvicorn("chat:app", **settings)
    for turn, conversation in (("/chat", "c-1"), ("/chat", "c-2"), ("/chat/stream", "c-1"), ("/chat", "c-1")):
        post(url + turn, **{header: conversation})
    post(f"{url}/chat")
    deployment.stop()

    spans = deployment.inbox.spans
    *turns, alone = sessions(deployment.requests(5))
    assert turns == [
        ("c-1", "/chat", "Trips"),
        ("c-2", "/chat", "Trips"),
        ("c-1", "/chat/stream", "Trips"),
        ("c-1", "/chat", "Trips"),
    ]
    labels = {
        (span.attributes["helicone.session.id"], span.attributes["helicone.session.path"])
        for span in spans
        if span.name.startswith("chat ")
    }
    assert alone[0] in {str(uuid.UUID(hex=span.trace_id)) for span in spans}
    assert labels == {("c-1", "/chat"), ("c-2", "/chat"), ("c-1", "/chat/stream"), (alone[0], "/chat")}


def test_users_and_properties_are_read_from_attributes(deployment: Deployment) -> None:
    _, url = deployment.uvicorn(
        "chat:app",
        **BY_HEADER,
        HELICONE_USER_ID_ATTRIBUTES="app.user,http.request.header.x_user",
        HELICONE_PROPERTY_ATTRIBUTES="Plan=app.plan,Route=http.route",
    )
    post(f"{url}/chat", **{"X-Conversation-Id": "c-1", "X-User": "ann", "X-Plan": "pro"})
    post(f"{url}/chat", **{"X-Conversation-Id": "c-1", "X-User": "bob"})

    common = {"Helicone-Session-Id": "c-1", "Helicone-Session-Path": "/chat", "Helicone-Session-Name": "Trips"}
    assert [request.helicone_headers for request in deployment.requests(2)] == [
        {**common, "Helicone-User-Id": "ann", "Helicone-Property-Plan": "pro", "Helicone-Property-Route": "/chat"},
        {**common, "Helicone-User-Id": "bob", "Helicone-Property-Route": "/chat"},
    ]
    deployment.stop()
    plans = [
        span.attributes.get("helicone.property.Plan")
        for span in deployment.inbox.spans
        if span.name.startswith("chat ")
    ]
    assert plans == ["pro", None]


def test_headers_that_flask_captures_after_the_span_started_set_the_session(deployment: Deployment) -> None:
    command = ("opentelemetry-instrument", "gunicorn", "search_flask:app", "--bind", "fd://{fd}")
    _, url = deployment.serve(*command, **BY_HEADER)
    post(f"{url}/search", **{"X-Conversation-Id": "c-1"})

    assert sessions(deployment.requests(1)) == [("c-1", "/rank", "Trips")]
