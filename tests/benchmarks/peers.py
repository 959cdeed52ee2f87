"""The peers that we are compared with. Each is measured in its own virtual environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from opentelemetry import baggage, context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from tests.benchmarks.spans import LLM_SCOPE, NullExporter, beside, llm, spans, tracer
from tests.benchmarks.timing import Measurement

PROPERTIES = {"id": "7f9c1f5e-8d35-4b8c-9d6f-0b1c2d3e4f50", "path": "/work", "name": "Trip Planning"}


def baggage_processor() -> list[Measurement]:
    """Measure OpenTelemetry's own processor, which copies three entries of baggage onto every span."""
    from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor

    theirs, inside = tracer(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS)), Context()
    for name, value in PROPERTIES.items():
        inside = baggage.set_baggage(name, value, inside)
    return beside("BaggageSpanProcessor", {"no baggage": spans(theirs), "3 entries": spans(theirs, inside)})


def openinference() -> list[Measurement]:
    """Measure OpenInference's tracer, which does more than label spans."""
    from openinference.instrumentation import OITracer, TraceConfig, using_session

    theirs = OITracer(tracer(), TraceConfig())
    with using_session(PROPERTIES["id"]):
        inside = context.get_current()
    return beside("OpenInference", {"idle": spans(theirs), "using_session": spans(theirs, inside)})


def traceloop() -> list[Measurement]:
    """Measure traceloop-sdk's processor as `Traceloop.init` makes it, without an exporter."""
    os.environ |= {"TRACELOOP_METRICS_ENABLED": "false", "TRACELOOP_TELEMETRY": "false"}
    from traceloop.sdk import Traceloop

    processor = SpanProcessor()  # `init` replaces its `on_start`
    Traceloop.init(
        app_name="benchmark", processor=processor, api_key="none", instruments=set(), telemetry_enabled=False
    )
    before = context.attach(Context())
    Traceloop.set_association_properties(PROPERTIES)
    inside = context.get_current()
    context.detach(before)
    variants = {"idle": spans(tracer(processor)), "3 association properties": spans(tracer(processor), inside)}
    return beside("traceloop-sdk", variants, llm(tracer(processor, scope=LLM_SCOPE), inside))


def langfuse() -> list[Measurement]:
    """Measure langfuse's processor, with a filter that rejects every span."""
    from langfuse import propagate_attributes
    from langfuse._client.span_processor import LangfuseSpanProcessor

    keys = {"public_key": "none", "secret_key": "none", "base_url": "http://127.0.0.1:9"}
    theirs = tracer(LangfuseSpanProcessor(**keys, span_exporter=NullExporter(), should_export_span=lambda _: False))
    with propagate_attributes(session_id=PROPERTIES["id"]):
        inside = context.get_current()
    return beside("langfuse", {"idle": spans(theirs), "propagate_attributes(session_id=…)": spans(theirs, inside)})


def helicone_helpers() -> list[Measurement]:
    """Measure the manual logger of helicone-helpers, called in a loop as its documentation shows."""
    from helicone_helpers import HeliconeManualLogger

    from tests.benchmarks.log import KEY, speed

    def log(url: str, count: int) -> None:
        logger = HeliconeManualLogger(api_key=KEY, logging_endpoint=url)
        for number in range(count):
            request = {"_type": "tool", "toolName": "search", "input": {"q": "Porto"}}
            logger.log_request(
                request,
                lambda recorder: recorder.append_results({"_type": "tool", "toolName": "search", "status": "success"}),
                {"Helicone-Session-Id": f"s-{number}", "Helicone-Session-Path": "/search"},
            )

    return speed(log)


class Peer(NamedTuple):
    """A peer.

    Attributes:
        measure: Measures it.
        packages: What pip installs.
        alone: What pip installs without dependencies. Instrumentations pin each other's releases with `==`, so pip
            finds no set of versions for some.
    """

    measure: Callable[[], list[Measurement]]
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


_TRACELOOP_NEEDS = (
    *("opentelemetry-exporter-otlp", "opentelemetry-instrumentation", "opentelemetry-semantic-conventions-ai>=0.5.1"),
    *("aiohttp", "colorama", "cuid", "deprecated", "httpx", "jinja2", "pydantic", "tenacity", "wrapt"),
)
_CONTRIB = ("opentelemetry-instrumentation-threading", "opentelemetry-instrumentation-logging")
PEERS: Mapping[str, Peer] = {
    "baggage": Peer(baggage_processor, (), ("opentelemetry-processor-baggage",)),
    "openinference": Peer(openinference, ("openinference-instrumentation>=0.1.40",)),
    "traceloop": Peer(traceloop, _TRACELOOP_NEEDS, ("traceloop-sdk>=0.60", *_CONTRIB)),
    "helicone-helpers": Peer(
        helicone_helpers, ("helicone-helpers", "opentelemetry-instrumentation", "wrapt", "urllib3>=2", "certifi")
    ),
    "langfuse": Peer(langfuse, ("langfuse>=5",)),
}
