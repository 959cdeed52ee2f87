"""Products and SDKs that make spans themselves: Langfuse, LangSmith, OpenLIT, Pydantic AI, Logfire, Anthropic, ours."""

from __future__ import annotations

from ... import wire
from ..schema import Dialect, Row
from .semconv import AGENT_NAME, NAMED, OPERATION, TOOL_NAME

# https://langfuse.com/docs/observability/features/observation-types
_TYPE = "langfuse.observation.type"

LANGFUSE = Dialect(
    name="langfuse",
    scopes=("langfuse-sdk",),
    rows=(
        # Langfuse's wrapper of the OpenAI client never makes its spans current.
        Row(kind="llm", attribute=_TYPE, values=frozenset({"generation"}), not_current=True),
        Row(kind="embedding", attribute=_TYPE, values=frozenset({"embedding"}), not_current=True),
        Row(kind="tool", attribute=_TYPE, values=frozenset({"tool"})),
        Row(kind="vector_db", attribute=_TYPE, values=frozenset({"retriever"})),
        Row(kind="agent", attribute=_TYPE, values=frozenset({"agent"})),
        Row(kind="guardrail", attribute=_TYPE, values=frozenset({"guardrail", "evaluator"})),
        Row(kind="task", attribute=_TYPE, values=frozenset({"span", "chain", "event"})),
    ),
    guesses=(Row(kind="llm", names=("OpenAI-generation",), not_current=True), Row(kind="task")),
    session_ids=("langfuse.session.id",),
    user_ids=("langfuse.user.id",),
    models=("langfuse.observation.model.name",),
)


# https://docs.langchain.com/langsmith/trace-with-opentelemetry
_KIND = "langsmith.span.kind"

LANGSMITH = Dialect(
    name="langsmith",
    scopes=("langsmith",),
    late=True,
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), not_current=True),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"}), not_current=True),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"})),
        Row(kind="vector_db", attribute=_KIND, values=frozenset({"retriever"})),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain", "prompt", "parser"})),
    ),
    guesses=(Row(kind="task"),),
    session_ids=(
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "langsmith.metadata.conversation_id",
    ),
    user_ids=("langsmith.metadata.user_id",),
    grouped_by="langsmith.metadata.session_id",
)


# https://docs.openlit.io
OPENLIT_VECTORS = Dialect(
    name="openlit.vectors",
    scopes=(
        "openlit.instrumentation.astra",
        "openlit.instrumentation.chroma",
        "openlit.instrumentation.milvus",
        "openlit.instrumentation.pinecone",
        "openlit.instrumentation.qdrant",
    ),
    # Spans are named after the operation and the collection: `GET docs`.
    rows=(Row(kind="vector_db", operations=("db.operation.name",), verb=True),),
)

OPENLIT = Dialect(
    name="openlit",
    scopes=("openlit.instrumentation.*",),
    rows=(
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"vectordb"}), operations=("db.operation.name",)),
        Row(kind="guardrail", attribute=OPERATION, values=frozenset({"moderation"}), segment="moderation"),
        # The spans of guardrails, handoffs and whole runs all look like invocations of agents.
        Row(
            kind="guardrail",
            attribute="gen_ai.guardrail.triggered",
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *",),
        ),
        Row(kind="task", attribute="gen_ai.agent.source", named_by=(AGENT_NAME,), templates=("invoke_agent *",)),
        Row(kind="task", names=("invoke_agent",)),
    ),
    guesses=(Row(kind="guardrail", names=("moderation *",), segment="moderation"), *NAMED),
    user_ids=("gen_ai.request.user",),
)


_AGENT = (AGENT_NAME, "agent_name")

PYDANTIC_AI = Dialect(
    name="pydantic-ai",
    scopes=("pydantic-ai",),
    # OpenInference adds its types to these spans late, and no names, so these rows come first.
    rows=(
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"invoke_agent"}),
            named_by=_AGENT,
            templates=("invoke_agent *",),
        ),
        Row(
            kind="tool",
            attribute=OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=(TOOL_NAME,),
            templates=("execute_tool *",),
        ),
        # Versions 1 and 2 of Pydantic AI's conventions.
        Row(kind="agent", names=("agent run",), named_by=_AGENT),
        Row(kind="tool", names=("running tool",), named_by=(TOOL_NAME,)),
        Row(kind="task", names=("running tools", "running * tools"), segment="tools"),
    ),
    guesses=NAMED,
)

# https://logfire.pydantic.dev: Logfire writes a log as a span without duration, and announces a span by another one.
LOGFIRE = Dialect(
    name="logfire",
    rows=(Row(kind=None, attribute="logfire.span_type", values=frozenset({"log", "pending_span"})),),
)


# https://github.com/anthropics/anthropic-sdk-python
ANTHROPIC = Dialect(
    name="anthropic",
    scopes=("com.anthropic.sdk.python",),
    rows=(
        Row(
            kind="llm", names=("anthropic.messages.create", "anthropic.messages.stream", "anthropic.completions.create")
        ),
        # Calls that manage sessions of hosted agents run no model.
        Row(kind=None, names=("anthropic.sessions.*",)),
    ),
    bare_carriers=True,
)

# The spans of `tool()`, `vector_query()` and `data()`.
HELICONE = Dialect(
    name="helicone",
    scopes=(wire.SCOPE,),
    rows=(
        # The step is the operation, whatever the collection.
        Row(kind="vector_db", attribute="db.operation.name", operations=("db.operation.name",)),
        Row(kind="data", attribute=wire.DATA_NAME, named_by=(wire.DATA_NAME,)),
        Row(
            kind="tool",
            attribute="gen_ai.operation.name",
            values=frozenset({"execute_tool"}),
            named_by=("gen_ai.tool.name",),
        ),
    ),
)
