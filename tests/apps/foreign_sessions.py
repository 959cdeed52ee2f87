"""An app that uses sessions of another SDK and ours, each inside the other: `python foreign_sessions.py SDK`.

It prints the session and the user with which each request reached a stand-in for a gateway, and the session attributes
of the SDK's own span, which starts in a session of ours. `test_foreign_sdks.py` runs it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from helicone_otel import Settings, configure, session

SEEN: list[list[str | None]] = []
LLM = "opentelemetry.instrumentation.genai.openai"
Work = Callable[[], object]
# How the SDK opens a session with an id, and how it makes a span around a function.
Ways = tuple[Callable[[str], AbstractContextManager[Any]], Callable[[Work], object]]


class Gateway(BaseHTTPRequestHandler):
    """A fake gateway that notes the session and the user of each request."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        """Note the headers, and answer without content."""
        SEEN.append([self.headers.get("Helicone-Session-Id"), self.headers.get("Helicone-User-Id")])
        self.send_response(204)
        self.end_headers()


def openinference(_: TracerProvider) -> Ways:
    """Use OpenInference, whose sessions Phoenix and Arize group by."""
    from openinference.instrumentation import OITracer, TraceConfig, using_attributes

    tracer = OITracer(trace.get_tracer("shop"), config=TraceConfig())
    return lambda id_: using_attributes(session_id=id_, user_id="ann"), lambda work: tracer.chain(work, name="own")()


def langfuse(provider: TracerProvider) -> Ways:
    """Use Langfuse."""
    from langfuse import Langfuse, observe, propagate_attributes

    Langfuse(public_key="pk-lf-1", secret_key="sk-lf-1", host="http://127.0.0.1:9", tracer_provider=provider)
    return lambda id_: propagate_attributes(session_id=id_, user_id="ann"), lambda work: observe(work, name="own")()


def traceloop(_: TracerProvider) -> Ways:
    """Use Traceloop, whose association properties stay attached."""
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import task

    Traceloop.init(exporter=InMemorySpanExporter(), disable_batch=True, telemetry_enabled=False, instruments=set())

    @contextmanager
    def using(id_: str) -> Iterator[None]:
        with trace.get_tracer("shop").start_as_current_span("using"):
            Traceloop.set_association_properties({"session_id": id_, "user_id": "ann"})
            yield

    return using, lambda work: task(name="own")(work)()


def langsmith(_: TracerProvider) -> Ways:
    """Use LangSmith, whose thread makes spans of runs when they have ended."""
    variables = {"TRACING": "true", "API_KEY": "ls-1", "OTEL_ENABLED": "true", "OTEL_ONLY": "true"}
    os.environ |= {f"LANGSMITH_{name}": value for name, value in variables.items()}
    from langsmith import trace as run
    from langsmith import traceable
    from langsmith.run_trees import get_cached_client

    def own(work: Work) -> None:
        traceable(work, name="own")()
        get_cached_client().flush()

    return lambda id_: run("using", metadata={"session_id": id_, "user_id": "ann"}), own


def agents(_: TracerProvider) -> Ways:
    """Use the OpenAI Agents SDK, which makes no OpenTelemetry spans itself."""
    from agents import trace as trace_of_agents

    return lambda id_: trace_of_agents("Trip", group_id=id_), lambda work: work()


def main(sdk: str) -> None:
    """Send requests in sessions of the SDK and in ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"localhost:{server.server_port}"
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    trace.set_tracer_provider(provider)
    configure(Settings(gateway_hosts=(address,)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    using, own = globals()[sdk](provider)

    def call() -> None:
        httpx.post(f"http://{address}/v1/chat/completions")

    def chat() -> None:
        with trace.get_tracer(LLM).start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
            call()

    with using("without a span"):
        call()
    with using("with one"):
        chat()
    with session("Trip", id="ours"), using("inside ours"):
        call()
    with using("outside"), session("Trip", id="ours inside"):
        call()
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("x").start_as_current_span("sampled out"), using("unsampled"):
        call()
    with trace.get_tracer("shop").start_as_current_span("worker"):
        for conversation in ("c1", "c2"):
            with using(conversation):
                chat()
    call()
    exporter.clear()
    with session("Trip", id="ours"):
        own(chat)
    spans = [
        {key: value for key, value in (span.attributes or {}).items() if key in SESSION_KEYS}
        for span in exporter.get_finished_spans()
        if span.name.startswith("own")
    ]
    sys.stdout.write(json.dumps({"requests": SEEN, "own": spans}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # no backend runs to which the SDKs could send


SESSION_KEYS = {"session.id", "gen_ai.conversation.id", "langsmith.metadata.session_id", "helicone.session.id"}

if __name__ == "__main__":
    main(*sys.argv[1:])
