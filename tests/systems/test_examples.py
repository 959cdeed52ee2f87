"""Each example runs as its page says, and makes the sessions that the page promises."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import yaml

from helicone_otel.__main__ import parsed
from helicone_otel.collector.config import VARIABLES
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.provider import ModelAnswer, ScriptedProvider, chat
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.documents import PAGES
from tests.support.environments import Environments
from tests.support.launching import instrumented_only, needs_a_configurator
from tests.support.otelcol import free_ports, running
from tests.support.paths import REPOSITORY
from tests.support.programs import environment, launched, output_of
from tests.support.sink import http_sink

EXAMPLES = REPOSITORY / "examples"
COMPOSE = yaml.safe_load((EXAMPLES / "collector" / "compose.yaml").read_text())
needs_qdrant = pytest.mark.skipif(find_spec("qdrant_client") is None, reason="qdrant-client is not installed")
_TIMEOUT = 60.0


class Seen(NamedTuple):
    """What arrived at Helicone: session id and name, path, and model."""

    session: str
    name: str
    path: str
    model: str


def seen(helicone: FakeHelicone, door: str) -> list[Seen]:
    parts = ("Id", "Name", "Path")
    rows = [row for row in helicone.rows if row.door == door]
    return [Seen(*(row.properties[f"Helicone-Session-{part}"] for part in parts), row.model) for row in rows]


def placed(rows: list[Seen]) -> list[tuple[str, str, str]]:
    return [(row.name, row.path, row.model) for row in rows]


def copied(name: str, folder: Path) -> Path:
    """Return a copy of an example, beside which it may write files."""
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("queue", "__pycache__")))


@contextmanager
def stand_in(*answers: str | Mapping[str, object]) -> Iterator[FakeHelicone]:
    """Serve a fake Helicone whose model gives these answers."""
    provider = ScriptedProvider()
    provider.script.extend(answers)
    with serving(FakeHelicone(provider)) as helicone:
        yield helicone
    requests = helicone.requests("gateway")
    assert {request.header("Helicone-Auth") for request in requests} <= {f"Bearer {KEY}"}


def wait_for(helicone: FakeHelicone, count: int) -> None:
    """Wait until this many requests have arrived at the gateway. The assertion that follows has the message."""
    deadline = time.monotonic() + _TIMEOUT
    while len(helicone.requests("gateway")) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def environment_of(name: str, environments: Environments) -> Path:
    requirements = (EXAMPLES / name / "requirements.txt").read_text().split()
    return environments.python(f"example-{name}", [*requirements, "opentelemetry-distro>=0.65b0"])


@contextmanager
def started(command: list[str], environ: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server or worker while the block runs, and check that it failed in nothing."""
    log = folder / "output.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_TIMEOUT)
        finally:
            process.kill()
    assert [word for word in ("Traceback", "helicone-otel failed") if word in log.read_text()] == []


@needs_a_configurator
def test_the_script_is_one_session_with_two_steps(tmp_path: Path) -> None:
    folder = copied("script", tmp_path)
    with stand_in("The tower.", "Climb the tower.") as helicone:
        used = instrumented_only("helicone", "openai", "httpx", "httpx2")
        environ = environment(helicone.url, HELICONE_LOG="true", **used)
        printed = output_of(launched(["python", "app.py"]), environ, folder).splitlines()

    calls, logged = seen(helicone, "gateway"), seen(helicone, "log")
    assert placed(calls) == [
        ("Trip Planning", "/research", "gpt-5.4-mini"),
        ("Trip Planning", "/plan", "gpt-5.4-mini"),
    ]
    assert placed(logged) == [("Trip Planning", "/research/get_weather", "tool:get_weather")]
    assert printed == ["Climb the tower.", f"session: {calls[0].session}"]
    assert {call.session for call in (*calls, *logged)} == {calls[0].session}


def test_the_script_needs_no_launcher_for_its_headers(tmp_path: Path) -> None:
    folder = copied("script", tmp_path)
    with stand_in() as helicone:
        output_of([sys.executable, "app.py"], environment(helicone.url), folder)

    assert [call.path for call in seen(helicone, "gateway")] == ["/research", "/plan"]


@needs_a_configurator
@needs_qdrant
def test_retrieval_is_one_session_of_gateway_calls_and_logged_queries(tmp_path: Path) -> None:
    folder = copied("rag", tmp_path)
    with stand_in() as helicone:
        printed = output_of(launched(["python", "app.py"]), environment(helicone.url, HELICONE_LOG="true"), folder)

    calls, logged = seen(helicone, "gateway"), seen(helicone, "log")
    embedding = "text-embedding-3-small"
    assert printed == "OK\n"
    assert placed(calls) == [
        ("City Guide", "/index", embedding),
        ("City Guide", "/answer/retrieve", embedding),
        ("City Guide", "/answer", "gpt-5.4-mini"),
    ]
    assert {row.path for row in logged if row.model == "vector_db"} == {
        "/index/upsert",
        "/answer/retrieve/query_points",
    }
    assert len({call.session for call in (*calls, *logged)}) == 1


@pytest.mark.slow
def test_each_conversation_with_the_chat_is_a_session(environments: Environments, tmp_path: Path) -> None:
    python = environment_of("fastapi_chat", environments)
    folder = copied("fastapi_chat", tmp_path)
    (port,) = free_ports(1)
    with stand_in("Hello.", "Hi.", "Today.") as helicone:
        command = launched(["uvicorn", "app:app", "--port", str(port)], python)
        with started(command, environment(helicone.url), folder):
            answers = [_say(port, *turn) for turn in (("c-1", "Hello"), ("c-2", "Hello"), ("c-1", "When?"))]

    assert answers == ["Hello.", "Hi.", "Today."]
    assert [(call.session, call.name, call.path) for call in seen(helicone, "gateway")] == [
        ("c-1", "Support Chat", "/chat"),
        ("c-2", "Support Chat", "/chat"),
        ("c-1", "Support Chat", "/chat"),
    ]


def _say(port: int, conversation: str, message: str) -> str:
    transport = httpx.HTTPTransport(retries=10)
    deadline = time.monotonic() + _TIMEOUT
    with httpx.Client(transport=transport, timeout=_TIMEOUT) as client:
        while True:
            try:
                answer = client.post(f"http://127.0.0.1:{port}/chat/{conversation}", json={"message": message})
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return str(answer.raise_for_status().json()["answer"])


@pytest.mark.slow
def test_the_thread_of_an_agent_is_its_session(environments: Environments, tmp_path: Path) -> None:
    python = environment_of("langgraph_agent", environments)
    folder = copied("langgraph_agent", tmp_path)
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Porto"}'}}
    asks = chat({"model": "gpt-5.4-mini"}, ModelAnswer(tool_calls=(call,)))
    with stand_in(asks, "It is sunny.", "A hat.") as helicone:
        environ = environment(helicone.url, HELICONE_SESSION_NAME="Trip Planning", HELICONE_LOG="true")
        printed = output_of(launched(["python", "app.py"], python), environ, folder)

    assert printed.splitlines() == ["It is sunny.", "A hat."]
    assert seen(helicone, "gateway") == [Seen("trip-42", "Trip Planning", "/weather_agent", "gpt-5.4-mini")] * 3
    assert seen(helicone, "log") == [Seen("trip-42", "Trip Planning", "/weather_agent/get_weather", "tool:get_weather")]


@pytest.mark.slow
def test_a_task_continues_the_session_of_its_sender(environments: Environments, tmp_path: Path) -> None:
    python = environment_of("celery_worker", environments)
    folder = copied("celery_worker", tmp_path)
    with stand_in() as helicone:
        sending = environment(helicone.url, HELICONE_PROPAGATE_MESSAGING="true")
        printed = output_of(launched(["python", "send.py"], python), sending, folder)
        accepting = environment(helicone.url, HELICONE_ACCEPT_INBOUND="true")
        worker = launched(["celery", "-A", "tasks", "worker", "--pool", "solo"], python)
        with started(worker, accepting, folder):
            wait_for(helicone, 1)

    session = printed.removeprefix("session: ").strip()
    assert seen(helicone, "gateway") == [Seen(session, "Trip Planning", "/book", "gpt-5.4-mini")]


def test_a_collector_with_the_variables_of_the_compose_file_finds_the_session(otelcol: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    service = COMPOSE["services"]["collector"]
    with http_sink() as sink:
        environ = {**service["environment"], "OTEL_COLLECTOR_HOST": "127.0.0.1"}
        environ |= {"OTEL_COLLECTOR_STORAGE": str(tmp_path / "storage"), "OTEL_BACKEND_ENDPOINT": sink.url}
        with running(otelcol, tmp_path, environ) as collector:
            app = environment(
                "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.grpc_port}"
            )
            printed = output_of([sys.executable, str(EXAMPLES / "collector" / "app.py")], app, tmp_path)
            sink.received.wait_for(2)

    assert printed == "sent two traces of conversation c-1\n"
    for name, value in sink.received.attributes().items():
        assert (name, value["helicone.session.id"], value["helicone.span.kind"]) == ("chat gpt-5.4-mini", "c-1", "llm")


def test_the_compose_file_names_what_exists() -> None:
    collector, view = COMPOSE["services"]["collector"], COMPOSE["services"]["view"]
    (version,) = {
        line.rpartition(":")[2] for line in PAGES["docs/collector.md"].split() if "collector-contrib:" in line
    }
    arguments = ["view", *entrypoint()[2:], *view["command"]]

    assert set(collector["environment"]) <= {variable.name for variable in VARIABLES}
    assert collector["image"].rpartition(":")[2] == version
    assert (EXAMPLES / "collector" / collector["volumes"][0].partition(":")[0]).resolve().is_file()
    assert (EXAMPLES / "collector" / view["build"]["context"] / view["build"]["dockerfile"]).is_file()
    assert parsed(arguments).allow_host == ["view"]


def entrypoint() -> list[str]:
    """Return the command of the image for the view."""
    (line,) = [
        line for line in (EXAMPLES / "view" / "Dockerfile").read_text().splitlines() if line.startswith("ENTRYPOINT ")
    ]
    command: list[str] = yaml.safe_load(line.removeprefix("ENTRYPOINT "))
    return command


def test_every_example_is_shown_by_a_page() -> None:
    shown = {name for text in PAGES.values() for name in [*_shown(text)]}

    assert {path.parent.name for path in EXAMPLES.glob("*/*.py")} == {name.partition("/")[0] for name in shown}


def _shown(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("<!-- example: "):
            yield line.removeprefix("<!-- example: ").removesuffix(" -->")
