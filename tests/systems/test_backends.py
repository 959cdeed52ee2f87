"""Real backends show the session: the demo's agent with zero code, a real collector, and what the backend then says."""

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


class Way(NamedTuple):
    """How the agent sends to the collector; both carry protobuf."""

    session_id: str
    protocol: str
    # OpenTelemetry's gRPC exporter for Python refuses the word "none".
    compression: tuple[tuple[str, str], ...] = ()


GZIP = (("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),)
WAYS = (Way("trip-1", "grpc"), Way("trip-2", "http/protobuf", GZIP))


def expected() -> set[tuple[str, str]]:
    """Return the paths at which the agent's spans stand, with their kinds, as the demo knows them."""
    sessions = json.loads((DEMO / "expected.json").read_text())
    return {
        (path, kind)
        for session in sessions
        for path, step in session["steps"].items()
        for kind in (step["kind"], *step.get("requests", ()))
    }


def run_agent(way: Way, collector: Collector) -> None:
    """Run the demo's agent under the launcher, all it does in one session, against stand-ins for its world."""
    port = collector.grpc_port if way.protocol == "grpc" else collector.http_port
    helicone, town = demo_helicone(), Town()
    with serving(helicone), serving(town):
        environ = {
            **_environment(os.environ, helicone, town),
            "HELICONE_SESSION_ID": way.session_id,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": way.protocol,
            **dict(way.compression),
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        launcher = Path(sys.executable).with_name("opentelemetry-instrument")
        command = [launcher, sys.executable, DEMO / "agent.py"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def send_sessions(otelcol: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Run the agent once in each way, through a collector that is configured as users configure it."""
    with running(otelcol, folder, environ) as collector:
        for way in WAYS:
            run_agent(way, collector)


def soon(look: Callable[[], Any], is_there: Callable[[Any], bool]) -> Any:
    """Return what is seen once it is there; backends take spans in first, and sort them in later."""
    deadline = time.monotonic() + 30
    while not is_there(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return seen


@pytest.mark.phoenix
def test_phoenix_shows_each_session_with_all_its_traces(
    otelcol: str, environments: Environments, tmp_path: Path
) -> None:
    python = environments.python("phoenix", ["arize-phoenix"])
    with phoenix(python, tmp_path) as url:
        send_sessions(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": url})
        project = f"{url}/v1/projects/default"
        found = soon(
            lambda: {one["session_id"]: one for one in ask(f"{project}/sessions")["data"]},
            lambda sessions: [len(session["traces"]) for session in sessions.values()] == [2, 2],
        )
        spans = {
            way: ask(f"{project}/spans?limit=1000&attribute={SESSION_ID}:{way.session_id}")["data"] for way in WAYS
        }

    assert set(found) == {way.session_id for way in WAYS}
    for way in WAYS:
        traces = {trace["trace_id"] for trace in found[way.session_id]["traces"]}
        roots = {span["name"] for span in spans[way] if span["parent_id"] is None}
        told = {(span["attributes"].get(PATH), span["attributes"].get(KIND)) for span in spans[way]}
        assert roots == {"plan_trip", "answer_question"}
        assert {span["context"]["trace_id"] for span in spans[way]} == traces
        assert {(path, kind) for path, kind in told if kind} == expected()
        assert all(path for path, _ in told)
        assert found[way.session_id]["token_count_total"] > 0


# MLflow's own client asks, because its answers over HTTP come in an encoding of their own.
LOOK = f"""
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

    def look() -> Any:
        command = [python, "-c", LOOK, url, *(way.session_id for way in WAYS)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    with mlflow(python, tmp_path) as url:
        headers = "{x-mlflow-experiment-id: '0'}"
        send_sessions(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": url, "OTEL_BACKEND_HEADERS": headers})
        found = soon(look, lambda sessions: [len(traces) for traces in sessions.values()] == [2, 2])

    for way in WAYS:
        traces = found[way.session_id]
        roots = {name for trace in traces for name, is_root, _, _ in trace if is_root}
        told = {(path, kind) for trace in traces for _, _, path, kind in trace}
        assert roots == {"plan_trip", "answer_question"}
        assert {(path, kind) for path, kind in told if kind} == expected()
        assert all(path for path, _ in told)
