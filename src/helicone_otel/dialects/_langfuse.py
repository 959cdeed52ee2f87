"""Langfuse's own spans: https://langfuse.com/docs/observability/features/observation-types."""

from .._spans import Dialect, Row

_TYPE = "langfuse.observation.type"

LANGFUSE = Dialect(
    name="langfuse",
    scopes=("langfuse-sdk",),
    rows=(
        # Its wrapper of the OpenAI client makes no span current.
        Row(kind="llm", attribute=_TYPE, values=frozenset({"generation"}), detached=True),
        Row(kind="embedding", attribute=_TYPE, values=frozenset({"embedding"}), detached=True),
        Row(kind="tool", attribute=_TYPE, values=frozenset({"tool"})),
        Row(kind="vector_db", attribute=_TYPE, values=frozenset({"retriever"})),
        Row(kind="agent", attribute=_TYPE, values=frozenset({"agent"})),
        Row(kind="guardrail", attribute=_TYPE, values=frozenset({"guardrail", "evaluator"})),
        Row(kind="task", attribute=_TYPE, values=frozenset({"span", "chain", "event"})),
    ),
    guesses=(Row(kind="llm", names=("OpenAI-generation",), detached=True), Row(kind="task")),
    session_ids=("langfuse.session.id",),
    user_ids=("langfuse.user.id",),
    models=("langfuse.observation.model.name",),
)
