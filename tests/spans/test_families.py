"""Spans as the documentation of each family describes them, because most of these families have no recording.

Each span is classified when it starts, and again with the attributes that come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace

from helicone_otel import Settings
from helicone_otel.spans.dialects import DIALECTS, LIBRARIES
from helicone_otel.spans.reader import ScopeRules, SpanReader
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
LANGTRACE = "langtrace_python_sdk.instrumentation."
SPRING = "org.springframework.boot"
AGENT = "gen_ai.agent.name"
WORKFLOW = {OPERATION: "invoke_workflow", "gen_ai.workflow.name": "trips"}
CALL_TOOL = {"mcp.method.name": "tools/call"}
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
        _case(OI + "bedrock", "bedrock.retrieve_and_generate", "llm", late={KIND: "RETRIEVER"}),
        Case(
            OI + "bedrock",
            "bedrock.invoke_model",
            {},
            {KIND: "LLM", "llm.model_name": "amazon.titan-embed-text-v2:0"},
            ("llm", None),
            ("embedding", None),
        ),
        *(
            _case(
                OTEL + scope,
                "text_completion amazon.titan-embed-text-v2:0",
                "embedding",
                start={OPERATION: "text_completion", "gen_ai.request.model": "amazon.titan-embed-text-v2:0"},
            )
            for scope in ("bedrock", "botocore.bedrock-runtime")
        ),
        _case(OTEL + "botocore", "Bedrock Agent Runtime.Retrieve", "vector_db", "retrieve"),
        _case(OTEL + "botocore", "Bedrock Agent Runtime.Rerank", "rerank", "rerank"),
        _case(OTEL + "botocore", "Bedrock Agent Runtime.RetrieveAndGenerate", "llm"),
        _case(OTEL + "botocore", "Bedrock Agent Runtime.InvokeAgent", "agent", "invoke_agent"),
        _case(OTEL + "botocore.bedrock-runtime", "Bedrock Runtime.ApplyGuardrail", "guardrail", "apply_guardrail"),
        _case(OTEL + "botocore", "Bedrock Runtime.ConverseStream", "llm"),  # aiobotocore
        _case(OTEL + "botocore", "S3Vectors.QueryVectors", "vector_db", "QueryVectors"),
        _case(OTEL + "botocore", "S3Vectors.CreateVectorBucket", None),
        _case(
            OTEL + "botocore.bedrock-runtime",
            "chat embedded-assistant",
            "llm",
            start={
                OPERATION: "chat",
                "gen_ai.request.model": "arn:aws:bedrock:eu:1:inference-profile/embedded-assistant",
            },
        ),
        _case(OTEL + "botocore.dynamodb", "DynamoDB.GetItem", None),
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
        Case(
            OI + "crewai",
            "Writer 2.draft_task._execute_core",
            {KIND: "AGENT"},
            {"graph.node.id": "Writer 2", "task_name": "draft_task"},
            ("agent", "Writer_2.draft_task"),
            ("agent", "Writer_2"),
        ),
        Case(
            OI + "crewai",
            "Flow_935153da-1111-4222-8333-444455556666.step_1_begin",
            {KIND: "CHAIN"},
            {"flow.node.name": "step_1_begin"},
            ("task", "Flow_step_begin"),
            ("task", "step_1_begin"),
        ),
    ],
    "CrewAI under OpenLIT": [
        _case("openlit.instrumentation.crewai", "invoke_workflow AgentExecutor", "workflow"),
        _case("openlit.instrumentation.crewai", "invoke_agent execute_native_tool", "task"),
        _case("openlit.instrumentation.crewai", "invoke_agent generate_plan", "agent", "generate_plan"),
        _case("openlit.instrumentation.crewai", "invoke_agent write_2", "agent", "write_2"),
    ],
    "types of OpenInference on spans of others": [
        _case(STRANDS, "execute_tool look_up_2", "tool", "look_up_2", late={KIND: "TOOL"}),
        _case(STRANDS, "invoke_agent Clerk 2", "agent", "Clerk_2", late={KIND: "AGENT"}),
        _case("my.app", "look_up_2", "tool", "look_up_2", start={KIND: "TOOL"}),
    ],
    "BeeAI": [
        _case(OI + "beeai", "OpenAIChatModel", "llm", start={KIND: "LLM"}),
        _case(OI + "beeai", "WeatherTool", "tool", "weather", start={KIND: "TOOL", "tool.name": "weather"}),
    ],
    "AutoGen AgentChat": [
        _case(
            OI + "autogen_agentchat",
            "writer_1.on_messages_stream",
            "agent",
            "writer_1",
            start={KIND: "AGENT", "graph.node.id": "writer_1"},
        ),
        _case(OI + "autogen_agentchat", "RoundRobin.run_stream", "task", "RoundRobin", start={KIND: "CHAIN"}),
        _case(
            OI + "autogen_agentchat",
            "writer_1.get_weather",
            "tool",
            "get_weather",
            start={KIND: "TOOL", "tool.name": "get_weather"},
        ),
        _case("autogen-core", "create_agent writer_1", "agent", "writer_1", start={OPERATION: "create_agent"}),
        _case("autogen SingleThreadedAgentRuntime", "autogen process writer_1_8368a051.(8368a051)-A", None),
    ],
    "openai-agents under OpenInference": [
        _case(OI + "openai_agents", "Support 24/7", "agent", "Support_24_7", start={KIND: "AGENT"}),
        _case(OI + "openai_agents", "step_2_check", "tool", "step_2_check", start={KIND: "TOOL"}),
        _case(OI + "openai_agents", "length_check_2", "guardrail", "length_check_2", start={KIND: "GUARDRAIL"}),
        _case(OI + "openai_agents", "batch 2", "task", "batch", start={KIND: "CHAIN"}),
    ],
    "LlamaIndex's workflows under OpenInference": [
        _case(OI + "llama_index", "TripFlow.step_1_plan", "task", "TripFlow.step_1_plan", start={KIND: "CHAIN"}),
        _case(
            OI + "llama_index",
            "main.<locals>.TripFlow.step_1_plan",
            "task",
            "TripFlow.step_1_plan",
            start={KIND: "CHAIN"},
        ),
    ],
    "smolagents under OpenInference": [
        _case(OI + "smolagents", "CodeAgent.run", "agent", "CodeAgent", start={KIND: "AGENT"}),
        _case(OI + "smolagents", "Step 1", "task", "Step", start={KIND: "CHAIN"}),
        _case(OI + "smolagents", "OpenAIModel.generate", "llm", start={KIND: "LLM"}),
    ],
    "DSPy": [
        _case(OI + "dspy", "ChainOfThought.forward", "task", "ChainOfThought", start={KIND: "CHAIN"}),
        _case(OI + "dspy", "ChainOfThought.aforward", "task", "ChainOfThought", start={KIND: "CHAIN"}),
        _case(OI + "dspy", "look_up.acall", "tool", "look_up", start={KIND: "TOOL"}),
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
    "AgentOps": [
        _case("agentops", "ticket.session", "workflow", "ticket", start={"agentops.span.kind": "session"}),
        _case("agentops", "step_2.task", "task", "step_2", start={"agentops.span.kind": "task"}),
        _case("openai", "openai.chat.completion", "llm", start={"gen_ai.request.type": "chat"}),
        _case("anthropic", "anthropic.messages.create", "llm"),
        _case("google-genai", "gemini.generate_content", "llm"),
        _case("openai", "openai.embeddings", "embedding"),
        _case("openai", "openai.assistants.create", None),
        _case("agentops", "chat_model.llm", "llm", start={"agentops.span.kind": "llm"}),
        _case(
            "agentops",
            "tool.tool",
            "tool",
            "look_up_2",
            start={"agentops.span.kind": "tool", "langchain.tool.name": "look_up_2"},
        ),
        _case("openai-agents", "Support 24/7", "workflow", "Support_24_7", start={"workflow.step.type": "trace"}),
        _case(
            "openai-agents",
            "Clerk 2",
            "agent",
            "Clerk_2",
            start={"agentops.span.kind": "agent", "agent.name": "Clerk 2"},
        ),
        _case("openai-agents", "generation", "llm", start={"agentops.span.kind": "llm"}),
        _case("openai-agents", "length_check_2", "task", "length_check_2"),
        _case("crewai", "Research Paris.task", "task", "Research_Paris", start={"agentops.span.kind": "task"}),
        _case("agno", "Office.agno.team.run.workflow", "workflow", "Office", start={"agentops.span.kind": "workflow"}),
        Case(
            "agentops.instrumentation.agentic.langgraph",
            "langgraph.node.execute",
            {},
            {"agentops.span.kind": "llm", "langgraph.node.name": "step_2"},
            ("task", "langgraph.node.execute"),
            ("task", "step_2"),
        ),
    ],
    "Laminar": [
        _case("lmnr.tracer", "openai.chat", "llm", start={"lmnr.span.type": "LLM"}),
        _case("lmnr.tracer", "openai.embeddings", "embedding", start={"lmnr.span.type": "LLM"}),
        _case("lmnr.tracer", "look up", "tool", "look_up", start={"lmnr.span.type": "TOOL"}),
        _case("lmnr.tracer", "FaqRetriever", "tool", "FaqRetriever", start={"lmnr.span.type": "TOOL"}),
        _case("lmnr.tracer", "nightly.workflow", "llm", start={"lmnr.span.type": "LLM"}),
        _case("lmnr.tracer", "draft", "task", "draft", start={"lmnr.span.type": "DEFAULT"}),
        *(
            _case("lmnr.tracer", name, kind, segment, start={"lmnr.span.type": "DEFAULT"})
            for name, kind, segment in (
                ("rag.workflow", "workflow", "rag"),
                ("execute_task summarize_2", "task", "summarize_2"),
                ("execute_task RunnableLambda", "task", None),
                ("execute_tool search_v2", "tool", "search_v2"),
                ("vector_db_retrieve VectorStoreRetriever", "vector_db", "retrieve"),
            )
        ),
    ],
    "LangWatch": [
        _late("langwatch", "look up", {"langwatch.span.type": "tool"}, "tool", "look_up", "task"),
        _late("langwatch", "answer", {"langwatch.span.type": "llm"}, "llm", None, "task")._replace(
            at_start=("task", "answer")
        ),
        _late("langwatch", "docs", {"langwatch.span.type": "rag"}, "vector_db", "docs", "task"),
    ],
    "MLflow": [
        _late("mlflow.tracing.provider", "kb", {"mlflow.spanType": '"RETRIEVER"'}, "vector_db", "kb", "task"),
        _late("mlflow.tracing.provider", "look_2", {"mlflow.spanType": '"TOOL"'}, "tool", "look_2", "task"),
        _late("mlflow.tracing.provider", "RunnableSequence", {"mlflow.spanType": '"CHAIN"'}, "task", None, "task"),
    ],
    "Langtrace": [
        _case(LANGTRACE + "openai.instrumentation", "openai.chat.completions.create", "llm"),
        _case(LANGTRACE + "openai.instrumentation", "openai.embeddings.create", "embedding"),
        _case(LANGTRACE + "cohere.instrumentation", "cohere.client.rerank", "rerank", "rerank"),
        _case(
            LANGTRACE + "chroma.instrumentation",
            "chromadb.Collection.query",
            "vector_db",
            "query",
            start={"langtrace.service.type": "vectordb", "db.operation": "query"},
        ),
        _case("langtrace_python_sdk.utils.with_root_span", "answer", "task", "answer"),
        *(
            _case(LANGTRACE + scope, name, kind, segment, late={"langtrace.service.type": "framework"})
            for scope, name, kind, segment in (
                ("langchain_core.instrumentation", "RunnableSequence.invoke", "task", None),
                ("langchain_core.instrumentation", "StrOutputParser.parse", "task", None),
                ("langchain_core.instrumentation", "BaseChatModel.generate", "llm", None),
                ("langchain_core.instrumentation", "BaseChatModel.asdict", "task", None),
                ("langchain_core.instrumentation", "BaseRetriever.invoke", "vector_db", "retrieve"),
                ("langgraph.instrumentation", "langgraph.graph.state.StateGraph.add_node", "task", None),
            )
        ),
    ],
    "FastAPI's own spans": [
        _case("fastapi", "fastapi.endpoint", None),
        _case("fastapi", "fastapi.dependencies", None),
        _case("fastapi", "fastapi.background_task", None),
    ],
    "AG2": [
        _case(OTEL + "ag2", "invoke_agent doctor_2", "agent", "doctor_2"),
        _case(OTEL + "ag2", "chat", "llm"),
        _case(OTEL + "ag2", "record_usage model_call", None),
    ],
    "Semantic Kernel": [
        _case("semantic_kernel.functions.kernel_function", "execute_tool Weather-room_12", "tool", "Weather-room_12"),
        _case("Microsoft.SemanticKernel.Diagnostics", "chat.completions gpt-4o", "llm"),
        _case("semantic_kernel.connectors.ai", "AutoFunctionInvocationLoop", "task", "AutoFunctionInvocationLoop"),
    ],
    "Spring AI": [
        _case(SPRING, "spring_ai chat_client", "workflow", "chat_client", start={"spring.ai.kind": "chat_client"}),
        _case(SPRING, "call", None, start={"spring.ai.kind": "advisor"}),
        _case(
            SPRING,
            "tool_call weather",
            "tool",
            "weather",
            start={"spring.ai.kind": "tool_call", "spring.ai.tool.definition.name": "weather"},
        ),
        _case(
            SPRING,
            "redis query",
            "vector_db",
            "query",
            start={"spring.ai.kind": "vector_store", "db.operation.name": "query"},
        ),
        _case(SPRING, "chat gpt-4o", "llm", start={OPERATION: "chat"}),
        _case(SPRING, "embedding text-embedding-3", "embedding", start={OPERATION: "embedding"}),
    ],
    "LangChain4j": [
        _case("io.quarkus.opentelemetry", "langchain4j.aiservices.Bot.chat", "workflow", "Bot.chat"),
        _case("io.quarkus.opentelemetry", "langchain4j.tools.add", "tool", "add"),
        _case("io.quarkus.opentelemetry", "completion gpt-4o", "llm"),
        _case("io.quarkus.opentelemetry", "POST /chat", None),
    ],
    "vendors that follow OpenTelemetry's convention": [
        _case(OTEL + "openai", "chat gpt-4o", "llm", start={OPERATION: "chat"}),  # Elastic
        _case("opentelemetry.util.genai", "invoke_workflow trips", "workflow", "trips", start=WORKFLOW),  # Splunk
        _case("azure.ai.inference", "chat gpt-4o", "llm", start={OPERATION: "chat"}),
        _case(
            "azure.ai.agents", "process_thread_run", "agent", "a", start={OPERATION: "process_thread_run", AGENT: "a"}
        ),
        _case("newrelic", "chat gpt-4o", "llm", start={OPERATION: "chat"}),
        _case("ddtrace.llmobs", "invoke_agent a", "agent", "a", start={OPERATION: "invoke_agent"}),
        _case("opik", "chat gpt-4o", "llm", start={OPERATION: "chat"}),
        _case("arize", "answer", "llm", start={KIND: "LLM"}),
        _case("weave", "rerank", "rerank", "rerank", start={OPERATION: "rerank"}),
    ],
    "clients under OpenInference, known from their names": [
        *(
            _case(f"{OI}{client}", name, "llm", late={KIND: "LLM"})
            for client, name in (
                ("groq", "AsyncCompletions"),
                ("together", "Completions"),
                ("portkey", "Completions"),
                ("ollama", "AsyncChat"),
                ("mistralai", "MistralAsyncClient.chat"),
                ("cohere", "AsyncClientV2.chat_stream"),
                ("bedrock", "bedrock.invoke_model_with_response_stream"),
                ("google_genai", "GenerateContentStream"),
                ("vertexai", "generate_content_async"),
                ("pipecat", "pipecat.llm"),
            )
        ),
        _case(OI + "google_genai", "AsyncInteractionsResource.create", "llm", late={KIND: "LLM"}),
        _case(OI + "anthropic", "beta.messages.stream", "llm", late={KIND: "LLM"}),
        _case(OI + "cohere", "ClientV2.rerank", "rerank", "rerank", late={KIND: "RERANKER"}),
        _case(OI + "bedrock", "bedrock.retrieve", "vector_db", "retrieve", late={KIND: "RETRIEVER"}),
        _case(OI + "bedrock", "bedrock.apply_guardrail", "guardrail", "apply_guardrail"),
        _case(OI + "bedrock", "bedrock_agent.invoke_agent", "agent", "invoke_agent", late={KIND: "AGENT"}),
    ],
    "agno": [
        _case(
            OI + "agno",
            "Report_Flow.run",
            "workflow",
            "Report_Flow_2",
            start={KIND: "CHAIN", "graph.node.name": "Report Flow 2"},
        ),
        _case(OI + "agno", "refine_2.execute", "task", "refine_2", start={KIND: "CHAIN"}),
        _case(OI + "agno", "Team.run", "agent", "Office", start={KIND: "AGENT", "agno.team.name": "Office"}),
    ],
    "Haystack under OpenInference": [
        _case(OI + "haystack", "AsyncPipeline.run_async", "workflow", "AsyncPipeline", late={KIND: "CHAIN"}),
        _case(OI + "haystack", "OpenAIChatGenerator.run", "llm", late={KIND: "LLM"}),
        _case(OI + "haystack", "CreateEmbeddings", "embedding", late={KIND: "EMBEDDING"}),
        _case(
            OI + "haystack", "InMemoryBM25Retriever.run", "vector_db", "InMemoryBM25Retriever", late={KIND: "RETRIEVER"}
        ),
        _case(OI + "haystack", "PromptBuilder.run", "task", "PromptBuilder", late={KIND: "CHAIN"}),
        _case(OI + "haystack", "Agent.run", "agent", "Agent", late={KIND: "CHAIN"}),
    ],
    "Instructor": [
        _case(OI + "instructor", "instructor.patch", "llm", start={KIND: "TOOL"}),
        _case(OI + "instructor", "handle_response_model", "task", "handle_response_model", start={KIND: "TOOL"}),
    ],
    "more clients under OpenLLMetry": [
        _case(OTEL + "voyageai", "voyageai.rerank", "rerank", "rerank", start={OPERATION: "rerank"}),
        _case(OTEL + "vertexai", "vertexai.send_message_streaming", "llm"),
        _case(OTEL + "replicate", "replicate.predictions.create", "llm"),
        _case(OTEL + "watsonx", "watsonx.get_details", None),
        _case(OTEL + "haystack", "rag_2.workflow", "workflow", "rag_2"),
        _case(OTEL + "agno", "office.team", "workflow", "office", late={"traceloop.span.kind": "workflow"}),
        _case(
            "openlit.instrumentation.ag2", "execute_task doctor_2", "task", "doctor_2", late={OPERATION: "execute_task"}
        ),
        _case("traceloop.tracer", "no_secrets.guard", "guardrail", "no_secrets"),
    ],
    "names that people gave": [
        *(
            _case(scope, "step_2_plan", "task", "step_2_plan", late=late)
            for scope, late in (
                ("langfuse-sdk", {"langfuse.observation.type": "chain"}),
                ("langsmith", {"langsmith.span.kind": "chain"}),
                ("lmnr.tracer", {"lmnr.span.type": "DEFAULT"}),
                ("langwatch", {"langwatch.span.type": "chain"}),
                ("mlflow.tracing.provider", {"mlflow.spanType": '"CHAIN"'}),
            )
        ),
        _case(OI + "langchain", "research_2", "task", "research_2", late={KIND: "CHAIN"}),
        _case("mcp-python-sdk", "MCP send tools/call summarize_2", "tool", "summarize_2", start=CALL_TOOL)._replace(
            span_kind="CLIENT"
        ),
        _case("traceloop.tracer", "step_2_check.tool", "tool", "step_2_check"),
        _case(STRANDS, "execute_tool gpt-4o-mini", "tool", "gpt-4o-mini"),
        _case(STRANDS, "invoke_agent 935153da-1111-4222-8333-444455556666", "agent", "invoke_agent"),
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
    "pgvector's inner product by an alias": (
        OTEL + "psycopg",
        "SELECT name, (embedding <#> %s::vector) * -1 AS score FROM items ORDER BY score DESC LIMIT 2",
        True,
    ),
    "a distance that orders nothing": (OTEL + "psycopg", "SELECT a <-> b AS d FROM t ORDER BY name", False),
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


@pytest.mark.parametrize(("scope", "query", "searches"), QUERIES.values(), ids=QUERIES)
def test_looking_for_parts_of_a_query_first_changes_no_answer(scope: str, query: str, searches: bool) -> None:
    without = [
        dialect._replace(rows=tuple(row._replace(containing=()) for row in dialect.rows)) for dialect in DIALECTS
    ]
    slow = SpanReader(without, LIBRARIES)
    for text in (query, query.upper(), query.lower()):
        found = slow.read(slow.scope(scope), "x", "CLIENT", {"db.statement": text}).kind == "vector_db"
        reader = SpanReader(DIALECTS, LIBRARIES)
        assert found == (reader.read(reader.scope(scope), "x", "CLIENT", {"db.statement": text}).kind == "vector_db")
    assert searches == (slow.read(slow.scope(scope), "x", "CLIENT", {"db.statement": query}).kind == "vector_db")


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


# --- between the steps ---------------------------------------------------------------------------------

LANGCHAIN_SCOPES = (
    OI + "langchain",
    OTEL + "langchain",
    OTEL + "genai.langchain",
    "openlit.instrumentation.langchain",
    "langfuse-sdk",
    "langsmith",
    "langwatch",
    "lmnr.tracer",
    "mlflow.tracing.provider",
)
PLUMBING = (
    *("RunnableSequence", "RunnableParallel<context,question>", "RunnableLambda", "RunnableAssign<x>"),
    *("ChatPromptTemplate", "PromptTemplate", "StrOutputParser", "PydanticToolsParser"),
    *("__start__", "ChannelWrite<a,b>", "ChannelRead<a>", "Branch<a,b>", "_check_refusal"),
)
STEPS = (
    "rag",
    "format_docs",
    "_format_docs",
    "_plan_trip",
    "RunnableRabbits2",
    "prompt",
    "parser",
    "LangGraph",
    "start",
)


@pytest.mark.parametrize("scope", LANGCHAIN_SCOPES)
def test_langchains_classes_are_no_steps_and_names_that_people_gave_are(reader: SpanReader, scope: str) -> None:
    attributes = {KIND: "CHAIN"}
    segments = {
        name: reader.read(reader.scope(scope), name, "INTERNAL", attributes).segment for name in (*PLUMBING, *STEPS)
    }

    assert {name for name, segment in segments.items() if segment is None} == {*PLUMBING, "RunnableRabbits2"}


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        (OI + "langchain", {KIND: "RETRIEVER"}),
        ("langfuse-sdk", {"langfuse.observation.type": "retriever"}),
        ("langsmith", {"langsmith.span.kind": "retriever"}),
        ("mlflow.tracing.provider", {"mlflow.spanType": '"RETRIEVER"'}),
    ],
)
def test_a_retriever_with_the_name_of_its_class_is_the_step_retrieve(
    reader: SpanReader, scope: str, attributes: dict[str, str]
) -> None:
    names = ("VectorStoreRetriever", "docs_2")
    read = {name: reader.read(reader.scope(scope), name, "INTERNAL", attributes)[:2] for name in names}

    assert read["VectorStoreRetriever"] == ("vector_db", "retrieve")
    assert read["docs_2"][0] == "vector_db"
    assert read["docs_2"][1] != "retrieve"


def test_a_class_between_the_steps_keeps_its_kind(reader: SpanReader) -> None:
    scope = reader.scope(OI + "langchain")

    assert reader.read(scope, "RunnableSequence", "INTERNAL", {KIND: "CHAIN"})[:2] == ("task", None)


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        (OI + "langchain", {KIND: "CHAIN", "metadata": '{"langgraph_step": 1, "langgraph_node": "%s"}'}),
        (OTEL + "langchain", {"traceloop.association.properties.langgraph_node": "%s"}),
        ("langsmith", {"langsmith.span.kind": "chain", "langsmith.metadata.langgraph_node": "%s"}),
        (
            "langfuse-sdk",
            {"langfuse.observation.type": "chain", "langfuse.observation.metadata.langgraph_node": '"%s"'},
        ),
        ("mlflow.tracing.provider", {"mlflow.spanType": '"CHAIN"', "metadata": '{"langgraph_node": "%s"}'}),
        ("lmnr.tracer", {"lmnr.span.type": "DEFAULT", "langchain.metadata": '{"langgraph_node":"%s"}'}),
    ],
)
def test_a_node_of_a_graph_is_a_step_whatever_its_name_is(
    reader: SpanReader, scope: str, attributes: dict[str, str]
) -> None:
    def segment(name: str, node: str) -> str | None:
        told = {key: value.replace("%s", node) for key, value in attributes.items()}
        name = f"execute_task {name}" if scope == OTEL + "langchain" else name
        return reader.read(reader.scope(scope), name, "INTERNAL", told).segment

    assert segment("RunnableSequence", "RunnableSequence") == "RunnableSequence"
    assert segment("RunnableSequence", "research") is None
    assert segment("_draft", "_draft") == "_draft"
    assert segment("_write", "research") is None
    assert segment("__start__", "__start__") is None


def test_private_methods_of_llama_index_are_no_steps(reader: SpanReader) -> None:
    names = ("RetrieverQueryEngine._query", "RetrieverQueryEngine.query", "SentenceSplitter.__call__")
    scope = reader.scope(OI + "llama_index")

    assert {name: reader.read(scope, name, "INTERNAL", {KIND: "CHAIN"}).segment for name in names} == {
        "RetrieverQueryEngine._query": None,
        "RetrieverQueryEngine.query": "RetrieverQueryEngine.query",
        "SentenceSplitter.__call__": "SentenceSplitter.__call__",
    }


def test_a_tool_with_the_name_of_a_class_is_a_step(reader: SpanReader) -> None:
    read = reader.read(reader.scope(OI + "langchain"), "RunnableLambda", "INTERNAL", {KIND: "TOOL"})

    assert read[:2] == ("tool", "RunnableLambda")


@pytest.mark.parametrize(("plumbing", "path"), [("skip", "/rag/retrieve"), ("keep", "/rag/RunnableSequence/retrieve")])
def test_the_setting_keeps_classes_in_the_path(plumbing: str, path: str) -> None:
    app = App(Settings(plumbing=plumbing))
    tracer = app.provider.get_tracer(OI + "langchain")
    rag = tracer.start_span("rag")
    chain = tracer.start_span("RunnableSequence", trace.set_span_in_context(rag))
    retriever = tracer.start_span("VectorStoreRetriever", trace.set_span_in_context(chain))
    retriever.set_attribute(KIND, "RETRIEVER")
    for span in (retriever, chain, rag):
        span.end()

    assert app.labels()["VectorStoreRetriever"]["helicone.session.path"] == path


def test_a_scope_is_read_alike_whatever_other_scopes_came_before() -> None:
    names = ["app", "app.other", "opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.starlette"]
    names += ["opentelemetry.instrumentation.redis", "openinference.instrumentation.openai", "langchain"]
    reader = SpanReader(DIALECTS, LIBRARIES)
    for name in names:
        scope, alone = reader.scope(name), SpanReader(DIALECTS, LIBRARIES).scope(name)
        scope.by_name("chat", "CLIENT")

        kept = set(ScopeRules.__slots__) - {"_by_name"}
        assert {key: getattr(scope, key) for key in kept} == {key: getattr(alone, key) for key in kept}


def test_scopes_that_no_dialect_lists_share_their_index() -> None:
    reader = SpanReader(DIALECTS, LIBRARIES)

    assert reader.scope("request-1").attributes is reader.scope("request-2").attributes
