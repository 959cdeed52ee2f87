"""A real collector keeps or drops whole sessions, and decides as the library's sampler does."""

from __future__ import annotations

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from helicone_otel import HeliconeSpanProcessor, SessionSampler, Settings, session
from helicone_otel.otel.sampler import is_kept
from helicone_otel.tracking.registry import Registry
from tests.support.backend import receiving
from tests.support.load import Say
from tests.support.otelcol import request, running, span
from tests.support.spans import CHAT, GENAI

RATIO = 0.25
TRACES = 3
SESSION_ID = "helicone.session.id"


def spans_of(ids: Sequence[str], sampler: Sampler) -> tuple[ReadableSpan, ...]:
    """Return the spans of an app that works on all sessions in turn, several times."""
    registry, exporter = Registry(Settings()), InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(HeliconeSpanProcessor(registry))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(GENAI)
    for _ in range(TRACES):
        for session_id in ids:
            with session("Trips", id=session_id), tracer.start_as_current_span("turn"):
                tracer.start_span("chat gpt-4o", attributes=CHAT).end()
    return exporter.get_finished_spans()


def traces_by_session(spans: Iterator[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Return the number of spans by session and trace."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for session_id, trace in spans:
        found[session_id][trace] += 1
    return found


def through_a_collector(spans: Sequence[ReadableSpan], otelcol: str, folder: Path) -> dict[str, dict[str, int]]:
    with receiving() as sink:
        environ = {"OTEL_BACKEND_ENDPOINT": sink.url, "HELICONE_SESSION_SAMPLING_RATIO": str(RATIO)}
        with running(otelcol, folder, environ) as collector:
            exporter = OTLPSpanExporter(f"http://127.0.0.1:{collector.http_port}/v1/traces")
            for start in range(0, len(spans), 2000):
                exporter.export(spans[start : start + 2000])
        return traces_by_session((span.attributes[SESSION_ID], span.trace) for span in sink.spans)


@pytest.mark.slow
def test_the_library_and_the_collector_keep_the_same_whole_sessions_out_of_ten_thousand(
    otelcol: str, tmp_path: Path, say: Say
) -> None:
    count = 10_000
    ids = [str(uuid.uuid4()) if number % 2 else f"trip {number} ü" for number in range(count)]
    by_library = traces_by_session(
        (str((span.attributes or {})[SESSION_ID]), str(uuid.UUID(int=span.context.trace_id)))
        for span in spans_of(ids, SessionSampler(RATIO))
    )
    by_collector = through_a_collector(spans_of(ids, ALWAYS_ON), otelcol, tmp_path)

    for kept in (by_library, by_collector):
        assert {tuple(traces.values()) for traces in kept.values()} == {(2,) * TRACES}
    assert set(by_library) == set(by_collector)
    # Five standard deviations.
    assert abs(len(by_library) - count * RATIO) <= 5 * math.sqrt(count * RATIO * (1 - RATIO))
    say(f"kept {len(by_library)} of {count} sessions at a ratio of {RATIO}, none torn")


@pytest.mark.slow
@pytest.mark.parametrize("fallback", ["none", "trace"])
def test_spans_without_a_session_are_kept_and_sessions_named_after_traces_are_sampled(
    otelcol: str, tmp_path: Path, fallback: str
) -> None:
    plain = [span("GET /", {}, trace) for trace in range(1, 41)]
    calls = [span("chat", {"gen_ai.operation.name": "chat"}, trace) for trace in range(1, 41)]
    with receiving() as sink:
        environ = {
            "OTEL_BACKEND_ENDPOINT": sink.url,
            "HELICONE_SESSION_SAMPLING_RATIO": "0.5",
            "HELICONE_SESSION_FALLBACK": fallback,
        }
        with running(otelcol, tmp_path, environ) as collector:
            collector.send(request([*plain, *calls]))
        kept = Counter(one.name for one in sink.spans)

    by_library = sum(is_kept(str(uuid.UUID(int=trace)), 0.5) for trace in range(1, 41))
    assert kept == {"GET /": 40, "chat": by_library if fallback == "trace" else 40}
