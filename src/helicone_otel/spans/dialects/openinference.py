"""OpenInference's instrumentations: https://github.com/Arize-ai/openinference/tree/main/spec."""

from ..schema import Dialect, Row

_KIND = "openinference.span.kind"

OPENINFERENCE_OPENAI = Dialect(
    name="openinference.openai",
    scopes=("openinference.instrumentation.openai",),
    rows=(
        # The span's type is LLM, but a moderation checks a text and generates none.
        Row(kind="guardrail", names=("ModerationCreateResponse",)),
    ),
)

OPENINFERENCE_AGENTS = Dialect(
    name="openinference.openai_agents",
    scopes=("openinference.instrumentation.openai_agents",),
    # The span's type is TOOL, but a handoff runs no tool: the next agent takes over.
    rows=(Row(kind="task", names=("handoff", "handoff *")),),
)

OPENINFERENCE_ANTHROPIC = Dialect(
    name="openinference.anthropic",
    scopes=("openinference.instrumentation.anthropic",),
    # The stream's span is never current, so the SDK's own span is a sibling of it.
    rows=(Row(kind="llm", names=("messages.stream",), not_current=True),),
)

# Spans are named after LiteLLM's functions, and get their attributes only at the end.
OPENINFERENCE_LITELLM = Dialect(
    name="openinference.litellm",
    scopes=("openinference.instrumentation.litellm",),
    guesses=(
        Row(kind="llm", names=("completion", "acompletion", "text_completion", "atext_completion")),
        Row(kind="llm", names=("responses", "aresponses", "completion_with_retries")),
        Row(kind="embedding", names=("embedding", "aembedding")),
        Row(kind="rerank", names=("rerank", "arerank")),
    ),
)

# From documentation only: the type of crews and flows is CHAIN, that of agents AGENT, and names contain ids.
OPENINFERENCE_CREWAI = Dialect(
    name="openinference.crewai",
    scopes=("openinference.instrumentation.crewai",),
    rows=(
        Row(
            kind="workflow",
            names=("*.kickoff", "*.kickoff_async", "*.kickoff_for_each"),
            templates=("*.kickoff", "*.kickoff_async", "*.kickoff_for_each"),
        ),
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"agent"}),
            named_by=("agent.name",),
            templates=("*._execute_core",),
        ),
    ),
)

# From documentation only.
OPENINFERENCE_SMOLAGENTS = Dialect(
    name="openinference.smolagents",
    scopes=("openinference.instrumentation.smolagents",),
    rows=(
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), named_by=("agent.name",), templates=("*.run",)),
    ),
)

# From documentation only: `ChainOfThought.forward`, `LM.__call__`.
OPENINFERENCE_DSPY = Dialect(
    name="openinference.dspy",
    scopes=("openinference.instrumentation.dspy",),
    rows=(
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), templates=("*.forward", "*.__call__")),
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), templates=("*.forward",)),
        Row(
            kind="tool",
            attribute=_KIND,
            values=frozenset({"tool"}),
            named_by=("tool.name",),
            templates=("*.__call__", "*.forward"),
        ),
        Row(kind="vector_db", attribute=_KIND, values=frozenset({"retriever"}), segment="retrieve"),
    ),
)

# Classes of chat models, after which LangChain names their runs. Not `Chat*`: `ChatPromptTemplate` is no model.
_LANGCHAIN_CHAT_MODELS = (
    "ChatOpenAI",
    "AzureChatOpenAI",
    "ChatAnthropic*",
    "ChatBedrock*",
    "ChatCohere",
    "ChatDeepSeek",
    "ChatFireworks",
    "ChatGoogleGenerativeAI",
    "ChatGroq",
    "ChatHuggingFace",
    "ChatLiteLLM*",
    "ChatMistralAI",
    "ChatNVIDIA",
    "ChatOllama",
    "ChatOpenRouter",
    "ChatPerplexity",
    "ChatTogether",
    "ChatVertexAI",
    "ChatWatsonx",
    "ChatXAI",
)

# LangChain and LangGraph. Runs have arbitrary names and get their attributes only at the end. Spans are never current.
OPENINFERENCE_LANGCHAIN = Dialect(
    name="openinference.langchain",
    scopes=("openinference.instrumentation.langchain",),
    current="openinference.instrumentation.langchain:get_current_span",
    rows=(Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), not_current=True),),
    guesses=(
        Row(kind="llm", names=_LANGCHAIN_CHAT_MODELS, not_current=True),
        Row(kind="vector_db", names=("VectorStoreRetriever",)),
        Row(kind="task"),
    ),
)

_LLAMA_INDEX_CHAT = ("chat", "stream_chat", "complete", "stream_complete", "predict", "stream")
_LLAMA_INDEX_EMBED = ("get_query_embedding", "get_text_embedding", "get_text_embeddings", "get_text_embedding_batch")


def _methods(*names: str) -> tuple[str, ...]:
    """Return templates of span names for methods: plain, asynchronous (`achat`) and inner (`_chat`, `_achat`)."""
    return tuple(f"*.{inner}{kind}{name}" for name in names for inner in ("", "_") for kind in ("", "a"))


OPENINFERENCE_LLAMA_INDEX = Dialect(
    name="openinference.llama_index",
    scopes=("openinference.instrumentation.llama_index",),
    rows=(
        # The span's type is LLM, but the method only prepares arguments and calls no model.
        Row(kind="task", names=("*._prepare_chat_with_tools",)),
        Row(kind="vector_db", names=_methods("retrieve"), segment="retrieve"),
    ),
    guesses=(
        Row(kind="task", names=("*ChatEngine.chat", "*ChatEngine.achat", "*ChatEngine.stream_chat")),
        Row(kind="llm", names=_methods(*_LLAMA_INDEX_CHAT)),
        Row(kind="embedding", names=_methods(*_LLAMA_INDEX_EMBED)),
        Row(kind="tool", names=("*Tool.call", "*Tool.acall", "*Tool.__call__"), named_by=("tool.name",)),
        Row(kind="task"),
    ),
)

OPENINFERENCE = Dialect(
    name="openinference",
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"})),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"})),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), named_by=("tool.name",)),
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), named_by=("agent.name",)),
        Row(kind="vector_db", attribute=_KIND, values=frozenset({"retriever"})),
        Row(kind="rerank", attribute=_KIND, values=frozenset({"reranker"})),
        Row(kind="guardrail", attribute=_KIND, values=frozenset({"guardrail", "evaluator"})),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain", "prompt", "decision", "unknown"})),
    ),
    session_ids=("session.id",),
    user_ids=("user.id",),
    providers=("llm.provider", "llm.system"),
    models=("llm.model_name", "embedding.model_name", "reranker.model_name"),
)
