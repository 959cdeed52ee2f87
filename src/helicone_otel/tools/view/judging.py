"""Keeps what people think of a session: thumbs and a note. Thumbs also go to Helicone, where there is a key."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any, Final, NamedTuple

from ...settings import Settings, SettingsError
from .queries.numbers import milliseconds

MAX_BODY: Final = 64 * 1024
_MAX_NOTE: Final = 4000
_SEND_SECONDS: Final = 4.0
_WRITE: Final = """
INSERT OR REPLACE INTO feedback (session_id, name, good, note, changed) VALUES (?, ?, ?, ?, ?)
"""


class InvalidFeedbackError(ValueError):
    """The body of the request is no feedback; the message is the answer."""


class Feedback(NamedTuple):
    """What somebody thinks of a session.

    Attributes:
        id: The id of the session.
        name: The name of the session.
        good: Thumbs up or down; `None` for neither.
        note: A text of their own.
    """

    id: str
    name: str
    good: bool | None
    note: str


def read_feedback(body: bytes) -> Feedback:
    """Return the feedback in the body of a request.

    Raises:
        InvalidFeedbackError: It is none.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidFeedbackError("the body is not a JSON object")
    id_, name, good, note = (fields.get(key) for key in ("id", "name", "good", "note"))
    if not isinstance(id_, str) or not isinstance(name, str):
        raise InvalidFeedbackError("id and name: not texts")
    if good is not None and not isinstance(good, bool):
        raise InvalidFeedbackError("good: true, false or null")
    if not isinstance(note, str) or len(note) > _MAX_NOTE:
        raise InvalidFeedbackError(f"note: a text of at most {_MAX_NOTE} characters")
    return Feedback(_storable(id_), _storable(name), good, _storable(note))


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def keep_feedback(connection: sqlite3.Connection, given: Feedback) -> int | None:
    """Write feedback, and return the number of its session; `None` if there is no such session."""
    sql = "SELECT id FROM sessions WHERE session_id = ? AND name = ?"
    row = connection.execute(sql, given[:2]).fetchone()
    if row is None:
        return None
    if given.good is None and not given.note:
        connection.execute("DELETE FROM feedback WHERE session_id = ? AND name = ?", given[:2])
    else:
        connection.execute(_WRITE, (*given, time.time_ns()))
    return int(row[0])


def feedback_on(connection: sqlite3.Connection, id_: str, name: str) -> dict[str, Any] | None:
    """Return the feedback on a session; `None` if there is none."""
    sql = "SELECT good, note, changed FROM feedback WHERE session_id = ? AND name = ?"
    row = connection.execute(sql, (id_, name)).fetchone()
    if row is None:
        return None
    return {"good": bool(row[0]) if row[0] is not None else None, "note": row[1], "changed_ms": milliseconds(row[2])}


def send_feedback(given: Feedback, settings: Settings) -> str:
    """Send thumbs to Helicone. Return `sent`, `no key`, or why they were not sent, for people."""
    if given.good is None or settings.api_key is None:
        return "no key" if settings.api_key is None else "nothing to send"
    # Loads the HTTP client, which a view without a key does not need.
    from ...log.rest import HeliconeError, feedback  # noqa: PLC0415

    try:
        feedback(given.id, good=given.good, seconds=_SEND_SECONDS, settings=settings)
    except (HeliconeError, SettingsError, TypeError) as error:
        return str(error)
    return "sent"
