"""OpenInference: https://github.com/Arize-ai/openinference/tree/main/spec."""

from .._spans import Dialect, Row

_KIND = "openinference.span.kind"

OPENINFERENCE_OPENAI = Dialect(
    name="openinference.openai",
    scopes=("openinference.instrumentation.openai",),
    rows=(
        # A moderation is typed LLM, but no model answers: it is a check.
        Row(kind="guardrail", names=("ModerationCreateResponse",)),
    ),
)

OPENINFERENCE_ANTHROPIC = Dialect(
    name="openinference.anthropic",
    scopes=("openinference.instrumentation.anthropic",),
    # The stream's span is not made current, so the SDK's own span is beside it, not below.
    rows=(Row(kind="llm", names=("messages.stream",), detached=True),),
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
)
