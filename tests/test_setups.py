"""Whatever created the provider, and whenever: the same labels and headers, and nothing else changes.

Every case runs in a fresh interpreter, with a real exporter to a backend and a real request to a
gateway. What the same app does without us stands beside it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backend import Span, receiving
from spans import ours
from wire import expected, listening

SETUPS = Path(__file__).parent / "setups"
PROPAGATORS = "tracecontext,baggage,helicone"
LAUNCHER = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
# As `opentelemetry-configuration` reads it.
CONFIGURATION = """
file_format: "1.0"
resource:
  attributes: [{{name: service.name, value: shop}}]
propagator:
  composite: [{propagators}]
tracer_provider:
  processors: [{{simple: {{exporter: {{otlp_http: {{endpoint: "{endpoint}"}}}}}}}}]
"""
NAMED = """
instrumentation/development: {python: {helicone: {}}}
"""


class Case(NamedTuple):
    """How an app comes by its provider, and under which launcher's environment.

    Attributes:
        setup: One of `setups/app.py`.
        launched: The app is always started by `opentelemetry-instrument`: its configurator makes the provider.
        environ: For the launcher.
        file: What stands in the configuration file beside what all such files have.
    """

    setup: str
    launched: bool = False
    environ: tuple[tuple[str, str], ...] = ()
    file: str = ""


_NO_CONFIGURATOR = (("OTEL_PYTHON_CONFIGURATOR", "off"), ("OTEL_PYTHON_DISTRO", "off"))
CASES = {
    "configurator": Case("made_by_configurator", launched=True),
    "configuration file": Case("made_by_configurator", launched=True, file="\n"),
    "configuration file that names us": Case("made_by_configurator", launched=True, file=NAMED),
    "own provider": Case("own_provider", environ=_NO_CONFIGURATOR),
    "own provider beside the configurator's": Case("provider_kept_to_itself"),
    "tracers before the provider": Case("tracers_before_provider", environ=_NO_CONFIGURATOR),
    "several providers": Case("several_providers", environ=_NO_CONFIGURATOR),
    "processors in a pool": Case("processors_in_a_pool", environ=_NO_CONFIGURATOR),
}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
DOORS = ("configure first", "configure last", "instrument")


class Outcome(NamedTuple):
    """What an app did: its spans as a backend has them, the headers at the gateway, what it wrote to the terminal."""

    spans: list[Span]
    headers: list[list[tuple[bytes, bytes]]]
    output: str


def run(case: Case, door: str, **environ: str) -> Outcome:
    """Run an app and return what it did."""
    with receiving() as backend, listening() as gateway, tempfile.TemporaryDirectory() as folder:
        if case.file:
            propagators = [f"{{{name}: null}}" for name in environ.pop("OTEL_PROPAGATORS", "tracecontext").split(",")]
            text = CONFIGURATION.format(propagators=", ".join(propagators), endpoint=f"{backend.url}/v1/traces")
            Path(folder, "otel.yaml").write_text(text + case.file)
            environ["OTEL_CONFIG_FILE"] = str(Path(folder, "otel.yaml"))
        launched = case.launched or door in {"instrument", "launched without"}
        configured = {"BACKEND": f"{backend.url}/v1/traces", "GATEWAY": gateway.url, **environ}
        output = run_app(
            [str(SETUPS / "app.py"), case.setup],
            {
                **base_environ(door),
                **(launcher_environ(dict(case.environ), configured, door) if launched else {}),
                **configured,
                "HELICONE_GATEWAY_HOSTS": gateway.netloc,
            },
            launched,
        )
        assert backend.refused == []
        spans = [replaced(span, gateway.netloc, "gateway") for span in backend.spans]
        return Outcome(spans, [gateway.helicone(n) for n in range(len(gateway.heads))], _ADDRESS.sub("", output))


def base_environ(door: str) -> dict[str, str]:
    """Return the environment of every app: what pytest runs in, but for what would configure anything."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    return {**kept, "OTEL_SERVICE_NAME": "shop", "DOOR": "none" if door == "launched without" else door}


def launcher_environ(environ: dict[str, str], configured: Mapping[str, str], door: str) -> dict[str, str]:
    """Return what the launcher is told: to export to the backend, and which instrumentations to load."""
    used = {"httpx"} | ({"helicone"} if door == "instrument" else set())
    unused = sorted({point.name for point in entry_points(group="opentelemetry_instrumentor")} - used)
    told = {
        "LAUNCHED": "1",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(unused),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": configured["BACKEND"],
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    return {**told, **environ}


def run_app(script: Sequence[str], environ: Mapping[str, str], launched: bool) -> str:
    """Run a script to its end, by itself or under the launcher, and return what it wrote."""
    command = [sys.executable, "-P", "-c", LAUNCHER, sys.executable] if launched else [sys.executable, "-W", "error"]
    done = subprocess.run([*command, *script], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def replaced(span: Span, word: str, by: str) -> Span:
    """Return a span with another word in its attributes: two runs have two gateways."""
    swapped = {
        key: value.replace(word, by) if isinstance(value, str) else value for key, value in span.attributes.items()
    }
    return dataclasses.replace(span, attributes={**span.attributes, **texts})


def without_ours(spans: Sequence[Span]) -> list[Span]:
    """Return spans without what the library writes on them."""
    written = [{*ours(span.attributes), "helicone.request.id"} for span in spans]
    return [
        dataclasses.replace(span, attributes={key: span.attributes[key] for key in span.attributes if key not in label})
        for span, label in zip(spans, written, strict=True)
    ]


@functools.cache
def bare(case: Case, launched: bool) -> Outcome:
    """Return what an app does without us."""
    return run(case, "launched without" if launched else "none")


def labels(spans: Sequence[Span]) -> list[tuple[str, dict[str, Any]]]:
    """Return what the spans bear of ours, the trace's id by the word for it."""
    return [
        (span.name, {key: "<trace>" if value == span.trace else value for key, value in ours(span.attributes).items()})
        for span in spans
    ]


def label(kind: str | None, path: str, **session: str) -> dict[str, str]:
    said = {"helicone.session.path": path} | ({"helicone.span.kind": kind} if kind else {})
    return {**said, **{f"helicone.session.{part}": value for part, value in session.items()}}


def planned(name: str, session_id: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the labels of one trip, all of which stand in one session."""
    session = {"id": session_id or "<trace>", "name": name}
    shared = {"session.id": session_id} if session_id else {}
    gen_ai = {"gen_ai.conversation.id": session_id} if session_id else {}
    return [
        ("plan trip", {**label("task", "/plan_trip", **session), **shared}),
        ("chat gpt-5.4-mini", {**label("llm", "/plan_trip", **session), **shared, **gen_ai}),
        ("POST", {**label(None, "/plan_trip", **session), **shared}),
        ("look up", {**label("tool", "/plan_trip/web_search", **session), **shared, **gen_ai}),
    ]


LABELS = [*planned("shop", None), *planned("Trip Planning", "trip-42")]


# The others take as long again, and run with the slow tests.
FAST = {
    ("configurator", "instrument", ""),
    ("configuration file", "instrument", ""),
    ("own provider", "configure first", ""),
    ("own provider", "configure last", PROPAGATORS),
    ("own provider", "instrument", PROPAGATORS),
    ("own provider beside the configurator's", "configure last", ""),
    ("tracers before the provider", "configure first", PROPAGATORS),
    ("several providers", "configure last", ""),
    ("processors in a pool", "configure first", ""),
}
EVERY = [
    pytest.param(*one, marks=[] if one in FAST else pytest.mark.slow)
    for one in itertools.product(CASES, DOORS, ("", PROPAGATORS))
]


@pytest.mark.parametrize(("name", "door", "propagators"), EVERY)
def test_spans_are_labelled_and_headers_leave_whatever_made_the_provider(
    name: str, door: str, propagators: str
) -> None:
    case = CASES[name]
    if case.file and find_spec("opentelemetry.configuration") is None:
        pytest.skip("configuration files need opentelemetry-configuration")
    before = bare(case, launched=case.launched or door == "instrument")

    after = run(case, door, **({"OTEL_PROPAGATORS": propagators} if propagators else {}))

    assert without_ours(after.spans) == before.spans
    exported = {span.name for span in before.spans}
    assert labels(after.spans) == [(name, label) for name, label in LABELS if name in exported]
    assert after.headers == [
        expected(id=after.spans[0].trace, path="/plan_trip", name="shop"),
        expected(id="trip-42", path="/plan_trip", name="Trip Planning"),
    ]
    # Said of every instrumentation that the file names and the launcher finds as well.
    twice = "Attempting to instrument while already instrumented\n"
    said = after.output.removesuffix(twice) if case.file == NAMED else after.output
    assert (before.headers, said) == ([[], []], before.output)
