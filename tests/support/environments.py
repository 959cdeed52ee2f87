"""Virtual environments for libraries that conflict with each other; each is made once in a run of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import venv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

# In seconds. Where packages pin each other, pip may try releases for hours.
_TIMEOUT = 300
# A folder in which environments are kept after a run, for work on one of them.
_KEPT = os.environ.get("HELICONE_OTEL_TEST_ENVIRONMENTS")


def empty_environment(folder: Path) -> Path:
    """Make a virtual environment, and return its interpreter. It has no pip, whose installation takes seconds."""
    venv.create(folder, clear=True, symlinks=os.name != "nt")
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def installing(python: Path) -> list[str | Path]:
    """Return the command that installs packages into an environment, without the packages."""
    # Most modules are never imported, so none is compiled before it is.
    options = ("--quiet", "--disable-pip-version-check", "--no-compile")
    return [sys.executable, "-m", "pip", "--python", python, "install", *options]


class Environments:
    """Makes each environment on first use. Threads may share it.

    Args:
        folder: Where the environments are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(_KEPT) if _KEPT else folder
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._failures: dict[str, str] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

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
        folder = self._folder / name
        done = folder / "installed"
        wanted = (*requirements, *alone)
        assert self._wanted.setdefault(name, wanted) == wanted  # what has one name is one environment
        with self._locks[name]:
            if not done.exists() and name not in self._failures:
                if failure := self._made(folder, requirements, alone, ours=ours):
                    self._failures[name] = failure
                else:
                    done.touch()
        self._require(name)
        return folder / "bin" / "python"

    def copy(self, name: str, requirements: Sequence[str]) -> Path:
        """Return a folder with these packages and their dependencies, for the front of the path."""
        folder = self._folder / name
        with self._locks[name]:
            if not folder.exists() and name not in self._failures:
                install = [*installing(Path(sys.executable)), "--target", folder, *requirements]
                if failure := _run_all([install]):
                    self._failures[name] = failure
        self._require(name)
        return folder

    def _made(self, folder: Path, requirements: Sequence[str], alone: Sequence[str], *, ours: bool) -> str | None:
        """Make an environment; return why that failed, or `None`."""
        install = installing(empty_environment(folder))
        if ours:
            # As pip installs a clone for development, but built once. So pip has only its dependencies to install.
            built = self.copy("library", ["--no-deps", "-e", str(REPOSITORY)])
            shutil.copytree(built, _packages(folder), dirs_exist_ok=True)
            requirements = ("helicone-otel", *requirements)
        return _run_all([[*install, *requirements], *([[*install, "--no-deps", *alone]] if alone else [])])

    def _require(self, name: str) -> None:
        if name in self._failures:
            why = f"the environment {name!r} cannot be made: {self._failures[name]}"
            pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def _packages(folder: Path) -> Path:
    """Return the folder of an environment in which its packages are."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


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
