"""Where other SDKs keep the ids of a conversation and a user before there is any span: in a context of theirs.

Nothing is looked for before the app itself has imported what writes it, and nothing of it is imported.
"""

from __future__ import annotations

from typing import NamedTuple

# The names of entries, from the outside in: `("association_properties", "session_id")`.
Way = tuple[str, ...]


class Scope(NamedTuple):
    """What an SDK's API writes into OpenTelemetry's Context, for whatever starts inside.

    Attributes:
        module: What the app has imported if it uses this API.
        session_ids: Ways to the conversation's id, from the Context on; the best first.
        user_ids: Ways to the user's id.
    """

    module: str
    session_ids: tuple[Way, ...]
    user_ids: tuple[Way, ...]


class Run(NamedTuple):
    """What a framework knows of the run that is going on, whoever instruments it.

    Attributes:
        module: The framework's.
        ask: The function in it that returns the run, or what the run was configured with; dotted.
        session_ids: Ways to the conversation's id, through entries or attributes; the best first.
        user_ids: Ways to the user's id.
    """

    module: str
    ask: str
    session_ids: tuple[Way, ...]
    user_ids: tuple[Way, ...] = ()


SCOPES = (
    # https://arize-ai.github.io/openinference/python: `using_session`, `using_user`, `using_attributes`.
    Scope("openinference.instrumentation", (("session.id",),), (("user.id",),)),
    # https://langfuse.com/docs/observability/features/sessions: `propagate_attributes`.
    Scope("langfuse", (("langfuse.propagated.session_id",),), (("langfuse.propagated.user_id",),)),
    # https://www.traceloop.com/docs/openllmetry/tracing/association: `@conversation` and
    # `set_association_properties`. A `thread_id` is LangGraph's, which its instrumentation puts there as well.
    Scope(
        "traceloop.sdk",
        (
            ("association_properties", "session_id"),
            ("association_properties", "conversation_id"),
            ("association_properties", "chat_id"),
            ("conversation_id",),
        ),
        (("association_properties", "user_id"),),
    ),
)

_LANGSMITH_THREADS = ("session_id", "thread_id", "conversation_id")

RUNS = (
    # https://docs.langchain.com/oss/python/langgraph/persistence, and what LangSmith calls a thread:
    # https://docs.langchain.com/langsmith/threads
    Run(
        "langchain_core.runnables.config",
        "var_child_runnable_config.get",
        (
            ("metadata", "session_id"),
            ("configurable", "thread_id"),
            *(("metadata", key) for key in _LANGSMITH_THREADS[1:]),
        ),
        (("metadata", "user_id"), ("configurable", "user_id")),
    ),
    # https://openai.github.io/openai-agents-python/tracing/: `trace(group_id=…)`, `RunConfig(group_id=…)`.
    Run("agents.tracing", "get_current_trace", (("group_id",),)),
    # https://docs.langchain.com/langsmith/add-metadata-tags
    Run(
        "langsmith.run_helpers",
        "get_current_run_tree",
        tuple(("metadata", key) for key in _LANGSMITH_THREADS),
        (("metadata", "user_id"),),
    ),
)
