"""An agent with all kinds of calls, some of which bypass the gateway. It prints how many calls of each kind were made.

`GATEWAY`, `DIRECT` and `SERVICE` are the addresses of its models: Helicone's gateway, a provider, and an own service in
which the session continues.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mcp
from openai import AsyncOpenAI, OpenAI, RateLimitError
from opentelemetry import trace
from opentelemetry.instrumentation import httpx as http
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.qdrant import QdrantInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from qdrant_client import QdrantClient
from qdrant_client.local.qdrant_local import QdrantLocal
from qdrant_client.models import Distance, PointStruct, VectorParams

from helicone_otel import configure, data, session, step, tool, vector_query

SEEN: Counter[str] = Counter()
MESSAGES: Any = [{"role": "user", "content": "Where to?"}]
MODEL = "gpt-5.4-mini"


def seen(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with its calls counted under a kind."""

    @functools.wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        SEEN[kind] += 1
        return function(*args, **kwargs)

    return counting


def a_store() -> QdrantClient:
    """Return an embedded vector database whose engine counts its operations."""
    for name in ("upsert", "query_points"):  # the operations on vectors
        setattr(QdrantLocal, name, seen("vector_db", getattr(QdrantLocal, name)))
    return QdrantClient(":memory:")


def ask(client: OpenAI) -> None:
    """Make a plain call, a streamed call, and an embedding."""
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    for _ in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
        pass
    client.embeddings.create(model="text-embedding-3-small", input="Porto")


@tool
def weather(city: str) -> str:
    """Return the weather: a tool."""
    SEEN["tool"] += 1
    return f"Sunny in {city}"


@tool
def broken(city: str) -> str:
    """Raise an error: a tool that fails."""
    SEEN["tool"] += 1
    raise LookupError(city)


@vector_query("notes")
def notes(query: str) -> list[str]:
    """Search an index that no library instruments."""
    SEEN["vector_db"] += 1
    return [query]


async def use_mcp() -> None:
    """Call a tool of an MCP server in another process."""
    parameters = mcp.StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("timetable.py"))])
    async with mcp.Client(mcp.stdio_client(parameters)) as client:
        result = await client.call_tool("trains", {"city": "Porto"})
    SEEN["tool"] += int(str(getattr(result.content[0], "text", "0")).partition(":")[0])


async def ask_concurrently(url: str) -> None:
    """Make three calls at the same time."""
    client = AsyncOpenAI(base_url=f"{url}/v1", max_retries=0)
    await asyncio.gather(*(client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(3)))
    await client.close()


def work() -> None:
    """Make all calls."""
    gateway, direct, service = (
        OpenAI(base_url=os.environ[name] + "/v1", max_retries=2) for name in ("GATEWAY", "DIRECT", "SERVICE")
    )
    store = a_store()
    with step("models"):
        for client in (gateway, direct, service):
            ask(client)
        asyncio.run(ask_concurrently(os.environ["GATEWAY"]))
        asyncio.run(ask_concurrently(os.environ["DIRECT"]))
    with step("refused"):
        gateway.chat.completions.create(model=MODEL, messages=MESSAGES)  # is refused with 429 at first, and retried
        try:
            gateway.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=MESSAGES)
        except RateLimitError:
            SEEN["refused"] += 1
    with step("research"):
        store.create_collection("guide", VectorParams(size=2, distance=Distance.COSINE))
        store.upsert("guide", [PointStruct(id=1, vector=[0.1, 0.2])])
        store.query_points("guide", [0.1, 0.2])
        notes("trams")
        weather("Porto")
        with contextlib.suppress(LookupError):
            broken("Porto")
        asyncio.run(use_mcp())
    with data("order", kind="rerank", input={"of": 3}) as call:
        SEEN["rerank"] += 1
        call.output({"kept": 1})
    with data("check", kind="guardrail"):
        SEEN["guardrail"] += 1
    with data("bill", input={"euros": 5}):
        SEEN["data"] += 1


def main() -> None:
    """Make all calls in a session, with HTTP instrumentation if `HTTP` is set."""
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    configure()
    OpenAIInstrumentor().instrument()
    QdrantInstrumentor().instrument()
    if os.environ.get("HTTP"):
        http.HTTPXClientInstrumentor().instrument()
        http.HTTPX2ClientInstrumentor().instrument()
    with session("Trip Planning", id="trip-42"):
        work()
    print(json.dumps(SEEN))


if __name__ == "__main__":
    main()
