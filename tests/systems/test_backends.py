"""Real backends show the session of the demo's agent, sent with zero code through a real collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import helicone_otel.tools.cli.demo
from helicone_otel.tools.cli.demo import _environment
from helicone_otel.tools.cli.demo.world import Town, demo_helicone
from helicone_otel.tools.fakes.loopback import serving
from tests.support.backends import ask, mlflow, phoenix
from tests.support.environments import Environments
from tests.support.otelcol import Collector, running

DEMO = Path(helicone_otel.tools.cli.demo.__file__).parent
PATH, KIND, SESSION_ID = "helicone.session.path", "helicone.span.kind", "helicone.session.id"


class Transport(NamedTuple):
    """How the agent sends to the collector, and the session in which it does so."""

    session_id: str
    protocol: str
    # Empty without compression, because OpenTelemetry's gRPC exporter refuses "none".
    compression: tuple[tuple[str, str], ...] = ()


GZIP = (("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),)
TRANSPORTS = (Transport("trip-1", "grpc"), Transport("trip-2", "http/protobuf", GZIP))


def expected() -> set[tuple[str, str]]:
    """Return the paths and kinds of the agent's spans, from the demo's own expectation."""
    sessions = json.loads((DEMO / "expected.json").read_text())
    # Helicone has folders only where requests are, so a step without any is not in that file.
    return {("/plan_trip/research/weather", "task")} | {
        (path, kind)
        for session in sessions
        for path, step in session["steps"].items()
        for kind in (step["kind"], *step.get("requests", ()))
    }


def run_agent(transport: Transport, collector: Collector) -> None:
    """Run the demo's agent under the launcher in one session, with the fake services of the demo."""
    port = collector.grpc_port if transport.protocol == "grpc" else collector.http_port
    helicone, town = demo_helicone(), Town()
    with serving(helicone), serving(town):
        environ = {
            **_environment(os.environ, helicone, town),
            "HELICONE_SESSION_ID": transport.session_id,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": transport.protocol,
            **dict(transport.compression),
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        launcher = Path(sys.executable).with_name("opentelemetry-instrument")
        command = [launcher, sys.executable, DEMO / "agent.py"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def send_sessions(otelcol: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Run the agent once by each transport, through a collector with the configuration of the README."""
    with running(otelcol, folder, environ) as collector:
        for transport in TRANSPORTS:
            run_agent(transport, collector)


def poll(query: Callable[[], Any], is_complete: Callable[[Any], bool]) -> Any:
    """Repeat a query until its result is complete, because backends process spans after accepting them."""
    deadline = time.monotonic() + 30
    while not is_complete(result := query()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return result


@pytest.mark.phoenix
def test_phoenix_shows_each_session_with_all_its_traces(
    otelcol: str, environments: Environments, tmp_path: Path
) -> None:
    python = environments.python("the server of phoenix", ["arize-phoenix"])
    with phoenix(python, tmp_path) as url:
        send_sessions(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": url})
        project = f"{url}/v1/projects/default"
        found = poll(
            lambda: {one["session_id"]: one for one in ask(f"{project}/sessions")["data"]},
            lambda sessions: [len(session["traces"]) for session in sessions.values()] == [2, 2],
        )
        spans = {
            transport: ask(f"{project}/spans?limit=1000&attribute={SESSION_ID}:{transport.session_id}")["data"]
            for transport in TRANSPORTS
        }

    assert set(found) == {transport.session_id for transport in TRANSPORTS}
    for transport in TRANSPORTS:
        traces = {trace["trace_id"] for trace in found[transport.session_id]["traces"]}
        roots = {span["name"] for span in spans[transport] if span["parent_id"] is None}
        labels = {(span["attributes"].get(PATH), span["attributes"].get(KIND)) for span in spans[transport]}
        assert roots == {"plan_trip", "answer_question"}
        assert {span["context"]["trace_id"] for span in spans[transport]} == traces
        assert {(path, kind) for path, kind in labels if kind} == expected()
        assert all(path for path, _ in labels)
        assert found[transport.session_id]["token_count_total"] > 0


# Uses MLflow's client, because its HTTP API answers in its own encoding.
MLFLOW_QUERY = f"""
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
named = "metadata.`mlflow.trace.session` = '%s'"
print(json.dumps({{
    session: [
        [[span.name, span.parent_id is None, span.attributes.get("{PATH}"), span.attributes.get("{KIND}")]
         for span in trace.data.spans]
        for trace in mlflow.search_traces(locations=["0"], filter_string=named % session, return_type="list")
    ]
    for session in sys.argv[2:]
}}))
"""


@pytest.mark.mlflow
def test_mlflow_shows_each_session_with_all_its_traces(
    otelcol: str, environments: Environments, tmp_path: Path
) -> None:
    python = environments.python("mlflow", ["mlflow"])

    def query() -> Any:
        command = [python, "-c", MLFLOW_QUERY, url, *(transport.session_id for transport in TRANSPORTS)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    with mlflow(python, tmp_path) as url:
        headers = "{x-mlflow-experiment-id: '0'}"
        send_sessions(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": url, "OTEL_BACKEND_HEADERS": headers})
        found = poll(query, lambda sessions: [len(traces) for traces in sessions.values()] == [2, 2])

    for transport in TRANSPORTS:
        traces = found[transport.session_id]
        roots = {name for trace in traces for name, is_root, _, _ in trace if is_root}
        labels = {(path, kind) for trace in traces for _, _, path, kind in trace}
        assert roots == {"plan_trip", "answer_question"}
        assert {(path, kind) for path, kind in labels if kind} == expected()
        assert all(path for path, _ in labels)
