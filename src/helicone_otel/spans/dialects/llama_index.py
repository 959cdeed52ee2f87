"""LlamaIndex, as OpenInference and OpenLLMetry tell of it: classes and their methods, types at the end."""

from ..schema import Dialect, Row

_CHAT = ("chat", "stream_chat", "complete", "stream_complete", "predict", "stream")
_EMBED = ("get_query_embedding", "get_text_embedding", "get_text_embeddings", "get_text_embedding_batch")


def _methods(*names: str) -> tuple[str, ...]:
    """Return names of spans of methods, their asynchronous and inner forms too."""
    return tuple(f"*.{inner}{kind}{name}" for name in names for inner in ("", "_") for kind in ("", "a"))


OPENINFERENCE_LLAMA_INDEX = Dialect(
    name="openinference.llama_index",
    scopes=("openinference.instrumentation.llama_index",),
    rows=(
        # Typed LLM, but no model is called: it puts arguments together.
        Row(kind="task", names=("*._prepare_chat_with_tools",)),
        Row(kind="vector_db", names=_methods("retrieve"), segment="retrieve"),
    ),
    guesses=(
        Row(kind="task", names=("*ChatEngine.chat", "*ChatEngine.achat", "*ChatEngine.stream_chat")),
        Row(kind="llm", names=_methods(*_CHAT)),
        Row(kind="embedding", names=_methods(*_EMBED)),
        Row(kind="tool", names=("*Tool.call", "*Tool.acall", "*Tool.__call__"), named_by=("tool.name",)),
        Row(kind="task"),
    ),
)

_KINDS = ("*.workflow", "*.task")

# Every method of a class is `X.task`, or `X.workflow` without a parent; the class tells what it is.
TRACELOOP_LLAMA_INDEX = Dialect(
    name="traceloop.llama_index",
    scopes=("opentelemetry.instrumentation.llamaindex",),
    rows=(
        Row(kind="embedding", names=("*Embedding.workflow", "*Embedding.task")),
        Row(kind="vector_db", names=("*Retriever.workflow", "*Retriever.task"), templates=_KINDS),
        Row(kind="tool", names=("*Tool.workflow", "*Tool.task"), named_by=("tool.name",), templates=_KINDS),
        # The agent's step that runs a tool says which.
        Row(
            kind="tool",
            attribute="tool.name",
            names=("*Agent.task",),
            named_by=("tool.name",),
        ),
        # What is called the entity's name is the span's.
        Row(kind="workflow", names=("*.workflow",), templates=_KINDS),
        Row(kind="task", names=("*.task",), templates=_KINDS),
    ),
)
