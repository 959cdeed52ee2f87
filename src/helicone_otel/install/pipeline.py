"""Calls our processor before all other processors of a provider, whenever it is added.

There are two reasons. Some processors hand copies of spans on: Logfire's copies are redacted, and some are made of
spans that have only started. We must decide what a span is before such a copy reaches an exporter. And
`ConcurrentMultiSpanProcessor` calls its processors in the threads of a pool, where the current Context is empty.

So ours is never in the SDK's pipeline of processors. The methods of the pipeline are wrapped, and the wrapped ones
call ours first, in the thread that starts or ends the span. When the methods are restored, nothing remains.

Not all providers are the app's. A `Gate` stands for each one, and is asked at the provider's first span.
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
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ..failures import swallow
from ..otel.processor import HeliconeSpanProcessor
from ..tracking.registry import Registry

# The longest time that is used, in milliseconds. An app may give a huge number for "wait for ever", which would
# overflow in locks and clocks.
_MAX_TIMEOUT_MILLIS: Final = 10**9
PIPELINES: Final = (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor)


class Gate(SpanProcessor):
    """Stands for one provider, and lets its spans pass to our processor if they are the app's.

    For a pipeline whose methods are wrapped, the wrapped methods ask it. A pipeline with methods of its own has it as
    one of its processors.

    Args:
        prefix: Calls our processor.
        provider: The provider; `None` if only its pipeline is known.

    Attributes:
        is_open: Whether the provider's spans are the app's, as far as that was decided.
        reason: Why.
        decided_with: The global provider when that was decided; the gate itself if it is to be decided.
        added: The factories whose processors were added to the provider.
    """

    def __init__(self, prefix: PipelinePrefix, provider: TracerProvider | None = None) -> None:
        self._prefix = prefix
        self.meet(provider)
        self.is_open = False
        self.reason = ""
        self.decided_with: object = self
        self._pipeline: weakref.ref[Any] | None = None
        self.added: dict[Callable[[], SpanProcessor], object] = {}

    @property
    def provider(self) -> TracerProvider | None:
        """The provider, if it is known and still there."""
        return self._provider() if self._provider is not None else None

    @property
    def pipeline(self) -> Any:
        """The provider's pipeline, if it is known and still there; otherwise `None`."""
        return self._pipeline() if self._pipeline is not None else None

    def stand_before(self, pipeline: Any, forget: Callable[[object], None] | None = None) -> None:
        """Learn which pipeline it stands before; `forget` is called when that is gone."""
        self._pipeline = weakref.ref(pipeline, forget)

    def meet(self, provider: TracerProvider | None) -> None:
        """Learn which provider it stands for."""
        self._provider = weakref.ref(provider) if provider is not None else None

    def add(self, factory: Callable[[], SpanProcessor]) -> None:
        """Add a processor to the provider, unless one of this factory was added before."""
        mine = object()
        if self.added.setdefault(factory, mine) is not mine:
            return
        provider, pipeline = self.provider, self.pipeline
        if provider is not None:
            # The method of the base class, because Phoenix overrides it: there, what is added *replaces* its exporter.
            TracerProvider.add_span_processor(provider, factory())
        elif pipeline is not None:
            pipeline.add_span_processor(factory())

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Label a span that has started, if it is the app's."""
        self._prefix.start(self, span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Decide for good what a span that has ended bears, if it is the app's."""
        # Nothing tells when the processors behind this one have had the span.
        self._prefix.registry.are_ends_unseen = True
        self._prefix.end(self, span)
        self._prefix.processor.hand_on(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is to be logged to Helicone."""
        return self._prefix.processor.force_flush(timeout_millis) if self._prefix.is_open(self) else True

    def shutdown(self) -> None:
        """Send what is to be logged to Helicone."""
        if self._prefix.is_open(self):
            self._prefix.processor.shutdown()


# These hand on the very span that they get.
_STOCK: Final = (BatchSpanProcessor, SimpleSpanProcessor, HeliconeSpanProcessor, Gate)


class PipelinePrefix:
    """Remembers pipelines, wraps their methods, and calls our processor for those of the app.

    Args:
        processor: Our processor.
        registry: Its `decides_at_end` is set when a pipeline of the app has a processor that may hand on copies.
        decide: Decides whether a provider's spans are the app's: by its gate, and its resource or `None`.
        current: Returns the global provider: when it changes, it is decided again.
    """

    def __init__(
        self,
        processor: HeliconeSpanProcessor,
        registry: Registry,
        decide: Callable[[Gate, object], bool],
        current: Callable[[], object],
    ) -> None:
        self.processor = processor
        self.registry = registry
        self._decide = decide
        self._current = current
        # By the ids of pipelines: a look-up in a dict of weak references would cost more than everything else here.
        self._open: dict[int, Gate] = {}
        self._gates: dict[int, Gate] = {}
        # The SDK cannot remove a processor, so what was added to a provider is remembered beyond an uninstall.
        self._by_provider: weakref.WeakKeyDictionary[TracerProvider, Gate] = weakref.WeakKeyDictionary()

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates of all providers that were seen and are still there."""
        return tuple(dict.fromkeys((*self._by_provider.values(), *self._gates.values())))

    def gate_of(self, provider: TracerProvider) -> Gate:
        """Return the gate of a provider; put it before the provider's processors if it is new."""
        if (gate := self._by_provider.get(provider)) is None:
            gate = Gate(self, provider)
            TracerProvider.add_span_processor(provider, gate)
            gate = self._by_provider[provider] = self._gates.get(id(gate.pipeline), gate)
        return gate

    def is_open(self, gate: Gate, resource: object = None) -> bool:
        """Tell whether a provider's spans are the app's; decide it now if something has changed. Never raises."""
        if gate.is_open:
            return True
        current = self._current()
        if gate.decided_with is current:
            return False
        try:
            gate.decided_with = current
            gate.is_open = self._decide(gate, resource)
            pipeline = gate.pipeline
            if gate.is_open and pipeline is not None:
                if self._gates.get(id(pipeline)) is gate:
                    self._open[id(pipeline)] = gate
                self._check_processors_of(pipeline)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's start_span
            swallow("whose spans", error)
        return gate.is_open

    def forget_decisions(self) -> None:
        """Decide again about all providers."""
        for gate in self.gates:
            gate.decided_with = gate

    def close(self) -> None:
        """Take no provider's spans for the app's any more, until that is decided again."""
        self._open.clear()
        for gate in self.gates:
            gate.is_open, gate.decided_with = False, gate

    def start(self, gate: Gate, span: Span, parent_context: Context | None) -> None:
        """Hand a span that has started to our processor, or remember that it is not the app's."""
        if self.is_open(gate, span.resource):
            self.processor.on_start(span, parent_context)
        elif self.registry.active:
            self.registry.left_alone.note(span, parent_context)

    def end(self, gate: Gate, span: ReadableSpan) -> None:
        """Hand a span that has ended to our processor, or remember that it is not the app's."""
        if self.is_open(gate, span.resource):
            self.processor.decide(span)
        elif self.registry.active:
            self.registry.left_alone.note_ended(span)

    def wrapped_add_span_processor(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `add_span_processor` that remembers the pipeline, instead of adding a gate to it."""

        @functools.wraps(original)
        def add_span_processor(pipeline: Any, span_processor: SpanProcessor) -> None:
            if isinstance(span_processor, Gate):
                span_processor.stand_before(pipeline)
                if _has_wrapped_methods(pipeline):
                    self._remember(pipeline, span_processor)
                    return
            original(pipeline, span_processor)
            if id(pipeline) in self._open:
                self._check_processors(span_processor)

        return add_span_processor

    def _remember(self, pipeline: Any, gate: Gate) -> None:
        key = id(pipeline)
        if (before := self._gates.get(key)) is not None:  # it was met without its provider
            before.meet(gate.provider)
            return

        def forget(_: object) -> None:
            self._gates.pop(key, None)
            self._open.pop(key, None)

        gate.stand_before(pipeline, forget)
        self._gates[key] = gate

    def _gate_at_start(self, pipeline: Any, span: Span) -> Gate | None:
        """Return the gate of the pipeline of a span's provider; make it if the provider was made before us."""
        gate = self._gates.get(id(pipeline))
        # Some processors consist of a pipeline of their own (Logfire's); it is not that of a provider.
        if gate is None and getattr(span, "_span_processor", None) is pipeline and _has_wrapped_methods(pipeline):
            gate = Gate(self)
            self._remember(pipeline, gate)
        return gate

    def wrapped_on_start(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_start` that calls ours first."""
        opened, ours = self._open, self.processor.on_start

        @functools.wraps(original)
        def on_start(pipeline: Any, span: Span, parent_context: Context | None = None) -> None:
            if id(pipeline) in opened:
                ours(span, parent_context)
            elif (gate := self._gate_at_start(pipeline, span)) is not None:
                self.start(gate, span, parent_context)
            original(pipeline, span, parent_context)

        return on_start

    def wrapped_on_end(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return an `on_end` that calls ours first, and lets rows be made when all others have had the span."""
        gates, opened, ending = self._gates, self._open, self.registry.ending
        decide, hand_on = self.processor.decide, self.processor.hand_on

        @functools.wraps(original)
        def on_end(pipeline: Any, span: ReadableSpan) -> None:
            if id(pipeline) not in gates:  # a processor that is a pipeline itself: its provider's hands on
                original(pipeline, span)
                return
            try:
                if id(pipeline) in opened:
                    decide(span)
                else:
                    self.end(gates[id(pipeline)], span)
            finally:  # a signal handler may raise anything meanwhile
                try:
                    original(pipeline, span)
                finally:
                    if ending:  # rows are logged
                        hand_on(span)

        return on_end

    def wrapped_force_flush(self, original: Callable[..., bool]) -> Callable[..., bool]:
        """Return a `force_flush` that calls ours last, with the time that remains."""
        ours = self.processor.force_flush

        @functools.wraps(original)
        def force_flush(pipeline: Any, timeout_millis: int = 30000) -> bool:
            deadline = time.monotonic() + min(timeout_millis, _MAX_TIMEOUT_MILLIS) / 1000
            is_flushed = original(pipeline, timeout_millis)
            if (gate := self._gates.get(id(pipeline))) is not None and self.is_open(gate):
                is_flushed = ours(int(max(deadline - time.monotonic(), 0) * 1000)) and is_flushed
            return is_flushed

        return force_flush

    def wrapped_shutdown(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return a `shutdown` that calls ours last."""
        ours = self.processor.shutdown

        @functools.wraps(original)
        def shutdown(pipeline: Any) -> None:
            try:
                original(pipeline)
            finally:
                if (gate := self._gates.get(id(pipeline))) is not None and self.is_open(gate):
                    ours()

        return shutdown

    def check_pipelines(self) -> None:
        """Check the processors of the app's pipelines: some may be new since the methods were last wrapped."""
        for gate in tuple(self._open.values()):
            self._check_processors_of(gate.pipeline)

    def _check_processors_of(self, pipeline: Any) -> None:
        self._check_processors(*getattr(pipeline, "_span_processors", ()))

    def _check_processors(self, *processors: SpanProcessor) -> None:
        if self.registry.active and any(type(processor) not in _STOCK for processor in processors):
            self.registry.decides_at_end = True


def _has_wrapped_methods(pipeline: object) -> bool:
    """Tell whether a pipeline has the methods that are wrapped: a subclass may override them."""
    kind = type(pipeline)
    return any(kind.on_start is base.on_start and kind.on_end is base.on_end for base in PIPELINES)  # type: ignore[attr-defined]  # it is one of them
