"""Rows of Helicone's log API: checked as its worker checks them, and read into requests.

https://docs.helicone.ai/getting-started/integration-method/custom
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ... import wire
from ...sessions.model import path_segments
from .writes import keep_facts, session_of, sum_up

ROUTES: Final[Mapping[str, str]] = {
    "/custom/v1/log": "custom",
    "/oai/v1/log": "openai",
    "/anthropic/v1/log": "anthropic",
    "/googleapis/v1/log": "google",
    "/v1/trace/custom/v1/log": "custom",
    "/v1/trace/custom/log": "custom",
}
# What Helicone's worker takes, in UTF-16 units of the JSON.
MAX_UNITS: Final = 10 * 1024 * 1024
_REQUEST_ID: Final = "helicone-request-id"
# Versions 1 to 5 and the variant of the RFC; any other id is replaced.
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_MAX_TIME: Final = 2**63 - 1
_MAX_TOKENS: Final = 10**12
_MAX_NUMBER: Final = 10**15
_MAX_TEXT: Final = 256
_MAX_ERROR: Final = 1024
_CALLS: Final = frozenset({"llm", "embedding"})
_MAX_MILLISECONDS: Final = 1e9
_OK: Final = range(200, 400)
_EMBEDDINGS: Final = "/embeddings"


class RefusedError(ValueError):
    """What was posted is no row; the message is the answer's."""


class Row(NamedTuple):
    """One row.

    Attributes:
        id: Its request's id.
        session: The id and name of its session; `None`: it belongs to none.
        request: What the table of requests holds of it, from `path` to `error`.
        facts: What its session is found by: (what, name, value).
        data: The body, as JSON.
    """

    id: str
    session: tuple[str, str] | None
    request: tuple[Any, ...]
    facts: tuple[tuple[str, str, str], ...]
    data: bytes


def read_row(body: bytes, headers: Mapping[str, str], provider: str) -> Row:
    """Return the row that was posted.

    Args:
        body: JSON; what is none counts as an empty object, as it does there.
        headers: Of the request, their names in lower case; they win over those in `meta`.
        provider: Whose shape the route stands for.

    Raises:
        RefusedError: Something is missing or wrong.
    """
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError):
        posted = {}
    request, response, timing = _checked(posted)
    meta = {str(key).lower(): _text_of(value) for key, value in request["meta"].items()}
    meta.update({name: value for name, value in headers.items() if name.startswith("helicone-")})
    id_ = meta.get(_REQUEST_ID, "")
    session_id = wire.wire_text(meta.get("helicone-session-id", ""), 1024)
    kept = {
        "providerRequest": {**request, "meta": {}},
        "providerResponse": {**response, "headers": {}},
        "timing": timing,
    }
    return Row(
        id_.lower() if _UUID.match(id_) else str(uuid.uuid4()),
        (session_id, wire.wire_text(meta.get("helicone-session-name", ""), 1024)) if session_id else None,
        _request(request, response, timing, meta, provider),
        tuple(_facts(meta)),
        json.dumps(kept).encode(),
    )


def keep_row(connection: sqlite3.Connection, row: Row) -> list[int]:
    """Write a row: as a request of its own, or into the one that its span is. Return the sessions that changed."""
    connection.execute("INSERT OR REPLACE INTO logs (id, data) VALUES (?, ?)", (row.id, row.data))
    known = connection.execute("SELECT session, span FROM requests WHERE id = ?", (row.id,)).fetchone()
    if known is not None and known[1] is not None:
        # The span tells whose it is, and when it was.
        connection.execute(
            "UPDATE requests SET logged = 1, model = coalesce(model, ?), provider = coalesce(provider, ?), "
            "ttft = coalesce(ttft, ?), input_tokens = coalesce(input_tokens, ?), "
            "output_tokens = coalesce(output_tokens, ?), error = coalesce(error, ?) WHERE id = ?",
            (*row.request[3:5], *row.request[7:], row.id),
        )
        changed = {known[0]}
    elif row.session is None:
        return []
    else:
        session = session_of(connection, row.session)
        changed = {session} | ({known[0]} if known is not None else set())
        connection.execute(
            'INSERT OR REPLACE INTO requests (path, kind, name, model, provider, start, "end", ttft, input_tokens, '
            "output_tokens, error, id, session, logged) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1)",
            (*row.request, row.id, session),
        )
        keep_facts(connection, session, row.facts)
    for session in changed:
        sum_up(connection, session)
    return sorted(changed)


def _checked(posted: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Return the parts of a body; the checks are those of Helicone's worker."""
    held = posted if isinstance(posted, dict) else {}
    request, response = (_object(held, key) for key in ("providerRequest", "providerResponse"))
    timing = held.get("timing")
    _need(isinstance(request.get("url"), str), "Missing or invalid providerRequest.url")
    _need("json" in request, "Missing providerRequest.json")
    _need(isinstance(request.get("meta"), dict), "Missing or invalid providerRequest.meta")
    _need("json" in response, "Missing providerResponse.json")
    _need(_is_number(response.get("status")), "Missing or invalid providerResponse.status")
    _need(isinstance(response.get("headers"), dict), "Missing or invalid providerResponse.headers")
    if timing is not None:
        _need(isinstance(timing, dict), "Invalid timing")
        start, end = (_time(timing.get(key)) for key in ("startTime", "endTime"))
        _need(start is not None and end is not None, "Missing or invalid timing.startTime or timing.endTime")
        _need(0 <= (start or 0) <= (end or 0), "Invalid timing: it ends before it starts, or is negative")
    return request, response, timing


def _object(held: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = held.get(key)
    if not isinstance(value, dict):
        raise RefusedError(f"Missing {key}")
    return value


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise RefusedError(message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MAX_NUMBER < value < _MAX_NUMBER


def _time(value: Any) -> int | None:
    """Return nanoseconds; `None` if it is no time."""
    if not isinstance(value, dict) or not all(_is_number(value.get(key)) for key in ("seconds", "milliseconds")):
        return None
    # Whole numbers stay exact.
    return min(int(value["seconds"] * 1_000_000_000) + int(value["milliseconds"] * 1_000_000), _MAX_TIME)


def _request(
    request: Mapping[str, Any],
    response: Mapping[str, Any],
    timing: Mapping[str, Any] | None,
    meta: Mapping[str, str],
    provider: str,
) -> tuple[Any, ...]:
    asked = request["json"] if isinstance(request["json"], dict) else {}
    answered = response["json"] if isinstance(response["json"], dict) else {}
    now = time.time_ns()
    start, end = (_time(timing[key]) for key in ("startTime", "endTime")) if timing else (now, now)
    kind = _kind(asked, request["url"])
    model = meta.get("helicone-model-override") or answered.get("model") or asked.get("model")
    name = asked.get("toolName") or asked.get("name") or asked.get("collection") or asked.get("databaseName")
    path = "/" + "/".join(path_segments(meta.get("helicone-session-path") or "/"))
    return (
        path,
        kind,
        _clean((model if kind in _CALLS else name) or kind),
        _clean(model) if model else None,
        provider if provider != "custom" else None,
        start,
        end,
        _first_token(timing or {}),
        *_tokens(answered),
        _error(response, answered),
    )


def _first_token(timing: Mapping[str, Any]) -> int | None:
    """Return nanoseconds."""
    value: Any = timing.get("timeToFirstToken")
    return round(value * 1e6) if _is_number(value) and 0 < value < _MAX_MILLISECONDS else None


def _kind(asked: Mapping[str, Any], url: str) -> str:
    if "_type" in asked:
        return {"tool": "tool", "vector_db": "vector_db"}.get(str(asked["_type"]), "data")
    is_embedding = url.partition("?")[0].endswith(_EMBEDDINGS) or ("input" in asked and "encoding_format" in asked)
    return "embedding" if is_embedding else "llm"


def _tokens(answered: Mapping[str, Any]) -> Iterator[int | None]:
    usage = answered.get("usage") if isinstance(answered.get("usage"), dict) else answered.get("usageMetadata")
    held: Mapping[str, Any] = {**answered, **(usage if isinstance(usage, dict) else {})}
    for keys in (
        ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count"),
        ("completion_tokens", "output_tokens", "candidatesTokenCount", "generation_token_count"),
    ):
        found = (held[key] for key in keys if _is_number(held.get(key)) and 0 <= held[key] <= _MAX_TOKENS)
        yield next((int(value) for value in found), None)


def _error(response: Mapping[str, Any], answered: Mapping[str, Any]) -> str | None:
    error = answered.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    if message:
        return _clean(message, _MAX_ERROR)
    if answered.get("status") == "error" or answered.get("failed") is True:
        return _clean(answered.get("message") or answered.get("reason") or "error", _MAX_ERROR)
    status = int(response["status"])
    # 0 is "pending" there.
    return None if status in _OK or status == 0 else f"status {status}"


def _facts(meta: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    if user := meta.get("helicone-user-id"):
        yield "user", "", _clean(user)
    prefix = wire.PROPERTY_HEADER_PREFIX.lower()
    for key in sorted(meta):
        if key.startswith(prefix) and key != prefix:
            yield "property", _clean(key.removeprefix(prefix)), _clean(meta[key])


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _clean(value: Any, limit: int = _MAX_TEXT) -> str:
    """Return a text that UTF-8 can encode."""
    return _text_of(value)[:limit].encode("utf-8", "replace").decode()
