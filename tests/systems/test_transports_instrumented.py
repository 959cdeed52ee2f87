"""Run `test_transports.py` and `test_names.py` again, with every published instrumentation of an HTTP client.

Not all of them are released at the same version, and each release pins all others at its own. pip finds no set of
versions for them, but they work together.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import CLIENTS
from tests.support.environments import installing
from tests.support.paths import REPOSITORY, TESTS

HERE = TESTS / "http"


@pytest.mark.slow
def test_every_transport_with_every_published_instrumentation(tmp_path: Path) -> None:
    newest = importlib.metadata.version("opentelemetry-instrumentation")
    names = {client.instrumentation[0].removeprefix("opentelemetry.").replace("_", "-") for client in CLIENTS}
    wanted = [f"opentelemetry-{name.replace('.', '-')}<={newest}" for name in sorted(names)]
    subprocess.run([*installing(Path(sys.executable)), "--no-deps", "--target", tmp_path, *wanted], check=True)
    tests = [HERE / "test_transports.py", HERE / "test_names.py", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *tests],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )

    assert run.returncode == 0, run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]
