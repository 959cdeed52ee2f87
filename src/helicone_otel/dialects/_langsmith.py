"""LangSmith's OpenTelemetry export: runs written as spans by another thread, when they are over.

https://docs.langchain.com/langsmith/trace-with-opentelemetry; from documentation only.
"""

from .._spans import Dialect, Row

_KIND = "langsmith.span.kind"

LANGSMITH = Dialect(
    name="langsmith",
    scopes=("langsmith",),
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), detached=True),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"}), detached=True),
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
