"""What the log exporter costs the app's thread, how fast it sends rows, and how many it loses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from helicone_otel import HeliconeSpanExporter, HeliconeSpanProcessor, Settings, configure, session
from helicone_otel.log.delivery.client import Client
from helicone_otel.log.delivery.lane import PendingRow
from helicone_otel.log.delivery.sender import RowSender
from helicone_otel.log.delivery.verdict import Delivery
from helicone_otel.log.grouping import CallGroup
from helicone_otel.log.worker import LogWorker
from helicone_otel.tracking.records import Entry
from helicone_otel.tracking.registry import Registry
from tests.benchmarks.log_server import LogServer, serving
from tests.benchmarks.spans import LLM, LLM_SCOPE, NullExporter, context_of_session, llm, spans, tracer
from tests.benchmarks.timing import ROUNDS, Measurement, Sample, difference, take_turns

KEY = "sk-helicone-testing-fixture-nothing-private"
RATE = 500
STEADY, DOWN = 60, 30
_TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
_ANSWERED = {
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Where shall we go this weekend?"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Try Porto, it is lovely."}],'
    '"finish_reason":"stop"}]',
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 40,
    "gen_ai.response.model": "gpt-5-2026-01-01",
}
# What the log adds for each kind of span, as a share of what `BatchSpanProcessor` adds. Of a span that may become a row
# the memory is reckoned, because the queue is bounded in bytes.
_SPANS = (("idle", "span of no session", 1.0), ("plain", "plain span", 1.0), ("llm", "LLM span", 2.5))
_DOCUMENT = "All about Porto. " * 40


class _Idle(HeliconeSpanExporter):
    """An exporter that does nothing, so that only the app's thread is measured."""

    def log(self, group: CallGroup, registry: Registry) -> None:
        """Do nothing."""


def threads() -> list[Measurement]:
    """Measure what the app's thread pays for a span, and compare it with OpenTelemetry's own processor."""
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = str(2**20)
    registry, logging = Registry(), Registry()
    ours, log = HeliconeSpanProcessor(registry), LogWorker(logging)
    log.switch(_Idle(KEY, registry=logging))
    stock = BatchSpanProcessor(NullExporter(), max_queue_size=2**20)
    chosen = {"none": (ours,), "stock": (ours, stock), "log": (HeliconeSpanProcessor(logging),)}
    # Each has its own session, because a context frame remembers the record of one registry only.
    inside = {name: context_of_session() for name in chosen}
    variants = {}
    for name, processors in chosen.items():
        variants[f"idle {name}"] = spans(tracer(*processors))
        variants[f"plain {name}"] = spans(tracer(*processors), inside[name])
        variants[f"llm {name}"] = llm(tracer(*processors, scope=LLM_SCOPE), inside[name])
    measured = take_turns(variants)
    del os.environ["OTEL_BSP_MAX_QUEUE_SIZE"]
    return [
        Measurement(
            f"log: app's thread, {words}, adds",
            "µs",
            Sample.of(difference(measured[f"{what} log"], measured[f"{what} none"])),
            Sample.of(difference(measured[f"{what} stock"], measured[f"{what} none"])),
            "BatchSpanProcessor adds",
            budget,
        )
        for what, words, budget in _SPANS
    ]


def building() -> list[Measurement]:
    """Measure the work for a row outside of the app's thread, from the ended span to the encoded row."""
    return [
        _built("LLM call with messages and tokens", LLM | _ANSWERED, LLM_SCOPE),
        _built("tool call", {**_TOOL, "gen_ai.tool.call.arguments": '{"q":"Porto"}'}, "x"),
    ]


def _built(words: str, attributes: dict[str, object], scope: str) -> Measurement:
    registry, ended = Registry(), list[tuple[Entry, ReadableSpan]]()
    registry.log = lambda entry, span: ended.append((entry, span))
    made = tracer(HeliconeSpanProcessor(registry), scope=scope)
    inside = context_of_session()
    exporter = HeliconeSpanExporter(KEY, registry=registry)
    taken: list[object] = []
    # In this thread, and not in that of the exporter.
    exporter._client.put_later = lambda make, *_: taken.append(make())  # type: ignore[assignment, func-returns-value]
    series: list[float] = []
    for _ in range(ROUNDS):
        taken.clear()
        ended.clear()
        for _ in range(50):
            made.start_span("work", inside, SpanKind.CLIENT, attributes).end()  # type: ignore[arg-type]
        begin = time.thread_time()
        for entry, span in ended:
            exporter.log(CallGroup(span, entry, (), 0), registry)
        series.append((time.thread_time() - begin) / 50 * 1e6)
        assert len(taken) == len(ended) == 50
    return Measurement(f"log: work for a row without sending it, {words}", "µs", Sample.of(series))


def sending() -> list[Measurement]:
    """Compare the CPU time for a row of 2 KB over a connection that stays open with that of a bare POST."""
    body, headers = b'{"x":"%b"}' % (b"y" * 2030), {"Authorization": f"Bearer {KEY}", "User-Agent": "helicone-otel"}
    with serving(0) as server:
        sender, url = RowSender(server.url, 1, 30), f"{server.url}/custom/v1/log"
        bare = HTTPConnection(urlsplit(server.url).netloc)

        def send() -> None:
            assert sender.send(PendingRow("1", KEY, url, body)).delivery is Delivery.DELIVERED

        def post() -> None:
            bare.request("POST", "/custom/v1/log", body, {**headers, "Content-Type": "application/json"})
            assert bare.getresponse().read() == b"ok"

        ours, theirs = [], []
        for _ in range(ROUNDS):
            for series, act in ((ours, send), (theirs, post)):
                begin = time.process_time()
                for _ in range(50):
                    act()
                series.append((time.process_time() - begin) / 50 * 1e6)
        sender.close()
        bare.close()
    words = "a bare POST by http.client"
    return [Measurement("log: CPU time to send a row", "µs", Sample.of(ours), Sample.of(theirs), words, 1.3)]


def speed(log_by_helpers: Callable[[str, int], None]) -> list[Measurement]:
    """Compare the time for a row with that of helicone-helpers' manual logger, called in a loop."""
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
    return [
        Measurement(
            "log: time for a row, server answers in 20 ms", "µs", Sample.of(ours), Sample(theirs), words, 1 / 15
        )
    ]


def _time_for_a_row(server: LogServer, count: int) -> float:
    with _app(server, OTEL_BSP_MAX_QUEUE_SIZE=str(2 * count)) as app:
        begin = time.perf_counter()
        for _ in range(count):
            app.call()
        assert app.provider.force_flush()
        took = (time.perf_counter() - begin) / count * 1e6
    assert server.rows() == count
    return took


def steady() -> list[Measurement]:
    """Count the rows lost at 500 rows a second for a minute."""
    with serving() as server:
        with _app(server) as app:
            cpu = time.process_time()
            app.calls(STEADY)
            assert app.provider.force_flush()
            cpu = (time.process_time() - cpu) / app.count * 1e6
        lost = app.count - server.rows()
    return [
        Measurement(
            f"log: rows lost of {app.count:,}, {RATE} a second for {STEADY} s", "entries", Sample(lost), budget=0
        ),
        Measurement("log: CPU time of the process for a row at that rate, span included", "µs", Sample(cpu)),
    ]


def outage() -> list[Measurement]:
    """Log rows of 20 KB at the same rate while the server is down for half a minute."""
    with serving() as server:
        with _app(server) as app:
            app.calls(2)
            assert app.provider.force_flush()
            before, memory = server.rows(), _resident()
            server.command("down")
            app.calls(DOWN, _DOCUMENT * 30)
            exporter = app.exporter
            client: Client = exporter._client
            grown, waiting, held = _resident() - memory, client.rows, client.bytes / 2**20
            server.command("up")
            time.sleep(0.2)
            app.provider.force_flush(60_000)  # false, because of the rows for which there was no room meanwhile
            assert client.rows == 0
        lost = waiting - (server.rows() - before)
    offered = f"{RATE * DOWN:,} rows of 20 KB offered"
    return [
        Measurement(
            f"log: server down for {DOWN} s, {offered}: rows that wait", "entries", Sample(waiting), budget=2048
        ),
        Measurement("log: the same: bytes that wait", "MB", Sample(held), budget=64),
        Measurement("log: the same: memory of the process grows by", "MB", Sample(grown / 2**20), budget=128),
        Measurement("log: the same: rows lost of those that waited", "entries", Sample(max(lost, 0)), budget=0),
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
