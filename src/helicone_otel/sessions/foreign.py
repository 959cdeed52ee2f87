"""Which session do other SDKs claim? A table of SDKs, and the functions that read their claims.

There are two kinds of sources. With the APIs of some SDKs, code opens a session on purpose, and the SDK keeps its id
in OpenTelemetry's Context: `using_session`, `propagate_attributes`. And a framework knows the id of the run that is
going on, which its own spans show too late, or never.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from opentelemetry.context import Context

from .. import wire
from ..failures import swallow
from ..wire import first_text

# The names of nested entries or attributes, from the outside in: `("association_properties", "session_id")`.
KeyPath = tuple[str, ...]


class SessionClaim(NamedTuple):
    """The session id and the user id that another SDK claims; `None` where it claims none."""

    session_id: str | None
    user_id: str | None


# --- the tables -----------------------------------------------------------------------------------


class ContextSource:
    """The entries in which an SDK keeps a session in OpenTelemetry's Context.

    Attributes:
        module: The module that an app imports to use this API.
        session_ids: The key paths of the conversation's id, beginning at the Context. The first that is there counts.
        user_ids: The key paths of the user's id.
        scope: The instrumentation scope of the SDK's own spans, if the API also writes onto the span that is current.
    """

    __slots__ = ("module", "scope", "session_ids", "user_ids")

    def __init__(
        self, module: str, session_ids: tuple[KeyPath, ...], user_ids: tuple[KeyPath, ...], scope: str = ""
    ) -> None:
        self.module = module
        self.scope = scope
        self.session_ids = session_ids
        self.user_ids = user_ids


class FrameworkRun:
    """Where a framework keeps the ids of the run that is going on, whoever instruments the framework.

    Attributes:
        module: The framework's module.
        ask: The dotted name of a function in the module. It returns the run, or the configuration of the run.
        session_ids: The key paths of the conversation's id, beginning there. The first that is there counts.
        user_ids: The key paths of the user's id.
    """

    __slots__ = ("ask", "module", "session_ids", "user_ids")

    def __init__(
        self, module: str, ask: str, session_ids: tuple[KeyPath, ...], user_ids: tuple[KeyPath, ...] = ()
    ) -> None:
        self.module = module
        self.ask = ask
        self.session_ids = session_ids
        self.user_ids = user_ids


CONTEXT_SOURCES = (
    # https://arize-ai.github.io/openinference/python: `using_session`, `using_user`, `using_attributes`.
    ContextSource("openinference.instrumentation", (("session.id",),), (("user.id",),)),
    # https://langfuse.com/docs/observability/features/sessions: `propagate_attributes`.
    ContextSource(
        "langfuse", (("langfuse.propagated.session_id",),), (("langfuse.propagated.user_id",),), "langfuse-sdk"
    ),
    # https://www.traceloop.com/docs/openllmetry/tracing/association: `@conversation` and
    # `set_association_properties`. A `thread_id` is LangGraph's, and its instrumentation writes it there, too.
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

# Instrumentation scopes of SDKs whose API writes what it names onto the current span, too. What comes late onto a span
# of theirs holds for as long as that API's own scope, not for everything below the span.
WRITING_SCOPES: Final = frozenset(source.scope for source in CONTEXT_SOURCES if source.scope)
MODULES: Final = tuple(row.module for row in (*CONTEXT_SOURCES, *FRAMEWORK_RUNS))


# --- the rows that apply to this app --------------------------------------------------------------

# The rows whose module the app has imported. While there are none, the hot paths ask for no claims: they only test
# whether this list is empty. So it is one list that grows and is never replaced.
IMPORTED: list[ContextSource | FrameworkRun] = []
_IMPORTED_SOURCES: list[ContextSource] = []
_IMPORTED_RUNS: list[FrameworkRun] = []
# The first key of each key path of the imported sources. A Context with none of them holds no claim.
_CONTEXT_KEYS: set[str] = set()


def find_imported_sdks() -> None:
    """Add the rows whose module the app has imported since the last call."""
    for source in CONTEXT_SOURCES:
        if source not in _IMPORTED_SOURCES and source.module in sys.modules:
            _IMPORTED_SOURCES.append(source)
            _CONTEXT_KEYS.update(key_path[0] for key_path in (*source.session_ids, *source.user_ids))
            IMPORTED.append(source)
    for run in FRAMEWORK_RUNS:
        if run not in _IMPORTED_RUNS and run.module in sys.modules:
            _IMPORTED_RUNS.append(run)
            IMPORTED.append(run)


# --- the reader -----------------------------------------------------------------------------------


def claim_in(context: Context) -> SessionClaim | None:
    """Return the claim that a Context holds, or `None`. Never raises: `session()` calls it, too."""
    if _CONTEXT_KEYS.isdisjoint(context):
        return None
    session_id = user_id = None
    try:
        for source in _IMPORTED_SOURCES:
            session_id = session_id or _first_text(context, source.session_ids)
            user_id = user_id or _first_text(context, source.user_ids)
    except Exception as error:  # noqa: BLE001  # a fault of another SDK must not reach the app through us
        swallow("other SDKs' session claims", error)
    return SessionClaim(session_id, user_id) if session_id or user_id else None


def claim_of_run() -> SessionClaim | None:
    """Return the claim of the framework run that is going on here, if it has a conversation's id. Never raises."""
    for row in _IMPORTED_RUNS:
        try:
            run = attrgetter(row.ask)(sys.modules[row.module])()
            if run is not None and (session_id := _first_text(run, row.session_ids)):
                return SessionClaim(session_id, _first_text(run, row.user_ids))
        except Exception as error:  # noqa: BLE001  # a fault of the framework must not reach the app through us
            swallow(f"{row.module}:{row.ask}", error)
    return None


def _first_text(root: object, key_paths: Iterable[KeyPath]) -> str | None:
    for *outer, last in key_paths:
        inner = root
        for name in outer:
            inner = _entry(inner, name)
        if inner is not None and (text := first_text({last: _entry(inner, last)}, (last,))):
            return wire.valid_text(text) or None  # of bounded length, because it is remembered
    return None


def _entry(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
