"""From a span to a row."""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ... import wire
from ...failures import swallow, warn_once
from ...sessions.model import Session, SessionPath
from ...spans.schema import REQUEST_KINDS
from .anthropic import messages
from .call import Call, Failure, call_of, failure_of
from .content import Content
from .facts import MergedFacts, SpanFacts
from .google import embed, generate_content
from .helicone import data, tool, vector_query
from .openai import chat, embeddings, responses
from .types import FinishedSpan, HeliconeRow, RowBodies

# https://github.com/Helicone/helicone: of any other id Helicone makes one of its own, and a row that is sent
# again would be a second one.
_VALID_ID: Final = re.compile(
    # To ignore case would take twice as long.
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"
)
_NAMESPACE: Final = uuid.UUID("6a1c3b6e-0f5b-5c51-9d43-0a5d1a3f7c11")
REQUEST_ID_HEADER: Final = "Helicone-Request-Id"
_NAMES: Final = (wire.SESSION_ID, wire.SESSION_NAME, wire.SESSION_PATH, wire.OTEL_USER_ID)
_MAX_SESSIONS: Final = 512
# Of a span that tells more, no more is looked at.
_MAX_PROPERTIES: Final = 64
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000
_LATEST: Final = 2**63


def request_id(attributes: Mapping[str, object]) -> str:
    """Return the id of the row of a span, empty if it has none."""
    given = attributes.get(wire.REQUEST_ID)
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


def timing_of(facts: FinishedSpan, first: int | None) -> dict[str, Any]:
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
    """Return an attribute of a label as a text, no more of it than leaves."""
    if type(value) is str:  # most are
        return value[: 4 * wire.MAX_PATH]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value) if isinstance(value, float) or abs(value) < _LATEST else ""
    return value[: 4 * wire.MAX_PATH] if isinstance(value, str) else ""


def _moment(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < _LATEST else 0


def _time(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, _SECOND)
    return {"seconds": seconds, "milliseconds": rest // _MILLISECOND}


_STEPS: Final[dict[str, Callable[[SpanFacts, Failure | None], RowBodies]]] = {"tool": tool, "vector_db": vector_query}
# By whose bodies they are and what is called. What a provider has no shape for is OpenAI's.
_SHAPES: Final[dict[tuple[str, str], Callable[[Call], tuple[dict[str, Any], dict[str, Any]]]]] = {
    ("openai", "chat"): chat,
    ("openai", "responses"): responses,
    ("openai", "embeddings"): embeddings,
    ("anthropic", "chat"): messages,
    ("google", "chat"): generate_content,
    ("google", "embeddings"): embed,
}
_CALLS: Final = frozenset({"llm", "embedding"})
_OK: Final = 200
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def row_of(facts: FinishedSpan, content: Content) -> HeliconeRow | None:
    """Return the row of a span.

    Args:
        facts: The span, as it ended.
        content: Which content may leave.

    Returns:
        A row that Helicone takes, whatever the span holds; `None`, counted and said once, if it has no id
        or is of no kind that has rows.
    """
    try:
        return _row(facts, content)
    except Exception as error:  # noqa: BLE001  # spans hold what the world put there
        swallow("row_of", error)
        return None


def _row(facts: FinishedSpan, content: Content) -> HeliconeRow | None:
    row_id, kind = request_id(facts.attributes), facts.attributes.get(wire.SPAN_KIND)
    if not row_id or not isinstance(kind, str) or kind not in REQUEST_KINDS:
        warn_once("A span was not logged to Helicone: it has no id or is of no kind that has rows.")
        return None
    told = MergedFacts(facts, kind, content) if facts.wrappers else SpanFacts(facts, kind, content)
    failure = failure_of(told)
    exchange = _call(told, failure) if kind in _CALLS else _STEPS.get(kind, data)(told, failure)
    session, headers = session_of(facts.attributes)
    body = {
        "providerRequest": {
            "url": exchange.url,
            "json": exchange.request,
            "meta": {REQUEST_ID_HEADER: row_id, **headers},
        },
        "providerResponse": {
            "json": exchange.response,
            "status": failure.status if failure else _OK,
            "headers": {},
        },
        "timing": timing_of(facts, _first(told) if kind in _CALLS else None),
    }
    return HeliconeRow(row_id, exchange.route, kind, session, body)


def _call(told: SpanFacts, failure: Failure | None) -> RowBodies:
    call = call_of(told, failure)
    shape = _SHAPES.get((call.shape, call.api)) or _SHAPES["openai", call.api]
    return RowBodies(*shape(call), call.url, call.endpoint.route)


def _first(told: SpanFacts) -> int | None:
    """Return after how many nanoseconds the first of an answer came; what did not stream has no first."""
    if told.one("streamed") is False:
        return None
    for fact, unit in (("first.seconds", 1e9), ("first.milliseconds", 1e6)):
        if (found := told.number(fact)) is not None and found >= 0:
            return int(found * unit)
    moment = told.time_of("first.time") or _date(told.text("first.date"))
    return moment - told.facts.start if moment and told.facts.start else None


def _date(text: str) -> int | None:
    try:
        moment = dt.datetime.fromisoformat(text.strip('"')) if text else None
        return None if moment is None else (moment.astimezone(dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None
