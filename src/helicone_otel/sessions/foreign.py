"""What other SDKs say of a session, in the Context or in a context of their own (the tables below).

The Context tells what somebody opened on purpose: `using_session`, `propagate_attributes`. A run of a
framework tells an id that its own spans show too late, or never.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from opentelemetry.context import Context

from .. import wire
from ..failures import swallow
from ..spans.schema import first_text

# The names of entries, from the outside in: `("association_properties", "session_id")`.
KeyPath = tuple[str, ...]


class ContextSource(NamedTuple):
    """What an SDK's API writes into OpenTelemetry's Context, for whatever starts inside.

    Attributes:
        module: What the app has imported if it uses this API.
        session_ids: Ways to the conversation's id, from the Context on; the best first.
        user_ids: Ways to the user's id.
    """

    module: str
    session_ids: tuple[KeyPath, ...]
    user_ids: tuple[KeyPath, ...]


class FrameworkRun(NamedTuple):
    """What a framework knows of the run that is going on, whoever instruments it.

    Attributes:
        module: The framework's.
        ask: The function in it that returns the run, or what the run was configured with; dotted.
        session_ids: Ways to the conversation's id, through entries or attributes; the best first.
        user_ids: Ways to the user's id.
    """

    module: str
    ask: str
    session_ids: tuple[KeyPath, ...]
    user_ids: tuple[KeyPath, ...] = ()


CONTEXT_SOURCES = (
    # https://arize-ai.github.io/openinference/python: `using_session`, `using_user`, `using_attributes`.
    ContextSource("openinference.instrumentation", (("session.id",),), (("user.id",),)),
    # https://langfuse.com/docs/observability/features/sessions: `propagate_attributes`.
    ContextSource("langfuse", (("langfuse.propagated.session_id",),), (("langfuse.propagated.user_id",),)),
    # https://www.traceloop.com/docs/openllmetry/tracing/association: `@conversation` and
    # `set_association_properties`. A `thread_id` is LangGraph's, which its instrumentation puts there as well.
    ContextSource(
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

FRAMEWORK_RUNS = (
    # https://docs.langchain.com/oss/python/langgraph/persistence, and what LangSmith calls a thread:
    # https://docs.langchain.com/langsmith/threads
    FrameworkRun(
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
    FrameworkRun("agents.tracing", "get_current_trace", (("group_id",),)),
    # https://docs.langchain.com/langsmith/add-metadata-tags
    FrameworkRun(
        "langsmith.run_helpers",
        "get_current_run_tree",
        tuple(("metadata", key) for key in _LANGSMITH_THREADS),
        (("metadata", "user_id"),),
    ),
)


MODULES: Final = tuple(other.module for other in (*CONTEXT_SOURCES, *FRAMEWORK_RUNS))
# What of them the app has imported. While that is nothing, nobody needs to look.
LOADED: list[ContextSource | FrameworkRun] = []
_KEYS: set[str] = set()
_SOURCES: list[ContextSource] = []
_FRAMEWORK_RUNS: list[FrameworkRun] = []


class SessionClaim(NamedTuple):
    """Whose session and user that is, as far as somebody says so."""

    session_id: str | None
    user_id: str | None


def find_imported_sdks() -> None:
    """Take note of what the app has imported since."""
    for scope in CONTEXT_SOURCES:
        if scope not in _SOURCES and scope.module in sys.modules:
            _SOURCES.append(scope)
            _KEYS.update(way[0] for way in (*scope.session_ids, *scope.user_ids))
            LOADED.append(scope)
    for run in FRAMEWORK_RUNS:
        if run not in _FRAMEWORK_RUNS and run.module in sys.modules:
            _FRAMEWORK_RUNS.append(run)
            LOADED.append(run)


def claim_in(context: Context) -> SessionClaim | None:
    """Return what a Context says, if it says anything. Never raises: code that opens a session asks too."""
    if _KEYS.isdisjoint(context):
        return None
    session_id = user_id = None
    try:
        for scope in _SOURCES:
            session_id = session_id or _first(context, scope.session_ids)
            user_id = user_id or _first(context, scope.user_ids)
    except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
        swallow("other SDKs' scopes", error)
    return SessionClaim(session_id, user_id) if session_id or user_id else None


def claim_of_run() -> SessionClaim | None:
    """Return what the run of a framework says that is going on here, if it names a conversation."""
    for run in _FRAMEWORK_RUNS:
        try:
            told = attrgetter(run.ask)(sys.modules[run.module])()
            if told is not None and (session_id := _first(told, run.session_ids)):
                return SessionClaim(session_id, _first(told, run.user_ids))
        except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
            swallow(f"{run.module}:{run.ask}", error)
    return None


def _first(told: object, ways: Iterable[KeyPath]) -> str | None:
    for *outer, last in ways:
        inner = told
        for name in outer:
            inner = _entry(inner, name)
        if inner is not None and (text := first_text({last: _entry(inner, last)}, (last,))):
            return wire.valid_text(text) or None  # bounded, because it is remembered
    return None


def _entry(told: object, name: str) -> object:
    return told.get(name) if isinstance(told, Mapping) else getattr(told, name, None)
