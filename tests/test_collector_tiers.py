"""Past one machine: one balancer and three collectors behind it, some of which die while spans come in."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backend import PROTOBUF, Backend, dict_of, receiving
from collectors import CONFIGS, ROOT, Collector, free_port, otelcol

SESSIONS = 300
SPANS = 40
SESSION_ID = "helicone.session.id"
PORTS = """
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:GRPC}"}, http: {endpoint: "127.0.0.1:${env:HTTP}"}}}
exporters: {prometheus: {endpoint: "127.0.0.1:${env:PROMETHEUS}"}}
extensions: {health_check: {endpoint: "127.0.0.1:${env:HEALTH}"}}
service: {telemetry: {metrics: {level: none}}}
"""


class Tiers:
    """A balancer, three collectors behind it, and behind each a backend that remembers what came."""

    def __init__(self, folder: Path, sinks: list[Backend]) -> None:
        self.sinks = sinks
        self.processors = [
            self._collector(folder / f"two-{n}", "tier-two.yaml", OTEL_BACKEND_ENDPOINT=sink.url)
            for n, sink in enumerate(sinks)
        ]
        behind = ", ".join(f"127.0.0.1:{processor.environ['GRPC']}" for processor in self.processors)
        self.balancer = self._collector(folder / "one", "tier-one.yaml", OTEL_COLLECTOR_TIER_TWO=f"[{behind}]")

    def _collector(self, folder: Path, tier: str, **environ: str) -> Collector:
        folder.mkdir()
        ports = {name: str(free_port()) for name in ("GRPC", "HTTP", "PROMETHEUS", "HEALTH")}
        (folder / "ports.yaml").write_text(PORTS)
        command = otelcol(ROOT / "collector-config.yaml", CONFIGS / tier, folder / "ports.yaml")
        storage = {"OTEL_COLLECTOR_STORAGE": str(folder / "queue")}
        return Collector(command, {**ports, **storage, **environ}, [int(ports["GRPC"]), int(ports["HTTP"])], folder)

    def arrived(self) -> list[Counter[int]]:
        """Return how often each span has come to each backend, by the span's number."""
        return [Counter(span.attributes["number"] for span in sink.spans) for sink in self.sinks]


@contextmanager
def tiers(folder: Path) -> Iterator[Tiers]:
    with ExitStack() as stack:
        made = Tiers(folder, [stack.enter_context(receiving()) for _ in range(3)])
        for collector in (*made.processors, made.balancer):
            collector.start()
            stack.callback(collector.kill)
        yield made


class Load:
    """Apps that send, each request 40 spans of many sessions, and again what was not taken."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.acknowledged: set[int] = set()
        self.refused = 0
        self._url = f"{url}/v1/traces"
        self._lock = threading.Lock()
        self._number = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while not self._over.is_set():
            with self._lock:
                first, self._number = self._number, self._number + SPANS
            body = request(range(first, first + SPANS))
            while not self._is_taken(body):
                self.refused += 1
                time.sleep(0.2)
            with self._lock:
                self.acknowledged.update(range(first, first + SPANS))
            time.sleep(0.02)

    def _is_taken(self, body: bytes) -> bool:
        post = urllib.request.Request(self._url, body, {"Content-Type": PROTOBUF})
        try:
            with urllib.request.urlopen(post, timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def request(numbers: range) -> bytes:
    """Return spans as an app exports them: of several sessions and traces, and some of no session."""
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scoped = resource.scope_spans.add()
    for number in numbers:
        span = scoped.spans.add(name="chat", trace_id=(number // 4 + 1).to_bytes(16), span_id=(number + 1).to_bytes(8))
        span.attributes.add(key="number").value.int_value = number
        if (chosen := session_of(number)) is not None:
            span.attributes.add(key=SESSION_ID).value.string_value = chosen
    return bytes(export.SerializeToString())


def session_of(number: int) -> str | None:
    """Return whose a span is: four to a trace, and every eleventh trace is nobody's."""
    trace = number // 4
    return None if trace % 11 == 0 else f"trip-{trace * 7 % SESSIONS}"


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.2)


def everything(made: Tiers, load: Load) -> Counter[int]:
    """Wait until all that was acknowledged has arrived somewhere, and return how often."""
    wait_for(lambda: load.acknowledged <= set().union(*made.arrived()), 60)
    return sum(made.arrived(), Counter())


def where_sessions_went(made: Tiers) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for place, sink in enumerate(made.sinks):
        for span in sink.spans:
            if SESSION_ID in span.attributes:
                found[span.attributes[SESSION_ID]].add(place)
    return found


def traces_of_routes(made: Tiers) -> set[str]:
    """Return the attributes that tell of the first tier, on resources and spans behind the second."""
    keys: set[str] = set()
    for sink in made.sinks:
        for span in sink.spans:
            keys |= set(span.attributes)
        for export in sink._requests:
            for resource in export.resource_spans:
                keys |= set(dict_of(resource.resource.attributes))
    return {key for key in keys if "route" in key}


@pytest.mark.slow
@pytest.mark.parametrize("dies", ["a processor", "the balancer"])
def test_every_session_stays_on_one_collector_and_what_was_acknowledged_arrives_whoever_dies(
    dies: str, tmp_path: Path
) -> None:
    with tiers(tmp_path) as made:
        victim = made.balancer if dies == "the balancer" else made.processors[1]
        began = time.monotonic()
        with Load(f"http://127.0.0.1:{made.balancer.environ['HTTP']}") as load:
            time.sleep(3)
            victim.kill()
            before = len(load.acknowledged)
            time.sleep(3)
            during = len(load.acknowledged) - before
            victim.start()
            time.sleep(3)
        arrived = everything(made, load)
        places, routes = where_sessions_went(made), traces_of_routes(made)
        shares = [len(counted) for counted in made.arrived()]

    lost = load.acknowledged - set(arrived)
    twice = sum(arrived.values()) - len(arrived)
    print(
        f"\n{dies} is killed and back after 3 s: {len(load.acknowledged)} spans acknowledged ({during} meanwhile), "
        f"{len(lost)} lost, {twice} twice, {shares} by collector, {load.refused} requests refused, "
        f"{time.monotonic() - began:.1f} s"
    )
    assert lost == set()
    assert len(places) == SESSIONS
    assert {len(collectors) for collectors in places.values()} == {1}
    assert min(shares) > sum(shares) / 10
    assert routes == set()
    assert (during > 0) is (dies == "a processor")
