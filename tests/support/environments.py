"""Virtual environments for libraries that cannot stand beside each other: made once for a run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

# pip can try releases for hours where packages pin each other; a set that takes longer is no set.
_PATIENCE = 300
# Where environments outlive a run: for people who work on one of them.
_KEPT = os.environ.get("HELICONE_OTEL_TEST_ENVIRONMENTS")


class Environments:
    """Makes each environment when it is first asked for.

    Args:
        folder: Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(_KEPT) if _KEPT else folder
        self._failures: dict[str, str] = {}

    def python(self, name: str, requirements: Sequence[str], alone: Sequence[str] = ()) -> Path:
        """Return the interpreter of an environment with these packages and ours.

        Where they cannot be installed the test is skipped, or fails if `CI` is set: there they must run.

        Args:
            name: Of the environment.
            requirements: What pip is to find a set of versions for.
            alone: What is installed without asking what it needs: vendors' own limits on releases of
                OpenTelemetry can contradict each other.
        """
        python = self._folder / name / "bin" / "python"
        done = self._folder / name / "installed"
        if not done.exists() and name not in self._failures:
            if failure := _made(python, requirements, alone):
                self._failures[name] = failure
            else:
                done.touch()
        self._insist(name)
        return python

    def copy(self, name: str, requirements: Sequence[str]) -> Path:
        """Return a folder with these packages and what they need, to be put before others on the path."""
        folder = self._folder / name
        if not folder.exists() and name not in self._failures:
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            if failure := _done([[*install, "--target", folder, *requirements]]):
                self._failures[name] = failure
        self._insist(name)
        return folder

    def _insist(self, name: str) -> None:
        if name in self._failures:
            why = f"the environment {name!r} cannot be made: {self._failures[name]}"
            pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def _made(python: Path, requirements: Sequence[str], alone: Sequence[str]) -> str | None:
    """Make an environment; return why that failed, or `None`."""
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return _done(
        [
            [sys.executable, "-m", "venv", "--clear", python.parent.parent],
            [*install, *requirements, "-e", REPOSITORY],
            *([[*install, "--no-deps", *alone]] if alone else []),
        ]
    )


def _done(commands: Sequence[Sequence[str | Path]]) -> str | None:
    """Run commands; return why one failed, or `None`."""
    deadline = time.monotonic() + _PATIENCE
    for command in commands:
        try:
            patience = max(1, deadline - time.monotonic())
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
        except subprocess.TimeoutExpired:
            return f"pip has found no set of versions within {_PATIENCE} s"
        if done.returncode:
            return " / ".join(done.stderr.strip().splitlines()[-3:])
    return None


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """Make environments for the tests of this run."""
    return Environments(tmp_path_factory.mktemp("environments"))
