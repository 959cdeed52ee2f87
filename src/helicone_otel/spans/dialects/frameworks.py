"""Agent frameworks that make spans themselves. Where no recording exists, the rows come from documentation."""

from ..schema import Dialect, Row
from .semconv import AGENT_NAME, NAMED, OPERATION, TOOL_NAME

# LangChain and LangGraph, whoever makes their spans. A runnable, prompt or parser without a name of its own is named
# after its class: https://reference.langchain.com/python/langchain_core/runnables
LANGCHAIN_CLASSES = r"Runnable[A-Z]\w*(?:<.*>)?|\w*PromptTemplate|\w*(?:Output|Tools|Tool)Parser"
# What LangGraph adds to a graph's own nodes, and LangChain's own functions. Other private functions are the app's.
LANGCHAIN_PLUMBING = r"__start__|__end__|Channel(?:Write|Read)(?:<.*>)?|Branch<.*>|_write|_check_refusal"

# https://strandsagents.com: spans have their names from the start, and their attributes a moment later.
STRANDS = Dialect(
    name="strands",
    scopes=("strands.telemetry.tracer",),
    guesses=(
        Row(kind="workflow", names=("invoke_graph", "invoke_swarm", "invoke_graph *", "invoke_swarm *")),
        Row(kind="task", names=("execute_event_loop_cycle",)),
        *NAMED,
    ),
)

# https://learn.microsoft.com/agent-framework
AGENT_FRAMEWORK = Dialect(
    name="agent_framework",
    scopes=("agent_framework*",),
    guesses=(
        Row(kind="workflow", names=("workflow.run", "workflow.run *"), named_by=("workflow.name",), segment="workflow"),
        Row(
            kind="task", names=("executor.process", "executor.process *"), named_by=("executor.id",), segment="executor"
        ),
        *NAMED,
    ),
)

# https://google.github.io/adk-docs: `call_llm` wraps the span of an instrumentation of Google's client.
GOOGLE_ADK = Dialect(
    name="google_adk",
    # OpenInference hands ADK a tracer of its own.
    scopes=("gcp.vertex.agent", "openinference.instrumentation.google_adk"),
    rows=(
        Row(kind="workflow", names=("invocation", "invocation [*]"), templates=("invocation [*]",)),
        Row(kind="agent", names=("agent_run [*]",), named_by=(AGENT_NAME,), templates=("agent_run [*]",)),
        Row(kind="llm", names=("call_llm",)),
        # The span sums up several runs of tools, which have spans of their own.
        Row(kind=None, names=("execute_tool (merged)",)),
    ),
    guesses=NAMED,
    session_ids=("gcp.vertex.agent.session_id",),
)

# https://docs.ag2.ai: the scope is under OpenTelemetry's prefix. Spans have their attributes a moment later.
AG2 = Dialect(
    name="ag2",
    scopes=("opentelemetry.instrumentation.ag2",),
    rows=(Row(kind=None, names=("record_usage *",)),),
    guesses=NAMED,
)

# https://learn.microsoft.com/semantic-kernel: scopes are modules in Python, and `Microsoft.SemanticKernel*` in .NET.
SEMANTIC_KERNEL = Dialect(
    name="semantic_kernel",
    scopes=("semantic_kernel.*", "Microsoft.SemanticKernel*"),
    guesses=(
        *NAMED,
        Row(kind="llm", names=("chat.completions *", "chat.streaming_completions *", "text.completions *")),
        Row(kind="task"),
    ),
)

# https://docs.mistral.ai: the SDK names its spans after operations of its API until the answer has arrived.
MISTRAL = Dialect(
    name="mistral",
    scopes=("mistralai_sdk_tracer",),
    guesses=(
        Row(
            kind="llm",
            names=(
                *("chat_completion_v1_*", "stream_chat", "fim_completion_v1_*", "stream_fim"),
                *("agents_completion_v1_*", "stream_agents"),
            ),
        ),
        Row(kind="embedding", names=("embeddings_v1_*",)),
        Row(kind="guardrail", names=("moderations_v1_*", "chat_moderations_v1_*"), segment="moderation"),
        *NAMED,
    ),
)

# Another thread makes the spans after the call has ended. The operation is the name of LiteLLM's function.
# https://docs.litellm.ai/docs/observability/opentelemetry_integration
LITELLM = Dialect(
    name="litellm",
    scopes=("litellm",),
    late=True,
    rows=(
        # The same call once more, as sent to the provider. Under a span of the app's own it is the call's only span.
        Row(kind="llm", names=("raw_gen_ai_request",), duplicate=True, not_current=True),
        *(
            Row(kind="embedding", attribute=key, values=frozenset({"embedding", "aembedding"}), not_current=True)
            for key in (OPERATION, "llm.request.type")
        ),
        Row(kind="llm", names=("litellm_request",), not_current=True),
    ),
    # Internals of LiteLLM's proxy: caches, keys, queues.
    guesses=(Row(kind=None),),
    # Of the providers whose own SDKs are instrumented beside LiteLLM.
    response_ids=("llm.openai.id", "llm.anthropic.id"),
    models=("llm.openai.model", "llm.azure.model", "llm.anthropic.model"),
    api_bases=("hidden_params",),
)

# Where a span of the app is current, LiteLLM makes none for the call, and writes its attributes onto that span.
LITELLM_ON_APPLICATION = Dialect(
    name="litellm.application",
    rows=(Row(kind="task", attribute="hidden_params", application=True),),
)

_TYPE = "haystack.component.type"
_COMPONENT = ("haystack.component.name",)

# The scope of Haystack's OpenTelemetry connector. Spans get their attributes a moment after their start.
HAYSTACK_CONNECTOR = Dialect(name="haystack.connector", scopes=("haystack",), guesses=(Row(kind="task"),))

# https://docs.haystack.deepset.ai/docs/tracing: the app chooses the scope. The kind follows from the component's class.
HAYSTACK = Dialect(
    name="haystack",
    rows=(
        Row(kind="llm", attribute=_TYPE, matching=r"Generator\Z"),
        Row(kind="embedding", attribute=_TYPE, matching=r"Embedder\Z"),
        Row(kind="vector_db", attribute=_TYPE, matching=r"Retriever\Z", named_by=_COMPONENT),
        Row(kind="rerank", attribute=_TYPE, matching=r"Ranker\Z", named_by=_COMPONENT),
        Row(kind="agent", attribute=_TYPE, matching=r"Agent\Z", named_by=_COMPONENT),
        Row(kind="task", attribute=_TYPE, named_by=_COMPONENT),
        Row(kind="workflow", attribute="haystack.pipeline.metadata", segment="pipeline"),
        Row(kind="workflow", names=("haystack.pipeline.run", "haystack.async_pipeline.run"), segment="pipeline"),
        Row(kind="agent", names=("haystack.agent.run",), segment="agent"),
        Row(kind="llm", names=("haystack.agent.step.llm",)),
        Row(
            kind="tool",
            names=("haystack.agent.step.tool",),
            named_by=("haystack.tool.name",),
            segment="tool",
        ),
        Row(kind="task", names=("haystack.agent.step",), segment="step"),
    ),
)

_AI = "ai.operationId"
_FUNCTION = ("ai.telemetry.functionId",)

# https://ai-sdk.dev/docs/ai-sdk-core/telemetry: the outer span is the loop, the inner spans are the calls.
VERCEL = Dialect(
    name="vercel",
    rows=(
        Row(
            kind="llm",
            attribute=_AI,
            values=frozenset(
                {
                    "ai.generatetext.dogenerate",
                    "ai.streamtext.dostream",
                    "ai.generateobject.dogenerate",
                    "ai.streamobject.dostream",
                }
            ),
        ),
        Row(
            kind="embedding",
            attribute=_AI,
            values=frozenset({"ai.embed", "ai.embed.doembed", "ai.embedmany", "ai.embedmany.doembed"}),
        ),
        Row(kind="rerank", attribute=_AI, values=frozenset({"ai.rerank", "ai.rerank.dorerank"}), segment="rerank"),
        Row(
            kind="tool",
            attribute=_AI,
            values=frozenset({"ai.toolcall"}),
            named_by=("ai.toolCall.name",),
        ),
        Row(
            kind="workflow",
            attribute=_AI,
            values=frozenset({"ai.generatetext", "ai.streamtext", "ai.generateobject", "ai.streamobject"}),
            named_by=_FUNCTION,
            templates=("ai.*",),
        ),
    ),
    session_ids=("ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.threadId"),
    user_ids=("ai.telemetry.metadata.userId",),
    response_ids=("ai.response.id",),
    providers=("ai.model.provider",),
    models=("ai.model.id", "ai.response.model"),
)

_SPRING = "spring.ai.kind"

# https://docs.spring.io/spring-ai/reference/observability: calls of models follow OpenTelemetry's convention.
SPRING_AI = Dialect(
    name="spring_ai",
    rows=(
        Row(kind="workflow", attribute=_SPRING, values=frozenset({"chat_client"}), segment="chat_client"),
        # An advisor is around every call, and the client's own advisors are, too.
        Row(kind=None, attribute=_SPRING, values=frozenset({"advisor"})),
        Row(
            kind="tool",
            attribute=_SPRING,
            values=frozenset({"tool_call"}),
            named_by=("spring.ai.tool.definition.name",),
        ),
        Row(
            kind="vector_db",
            attribute=_SPRING,
            values=frozenset({"vector_store"}),
            operations=("db.operation.name",),
            verb=True,
        ),
    ),
    session_ids=("spring.ai.chat.client.conversation.id",),
)

# https://docs.quarkiverse.io/quarkus-langchain4j: methods of AI services and tools.
LANGCHAIN4J = Dialect(
    name="langchain4j",
    scopes=("io.quarkus.opentelemetry*", "quarkus-langchain4j*"),
    rows=(
        Row(kind="workflow", names=("langchain4j.aiservices.*",), templates=("langchain4j.aiservices.*",)),
        Row(kind="tool", names=("langchain4j.tools.*",), named_by=(TOOL_NAME,), templates=("langchain4j.tools.*",)),
    ),
    guesses=(Row(kind="llm", names=("completion *",)),),
    everyday=True,
)

# Weave groups by an attribute that apps write themselves: https://docs.wandb.ai/weave/guides/tracking/otel
WEAVE = Dialect(name="weave", session_ids=("wandb.thread_id",))
