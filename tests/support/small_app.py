"""A small app under the real SDK, which makes spans, LLM calls and requests, and the labels of its spans."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, SpanKind

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor, SessionSpanExporter, Settings, current_session
from helicone_otel.tracking.registry import REGISTRY

GATEWAY_URL = "https://ai-gateway.helicone.ai/v1/chat/completions"
LLM_SCOPE = "opentelemetry.instrumentation.genai.openai"
HTTP_SCOPE = "opentelemetry.instrumentation.httpx"


class Label(NamedTuple):
    """The label of a span; `None` for an attribute that is missing."""

    id: object
    name: object
    path: object
    kind: object


class App:
    """An app with its own provider, whose exporter gets finalized spans.

    Args:
        settings: The settings of the library; the defaults if not given.
        limits: The limits of the SDK.
        service: The `service.name` of the resource; without a name if not given.
    """

    def __init__(
        self, settings: Settings | None = None, limits: SpanLimits | None = None, service: str | None = None
    ) -> None:
        REGISTRY.configure(settings or Settings())
        self._exporter = InMemorySpanExporter()
        resource = Resource({"service.name": service} if service else {})
        self.provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
        self.provider.add_span_processor(HeliconeSpanProcessor())
        self.provider.add_span_processor(SimpleSpanProcessor(SessionSpanExporter(self._exporter)))
        self.tracer = self.provider.get_tracer("shop")
        self._llm = self.provider.get_tracer(LLM_SCOPE)
        self._http = self.provider.get_tracer(HTTP_SCOPE)

    @contextmanager
    def work(self, name: str, **attributes: object) -> Iterator[Span]:
        """Run a block in a span of the app's own code."""
        with self.tracer.start_as_current_span(name, attributes=dotted(attributes)) as span:
            yield span

    @contextmanager
    def calling(self, name: str = "chat", **attributes: object) -> Iterator[Span]:
        """Run a block in the span of an LLM call."""
        start = {"gen_ai.operation.name": "chat", **dotted(attributes)}
        with self._llm.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=start) as span:
            yield span

    def chat(self, name: str = "chat", **attributes: object) -> None:
        """Make the span of an LLM call."""
        with self.calling(name, **attributes):
            pass

    @contextmanager
    def requesting(self, url: str = GATEWAY_URL) -> Iterator[Span]:
        """Run a block in the span of a request, where its headers are written."""
        with self._http.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes={"url.full": url}) as span:
            yield span

    def headers(self, url: str = GATEWAY_URL, **carrier: str) -> dict[str, str]:
        """Return the headers of a request to a URL that is sent here."""
        with self.requesting(url):
            HeliconePropagator().inject(carrier)
        return carrier

    def all_spans(self) -> tuple[ReadableSpan, ...]:
        """Return the exported spans."""
        return self._exporter.get_finished_spans()

    def spans(self) -> dict[str, ReadableSpan]:
        """Return the exported spans by their names."""
        return {span.name: span for span in self.all_spans()}

    def labels(self) -> dict[str, Label]:
        """Return the labels of the exported spans by their names, but for those of requests."""
        return {name: label_of(span) for name, span in self.spans().items() if name != "POST"}

    def label(self, name: str) -> Label:
        """Return the label of the exported span of this name."""
        return self.labels()[name]


def label_of(span: ReadableSpan) -> Label:
    """Return the label of a span."""
    attributes = span.attributes or {}
    keys = ("helicone.session.id", "helicone.session.name", "helicone.session.path", "helicone.span.kind")
    return Label(*(attributes.get(key) for key in keys))


def helicone_attributes(span: ReadableSpan) -> Mapping[str, object]:
    """Return all attributes of a span that this library writes."""
    shared = ("session.id", "gen_ai.conversation.id", "user.id")
    return {
        key: value for key, value in (span.attributes or {}).items() if key.startswith("helicone.") or key in shared
    }


def trace_session(span: ReadableSpan) -> str:
    """Return the provisional session id of a span's trace."""
    context = span.get_span_context()
    assert context is not None
    return str(uuid.UUID(int=context.trace_id))


def current_id() -> str | None:
    """Return the id of the current session."""
    here = current_session()
    return here.id if here else None


def inside(span: Span) -> Context:
    """Return a Context with a current span and nothing else."""
    return trace.set_span_in_context(span, Context())


def dotted(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return attributes with a dot for each `__` in their names."""
    return {name.replace("__", "."): value for name, value in attributes.items()}


UNTOUCHED = Label(None, None, None, None)
