"""OpenTelemetry's GenAI conventions, now and before.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from .._spans import Dialect, Row

OPERATION = "gen_ai.operation.name"
TOOL_NAME = "gen_ai.tool.name"
AGENT_NAME = "gen_ai.agent.name"

GEN_AI = Dialect(
    name="gen_ai",
    rows=(
        Row(
            kind="llm",
            attribute=OPERATION,
            values=frozenset({"chat", "generate_content", "text_completion", "realtime_inference"}),
        ),
        Row(kind="embedding", attribute=OPERATION, values=frozenset({"embeddings"})),
        Row(
            kind="tool",
            attribute=OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=(TOOL_NAME,),
            templates=("execute_tool *",),
        ),
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"invoke_agent", "create_agent"}),
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *", "create_agent *"),
        ),
        Row(
            kind="workflow",
            attribute=OPERATION,
            values=frozenset({"invoke_workflow"}),
            named_by=("gen_ai.workflow.name",),
            templates=("invoke_workflow *",),
        ),
        # The convention names the data source behind the operation; the step is the retrieving.
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"retrieval"}), segment="retrieve"),
        Row(kind="task", attribute=OPERATION, values=frozenset({"plan"}), templates=("plan *",)),
    ),
    session_ids=("gen_ai.conversation.id",),
    user_ids=("user.id", "enduser.id"),
    response_ids=("gen_ai.response.id",),
    providers=("gen_ai.provider.name", "gen_ai.system"),
    models=("gen_ai.request.model", "gen_ai.response.model"),
)

# What the conventions call spans, for families that set the attributes only once a span has started.
NAMED = (
    Row(kind="llm", names=("chat", "chat *", "text_completion *", "generate_content *")),
    Row(kind="embedding", names=("embeddings", "embeddings *")),
    Row(kind="tool", names=("execute_tool *",), named_by=(TOOL_NAME,), templates=("execute_tool *",)),
    Row(
        kind="agent",
        names=("invoke_agent", "invoke_agent *", "create_agent *"),
        named_by=(AGENT_NAME,),
        templates=("invoke_agent *", "create_agent *"),
    ),
    Row(kind="workflow", names=("invoke_workflow", "invoke_workflow *"), templates=("invoke_workflow *",)),
    Row(kind="vector_db", names=("retrieval", "retrieval *"), segment="retrieve"),
)
