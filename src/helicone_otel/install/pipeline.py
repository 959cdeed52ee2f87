"""Calls our processor before all other processors of a provider, whenever it is added.

There are two reasons. Some processors hand copies of spans on: Logfire's copies are redacted, and some are made of
spans that have only started. We must decide what a span is before such a copy reaches an exporter. And
`ConcurrentMultiSpanProcessor` calls its processors in the threads of a pool, where the current Context is empty.

So ours is never in the SDK's pipeline of processors. The methods of the pipeline are wrapped, and the wrapped ones
call ours first, in the thread that starts or ends the span. When the methods are restored, nothing remains.
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

# These hand on the very span that they get.
_STOCK: Final = (BatchSpanProcessor, SimpleSpanProcessor, HeliconeSpanProcessor)
# The longest time that is used, in milliseconds. An app may give a huge number for "wait for ever", which would
# overflow in locks and clocks.
_MAX_TIMEOUT_MILLIS: Final = 10**9
PIPELINES: Final = (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor)


class PipelinePrefix:
    """Remembers the pipelines that our processor was added to, and wraps the methods of pipelines.

    Args:
        processor: Our processor.
        registry: Its `decides_at_end` is set when a pipeline has a processor that may hand on copies.
    """

    def __init__(self, processor: SpanProcessor, registry: Registry) -> None:
        self._processor = processor
        self._registry = registry
        # By their ids: a look-up in a set of weak references would cost more than everything else here.
        self._pipelines: dict[int, weakref.ref[Any]] = {}

    def wrapped_add_span_processor(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `add_span_processor` that remembers the pipeline, instead of adding ours to it."""

        @functools.wraps(original)
        def add_span_processor(pipeline: Any, span_processor: SpanProcessor) -> None:
            if span_processor is self._processor and _has_wrapped_methods(pipeline):
                key = id(pipeline)
                self._pipelines[key] = weakref.ref(pipeline, lambda _: self._pipelines.pop(key, None))
                self._check_processors_of(pipeline)
            else:
                original(pipeline, span_processor)
                self._check_processors(span_processor)

        return add_span_processor

    def wrapped_on_start(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_start` that calls ours first."""
        pipelines, ours = self._pipelines, self._processor.on_start

        @functools.wraps(original)
        def on_start(pipeline: Any, span: Span, parent_context: Context | None = None) -> None:
            if id(pipeline) in pipelines:
                ours(span, parent_context)
            original(pipeline, span, parent_context)

        return on_start

    def wrapped_on_end(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_end` that calls ours first."""
        pipelines, ours = self._pipelines, self._processor.on_end

        @functools.wraps(original)
        def on_end(pipeline: Any, span: ReadableSpan) -> None:
            if id(pipeline) in pipelines:
                ours(span)
            original(pipeline, span)

        return on_end

    def wrapped_force_flush(self, original: Callable[..., bool]) -> Callable[..., bool]:
        """Return a `force_flush` that calls ours last, with the time that remains."""
        pipelines, ours = self._pipelines, self._processor.force_flush

        @functools.wraps(original)
        def force_flush(pipeline: Any, timeout_millis: int = 30000) -> bool:
            deadline = time.monotonic() + min(timeout_millis, _MAX_TIMEOUT_MILLIS) / 1000
            is_flushed = original(pipeline, timeout_millis)
            if id(pipeline) in pipelines:
                is_flushed = ours(int(max(deadline - time.monotonic(), 0) * 1000)) and is_flushed
            return is_flushed

        return force_flush

    def wrapped_shutdown(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return a `shutdown` that calls ours last."""
        pipelines, ours = self._pipelines, self._processor.shutdown

        @functools.wraps(original)
        def shutdown(pipeline: Any) -> None:
            try:
                original(pipeline)
            finally:
                if id(pipeline) in pipelines:
                    ours()

        return shutdown

    def check_pipelines(self) -> None:
        """Check the processors of all remembered pipelines: some may be new since the methods were last wrapped."""
        for pipeline in tuple(self._pipelines.values()):
            self._check_processors_of(pipeline())

    def _check_processors_of(self, pipeline: Any) -> None:
        self._check_processors(*getattr(pipeline, "_span_processors", ()))

    def _check_processors(self, *processors: SpanProcessor) -> None:
        if self._registry.active and any(type(processor) not in _STOCK for processor in processors):
            self._registry.decides_at_end = True


def _has_wrapped_methods(pipeline: object) -> bool:
    """Tell whether a pipeline has the methods that are wrapped: a subclass may override them."""
    kind = type(pipeline)
    return any(kind.on_start is base.on_start and kind.on_end is base.on_end for base in PIPELINES)  # type: ignore[attr-defined]  # it is one of them
