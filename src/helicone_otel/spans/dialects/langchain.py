"""LangChain and LangGraph, as OpenInference and OpenLLMetry tell of them: in callbacks, so late or beside."""

from ..schema import Dialect, Row
from .openinference import KIND
from .semconv import AGENT_NAME, OPERATION, TOOL_NAME

# Chat models whose classes name their runs; `ChatPromptTemplate` is none.
_CHAT_MODELS = (
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

# Runs have free names and show nothing before their end. Their spans are never current.
OPENINFERENCE_LANGCHAIN = Dialect(
    name="openinference.langchain",
    scopes=("openinference.instrumentation.langchain",),
    current="openinference.instrumentation.langchain:get_current_span",
    rows=(Row(kind="llm", attribute=KIND, values=frozenset({"llm"}), not_current=True),),
    guesses=(
        Row(kind="llm", names=_CHAT_MODELS, not_current=True),
        Row(kind="vector_db", names=("VectorStoreRetriever",)),
        Row(kind="task"),
    ),
)

# An LLM span is made beside the HTTP span of its call, and beside what instruments the client.
TRACELOOP_LANGCHAIN = Dialect(
    name="traceloop.langchain",
    scopes=("opentelemetry.instrumentation.langchain",),
    rows=(
        Row(kind="llm", attribute=OPERATION, values=frozenset({"chat", "text_completion"}), not_current=True),
        # Typed task, but documents are looked up.
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
)
