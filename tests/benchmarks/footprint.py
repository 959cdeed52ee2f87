"""What importing costs, and what the registry keeps of spans without number."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator

from opentelemetry import context, trace
from spans import LLM, LLM_SCOPE, context_of_session, tracer
from timing import Row, Sample, sample_of

from helicone_otel import HeliconeSpanProcessor
from helicone_otel._lineage import MAX_ENDED, MAX_LINKS, MAX_LIVE
from helicone_otel._registry import Registry
from helicone_otel._resolver import MAX_TRACES

INTERPRETERS = 15
SPANS = 100_000
BOUND = MAX_LIVE + 2 * MAX_ENDED + 2 * MAX_LINKS + MAX_TRACES

# Time and peak of resident memory that the second import adds to the first.
_IMPORT = """
import resource, sys, time
import opentelemetry.sdk.trace
kilobyte = 1 if sys.platform == "linux" else 1024
memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
import helicone_otel
end = time.process_time()
print((end - begin) * 1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / kilobyte / 1024)
"""


def imports() -> list[Row]:
    """Import the package in fresh interpreters."""
    subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True)  # writes the bytecode
    runs = [
        subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(INTERPRETERS)
    ]
    milliseconds, megabytes = ([float(figure) for figure in figures] for figures in zip(*runs, strict=True))
    return [
        Row("import adds to that of opentelemetry.sdk.trace: time", "ms", sample_of(milliseconds), budget=10),
        Row("import adds to that of opentelemetry.sdk.trace: memory", "MB", sample_of(megabytes), budget=3),
    ]


def memory() -> list[Row]:
    """Start very many spans and count what is remembered of them."""
    rows: list[Row] = []
    for name, registry, work in _lives():
        gc.collect()
        tracemalloc.start()
        for _ in work:
            pass
        gc.collect()
        megabytes = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        lineage = registry.lineage
        # What stands above spans in which nothing was recognised is nobody else's business.
        entries = len(lineage.live) + len(lineage.ended) + len(lineage._above) + len(registry.resolver.traces)  # noqa: SLF001
        rows.append(Row(f"kept of {SPANS:,} {name} ({megabytes:.1f} MB)", "entries", Sample(entries, 0), budget=BOUND))
    return rows


def _lives() -> Iterator[tuple[str, Registry, Iterator[None]]]:
    for name, scope, in_session, attributes, ends in (
        ("idle child spans", "app", False, None, True),
        ("plain spans in a session", "app", True, None, True),
        ("LLM spans, each a trace", LLM_SCOPE, False, LLM, True),
        ("LLM spans in a session", LLM_SCOPE, True, LLM, True),
        ("LLM spans that never end", LLM_SCOPE, True, LLM, False),
    ):
        registry = Registry()
        starting = tracer(HeliconeSpanProcessor(registry), scope=scope)
        if in_session:
            inside = context_of_session()
        elif attributes is None:
            inside = trace.set_span_in_context(starting.start_span("request"), context.Context())
        else:
            inside = context.Context()
        yield name, registry, _spans(starting, inside, attributes, ends)


def _spans(
    starting: trace.Tracer, inside: context.Context, attributes: dict[str, str | int | float] | None, ends: bool
) -> Iterator[None]:
    for _ in range(SPANS):
        span = starting.start_span("work", inside, attributes=attributes)
        if ends:
            span.end()
        yield
