"""Makes a row of Helicone's log from a span that has ended."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ... import wire
from ...failures import swallow, warn_once
from ...sessions.model import Session, SessionPath
from ...spans.providers import Api, Form
from ...wire import CALL_KINDS, REQUEST_KINDS
from .anthropic import messages
from .call import Call, Failure, call_of, failure_of
from .content import Content
from .facts import SpanFacts, facts_of, may_be_kept
from .google import embed, generate_content
from .helicone import data, tool, vector_query
from .openai import chat, completions, embeddings, embeddings_as_chat, responses
from .types import FinishedSpan, HeliconeRow, RowBodies

_LABEL: Final = (wire.SESSION_ID, wire.SESSION_NAME, wire.SESSION_PATH, wire.OTEL_USER_ID)
_MAX_SESSIONS: Final = 512
# Further properties of a span are not read.
_MAX_PROPERTIES: Final = 64
# Longer texts of a label are cut before their wire form is made, which is shorter still.
_MAX_TEXT: Final = 4 * wire.MAX_PATH
# Longer numbers are not written, and are no times in nanoseconds since the epoch.
_MAX_INT: Final = 2**63

_OK: Final = 200
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
# A longer time to the first token is none. Helicone keeps milliseconds in 32 bits.
_MAX_TO_FIRST: Final = 2**31 * _MILLISECOND
# By fact: the nanoseconds in its units. Strands writes milliseconds where others write seconds.
_UNITS_TO_FIRST: Final = (("first.seconds", (1e9, 1e6)), ("first.milliseconds", (1e6,)))
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# What makes the bodies of a call to a model, by what was called and the form. OpenAI's chat is used for all others.
_MODEL_BODIES: Final[dict[tuple[Api, Form], Callable[[Call], tuple[dict[str, Any], dict[str, Any]]]]] = {
    ("chat", "completions"): completions,
    ("chat", "anthropic"): messages,
    ("chat", "google"): generate_content,
    ("responses", "openai"): responses,
    ("embeddings", "openai"): embeddings_as_chat,
    ("embeddings", "anthropic"): embeddings_as_chat,
    ("embeddings", "embeddings"): embeddings,
    ("embeddings", "google"): embed,
}
# The same for other kinds. `data` is used for kinds without an entry.
_OTHER_BODIES: Final[dict[str, Callable[[SpanFacts, Failure | None], RowBodies]]] = {
    "tool": tool,
    "vector_db": vector_query,
}


def row_of(span: FinishedSpan, content: Content, *, utf8: bool = True) -> HeliconeRow | None:
    """Return the row of a span. Never raises.

    Args:
        span: The span, with its label.
        content: Which content the row may contain.
        utf8: Whether the log takes session headers in any language; otherwise they are percent-encoded.

    Returns:
        A row that Helicone accepts, whatever the span contains. `None`, counted and logged once, if the span has no
        `helicone.request.id`, or no kind that has rows.
    """
    try:
        return _row(span, content, utf8)
    except Exception as error:  # noqa: BLE001  # spans contain whatever others wrote
        swallow("row_of", error)
        return None


def session_of(attributes: Mapping[str, object]) -> Session:
    """Return the session of a span's label."""
    return _session_of(attributes)[0]


def _row(span: FinishedSpan, content: Content, utf8: bool) -> HeliconeRow | None:
    row_id, kind = _row_id(span.attributes), span.attributes.get(wire.SPAN_KIND)
    if not row_id or not isinstance(kind, str) or kind not in REQUEST_KINDS:
        warn_once("A span was not logged to Helicone: it has no id or is of no kind that has rows.")
        return None
    facts = facts_of(span, kind, content)
    failure = failure_of(facts)
    is_model_call = kind in CALL_KINDS
    bodies = _model_bodies(facts, failure) if is_model_call else _OTHER_BODIES.get(kind, data)(facts, failure)
    session, headers = _session_of(span.attributes)
    if not utf8:
        headers = {name: wire.percent_encoded(value) for name, value in headers.items()}
    body = {
        "providerRequest": {
            "url": bodies.url,
            "json": bodies.request,
            "meta": {wire.REQUEST_ID_HEADER: row_id, **headers},
        },
        "providerResponse": {
            "json": bodies.response,
            "status": failure.status if failure else _OK,
            "headers": {},
        },
        "timing": _timing(span, _nanoseconds_to_first(facts) if is_model_call else None),
    }
    return HeliconeRow(row_id, bodies.route, kind, session, body)


def _row_id(attributes: Mapping[str, object]) -> str:
    text = attributes.get(wire.REQUEST_ID)
    if not isinstance(text, str):
        return ""
    return text if re.match(wire.ROW_ID, text) else wire.row_id_of(text)


# --- the session of the label ---------------------------------------------------------------------


def _session_of(attributes: Mapping[str, object]) -> tuple[Session, Mapping[str, str]]:
    """Return the session of a label, and the Helicone headers that say the same.

    The label is the source, and not the session that the library remembers. A processor of the user may have redacted
    the label, and a span that was stored or sent by another process has nothing else.

    Values in wire form stay as they are.

    Args:
        attributes: The attributes of a span, the label among them.
    """
    keys = tuple(attributes)
    named = (_properties if may_be_kept(keys) else _properties.__wrapped__)(keys)
    properties = tuple((name, _text(attributes[key])) for name, key in named)
    session_id, name, path, user_id = [_text(attributes.get(key)) for key in _LABEL]
    return _session(session_id, name, path, user_id, properties)


@lru_cache(_MAX_SESSIONS)
def _properties(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of properties, and the attributes that hold their values."""
    prefix = wire.PROPERTY_PREFIX
    # Without very long names: the session that they are part of is remembered.
    found = sorted(key for key in keys if key.startswith(prefix) and len(key) <= _MAX_TEXT)[:_MAX_PROPERTIES]
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


# --- bodies and times -----------------------------------------------------------------------------


def _model_bodies(facts: SpanFacts, failure: Failure | None) -> RowBodies:
    call = call_of(facts, failure)
    make_bodies = _MODEL_BODIES.get((call.api, call.form), chat)
    return RowBodies(*make_bodies(call), call.url, call.endpoint.route)


def _timing(span: FinishedSpan, to_first: int | None) -> dict[str, Any]:
    """Return the times of a call. An unknown start is the end, an unknown end the start; the end is never earlier.

    Args:
        span: The span of the call.
        to_first: Nanoseconds from the start to the first part of the answer.
    """
    start, end = _known_time(span.start), _known_time(span.end)
    start = start or end or time.time_ns()
    timing: dict[str, Any] = {"startTime": _seconds(start), "endTime": _seconds(max(start, end))}
    if to_first is not None and 0 <= to_first < _MAX_TO_FIRST:
        timing["timeToFirstToken"] = to_first // _MILLISECOND
    return timing


def _known_time(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < _MAX_INT else 0


def _seconds(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return {"seconds": seconds, "milliseconds": rest // _MILLISECOND}


def _nanoseconds_to_first(facts: SpanFacts) -> int | None:
    """Return the nanoseconds to the first part of an answer; `None` if unknown, or if the answer did not stream."""
    if facts.one("streamed") is False:
        return None
    longest = _longest(facts)
    for fact, units in _UNITS_TO_FIRST:
        if (found := facts.number(fact)) is not None:
            for unit in units:
                if 0 <= found * unit <= longest:
                    return int(found * unit)
    first = facts.first_event_time("first.time") or _nanoseconds_of_date(facts.text("first.date"))
    return first - facts.span.start if first and facts.span.start else None


def _longest(facts: SpanFacts) -> int:
    """Return the nanoseconds that a call took, with a millisecond for rounding: the first token was not later."""
    took = max(_known_time(one.span.end) - _known_time(one.span.start) for one in facts.by_span)
    return took + _MILLISECOND if 0 < took < _MAX_TO_FIRST else _MAX_TO_FIRST


def _nanoseconds_of_date(text: str) -> int | None:
    try:
        date = dt.datetime.fromisoformat(text.strip('"')) if text else None
        return None if date is None else (date.astimezone(dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None
