"""OpenInference's instrumentations: https://github.com/Arize-ai/openinference/tree/main/spec."""

from ...wire import Kind
from ..schema import Dialect, Row
from .frameworks import LANGCHAIN_CLASSES, LANGCHAIN_PLUMBING
from .semconv import AGENT_NAME, EMBEDDING_MODEL, TOOL_NAME, WHOLE_NAME

_KIND = "openinference.span.kind"
_NODE = "graph.node.name"
_NODE_ID = "graph.node.id"

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
    rows=(
        # The span's type is TOOL, but a handoff runs no tool: the next agent takes over.
        Row(kind="task", names=("handoff", "handoff *")),
        # Spans have the names that people gave to workflows, agents, tools and guardrails.
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), templates=WHOLE_NAME),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), named_by=("tool.name",), templates=WHOLE_NAME),
        Row(kind="guardrail", attribute=_KIND, values=frozenset({"guardrail"}), templates=WHOLE_NAME),
    ),
)

OPENINFERENCE_ANTHROPIC = Dialect(
    name="openinference.anthropic",
    scopes=("openinference.instrumentation.anthropic",),
    # The stream's span is never current, so the SDK's own span is a sibling of it.
    rows=(Row(kind="llm", names=("messages.stream", "beta.messages.stream"), not_current=True),),
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

# Clients whose spans get their type only when the answer has come. https://github.com/Arize-ai/openinference
OPENINFERENCE_CLIENTS = Dialect(
    name="openinference.clients",
    scopes=tuple(
        f"openinference.instrumentation.{client}"
        for client in (
            *("bedrock", "cohere", "google_genai", "groq", "mistralai"),
            *("ollama", "pipecat", "portkey", "together", "vertexai"),
        )
    ),
    rows=(
        Row(kind="vector_db", names=("bedrock.retrieve",), segment="retrieve"),
        Row(kind="guardrail", names=("bedrock.apply_guardrail",), segment="apply_guardrail"),
        Row(kind="agent", names=("bedrock_agent.*",), named_by=("agent.name",), templates=("bedrock_agent.*",)),
        # A reranker's span is named after the class of the client: `ClientV2.rerank`.
        Row(kind="rerank", attribute=_KIND, values=frozenset({"reranker"}), segment="rerank"),
        # The span's type is RETRIEVER, but a model answers.
        Row(kind="llm", names=("bedrock.retrieve_and_generate*",)),
        Row(kind="embedding", attribute="llm.model_name", matching=EMBEDDING_MODEL),
    ),
    guesses=(
        Row(kind="rerank", names=("*.rerank",), segment="rerank"),
        Row(kind="embedding", names=("CreateEmbeddings", "EmbedContent", "AsyncEmbedContent", "*.embed")),
        Row(kind="llm", names=("Completions", "AsyncCompletions", "Chat", "AsyncChat", "Generate", "AsyncGenerate")),
        Row(kind="llm", names=("*.chat", "*.chat_stream", "*.agents", "*.complete", "*.stream", "*.generate")),
        Row(kind="llm", names=("bedrock.converse*", "bedrock.invoke_model*")),
        Row(kind="llm", names=("*generate_content", "*generate_content_async", "GenerateContent*", "pipecat.llm")),
        Row(
            kind="llm",
            names=("AsyncGenerateContent*", "InteractionsResource.create", "AsyncInteractionsResource.create"),
        ),
        Row(kind="tool", names=("pipecat.tool.*",), named_by=("tool.name",), templates=("pipecat.tool.*",)),
    ),
)

_RUNS = tuple(f"*.{method}" for method in ("run", "arun", "execute", "aexecute", "execute_stream", "aexecute_stream"))

# Agents, teams, workflows and their steps are named after what people called them, with the method behind it.
OPENINFERENCE_AGNO = Dialect(
    name="openinference.agno",
    scopes=("openinference.instrumentation.agno",),
    rows=(
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"agent"}),
            named_by=("agent.name", _NODE, "agno.team.name", "agno.team", "agno.agent"),
            templates=_RUNS,
        ),
        Row(
            kind="workflow",
            attribute=_KIND,
            values=frozenset({"chain"}),
            names=("*.run", "*.arun"),
            named_by=(_NODE,),
            templates=_RUNS,
        ),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), named_by=(_NODE,), templates=_RUNS),
    ),
    # An agent without a session makes one for each of its objects.
    made_up_ids=("session.id",),
)

_COMPONENT = ("*.run", "*.run_async", "*.run_async_generator")
_COMPONENT_TYPES: tuple[tuple[Kind, str], ...] = (
    ("vector_db", "retriever"),
    ("rerank", "reranker"),
    ("agent", "agent"),
)
_COMPONENT_CLASSES: tuple[tuple[Kind, str], ...] = (
    ("llm", "Generator"),
    ("embedding", "Embedder"),
    ("vector_db", "Retriever"),
    ("rerank", "Ranker"),
    ("agent", "Agent"),
)

# Spans of components get their types a moment after their start, and are named after classes.
OPENINFERENCE_HAYSTACK = Dialect(
    name="openinference.haystack",
    scopes=("openinference.instrumentation.haystack",),
    rows=(
        Row(kind="workflow", names=tuple(f"*Pipeline{method[1:]}" for method in _COMPONENT), templates=_COMPONENT),
        *(
            Row(kind=kind, attribute=_KIND, values=frozenset({type_}), templates=_COMPONENT)
            for kind, type_ in _COMPONENT_TYPES
        ),
        # The type of an agent is that of any component.
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"chain"}),
            names=tuple(f"*Agent{method[1:]}" for method in _COMPONENT),
            templates=_COMPONENT,
        ),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain", "unknown"}), templates=_COMPONENT),
    ),
    guesses=(
        *(
            Row(kind=kind, names=tuple(f"*{suffix}{method[1:]}" for method in _COMPONENT), templates=_COMPONENT)
            for kind, suffix in _COMPONENT_CLASSES
        ),
        Row(kind="embedding", names=("CreateEmbeddings",)),
        Row(kind="task", templates=_COMPONENT),
    ),
)

# The span's type is TOOL, but `patch` is around a model's call, and the other methods only read its answer.
OPENINFERENCE_INSTRUCTOR = Dialect(
    name="openinference.instructor",
    scopes=("openinference.instrumentation.instructor",),
    rows=(
        Row(kind="llm", names=("instructor.patch", "instructor.async_patch")),
        Row(kind="task", attribute=_KIND, values=frozenset({"tool"})),
    ),
)

# The type of crews and flows is CHAIN, that of agents AGENT. Names contain ids, and the names of tasks.
OPENINFERENCE_CREWAI = Dialect(
    name="openinference.crewai",
    scopes=("openinference.instrumentation.crewai",),
    rows=(
        Row(
            kind="workflow",
            attribute=_KIND,
            values=frozenset({"chain"}),
            names=("*.kickoff", "*.kickoff_async", "*.kickoff_for_each"),
            templates=("*.kickoff", "*.kickoff_async", "*.kickoff_for_each"),
        ),
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"agent"}),
            named_by=("agent.name", _NODE_ID),
            templates=("*._execute_core", "*.execute", "*.kickoff"),
        ),
        # The methods of a flow.
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), named_by=("flow.node.name",)),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), named_by=("tool.name",), templates=("*.run",)),
    ),
)

# From sources only: all spans of a run are made when it is over.
OPENINFERENCE_BEEAI = Dialect(
    name="openinference.beeai",
    scopes=("openinference.instrumentation.beeai",),
    late=True,
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), not_current=True),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"}), not_current=True),
    ),
)

# Agents and teams of AutoGen are named with their method, tools with their agent.
OPENINFERENCE_AUTOGEN = Dialect(
    name="openinference.autogen",
    scopes=("openinference.instrumentation.autogen_agentchat",),
    rows=(
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"agent"}),
            named_by=(_NODE_ID,),
            templates=("*.on_messages_stream",),
        ),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), templates=("*.run_stream",)),
    ),
)

OPENINFERENCE_SMOLAGENTS = Dialect(
    name="openinference.smolagents",
    scopes=("openinference.instrumentation.smolagents",),
    rows=(
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), named_by=("agent.name",), templates=("*.run",)),
    ),
)

_DSPY_METHODS = ("*.forward", "*.aforward", "*.__call__", "*.acall")

# Spans are named after methods: `ChainOfThought.forward`, `LM.__call__`.
OPENINFERENCE_DSPY = Dialect(
    name="openinference.dspy",
    scopes=("openinference.instrumentation.dspy",),
    rows=(
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), templates=_DSPY_METHODS),
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), templates=_DSPY_METHODS),
        Row(
            kind="tool",
            attribute=_KIND,
            values=frozenset({"tool"}),
            named_by=("tool.name",),
            templates=_DSPY_METHODS,
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
    "*ChatModel",
)

# LangChain and LangGraph. Runs have arbitrary names and get their attributes only at the end. Spans are never current.
OPENINFERENCE_LANGCHAIN = Dialect(
    name="openinference.langchain",
    scopes=("openinference.instrumentation.langchain",),
    current="openinference.instrumentation.langchain:get_current_span",
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), not_current=True),
        Row(
            kind="vector_db",
            attribute=_KIND,
            values=frozenset({"retriever"}),
            names=("*Retriever",),
            segment="retrieve",
        ),
        # Nodes of graphs, functions and runs have the names that people gave them.
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), templates=WHOLE_NAME),
    ),
    guesses=(
        Row(kind="llm", names=_LANGCHAIN_CHAT_MODELS, not_current=True),
        Row(kind="vector_db", names=("*Retriever",), segment="retrieve"),
        Row(kind="task", templates=WHOLE_NAME),
    ),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("metadata:langgraph_node",),
)

_LLAMA_INDEX_CHAT = ("chat", "stream_chat", "complete", "stream_complete", "predict", "stream")
_LLAMA_INDEX_EMBED = ("get_query_embedding", "get_text_embedding", "get_text_embeddings", "get_text_embedding_batch")


def _methods(*names: str) -> tuple[str, ...]:
    """Return templates of span names for methods: plain, asynchronous (`achat`) and inner (`_chat`, `_achat`)."""
    return tuple(f"*.{inner}{kind}{name}" for name in names for inner in ("", "_") for kind in ("", "a"))


OPENINFERENCE_LLAMA_INDEX = Dialect(
    name="openinference.llama_index",
    scopes=("openinference.instrumentation.llama_index",),
    # Private methods, which repeat the public one around them: `RetrieverQueryEngine._query`.
    plumbing=r"\w+\._[a-z]\w*",
    rows=(
        # The span's type is LLM, but the method only prepares arguments and calls no model.
        Row(kind="task", names=("*._prepare_chat_with_tools",)),
        Row(kind="vector_db", names=_methods("retrieve"), segment="retrieve"),
        # Spans are named after methods, and the steps of a workflow are those of the app.
        Row(kind="task", attribute=_KIND, values=frozenset({"chain"}), templates=WHOLE_NAME),
    ),
    guesses=(
        Row(kind="task", names=("*ChatEngine.chat", "*ChatEngine.achat", "*ChatEngine.stream_chat")),
        Row(kind="llm", names=_methods(*_LLAMA_INDEX_CHAT)),
        Row(kind="embedding", names=_methods(*_LLAMA_INDEX_EMBED)),
        Row(kind="tool", names=("*Tool.call", "*Tool.acall", "*Tool.__call__"), named_by=("tool.name",)),
        Row(kind="task", templates=WHOLE_NAME),
    ),
)

OPENINFERENCE = Dialect(
    name="openinference",
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"})),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"})),
        # Some instrumentations add the types to spans with the names of OpenTelemetry's convention.
        Row(
            kind="tool",
            attribute=_KIND,
            values=frozenset({"tool"}),
            named_by=("tool.name", TOOL_NAME),
            templates=("execute_tool *", *WHOLE_NAME),
        ),
        Row(
            kind="agent",
            attribute=_KIND,
            values=frozenset({"agent"}),
            named_by=("agent.name", AGENT_NAME, _NODE),
            templates=("invoke_agent *", "create_agent *", *WHOLE_NAME),
        ),
        Row(kind="vector_db", attribute=_KIND, values=frozenset({"retriever"})),
        Row(kind="rerank", attribute=_KIND, values=frozenset({"reranker"})),
        Row(kind="guardrail", attribute=_KIND, values=frozenset({"guardrail", "evaluator"})),
        Row(
            kind="task",
            attribute=_KIND,
            values=frozenset({"chain", "prompt", "decision", "unknown"}),
            named_by=(_NODE,),
        ),
    ),
    session_ids=("session.id",),
    user_ids=("user.id",),
    providers=("llm.provider", "llm.system"),
    models=("llm.model_name", "embedding.model_name", "reranker.model_name"),
)
