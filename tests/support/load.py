"""An app that sends batches to a collector all the time, and counts what the collector acknowledged."""

from __future__ import annotations

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Self

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.support.otelcol import Collector, request, span

Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Say:
    """Yield a function that prints the figures of a test, even if output is captured."""

    def print_figures(figures: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {request.node.name}: {figures}\n")

    return print_figures


class Load:
    """An app that sends batches and keeps what was not acknowledged.

    Attributes:
        acknowledged: The ids of the spans that the collector acknowledged.
        refused: How often the collector refused a batch.
        waits: How many milliseconds each acknowledgement took.
        slack: The pause between two batches, in seconds.
    """

    def __init__(self, collector: Collector, size: int = 50, text: int = 200, slack: float = 0.02) -> None:
        self.acknowledged: list[bytes] = []
        self.refused = 0
        self.waits: list[float] = []
        self.slack = slack
        self._size, self._text = size, text
        self._collector = collector
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        target = f"127.0.0.1:{self._collector.grpc_port}"
        options = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))
        with grpc.insecure_channel(target, options) as channel:
            stub = TraceServiceStub(channel)
            while not self._over.is_set():
                self._send_one(stub, self._batch())

    def _batch(self) -> ExportTraceServiceRequest:
        # Random, so that it cannot be compressed much.
        text = random.randbytes(self._text // 2).hex()
        return request([span("chat", {"session.id": "s-1", "text": text}) for _ in range(self._size)])

    def _send_one(self, stub: TraceServiceStub, batch: ExportTraceServiceRequest) -> None:
        while True:
            start = time.perf_counter()
            try:
                stub.Export(batch, timeout=10)
            except grpc.RpcError:
                self.refused += 1
                if self._over.wait(0.1):
                    return
            else:
                self.waits.append((time.perf_counter() - start) * 1e3)
                self.acknowledged += [one.span_id for one in batch.resource_spans[0].scope_spans[0].spans]
                self._over.wait(self.slack)
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def percentiles(self) -> str:
        """Return how long acknowledgements took, as a text."""
        waits = sorted(self.waits)
        return (
            f"acknowledged in {statistics.median(waits):.1f} ms (median), {waits[int(len(waits) * 0.99)]:.0f} ms (p99)"
        )
