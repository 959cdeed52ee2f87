"""Other processors may export copies of spans: redacted ones, and early copies of spans that have only started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind

from helicone_otel import HeliconePropagator, Settings, configure, session
from helicone_otel.install.configure import Installation
from helicone_otel.tracking.registry import REGISTRY
from tests.support.spans import CHAT, GENAI, ours

SCRUBBED = "[Scrubbed]"


def copy_of(span: ReadableSpan, context: SpanContext | None, attributes: Mapping[str, Any]) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time or span.start_time,
        instrumentation_scope=span.instrumentation_scope,
    )


@dataclass
class Redacting(SpanProcessor):
    """Exports a copy with the session's attributes redacted and without the user's id."""

    inner: SpanProcessor

    def on_end(self, span: ReadableSpan) -> None:
        kept = {key: value for key, value in (span.attributes or {}).items() if key != "user.id"}
        hidden = {key: SCRUBBED for key in kept if "session" in key}
        self.inner.on_end(copy_of(span, span.get_span_context(), {**kept, **hidden}))


@dataclass
class EarlyCopying(SpanProcessor):
    """Exports a copy with another span id when a span starts, as Logfire does."""

    inner: SpanProcessor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK's
        ids = span.get_span_context()
        early = SpanContext(ids.trace_id, ids.span_id ^ 1, is_remote=False, trace_flags=ids.trace_flags)
        self.inner.on_end(copy_of(span, early, dict(span.attributes or {})))


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=["configured first", "configured last"])
def redacting(request: pytest.FixtureRequest, exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """Return a provider whose exporter gets redacted copies; our processor is added before or after."""
    provider = TracerProvider(shutdown_on_exit=False)
    settings = Settings(session_name="Shop")
    handle = configure(settings, provider=provider if request.param == "configured first" else TracerProvider())
    provider.add_span_processor(Redacting(SimpleSpanProcessor(exporter)))
    configure(settings, provider=provider)
    yield provider
    handle.uninstall()


def calling(provider: TracerProvider, name: str = "chat") -> Any:
    return provider.get_tracer(GENAI).start_as_current_span(name, kind=SpanKind.CLIENT, attributes=CHAT)


def test_attributes_that_another_processor_redacted_stay_redacted(
    redacting: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with session("Trips", id="s1", user_id="ann@example.org"), calling(redacting):
        pass

    (span,) = exporter.get_finished_spans()
    assert ours(span.attributes or {}) == {
        "helicone.session.id": SCRUBBED,
        "helicone.session.path": SCRUBBED,
        "helicone.session.name": SCRUBBED,
        "helicone.span.kind": "llm",
        "session.id": SCRUBBED,
        "gen_ai.conversation.id": "s1",
    }


def test_attributes_decided_after_the_redaction_are_added(
    redacting: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with session("Trips", id="s1"), redacting.get_tracer("shop").start_as_current_span("look up") as span:
        span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"})

    (ended,) = exporter.get_finished_spans()
    label = ours(ended.attributes or {})
    assert (label["helicone.span.kind"], label["gen_ai.conversation.id"]) == ("tool", "s1")
    assert label["helicone.session.path"] == SCRUBBED


def test_redacted_values_on_a_copy_do_not_count_as_set_by_the_user(redacting: TracerProvider) -> None:
    carriers: list[dict[str, str]] = [{}, {}]
    with redacting.get_tracer("shop").start_as_current_span("plan") as plan:
        for carrier in carriers:
            with calling(redacting), _request(redacting):
                HeliconePropagator().inject(carrier)

    trace_id = f"{plan.get_span_context().trace_id:032x}"
    assert [carrier["Helicone-Session-Id"].replace("-", "") for carrier in carriers] == [trace_id, trace_id]
    assert {carrier["Helicone-Session-Path"] for carrier in carriers} == {"/plan"}


def _request(provider: TracerProvider) -> Any:
    tracer = provider.get_tracer("opentelemetry.instrumentation.httpx")
    url = {"url.full": "https://oai.helicone.ai/v1/chat/completions"}
    return tracer.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes=url)


@pytest.mark.parametrize("first", [True, False])
def test_a_copy_of_a_span_that_has_only_started_is_no_span_of_its_own(
    first: bool, exporter: InMemorySpanExporter
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(), provider=provider if first else TracerProvider())
    provider.add_span_processor(EarlyCopying(SimpleSpanProcessor(exporter)))
    configure(Settings(), provider=provider)
    with session("Trips", id="s1"), calling(provider):
        pass
    handle.uninstall()

    (early,) = exporter.get_finished_spans()
    label = {
        "helicone.session.id": "s1",
        "helicone.session.path": "/chat",
        "helicone.session.name": "Trips",
        "helicone.span.kind": "llm",
        "session.id": "s1",
        "gen_ai.conversation.id": "s1",
    }
    assert dict(early.attributes or {}) == {**CHAT, **label}


def test_evicted_labels_are_added_again_and_values_of_the_user_are_kept(
    exporter: InMemorySpanExporter,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=8))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handle = configure(Settings(), provider=provider)
    with session("Trips", id="s1"), calling(provider, "evicted") as span:
        span.set_attributes({f"prompt.{number}": "…" for number in range(8)})
    with session("Trips", id="s1"), calling(provider, "by hand") as span:
        span.set_attribute("helicone.session.path", "mine")
    handle.uninstall()

    paths = {one.name: (one.attributes or {})["helicone.session.path"] for one in exporter.get_finished_spans()}
    assert paths == {"evicted": "/chat", "by hand": "/mine"}


def test_after_uninstall_nothing_of_ours_is_in_a_provider() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(), provider=provider)
    pipeline = provider._active_span_processor
    inside = pipeline._span_processors
    handle.uninstall()

    assert inside == ()
    assert not [name for name in vars(type(pipeline)) if hasattr(vars(type(pipeline))[name], "__wrapped__")]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_processors_that_copy_spans_are_found_again_after_reinstall() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    handle = Installation()  # the process's own remembers the providers of other tests
    thorough = []
    for _ in range(2):
        handle.install(Settings(), provider)
        thorough.append(REGISTRY.decides_at_end)
        provider.add_span_processor(Redacting(SpanProcessor()))
        thorough.append(REGISTRY.decides_at_end)
        handle.uninstall()
        thorough.append(REGISTRY.decides_at_end)

    assert thorough == [False, True, False, True, True, False]
