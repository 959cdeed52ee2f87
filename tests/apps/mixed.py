"""An agent that does everything an agent can do, with some of its calls past the gateway; prints what its world saw.

`GATEWAY`, `DIRECT` and `SERVICE` are where its models are: at Helicone's gateway, at a provider that is none, and at
a service of its own in which the session goes on.
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
    """Count the calls of a function of the world's."""

    @functools.wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        SEEN[kind] += 1
        return function(*args, **kwargs)

    return counting


def a_store() -> QdrantClient:
    """Return an embedded vector database whose engine counts what is asked of it."""
    for name in ("upsert", "query_points"):  # those that are operations on vectors
        setattr(QdrantLocal, name, seen("vector_db", getattr(QdrantLocal, name)))
    return QdrantClient(":memory:")


def ask(client: OpenAI) -> None:
    """Ask in every way: plainly, as a stream, for an embedding, and where the first answer is a refusal."""
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    for _ in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
        pass
    client.embeddings.create(model="text-embedding-3-small", input="Porto")


@tool
def weather(city: str) -> str:
    """Be a tool."""
    SEEN["tool"] += 1
    return f"Sunny in {city}"


@tool
def broken(city: str) -> str:
    """Be a tool that fails."""
    SEEN["tool"] += 1
    raise LookupError(city)


@vector_query("notes")
def notes(query: str) -> list[str]:
    """Be an index that nobody instruments."""
    SEEN["vector_db"] += 1
    return [query]


async def use_mcp() -> None:
    """Call the tool of a server in another process."""
    parameters = mcp.StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("timetable.py"))])
    async with mcp.Client(mcp.stdio_client(parameters)) as client:
        result = await client.call_tool("trains", {"city": "Porto"})
    SEEN["tool"] += int(str(getattr(result.content[0], "text", "0")).partition(":")[0])


async def ask_side_by_side(url: str) -> None:
    """Ask three times at once."""
    client = AsyncOpenAI(base_url=f"{url}/v1", max_retries=0)
    await asyncio.gather(*(client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(3)))
    await client.close()


def work() -> None:
    """Do all of it, in a session."""
    gateway, direct, service = (
        OpenAI(base_url=os.environ[name] + "/v1", max_retries=2) for name in ("GATEWAY", "DIRECT", "SERVICE")
    )
    store = a_store()
    with step("models"):
        for client in (gateway, direct, service):
            ask(client)
        asyncio.run(ask_side_by_side(os.environ["GATEWAY"]))
        asyncio.run(ask_side_by_side(os.environ["DIRECT"]))
    with step("refused"):
        gateway.chat.completions.create(model=MODEL, messages=MESSAGES)  # which says 429 at first
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
    """Work, with the instrumentations that the environment names."""
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
