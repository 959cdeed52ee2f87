"""What importing and starting cost, and what the registry keeps of spans without number."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context

from helicone_otel import HeliconeSpanProcessor
from helicone_otel.tracking.records import MAX_ENDED, MAX_LINKS, MAX_LIVE
from helicone_otel.tracking.registry import Registry
from helicone_otel.tracking.resolver import MAX_TRACES
from tests.benchmarks.spans import LLM, LLM_SCOPE, context_of_session, tracer
from tests.benchmarks.timing import Row, Sample, difference

SPANS = 100_000
STARTS = 61
BOUND = MAX_LIVE + 2 * MAX_ENDED + 2 * MAX_LINKS + MAX_TRACES
# CPU time and resident memory (of Linux) that our import adds.
_IMPORT = """
import os, time
import opentelemetry.sdk.trace
def resident():
    try:
        return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0
memory, begin = resident(), time.process_time()
import helicone_otel
if {everything}:
    [getattr(helicone_otel, name) for name in helicone_otel.__all__]  # they are loaded when they are used
print((time.process_time() - begin) * 1e3, resident() - memory)
"""


def imports() -> list[Row]:
    """Import the package in fresh interpreters, alone and with all that it offers."""
    words = "import, beyond opentelemetry.sdk.trace"
    milliseconds, megabytes = _import(everything=False)
    all_milliseconds, all_megabytes = _import(everything=True)
    return [
        Row(f"{words}: time", "ms", milliseconds, budget=10),
        Row(f"{words}: memory", "MB", megabytes, budget=3),
        Row(f"{words}, and use of every name: time", "ms", all_milliseconds, budget=10),
        Row(f"{words}, and use of every name: memory", "MB", all_megabytes, budget=3),
    ]


def _import(everything: bool) -> list[Sample]:
    environ = _environment()
    command = [sys.executable, "-c", _IMPORT.replace("{everything}", str(everything))]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.split()
        for _ in range(22)
    ]
    # The first one writes the bytecode.
    return [Sample.of([float(figure) for figure in column]) for column in zip(*runs[1:], strict=True)]


def _environment() -> dict[str, str]:
    """Return the environment of a user, who sets nothing and has run Python before."""
    unwanted = ("OTEL_", "HELICONE_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def startup() -> list[Row]:
    """Start the launcher with our entry points in sight and out of sight, in turns; no other instrumentation runs."""
    if find_spec("opentelemetry.distro") is None:
        return []  # the launcher has no configurator here
    with tempfile.TemporaryDirectory() as folder:
        # The first distribution of a name that is found on the path is the one that counts.
        paths = {name: _distribution(Path(folder, name), name == "with us") for name in ("with us", "without")}
        found: dict[str, list[float]] = {name: [] for name in paths}
        order = list(paths)
        for number in range(-2, STARTS):  # the first ones write the bytecode
            order.reverse()
            for name in order:
                milliseconds = _start(paths[name])
                if number >= 0:
                    found[name].append(milliseconds)
    without = Sample.of(found["without"])
    # What others do on the machine comes and goes, so rounds are compared and not medians.
    more = Sample.of(difference(found["with us"], found["without"]))
    ours = Sample(without.median + more.median, more.spread)
    return [Row("opentelemetry-instrument python -c pass", "ms", ours, without, "the same without us", budget=1.05)]


def _distribution(folder: Path, ours: bool) -> str:
    """Put a distribution of our name, with or without entry points, before the installed one."""
    name = "helicone_otel"
    info = folder / f"{name}-{importlib.metadata.version(name)}.dist-info"
    info.mkdir(parents=True)
    distribution = importlib.metadata.distribution(name)
    (info / "METADATA").write_text(distribution.read_text("METADATA") or "")
    if ours:
        (info / "entry_points.txt").write_text(distribution.read_text("entry_points.txt") or "")
    return os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])


def _start(path: str) -> float:
    """Return the CPU time in ms that a start takes."""
    points = {point.name for point in importlib.metadata.entry_points(group="opentelemetry_instrumentor")}
    environ = _environment()
    environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ",".join(sorted(points - {"helicone"}))
    launcher = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    command = [sys.executable, "-P", "-c", launcher, sys.executable, "-c", "pass"]
    process = subprocess.Popen(command, env={**environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return (used.ru_utime + used.ru_stime) * 1e3


def memory() -> list[Row]:
    """Start very many spans, most of which end, and count what is remembered of them."""
    return [
        _kept("idle child spans"),
        _kept("plain spans in a session", inside=context_of_session()),
        _kept("LLM spans, each a trace of its own", llm=True),
        _kept("LLM spans in a session", llm=True, inside=context_of_session()),
        _kept("LLM spans that never end", llm=True, inside=context_of_session(), end=False),
    ]


def _kept(name: str, inside: Context | None = None, llm: bool = False, end: bool = True) -> Row:
    registry = Registry()
    starting = tracer(HeliconeSpanProcessor(registry), scope=LLM_SCOPE if llm else "app")
    if inside is None:
        inside = Context() if llm else trace.set_span_in_context(starting.start_span("request"), Context())
    gc.collect()
    tracemalloc.start()
    for _ in range(SPANS):
        span = starting.start_span("work", inside, attributes=LLM if llm else None)
        if end:
            span.end()
    del span
    gc.collect()
    megabytes = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    span_store = registry.span_store
    links = span_store._above  # nobody else counts them
    entries = len(span_store.live) + len(span_store.recent) + len(links) + len(registry.resolver.traces)
    return Row(f"kept of {SPANS:,} {name} ({megabytes:.1f} MB)", "entries", Sample(entries), budget=BOUND)
