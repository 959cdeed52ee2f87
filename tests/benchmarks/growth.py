"""What spans cost where there is much of something: names, sessions, depth, threads, or very many spans."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context

from helicone_otel import HeliconeSpanProcessor, session, step
from helicone_otel.tracking.registry import Registry
from tests.benchmarks.spans import Cheapest, cheapest_context, context_of_session, tracer
from tests.benchmarks.timing import Measurement, Sample

NAMES: Final = 100_000
SESSIONS: Final = 10_000
DEPTH: Final = 1_000
THREADS: Final = 16
MANY: Final = 1_000_000
# In microseconds: what one span in a thousand may take.
_SLOWEST: Final = 1_000.0
# What the process may take at the end, beside what it took when its caches had filled.
_GROWTH: Final = 1.1
_SPANS_OF_A_THREAD: Final = 1_000
_TURNS: Final = 21
_WAVES: Final = 9


# --- one span in a thousand -----------------------------------------------------------------------


def slowest() -> list[Measurement]:
    """Measure the CPU time that one span in a thousand takes or more, garbage collections included."""
    cases: dict[str, Callable[[trace.Tracer], Iterator[None]]] = {
        f"{NAMES:,} names of steps in one session, a step and its span": _steps,
        f"{SESSIONS:,} open sessions, a span": _sessions,
        f"{DEPTH:,} spans inside each other, a span": _depth,
    }
    return [
        Measurement(f"growth: {name}, 99.9th percentile", "µs", _slowest(case), budget=_SLOWEST)
        for name, case in cases.items()
    ]


def _slowest(case: Callable[[trace.Tracer], Iterator[None]]) -> Sample:
    gc.collect()
    work, took = case(tracer(HeliconeSpanProcessor(Registry()))), list[float]()
    for _ in work:
        begin = time.thread_time()
        next(work, None)
        took.append(time.thread_time() - begin)
    return Sample(sorted(took)[int(len(took) * 0.999)] * 1e6)


def _steps(starting: trace.Tracer) -> Iterator[None]:
    with session("Trip Planning"):
        for number in range(2 * NAMES):  # every second one is measured
            with step(f"step {number}"):
                starting.start_span("work").end()
            yield


def _sessions(starting: trace.Tracer) -> Iterator[None]:
    opened = []
    for _ in range(SESSIONS):
        with session("Trip Planning"):
            opened.append(context.get_current())
    for _ in range(10):
        for inside in opened:
            starting.start_span("work", inside).end()
            yield


def _depth(starting: trace.Tracer) -> Iterator[None]:
    for _ in range(100):
        inside = context_of_session()
        for _ in range(DEPTH):
            span = starting.start_span("work", inside)
            inside = trace.set_span_in_context(span, inside)
            yield


# --- threads --------------------------------------------------------------------------------------


def threads() -> list[Measurement]:
    """Let many threads make spans in a session at once, and compare with the cheapest possible processor."""
    inside = context_of_session()
    cases = {
        "ours": (tracer(HeliconeSpanProcessor(Registry())), inside),
        "cheapest": (tracer(Cheapest()), cheapest_context(inside)),
    }
    took: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(_TURNS):
        for name, (starting, held) in cases.items():
            took[name].append(_at_once(starting, held))
    ours, cheapest = (Sample.of(series) for series in took.values())
    # Its spans a second are at least 0.9 of those of the cheapest one.
    words = f"growth: {THREADS} threads at once, a plain span in a session"
    return [Measurement(words, "µs", ours, cheapest, "the cheapest possible processor", 1 / 0.9)]


def _at_once(starting: trace.Tracer, inside: Context) -> float:
    """Return the CPU time of the process for each span, in microseconds."""
    begins = threading.Barrier(THREADS + 1)

    def work() -> None:
        begins.wait()
        for _ in range(_SPANS_OF_A_THREAD):
            starting.start_span("work", inside).end()

    running = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in running:
        thread.start()
    begin = time.process_time()
    begins.wait()
    for thread in running:
        thread.join()
    return (time.process_time() - begin) / (THREADS * _SPANS_OF_A_THREAD) * 1e6


# --- memory ---------------------------------------------------------------------------------------


def memory() -> list[Measurement]:
    """Make very many spans in one session, and many sessions at once, and see by how much the process grows."""
    return [
        Measurement(
            f"growth: memory after {MANY:,} spans in one session", "MB", *_of_spans(), "after a tenth of them", _GROWTH
        ),
        Measurement(
            f"growth: memory after {_WAVES} times {SESSIONS:,} sessions at once",
            "MB",
            *_of_sessions(),
            "after a third of them",
            _GROWTH,
        ),
    ]


def _of_spans() -> tuple[Sample, Sample]:
    """Return the memory in the end, and that before."""
    starting, inside = tracer(HeliconeSpanProcessor(Registry())), context_of_session()
    before = 0.0
    for number in range(MANY):
        if number == MANY // 10:
            before = _resident()
        starting.start_span(f"work {number % 5000}", inside).end()
    return Sample(_resident()), Sample(before)


def _of_sessions() -> tuple[Sample, Sample]:
    """Return the memory in the end, and that before."""
    starting = tracer(HeliconeSpanProcessor(Registry()))

    async def work() -> None:
        with session("Trip Planning"):
            for name in ("plan", "draft", "check"):
                with starting.start_as_current_span(name):
                    await asyncio.sleep(0)

    async def wave() -> None:
        await asyncio.gather(*(work() for _ in range(SESSIONS)))

    taken = []
    for _ in range(_WAVES):
        asyncio.run(wave())
        taken.append(_resident())
    return Sample(taken[-1]), Sample(taken[_WAVES // 3 - 1])


def _resident() -> float:
    """Return the resident memory of the process in megabytes (on Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
