"""What a processor or an exporter of the app takes out of a span does not leave, whatever its place in the pipeline."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import Settings, configure
from helicone_otel.otel.exporter import FinalizedSpan

SECRET = "my card is 4111"
MASK = "[redacted]"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": SECRET}


def masked(attributes: Any) -> None:
    """Mask attributes in place, as Traceloop's `span_postprocess_callback` lets an app do it."""
    was, attributes._immutable = attributes._immutable, False
    for key in list(attributes):
        if attributes[key] == SECRET:
            attributes[key] = MASK
    attributes._immutable = was


class Masking(SpanProcessor):
    def on_end(self, span: Any) -> None:
        masked(span._attributes)
        for event in span._events:
            masked(event._attributes)
        span._name = span.name.replace(SECRET, MASK)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's
        return True  # the default of older SDKs returns None, and then no processor behind is flushed


class MaskingExporter(SpanExporter):
    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            attributes: dict[str, object] = span._attributes  # type: ignore[assignment]
            attributes |= {key: MASK for key in attributes if attributes[key] == SECRET}
        return self._inner.export(spans)


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(session_name="Shop"), provider=provider)
    yield provider
    provider.shutdown()
    handle.uninstall()


def call(provider: TracerProvider) -> None:
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai")
    with tracer.start_as_current_span(f"chat {SECRET}", attributes=CHAT) as span:
        span.add_event("asked", {"content": SECRET})
    provider.force_flush()


@pytest.mark.parametrize("masking", [0, 1], ids=["masking before", "masking behind"])
def test_what_a_processor_masks_leaves_masked(provider: TracerProvider, masking: int) -> None:
    exporter = InMemorySpanExporter()
    processors: list[SpanProcessor] = [BatchSpanProcessor(exporter)]
    processors.insert(masking, Masking())
    for processor in processors:
        provider.add_span_processor(processor)
    call(provider)

    (span,) = exporter.get_finished_spans()
    assert SECRET not in span.to_json()
    assert (span.name, (span.attributes or {})["gen_ai.input.messages"]) == (f"chat {MASK}", MASK)
    assert [event.attributes for event in span.events] == [{"content": MASK}]
    assert (span.attributes or {})["helicone.session.path"] == "/chat"


@pytest.mark.parametrize("processor", [BatchSpanProcessor, SimpleSpanProcessor])
def test_what_an_exporter_masks_in_the_copy_that_it_gets_stays_masked(
    provider: TracerProvider, processor: Callable[[SpanExporter], SpanProcessor]
) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(processor(MaskingExporter(exporter)))
    call(provider)

    (span,) = exporter.get_finished_spans()
    assert isinstance(span, FinalizedSpan)
    assert (span.attributes or {})["gen_ai.input.messages"] == MASK


def test_a_copy_can_be_copied(provider: TracerProvider) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    call(provider)

    (span,) = exporter.get_finished_spans()
    assert copy.copy(span).to_json() == span.to_json()
    assert not hasattr(span, "no such field")
