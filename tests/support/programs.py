"""Starts a program that the documentation shows, as a user would: under `opentelemetry-instrument`, at a gateway.

The gateway is the fake. The program's own variables are those that the quickstart sets.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from helicone_otel.tools.fakes.headers import KEY
from tests.support.ahead import inherited
from tests.support.launching import LAUNCHER

_TIMEOUT = 120
_UNWANTED = ("OTEL_", "HELICONE_", "OPENAI_", "ANTHROPIC_", "PYTHONPATH")
# As Python prints them for an exception that nobody caught, and as the library and OpenTelemetry log a failure.
_FAILURES = ("Traceback", "helicone-otel failed", "helicone-otel is off", "Failed to")


def environment(gateway: str, **more: str) -> dict[str, str]:
    """Return the variables of a program that calls a gateway at this address."""
    return {
        **inherited(*_UNWANTED),
        "HELICONE_API_KEY": KEY,
        "HELICONE_GATEWAY_HOSTS": gateway.removeprefix("http://"),
        "HELICONE_LOG_ENDPOINT": gateway,
        "OPENAI_API_KEY": "sk-none",
        "OPENAI_BASE_URL": f"{gateway}/v1",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **more,
    }


def launched(command: Sequence[str], python: str | Path = sys.executable) -> list[str]:
    """Return a command under `opentelemetry-instrument`. The name `python` stands for the interpreter."""
    first, *rest = command
    program = str(python) if first == "python" else str(Path(python).with_name(first))
    return [str(python), "-c", LAUNCHER, program, *rest]


def output_of(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> str:
    """Run a program in a folder, check that it did not fail, and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    assert (done.returncode, [word for word in _FAILURES if word in done.stderr]) == (0, []), done.stderr
    return done.stdout
