"""Providers that call their processors in the threads of a pool, where the current Context is empty.

`ConcurrentMultiSpanProcessor` does. A span's session and parent could not be seen there, and an exporter
beside us might ask for a label before it is settled. Such a pool never gets to see our processor: it is
called before the pool is, in the thread that starts or ends the span.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor


class Pools:
    """The pools that were given our processor, and what stands in for three of their methods.

    Args:
        processor: Ours.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor
        self._members: weakref.WeakSet[Any] = weakref.WeakSet()

    def adding(self, add: Callable[..., None]) -> Callable[..., None]:
        """Return an `add_span_processor` that keeps ours out of the pool."""

        @functools.wraps(add)
        def add_span_processor(pool: Any, span_processor: SpanProcessor) -> None:
            if span_processor is self._processor:
                self._members.add(pool)
            else:
                add(pool, span_processor)

        return add_span_processor

    def starting(self, start: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_start` that calls ours first."""

        @functools.wraps(start)
        def on_start(pool: Any, span: Span, parent_context: Context | None = None) -> None:
            if pool in self._members:
                self._processor.on_start(span, parent_context)
            start(pool, span, parent_context)

        return on_start

    def ending(self, end: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_end` that calls ours first."""

        @functools.wraps(end)
        def on_end(pool: Any, span: ReadableSpan) -> None:
            if pool in self._members:
                self._processor.on_end(span)
            end(pool, span)

        return on_end
