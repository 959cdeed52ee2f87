"""Puts our processor before all others of a provider, whenever it comes in.

Others hand copies on: Logfire's are redacted, and some stand for spans that have only begun. What a span
is must be decided before such a copy reaches an exporter. And `ConcurrentMultiSpanProcessor` calls
its processors in the threads of a pool, where the current Context is empty. So ours never joins the
SDK's pipeline of processors: it is called before the pipeline is, in the thread that starts or ends the
span. Nothing stays behind once the wraps are out.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ..otel.processor import HeliconeSpanProcessor
from ..tracking.registry import Registry

# These hand on what they get.
_STOCK: Final = (BatchSpanProcessor, SimpleSpanProcessor, HeliconeSpanProcessor)
# Clocks and locks take no longer times, in milliseconds; apps may mean "for ever".
_FOR_EVER: Final = 10**9
PIPELINES: Final = (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor)


class PipelinePrefix:
    """The pipelines that were given our processor, and what stands in for three of their methods.

    Args:
        processor: Ours.
        registry: Is told when strangers stand behind ours, who may hand on something else than they get.
    """

    def __init__(self, processor: SpanProcessor, registry: Registry) -> None:
        self._processor = processor
        self._registry = registry
        # By their ids: to ask a set of weak references costs more than all else here.
        self._members: dict[int, weakref.ref[Any]] = {}

    def adding(self, add: Callable[..., None]) -> Callable[..., None]:
        """Return an `add_span_processor` that keeps ours out of the pipeline."""

        @functools.wraps(add)
        def add_span_processor(pipeline: Any, span_processor: SpanProcessor) -> None:
            if span_processor is self._processor and _calls_us(pipeline):
                number = id(pipeline)
                self._members[number] = weakref.ref(pipeline, lambda _: self._members.pop(number, None))
                self._look_into(pipeline)
            else:
                add(pipeline, span_processor)
                self._look_at(span_processor)

        return add_span_processor

    def look_again(self) -> None:
        """Look for strangers in the pipelines that were given ours before it was taken out for a while."""
        for member in tuple(self._members.values()):
            self._look_into(member())

    def _look_into(self, pipeline: Any) -> None:
        self._look_at(*getattr(pipeline, "_span_processors", ()))

    def _look_at(self, *processors: SpanProcessor) -> None:
        if self._registry.active and any(type(processor) not in _STOCK for processor in processors):
            self._registry.decides_at_end = True

    def starting(self, start: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_start` that calls ours first."""
        members, first = self._members, self._processor.on_start

        @functools.wraps(start)
        def on_start(pipeline: Any, span: Span, parent_context: Context | None = None) -> None:
            if id(pipeline) in members:
                first(span, parent_context)
            start(pipeline, span, parent_context)

        return on_start

    def ending(self, end: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_end` that calls ours first."""
        members, first = self._members, self._processor.on_end

        @functools.wraps(end)
        def on_end(pipeline: Any, span: ReadableSpan) -> None:
            if id(pipeline) in members:
                first(span)
            end(pipeline, span)

        return on_end

    def flushing(self, flush: Callable[..., bool]) -> Callable[..., bool]:
        """Return a `force_flush` that lets ours do the same in the time that is left."""
        members, first = self._members, self._processor.force_flush

        @functools.wraps(flush)
        def force_flush(pipeline: Any, timeout_millis: int = 30000) -> bool:
            end = time.monotonic() + min(timeout_millis, _FOR_EVER) / 1000
            done = flush(pipeline, timeout_millis)
            if id(pipeline) in members:
                done = first(int(max(end - time.monotonic(), 0) * 1000)) and done
            return done

        return force_flush

    def shutting(self, shut: Callable[..., None]) -> Callable[..., None]:
        """Return a `shutdown` that lets ours do the same."""
        members, first = self._members, self._processor.shutdown

        @functools.wraps(shut)
        def shutdown(pipeline: Any) -> None:
            try:
                shut(pipeline)
            finally:
                if id(pipeline) in members:
                    first()

        return shutdown


def _calls_us(pipeline: object) -> bool:
    """Tell whether a pipeline's methods are those that are wrapped: a subclass may have its own."""
    kind = type(pipeline)
    return any(kind.on_start is base.on_start and kind.on_end is base.on_end for base in PIPELINES)  # type: ignore[attr-defined]  # it is one of them
