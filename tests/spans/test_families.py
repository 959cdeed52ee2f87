"""Spans as the documentation of each family describes them, because most of these families have no recording.

Each span is classified when it starts, and again with the attributes that come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from helicone_otel.spans.dialects import DIALECTS, LIBRARIES
from helicone_otel.spans.reader import SpanReader
from tests.support.spans import App

OPERATION = "gen_ai.operation.name"
OI = "openinference.instrumentation."
OTEL = "opentelemetry.instrumentation."
KIND = "openinference.span.kind"
VERCEL = "ai.operationId"
COMPONENT = "haystack.component.type"


class Case(NamedTuple):
    """A span and what it is classified as.

    Attributes:
        scope: Its instrumentation scope.
        name: Its name.
        start: Its attributes when it starts.
        late: Attributes that it gets later.
        at_start: Its expected kind and segment when it starts.
        at_end: Its expected kind and segment with the late attributes.
        span_kind: Its OpenTelemetry kind.
    """

    scope: str
    name: str
    start: Mapping[str, Any]
    late: Mapping[str, Any]
    at_start: tuple[str | None, str | None]
    at_end: tuple[str | None, str | None]
    span_kind: str = "INTERNAL"


def _case(
    scope: str,
    name: str,
    kind: str | None,
    segment: str | None = None,
    start: Mapping[str, Any] | None = None,
    late: Mapping[str, Any] | None = None,
) -> Case:
    """Return a span whose kind is known from its start."""
    return Case(scope, name, start or {}, late or {}, (kind, segment), (kind, segment))


def _late(scope: str, name: str, late: Mapping[str, Any], kind: str, segment: str | None, first: str | None) -> Case:
    """Return a span that is classified as `first` when it starts, and as `kind` when it ends."""
    return Case(scope, name, {}, late, (first, segment if first == "task" else None), (kind, segment))


STRANDS = "strands.telemetry.tracer"
FRAMEWORK = "agent_framework"
ADK = "gcp.vertex.agent"
CASES = {
    "Strands": [
        _case(STRANDS, "invoke_agent Trip Agent", "agent", "Trip_Agent"),
        _case(STRANDS, "execute_event_loop_cycle", "task", "execute_event_loop_cycle"),
        _case(STRANDS, "chat", "llm", late={OPERATION: "chat"}),
        _case(STRANDS, "execute_tool get_weather", "tool", "get_weather"),
    ],
    "Microsoft agent-framework": [
        _case(FRAMEWORK, "invoke_agent planner", "agent", "planner"),
        _case(FRAMEWORK, "chat gpt-4o", "llm", late={OPERATION: "chat"}),
        _case(FRAMEWORK, "execute_tool get_weather", "tool", "get_weather", start={OPERATION: "execute_tool"}),
        _case(FRAMEWORK, "workflow.run", "workflow", "trips", start={"workflow.name": "trips"}),
        _case(FRAMEWORK, "executor.process writer", "task", "writer", start={"executor.id": "writer"}),
    ],
    "Google ADK and google-genai": [
        _case(ADK, "invocation", "workflow", "invocation"),
        _case(ADK, "agent_run [planner]", "agent", "planner"),
        _case(ADK, "invoke_agent planner", "agent", "planner"),
        _case(ADK, "call_llm", "llm"),
        _case(ADK, "execute_tool get_weather", "tool", "get_weather"),
        _case(ADK, "execute_tool (merged)", None),
        _case(OTEL + "google_genai", "generate_content gemini-3", "llm", start={OPERATION: "generate_content"}),
    ],
    "Bedrock": [
        _case(OTEL + "botocore.bedrock-runtime", "chat amazon.nova-pro-v1:0", "llm", start={OPERATION: "chat"}),
        _case(OTEL + "bedrock", "bedrock.converse", "llm"),
        _case(OI + "bedrock", "bedrock.converse", "llm", start={KIND: "LLM"}),
    ],
    "Mistral": [
        _case("mistralai_sdk_tracer", "chat mistral-large-latest", "llm"),
        _case("mistralai_sdk_tracer", "embeddings mistral-embed", "embedding"),
        _case(OTEL + "mistralai", "mistralai.chat", "llm"),
    ],
    "other clients under OpenLLMetry": [
        _case(OTEL + "cohere", "cohere.rerank", "rerank", "rerank"),
        _case(OTEL + "google_generativeai", "gemini.generate_content", "llm"),
        _case(OTEL + "ollama", "ollama.embeddings", "embedding"),
    ],
    "LangSmith": [
        _late("langsmith", "ChatOpenAI", {"langsmith.span.kind": "llm"}, "llm", None, "task")._replace(
            at_start=("task", "ChatOpenAI")
        ),
        _late("langsmith", "get_weather", {"langsmith.span.kind": "tool"}, "tool", "get_weather", "task"),
        _late("langsmith", "docs", {"langsmith.span.kind": "retriever"}, "vector_db", "docs", "task"),
        _late("langsmith", "plan", {"langsmith.span.kind": "chain"}, "task", "plan", "task"),
    ],
    "LiteLLM": [
        _case("litellm", "litellm_request", "llm", late={OPERATION: "acompletion"}),
        Case("litellm", "litellm_request", {}, {OPERATION: "aembedding"}, ("llm", None), ("embedding", None)),
        _case("litellm", "batch_write_to_db", None),
    ],
    "CrewAI under OpenInference": [
        _case(
            OI + "crewai",
            "Crew_935153da-1111-4222-8333-444455556666.kickoff",
            "workflow",
            "Crew",
            start={KIND: "CHAIN"},
        ),
        _case(OI + "crewai", "Researcher._execute_core", "agent", "Researcher", start={KIND: "AGENT"}),
    ],
    "smolagents under OpenInference": [
        _case(OI + "smolagents", "CodeAgent.run", "agent", "CodeAgent", start={KIND: "AGENT"}),
        _case(OI + "smolagents", "Step 1", "task", "Step", start={KIND: "CHAIN"}),
        _case(OI + "smolagents", "OpenAIModel.generate", "llm", start={KIND: "LLM"}),
    ],
    "DSPy": [
        _case(OI + "dspy", "ChainOfThought.forward", "task", "ChainOfThought", start={KIND: "CHAIN"}),
        _case(OI + "dspy", "LM.__call__", "llm", start={KIND: "LLM"}),
        _case(OI + "dspy", "ColBERTv2.__call__", "vector_db", "retrieve", start={KIND: "RETRIEVER"}),
    ],
    "Haystack": [
        _late("my.app", "haystack.component.run", {COMPONENT: "OpenAIChatGenerator"}, "llm", None, None)._replace(
            at_start=("task", "haystack.component.run")
        ),
        *(
            Case(
                "my.app",
                "haystack.component.run",
                {},
                {COMPONENT: component, "haystack.component.name": "part"},
                ("task", "haystack.component.run"),
                (kind, segment),
            )
            for component, kind, segment in (
                ("OpenAITextEmbedder", "embedding", None),
                ("InMemoryEmbeddingRetriever", "vector_db", "part"),
                ("CohereRanker", "rerank", "part"),
                ("Agent", "agent", "part"),
                ("PromptBuilder", "task", "part"),
            )
        ),
    ],
    "Vercel AI SDK": [
        _case(
            "ai",
            "ai.generateText",
            "workflow",
            "plan",
            start={VERCEL: "ai.generateText", "ai.telemetry.functionId": "plan"},
        ),
        _case("ai", "ai.streamText", "workflow", "streamText", start={VERCEL: "ai.streamText"}),
        _case("ai", "ai.generateText.doGenerate", "llm", start={VERCEL: "ai.generateText.doGenerate"}),
        _case("ai", "ai.embed.doEmbed", "embedding", start={VERCEL: "ai.embed.doEmbed"}),
        _case("ai", "ai.toolCall", "tool", "weather", start={VERCEL: "ai.toolCall", "ai.toolCall.name": "weather"}),
    ],
    "Logfire": [
        _case("logfire.openai", "Chat Completion with {request_data[model]!r}", "llm", start={OPERATION: "chat"}),
        _case("logfire.openai", "streaming response", None, start={"logfire.span_type": "log", OPERATION: "chat"}),
        _case("logfire", "plan {trip}", "task", "plan_{trip}"),
    ],
    "vector stores by whichever instrumentation": [
        _case("my.vectors", "search", "vector_db", "query", start={"db.system": "Weaviate", "db.operation": "QUERY"}),
        _case("my.vectors", "search docs", "vector_db", "search", start={"db.system.name": "qdrant"}),
        _case(OTEL + "pinecone", "pinecone.query", "vector_db", "query"),
        _case(OTEL + "weaviate", "db.weaviate.collections.query.near_text", "vector_db", "collections.query.near_text"),
    ],
}


@pytest.fixture(scope="module")
def reader() -> SpanReader:
    return SpanReader(DIALECTS, LIBRARIES)


def _read(reader: SpanReader, case: Case, attributes: Mapping[str, Any]) -> tuple[str | None, str | None]:
    classification = reader.read(reader.scope(case.scope), case.name, case.span_kind, attributes)
    return classification.kind, classification.segment


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{family}: {case.name}") for family, cases in CASES.items() for case in cases]
)
def test_a_span_is_classified_as_its_familys_documentation_says(reader: SpanReader, case: Case) -> None:
    assert _read(reader, case, case.start) == case.at_start
    assert _read(reader, case, {**case.start, **case.late}) == case.at_end


QUERIES = {
    "pgvector": (OTEL + "psycopg2", "SELECT * FROM docs WHERE x = 'y' ORDER BY embedding <=> %s LIMIT 5", True),
    "a function of pgvector": (OTEL + "asyncpg", "SELECT cosine_distance(a, b) FROM docs", True),
    "MariaDB": (OTEL + "pymysql", "SELECT id FROM docs ORDER BY VEC_DISTANCE_COSINE(e, x'00')", True),
    "a search for words that follow each other": (
        OTEL + "psycopg",
        "SELECT * FROM docs ORDER BY ts_rank(v, to_tsquery('a <-> b'))",
        False,
    ),
    "plain SQL": (OTEL + "psycopg", "SELECT * FROM docs ORDER BY id", False),
    "Redis, KNN": (OTEL + "redis", "FT.SEARCH docs *=>[KNN 3 @v $q]", True),
    "Redis, masked": (OTEL + "redis", "FT.SEARCH ? ? ?", False),
    "Redis, a cache": (OTEL + "redis", "GET ?", False),
    "Elasticsearch, kNN": ("elasticsearch-api", '{"knn": {"field": "v", "k": 3}}', True),
    "Elasticsearch, words": ("elasticsearch-api", '{"query": {"match": {"title": "knn"}}}', False),
    "OpenSearch, kNN": (OTEL + "elasticsearch", "{'query': {'knn': {'v': {'k': 3}}}}", True),
    "MongoDB, vectors": (OTEL + "pymongo", "aggregate [{'$vectorSearch': {'index': 'v'}}]", True),
    "MongoDB, a match": (OTEL + "pymongo", "aggregate [{'$match': {'a': 1}}]", False),
}


@pytest.mark.parametrize("name", ["db.statement", "db.query.text"])
@pytest.mark.parametrize(("scope", "query", "searches"), QUERIES.values(), ids=QUERIES)
def test_a_database_query_is_a_vector_query_only_if_it_searches_vectors(
    reader: SpanReader, scope: str, query: str, searches: bool, name: str
) -> None:
    case = Case(scope, "x", {}, {}, (None, None), (None, None), "CLIENT")

    assert _read(reader, case, {name: query})[0] == ("vector_db" if searches else None)


def test_a_late_span_is_labelled_even_if_its_parent_changed_session_meanwhile() -> None:
    app = App()
    with app.span("invoke_agent a", {OPERATION: "invoke_agent"}) as agent:
        look_up = app.provider.get_tracer("langsmith").start_span("look up")
        agent.set_attribute("session.id", "s1")
    look_up.set_attribute("langsmith.span.kind", "retriever")
    look_up.end()

    label = app.labels()["look up"]
    assert (label["helicone.span.kind"], label["helicone.session.id"]) == ("vector_db", "s1")


def test_parents_are_read_again_when_a_late_span_is_recognised() -> None:
    app = App()
    with app.span("haystack.pipeline.run") as pipeline, app.span("haystack.component.run") as component:
        pipeline.set_attribute("haystack.pipeline.metadata", "{}")
        component.set_attribute(COMPONENT, "OpenAIChatGenerator")

    assert {name: label["helicone.session.path"] for name, label in app.labels().items()} == {
        "haystack.component.run": "/pipeline",
        "haystack.pipeline.run": "/pipeline",
    }


@pytest.mark.parametrize("around", ["litellm_request", "plan trip"])
def test_two_spans_of_one_library_for_one_call_are_one_request(around: str) -> None:
    app = App()
    with app.span(around, scope="litellm" if around == "litellm_request" else "my.app"):
        with app.span("raw_gen_ai_request", scope="litellm"):
            pass

    finished = app.exporter.get_finished_spans()
    assert sum("helicone.request.id" in (span.attributes or {}) for span in finished) == 1


def test_a_name_that_a_framework_made_up_is_cleaned_of_its_uuid() -> None:
    app = App()
    name = "WorkflowBuilder-3bd70a8b-50de-4e30-ae4b-d7f300f3d170"
    with app.span("workflow.run", {"workflow.name": name}, scope=FRAMEWORK):
        pass

    assert app.labels()["workflow.run"]["helicone.session.path"] == "/WorkflowBuilder"
