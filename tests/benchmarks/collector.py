"""What the statements of `collector-config.yaml` cost the collector, beside the same pipelines without them."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from tests.benchmarks.timing import Measurement, Sample
from tests.support.otelcol import Collector, binary, request, running, span

ROUNDS = 25
SPANS, REQUESTS = 200, 20
# At least 0.7 times as many spans for the same work.
BUDGET = 1 / 0.7
_CALL: dict[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2026-01-01",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 40,
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Where to? " * 40}]}]),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Porto. " * 40}]}]
    ),
}
_PLAIN: dict[str, object] = {"http.request.method": "GET", "url.path": "/trips", "code.function.name": "plan"}
# One span in ten is an LLM call, and all are of a session.
_SPANS = [
    span(f"span {n % 10}", {**(_PLAIN if n % 10 else _CALL), "session.id": f"s-{n % 7}", "user.id": "u-1"})
    for n in range(SPANS)
]
# The file's pipelines with its receivers, connectors, queues and exporters, but without our statements.
_BARE: Mapping[str, Any] = {
    "traces": ["memory_limiter"],
    "traces/backend": [],
    "traces/metrics": [],
    "traces/helicone": ["filter/helicone"],
}
# What goes to Helicone without them: the same spans, chosen by one condition.
_CHOSEN = {"on": 'span.attributes["gen_ai.operation.name"] == nil', "off": "span.name != nil"}


class _Sink(QuietHandler):
    """Accepts all requests without reading their spans."""

    def do_POST(self) -> None:  # noqa: N802  # the name that the parent calls
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def collector() -> Iterator[Measurement]:
    """Measure the CPU time of the collector's process for one span."""
    path = binary()
    if path is None:
        print("no collector: python tests/collector/build.py", file=sys.stderr)
        return
    for name, helicone in (("", "off"), (" with HELICONE_OTLP=on", "on")):
        with _both(path, helicone) as (ours, bare):
            series = [(_cost(ours), _cost(bare)) for _ in range(ROUNDS + 1)][1:]
        yield Measurement(
            f"collector: a span{name}",
            "µs",
            Sample.of([one for one, _ in series]),
            Sample.of([other for _, other in series]),
            "the same pipelines without our statements",
            BUDGET,
        )


@contextmanager
def _both(path: str, helicone: str) -> Iterator[tuple[Collector, Collector]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = stack.enter_context(serving(LoopbackServer(_Sink)))
        environ = {
            "OTEL_BACKEND_ENDPOINT": sink.url,
            "HELICONE_OTLP": helicone,
            "HELICONE_OTLP_ENDPOINT": f"{sink.url}/v1/trace/log-python",
        }
        ours = stack.enter_context(running(path, folder / "ours", environ))
        yield ours, stack.enter_context(running(path, folder / "bare", environ, _changes(helicone)))


def _changes(helicone: str) -> dict[str, Any]:
    return {
        "processors": {"filter/helicone": {"trace_conditions": [_CHOSEN[helicone]]}},
        "service": {"pipelines": {name: {"processors": processors} for name, processors in _BARE.items()}},
    }


def _cost(one: Collector) -> float:
    """Return the CPU time in microseconds that the collector's process needs for one span."""
    before = _cpu(one)
    for _ in range(REQUESTS):
        one.send(request(_SPANS))
    return (_cpu(one) - before) / (SPANS * REQUESTS) / 1000


def _cpu(one: Collector) -> int:
    """Return the nanoseconds that the threads of the collector have run."""
    assert one.process is not None
    threads = Path(f"/proc/{one.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads)
