"""`tool`, `vector_query` and `data`, as decorators and as `with` blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from opentelemetry.trace import Span

from helicone_otel import data, tool, vector_query


@tool
def get_weather(city: str) -> str:
    return f"Sunny in {city}"


@tool("get_weather", content=True)
async def get_weather_later(city: str) -> str:
    return f"Sunny in {city}"


@tool()
def read_pages(count: int) -> Iterator[str]:
    yield str(count)


@vector_query
def search(query: str, top_k: int = 3) -> list[tuple[str, float]]:
    return [(query, 1.0)] * top_k


@vector_query("guides", system="faiss", operation="search", top_k=3)
async def search_later(query: str) -> list[dict[str, object]]:
    return [{"id": query, "score": 0.91}]


@data
def shorten(text: str) -> str:
    return text[:12]


@data("check", kind="guardrail")
async def check(text: str) -> AsyncIterator[bool]:
    yield bool(text)


class Tools:
    @tool
    def get_time(self, zone: str) -> float:
        return float(len(zone))


async def decorated(tools: Tools) -> None:
    assert_type(get_weather("Porto"), str)
    assert_type(await get_weather_later("Porto"), str)
    assert_type(read_pages(2), Iterator[str])
    assert_type(search("visa rules", top_k=1), list[tuple[str, float]])
    assert_type(await search_later("visa rules"), list[dict[str, object]])
    assert_type(shorten("No visa for weekends."), str)
    async for passed in check("text"):
        assert_type(passed, bool)
    assert_type(tools.get_time("UTC"), float)


def blocks(found: list[dict[str, object]]) -> int:
    with tool("get_weather", input={"city": "Porto"}) as run:
        assert_type(run.span, Span)
        assert_type(run.output("Sunny"), str)
    with vector_query("guides", system="faiss", query="visa rules", top_k=1) as query:
        assert_type(query.matches(found), list[dict[str, object]])
        assert_type(query.top_k(3), int)
    with data("rerank", kind="rerank", input=found) as work:
        assert_type(work.input(found), list[dict[str, object]])
        return work.output(len(found))


async def async_blocks(vector: list[float]) -> None:
    async with tool("get_weather") as run:
        assert_type(run.input("Porto"), str)
    async with vector_query("guides", operation="insert") as query:
        assert_type(query.input(vector), list[float])
    async with data("shorten") as work:
        assert_type(work.output(None), None)


def refused() -> None:
    tool(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    data("shorten", kind="llm")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    vector_query("guides", top_k="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    get_weather(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
