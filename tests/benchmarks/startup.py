"""What a process pays at its start: under `opentelemetry-instrument`, with and without helicone-otel installed.

Two environments are made from the packages of this interpreter: one has what the extra `run` needs, the other has
the same packages without helicone-otel. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import helicone_otel
from tests.benchmarks import callgrind
from tests.benchmarks.spans import LLM, LLM_SCOPE
from tests.benchmarks.timing import Measurement, Sample, difference

NAME: Final = "helicone-otel"
EXTRA: Final = "run"
STARTS: Final = 41
FIRST_SPANS: Final = 21
_LAUNCHER: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
# Exporters would be loaded in both environments, and hide what we add.
_ENVIRON: Final = {
    "PYTHONHASHSEED": "0",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
_FIRST_SPAN: Final = f"""
import time
from opentelemetry import trace
tracer = trace.get_tracer({LLM_SCOPE!r})
begin = time.thread_time()
tracer.start_span("chat gpt-5", kind=trace.SpanKind.CLIENT, attributes={LLM!r}).end()
print((time.thread_time() - begin) * 1e3)
"""


class Environments(NamedTuple):
    """The interpreters of both environments."""

    with_us: Path
    without: Path


def startup() -> list[Measurement]:
    """Start `python -c pass` under the launcher, and start the first span of a process."""
    try:
        packages = _requirements_of(NAME, EXTRA)
    except importlib.metadata.PackageNotFoundError as error:
        print(f"start-up is not measured: {error.name} is not installed", file=sys.stderr)
        return []
    with _environments(packages) as environments:
        return [*_instructions(environments), *_cpu_time(environments), _first_span(environments)]


# --- the environments -----------------------------------------------------------------------------


@contextmanager
def _environments(packages: set[str]) -> Iterator[Environments]:
    with tempfile.TemporaryDirectory(prefix="helicone-otel-startup-") as folder:
        made = Environments(
            _environment(Path(folder, "with"), packages), _environment(Path(folder, "without"), packages - {NAME})
        )
        for _ in range(2):  # the first start writes the bytecode
            for python in made:
                _start(python)
        yield made


def _requirements_of(name: str, extra: str = "") -> set[str]:
    """Return the normalized names of a distribution and of all that it needs.

    Raises:
        importlib.metadata.PackageNotFoundError: One of them is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    waiting = {(canonicalize_name(name), extra)}
    seen = set[tuple[str, str]]()
    while waiting:
        seen.add(now := waiting.pop())
        found.add(now[0])
        for line in importlib.metadata.requires(now[0]) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": now[1]}):
                needed = canonicalize_name(requirement.name)
                waiting |= {(needed, wanted) for wanted in (requirement.extras or {""})} - seen
    return found


def _environment(folder: Path, packages: set[str]) -> Path:
    """Make a virtual environment with copies of installed packages, and return its interpreter."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    for name in packages:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            # Scripts are outside of the folder, bytecode belongs to the path it was compiled for, and a package that
            # is installed to be edited has a `.pth` file instead of its files.
            if ".." not in file.parts and file.suffix not in {".pyc", ".pth"}:
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(distribution.locate_file(file), target)
    if NAME in packages:
        package = Path(helicone_otel.__file__).parent
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, site / package.name, ignore=ignore, dirs_exist_ok=True)
    return folder / "bin" / "python"


def _command(python: Path, *arguments: str) -> list[str]:
    """Return the command `opentelemetry-instrument python …` of an environment."""
    return [str(python), "-P", "-c", _LAUNCHER, str(python), *arguments]


def _environ() -> dict[str, str]:
    """Return what processes need of the environment, and the settings of both environments."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | _ENVIRON


# --- the measurements -----------------------------------------------------------------------------


def _instructions(environments: Environments) -> list[Measurement]:
    """Count the instructions of the app's process and its children.

    They are the same in every run, but for some thousands. The launcher replaces itself with the app (`exec`), and
    callgrind keeps no count of a program that was replaced; the launcher itself loads nothing of ours.
    """
    name = "opentelemetry-instrument python -c pass: instructions"
    if not callgrind.is_there():
        print(f"{name}: not measured, because there is no valgrind", file=sys.stderr)
        return []
    ours, without = (Sample(_count(python) / 1e6) for python in environments)
    return [Measurement(name, "M", ours, without, "the same without us", 1.05)]


def _count(python: Path) -> int:
    command = _command(python, "-c", "pass")
    return sum(callgrind.count(command, _environ(), "--trace-children=yes", "%p").instructions.values())


def _cpu_time(environments: Environments) -> list[Measurement]:
    """Start in turns in both environments, and twice in the one without us: how far that differs is the noise."""
    runs: dict[str, tuple[Path, list[float]]] = {
        "with us": (environments.with_us, []),
        "without": (environments.without, []),
        "without, again": (environments.without, []),
    }
    order = list(runs)
    for _ in range(STARTS):
        order.append(order.pop(0))
        for name in order:
            python, series = runs[name]
            series.append(_start(python))
    with_us, without, again = (series for _, series in runs.values())
    name = "opentelemetry-instrument python -c pass: CPU time"
    return [
        _beside(name, with_us, without, "the same without us"),
        _beside(f"{name}, without us", again, without, "itself: the noise"),
    ]


def _beside(name: str, series: list[float], reference: list[float], beside: str) -> Measurement:
    # The load of the machine changes while this runs, so rounds are compared, not medians.
    found, more = Sample.of(reference), Sample.of(difference(series, reference))
    return Measurement(name, "ms", Sample(found.median + more.median, more.spread), found, beside)


def _start(python: Path) -> float:
    """Return the CPU time in ms of a start, the launcher's included."""
    command = _command(python, "-c", "pass")
    process = subprocess.Popen(command, env=_environ(), stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return (used.ru_utime + used.ru_stime) * 1e3


def _first_span(environments: Environments) -> Measurement:
    """Start and end the first span of a process: it pays for what no start-up paid for."""
    series: Mapping[Path, list[float]] = {python: [] for python in environments}
    for _ in range(FIRST_SPANS):
        for python, found in series.items():
            command = _command(python, "-c", _FIRST_SPAN)
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=_environ())
            found.append(float(done.stdout))
    with_us, without = series.values()
    return Measurement(
        "first LLM span of a process, started and ended: adds, once", "ms", Sample.of(difference(with_us, without))
    )
