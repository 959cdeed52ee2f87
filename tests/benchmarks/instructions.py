"""How many instructions the hot paths take.

What is counted lies between two calls of `os.getppid`, at which callgrind writes down what it has counted so far.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context

from helicone_otel import HeliconeSpanProcessor
from helicone_otel.tracking.registry import Registry
from tests.benchmarks import callgrind
from tests.benchmarks.rows import building
from tests.benchmarks.spans import LLM_SCOPE, Cheapest, cheapest_context, context_of_session, llm, spans, tracer
from tests.benchmarks.timing import Measurement, Sample, Variant
from tests.benchmarks.wire import GATEWAY, W3C, App, baggage_of_three
from tests.support.paths import REPOSITORY

_MARK: Final = "getppid"
_TIMES: Final = 500
# A template, a cache and the interpreter's own specialisation are made in the first rounds.
_WARM_UP: Final = 100
_BARE: Final = "bare SDK"
_ROW: Final = "a row of kind llm, built and encoded"
# What is compared, with what, and in which words.
_COMPARED: Final = (
    ("idle: root span", "bare root span", _BARE),
    ("idle: child span", "bare child span", _BARE),
    ("idle: root span, in an app with LLM calls elsewhere", "bare root span", _BARE),
    ("session: plain span", "session: the cheapest processor", "the cheapest possible processor"),
    ("session: plain child span", "bare child span", _BARE),
    ("session: LLM span with ten attributes", "bare LLM span", _BARE),
    ("inject in a session", "tracecontext and baggage", "tracecontext and baggage of three"),
    ("transport hook, host listed, with the row's id", "tracecontext and baggage", "tracecontext and baggage of three"),
    (_ROW, "bare LLM span", "the span itself, without us"),
)


def instructions() -> list[Measurement]:
    """Count the instructions of each hot path, and those of what it is compared with."""
    if not callgrind.is_there():
        print("instructions are not counted, because there is no valgrind", file=sys.stderr)
        return []
    counted = {name: Sample(count / 1000) for name, count in _counted().items()}
    versions = f"Python {platform.python_version()}, OpenTelemetry {version('opentelemetry-sdk')}"
    return [
        Measurement(f"instructions: {name}", "k", counted[name], counted[other], f"{words}, {versions}")
        for name, other, words in _COMPARED
    ]


def _counted() -> dict[str, float]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.benchmarks.instructions"]
    output, found = callgrind.count(command, environ, f"--dump-before={_MARK}", "part")
    # Every second part is that between two variants.
    return {name: found[f"part.{2 * place + 2}"] / _TIMES for place, name in enumerate(output.splitlines())}


# --- under callgrind ------------------------------------------------------------------------------


def _main() -> None:
    gc.disable()
    for name, variant in _variants():
        variant(_WARM_UP)()
        work = variant(_TIMES)
        os.getppid()
        work()
        os.getppid()
        print(name)


def _variants() -> Iterator[tuple[str, Variant]]:
    """Yield what is counted. The first ones are made, and done, before a session is opened in this process."""
    bare, ours = tracer(), tracer(HeliconeSpanProcessor(Registry()))
    request = trace.set_span_in_context(bare.start_span("request"), Context())
    yield "bare root span", spans(bare)
    yield "bare child span", spans(bare, request)
    yield "bare LLM span", llm(tracer(scope=LLM_SCOPE))
    yield "idle: root span", spans(ours)
    yield "idle: child span", spans(ours, request)
    elsewhere = HeliconeSpanProcessor(Registry())
    llm(tracer(elsewhere, scope=LLM_SCOPE))(10)()
    yield "idle: root span, in an app with LLM calls elsewhere", spans(tracer(elsewhere))
    inside = context_of_session()
    yield "session: the cheapest processor", spans(tracer(Cheapest()), cheapest_context(inside))
    yield "session: plain span", spans(ours, inside)
    step = trace.set_span_in_context(ours.start_span("step", inside), inside)
    yield "session: plain child span", spans(ours, step)
    app = HeliconeSpanProcessor(Registry())
    yield "session: LLM span with ten attributes", llm(tracer(app, scope=LLM_SCOPE), inside)
    listed = App(GATEWAY, inside)
    yield "inject in a session", listed.injects()
    yield "transport hook, host listed, with the row's id", listed.hooks()
    yield "tracecontext and baggage", App(GATEWAY, baggage_of_three(), llm=False).injects(W3C)
    yield _ROW, building()


if __name__ == "__main__":
    _main()
