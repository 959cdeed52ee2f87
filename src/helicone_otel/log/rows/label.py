"""Reads a session back from the label of a span.

The label is the source, and not the session that the library remembers. A processor of the user may have redacted
the label, and a span that was stored or sent by another process has nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ... import wire
from ...sessions.model import Session, SessionPath

_KEYS: Final = (wire.SESSION_ID, wire.SESSION_NAME, wire.SESSION_PATH, wire.OTEL_USER_ID)
_MAX_SESSIONS: Final = 512
# Further properties of a span are not read.
_MAX_PROPERTIES: Final = 64
# Of a text, more is not looked at. Its wire form is shorter still.
_MAX_TEXT: Final = 4 * wire.MAX_PATH
_MAX_INT: Final = 2**63


def session_of(attributes: Mapping[str, object]) -> tuple[Session, Mapping[str, str]]:
    """Return the session of a label, and the Helicone headers that say the same.

    Values in wire form stay as they are. All headers are printable ASCII, because Helicone drops a row with others.

    Args:
        attributes: The attributes of a span, the label among them.
    """
    properties = tuple((name, _text(attributes[key])) for name, key in _properties(tuple(attributes)))
    session_id, name, path, user_id = [_text(attributes.get(key)) for key in _KEYS]
    return _session(session_id, name, path, user_id, properties)


@lru_cache(_MAX_SESSIONS)
def _properties(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of properties, and the attributes that hold their values."""
    prefix = wire.PROPERTY_PREFIX
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
    if wire.SESSION_ID_HEADER in headers:
        text = wire.wire_text(path, wire.MAX_PATH)
        headers[wire.SESSION_PATH_HEADER] = text if text.startswith("/") else wire.wire_text("/" + text, wire.MAX_PATH)
    return session, headers


def _text(value: object) -> str:
    """Return the text of an attribute, of bounded length; empty for what is neither a text nor a number."""
    if type(value) is str:  # the usual case
        return value[:_MAX_TEXT]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value) if isinstance(value, float) or abs(value) < _MAX_INT else ""
    return value[:_MAX_TEXT] if isinstance(value, str) else ""
