"""An app that sets up OpenTelemetry in one of the usual ways: `python app.py SETUP`.

`INSTALL` is how the library is installed: `configure first`, `configure last`, `instrument` or `none`.
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
from work import LLM_SCOPE, install, work

# Obtained before there is a provider, as in modules that do so on import.
APP, LLM = trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE)


def exporting(provider: TracerProvider) -> TracerProvider:
    """Add an exporter to a provider, and return the provider."""
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(os.environ["BACKEND"])))
    return provider


def made_by_configurator() -> tuple[Tracer, Tracer]:
    """The launcher makes the provider, from variables or from a configuration file."""
    install("configure first")
    install("configure last")
    return APP, LLM


def own_provider() -> tuple[Tracer, Tracer]:
    """The app makes the provider, as OpenTelemetry's documentation shows."""
    install("configure first")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(os.environ["BACKEND"])))
    trace.set_tracer_provider(provider)
    install("configure last")
    return trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE)


def tracers_before_provider() -> tuple[Tracer, Tracer]:
    """The app makes the provider after tracers were used."""
    install("configure first")
    with APP.start_as_current_span("before anybody records"):
        pass
    trace.set_tracer_provider(exporting(TracerProvider()))
    install("configure last")
    return APP, LLM


def provider_kept_to_itself() -> tuple[Tracer, Tracer]:
    """The app's provider is not the global one."""
    install("configure first")
    provider = exporting(TracerProvider())
    install("configure last", provider)
    return provider.get_tracer("shop"), provider.get_tracer(LLM_SCOPE)


def several_providers() -> tuple[Tracer, Tracer]:
    """The app has one provider for itself, and one for its LLM calls."""
    install("configure first")
    mine, theirs = exporting(TracerProvider()), exporting(TracerProvider())
    trace.set_tracer_provider(mine)
    install("configure last", theirs)
    return APP, theirs.get_tracer(LLM_SCOPE)


def processors_in_a_pool() -> tuple[Tracer, Tracer]:
    """The SDK calls the app's processors in the threads of a pool."""
    install("configure first")
    trace.set_tracer_provider(exporting(TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2))))
    install("configure last")
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

if not HTTPXClientInstrumentor().is_instrumented_by_opentelemetry:  # the launcher may have done so
    HTTPXClientInstrumentor().instrument()
if __name__ == "__main__":
    work(*SETUPS[sys.argv[1]]())
