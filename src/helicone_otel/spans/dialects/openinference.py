"""OpenInference: https://github.com/Arize-ai/openinference/tree/main/spec."""

from ..schema import Dialect, Row

KIND = "openinference.span.kind"

OPENINFERENCE_OPENAI = Dialect(
    name="openinference.openai",
    scopes=("openinference.instrumentation.openai",),
    rows=(
        # A moderation is typed LLM, but no model answers: it is a check.
        Row(kind="guardrail", names=("ModerationCreateResponse",)),
    ),
)

OPENINFERENCE_AGENTS = Dialect(
    name="openinference.openai_agents",
    scopes=("openinference.instrumentation.openai_agents",),
    # Typed TOOL, but nothing runs: the next agent takes over.
    rows=(Row(kind="task", names=("handoff", "handoff *")),),
)

OPENINFERENCE_ANTHROPIC = Dialect(
    name="openinference.anthropic",
    scopes=("openinference.instrumentation.anthropic",),
    # The stream's span is not made current, so the SDK's own span is beside it, not below.
    rows=(Row(kind="llm", names=("messages.stream",), not_current=True),),
)

# LiteLLM's functions name the spans; all else comes at the end.
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

# Documentation only: crews and flows are typed CHAIN, their agents AGENT with ids in their names.
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
            attribute=KIND,
            values=frozenset({"agent"}),
            named_by=("agent.name",),
            templates=("*._execute_core",),
        ),
    ),
)

# Documentation only.
OPENINFERENCE_SMOLAGENTS = Dialect(
    name="openinference.smolagents",
    scopes=("openinference.instrumentation.smolagents",),
    rows=(
        Row(kind="agent", attribute=KIND, values=frozenset({"agent"}), named_by=("agent.name",), templates=("*.run",)),
    ),
)

# Documentation only: `ChainOfThought.forward`, `LM.__call__`.
OPENINFERENCE_DSPY = Dialect(
    name="openinference.dspy",
    scopes=("openinference.instrumentation.dspy",),
    rows=(
        Row(kind="task", attribute=KIND, values=frozenset({"chain"}), templates=("*.forward", "*.__call__")),
        Row(kind="agent", attribute=KIND, values=frozenset({"agent"}), templates=("*.forward",)),
        Row(
            kind="tool",
            attribute=KIND,
            values=frozenset({"tool"}),
            named_by=("tool.name",),
            templates=("*.__call__", "*.forward"),
        ),
        Row(kind="vector_db", attribute=KIND, values=frozenset({"retriever"}), segment="retrieve"),
    ),
)

OPENINFERENCE = Dialect(
    name="openinference",
    rows=(
        Row(kind="llm", attribute=KIND, values=frozenset({"llm"})),
        Row(kind="embedding", attribute=KIND, values=frozenset({"embedding"})),
        Row(kind="tool", attribute=KIND, values=frozenset({"tool"}), named_by=("tool.name",)),
        Row(kind="agent", attribute=KIND, values=frozenset({"agent"}), named_by=("agent.name",)),
        Row(kind="vector_db", attribute=KIND, values=frozenset({"retriever"})),
        Row(kind="rerank", attribute=KIND, values=frozenset({"reranker"})),
        Row(kind="guardrail", attribute=KIND, values=frozenset({"guardrail", "evaluator"})),
        Row(kind="task", attribute=KIND, values=frozenset({"chain", "prompt", "decision", "unknown"})),
    ),
    session_ids=("session.id",),
    user_ids=("user.id",),
    providers=("llm.provider", "llm.system"),
    models=("llm.model_name", "embedding.model_name", "reranker.model_name"),
)
