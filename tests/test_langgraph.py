"""A LangGraph agent is one session at a gateway, whoever instruments it; with the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# Instrumentations pin releases of OpenTelemetry that contradict each other, so they come without what they ask for.
PACKAGES = ("langchain", "langchain-openai", "opentelemetry-instrumentation-httpx", "wrapt")
ALONE = (
    "openinference-instrumentation",
    "openinference-instrumentation-langchain",
    "openinference-semantic-conventions",
    "opentelemetry-instrumentation-genai-langchain",
    "opentelemetry-instrumentation-genai-openai",
    "opentelemetry-instrumentation-langchain",
    "opentelemetry-semantic-conventions-ai",
    "opentelemetry-util-genai",
)
# Where the model is called and where the tool runs. Under OpenTelemetry's own the graph's nodes make no spans.
PATHS = {
    "openinference": ("/weather_agent/model", "/weather_agent/tools/get_weather"),
    "traceloop": ("/weather_agent/model", "/weather_agent/tools/get_weather"),
    "otel": ("/weather_agent", "/weather_agent/get_weather"),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("langgraph")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-e", str(HERE.parent), *PACKAGES], check=True, timeout=400)
    subprocess.run([*install, "--no-deps", *ALONE], check=True, timeout=200)
    return python


def _run(python: Path, names: str, how: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-W", "ignore", HERE / "langgraph_app.py", names, how],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": str(Path(sys.executable).parent)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", ["sync", "async", "stream"])
@pytest.mark.parametrize("client", ["", "+genai"])
@pytest.mark.parametrize("framework", PATHS)
def test_an_agent_is_one_session_with_one_row_for_each_call(
    python: Path, framework: str, client: str, how: str
) -> None:
    left = _run(python, framework + client, how)
    step, tool = PATHS[framework]

    # Only OpenLLMetry tells the thread's id before the trace's own has left.
    (session_id,) = {headers["Helicone-Session-Id"] for headers in left["headers"]}
    assert (session_id == "thread-7") == (framework == "traceloop")
    header = {"Helicone-Session-Id": session_id, "Helicone-Session-Name": "Trips", "Helicone-Session-Path": step}
    assert left["headers"] == [header, header]
    labels = [span for span in left["spans"] if "helicone.span.kind" in span and not span["name"].startswith("create_")]
    assert {label["helicone.session.id"] for label in labels} == {session_id}
    # The gateway made the rows of the LLM calls; what nobody saw is the tool's run.
    rows = [span for span in left["spans"] if "helicone.request.id" in span]
    assert [(row["helicone.span.kind"], row["helicone.session.path"]) for row in rows] == [("tool", tool)]
    calls = [label for label in labels if label["helicone.span.kind"] == "llm"]
    assert {call["helicone.session.path"] for call in calls} == {step}
