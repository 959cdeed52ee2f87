"""Pydantic AI, in all versions of its conventions, and what Logfire adds to spans."""

from .._spans import Dialect, Row
from ._gen_ai import AGENT_NAME, NAMED, OPERATION, TOOL_NAME

_AGENT = (AGENT_NAME, "agent_name")

PYDANTIC_AI = Dialect(
    name="pydantic-ai",
    scopes=("pydantic-ai",),
    # OpenInference types these spans late, with no names of its own, so ours come first.
    rows=(
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"invoke_agent"}),
            named_by=_AGENT,
            templates=("invoke_agent *",),
        ),
        Row(
            kind="tool",
            attribute=OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=(TOOL_NAME,),
            templates=("execute_tool *",),
        ),
        # Versions 1 and 2 of its conventions.
        Row(kind="agent", names=("agent run",), named_by=_AGENT),
        Row(kind="tool", names=("running tool",), named_by=(TOOL_NAME,)),
        Row(kind="task", names=("running tools", "running * tools"), segment="tools"),
    ),
    guesses=NAMED,
)

# https://logfire.pydantic.dev: a log is a span without length, and a span is announced by one.
LOGFIRE = Dialect(
    name="logfire",
    rows=(Row(kind=None, attribute="logfire.span_type", values=frozenset({"log", "pending_span"})),),
)
