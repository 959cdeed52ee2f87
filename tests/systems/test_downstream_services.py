"""One session across real services: FastAPI in front, and FastAPI, Flask or gRPC downstream."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.deployed import Process, Town, sessions, town, wait_until

pytestmark = pytest.mark.slow

CHAT = {
    "HELICONE_SESSION_ID_ATTRIBUTES": "http.request.header.x_conversation_id",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-conversation-id",
}
HOSTILE = {
    "Helicone-Session-Id": "evil",
    "Helicone-Session-Path": "/evil",
    "Helicone-Session-Name": "Evil",
    "baggage": "session.id=evil,gen_ai.conversation.id=evil,helicone.session.id=evil",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path) as place:
        yield place


def post(url: str, **headers: str) -> httpx.Response:
    return httpx.post(url, headers=headers, timeout=60).raise_for_status()


def search(place: Town, framework: str, **environ: str) -> tuple[Process, str, str]:
    """Start the service downstream; return its URL and what names it to HELICONE_PROPAGATE_HOSTS."""
    if framework == "grpc":
        process = place.start("opentelemetry-instrument", "python", "search_grpc.py", **environ)
        wait_until(lambda: bool(process.output))
        return process, f"127.0.0.1:{process.output.strip()}", "shop.Search"
    if framework == "flask":
        command = ("opentelemetry-instrument", "gunicorn", "search_flask:app", "--bind", "fd://{fd}")
        process, url = place.serve(*command, **environ)
    else:
        process, url = place.uvicorn("search:app", **environ)
    return process, f"{url}/search", url.removeprefix("http://")


@pytest.mark.parametrize("framework", ["fastapi", "flask", "grpc"])
def test_a_session_goes_on_below_its_callers_path(place: Town, framework: str) -> None:
    downstream, url, host = search(place, framework, HELICONE_ACCEPT_INBOUND="true")
    front, front_url = place.uvicorn("trips:app", SEARCH_URL=url, HELICONE_PROPAGATE_HOSTS=host, **CHAT)
    post(f"{front_url}/trips/7/{'grpc' if framework == 'grpc' else 'plan'}", **{"X-Conversation-Id": "c 42"})

    assert sessions(place.requests(2)) == [("c 42", "/research", "Trips"), ("c 42", "/research/rank", "Trips")]
    front.stop()
    downstream.stop()
    spans = place.spans("research", "rank")
    labels = {
        span.name: (span.attributes["helicone.session.id"], span.attributes["helicone.session.path"])
        for span in spans
        if span.name in {"research", "rank"}
    }
    assert labels == {"research": ("c 42", "/research"), "rank": ("c 42", "/research/rank")}
    assert {span.attributes.get("helicone.session.id") for span in spans if span.name.startswith("chat ")} == {"c 42"}
    assert len({span.trace_id for span in spans}) == 1


@pytest.mark.parametrize("framework", ["fastapi", "flask", "grpc"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_service_that_is_not_told_or_does_not_listen_is_in_no_session_of_its_caller(
    place: Town, framework: str, listed: bool
) -> None:
    # Either the caller tells nothing, or nobody listens downstream: neither setting does anything alone.
    _, url, host = search(place, framework, HELICONE_ACCEPT_INBOUND="false" if listed else "true")
    settings = {**CHAT, "HELICONE_PROPAGATE_HOSTS": host} if listed else CHAT
    _, front_url = place.uvicorn("trips:app", SEARCH_URL=url, **settings)
    post(f"{front_url}/trips/7/{'grpc' if framework == 'grpc' else 'plan'}", **{"X-Conversation-Id": "c-42"})

    first, second = sessions(place.requests(2))
    trace_ids = {span.trace_id for span in place.spans("research", "rank")}
    assert first == ("c-42", "/research", "Trips")
    assert second == (str(uuid.UUID(hex=trace_ids.pop())), "/rank", "Trips")


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_a_hostile_caller_changes_nothing(place: Town, framework: str) -> None:
    _, url, _ = search(place, framework)
    post(url, **HOSTILE)

    spans = place.spans("rank")
    trace_id = str(uuid.UUID(hex=spans[0].trace_id))
    assert sessions(place.requests(1)) == [(trace_id, "/rank", "Trips")]
    assert {value for span in spans for value in span.attributes.values() if "evil" in value.lower()} == set()


def test_accepted_baggage_names_the_session_of_a_real_server(place: Town) -> None:
    _, url, _ = search(place, "fastapi", HELICONE_ACCEPT_INBOUND="true")
    post(url, baggage="session.id=b-7")

    assert sessions(place.requests(1)) == [("b-7", "/rank", "Trips")]
