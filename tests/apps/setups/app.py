"""An app that puts its OpenTelemetry together in one of the ways people do: `python app.py <set-up>`.

`DOOR` says how the library comes in: `configure first`, `configure last`, `instrument` or `none`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import Tracer
from work import LLM_SCOPE, come_in, work

# Obtained before anybody had a provider, as modules do when they are imported.
APP, LLM = trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE)


def exporting(provider: TracerProvider) -> TracerProvider:
    """Send what a provider makes to the backend."""
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(os.environ["BACKEND"])))
    return provider


def made_by_configurator() -> tuple[Tracer, Tracer]:
    """Somebody else made the provider: the launcher, by variables or by a configuration file."""
    come_in("configure first")
    come_in("configure last")
    return APP, LLM


def own_provider() -> tuple[Tracer, Tracer]:
    """The app makes the provider, as the documentation of OpenTelemetry shows it."""
    come_in("configure first")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(os.environ["BACKEND"])))
    trace.set_tracer_provider(provider)
    come_in("configure last")
    return trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE)


def tracers_before_provider() -> tuple[Tracer, Tracer]:
    """The provider comes when tracers are in use already."""
    come_in("configure first")
    with APP.start_as_current_span("before anybody records"):
        pass
    trace.set_tracer_provider(exporting(TracerProvider()))
    come_in("configure last")
    return APP, LLM


def provider_kept_to_itself() -> tuple[Tracer, Tracer]:
    """The app's provider is not the global one."""
    come_in("configure first")
    provider = exporting(TracerProvider())
    come_in("configure last", provider)
    return provider.get_tracer("shop"), provider.get_tracer(LLM_SCOPE)


def several_providers() -> tuple[Tracer, Tracer]:
    """The app has a provider for itself, and one for its LLM calls."""
    come_in("configure first")
    mine, theirs = exporting(TracerProvider()), exporting(TracerProvider())
    trace.set_tracer_provider(mine)
    come_in("configure last", theirs)
    return APP, theirs.get_tracer(LLM_SCOPE)


def processors_in_a_pool() -> tuple[Tracer, Tracer]:
    """The SDK calls the app's processors in the threads of a pool."""
    come_in("configure first")
    trace.set_tracer_provider(exporting(TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2))))
    come_in("configure last")
    return APP, LLM


SETUPS: dict[str, Callable[[], tuple[Tracer, Tracer]]] = {
    setup.__name__: setup
    for setup in (
        made_by_configurator,
        own_provider,
        tracers_before_provider,
        provider_kept_to_itself,
        several_providers,
        processors_in_a_pool,
    )
}

if not HTTPXClientInstrumentor().is_instrumented_by_opentelemetry:  # by the launcher
    HTTPXClientInstrumentor().instrument()
if __name__ == "__main__":
    work(*SETUPS[sys.argv[1]]())
