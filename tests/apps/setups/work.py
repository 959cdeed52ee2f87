"""What all apps of these tests do, however they set up OpenTelemetry. This module needs no vendor's SDK."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import httpx
from opentelemetry.trace import SpanKind, Tracer, TracerProvider

LLM_SCOPE = "opentelemetry.instrumentation.genai.openai"
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4-mini",
}

QUESTION = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Where to?"}]}


INSTALL = os.environ["INSTALL"]


def install(moment: str, *providers: TracerProvider) -> None:
    """Call `configure()` if `INSTALL` names this moment: `configure first` or `configure last`."""
    if moment != INSTALL:
        return
    from helicone_otel import configure  # not installed in all environments

    log = True if os.environ.get("LOG_IN_CODE") else None
    for provider in providers:
        configure(provider=provider, log=log)
    configure(log=log)


def work(app: Tracer, llm: Tracer) -> None:
    """Plan one trip without a session, and one in a session that code opens."""
    plan(app, llm)
    with opened():
        plan(app, llm)


def opened() -> AbstractContextManager[object]:
    """Open a session, unless the app runs without the library."""
    if INSTALL == "none":
        return nullcontext()
    from helicone_otel import session  # not installed in all environments

    return session("Trip Planning", id="trip-42")


def plan(app: Tracer, llm: Tracer) -> None:
    """Make the spans of an app, and send a request to the gateway."""
    with app.start_as_current_span("plan trip"):
        with llm.start_as_current_span("chat gpt-5.4-mini", kind=SpanKind.CLIENT, attributes=CHAT):
            httpx.post(f"{os.environ['GATEWAY']}/v1/chat/completions", json=QUESTION, trust_env=False)
        # The attributes come after the start, so the exporter gets a finalized copy.
        with app.start_as_current_span("look up") as span:
            span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"})
