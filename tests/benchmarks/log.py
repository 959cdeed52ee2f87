"""What the log exporter costs the app's thread, how fast it is, and what it loses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from log_server import LogServer, serving
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from timing import ROUNDS, Row, Sample, difference, take_turns

from helicone_otel import HeliconeSpanExporter, HeliconeSpanProcessor, Settings, configure, session
from helicone_otel.log.delivery.client import Client
from helicone_otel.log.grouping import CallGroup
from helicone_otel.log.worker import LogWorker
from helicone_otel.tracking.records import Entry
from helicone_otel.tracking.registry import Registry
from spans import LLM, LLM_SCOPE, NullExporter, context_of_session, llm, spans, tracer

KEY = "sk-helicone-testing-fixture-nothing-private"
RATE = 500
STEADY, DOWN = 60, 30
_TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
_SAID = {
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Where shall we go this weekend?"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Try Porto, it is lovely."}],'
    '"finish_reason":"stop"}]',
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 40,
    "gen_ai.response.model": "gpt-5-2026-01-01",
}
_DOCUMENT = "All about Porto. " * 40


class _Idle(HeliconeSpanExporter):
    """Takes what it gets and does nothing: what is measured is the app's thread."""

    def log(self, group: CallGroup, registry: Registry) -> None:
        """Do nothing."""


def threads() -> list[Row]:
    """What the app's own thread pays for a span, beside OpenTelemetry's own processor with the same spans."""
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = str(2**20)
    registry, logging = Registry(), Registry()
    ours, log = HeliconeSpanProcessor(registry), LogWorker(logging)
    log.switch(_Idle(KEY, registry=logging))
    stock = BatchSpanProcessor(NullExporter(), max_queue_size=2**20)
    chosen = {"none": (ours,), "stock": (ours, stock), "log": (HeliconeSpanProcessor(logging),)}
    # A session of its own for each: what is remembered of a place is remembered for one registry.
    inside = {name: context_of_session() for name in chosen}
    variants = {}
    for name, processors in chosen.items():
        variants[f"idle {name}"] = spans(tracer(*processors))
        variants[f"plain {name}"] = spans(tracer(*processors), inside[name])
        variants[f"llm {name}"] = llm(tracer(*processors, scope=LLM_SCOPE), inside[name])
    found = take_turns(variants)
    del os.environ["OTEL_BSP_MAX_QUEUE_SIZE"]
    return [
        Row(
            f"log: app's thread, {words}, adds",
            "µs",
            Sample.of(difference(found[f"{what} log"], found[f"{what} none"])),
            Sample.of(difference(found[f"{what} stock"], found[f"{what} none"])),
            "BatchSpanProcessor adds",
            1.0,
        )
        for what, words in {"idle": "span of no session", "plain": "plain span", "llm": "LLM span"}.items()
    ]


def building() -> list[Row]:
    """All that is done for a row off the app's thread, from the span that ended to the bytes that wait."""
    return [
        _built("LLM call with messages and tokens", LLM | _SAID, LLM_SCOPE),
        _built("tool call", {**_TOOL, "gen_ai.tool.call.arguments": '{"q":"Porto"}'}, "x"),
    ]


def _built(words: str, attributes: dict[str, object], scope: str) -> Row:
    registry, ended = Registry(), list[tuple[Entry, ReadableSpan]]()
    registry.log = lambda entry, span: ended.append((entry, span))
    made = tracer(HeliconeSpanProcessor(registry), scope=scope)
    inside = context_of_session()
    exporter = HeliconeSpanExporter(KEY, registry=registry)
    taken: list[object] = []
    exporter._client.put = lambda row: not taken.append(row)  # type: ignore[method-assign]
    series: list[float] = []
    for _ in range(ROUNDS):
        taken.clear()
        ended.clear()
        for _ in range(50):
            made.start_span("work", inside, SpanKind.CLIENT, attributes).end()  # type: ignore[arg-type]
        begin = time.thread_time()
        for entry, span in ended:
            exporter.log(CallGroup(span, entry, ()), registry)
        series.append((time.thread_time() - begin) / 50 * 1e6)
        assert len(taken) == len(ended) == 50
    return Row(f"log: all that a row takes but the sending, {words}", "µs", Sample.of(series))


def speed(log_by_helpers: Callable[[str, int], None]) -> list[Row]:
    """Rows per second, beside helicone-helpers' manual logger called in a loop; as time for a row."""
    with serving() as server:
        begin = time.perf_counter()
        log_by_helpers(server.url, 100)
        theirs = (time.perf_counter() - begin) / 100 * 1e6
        assert server.rows() == 100
    ours = []
    for _ in range(3):
        with serving() as server:
            ours.append(_time_for_a_row(server, 3000))
    words = "helicone-helpers' manual logger in a loop"
    return [Row("log: time for a row, server answers in 20 ms", "µs", Sample.of(ours), Sample(theirs), words, 1 / 15)]


def _time_for_a_row(server: LogServer, count: int) -> float:
    with _app(server, OTEL_BSP_MAX_QUEUE_SIZE=str(2 * count)) as app:
        begin = time.perf_counter()
        for _ in range(count):
            app.call()
        assert app.provider.force_flush()
        took = (time.perf_counter() - begin) / count * 1e6
    assert server.rows() == count
    return took


def steady() -> list[Row]:
    """500 rows a second for a minute."""
    with serving() as server:
        with _app(server) as app:
            cpu = time.process_time()
            app.calls(STEADY)
            assert app.provider.force_flush()
            cpu = (time.process_time() - cpu) / app.count * 1e6
        lost = app.count - server.rows()
    return [
        Row(f"log: rows lost of {app.count:,}, {RATE} a second for {STEADY} s", "entries", Sample(lost), budget=0),
        Row("log: CPU time of the process for a row at that rate, span included", "µs", Sample(cpu)),
    ]


def outage() -> list[Row]:
    """The server is down for half a minute, at the same rate, with documents of some size."""
    with serving() as server:
        with _app(server) as app:
            app.calls(2)
            assert app.provider.force_flush()
            before, memory = server.rows(), _resident()
            server.tell("down")
            app.calls(DOWN, _DOCUMENT * 30)
            exporter = app.exporter
            client: Client = exporter._client
            grown, waiting, held = _resident() - memory, client.rows, client.bytes / 2**20
            server.tell("up")
            time.sleep(0.2)
            assert app.provider.force_flush(60_000)
        lost = waiting - (server.rows() - before)
    offered = f"{RATE * DOWN:,} rows of 20 KB offered"
    return [
        Row(f"log: server down for {DOWN} s, {offered}: rows that wait", "entries", Sample(waiting), budget=2048),
        Row("log: the same: bytes that wait", "MB", Sample(held), budget=64),
        Row("log: the same: memory of the process grows by", "MB", Sample(grown / 2**20), budget=128),
        Row("log: the same: rows lost of those that waited", "entries", Sample(max(lost, 0)), budget=0),
    ]


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class _app:  # noqa: N801  # used as a function
    """An app that logs."""

    def __init__(self, server: LogServer, **environ: str) -> None:
        os.environ.update(environ)
        self.provider = TracerProvider(shutdown_on_exit=False)
        settings = Settings(log=True, api_key=KEY, log_endpoint=server.url)
        self._installation = configure(settings, provider=self.provider, log=HeliconeSpanExporter(settings=settings))
        self._tracer = self.provider.get_tracer("x")
        self.count = 0
        for name in environ:
            del os.environ[name]

    @property
    def exporter(self) -> HeliconeSpanExporter:
        exporter = self._installation.exporter
        assert exporter is not None
        return exporter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.exporter.shutdown(0)
        self._installation.uninstall()

    def call(self, arguments: str = '{"q":"Porto"}') -> None:
        with session("Trip Planning"):
            attributes = {**_TOOL, "gen_ai.tool.call.arguments": arguments}
            self._tracer.start_span("execute_tool search", attributes=attributes).end()
        self.count += 1

    def calls(self, seconds: float, arguments: str = '{"q":"Porto"}') -> None:
        begin = time.monotonic()
        for number in range(int(RATE * seconds)):
            self.call(arguments)
            ahead = begin + (number + 1) / RATE - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
