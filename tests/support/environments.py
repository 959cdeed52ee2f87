"""Virtual environments for libraries that conflict with each other; each is made once in a run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

# In seconds. Where packages pin each other, pip may try releases for hours.
_TIMEOUT = 300
# A folder in which environments are kept after a run, for work on one of them.
_KEPT = os.environ.get("HELICONE_OTEL_TEST_ENVIRONMENTS")


class Environments:
    """Makes each environment on first use.

    Args:
        folder: Where the environments are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(_KEPT) if _KEPT else folder
        self._failures: dict[str, str] = {}

    def python(self, name: str, requirements: Sequence[str], alone: Sequence[str] = (), *, ours: bool = True) -> Path:
        """Return the interpreter of an environment with these packages and ours.

        If they cannot be installed, the test is skipped; with `CI` set, it fails.

        Args:
            name: The name of the environment.
            requirements: Packages whose versions pip chooses.
            alone: Packages that are installed without dependencies, because vendors pin releases of
                OpenTelemetry that conflict.
            ours: Whether our package is installed, too.
        """
        python = self._folder / name / "bin" / "python"
        done = self._folder / name / "installed"
        if not done.exists() and name not in self._failures:
            wanted = [*requirements, *(("-e", str(REPOSITORY)) if ours else ())]
            if failure := _make(python, wanted, alone):
                self._failures[name] = failure
            else:
                done.touch()
        self._require(name)
        return python

    def copy(self, name: str, requirements: Sequence[str]) -> Path:
        """Return a folder with these packages and their dependencies, for the front of the path."""
        folder = self._folder / name
        if not folder.exists() and name not in self._failures:
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            if failure := _run_all([[*install, "--target", folder, *requirements]]):
                self._failures[name] = failure
        self._require(name)
        return folder

    def _require(self, name: str) -> None:
        if name in self._failures:
            why = f"the environment {name!r} cannot be made: {self._failures[name]}"
            pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def _make(python: Path, requirements: Sequence[str], alone: Sequence[str]) -> str | None:
    """Make an environment; return why that failed, or `None`."""
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return _run_all(
        [
            [sys.executable, "-m", "venv", "--clear", python.parent.parent],
            [*install, *requirements],
            *([[*install, "--no-deps", *alone]] if alone else []),
        ]
    )


def _run_all(commands: Sequence[Sequence[str | Path]]) -> str | None:
    """Run commands; return why the first failed, or `None`."""
    deadline = time.monotonic() + _TIMEOUT
    for command in commands:
        try:
            left = max(1, deadline - time.monotonic())
            done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            return f"pip found no set of versions within {_TIMEOUT} s"
        if done.returncode:
            return " / ".join(done.stderr.strip().splitlines()[-3:])
    return None


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """Return the environments of this run."""
    return Environments(tmp_path_factory.mktemp("environments"))
