"""What other SDKs say of a session, in the Context or in a context of their own (`dialects/_scopes`).

The Context tells what somebody opened on purpose: `using_session`, `propagate_attributes`. A run of a
framework tells an id that its own spans show too late, or never.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from opentelemetry.context import Context

from . import _wire
from ._guard import swallow
from ._spans import first_text
from .dialects import RUNS, SCOPES, Run, Scope, Way

MODULES: Final = tuple(other.module for other in (*SCOPES, *RUNS))
# What of them the app has imported. While that is nothing, nobody needs to look.
LOADED: list[Scope | Run] = []
_KEYS: set[str] = set()
_SCOPES: list[Scope] = []
_RUNS: list[Run] = []


class Said(NamedTuple):
    """Whose session and user that is, as far as somebody says so."""

    session_id: str | None
    user_id: str | None


def look() -> None:
    """Take note of what the app has imported since."""
    for scope in SCOPES:
        if scope not in _SCOPES and scope.module in sys.modules:
            _SCOPES.append(scope)
            _KEYS.update(way[0] for way in (*scope.session_ids, *scope.user_ids))
            LOADED.append(scope)
    for run in RUNS:
        if run not in _RUNS and run.module in sys.modules:
            _RUNS.append(run)
            LOADED.append(run)


def said_in(context: Context) -> Said | None:
    """Return what a Context says, if it says anything. Never raises: code that opens a session asks too."""
    if _KEYS.isdisjoint(context):
        return None
    session_id = user_id = None
    try:
        for scope in _SCOPES:
            session_id = session_id or _first(context, scope.session_ids)
            user_id = user_id or _first(context, scope.user_ids)
    except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
        swallow("other SDKs' scopes", error)
    return Said(session_id, user_id) if session_id or user_id else None


def said_by_run() -> Said | None:
    """Return what the run of a framework says that is going on here, if it names a conversation."""
    for run in _RUNS:
        try:
            told = attrgetter(run.ask)(sys.modules[run.module])()
            if told is not None and (session_id := _first(told, run.session_ids)):
                return Said(session_id, _first(told, run.user_ids))
        except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
            swallow(f"{run.module}:{run.ask}", error)
    return None


def _first(told: object, ways: Iterable[Way]) -> str | None:
    for *outer, last in ways:
        inner = told
        for name in outer:
            inner = _entry(inner, name)
        if inner is not None and (text := first_text({last: _entry(inner, last)}, (last,))):
            return _wire.valid_text(text) or None  # bounded, because it is remembered
    return None


def _entry(told: object, name: str) -> object:
    return told.get(name) if isinstance(told, Mapping) else getattr(told, name, None)
