"""OpenTelemetry's GenAI conventions, now and before.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from .._spans import Dialect, Row

_OPERATION = "gen_ai.operation.name"

GEN_AI = Dialect(
    name="gen_ai",
    rows=(
        Row(kind="llm", attribute=_OPERATION, values=frozenset({"chat", "generate_content", "text_completion"})),
        Row(kind="embedding", attribute=_OPERATION, values=frozenset({"embeddings"})),
        Row(
            kind="tool",
            attribute=_OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=("gen_ai.tool.name",),
            templates=("execute_tool *",),
        ),
        Row(
            kind="agent",
            attribute=_OPERATION,
            values=frozenset({"invoke_agent", "create_agent"}),
            named_by=("gen_ai.agent.name",),
            templates=("invoke_agent *", "create_agent *"),
        ),
        Row(
            kind="workflow",
            attribute=_OPERATION,
            values=frozenset({"invoke_workflow"}),
            named_by=("gen_ai.workflow.name",),
            templates=("invoke_workflow *",),
        ),
        # The convention names the data source behind the operation; the step is the retrieving.
        Row(
            kind="vector_db",
            attribute=_OPERATION,
            values=frozenset({"retrieval"}),
            segment="retrieve",
        ),
        Row(kind="task", attribute=_OPERATION, values=frozenset({"plan"}), templates=("plan *",)),
    ),
    session_ids=("gen_ai.conversation.id",),
    user_ids=("user.id", "enduser.id"),
)
