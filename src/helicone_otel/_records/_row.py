"""From a span to a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from .. import _wire
from .._guard import swallow, warn_once
from .._spans import REQUEST_KINDS
from ._anthropic import messages
from ._call import Call, Failure, call_of
from ._content import Content
from ._failure import failure_of
from ._google import embed, generate_content
from ._meta import REQUEST_ID_HEADER, request_id, session_of, timing_of
from ._openai import chat, embeddings, responses
from ._steps import data, tool, vector_query
from ._together import Together
from ._told import Told
from ._types import Exchange, Facts, Row

_STEPS: Final[dict[str, Callable[[Told, Failure | None], Exchange]]] = {"tool": tool, "vector_db": vector_query}
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


def row_of(facts: Facts, content: Content) -> Row | None:
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


def _row(facts: Facts, content: Content) -> Row | None:
    row_id, kind = request_id(facts.attributes), facts.attributes.get(_wire.SPAN_KIND)
    if not row_id or not isinstance(kind, str) or kind not in REQUEST_KINDS:
        warn_once("A span was not logged to Helicone: it has no id or is of no kind that has rows.")
        return None
    told = Together(facts, kind, content) if facts.wrappers else Told(facts, kind, content)
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
    return Row(row_id, exchange.route, kind, session, body)


def _call(told: Told, failure: Failure | None) -> Exchange:
    call = call_of(told, failure)
    shape = _SHAPES.get((call.shape, call.api)) or _SHAPES["openai", call.api]
    return Exchange(*shape(call), call.url, call.endpoint.route)


def _first(told: Told) -> int | None:
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
