"""A trip planner: a small agent with two providers, a vector store and a tool server.

It uses OpenTelemetry and knows nothing of Helicone. The SDKs read the addresses of the models themselves
(OPENAI_BASE_URL, ANTHROPIC_BASE_URL, and their API keys).
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx2
from anthropic import AsyncAnthropic
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import TextContent
from openai import AsyncOpenAI, NotFoundError
from openai.types.chat import (
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
    ChatCompletionToolUnionParam,
)
from openai.types.chat.chat_completion_message_function_tool_call import Function
from opentelemetry import trace
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

TOWN_URL = os.environ["TOWN_URL"]
GUIDE = (
    "Livraria Lello opens at half past nine; come early.",
    "The port lodges of Gaia lie across the lower deck of the bridge.",
    "Tram 1 follows the river to the sea at Foz.",
)
TOOLS = StdioServerParameters(
    command=sys.executable,
    args=[str(Path(__file__).with_name("tool_server.py"))],
    env={"TOWN_URL": TOWN_URL},
)

MODEL = "gpt-5.4-mini"

tracer = trace.get_tracer("trip_planner")
openai = AsyncOpenAI()
anthropic = AsyncAnthropic()
store = QdrantClient(":memory:")


async def plan_trip(wish: str, tools: Client) -> str:
    """Find out the city, look things up in parallel, write a plan, and have it reviewed."""
    with tracer.start_as_current_span("plan_trip"):
        city = await understand(wish)
        with tracer.start_as_current_span("research"):
            findings = await asyncio.gather(read_guide(city), find_trains(city, tools), check_weather(city))
        return await review(await write(city, findings))


async def understand(wish: str) -> str:
    """Let the model name the city."""
    print("Understanding the wish", flush=True)
    with tracer.start_as_current_span("understand"):
        return await ask(MODEL, "Name the city the traveller wants to see.", wish)


async def read_guide(city: str) -> str:
    """Find the pages about the river in the guide, by their embeddings."""
    print(f"Reading the guide to {city}", flush=True)
    with tracer.start_as_current_span("guide"):
        pages = await embed(*GUIDE)
        store.create_collection(city, VectorParams(size=len(pages[0]), distance=Distance.COSINE))
        store.upsert(city, [PointStruct(id=number, vector=page) for number, page in enumerate(pages)])
        [question] = await embed("What is worth seeing along the river?")
        found = store.query_points(city, question, limit=2)
        return " ".join(GUIDE[point.id] for point in found.points if isinstance(point.id, int))


async def find_trains(city: str, tools: Client) -> str:
    """Let the model call the timetable until it has what it needs."""
    print("Looking for trains", flush=True)
    with tracer.start_as_current_span("trains"):
        offered: list[ChatCompletionToolUnionParam] = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.input_schema}}
            for tool in (await tools.list_tools()).tools
        ]
        messages: list[ChatCompletionMessageParam] = [
            {"role": "user", "content": f"Find trains from Lisbon to {city} and back."}
        ]
        while True:
            answer = await openai.chat.completions.create(model=MODEL, messages=messages, tools=offered)
            message = answer.choices[0].message
            calls = [call for call in message.tool_calls or [] if call.type == "function"]
            if not calls:
                return message.content or ""
            results = await asyncio.gather(*(use_tool(tools, call.function) for call in calls))
            messages.append({"role": "assistant", "tool_calls": [as_param(call) for call in calls]})
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": result}
                for call, result in zip(calls, results, strict=True)
            ]


def as_param(call: ChatCompletionMessageFunctionToolCall) -> ChatCompletionMessageFunctionToolCallParam:
    """Return a tool call of an answer as the next request takes it."""
    function = call.function
    return {"id": call.id, "type": "function", "function": {"name": function.name, "arguments": function.arguments}}


async def use_tool(tools: Client, function: Function) -> str:
    """Run a tool of the tool server; the SDK's own span of it has neither arguments nor result."""
    call = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": function.name,
        "gen_ai.tool.call.arguments": function.arguments,
    }
    with tracer.start_as_current_span(f"execute_tool {function.name}", attributes=call) as span:
        result = await tools.call_tool(function.name, json.loads(function.arguments))
        text = "".join(part.text for part in result.content if isinstance(part, TextContent))
        span.set_attribute("gen_ai.tool.call.result", text)
        return text


async def check_weather(city: str) -> str:
    """Ask the weather report of the town."""
    with tracer.start_as_current_span("weather"):
        async with httpx2.AsyncClient() as client:
            return (await client.get(f"{TOWN_URL}/weather", params={"city": city})).text


async def write(city: str, findings: Iterable[str]) -> str:
    """Let the second provider write the plan, as a stream."""
    print("Writing the plan", flush=True)
    with tracer.start_as_current_span("write"):
        request = f"Plan two days in {city}.\n" + "\n".join(findings)
        async with anthropic.messages.stream(
            model="claude-sonnet-5", max_tokens=400, messages=[{"role": "user", "content": request}]
        ) as stream:
            return await stream.get_final_text()


async def review(plan: str) -> str:
    """Have the plan reviewed by a better model, or by the usual one if that is not available."""
    print("Having it reviewed", flush=True)
    with tracer.start_as_current_span("review"):
        task = "Review this plan and return it corrected."
        try:
            return await ask("gpt-5.2-pro", task, plan)
        except NotFoundError:  # not every project has access to it
            return await ask(MODEL, task, plan)


async def answer_question(question: str) -> str:
    """Answer the question of another traveller, in a conversation of its own."""
    with tracer.start_as_current_span("answer_question"):
        chunks = await openai.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": question}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def ask(model: str, task: str, text: str) -> str:
    """Return the answer of a model."""
    answer = await openai.chat.completions.create(
        model=model, messages=[{"role": "system", "content": task}, {"role": "user", "content": text}]
    )
    return answer.choices[0].message.content or ""


async def embed(*texts: str) -> list[list[float]]:
    """Return the embeddings of texts."""
    answer = await openai.embeddings.create(model="text-embedding-3-small", input=list(texts))
    return [entry.embedding for entry in answer.data]


async def main() -> None:
    """Plan a trip and answer a question at the same time."""
    async with Client(stdio_client(TOOLS)) as tools:
        plan, answer = await asyncio.gather(
            plan_trip("Two days by the Douro, please, and by train.", tools),
            answer_question("May I take my bicycle on the train to Porto?"),
        )
    print(f"\n{plan}\n\n{answer}")


if __name__ == "__main__":
    asyncio.run(main())
