"""One session across real services: FastAPI in front, and FastAPI, Flask or gRPC downstream."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.support.deployed import Deployment, Process, sessions, wait_until

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


def post(url: str, **headers: str) -> httpx.Response:
    return httpx.post(url, headers=headers, timeout=60).raise_for_status()


def search(deployment: Deployment, framework: str, **environ: str) -> tuple[Process, str, str]:
    """Start the downstream service; return its URL and its entry for HELICONE_PROPAGATE_HOSTS."""
    if framework == "grpc":
        process = deployment.start("opentelemetry-instrument", "python", "search_grpc.py", **environ)
        wait_until(lambda: bool(process.output))
        return process, f"127.0.0.1:{process.output.strip()}", "shop.Search"
    if framework == "flask":
        command = ("opentelemetry-instrument", "gunicorn", "search_flask:app", "--bind", "fd://{fd}")
        process, url = deployment.serve(*command, **environ)
    else:
        process, url = deployment.uvicorn("search:app", **environ)
    return process, f"{url}/search", url.removeprefix("http://")


@pytest.mark.parametrize("framework", ["fastapi", "flask", "grpc"])
def test_a_session_continues_downstream_below_the_path_of_the_caller(deployment: Deployment, framework: str) -> None:
    downstream, url, host = search(deployment, framework, HELICONE_ACCEPT_INBOUND="true")
    front, front_url = deployment.uvicorn("trips:app", SEARCH_URL=url, HELICONE_PROPAGATE_HOSTS=host, **CHAT)
    post(f"{front_url}/trips/7/{'grpc' if framework == 'grpc' else 'plan'}", **{"X-Conversation-Id": "c 42"})

    assert sessions(deployment.requests(2)) == [("c 42", "/research", "Trips"), ("c 42", "/research/rank", "Trips")]
    front.stop()
    downstream.stop()
    spans = deployment.spans("research", "rank")
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
def test_a_session_continues_only_if_the_caller_sends_it_and_the_service_accepts_it(
    deployment: Deployment, framework: str, listed: bool
) -> None:
    # Either the caller sends no session, or the service accepts none: each setting alone does nothing.
    _, url, host = search(deployment, framework, HELICONE_ACCEPT_INBOUND="false" if listed else "true")
    settings = {**CHAT, "HELICONE_PROPAGATE_HOSTS": host} if listed else CHAT
    _, front_url = deployment.uvicorn("trips:app", SEARCH_URL=url, **settings)
    post(f"{front_url}/trips/7/{'grpc' if framework == 'grpc' else 'plan'}", **{"X-Conversation-Id": "c-42"})

    first, second = sessions(deployment.requests(2))
    trace_ids = {span.trace_id for span in deployment.spans("research", "rank")}
    assert first == ("c-42", "/research", "Trips")
    assert second == (str(uuid.UUID(hex=trace_ids.pop())), "/rank", "Trips")


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_headers_and_baggage_of_an_untrusted_caller_change_nothing(deployment: Deployment, framework: str) -> None:
    _, url, _ = search(deployment, framework)
    post(url, **HOSTILE)

    spans = deployment.spans("rank")
    trace_id = str(uuid.UUID(hex=spans[0].trace_id))
    assert sessions(deployment.requests(1)) == [(trace_id, "/rank", "Trips")]
    assert {value for span in spans for value in span.attributes.values() if "evil" in value.lower()} == set()


def test_accepted_baggage_sets_the_session_of_a_real_server(deployment: Deployment) -> None:
    _, url, _ = search(deployment, "fastapi", HELICONE_ACCEPT_INBOUND="true")
    post(url, baggage="session.id=b-7")

    assert sessions(deployment.requests(1)) == [("b-7", "/rank", "Trips")]
