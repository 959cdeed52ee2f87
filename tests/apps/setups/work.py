"""What the apps of these tests do, whoever put their OpenTelemetry together. It needs no vendor."""

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


DOOR = os.environ["DOOR"]


def come_in(moment: str, *providers: TracerProvider) -> None:
    """Let the library in, if this is the moment: `configure first` or `configure last`."""
    if moment != DOOR:
        return
    from helicone_otel import configure  # not in the apps without us

    log = True if os.environ.get("LOG_IN_CODE") else None
    for provider in providers:
        configure(provider=provider, log=log)
    configure(log=log)


def work(app: Tracer, llm: Tracer) -> None:
    """Plan one trip in no session, and one in a session that code opens."""
    plan(app, llm)
    with opened():
        plan(app, llm)


def opened() -> AbstractContextManager[object]:
    """Open a session, where the app knows of the library at all."""
    if DOOR == "none":
        return nullcontext()
    from helicone_otel import session  # not in the apps without us

    return session("Trip Planning", id="trip-42")


def plan(app: Tracer, llm: Tracer) -> None:
    """Make the spans of an app, and send one request to the gateway."""
    with app.start_as_current_span("plan trip"):
        with llm.start_as_current_span("chat gpt-5.4-mini", kind=SpanKind.CLIENT, attributes=CHAT):
            httpx.post(f"{os.environ['GATEWAY']}/v1/chat/completions", json=QUESTION, trust_env=False)
        # What it is shows only while it runs: what its exporter gets is the settled copy.
        with app.start_as_current_span("look up") as span:
            span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"})
