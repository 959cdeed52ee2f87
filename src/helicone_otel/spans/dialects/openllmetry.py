"""OpenLLMetry's (Traceloop's) instrumentations and SDK, now and before: https://github.com/traceloop/openllmetry."""

from ...wire import Kind
from ..schema import Dialect, Row
from .frameworks import LANGCHAIN_CLASSES, LANGCHAIN_PLUMBING
from .semconv import AGENT_NAME, OPERATION, TOOL_NAME

_KIND = "traceloop.span.kind"
_NAME = "traceloop.entity.name"
_REQUEST = "llm.request.type"

TRACELOOP_OPENAI = Dialect(
    name="traceloop.openai",
    scopes=("opentelemetry.instrumentation.openai.*",),
    rows=(
        # The span is made after the call has ended, and has no attribute at its start.
        Row(kind="llm", names=("openai.response",), not_current=True),
        Row(kind="llm", names=("openai.chat", "openai.completion")),
        Row(kind="embedding", names=("openai.embeddings",)),
    ),
)

TRACELOOP_ANTHROPIC = Dialect(
    name="traceloop.anthropic",
    scopes=("opentelemetry.instrumentation.anthropic",),
    rows=(Row(kind="llm", names=("anthropic.chat", "anthropic.completion"), not_current=True),),
)

_CLIENT_NAMES: tuple[tuple[Kind, tuple[str, ...], str], ...] = (
    ("rerank", ("*.rerank",), "rerank"),
    ("embedding", ("*.embeddings", "*.embed"), ""),
    ("llm", ("*.chat", "*.chat_stream", "*.completion", "*.completions", "*.converse", "*.converse_stream"), ""),
    ("llm", ("*.generate", "*.generate_text_stream", "*.generate_content", "*.generate_content_async", "*.call"), ""),
    (
        "llm",
        ("vertexai.predict*", "vertexai.send_message*", "replicate.run", "replicate.stream", "replicate.*.create"),
        "",
    ),
    ("llm", ("chat *", "generate_content *", "text_completion *"), ""),
)


def _clients(name: str, *clients: str, not_current: bool) -> Dialect:
    """Return the dialect of clients whose spans are named after the client and its method: `cohere.chat`."""
    return Dialect(
        name=name,
        scopes=tuple(f"opentelemetry.instrumentation.{client}" for client in clients),
        rows=(
            *(
                Row(kind=kind, names=names, segment=segment, not_current=not_current)
                for kind, names, segment in _CLIENT_NAMES
            ),
            Row(kind=None, names=("watsonx.model_init", "watsonx.get_details")),
        ),
    )


TRACELOOP_CLIENTS = _clients(
    "traceloop.clients", *("bedrock", "cohere", "sagemaker", "transformers"), not_current=False
)

# The SDK's own spans are siblings of these: Mistral's SDK traces itself.
TRACELOOP_BARE_CLIENTS = _clients(
    "traceloop.bare_clients",
    *("alephalpha", "google_generativeai", "groq", "litellm", "mistralai", "ollama", "replicate"),
    *("together", "vertexai", "voyageai", "watsonx", "writer"),
    not_current=True,
)

TRACELOOP_SDK = Dialect(
    name="traceloop.sdk",
    scopes=("traceloop.tracer",),
    # The SDK's decorators. The span's name contains the kind from the start; attributes come a moment later.
    rows=(
        Row(kind="workflow", names=("*.workflow",), named_by=(_NAME,), templates=("*.workflow",)),
        Row(kind="agent", names=("*.agent",), named_by=(_NAME,), templates=("*.agent",)),
        Row(kind="tool", names=("*.tool",), named_by=(_NAME,), templates=("*.tool",)),
        Row(kind="task", names=("*.task",), named_by=(_NAME,), templates=("*.task",)),
        Row(kind="guardrail", names=("*.guardrail", "*.guard"), templates=("*.guardrail", "*.guard")),
    ),
)

# Frameworks whose spans are named as the decorators name theirs.
TRACELOOP_FRAMEWORKS = Dialect(
    name="traceloop.frameworks",
    scopes=(
        "opentelemetry.instrumentation.agno",
        "opentelemetry.instrumentation.haystack",
        "opentelemetry.instrumentation.mcp",
        "opentelemetry.instrumentation.openai_agents",
    ),
    guesses=(*TRACELOOP_SDK.rows, Row(kind="workflow", names=("*.team",), templates=("*.team",))),
)

TRACELOOP_CREWAI = Dialect(
    name="traceloop.crewai",
    scopes=("opentelemetry.instrumentation.crewai*",),
    # By its attributes, the crew's run invokes an agent.
    rows=(Row(kind="workflow", names=("*.workflow",), templates=("*.workflow",)),),
    guesses=(
        Row(kind="llm", names=("*.llm",)),
        Row(kind="agent", names=("*.agent",), templates=("*.agent",)),
        Row(kind="task", names=("*.task",), templates=("*.task",)),
    ),
)

# Spans are named after the store and the operation: `chroma.query`.
_STORES = ("chroma", "qdrant", "pinecone", "milvus", "lancedb", "marqo", "db.weaviate")

TRACELOOP_VECTORS = Dialect(
    name="traceloop.vectors",
    scopes=(
        "opentelemetry.instrumentation.chromadb",
        "opentelemetry.instrumentation.qdrant",
        "opentelemetry.instrumentation.pinecone",
        "opentelemetry.instrumentation.milvus",
        "opentelemetry.instrumentation.lancedb",
        "opentelemetry.instrumentation.marqo",
        "opentelemetry.instrumentation.weaviate",
    ),
    rows=(
        Row(
            kind="vector_db",
            names=tuple(f"{store}.*" for store in _STORES),
            templates=("chroma.query.segment.*", *(f"{store}.*" for store in _STORES)),
        ),
    ),
)

# LangChain and LangGraph. An LLM span is a sibling of the spans of its call: HTTP, and the client's instrumentation.
TRACELOOP_LANGCHAIN = Dialect(
    name="traceloop.langchain",
    scopes=("opentelemetry.instrumentation.langchain",),
    rows=(
        Row(kind="llm", attribute=OPERATION, values=frozenset({"chat", "text_completion"}), not_current=True),
        # The span's type is task, but it looks up documents.
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"vector_db_retrieve"}), segment="retrieve"),
    ),
    guesses=(
        Row(kind="llm", names=("*.chat", "*.completion"), not_current=True),
        Row(kind="vector_db", names=("vector_db_retrieve *",), segment="retrieve"),
        Row(kind="tool", names=("execute_tool *",), named_by=(TOOL_NAME,), templates=("execute_tool *",)),
        Row(
            kind="agent",
            names=("invoke_agent *", "create_agent *"),
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *", "create_agent *"),
        ),
        Row(kind="workflow", names=("*.workflow",), templates=("*.workflow",)),
        Row(kind="task", names=("execute_task *", "*.task"), templates=("execute_task *", "*.task")),
    ),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("traceloop.association.properties.langgraph_node",),
)

_METHOD_TEMPLATES = ("*.workflow", "*.task")

# Spans are named after the class of the method: `X.task`, or `X.workflow` for a span without a parent. So the kind
# follows from the class.
TRACELOOP_LLAMA_INDEX = Dialect(
    name="traceloop.llama_index",
    scopes=("opentelemetry.instrumentation.llamaindex",),
    rows=(
        Row(kind="embedding", names=("*Embedding.workflow", "*Embedding.task")),
        Row(kind="vector_db", names=("*Retriever.workflow", "*Retriever.task"), templates=_METHOD_TEMPLATES),
        Row(kind="tool", names=("*Tool.workflow", "*Tool.task"), named_by=("tool.name",), templates=_METHOD_TEMPLATES),
        # An agent's step that runs a tool has the tool's name.
        Row(
            kind="tool",
            attribute="tool.name",
            names=("*Agent.task",),
            named_by=("tool.name",),
        ),
        # `traceloop.entity.name` holds the span's name here, so it is not used.
        Row(kind="workflow", names=("*.workflow",), templates=_METHOD_TEMPLATES),
        Row(kind="task", names=("*.task",), templates=_METHOD_TEMPLATES),
    ),
)

TRACELOOP = Dialect(
    name="traceloop",
    rows=(
        Row(kind="llm", attribute=_REQUEST, values=frozenset({"chat", "completion"})),
        Row(kind="embedding", attribute=_REQUEST, values=frozenset({"embedding"})),
        Row(kind="rerank", attribute=_REQUEST, values=frozenset({"rerank"}), segment="rerank"),
        Row(
            kind="workflow",
            attribute=_KIND,
            values=frozenset({"workflow"}),
            named_by=(_NAME,),
            templates=("*.workflow", "*.team"),
        ),
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), named_by=(_NAME,), templates=("*.agent",)),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), named_by=(_NAME,), templates=("*.tool",)),
        Row(
            kind="task",
            attribute=_KIND,
            values=frozenset({"task", "handoff"}),
            named_by=(_NAME,),
            templates=("*.task", "*.handoff"),
        ),
    ),
    session_ids=(
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
        "traceloop.association.properties.conversation_id",
    ),
    user_ids=("traceloop.association.properties.user_id",),
    models=("llm.request.model", "llm.response.model"),
)
