"""Every id, path and name of Helicone's guide to Sessions is sent byte for byte.

https://docs.helicone.ai/features/sessions
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest
from openai import DefaultHttpxClient, OpenAI
from opentelemetry.instrumentation import httpx as http_instrumentation
from opentelemetry.sdk.trace import TracerProvider

from helicone_otel import Settings, configure, session, step
from tests.support.raw_http import HTTP, MODEL, QUESTION, TLS, Wire, expected, listening

# The examples of the guide's table of headers.
UUID = "550e8400-e29b-41d4-a716-446655440000"
NAME = "Course Plan"

PATHS = (
    "/abstract",
    "/abstract/outline",
    "/abstract/outline/lesson-1",
    "/parent",
    "/parent/child",
    "/parent/child/grandchild",
    "/session/question_1",
    "/session/question_2",
    "/analyze_request/fetch_data/process_results",
    "/task",
    "/task/research",
    "/task/research/web_search",
    "/process/extract",
    "/process/transform",
    "/analyze",
    "/analyze/extract",
    "/analyze/extract/validate",
    "/analyze/summarize",
    "/greeting",
    "/trace-path",
    "/request",
    "/request/validation",
    "/request/validation/typescript",
)
IDS = (UUID, "user_123_conversation_456", "unique-session-id")
NAMES = (NAME, "Customer Support", "Content Generation", "Trip Planning Agent", "User Conversation", "Session Name")


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture(params=HTTP)
def gateway(request: pytest.FixtureRequest, provider: TracerProvider) -> Iterator[Wire]:
    """A gateway on loopback, for an app with and without OpenTelemetry's HTTP instrumentation."""
    with listening() as wire:
        handle = configure(Settings(gateway_hosts=(wire.netloc,)), provider=provider)
        if request.param:
            http_instrumentation.HTTPX2ClientInstrumentor().instrument(tracer_provider=provider)
        yield wire
        if request.param:
            http_instrumentation.HTTPX2ClientInstrumentor().uninstrument()
        handle.uninstall()


@pytest.fixture
def ask(gateway: Wire) -> Iterator[Callable[[], None]]:
    """Return a function that asks a model one question with the unchanged OpenAI SDK."""
    http = DefaultHttpxClient(verify=TLS)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-test", max_retries=0, http_client=http) as client:
        yield lambda: client.chat.completions.create(model=MODEL, messages=[QUESTION]) and None


@pytest.mark.parametrize("path", ["/abstract", "/parent/child"])
def test_the_headers_are_those_of_the_guides_table(gateway: Wire, ask: Callable[[], None], path: str) -> None:
    with session("Course Plan", id="550e8400-e29b-41d4-a716-446655440000", path=path):
        ask()

    lines = [line for line in gateway.heads[0].split(b"\r\n") if line.lower().startswith(b"helicone-session")]
    assert sorted(lines) == [
        b"Helicone-Session-Id: 550e8400-e29b-41d4-a716-446655440000",
        b"Helicone-Session-Name: Course Plan",
        f"Helicone-Session-Path: {path}".encode(),
    ]


def test_every_path_of_the_guide_is_sent_unchanged_as_the_path_of_a_session(
    gateway: Wire, ask: Callable[[], None]
) -> None:
    for path in PATHS:
        with session(NAME, id=UUID, path=path):
            ask()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in PATHS]


def test_every_path_of_the_guide_is_sent_unchanged_as_one_step(gateway: Wire, ask: Callable[[], None]) -> None:
    for path in PATHS:
        with session(NAME, id=UUID), step(path.removeprefix("/")):
            ask()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in PATHS]


def test_nested_steps_make_every_path_of_the_guide(gateway: Wire, ask: Callable[[], None]) -> None:
    def descend(segments: list[str]) -> None:
        if not segments:
            return ask()
        with step(segments[0]):
            return descend(segments[1:])

    for path in PATHS:
        with session(NAME, id=UUID):
            descend(path.split("/")[1:])

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in PATHS]


def test_decorated_functions_make_every_path_of_the_guide(gateway: Wire, ask: Callable[[], None]) -> None:
    for path in PATHS:
        work = ask
        for segment in reversed(path.split("/")[1:]):
            work = step(segment)(work)
        session(NAME, id=UUID)(work)()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in PATHS]


def test_nested_tools_make_every_path_of_the_guide(
    gateway: Wire, ask: Callable[[], None], provider: TracerProvider
) -> None:
    # As GenAI instrumentations write them: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.tools")
    for path in PATHS:
        with ExitStack() as stack:
            stack.enter_context(session(NAME, id=UUID))
            for tool in path.split("/")[1:]:
                attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
                stack.enter_context(tracer.start_as_current_span(f"execute_tool {tool}", attributes=attributes))
            ask()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in PATHS]


def test_application_spans_make_every_path_of_the_guide(
    gateway: Wire, ask: Callable[[], None], provider: TracerProvider
) -> None:
    # A counter in the name of a span is an occurrence, so it is not part of the path.
    paths = [path for path in PATHS if not path.endswith("1") and not path.endswith("2")]
    for path in paths:
        with ExitStack() as stack:
            stack.enter_context(session(NAME, id=UUID))
            for name in path.split("/")[1:]:
                stack.enter_context(provider.get_tracer("app").start_as_current_span(name))
            ask()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=UUID, name=NAME, path=path) for path in paths]


def test_every_id_and_name_of_the_guide_is_sent_unchanged(gateway: Wire, ask: Callable[[], None]) -> None:
    pairs = [(id_, name) for id_ in IDS for name in NAMES]
    for id_, name in pairs:
        with session(name, id=id_, path="/abstract"):
            ask()

    seen = [gateway.helicone(index) for index in range(len(gateway.heads))]
    assert seen == [expected(id=id_, name=name, path="/abstract") for id_, name in pairs]


def test_a_session_without_an_id_gets_the_uuid_that_the_guide_recommends(
    gateway: Wire, ask: Callable[[], None]
) -> None:
    with session("Customer Support", path="/session/question_1") as support:
        ask()

    assert support is not None
    assert str(uuid.UUID(support.id, version=4)) == support.id
    assert gateway.helicone() == expected(id=support.id, name="Customer Support", path="/session/question_1")


def test_two_questions_of_one_conversation_share_id_and_name(gateway: Wire, ask: Callable[[], None]) -> None:
    with session("Customer Support", id="user_123_conversation_456", path="/session"):
        for question in ("question_1", "question_2"):
            with step(question):
                ask()

    assert [gateway.helicone(index) for index in range(2)] == [
        expected(id="user_123_conversation_456", name="Customer Support", path="/session/question_1"),
        expected(id="user_123_conversation_456", name="Customer Support", path="/session/question_2"),
    ]


def test_the_guides_code_generation_assistant_is_one_session_of_three_levels(
    gateway: Wire, ask: Callable[[], None]
) -> None:
    with session("Code Generation Assistant", id=UUID), step("request"):
        ask()
        with step("validation"):
            ask()
            with step("typescript"):
                ask()

    assert [gateway.helicone(index) for index in range(3)] == [
        expected(id=UUID, name="Code Generation Assistant", path="/request"),
        expected(id=UUID, name="Code Generation Assistant", path="/request/validation"),
        expected(id=UUID, name="Code Generation Assistant", path="/request/validation/typescript"),
    ]


def test_the_guides_code_generation_assistant_may_open_a_session_for_each_path(
    gateway: Wire, ask: Callable[[], None]
) -> None:
    for path in ("/request", "/request/validation", "/request/validation/typescript"):
        with session("Code Generation Assistant", id=UUID, path=path):
            ask()

    assert [gateway.helicone(index) for index in range(3)] == [
        expected(id=UUID, name="Code Generation Assistant", path="/request"),
        expected(id=UUID, name="Code Generation Assistant", path="/request/validation"),
        expected(id=UUID, name="Code Generation Assistant", path="/request/validation/typescript"),
    ]


def test_the_rest_of_the_request_is_not_changed(gateway: Wire) -> None:
    body = b'{"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Where to?"}]}'
    with httpx2.Client(verify=TLS) as client, session(NAME, id=UUID, path="/abstract"):
        client.post(f"{gateway.url}/v1/chat/completions", content=body, headers={"X-Mine": "stays"})

    others = [name for name, _ in gateway.headers() if not name.lower().startswith((b"helicone", b"traceparent"))]
    assert gateway.heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert (b"X-Mine", b"stays") in gateway.headers()
    assert others == [
        b"Host",
        b"Accept",
        b"Accept-Encoding",
        b"Connection",
        b"User-Agent",
        b"X-Mine",
        b"Content-Length",
    ]
