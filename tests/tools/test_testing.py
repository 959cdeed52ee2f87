"""The fixtures for users' own tests: what they show, that they leave nothing behind, and other projects with them."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import httpcore2
import httpx2
import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, BadRequestError, InternalServerError, NotFoundError, OpenAI
from opentelemetry import propagate, trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind

import helicone_otel
from helicone_otel import (
    Settings,
    SettingsError,
    configure,
    current_session,
    session,
    step,
    testing,
    tool,
    vector_query,
)
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.testing import FakeHelicone, Helicone, Trouble
from helicone_otel.tracking.registry import REGISTRY
from tests.support.raw_http import MODEL, QUESTION

CHAT = {"model": MODEL, "messages": [QUESTION]}
# As modules do it, before any provider is set.
TRACER = trace.get_tracer("module")


@pytest.fixture
def client(helicone: Helicone) -> Iterator[OpenAI]:
    """A client of OpenAI's SDK without arguments: the environment leads it to the fake gateway."""
    assert helicone.gateway_url
    with OpenAI(max_retries=0) as client:
        yield client


# --- what the fixture shows -----------------------------------------------------------------------


def test_a_tree_has_the_calls_at_their_paths_and_the_steps_once(helicone: Helicone, client: OpenAI) -> None:
    with session("Trip Planning", id="trip-42"), TRACER.start_as_current_span("plan"):
        for _ in range(2):
            with TRACER.start_as_current_span("research"):
                client.embeddings.create(model=MODEL, input="Porto")
                client.chat.completions.create(**CHAT)
        with Anthropic() as anthropic, step("review"):
            anthropic.messages.create(**CHAT, max_tokens=8)

    assert helicone.tree() == {
        "/plan": ["task"],
        "/plan/research": ["task", "llm", "llm", "embedding", "embedding"],
        "/plan/review": ["llm"],
    }


def test_a_tree_has_calls_that_bypass_the_gateway(helicone: Helicone) -> None:
    tracer = helicone.provider.get_tracer("opentelemetry.instrumentation.genai.tools")
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"}
    with session("Trip Planning", id="trip-42"), step("research"):
        for _ in range(2):
            with tracer.start_as_current_span("execute_tool web_search", attributes=attributes):
                pass
        with tracer.start_as_current_span("some plumbing", kind=SpanKind.CLIENT):
            pass

    assert helicone.tree() == {"/research/web_search": ["tool", "tool"]}
    assert [span.name for span in helicone.spans] == ["execute_tool web_search"] * 2 + ["some plumbing"]


def test_without_a_session_there_is_no_tree(helicone: Helicone) -> None:
    with TRACER.start_as_current_span("plan"):
        pass

    assert (helicone.tree(), helicone.sessions, helicone.requests) == ({}, {}, [])
    assert [span.name for span in helicone.spans] == ["plan"]


def test_with_two_sessions_a_tree_needs_an_id_or_a_name(helicone: Helicone, client: OpenAI) -> None:
    for id_, name in (("1", "Trip Planning"), ("2", "Support")):
        with session(name, id=id_), step(f"step-{id_}"):
            client.chat.completions.create(**CHAT)

    assert helicone.sessions == {"1": "Trip Planning", "2": "Support"}
    assert (helicone.tree("1"), helicone.tree("Support")) == ({"/step-1": ["llm"]}, {"/step-2": ["llm"]})
    with pytest.raises(AssertionError, match=r"tree\(\): give the id or name.*'1': 'Trip Planning', '2': 'Support'"):
        helicone.tree()
    with pytest.raises(AssertionError, match=r"tree\('3'\) fits 0 sessions.*'1': 'Trip Planning', '2': 'Support'"):
        helicone.tree("3")


def test_a_request_is_kept_byte_for_byte(helicone: Helicone) -> None:
    head = (
        b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nhelicone-session-id:  trip-42 \r\n"
        b"X-Two: 1\r\nX-TWO: 2\r\nHelicone-Auth: Bearer sk-secret\r\nHelicone-Property-Env: test\r\n"
        b"Content-Length: 17\r\nConnection: close\r\n\r\n"
    )
    body = b'{"not": "a chat"}'

    status, _ = _send(helicone, head + body)

    (request,) = helicone.requests
    assert (request.head, request.body, request.json) == (head, body, {"not": "a chat"})
    assert (status, request.method, request.path) == (400, "POST", "/v1/chat/completions?a=b")
    assert request.headers == (
        ("Host", "x"),
        ("helicone-session-id", "trip-42"),
        ("X-Two", "1"),
        ("X-TWO", "2"),
        ("Helicone-Auth", "Bearer sk-secret"),
        ("Helicone-Property-Env", "test"),
        ("Content-Length", "17"),
        ("Connection", "close"),
    )
    assert request.helicone_headers == {"helicone-session-id": "trip-42", "Helicone-Property-Env": "test"}
    assert (request.header("x-two"), request.header("x-three")) == ("1", None)
    assert "secret" not in repr(request)


def test_a_request_that_fails_counts_as_helicone_counts_it(helicone: Helicone, client: OpenAI) -> None:
    helicone.answer_with(500, "Porto")
    with session("Trip Planning", id="trip-42"), step("research"):
        with pytest.raises(InternalServerError):
            client.chat.completions.create(**CHAT)
        answer = client.chat.completions.create(**CHAT)

    assert answer.choices[0].message.content == "Porto"
    assert helicone.tree() == {"/research": ["llm", "llm"]}


# --- what the gateway answers ---------------------------------------------------------------------


def test_openai_gets_whole_answers_and_streams(client: OpenAI) -> None:
    whole = client.chat.completions.create(**CHAT)
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))

    assert (whole.choices[0].message.content, whole.choices[0].finish_reason, whole.model) == ("OK", "stop", MODEL)
    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["", "OK", None]
    assert (whole.usage, chunks[-1].usage, chunks[-1].choices) == (whole.usage, whole.usage, [])


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_openai_gets_one_embedding_for_each_text(client: OpenAI, encoding: str | None) -> None:
    more = {"encoding_format": encoding} if encoding else {}
    answer = client.embeddings.create(model=MODEL, input=["Porto", "Lisbon"], **more)

    packed = "mpkZP83MTD8AAAAA"
    assert [(data.index, _rounded(data.embedding)) for data in answer.data] == [
        (index, packed if encoding == "base64" else [0.6, 0.8, 0.0]) for index in (0, 1)
    ]


def _rounded(vector: list[float] | str) -> list[float] | str:
    return vector if isinstance(vector, str) else [round(value, 3) for value in vector]


def test_anthropic_gets_whole_answers_and_streams(helicone: Helicone) -> None:
    helicone.answer_with("whole", "streamed")
    with Anthropic() as anthropic:
        whole = anthropic.messages.create(**CHAT, max_tokens=8)
        with anthropic.messages.stream(**CHAT, max_tokens=8) as stream:
            streamed = stream.get_final_message()

    assert [block.text for block in (*whole.content, *streamed.content)] == ["whole", "streamed"]
    assert (whole.stop_reason, streamed.stop_reason) == ("end_turn", "end_turn")
    assert [request.path for request in helicone.requests] == ["/v1/messages", "/v1/messages"]


async def test_it_serves_async_tests_as_well(helicone: Helicone) -> None:
    async with AsyncOpenAI() as client:
        with session("Trip Planning", id="trip-42"), step("research"):
            await client.chat.completions.create(**CHAT)

    assert helicone.tree() == {"/research": ["llm"]}


def test_an_answer_may_be_a_whole_body_for_any_endpoint(helicone: Helicone, client: OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    helicone.answer_with(
        {"id": "1", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]},
        {"id": "m-1", "object": "moderation", "model": MODEL, "results": []},
    )

    asked = client.chat.completions.create(**CHAT).choices[0].message.tool_calls
    moderation = client.moderations.create(input="Porto")

    assert asked is not None
    assert (asked[0].id, moderation.id) == ("call_1", "m-1")
    with pytest.raises(NotFoundError, match="has no endpoint /v1/moderations"):
        client.moderations.create(input="Porto")


def test_a_retry_is_answered_without_a_wait(helicone: Helicone) -> None:
    helicone.answer_with(429, 503, "Porto")
    with OpenAI(max_retries=2) as client, session("Trip Planning", id="trip-42"), step("research"):
        answer = client.chat.completions.create(**CHAT)

    assert answer.choices[0].message.content == "Porto"
    assert [request.helicone_headers for request in helicone.requests] == [
        {
            "Helicone-Session-Id": "trip-42",
            "Helicone-Session-Path": "/research",
            "Helicone-Session-Name": "Trip Planning",
        }
    ] * 3


@pytest.mark.parametrize(
    "body", [{"model": MODEL}, {"model": MODEL, "messages": []}, {"model": "", "messages": [QUESTION]}]
)
def test_a_request_that_the_providers_refuse_is_refused(
    helicone: Helicone, client: OpenAI, body: dict[str, object]
) -> None:
    answer = httpx2.post(f"{helicone.openai_url}/chat/completions", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith("is missing, empty or of the wrong type.")
    with pytest.raises(BadRequestError, match="'messages' is missing"):
        client.chat.completions.create(model=MODEL, messages=[])


def test_a_missing_version_header_is_an_error_in_anthropics_form(helicone: Helicone) -> None:
    answer = httpx2.post(f"{helicone.anthropic_url}/v1/messages", json={**CHAT, "max_tokens": 8})

    message = "The header anthropic-version is missing."
    assert (answer.status_code, answer.json()) == (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (b"Helicone-Session-Id: a\r\nhelicone-session-id: a\r\n", b"more than once: helicone-session-id"),
        (b"Helicone-Session-Name:\r\n", b"Helicone-Session-Name is empty"),
        (b"Helicone-Session-Name:  \r\n", b"Helicone-Session-Name is empty"),
        (b"Helicone-Session-Name: a\x01b\r\n", b"control characters"),
        (b"Helicone-Session-Path: /a\tb\r\n", b"control characters"),
        (b"Helicone-Session-Path: /a\x7fb\r\n", b"control characters"),
        (b"Helicone-Session-Path: /a\n", b"not a header line"),
        (b"Helicone-Property-My Key: a\r\n", b"not a header line"),
        (b"Helicone-Session-Id : a\r\n", b"not a header line"),
        (b" folded\r\n", b"not a header line"),
    ],
)
def test_headers_that_helicone_cannot_take_are_refused_and_named(
    helicone: Helicone, lines: bytes, fault: bytes
) -> None:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + lines + b"Content-Length: 2\r\nConnection: close\r\n\r\n"
    )

    status, answer = _send(helicone, head + b"{}")

    assert status == 400
    assert fault in answer


def test_a_post_without_a_length_and_a_get_are_refused(helicone: Helicone) -> None:
    without, _ = _send(helicone, b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    asking, _ = _send(helicone, b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert (without, asking) == (411, 404)
    assert [(request.method, request.path) for request in helicone.requests] == [("GET", "/v1/models")]


def _send(helicone: Helicone, request: bytes) -> tuple[int, bytes]:
    """Send bytes, and return the status and the whole answer."""
    host, _, port = helicone.gateway_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ")[1]), answer


# --- settings -------------------------------------------------------------------------------------


@pytest.fixture
def _a_developers_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HELICONE_SESSION_ID": "leftover",
        "HELICONE_API_KEY": "sk-secret",
        "HELICONE_GATEWAY_HOSTS": "https://wrong",
        "OPENAI_BASE_URL": "https://api.openai.com/v1",
        "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "intranet.test",
        "OTEL_SDK_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_a_developers_machine")
def test_a_test_starts_with_the_same_settings_whatever_the_environment_says(request: pytest.FixtureRequest) -> None:
    helicone: Helicone = request.getfixturevalue("helicone")
    with OpenAI() as client, TRACER.start_as_current_span("plan"):
        client.chat.completions.create(**CHAT)

    assert helicone.tree() == {"/plan": ["task", "llm"]}
    assert sorted(name for name in os.environ if name.startswith("HELICONE_")) == [
        "HELICONE_API_KEY",
        "HELICONE_GATEWAY_HOSTS",
        "HELICONE_LOG_ENDPOINT",
        "HELICONE_UTF8_HOSTS",
    ]
    assert os.environ["NO_PROXY"] == "127.0.0.1,intranet.test"


def test_other_settings_are_used_for_the_rest_of_the_test(helicone: Helicone, client: OpenAI) -> None:
    helicone.configure(session_name="Support", session_id="all", application_spans=False, gateway_hosts=("gw.test",))
    with TRACER.start_as_current_span("plan"):
        client.chat.completions.create(**CHAT)

    assert (helicone.sessions, helicone.tree()) == ({"all": "Support"}, {"/chat": ["llm"]})
    gateway = helicone.gateway_url.removeprefix("http://")
    assert REGISTRY.settings == Settings(
        session_name="Support",
        session_id="all",
        application_spans=False,
        gateway_hosts=(gateway, "gw.test"),
        utf8_hosts=(".helicone.ai", ".hconeai.com", gateway),
    )


def test_an_app_that_configures_the_library_itself_changes_nothing(helicone: Helicone, client: OpenAI) -> None:
    helicone.configure(session_name="Support", attributes=("none",), session_id_attributes=("chat.id", "thread"))
    settings = REGISTRY.settings
    configure()
    with TRACER.start_as_current_span("plan"):
        client.chat.completions.create(**CHAT)

    assert REGISTRY.settings is settings
    assert list(helicone.sessions.values()) == ["Support"]


# --- rows -----------------------------------------------------------------------------------------


def test_rows_are_those_of_the_gateway_and_of_the_log(helicone: Helicone, client: OpenAI) -> None:
    helicone.configure(log=True)
    with session("Trip Planning", id="trip-42", user_id="u-17"), step("research"):
        client.chat.completions.create(**CHAT)
        with tool("get_weather", input={"city": "Porto"}) as call:
            call.output("Sunny")
    with session("Support", id="2"), vector_query("guides", system="faiss", query="visa rules") as query:
        query.matches([{"id": "a", "score": 0.91}])

    rows = helicone.rows("trip-42")
    assert [(row.door, row.model, row.badge, row.session_path, row.user_id, row.sends) for row in rows] == [
        ("gateway", MODEL, "LLM", "/research", "u-17", 1),
        ("log", "tool:get_weather", "Tool", "/research/get_weather", "u-17", 1),
    ]
    assert [row.model for row in helicone.rows("Support")] == ["vector_db"]
    assert len(helicone.rows()) == 3
    assert [flaw for row in helicone.rows() for flaw in row.flaws] == []
    assert helicone.requests == helicone.fake.requests("gateway")


def test_a_row_has_the_request_id_of_its_span(helicone: Helicone) -> None:
    helicone.configure(log=True)
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass

    assert [row.id for row in helicone.rows()] == [
        (span.attributes or {})["helicone.request.id"] for span in helicone.spans
    ]


def test_only_the_kinds_that_a_test_asks_for_are_logged(helicone: Helicone) -> None:
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass
    helicone.configure(log=True, log_kinds=("vector_db",))
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass
    helicone.configure()
    with session("Trip Planning", id="trip-42"), vector_query("guides", system="faiss", query="x"):
        pass

    assert helicone.rows() == []


def test_an_app_that_logs_by_itself_logs_to_the_fixtures_helicone(helicone: Helicone) -> None:
    configure(log=True)
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass

    assert [row.model for row in helicone.rows()] == ["tool:get_weather"]


@pytest.mark.failures  # of the log
def test_logging_to_the_fake_can_be_made_to_fail(helicone: Helicone) -> None:
    helicone.configure(log=True)
    helicone.fake.troubles.next(Trouble(error="queue down"))
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass

    assert (helicone.rows(), len(helicone.fake.requests("log"))) == ([], 1)


def test_the_server_alone_installs_nothing(fake_helicone: FakeHelicone) -> None:
    with session("Trip Planning", id="trip-42"), tool("get_weather"):
        pass

    assert INSTALLATION.exporter is None
    assert (fake_helicone.rows, fake_helicone.url[:17]) == ([], "http://127.0.0.1:")


def test_a_wrong_or_unknown_setting_fails_at_once(helicone: Helicone) -> None:
    with pytest.raises(SettingsError, match="session_path"):
        helicone.configure(session_path="no slash")
    with pytest.raises(TypeError, match="session_nmae"):
        helicone.configure(session_nmae="Support")


# --- providers, and the state after a test --------------------------------------------------------


@pytest.mark.parametrize("turn", [1, 2])
def test_tracers_that_modules_got_at_import_work_in_every_test(helicone: Helicone, turn: int) -> None:
    with session("Trip Planning", id=f"trip-{turn}"), TRACER.start_as_current_span("plan"):
        pass
    with session("Trip Planning", id=f"trip-{turn}"), helicone.tracer.start_as_current_span("write"):
        pass

    assert helicone.tree() == {"/plan": ["task"], "/write": ["task"]}
    assert helicone.sessions == {f"trip-{turn}": "Trip Planning"}
    assert trace.get_tracer_provider() is helicone.provider


def test_spans_of_a_provider_that_the_app_makes_are_recorded_too(helicone: Helicone) -> None:
    with session("Trip Planning", id="trip-42"), TracerProvider().get_tracer("app").start_as_current_span("plan"):
        pass

    assert helicone.tree() == {"/plan": ["task"]}


def _state() -> tuple[object, ...]:
    functions = [
        httpcore2.ConnectionPool.handle_request,
        TracerProvider.__init__,
        propagate.set_global_textmap,
        propagate.get_global_textmap(),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return (*functions, INSTALLATION.installed, REGISTRY.settings, current_session(), get_current(), environment)


@pytest.fixture
def before() -> tuple[object, ...]:
    return _state()


def test_after_a_test_everything_is_as_it_was_before(before: tuple[object, ...]) -> None:
    monkeypatch = pytest.MonkeyPatch()
    fixture = inspect.unwrap(testing.helicone)(monkeypatch)
    helicone = next(fixture)
    opened = session("Left open", id="1")
    opened.__enter__()
    span = TRACER.start_span("never ended")
    during = _state()
    assert next(fixture, None) is None
    monkeypatch.undo()

    assert _state() == before
    assert all(now != then for now, then in zip(during, before, strict=True))
    with session("Later", id="2"), TRACER.start_as_current_span("later"):
        span.end()
    assert helicone.spans == []
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", int(helicone.gateway_url.rpartition(":")[2])), timeout=5)


def test_a_library_that_was_installed_before_keeps_its_settings() -> None:
    mine = Settings(session_name="Mine")
    handle = configure(mine, provider=TracerProvider(sampler=ALWAYS_ON))
    monkeypatch = pytest.MonkeyPatch()
    fixture = inspect.unwrap(testing.helicone)(monkeypatch)
    next(fixture)
    during = REGISTRY.settings
    next(fixture, None)
    monkeypatch.undo()

    assert (INSTALLATION.installed, REGISTRY.settings, during == mine) == (True, mine, False)
    handle.uninstall()


def test_a_span_is_recorded_once_however_often_the_fixture_was_used() -> None:
    for _ in range(3):
        monkeypatch = pytest.MonkeyPatch()
        fixture = inspect.unwrap(testing.helicone)(monkeypatch)
        helicone = next(fixture)
        with session("Trip Planning", id="trip-42"), TRACER.start_as_current_span("plan"):
            pass
        assert [span.name for span in helicone.spans] == ["plan"]
        next(fixture, None)
        monkeypatch.undo()


# --- other projects -------------------------------------------------------------------------------

PROJECT_APP = """
from openai import OpenAI
from opentelemetry import trace

from helicone_otel import session, step

tracer = trace.get_tracer("trips")


def plan_trip(city, trip):
    with session("Trip Planning", id=trip), tracer.start_as_current_span("plan"):
        client = OpenAI()
        client.embeddings.create(model="text-embedding-3-small", input=city)
        with step("write"):
            question = {"role": "user", "content": city}
            return client.chat.completions.create(model="gpt-5.4-mini", messages=[question]).choices[0].message.content
"""

PROJECT_TESTS = """
import pytest
from trips import plan_trip


@pytest.mark.parametrize("city", ["Porto", "Lisbon"])
def test_a_trip_is_planned_in_two_steps(helicone, city):
    helicone.answer_with("unused", f"Off to {city}!")

    assert plan_trip(city, trip=f"trip-{city}") == f"Off to {city}!"
    assert helicone.sessions == {f"trip-{city}": "Trip Planning"}
    assert helicone.tree() == {"/plan": ["task", "embedding"], "/plan/write": ["llm"]}


def test_without_the_fixture_nothing_is_installed():
    from helicone_otel.install.configure import INSTALLATION

    assert not INSTALLATION.installed


def test_a_failure_reads_well(helicone):
    with pytest.raises(AssertionError) as raised:
        helicone.tree("Trip Planning")
    assert str(raised.value) == "tree('Trip Planning') fits 0 sessions; the sessions, by id: {}"
"""

# A global provider of the app's own, with an exporter of its own, set before any test.
PROJECT_CONFTEST = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)


def pytest_sessionfinish():
    paths = [span.attributes.get("helicone.session.path") for span in exporter.get_finished_spans()]
    print(f"exported {paths}")
"""

PROJECT_OPTIONS = [
    "-q",
    "-s",
    "-W",
    "error",
    "-p",
    "no:asyncio",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
]


def _example() -> str:
    """Return the example in the docstring of `helicone_otel.testing`."""
    lines = (testing.__doc__ or "").splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("    "))
    last = next(index for index, line in enumerate(lines) if line.startswith("The fixture installs"))
    return textwrap.dedent("\n".join(lines[first:last]))


def test_the_example_takes_ten_lines_at_most() -> None:
    _, _, test = _example().partition("\n\n")

    assert test.startswith("def test_")
    assert len(test.strip().splitlines()) <= 10


@pytest.mark.slow
def test_another_project_runs_the_example_and_tests_an_app(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(trips=PROJECT_APP, test_example=_example(), test_trips=PROJECT_TESTS)

    run = pytester.runpytest_subprocess(*PROJECT_OPTIONS)

    run.assert_outcomes(passed=5)
    assert run.errlines == []


@pytest.mark.slow
def test_a_project_with_a_provider_of_its_own_keeps_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PROJECT_CONFTEST)
    pytester.makepyfile(trips=PROJECT_APP, test_trips=PROJECT_TESTS)

    run = pytester.runpytest_subprocess(*PROJECT_OPTIONS)

    run.assert_outcomes(passed=4)
    run.stdout.fnmatch_lines(["*exported ?'/plan', '/plan'?*"])


def _imported(code: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_pytest_without_the_fixture_imports_nothing_more() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import helicone_otel.testing\n"
        "print(*sorted(sys.modules.keys() - before))"
    )

    assert _imported(code) == ["helicone_otel", "helicone_otel.testing"]


def test_pytest_lists_the_fixture_with_its_description(pytester: pytest.Pytester) -> None:
    listed = pytester.runpytest_inprocess("--fixtures", *PROJECT_OPTIONS)

    listed.stdout.fnmatch_lines(["helicone -- *", "*Install helicone-otel for one test*"])


def test_the_module_offers_the_fixture_and_its_type() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)
    assert [name for name in dir(Helicone) if not name.startswith("_")] == [
        "answer_with",
        "configure",
        "requests",
        "rows",
        "sessions",
        "spans",
        "tree",
    ]
    assert helicone_otel.__all__ == sorted(helicone_otel.__all__)
