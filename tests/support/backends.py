"""Real backends that show traces, Phoenix and MLflow, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.otelcol import free_ports

_START_SECONDS = 120.0


@contextmanager
def phoenix(python: Path, folder: Path) -> Iterator[str]:
    """Run Arize Phoenix, in memory, and yield its address."""
    port, grpc_port = free_ports(2)
    environ = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:",
    }
    with _serving([python.with_name("phoenix"), "serve"], environ, port, "/healthz", folder) as url:
        yield url


@contextmanager
def mlflow(python: Path, folder: Path) -> Iterator[str]:
    """Run MLflow's tracking server on a file, and yield its address."""
    (port,) = free_ports(1)
    store = f"sqlite:///{folder}/mlflow.db"
    command = [python.with_name("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # MLflow finds the command of its workers on the path.
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with _serving([*command, "--backend-store-uri", store], environ, port, "/health", folder) as url:
        yield url


@contextmanager
def _serving(
    command: Sequence[str | Path], environ: Mapping[str, str], port: int, ready: str, folder: Path
) -> Iterator[str]:
    url, log = f"http://127.0.0.1:{port}", folder / "backend.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url + ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(url: str) -> Any:
    """Return a backend's answer to a GET, decoded from JSON."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)
