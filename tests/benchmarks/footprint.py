"""What an import costs, and how much the registry remembers of very many spans."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc

from opentelemetry import trace
from opentelemetry.context import Context

from helicone_otel import HeliconeSpanProcessor
from helicone_otel.tracking.records import MAX_ENDED, MAX_LINKS
from helicone_otel.tracking.registry import Registry
from helicone_otel.tracking.resolver import MAX_TRACES
from helicone_otel.tracking.state import MAX_LIVE
from tests.benchmarks.spans import LLM, LLM_SCOPE, context_of_session, tracer
from tests.benchmarks.timing import Measurement, Sample

SPANS = 100_000
BOUND = MAX_LIVE + 2 * MAX_ENDED + 2 * MAX_LINKS + MAX_TRACES
# Prints the CPU time and the resident memory (on Linux) that our import adds.
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
    [getattr(helicone_otel, name) for name in helicone_otel.__all__]  # names are loaded on first use
print((time.process_time() - begin) * 1e3, resident() - memory)
"""


def imports() -> list[Measurement]:
    """Import the package in new interpreters: alone, and with all of its names."""
    words = "import, beyond opentelemetry.sdk.trace"
    milliseconds, megabytes = _import(everything=False)
    all_milliseconds, all_megabytes = _import(everything=True)
    return [
        Measurement(f"{words}: time", "ms", milliseconds, budget=10),
        Measurement(f"{words}: memory", "MB", megabytes, budget=3),
        Measurement(f"{words}, and use of every name: time", "ms", all_milliseconds, budget=10),
        Measurement(f"{words}, and use of every name: memory", "MB", all_megabytes, budget=3),
    ]


def _import(everything: bool) -> list[Sample]:
    environ = _environment()
    command = [sys.executable, "-c", _IMPORT.replace("{everything}", str(everything))]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.split()
        for _ in range(22)
    ]
    # The first run writes the bytecode.
    return [Sample.of([float(figure) for figure in column]) for column in zip(*runs[1:], strict=True)]


def _environment() -> dict[str, str]:
    """Return an environment without settings, in which Python may write bytecode."""
    unwanted = ("OTEL_", "HELICONE_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def memory() -> list[Measurement]:
    """Start very many spans and count what the registry remembers of them."""
    return [
        _kept("idle child spans"),
        _kept("plain spans in a session", inside=context_of_session()),
        _kept("LLM spans, each a trace of its own", llm=True),
        _kept("LLM spans in a session", llm=True, inside=context_of_session()),
        _kept("LLM spans that never end", llm=True, inside=context_of_session(), end=False),
    ]


def _kept(name: str, inside: Context | None = None, llm: bool = False, end: bool = True) -> Measurement:
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
    span_store = registry.resolver.span_store
    links = span_store.parents
    entries = len(span_store.live) + len(span_store.recent) + len(links) + len(registry.resolver.traces)
    return Measurement(f"kept of {SPANS:,} {name} ({megabytes:.1f} MB)", "entries", Sample(entries), budget=BOUND)
