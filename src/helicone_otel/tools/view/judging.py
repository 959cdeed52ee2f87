"""Keeps how good sessions were: the thumbs and notes that people give, and the scores that spans carry.

Thumbs also go to Helicone, where there is a key. OpenTelemetry has an event for each evaluation, also as a span without
a length; OpenInference has numbered attributes. Langfuse sends scores beside spans; only attributes that users set by
its prefix are on spans.
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-events.md,
https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...settings import Settings, SettingsError
from ..redaction import redact
from ..replay.otlp import attributes_of
from .database import milliseconds
from .labelling import SessionSpan

# --- thumbs and notes ---------------------------------------------------------------------------------

MAX_FEEDBACK: Final = 64 * 1024
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


# --- scores -------------------------------------------------------------------------------------------

# A span without one of these has no score, and is not decoded for them.
_SIGNS: Final = (b"gen_ai.evaluation.", b"annotation.", b"evaluation.", b"langfuse.score.")
_EVENT: Final = "gen_ai.evaluation.result"
_OTEL: Final = {
    "gen_ai.evaluation.name": "name",
    "gen_ai.evaluation.score.value": "value",
    "gen_ai.evaluation.score.label": "label",
    "gen_ai.evaluation.explanation": "reason",
}
_OPENINFERENCE: Final = re.compile(
    r"(?P<of>trace\.|session\.)?(?P<list>annotations|evaluations)\.(?P<place>\d{1,4})\."
    r"(?:annotation|evaluation)\.(?P<field>name|score|label|explanation)\Z"
)
_FIELDS: Final = {"name": "name", "score": "value", "label": "label", "explanation": "reason"}
_LANGFUSE: Final = "langfuse.score."
_MAX_SCORES: Final = 64
_MAX_TEXT: Final = 256
_MAX_REASON: Final = 4096
_OF_SESSION: Final = """
SELECT request, name, value, label, reason, source, at FROM scores WHERE session = ? ORDER BY at, rowid LIMIT 1000
"""


class Score(NamedTuple):
    """A judgement of a span, or of its whole session.

    Attributes:
        name: What is judged, such as `relevance`.
        value: The number; `None` if there is only a label.
        label: The same in words, such as `pass`.
        reason: Why.
        source: The convention by which the span carries it: `otel`, `openinference` or `langfuse`.
        at: When, in nanoseconds since the epoch.
        whole: It judges the whole trace or session.
    """

    name: str
    value: float | None
    label: str | None
    reason: str | None
    source: str
    at: int
    whole: bool = False


def scores_of(data: bytes) -> list[Score]:
    """Return the scores that a span carries.

    Args:
        data: OTLP's Span, encoded.
    """
    if not any(sign in data for sign in _SIGNS):
        return []
    span = Span.FromString(data)
    return [score for score in _found(span) if score.name and (score.value is not None or score.label)][:_MAX_SCORES]


def _found(span: Span) -> Iterator[Score]:
    attributes = attributes_of(span.attributes)
    yield from _otel([(span.end_time_unix_nano, attributes)])
    events = (event for event in span.events if event.name == _EVENT)
    yield from _otel((event.time_unix_nano, attributes_of(event.attributes)) for event in events)
    yield from _openinference(attributes, span.end_time_unix_nano)
    for key, value in attributes.items():
        if key.startswith(_LANGFUSE):
            yield _score({"name": key.removeprefix(_LANGFUSE), "value": value}, "langfuse", span.end_time_unix_nano)


def _otel(evaluations: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Score]:
    for at, attributes in evaluations:
        yield _score({field: attributes[key] for key, field in _OTEL.items() if key in attributes}, "otel", at)


def _openinference(attributes: Mapping[str, Any], at: int) -> Iterator[Score]:
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for key, value in attributes.items():
        if part := _OPENINFERENCE.match(key):
            place = (part["of"] or "", part["list"], int(part["place"]))
            found.setdefault(place, {})[_FIELDS[part["field"]]] = value
    for place in sorted(found):
        yield _score(found[place], "openinference", at)._replace(whole=bool(place[0]))


def _score(fields: Mapping[str, Any], source: str, at: int) -> Score:
    value = fields.get("value")
    number = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    # A value that is no number says the same as a label.
    label = fields.get("label") or (value if isinstance(value, str) else None)
    texts = (_text(fields.get("name"), _MAX_TEXT), _text(label, _MAX_TEXT), _text(fields.get("reason"), _MAX_REASON))
    return Score(texts[0] or "", number, texts[1], texts[2], source, min(at, 2**63 - 1))


def _text(value: Any, most: int) -> str | None:
    return str(value)[:most].encode("utf-8", "replace").decode() if value not in (None, "") else None


# --- scores in the database ---------------------------------------------------------------------------


def keep_scores(
    connection: sqlite3.Connection,
    traces: Iterable[str],
    labelled: Sequence[SessionSpan],
    sessions: Mapping[tuple[str, str], int],
) -> None:
    """Write the scores of traces, and remove their earlier ones.

    Args:
        connection: The connection that writes.
        traces: The traces.
        labelled: The spans of these traces that belong to a session.
        sessions: The numbers of the sessions, by id and name.
    """
    connection.executemany("DELETE FROM scores WHERE trace = ?", ((trace,) for trace in traces))
    by_id: dict[tuple[str, str], SessionSpan] | None = None
    for one in labelled:
        scores = scores_of(one.stored.span.data)
        if scores and by_id is None:
            by_id = {(other.stored.span.trace_id, other.stored.span.span_id): other for other in labelled}
        for score in scores:
            request = None if score.whole else _request_at(one, by_id or {})
            connection.execute(
                "INSERT INTO scores (trace, session, request, name, value, label, reason, source, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (one.stored.span.trace_id, sessions[one.session], request, *score[:-1]),
            )


def _request_at(one: SessionSpan, by_id: Mapping[tuple[str, str], SessionSpan]) -> str | None:
    """Return the request of a span; of a span that only carries an evaluation, the request that it is right below."""
    if one.request is not None or one.stored.span.name != _EVENT:
        return one.request
    above = by_id.get((one.stored.span.trace_id, one.stored.span.parent_id))
    return above.request if above is not None else None


def scores_in(connection: sqlite3.Connection, session: int) -> list[dict[str, Any]]:
    """Return the scores of a session by its number, the earliest first."""
    keys = ("request", "name", "value", "label", "reason", "source")
    rows = connection.execute(_OF_SESSION, (session,))
    return [{**dict(zip(keys, redact(list(row)[:-1]), strict=True)), "at_ms": milliseconds(row[-1])} for row in rows]
