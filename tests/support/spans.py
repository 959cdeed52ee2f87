"""An app with a provider and a registry of its own, for tests that make spans."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, Settings
from helicone_otel.tracking.registry import Registry

GENAI = "opentelemetry.instrumentation.genai.openai"
HTTP = "opentelemetry.instrumentation.httpx"
SERVER = "opentelemetry.instrumentation.fastapi"
CHAT = {"gen_ai.operation.name": "chat"}


class App:
    """An app with our processor and exporter, and its own registry."""

    def __init__(self, settings: Settings | None = None, resource: Mapping[str, str] | None = None) -> None:
        self.registry = Registry(settings or Settings())
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource(dict(resource or {})), shutdown_on_exit=False)
        self.provider.add_span_processor(HeliconeSpanProcessor(self.registry))
        self.provider.add_span_processor(SimpleSpanProcessor(SessionSpanExporter(self.exporter, self.registry)))
        self.tracer = functools.cache(self.provider.get_tracer)

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        scope: str = "my.app",
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        context: Context | None = None,
    ) -> Iterator[Span]:
        """Run a block in a span."""
        tracer = self.tracer(scope)
        with tracer.start_as_current_span(name, kind=kind, attributes=dict(attributes or {}), context=context) as span:
            assert isinstance(span, Span)
            yield span

    @contextmanager
    def chat(self, **attributes: Any) -> Iterator[Span]:
        """Run a block in the span of an LLM call; `a__b=1` is the attribute `a.b`."""
        named = {name.replace("__", "."): value for name, value in attributes.items()}
        with self.span("chat gpt-4o", CHAT | named, scope=GENAI, kind=trace.SpanKind.CLIENT) as span:
            yield span

    def labels(self) -> dict[str, dict[str, str]]:
        """Return our attributes of the ended spans by their names, which are unique in a test."""
        return {span.name: ours(span.attributes or {}) for span in self.exporter.get_finished_spans()}

    def where(self) -> dict[str, tuple[str | None, str | None]]:
        """Return session id and path of the ended spans by their names."""
        return {
            name: (label.get("helicone.session.id"), label.get("helicone.session.path"))
            for name, label in self.labels().items()
        }


def ours(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes that this library writes, without the row id."""
    return {
        name: value
        for name, value in attributes.items()
        if name.startswith(("helicone.", "session.", "user.", "gen_ai.conversation.")) and name != "helicone.request.id"
    }


def with_hex_ids(value: Any) -> Any:
    """Return what protobuf writes as JSON with its ids in hex, as OTLP has them, instead of base64."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {key: base64.b64decode(item).hex() if key in ids else with_hex_ids(item) for key, item in value.items()}
