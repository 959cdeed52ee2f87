"""A LangGraph agent is one session at a gateway under every instrumentation; with the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.rows import Row
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.backend import receiving
from tests.support.environments import Environments
from tests.support.launching import LAUNCHER
from tests.support.paths import TESTS

HERE = TESTS / "apps"
PACKAGES = (
    "langchain",
    "langchain-openai",
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp",
    "opentelemetry-instrumentation-httpx",
    "wrapt",
)
# Instrumentations pin releases of OpenTelemetry that conflict, so they are installed without dependencies. Each is in
# its own folder, because the entry points of all three for LangChain have the same name.
INSTRUMENTATIONS = {
    "openinference": (
        "openinference-instrumentation",
        "openinference-instrumentation-langchain",
        "openinference-semantic-conventions",
    ),
    "traceloop": ("opentelemetry-instrumentation-langchain", "opentelemetry-semantic-conventions-ai"),
    "otel": ("opentelemetry-instrumentation-genai-langchain", "opentelemetry-util-genai"),
    "genai": ("opentelemetry-instrumentation-genai-openai", "opentelemetry-util-genai"),
}
# The paths of the model call and of the tool. OpenTelemetry's own instrumentation makes no spans for nodes.
PATHS = {
    "openinference": ("/weather_agent/model", "/weather_agent/tools/get_weather"),
    "traceloop": ("/weather_agent/model", "/weather_agent/tools/get_weather"),
    "otel": ("/weather_agent", "/weather_agent/get_weather"),
}

pytestmark = pytest.mark.slow


class Environment(NamedTuple):
    """An interpreter with LangGraph, and the folder of each instrumentation."""

    python: Path
    folders: Mapping[str, Path]


class AgentRun(NamedTuple):
    """What a run of the agent sent: to the gateway, to the user's own backend, and to Helicone's log.

    Attributes:
        ids: The ids of the gateway's rows.
    """

    headers: list[dict[str, str]]
    ids: list[str]
    spans: list[dict[str, Any]]
    rows: Sequence[Row] = ()

    @property
    def sessions(self) -> set[tuple[str | None, str | None]]:
        """The id and name of each session in headers, spans and rows."""
        headers = {(each.get("Helicone-Session-Id"), each.get("Helicone-Session-Name")) for each in self.headers}
        spans = {(span["helicone.session.id"], span["helicone.session.name"]) for span in self.labelled}
        return headers | spans | {(row.session_id, row.session_name) for row in self.rows}

    @property
    def labelled(self) -> list[dict[str, Any]]:
        # The agent is made in a trace of its own, before there is a conversation.
        return [one for one in self.spans if "helicone.session.id" in one and not one["name"].startswith("create_")]


@pytest.fixture(scope="module")
def environment(environments: Environments) -> Environment:
    python = environments.python("langgraph", PACKAGES)
    folders = {
        name: environments.copy(f"langgraph {name}", ["--no-deps", *alone]) for name, alone in INSTRUMENTATIONS.items()
    }
    return Environment(python, folders)


def agent_run(environment: Environment, framework: str, client: str, how: str, runner: Any) -> AgentRun:
    result: AgentRun = runner(environment, framework + client, how)
    return result


def _run(environment: Environment, names: str, how: str) -> AgentRun:
    command: list[str | Path] = [environment.python, "-W", "ignore", HERE / "langgraph_app.py", names, how]
    return AgentRun(**_printed(environment, command, names.split("+"), {}))


def _launch(environment: Environment, names: str, how: str) -> AgentRun:
    """Run the agent as an app without OpenTelemetry in its code."""
    command: list[str | Path] = [environment.python, "-W", "ignore", "-P", "-c", LAUNCHER, environment.python]
    with receiving() as backend, serving(FakeHelicone()) as helicone:
        settings = {
            "OTEL_SERVICE_NAME": "trips",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url,
            "HELICONE_GATEWAY_HOSTS": "localhost",
            "HELICONE_SESSION_NAME": "Trips",
            "HELICONE_LOG": "true",
            "HELICONE_LOG_ENDPOINT": helicone.url,
            "HELICONE_API_KEY": helicone.key,
        }
        app = [HERE / "langgraph_app.py", "launched", how]
        printed = _printed(environment, [*command, *app], names.split("+"), settings)
        spans = [{"name": span.name, **span.attributes} for span in backend.spans]
        return AgentRun(printed["headers"], printed["ids"], spans, helicone.rows)


def _printed(
    environment: Environment, command: list[str | Path], names: list[str], settings: Mapping[str, str]
) -> dict[str, Any]:
    path = ":".join(str(environment.folders[name]) for name in names if name)
    environ = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": path, **settings}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.mark.ahead(work=agent_run)
@pytest.mark.parametrize("runner", [_run, _launch], ids=["code", "zero code"])
@pytest.mark.parametrize("how", ["sync", "async", "stream"])
@pytest.mark.parametrize("client", ["", "+genai"])
@pytest.mark.parametrize("framework", PATHS)
def test_an_agent_is_one_session_with_one_row_for_each_call(
    framework: str, client: str, how: str, runner: Any, outcome: AgentRun
) -> None:
    run = outcome
    step, tool = PATHS[framework]

    # Two instrumentations write the conversation id only at the end; LangChain has it in its config before.
    assert run.sessions == {("thread-7", "Trips")}
    header = {"Helicone-Session-Id": "thread-7", "Helicone-Session-Name": "Trips", "Helicone-Session-Path": step}
    assert run.headers == [header, header]
    # The gateway makes the rows of the LLM calls, whose ids are on their spans. The tool bypasses it.
    rows = {span["helicone.request.id"]: span for span in run.spans if "helicone.request.id" in span}
    assert {row_id: rows.pop(row_id)["helicone.span.kind"] for row_id in run.ids} == dict.fromkeys(run.ids, "llm")
    assert [(row["helicone.span.kind"], row["helicone.session.path"]) for row in rows.values()] == [("tool", tool)]
    logged = [("tool:get_weather", tool, next(iter(rows)))] if runner is _launch else []
    assert [(row.model, row.session_path, row.id) for row in run.rows] == logged
    calls = [label for label in run.labelled if label.get("helicone.span.kind") == "llm"]
    assert {call["helicone.session.path"] for call in calls} == {step}
