"""Run the apps of `apps/setups` in new interpreters, alone or under the launcher, and return what they did."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.ahead import inherited
from tests.support.backend import Backend, Span, receiving
from tests.support.paths import TESTS
from tests.support.raw_http import Wire, listening
from tests.support.spans import ours

needs_a_configurator = pytest.mark.skipif(
    find_spec("opentelemetry.distro") is None, reason="the launcher's configurator is not installed"
)

SETUPS = TESTS / "apps" / "setups"
LLM_SCOPE = "opentelemetry.instrumentation.genai.openai"
LAUNCHER = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
# In the format of `opentelemetry-configuration`.
CONFIGURATION = """
file_format: "1.0"
resource:
  attributes: [{{name: service.name, value: shop}}]
propagator:
  composite: [{propagators}]
tracer_provider:
  processors: [{{simple: {{exporter: {{otlp_http: {{endpoint: "{endpoint}"}}}}}}}}]
"""


class Case(NamedTuple):
    """How an app gets its provider, and the environment of the launcher.

    Attributes:
        setup: The name of a set-up in `apps/setups/app.py`.
        launched: The app always runs under `opentelemetry-instrument`, whose configurator makes the provider.
        environ: Variables for the launcher.
        file: The text that is added to the configuration file; without it there is no file.
    """

    setup: str
    launched: bool = False
    environ: tuple[tuple[str, str], ...] = ()
    file: str = ""


_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class AppRun(NamedTuple):
    """What an app did: the spans at a backend, the headers at the gateway, and the output."""

    spans: list[Span]
    headers: list[list[tuple[bytes, bytes]]]
    output: str


def run(case: Case, method: str, script: str = "app.py", **environ: str) -> AppRun:
    """Run an app and return what it did."""
    with receiving() as backend, listening() as gateway, tempfile.TemporaryDirectory() as folder:
        if case.file:
            propagators = [f"{{{name}: null}}" for name in environ.pop("OTEL_PROPAGATORS", "tracecontext").split(",")]
            text = CONFIGURATION.format(propagators=", ".join(propagators), endpoint=f"{backend.url}/v1/traces")
            Path(folder, "otel.yaml").write_text(text + case.file)
            environ["OTEL_CONFIG_FILE"] = str(Path(folder, "otel.yaml"))
        launched = case.launched or method in {"instrument", "launched without"}
        configured = {"BACKEND": f"{backend.url}/v1/traces", "GATEWAY": gateway.url, "SETUP": case.setup, **environ}
        output = run_app(
            [str(SETUPS / script), case.setup],
            {
                **base_environ(method),
                **(launcher_environ(dict(case.environ), configured, method) if launched else {}),
                **configured,
                "HELICONE_GATEWAY_HOSTS": gateway.netloc,
            },
            launched,
        )
        assert backend.refused == []
        return app_run(backend, gateway, output)


def side_by_side(first: Callable[[], AppRun], second: Callable[[], AppRun]) -> tuple[AppRun, AppRun]:
    """Run two apps at the same time, and return what they did."""
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.submit(first), threads.submit(second)
        return one.result(), other.result()


def app_run(backend: Backend, gateway: Wire, output: str) -> AppRun:
    """Return what an app did, without what differs between runs: ports, and addresses of objects."""
    ports = {gateway.url.rpartition(":")[2]: "GATEWAY", backend.url.rpartition(":")[2]: "BACKEND"}

    def without_ports(value: object) -> object:
        for port, word in ports.items():
            value = value.replace(f":{port}", f":{word}") if isinstance(value, str) else value
        return value

    spans = [
        dataclasses.replace(span, attributes={key: without_ports(value) for key, value in span.attributes.items()})
        for span in backend.spans
    ]
    headers = [gateway.helicone(number) for number in range(len(gateway.heads))]
    return AppRun(spans, headers, _ADDRESS.sub("", str(without_ports(output))))


def base_environ(method: str) -> dict[str, str]:
    """Return the environment of every app: that of pytest without variables that configure something."""
    # Some SDKs send nothing when they see that pytest runs them.
    return {
        **inherited("OTEL_", "HELICONE_"),
        "OTEL_SERVICE_NAME": "shop",
        "INSTALL": "none" if method == "launched without" else method,
    }


def instrumented_only(*names: str) -> dict[str, str]:
    """Return the variable that leaves only these instrumentations on. The launcher takes seconds to load all."""
    unused = sorted({point.name for point in entry_points(group="opentelemetry_instrumentor")} - {*names})
    return {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(unused)}


def launcher_environ(environ: dict[str, str], configured: Mapping[str, str], method: str) -> dict[str, str]:
    """Return the variables of the launcher: where to export, and which instrumentations to load."""
    used = ("httpx", "helicone") if method == "instrument" else ("httpx",)
    variables = {
        **instrumented_only(*used),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": configured["BACKEND"],
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    return {**variables, **environ}


def run_app(
    script: Sequence[str], environ: Mapping[str, str], launched: bool, python: str | Path = sys.executable
) -> str:
    """Run a script to its end, alone or under the launcher, and return its output."""
    command = [python, "-P", "-c", LAUNCHER, python] if launched else [python]
    done = subprocess.run([*command, *script], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def without_ours(spans: Sequence[Span]) -> list[Span]:
    """Return spans without what the library writes on them."""
    written = [{*ours(span.attributes), "helicone.request.id"} for span in spans]
    return [
        dataclasses.replace(span, attributes={key: span.attributes[key] for key in span.attributes if key not in label})
        for span, label in zip(spans, written, strict=True)
    ]


def labels(spans: Sequence[Span]) -> list[tuple[str, dict[str, Any]]]:
    """Return our attributes of the spans by their names; `<trace>` replaces the id of the trace."""
    return [
        (span.name, {key: "<trace>" if value == span.trace else value for key, value in ours(span.attributes).items()})
        for span in spans
    ]
