"""Whose a row is: its id, its session, and when it was."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from .. import _wire
from .._session import Session, SessionPath
from ._types import Facts

# https://github.com/Helicone/helicone: of any other id Helicone makes one of its own, and a row that is sent
# again would be a second one.
_VALID_ID: Final = re.compile(
    # To ignore case would take twice as long.
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"
)
_NAMESPACE: Final = uuid.UUID("6a1c3b6e-0f5b-5c51-9d43-0a5d1a3f7c11")
REQUEST_ID_HEADER: Final = "Helicone-Request-Id"
_NAMES: Final = (_wire.SESSION_ID, _wire.SESSION_NAME, _wire.SESSION_PATH, _wire.OTEL_USER_ID)
_MAX_SESSIONS: Final = 512
# Of a span that tells more, no more is looked at.
_MAX_PROPERTIES: Final = 64
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_LATEST: Final = 2**63


def request_id(attributes: Mapping[str, object]) -> str:
    """Return the id of the row of a span, empty if it has none."""
    given = attributes.get(_wire.REQUEST_ID)
    if not isinstance(given, str):
        return ""
    if _VALID_ID.match(given):
        return given
    return str(uuid.uuid5(_NAMESPACE, given.encode("utf-8", "replace").decode())) if given.strip() else ""


def session_of(attributes: Mapping[str, object]) -> tuple[Session, Mapping[str, str]]:
    """Return the session that a span's label names, and what Helicone reads of it as headers.

    Its values are in wire form, and stay as they are. All of it is printable ASCII: anything else loses the row.
    """
    keys = _properties_among(tuple(attributes))
    properties = tuple((name, _text(attributes[key])) for name, key in keys)
    session_id, name, path, user_id = [_text(attributes.get(key)) for key in _NAMES]
    return _session(session_id, name, path, user_id, properties)


def timing_of(facts: Facts, first: int | None) -> dict[str, Any]:
    """Return when a call began and ended, whatever the clocks say, and when the first of its answer came.

    Args:
        facts: The span.
        first: Nanoseconds after its beginning.
    """
    start, end = _moment(facts.start), _moment(facts.end)
    start = start or end or time.time_ns()
    timing: dict[str, Any] = {"startTime": _time(start), "endTime": _time(max(start, end))}
    if first is not None and 0 <= first < _LATEST:
        timing["timeToFirstToken"] = first // _MILLISECOND
    return timing


@lru_cache(_MAX_SESSIONS)
def _properties_among(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return names of properties and the attributes that hold them."""
    prefix = _wire.PROPERTY_PREFIX
    found = sorted(key for key in keys if key.startswith(prefix))[:_MAX_PROPERTIES]
    # Helicone joins the values of names that differ in case only.
    return tuple({key.lower(): (key.removeprefix(prefix), key) for key in found}.values())


@lru_cache(_MAX_SESSIONS)
def _session(
    session_id: str, name: str, path: str, user_id: str, properties: tuple[tuple[str, str], ...]
) -> tuple[Session, Mapping[str, str]]:
    at = SessionPath(path) if path.lstrip().startswith("/") else SessionPath()
    session = Session(session_id, name or None, at, user_id or None, dict(properties))
    headers = {name: value for name, value in session.headers if value}
    if _wire.SESSION_ID_HEADER in headers:
        text = _wire.wire_text(path, _wire.MAX_PATH)
        headers[_wire.SESSION_PATH_HEADER] = (
            text if text.startswith("/") else _wire.wire_text("/" + text, _wire.MAX_PATH)
        )
    return session, headers


def _text(value: object) -> str:
    """Return an attribute of a label as a text, no more of it than leaves."""
    if type(value) is str:  # most are
        return value[: 4 * _wire.MAX_PATH]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value) if isinstance(value, float) or abs(value) < _LATEST else ""
    return value[: 4 * _wire.MAX_PATH] if isinstance(value, str) else ""


def _moment(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < _LATEST else 0


def _time(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return {"seconds": seconds, "milliseconds": rest // _MILLISECOND}
