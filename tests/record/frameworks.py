"""Programs for frameworks and SDKs that make spans themselves, written as their documentation shows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

_GPT = "gpt-4o-mini"
_QUESTION = "What is the weather in Paris?"
_ASKED = [{"role": "user", "content": _QUESTION}]
_EMBEDDING = "text-embedding-3-small"
# In seconds: LiteLLM's thread makes its spans after the call.
_LATE = 1.0
Scenarios = dict[str, Callable[[], Any]]


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"Sunny in {city}."


def litellm(url: str) -> Scenarios:
    """Return calls of LiteLLM with its own callback for OpenTelemetry."""
    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter="in_memory"))]
    options: dict[str, Any] = {"api_base": f"{url}/v1", "api_key": "none", "max_retries": 0}
    model = f"openai/{_GPT}"

    def under_user_span() -> None:
        with trace.get_tracer("user.app").start_as_current_span("plan trip"):
            litellm.completion(model=model, messages=_ASKED, metadata={"session_id": "sess-1"}, **options)

    async def asynchronous() -> None:
        await litellm.acompletion(model=model, messages=_ASKED, **options)
        await asyncio.sleep(_LATE)

    def late(work: Callable[[], Any]) -> Callable[[], None]:
        def scenario() -> None:
            try:
                work()
            finally:
                time.sleep(_LATE)

        return scenario

    return {
        "completion": late(lambda: litellm.completion(model=model, messages=_ASKED, **options)),
        "under_user_span": late(under_user_span),
        "stream": late(lambda: list(litellm.completion(model=model, messages=_ASKED, stream=True, **options))),
        "embedding": late(lambda: litellm.embedding(model=f"openai/{_EMBEDDING}", input=["a trip"], **options)),
        "error": late(lambda: litellm.completion(model="openai/boom", messages=_ASKED, **options)),
        "async": asynchronous,
    }


def strands(url: str) -> Scenarios:
    """Return runs of agents of Strands."""
    from strands import Agent, tool
    from strands.models.openai import OpenAIModel
    from strands.multiagent import GraphBuilder

    def agent(name: str, *tools: Any, **more: Any) -> Agent:
        model = OpenAIModel(client_args={"base_url": f"{url}/v1", "api_key": "none"}, model_id=_GPT)
        return Agent(name=name, model=model, tools=list(tools), callback_handler=None, **more)

    def graph() -> None:
        builder = GraphBuilder()
        builder.add_node(agent("Researcher"), "research")
        builder.add_node(agent("Writer"), "write")
        builder.add_edge("research", "write")
        builder.build()("Weather in Paris")

    return {
        "agent": lambda: agent("Weather Agent", tool(get_weather))(_QUESTION),
        "session": lambda: agent("Chat Agent", trace_attributes={"session.id": "sess-1", "user.id": "ann"})("Say hi"),
        "graph": graph,
    }


def agent_framework(url: str) -> Scenarios:
    """Return runs of agents and workflows of Microsoft's agent framework."""
    from agent_framework import Agent, WorkflowBuilder
    from agent_framework.observability import enable_instrumentation
    from agent_framework.openai import OpenAIChatCompletionClient

    enable_instrumentation()

    def agent(name: str, *tools: Any) -> Agent:
        client = OpenAIChatCompletionClient(model=_GPT, base_url=f"{url}/v1", api_key="none")
        return Agent(client=client, name=name, instructions="You are terse.", tools=list(tools))

    async def run() -> None:
        await agent("Weather Agent", get_weather).run(_QUESTION)

    async def stream() -> None:
        async for _ in agent("Chat Agent").run("Say hi", stream=True):
            pass

    async def workflow() -> None:
        first, second = agent("Researcher"), agent("Writer")
        await WorkflowBuilder(start_executor=first).add_edge(first, second).build().run("Weather in Paris")

    return {"agent": run, "stream": stream, "workflow": workflow}


def langsmith(url: str) -> Scenarios:
    """Return runs of LangSmith's client, whose own thread makes spans of them when they have ended."""
    variables = {"TRACING": "true", "API_KEY": "ls-1", "OTEL_ENABLED": "true", "OTEL_ONLY": "true"}
    os.environ |= {f"LANGSMITH_{name}": value for name, value in variables.items()}
    from langsmith import traceable
    from langsmith.run_trees import get_cached_client
    from langsmith.wrappers import wrap_openai
    from openai import OpenAI

    client = wrap_openai(OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))
    weather = traceable(run_type="tool")(get_weather)

    @traceable(run_type="retriever")
    def look_up(query: str) -> list[dict[str, str]]:
        return [{"page_content": query, "type": "Document"}]

    @traceable(name="Trip planner")
    def plan(question: str) -> str:
        look_up(question)
        weather("Paris")
        client.chat.completions.create(model=_GPT, messages=_ASKED)
        return "Done."

    def flushed(work: Callable[[], Any]) -> Callable[[], None]:
        def scenario() -> None:
            try:
                work()
            finally:
                get_cached_client().flush()

        return scenario

    def under_user_span() -> None:
        with trace.get_tracer("user.app").start_as_current_span("plan trip"):
            plan(_QUESTION)

    return {
        "traceable": flushed(lambda: plan(_QUESTION)),
        "thread": flushed(lambda: plan(_QUESTION, langsmith_extra={"metadata": {"session_id": "sess-1"}})),
        "under_user_span": flushed(under_user_span),
        "chat": flushed(lambda: client.chat.completions.create(model=_GPT, messages=_ASKED)),
        "error": flushed(lambda: client.chat.completions.create(model="boom", messages=_ASKED)),
    }


def logfire(url: str) -> Scenarios:
    """Return calls under Logfire's own integrations."""
    import logfire
    from anthropic import Anthropic
    from openai import OpenAI

    from __main__ import RECORDER

    # Logfire makes its own provider, whose processors get scrubbed spans.
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[RECORDER])
    openai = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    anthropic = Anthropic(base_url=url, api_key="none", max_retries=0)
    logfire.instrument_openai(openai)
    logfire.instrument_anthropic(anthropic)

    @logfire.instrument("plan {question=}")
    def plan(question: str) -> None:
        with logfire.span("research"):
            openai.chat.completions.create(model=_GPT, messages=[{"role": "user", "content": question}])

    def in_conversation() -> None:
        with logfire.set_baggage(**{"gen_ai.conversation.id": "conv-1"}):
            plan(_QUESTION)

    return {
        "chat": lambda: openai.chat.completions.create(model=_GPT, messages=_ASKED),
        "stream": lambda: list(openai.chat.completions.create(model=_GPT, messages=_ASKED, stream=True)),
        "responses": lambda: openai.responses.create(model=_GPT, input=_QUESTION),
        "embeddings": lambda: openai.embeddings.create(model=_EMBEDDING, input="a trip"),
        "messages": lambda: anthropic.messages.create(model="claude-sonnet-4-5", max_tokens=64, messages=_ASKED),
        "error": lambda: openai.chat.completions.create(model="boom", messages=_ASKED),
        "spans": lambda: plan(_QUESTION),
        "baggage": in_conversation,
    }


def haystack(url: str) -> Scenarios:
    """Return runs of pipelines and agents of Haystack."""
    from haystack import Document, Pipeline, tracing
    from haystack.components.agents import Agent
    from haystack.components.builders import PromptBuilder
    from haystack.components.embedders import OpenAITextEmbedder
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.dataclasses import ChatMessage
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack.tools import tool
    from haystack.utils import Secret
    from haystack_integrations.tracing.opentelemetry import OpenTelemetryTracer

    tracing.enable_tracing(OpenTelemetryTracer(trace.get_tracer("haystack")))
    options: dict[str, Any] = {"api_base_url": f"{url}/v1", "api_key": Secret.from_token("none")}
    weather = tool(get_weather)

    def chat(**more: Any) -> OpenAIChatGenerator:
        return OpenAIChatGenerator(model=_GPT, **options, **more)

    def retrieve() -> None:
        store = InMemoryDocumentStore()
        store.write_documents([Document(content="Paris is sunny.", embedding=[0.5, 0.5, 0.5, 0.5])])
        pipeline = Pipeline()
        pipeline.add_component("embedder", OpenAITextEmbedder(model=_EMBEDDING, **options))
        pipeline.add_component("retriever", InMemoryEmbeddingRetriever(document_store=store))
        pipeline.add_component("prompt", PromptBuilder("{{ documents[0].content }}", required_variables=["documents"]))
        pipeline.connect("embedder.embedding", "retriever.query_embedding")
        pipeline.connect("retriever", "prompt.documents")
        pipeline.run({"embedder": {"text": _QUESTION}})

    def converse() -> None:
        pipeline = Pipeline()
        pipeline.add_component("llm", chat())
        pipeline.run({"llm": {"messages": [ChatMessage.from_user(_QUESTION)]}})

    def act() -> None:
        agent = Agent(chat_generator=chat(), tools=[weather])
        agent.run(messages=[ChatMessage.from_user(_QUESTION)])

    return {"chat_pipeline": converse, "rag_pipeline": retrieve, "agent": act}


def dspy(url: str) -> Scenarios:
    """Return runs of DSPy's modules."""
    import dspy

    dspy.configure(lm=dspy.LM(f"openai/{_GPT}", api_base=f"{url}/v1", api_key="none", cache=False))

    class Planner(dspy.Module):  # type: ignore[misc]  # DSPy ships no types here
        """A module of the app."""

        def __init__(self) -> None:
            super().__init__()
            self.think = dspy.ChainOfThought("question -> answer")

        def forward(self, question: str) -> Any:
            """Answer the question."""
            return self.think(question=question)

    weather = dspy.Tool(get_weather)
    return {
        "predict": lambda: dspy.Predict("question -> answer")(question=_QUESTION),
        "module": lambda: Planner()(question=_QUESTION),
        "react": lambda: dspy.ReAct("question -> answer", tools=[weather], max_iters=1)(question=_QUESTION),
        "tool": lambda: weather(city="Paris"),
        "embedder": lambda: dspy.Embedder(f"openai/{_EMBEDDING}", api_base=f"{url}/v1", api_key="none", caching=False)(
            ["a trip"]
        ),
    }


def mistral(url: str) -> Scenarios:
    """Return calls of Mistral's client, which makes spans of its own."""
    from mistralai.client import Mistral
    from mistralai.extra.observability import set_tracer_provider

    client = Mistral(api_key="none", server_url=url)
    set_tracer_provider(client, trace.get_tracer_provider())
    options: dict[str, Any] = {"model": "mistral-small-latest", "messages": _ASKED}

    async def asynchronous() -> None:
        await client.chat.complete_async(**options)

    return {
        "chat": lambda: client.chat.complete(**options),
        "stream": lambda: list(client.chat.stream(**options)),
        "embeddings": lambda: client.embeddings.create(model="mistral-embed", inputs=["a trip"]),
        "error": lambda: client.chat.complete(**{**options, "model": "boom"}),
        "async": asynchronous,
    }


def google_genai(url: str) -> Scenarios:
    """Return calls of Google's client."""
    from google import genai
    from google.genai.types import GenerateContentConfig, HttpOptions

    client = genai.Client(api_key="none", http_options=HttpOptions(base_url=url))
    options: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": _QUESTION}

    async def asynchronous() -> None:
        await client.aio.models.generate_content(**options)

    return {
        "generate": lambda: client.models.generate_content(**options),
        "stream": lambda: list(client.models.generate_content_stream(**options)),
        "tools": lambda: client.models.generate_content(**options, config=GenerateContentConfig(tools=[get_weather])),
        "embeddings": lambda: client.models.embed_content(model="gemini-embedding-001", contents="a trip"),
        "async": asynchronous,
    }


def google_adk(url: str) -> Scenarios:
    """Return runs of agents of Google's ADK."""
    from google.adk.agents import LlmAgent, SequentialAgent
    from google.adk.models.lite_llm import LiteLlm
    from google.adk.runners import InMemoryRunner

    def agent(name: str, *tools: Any) -> LlmAgent:
        model = LiteLlm(f"openai/{_GPT}", api_base=f"{url}/v1", api_key="none")
        return LlmAgent(name=name, model=model, instruction="You are terse.", tools=list(tools))

    async def run(root: Any) -> None:
        runner = InMemoryRunner(root, app_name="trips")
        await runner.run_debug(_QUESTION, user_id="ann", session_id="sess-1", quiet=True)

    async def weather() -> None:
        await run(agent("weather_agent", get_weather))

    async def pipeline() -> None:
        await run(SequentialAgent(name="trip_planner", sub_agents=[agent("researcher"), agent("writer")]))

    return {"agent": weather, "sequence": pipeline}


def langwatch(url: str) -> Scenarios:
    """Return a trace of LangWatch's decorators, with a call of its wrapper of OpenAI."""
    import langwatch
    from openai import OpenAI

    langwatch.setup(api_key="none", endpoint_url=url, tracer_provider=trace.get_tracer_provider())
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    @langwatch.span(type="tool")
    def look_up(question: str) -> str:
        return question

    @langwatch.span(type="rag", name="docs")
    def find(question: str) -> str:
        client.embeddings.create(model=_EMBEDDING, input=[question])
        return question

    @langwatch.span(type="llm", name="write")
    def write(question: str) -> str:
        answer = client.chat.completions.create(model=_GPT, messages=[{"role": "user", "content": question}])
        return str(answer.choices[0].message.content)

    @langwatch.trace(name="answer", metadata={"thread_id": "thread-1", "user_id": "user-1"})
    def answer() -> None:
        look_up(_QUESTION)
        find(_QUESTION)
        write(_QUESTION)

    return {"decorators": answer, "span_alone": lambda: write(_QUESTION)}


def langtrace(url: str) -> Scenarios:
    """Return calls of OpenAI and Qdrant under Langtrace's instrumentations."""
    from langtrace_python_sdk import with_langtrace_root_span
    from openai import OpenAI
    from qdrant_client import QdrantClient, models

    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    index = QdrantClient(":memory:")
    index.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.COSINE))

    @with_langtrace_root_span("answer")
    def answer() -> None:
        index.upsert("docs", [models.PointStruct(id=1, vector=[0.1, 0.2], payload={"text": "Sunny."})])
        index.query_points("docs", query=[0.1, 0.2], limit=1)
        client.chat.completions.create(model=_GPT, messages=_ASKED)

    return {
        "root_span": answer,
        "chat": lambda: client.chat.completions.create(model=_GPT, messages=_ASKED),
        "embeddings": lambda: client.embeddings.create(model=_EMBEDDING, input=["a trip"]),
    }


def fastapi(url: str) -> Scenarios:
    """Return requests to an app of FastAPI that calls a model, at once, in a dependency and in the background."""
    import httpx
    from fastapi import BackgroundTasks, Depends, FastAPI
    from fastapi.responses import JSONResponse
    from openai import AsyncOpenAI

    app = FastAPI()

    def client() -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    async def chat() -> None:
        await client().chat.completions.create(model=_GPT, messages=_ASKED)  # type: ignore[arg-type]

    async def embedded() -> str:
        await client().embeddings.create(model=_EMBEDDING, input=["a trip"])
        return "ok"

    @app.get("/trips/{trip_id}/ask")
    async def ask(trip_id: int, question: str = Depends(embedded)) -> dict[str, str]:  # noqa: FAST002  # a local name
        with trace.get_tracer("vector.index").start_as_current_span(
            "query", attributes={"db.system.name": "qdrant", "db.operation.name": "query"}
        ):
            pass
        await chat()
        return {"answer": f"{question} {trip_id}"}

    @app.post("/trips")
    async def create() -> Any:
        tasks = BackgroundTasks()
        tasks.add_task(chat)
        return JSONResponse({"answer": "later"}, background=tasks)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    async def request(method: str, path: str) -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as browser:
            await browser.request(method, path)

    return {
        "ask": lambda: asyncio.run(request("GET", "/trips/7/ask")),
        "background": lambda: asyncio.run(request("POST", "/trips")),
        "health": lambda: asyncio.run(request("GET", "/health")),
    }


def crewai(url: str) -> Scenarios:
    """Return runs of crews and flows of CrewAI."""
    os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false"}
    from crewai import LLM, Agent, Crew, Task
    from crewai.flow.flow import Flow, listen, start
    from crewai.tools import tool

    llm = LLM(model=f"openai/{_GPT}", base_url=f"{url}/v1", api_key="none")
    weather = tool("get_weather")(get_weather)

    def agent(role: str, *tools: Any) -> Agent:
        return Agent(role=role, goal="Help.", backstory="A guide.", llm=llm, tools=list(tools), max_iter=2)

    def crew() -> None:
        first, second = agent("Researcher", weather), agent("Writer 2")
        tasks = [
            Task(description=_QUESTION, expected_output="A fact", agent=first, name="find_weather"),
            Task(description="Write it down.", expected_output="A text", agent=second),
        ]
        Crew(agents=[first, second], tasks=tasks).kickoff()

    def flow() -> None:
        class Trip(Flow):  # type: ignore[misc,type-arg]  # of a package that is not installed here
            @start()  # type: ignore[untyped-decorator]
            def step_1_ask(self) -> Any:
                return llm.call(_QUESTION)

            @listen(step_1_ask)  # type: ignore[untyped-decorator]
            def write(self, text: str) -> str:
                return text

        Trip().kickoff()

    return {"crew": crew, "flow": flow}


def autogen(url: str) -> Scenarios:
    """Return runs of agents and teams of AutoGen."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    def agent(name: str, *tools: Any) -> AssistantAgent:
        client = OpenAIChatCompletionClient(model=_GPT, base_url=f"{url}/v1", api_key="none")
        return AssistantAgent(name, client, tools=list(tools))

    async def run() -> None:
        await agent("weather_agent", get_weather).run(task=_QUESTION)

    async def team() -> None:
        team = RoundRobinGroupChat([agent("writer_1")], termination_condition=MaxMessageTermination(2))
        await team.run(task="Say hi")

    return {"agent": run, "team": team}


FRAMEWORKS = {
    program.__name__: program
    for program in (
        litellm,
        strands,
        agent_framework,
        langsmith,
        logfire,
        haystack,
        dspy,
        mistral,
        google_genai,
        google_adk,
        langwatch,
        langtrace,
        fastapi,
        crewai,
        autogen,
    )
}
