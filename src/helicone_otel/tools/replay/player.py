"""Plays recorded spans again: live, under the real SDK, with the library's own processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, NamedTuple, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ...otel.exporter import finalized
from ...otel.processor import HeliconeSpanProcessor
from ...spans.schema import Classification
from ...tracking.records import SpanRecord
from ...tracking.registry import Registry
from .spans import Injection, RecordedSpan, Recording

_NAMELESS: Final = " "


class Replayed(NamedTuple):
    """What one recorded span was said to be.

    Attributes:
        recorded: As it stood in the file.
        at_start: What it was read as when it started, by itself.
        final: With the label that it bears in the end.
        record: What the library remembered of it when it ended; `None`: nothing.
        path_at_injection: What its headers would have said, if it sent any.
    """

    recorded: RecordedSpan
    at_start: Classification
    final: ReadableSpan
    record: SpanRecord | None
    path_at_injection: str | None


class Replay:
    """One recording, played once.

    Args:
        recording: Spans, parents first.
        registry: Decides what they are; afterwards it knows them.
    """

    def __init__(self, recording: Recording, registry: Registry) -> None:
        self._recording = recording
        self._registry = registry
        self._ids = _RecordedIds()
        self._ended = _Ended(registry)
        self._providers: dict[int, TracerProvider] = {}
        self._tracers: dict[tuple[int, str], trace.Tracer] = {}
        self._live: dict[str, Span] = {}
        self._at_start: dict[str, Classification] = {}
        self._injected: dict[str, str] = {}

    def run(self) -> Iterator[Replayed]:
        """Play it, and yield what became of each span, in the recording's order."""
        events = sorted(self._events(), key=lambda event: event[0])
        # A file that tells of no threads is played in this one: handing over would be half of the time.
        in_threads = len({thread for _, thread, _ in events}) > 1
        with ExitStack() as stack:
            threads: dict[str, ThreadPoolExecutor] = {}
            for _, thread, happen in events:
                if not in_threads:
                    happen()
                    continue
                if thread not in threads:
                    threads[thread] = stack.enter_context(ThreadPoolExecutor(max_workers=1))
                threads[thread].submit(happen).result()
        for recorded in self._recording.spans:
            yield self._replayed(recorded)

    def _events(self) -> Iterator[tuple[tuple[int, int, int], str, Callable[[], None]]]:
        """Yield what happened, with when: of what was at the same time, parents start first and end last."""
        begun: dict[tuple[str, str], int] = {}
        for place, span in enumerate(self._recording.spans):
            begins = begun[span.key] = max(span.begins, begun.get(span.parent_key, 0))
            yield (begins, 0, place), span.thread, lambda span=span: self._start(span)  # type: ignore[misc]  # bound now
            if span.ends is not None:
                yield (max(span.ends, begins), 2, -place), span.thread, lambda span=span: self._end(span)  # type: ignore[misc]
        for place, injection in enumerate(self._recording.injections):
            yield (injection.at, 1, place), "", lambda injection=injection: self._inject(injection)  # type: ignore[misc]

    def _start(self, span: RecordedSpan) -> None:
        self._ids.trace_id, self._ids.span_id = int(span.trace_id, 16), int(span.span_id, 16)
        live = self._tracer(span).start_span(
            span.name_at_start,
            context=self._context_above(span),
            kind=trace.SpanKind[span.kind],
            attributes=dict(span.attributes_at_start),
            start_time=span.start_time,
        )
        self._live[span.span_id] = cast("Span", live)
        reader = self._registry.reader
        scope = reader.scope(span.scope)
        self._at_start[span.span_id] = reader.read(scope, span.name_at_start, span.kind, span.attributes_at_start)

    def _context_above(self, span: RecordedSpan) -> Context:
        parent: trace.Span | None = self._live.get(span.parent_id)
        if parent is None and span.parent_id:  # in another service, or not in the file
            ids = int(span.trace_id, 16), int(span.parent_id, 16)
            parent = trace.NonRecordingSpan(trace.SpanContext(*ids, is_remote=True))
        return trace.set_span_in_context(parent, Context()) if parent is not None else Context()

    def _inject(self, injection: Injection) -> None:
        for span_id, known in injection.known.items():
            if span_id in self._live:
                self._live[span_id].set_attributes(dict(known))
        current = self._live.get(injection.span_id)
        if current is not None:
            location = self._registry.locate(trace.set_span_in_context(current, Context()))
            if location is not None:
                self._injected.setdefault(injection.span_id, location.path)

    def _end(self, span: RecordedSpan) -> None:
        live = self._live[span.span_id]
        live.update_name(span.name)
        if span.attributes is not span.attributes_at_start:
            live.set_attributes(dict(span.attributes))
        live.end(span.end_time)

    def _tracer(self, span: RecordedSpan) -> trace.Tracer:
        key = id(span.resource), span.scope
        tracer = self._tracers.get(key)
        if tracer is None:
            # Other SDKs may leave a scope without a name, of which this one would complain in the log.
            tracer = self._tracers[key] = self._provider(span).get_tracer(span.scope or _NAMELESS)
        return tracer

    def _provider(self, span: RecordedSpan) -> TracerProvider:
        provider = self._providers.get(id(span.resource))
        if provider is None:
            unlimited: Any = SpanLimits.UNSET
            provider = self._providers[id(span.resource)] = TracerProvider(
                sampler=ALWAYS_ON,
                resource=Resource(dict(span.resource)),
                shutdown_on_exit=False,
                id_generator=self._ids,
                span_limits=SpanLimits(max_attributes=unlimited, max_span_attributes=unlimited),
            )
            provider.add_span_processor(HeliconeSpanProcessor(self._registry))
            provider.add_span_processor(self._ended)
        return provider

    def _replayed(self, recorded: RecordedSpan) -> Replayed:
        live = self._live[recorded.span_id]
        final, record = self._ended.spans.get(recorded.span_id) or (live, self._registry.record_of(live))
        injected = self._injected.get(recorded.span_id)
        return Replayed(recorded, self._at_start[recorded.span_id], final, record, injected)


class _RecordedIds(IdGenerator):
    """Gives the next span the ids that it had."""

    trace_id = span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Ended(SpanProcessor):
    """Keeps spans as an exporter gets them, and what was remembered of them by then."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.spans: dict[str, tuple[ReadableSpan, SpanRecord | None]] = {}

    def on_end(self, span: ReadableSpan) -> None:
        final = finalized(span, self._registry)
        ids = span.get_span_context()
        if ids is not None:
            record = self._registry.record_of(span)
            self.spans[f"{ids.span_id:016x}"] = final, record
