"""Replays recorded spans: starts and ends them under the real SDK, with the library's processor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
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
from .spans import Injection, RecordedSpan, Recording, SpanState

_NO_SCOPE_NAME: Final = " "
# These variables of an application would switch the replay off, or remove attributes.
_SDK_VARIABLES: Final = ("OTEL_SDK_DISABLED", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")


def remove_sdk_variables() -> None:
    """Remove the variables from this process' environment that would keep spans from being replayed."""
    for name in _SDK_VARIABLES:
        os.environ.pop(name, None)


class Replayed(NamedTuple):
    """A recorded span after the replay.

    Attributes:
        recorded: The span as it was recorded.
        at_start: Its classification when it started, without regard to other spans.
        final: The span with its final label.
        record: The library's record of the span when it ended; `None` if there was none.
        path_at_injection: The path in the first headers that were injected while it was current; `None` without any.
    """

    recorded: RecordedSpan
    at_start: Classification
    final: ReadableSpan
    record: SpanRecord | None
    path_at_injection: str | None


class Replay:
    """Replays one recording, once.

    Args:
        recording: The spans, parents first.
        registry: Labels the spans and keeps their records. It must be new.
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
        """Replay all spans, and then yield each of them, in the order of the recording."""
        events = sorted(self._events(), key=lambda event: event[0])
        # Without threads in the recording this thread replays everything: handing over would take half of the time.
        in_threads = len({thread for _, thread, _ in events}) > 1
        with ExitStack() as stack:
            threads: dict[str, ThreadPoolExecutor] = {}
            for _, thread, event in events:
                if not in_threads:
                    event()
                    continue
                if thread not in threads:
                    threads[thread] = stack.enter_context(ThreadPoolExecutor(max_workers=1))
                threads[thread].submit(event).result()
        for recorded in self._recording.spans:
            yield self._replayed(recorded)

    def _events(self) -> Iterator[tuple[tuple[int, int, int], str, Callable[[], None]]]:
        """Yield starts, ends and injections with sort keys. At the same time, parents start first and end last."""
        begun: dict[tuple[str, str], int] = {}
        for index, span in enumerate(self._recording.spans):
            begins = begun[span.key] = max(span.begins, begun.get(span.parent_key, 0))
            yield (begins, 0, index), span.thread, lambda span=span: self._start(span)  # type: ignore[misc]  # bound now
            if span.ends is not None:
                yield (max(span.ends, begins), 2, -index), span.thread, lambda span=span: self._end(span)  # type: ignore[misc]
        for index, injection in enumerate(self._recording.injections):
            yield (injection.at, 1, index), "", lambda injection=injection: self._inject(injection)  # type: ignore[misc]

    def _start(self, span: RecordedSpan) -> None:
        self._bring_to(span.above_at_start)
        self._ids.trace_id, self._ids.span_id = int(span.trace_id, 16), int(span.span_id, 16)
        live = self._tracer(span).start_span(
            span.name_at_start,
            context=self._parent_context(span),
            kind=trace.SpanKind[span.kind],
            attributes=dict(span.attributes_at_start),
            start_time=span.start_time,
        )
        self._live[span.span_id] = cast("Span", live)
        reader = self._registry.reader
        scope = reader.scope(span.scope)
        self._at_start[span.span_id] = reader.read(scope, span.name_at_start, span.kind, span.attributes_at_start)

    def _parent_context(self, span: RecordedSpan) -> Context:
        parent: trace.Span | None = self._live.get(span.parent_id)
        if parent is None and span.parent_id:  # the parent is in another service, or not in the file
            ids = int(span.trace_id, 16), int(span.parent_id, 16)
            parent = trace.NonRecordingSpan(trace.SpanContext(*ids, is_remote=True))
        return trace.set_span_in_context(parent, Context()) if parent is not None else Context()

    def _inject(self, injection: Injection) -> None:
        self._bring_to(injection.known)
        current = self._live.get(injection.span_id)
        if current is not None:
            location = self._registry.locate(trace.set_span_in_context(current, Context()))
            if location is not None:
                self._injected.setdefault(injection.span_id, location.path)

    def _bring_to(self, states: Mapping[str, SpanState]) -> None:
        """Give open spans the names and attributes that they had at this time."""
        for span_id, state in states.items():
            live = self._live.get(span_id)
            if live is None or not live.is_recording():
                continue
            if state.name:
                live.update_name(state.name)
            live.set_attributes(dict(state.attributes))

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
            # Other SDKs allow a scope without a name; this one would log a warning.
            tracer = self._tracers[key] = self._provider(span).get_tracer(span.scope or _NO_SCOPE_NAME)
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
    """Gives the next span the ids that it was recorded with."""

    trace_id = span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Ended(SpanProcessor):
    """Keeps spans as an exporter gets them, with the library's records of them at that time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.spans: dict[str, tuple[ReadableSpan, SpanRecord | None]] = {}

    def on_end(self, span: ReadableSpan) -> None:
        final = finalized(span, self._registry)
        ids = span.get_span_context()
        if ids is not None:
            record = self._registry.record_of(span)
            self.spans[f"{ids.span_id:016x}"] = final, record
