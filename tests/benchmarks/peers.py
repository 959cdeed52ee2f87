"""The peers, each measured in an environment of its own by the function that bears its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor
from spans import LLM_SCOPE, NullExporter, beside, llm, spans, tracer
from timing import Row

PROPERTIES: Mapping[str, str] = {
    "session_id": "7f9c1f5e-8d35-4b8c-9d6f-0b1c2d3e4f50",
    "path": "/work",
    "name": "Trip Planning",
}


def baggage_processor() -> list[Row]:
    """OpenTelemetry's own way: three entries of baggage, copied onto every span."""
    from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor

    theirs, bare = tracer(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)), spans(tracer())
    inside = Context()
    for name, value in PROPERTIES.items():
        inside = baggage.set_baggage(name, value, inside)
    return beside("BaggageSpanProcessor", {"no baggage": (spans(theirs), bare), "3 entries": (spans(theirs, inside), bare)})


def openinference() -> list[Row]:
    """OpenInference's tracer, which does more than label spans, with `using_session`."""
    from openinference.instrumentation import OITracer, TraceConfig, using_session

    theirs, bare = OITracer(tracer(), TraceConfig()), spans(tracer())
    with using_session(PROPERTIES["session_id"]):
        inside = context.get_current()
    return beside("OpenInference", {"idle": (spans(theirs), bare), "using_session": (spans(theirs, inside), bare)})


def traceloop() -> list[Row]:
    """traceloop-sdk's processor as `Traceloop.init` makes it, without any exporter."""
    os.environ |= {"TRACELOOP_METRICS_ENABLED": "false", "TRACELOOP_TELEMETRY": "false"}
    from traceloop.sdk import Traceloop

    processor = SpanProcessor()  # `init` puts its own `on_start` before this one's
    Traceloop.init(app_name="benchmark", processor=processor, api_key="none", instruments=set(), telemetry_enabled=False)
    theirs, bare = tracer(processor), spans(tracer())
    before = context.attach(Context())
    Traceloop.set_association_properties(dict(PROPERTIES))
    inside = context.get_current()
    context.detach(before)
    variants = {"idle": (spans(theirs), bare), "3 association properties": (spans(theirs, inside), bare)}
    return beside("traceloop-sdk", variants, llm(tracer(processor, scope=LLM_SCOPE), inside))


def langfuse() -> list[Row]:
    """langfuse's processor with `propagate_attributes`; its filter lets nothing through to the queue."""
    from langfuse import propagate_attributes
    from langfuse._client.span_processor import LangfuseSpanProcessor

    processor = LangfuseSpanProcessor(
        public_key="none",
        secret_key="none",  # noqa: S106  # nothing leaves
        base_url="http://127.0.0.1:9",
        span_exporter=NullExporter(),
        should_export_span=lambda _: False,
    )
    theirs, bare = tracer(processor), spans(tracer())
    with propagate_attributes(session_id=PROPERTIES["session_id"]):
        inside = context.get_current()
    return beside("langfuse", {"idle": (spans(theirs), bare), "session": (spans(theirs, inside), bare)})


class Peer(NamedTuple):
    """How to get a peer.

    Attributes:
        measure: Measures it, in its environment.
        packages: What to install.
        alone: What to install without dependencies: sets that pip cannot resolve with this SDK.
    """

    measure: Callable[[], list[Row]]
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


PEERS: Mapping[str, Peer] = {
    "baggage": Peer(baggage_processor, ("opentelemetry-instrumentation",), ("opentelemetry-processor-baggage",)),
    "openinference": Peer(openinference, ("openinference-instrumentation>=0.1.40",)),
    "traceloop": Peer(
        traceloop,
        (
            *("opentelemetry-exporter-otlp", "opentelemetry-instrumentation", "opentelemetry-semantic-conventions-ai>=0.5.1"),
            *("aiohttp", "colorama", "cuid", "deprecated", "httpx", "jinja2", "pydantic", "tenacity", "wrapt"),
        ),
        # Its instrumentations pin each other's releases with `==`.
        ("traceloop-sdk>=0.60", "opentelemetry-instrumentation-threading", "opentelemetry-instrumentation-logging"),
    ),
    "langfuse": Peer(langfuse, ("langfuse>=4",)),
}
