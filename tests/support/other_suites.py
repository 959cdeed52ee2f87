"""Runs the tests that a published source package carries, with and without the library, and compares the outcomes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from xml.etree import ElementTree as ET

from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.environments import Environments
from tests.support.paths import REPOSITORY, TESTS

# The outcome of each test. Several tests may have one name.
Outcomes: TypeAlias = dict[str, tuple[str, ...]]

PLUGIN: Final = TESTS / "apps" / "suites"
# Of one run of a suite, in seconds.
_TIMEOUT: Final = 1800
_DOWNLOAD_TIMEOUT: Final = 300
_BAD: Final = frozenset({"failure", "error", "skipped"})
# Variables that would change what the tests of others do.
_STRANGE: Final = ("OTEL_", "HELICONE_", "PYTEST_", "PYTHONPATH")


class Run(NamedTuple):
    """One run of a suite.

    Attributes:
        outcomes: The outcomes of the tests.
        failures: What the library has swallowed, if it was on.
        printed: The end of what pytest printed.
    """

    outcomes: Outcomes
    failures: Mapping[str, int]
    printed: str


class Runner(NamedTuple):
    """Runs one suite.

    Attributes:
        python: The interpreter of an environment without the library, but with what it depends on.
        library: The folders that make the library importable there.
        source: The unpacked source package.
        folder: Where reports are written.
        arguments: The arguments of pytest.
    """

    python: Path
    library: Sequence[Path]
    source: Path
    folder: Path
    arguments: Sequence[str]

    def without_library(self) -> Run:
        """Run the tests as they are."""
        return self._run((), {})

    def with_library(self) -> Run:
        """Run the tests with the library on, and its log sent to a fake Helicone."""
        with serving(FakeHelicone()) as server:
            environ = {
                "PYTHONPATH": os.pathsep.join(map(str, (PLUGIN, *self.library))),
                "HELICONE_API_KEY": server.write_only_key,
                "HELICONE_LOG_ENDPOINT": server.url,
                "LIBRARY_FAILURES": str(self.folder / "failures.json"),
            }
            # Our own plugin of pytest is for the tests of an app.
            return self._run(("-p", "no:helicone_otel", "-p", "library_on"), environ)

    def _run(self, plugins: Sequence[str], environ: Mapping[str, str]) -> Run:
        report, failures = self.folder / "report.xml", self.folder / "failures.json"
        report.unlink(missing_ok=True)
        failures.unlink(missing_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_STRANGE)}
        # Some tests start `python`.
        kept["PATH"] = os.pathsep.join((str(self.python.parent), kept.get("PATH", "")))
        command = [self.python.parent / "pytest", "-q", "-p", "no:cacheprovider", *plugins, f"--junitxml={report}"]
        done = subprocess.run(
            [*command, *self.arguments],
            cwd=self.source,
            env={**kept, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
        printed = done.stdout[-4000:]
        assert report.exists(), printed
        swallowed = json.loads(failures.read_text()) if environ else {}
        return Run(outcomes_in(report), swallowed, printed)


def outcomes_in(report: Path) -> Outcomes:
    """Return the outcomes in a report in the form of JUnit."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):
        outcome = "+".join(sorted(_BAD & {element.tag for element in case}))
        found[f"{case.get('classname')}::{case.get('name')}"].append(outcome or "passed")
    return {name: tuple(sorted(outcomes)) for name, outcomes in found.items()}


def differing(one: Outcomes, other: Outcomes) -> set[str]:
    """Return the tests whose outcomes are not the same in two runs."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def environment(environments: Environments, name: str, requirements: Sequence[str]) -> tuple[Path, tuple[Path, ...]]:
    """Return an interpreter with these packages, but without the library, and the folders that bring the library.

    What the library depends on is in the environment, so that both runs of a suite have the same packages.
    """
    needed = [need for need in importlib.metadata.requires("helicone-otel") or () if "extra ==" not in need]
    python = environments.python(f"suites-{name}", (*requirements, *needed), ours=False)
    # This folder gets the metadata alone, which has the entry points.
    metadata = environments.copy("metadata of the library", ["--no-deps", "-e", str(REPOSITORY)])
    return python, (metadata, REPOSITORY / "src")


def unpacked(requirement: str, folder: Path) -> Path:
    """Download a source package and return the folder that it is unpacked to.

    Args:
        requirement: The package, as `name==version`.
        folder: Where to put it.
    """
    name = requirement.partition("==")[0]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # `--no-binary :all:` would build the build's own tools from their sources.
    subprocess.run(
        [*download, "--no-binary", name, "--dest", folder, requirement], check=True, timeout=_DOWNLOAD_TIMEOUT
    )
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
