"""A LangGraph agent with a tool, which `test_langgraph.py` runs in its own environment.

    python langgraph_app.py (INSTRUMENTATION[+genai] | launched) (sync | async | stream)

It prints the headers that arrived at a fake gateway, the ids of its rows, and the labelled spans. With `launched` it
leaves OpenTelemetry to `opentelemetry-instrument`, and prints no spans.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

SEEN: list[dict[str, str]] = []
IDS: list[str] = []
ASKS = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Porto"}'}}


class Gateway(BaseHTTPRequestHandler):
    """A fake gateway that answers as OpenAI's API does: the first answer calls the tool, the second is text."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        """Answer a chat completion, streamed if asked to."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        SEEN.append({key: value for key, value in self.headers.items() if key.startswith("Helicone-")})
        answer: dict[str, object] = {"role": "assistant", "content": "Sunny."}
        if asked["messages"][-1]["role"] == "user":
            answer = {"role": "assistant", "content": None, "tool_calls": [{**ASKS, "index": 0}]}
        shared = {"id": f"chatcmpl-{len(SEEN)}", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
        reason = "tool_calls" if "tool_calls" in answer else "stop"
        IDS.append(str(uuid.uuid4()))
        self.send_response(200)
        self.send_header("helicone-id", IDS[-1])
        if asked.get("stream"):
            chunk = {**shared, "object": "chat.completion.chunk"}
            choices = ({"delta": answer}, {"delta": {}, "finish_reason": reason})
            lines = [json.dumps({**chunk, "choices": [{"index": 0, **choice}]}) for choice in choices]
            body = "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]")).encode()
            self.send_header("content-type", "text/event-stream")
        else:
            choice = {"index": 0, "message": answer, "finish_reason": reason}
            body = json.dumps({**shared, "object": "chat.completion", "choices": [choice]}).encode()
            self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def get_weather(city: str) -> str:
    """Return the weather."""
    return f"Sunny in {city}."


def instrument(names: str) -> None:
    """Switch on these instrumentations."""
    if "openinference" in names:
        from openinference.instrumentation.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    if "traceloop" in names:
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor

        LangchainInstrumentor().instrument()
    if "otel" in names:
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    if "genai" in names:
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor

    HTTPX2ClientInstrumentor().instrument()


def run(url: str, how: str) -> None:
    """Ask the agent once."""
    model = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none")
    agent = create_agent(model, [get_weather], name="weather_agent")
    question = {"messages": [("user", "Weather in Porto?")]}
    config = {"configurable": {"thread_id": "thread-7"}}
    if how == "async":
        asyncio.run(agent.ainvoke(question, config))
    elif how == "stream":
        list(agent.stream(question, config, stream_mode="messages"))
    else:
        agent.invoke(question, config)


def observed(address: str, names: str, how: str) -> list[dict[str, object]]:
    """Run the agent in an app that sets up OpenTelemetry itself, and return its spans."""
    from opentelemetry import trace  # not in the launched app
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from helicone_otel import Settings, configure

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    configure(Settings(gateway_hosts=(address,), session_name="Trips"))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(names)
    run(f"http://{address}/v1", how)
    return [
        {
            "name": span.name,
            **{key: value for key, value in (span.attributes or {}).items() if key.startswith("helicone.")},
        }
        for span in exporter.get_finished_spans()
    ]


def main(names: str, how: str) -> None:
    """Run the agent, and print headers and spans."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"localhost:{server.server_port}"
    spans: list[dict[str, object]] = []
    if names == "launched":
        run(f"http://{address}/v1", how)
    else:
        spans = observed(address, names, how)
    sys.stdout.write(json.dumps({"headers": SEEN, "ids": IDS, "spans": spans}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
