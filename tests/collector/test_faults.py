"""The real collector under faults: every acknowledged span arrives. Each test prints its figures.

`HELICONE_OTEL_TEST_OUTAGE=60` makes outages one minute long.
"""

from __future__ import annotations

import gzip
import logging
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from helicone_otel import HeliconeSpanProcessor, session
from tests.support.load import Load, Say
from tests.support.otelcol import Collector, free_ports, request, running, span
from tests.support.sink import ReceivedSpans, http_sink

pytestmark = pytest.mark.slow

OUTAGE: Final = float(os.environ.get("HELICONE_OTEL_TEST_OUTAGE", "20"))


def _wait_for(acknowledged: list[bytes], received: ReceivedSpans, seconds: float) -> float:
    """Wait until all acknowledged spans have arrived, and return the seconds that this took."""
    start = time.monotonic()
    missing = set(acknowledged)
    while missing and time.monotonic() - start < seconds:
        time.sleep(0.2)
        missing -= set(received.ids)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged spans are lost"
    return time.monotonic() - start


def _twice(received: ReceivedSpans) -> int:
    ids = received.ids
    return len(ids) - len(set(ids))


def test_no_span_is_lost_if_the_backend_is_down_and_the_collector_is_restarted_and_killed(
    otelcol: str, tmp_path: Path, say: Say
) -> None:
    received = ReceivedSpans()
    (port,) = free_ports(1)
    with running(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": f"http://127.0.0.1:{port}"}) as collector:
        with Load(collector) as load:
            with http_sink(received, port):
                time.sleep(2)
            before = len(load.acknowledged)
            time.sleep(OUTAGE / 3)
            collector.stop(signal.SIGTERM)
            collector.start()
            time.sleep(OUTAGE / 3)
            collector.stop(signal.SIGKILL)
            collector.start()
            time.sleep(OUTAGE / 3)
            during = len(load.acknowledged) - before
            queued = collector.own_metric("otelcol_exporter_queue_size", 'exporter="otlp_http"')
            with http_sink(received, port):
                time.sleep(2)
                load.__exit__()
                took = _wait_for(load.acknowledged, received, 60)
    say(
        f"backend down for {OUTAGE:.0f} s, collector restarted and killed -9 meanwhile: {len(load.acknowledged)} spans "
        f"acknowledged, {during} of them in the outage, 0 lost, {_twice(received)} twice, {load.refused} sends refused "
        f"and repeated; {queued / 1e6:.1f} MB on disk at its end, all there {took:.1f} s after it; {load.percentiles()}"
    )
    assert during > 1000


def test_a_full_queue_refuses_spans_and_loses_none(otelcol: str, tmp_path: Path, say: Say) -> None:
    received = ReceivedSpans()
    (port,) = free_ports(1)
    environ = {"OTEL_BACKEND_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_COLLECTOR_QUEUE_BYTES": "4000000"}
    with running(otelcol, tmp_path, environ) as collector, Load(collector, text=2000) as load:
        while load.refused < 10:
            time.sleep(0.1)
        full = len(load.acknowledged)
        with http_sink(received, port):
            while len(load.acknowledged) < full + 1000:
                time.sleep(0.1)
            load.__exit__()
            _wait_for(load.acknowledged, received, 60)
    say(
        f"{full} spans until the queue of 4 MB was full, {len(load.acknowledged)} in all, 0 lost, "
        f"{_twice(received)} twice"
    )


def test_a_slow_backend_does_not_slow_the_clients(otelcol: str, tmp_path: Path, say: Say) -> None:
    with http_sink() as sink:
        sink.received.delay = 1
        with running(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": sink.url}) as collector:
            with Load(collector, slack=0.005) as load:
                time.sleep(OUTAGE / 2)
            behind = len(load.acknowledged) - len(sink.received.spans)
            took = _wait_for(load.acknowledged, sink.received, 60)
    say(
        f"each answer after 1 s: {len(load.acknowledged)} spans acknowledged, {load.refused} sends refused, 0 lost, "
        f"{behind} behind at the end and {took:.1f} s to catch up; {load.percentiles()}"
    )
    assert load.refused == 0
    assert statistics.median(load.waits) < 500


def test_at_its_memory_limit_it_refuses_spans_and_keeps_running(otelcol: str, tmp_path: Path, say: Say) -> None:
    limit = {"check_interval": "100ms", "limit_mib": 90, "spike_limit_mib": 30}
    with http_sink() as sink:
        environ = {"OTEL_BACKEND_ENDPOINT": sink.url}
        with running(otelcol, tmp_path, environ, {"processors": {"memory_limiter": limit}}) as collector:
            loads = [Load(collector, size=20, text=400_000, slack=0) for _ in range(6)]
            for load in loads:
                load.__enter__()
            deadline = time.monotonic() + 60
            while not collector.own_metric("otelcol_receiver_refused_spans"):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            time.sleep(3)
            refused = collector.own_metric("otelcol_receiver_refused_spans")
            for load in loads:
                load.__exit__()
            acknowledged = [one for load in loads for one in load.acknowledged]
            _wait_for(acknowledged, sink.received, 60)
            resident = collector.own_metric("otelcol_process_memory_rss") / 2**20
            with Load(collector, size=1) as afterwards:
                start = time.monotonic()
                while not afterwards.acknowledged:
                    assert time.monotonic() < start + 30, "it has not recovered"
                    time.sleep(0.05)
                recovered = time.monotonic() - start
            _wait_for(afterwards.acknowledged, sink.received, 30)
    say(
        f"8 MB a batch, limit 90 MiB: {refused:.0f} spans refused, {len(acknowledged)} acknowledged, 0 lost, "
        f"{_twice(sink.received)} twice; {resident:.0f} MiB resident; takes spans again after {recovered:.1f} s"
    )


def test_requests_that_are_too_large_or_no_otlp_are_refused_without_harm_to_others(
    otelcol: str, tmp_path: Path, say: Say
) -> None:
    good = request([span("good", {})]).SerializeToString()
    large = request([span("large", {"text": "x" * 25_000_000})])
    protobuf, json = "application/x-protobuf", "application/json"
    with http_sink() as sink:
        with running(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": sink.url}) as collector:
            with pytest.raises(grpc.RpcError) as refused:
                collector.send(large)
            answers = {
                "garbage": collector.post(b"\xff\xfe garbage", protobuf),
                "half a request": collector.post(good[: len(good) // 2], protobuf),
                "no JSON": collector.post(b'{"resourceSpans": [', json),
                "JSON of something else": collector.post(b'{"resourceSpans": 1}', json),
                "protobuf as JSON": collector.post(good, json),
                "no gzip": collector.post(good, protobuf, "gzip"),
                "another type": collector.post(good, "text/plain"),
                "25 MB": _status(collector, large.SerializeToString(), protobuf),
                "a gzip of 300 MB of nothing": collector.post(gzip.compress(bytes(300_000_000), 1), protobuf, "gzip"),
                "nothing": collector.post(b"", protobuf),
                "good": collector.post(good, protobuf),
            }
            sink.received.wait_for(1)
            resident = collector.own_metric("otelcol_process_memory_rss") / 2**20
    by_http = ", ".join(f"{body} {status}" for body, status in answers.items())
    say(f"25 MB by gRPC {refused.value.code().name}; by HTTP: {by_http}; {resident:.0f} MiB resident afterwards")
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answers.pop("another type") == 415
    assert [answers.pop("nothing"), answers.pop("good")] == [200, 200]
    assert all(400 <= status < 500 for status in answers.values()), answers
    assert [one.name for one in sink.received.spans] == ["good"]


def _status(collector: Collector, body: bytes, content_type: str) -> int:
    try:
        return collector.post(body, content_type)
    except OSError:  # the collector closed the connection before the body was sent
        return 413


@contextmanager
def _app(port: int) -> Iterator[TracerProvider]:
    """Run an app that is set up as by `configure()` and exports by the SDK's batch processor."""
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}", timeout=2)
    provider = TracerProvider()
    provider.add_span_processor(HeliconeSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    try:
        yield provider
    finally:
        provider.shutdown()


def _work(provider: TracerProvider, count: int) -> tuple[float, float]:
    """Make spans as fast as possible; return the mean and the longest time of one, in microseconds."""
    tracer = provider.get_tracer("acme")
    longest, start = 0.0, time.perf_counter()
    with session("Trip Planning"):
        for _ in range(count):
            before = time.perf_counter()
            with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
                pass
            longest = max(longest, time.perf_counter() - before)
    return (time.perf_counter() - start) / count * 1e6, longest * 1e6


def test_an_app_is_not_slower_while_its_collector_is_down_and_logs_the_spans_that_it_drops(
    otelcol: str, tmp_path: Path, say: Say, caplog: pytest.LogCaptureFixture
) -> None:
    count = 30_000
    with http_sink() as sink, running(otelcol, tmp_path, {"OTEL_BACKEND_ENDPOINT": sink.url}) as collector:
        with _app(collector.grpc_port) as provider:
            up, longest_up = _work(provider, count)
        collector.stop()
        with _app(collector.grpc_port) as provider:
            with caplog.at_level(logging.WARNING, logger="opentelemetry"):
                down, longest_down = _work(provider, count)
            logged = [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")]
            collector.start()
            delivered = len(sink.received.spans)
        # The app sent the rest of its queue when it ended.
        time.sleep(1)
        arrived = len(sink.received.spans) - delivered
    dropped = [text for text in logged if "dropping" in text.lower()]
    say(
        f"a span takes {up:.0f} µs with the collector up (longest {longest_up / 1e3:.1f} ms), {down:.0f} µs with it "
        f"down (longest {longest_down / 1e3:.1f} ms); of {count} made meanwhile {arrived} arrived later and "
        f"{count - arrived} were dropped; the SDK logged: {dropped[:1]}"
    )
    assert dropped
    assert 0 < arrived <= 2048 + 512
    assert down < 5 * up
