"""Two tiers of collectors: a balancer and three collectors behind it, one of which dies while spans arrive."""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.backend import dict_of
from tests.support.load import Load, Say
from tests.support.otelcol import CONFIG, Collector, request, running, span
from tests.support.paths import TESTS
from tests.support.sink import ReceivedSpans, http_sink

CONFIGS = TESTS / "collector"
SESSIONS = 300
SESSION_ID = "helicone.session.id"


class Chats(Load):
    """An app with several sessions in each request: four spans a trace, and every eleventh trace has no session."""

    _traces = itertools.count(1)

    def _batch(self) -> ExportTraceServiceRequest:
        traces = [next(self._traces) for _ in range(10)]
        return request([span("chat", attributes_of(trace), trace) for trace in traces for _ in range(4)])


def attributes_of(trace: int) -> Mapping[str, object]:
    return {SESSION_ID: f"trip-{trace % SESSIONS}"} if trace % 11 else {"app.plan": "pro"}


class Tiers:
    """A balancer, three collectors behind it, and the spans that each of these sent to its backend."""

    def __init__(self, balancer: Collector, processors: list[Collector], received: list[ReceivedSpans]) -> None:
        self.balancer = balancer
        self.processors = processors
        self.received = received

    def wait_for(self, acknowledged: set[bytes], seconds: float = 60) -> set[bytes]:
        """Wait until spans have arrived somewhere, and return those that have not."""
        deadline = time.monotonic() + seconds
        while (missing := acknowledged.difference(*(one.ids for one in self.received))) and time.monotonic() < deadline:
            time.sleep(0.2)
        return missing

    def backends_by_session(self) -> dict[str, set[int]]:
        """Return the numbers of the backends that received spans of each session."""
        found: dict[str, set[int]] = defaultdict(set)
        for number, one in enumerate(self.received):
            for arrived in one.spans:
                if session_id := dict_of(arrived.attributes).get(SESSION_ID):
                    found[session_id].add(number)
        return found

    def keys(self) -> set[str]:
        """Return the names of all received attributes, of spans and of resources."""
        spans = [arrived.attributes for one in self.received for arrived in one.spans]
        exports = [export for one in self.received for export in one.requests]
        resources = [part.resource.attributes for export in exports for part in export.resource_spans]
        return {pair.key for pairs in (*spans, *resources) for pair in pairs}


@contextmanager
def tiers(otelcol: str, folder: Path) -> Iterator[Tiers]:
    with ExitStack() as stack:

        def collector(name: str, tier: str, **environ: str) -> Collector:
            changes = yaml.safe_load((CONFIGS / tier).read_text())
            return stack.enter_context(running(otelcol, folder / name, environ, changes))

        sinks = [stack.enter_context(http_sink()) for _ in range(3)]
        behind = [
            collector(f"processor-{number}", "tier-two.yaml", OTEL_BACKEND_ENDPOINT=sink.url)
            for number, sink in enumerate(sinks)
        ]
        addresses = ", ".join(f"127.0.0.1:{one.grpc_port}" for one in behind)
        balancer = collector("balancer", "tier-one.yaml", OTEL_COLLECTOR_TIER_TWO=f"[{addresses}]")
        yield Tiers(balancer, behind, [sink.received for sink in sinks])


@pytest.mark.slow
@pytest.mark.parametrize("dies", ["a processor", "the balancer"])
def test_if_a_collector_dies_each_session_stays_on_one_collector_and_no_acknowledged_span_is_lost(
    otelcol: str, tmp_path: Path, say: Say, dies: str
) -> None:
    began = time.monotonic()
    with tiers(otelcol, tmp_path) as made:
        victim = made.balancer if dies == "the balancer" else made.processors[1]
        with ExitStack() as stack:
            loads = [stack.enter_context(Chats(made.balancer)) for _ in range(3)]
            time.sleep(3)
            victim.stop(signal.SIGKILL)
            before = sum(len(load.acknowledged) for load in loads)
            time.sleep(3)
            meanwhile = sum(len(load.acknowledged) for load in loads) - before
            victim.start()
            time.sleep(3)
        acknowledged = {span_id for load in loads for span_id in load.acknowledged}
        lost = made.wait_for(acknowledged)
        backends, keys = made.backends_by_session(), made.keys()
        arrived = [Counter(one.ids) for one in made.received]

    shares, total = [len(counted) for counted in arrived], sum(arrived, Counter())
    say(
        f"{len(acknowledged)} spans acknowledged, {meanwhile} of them while it was dead for 3 s, {len(lost)} lost, "
        f"{total.total() - len(total)} twice; by collector {shares}; "
        f"{sum(load.refused for load in loads)} batches refused; {time.monotonic() - began:.0f} s"
    )
    assert lost == set()
    assert len(backends) == SESSIONS
    assert {len(numbers) for numbers in backends.values()} == {1}
    assert min(shares) > sum(shares) / 10
    assert keys == {"service.name", SESSION_ID, "session.id", "helicone.session.name", "app.plan"}
    assert (meanwhile > 0) is (dies == "a processor")


def test_the_second_tier_adds_one_processor_to_the_pipeline_of_collector_config() -> None:
    single, second = (yaml.safe_load(path.read_text()) for path in (CONFIG, CONFIGS / "tier-two.yaml"))
    processors: list[Any] = single["service"]["pipelines"]["traces"]["processors"]

    assert second["service"]["pipelines"]["traces"]["processors"] == [
        processors[0],
        "transform/unroute",
        *processors[1:],
    ]


@pytest.mark.parametrize(
    "resolver",
    [
        {"k8s": {"service": "tier-two.observability", "ports": [4317]}},
        {"dns": {"hostname": "tier-two.observability.svc.cluster.local"}},
    ],
)
def test_the_list_of_collectors_can_be_replaced_by_a_resolver_of_kubernetes(
    otelcol: str, tmp_path: Path, resolver: Mapping[str, object]
) -> None:
    overlay = tmp_path / "kubernetes.yaml"
    overlay.write_text(yaml.safe_dump({"exporters": {"load_balancing": {"resolver": {"static": None, **resolver}}}}))
    configs = [f"--config={path}" for path in (CONFIG, CONFIGS / "tier-one.yaml", overlay)]
    done = subprocess.run(
        [otelcol, "validate", *configs],
        env={"OTEL_COLLECTOR_STORAGE": str(tmp_path / "queue")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
