"""Rows that are posted to Helicone's log API: checked as Helicone checks them, and kept as requests.

https://docs.helicone.ai/getting-started/integration-method/custom
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ... import wire
from ...sessions.model import path_segments
from ...wire import CALL_KINDS
from ..body_limits import json_exceeds
from .colours import keep_colours
from .content import calls_tools, said_in
from .labelling import badge_of
from .prices import Tokens, cost_of
from .writes import keep_facts, session_number, update_sums

# The provider whose bodies each route accepts. Empty for the routes of Helicone's API server: the body names it.
ROUTES: Final[Mapping[str, str]] = {
    "/custom/v1/log": "custom",
    "/oai/v1/log": "openai",
    "/anthropic/v1/log": "anthropic",
    "/googleapis/v1/log": "google",
    "/v1/trace/custom/v1/log": "",
    "/v1/trace/custom/log": "",
}
# What a row adds to the request of its span.
_COMPLETED: Final = (
    *("model", "provider", "ttft", "input_tokens", "output_tokens", "error"),
    *("answered", "cached", "written", "written_1h", "cost", "said"),
)
# Helicone's limit for a body, in UTF-16 units of the JSON.
MAX_UNITS: Final = 10 * 1024 * 1024
_REQUEST_ID: Final = "helicone-request-id"
# Helicone accepts UUIDs of versions 1 to 5 in the variant of the RFC, and replaces any other id.
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_MAX_TIME: Final = 2**63 - 1
_MAX_TOKENS: Final = 10**12
_MAX_NUMBER: Final = 10**15
_MAX_TEXT: Final = 256
_MAX_ERROR: Final = 1024
_MAX_SESSION_TEXT: Final = 1024
_MAX_MILLISECONDS: Final = 1e9
_OK: Final = range(200, 400)
_TOKENS: Final = {
    "input": ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count"),
    "output": ("completion_tokens", "output_tokens", "candidatesTokenCount", "generation_token_count"),
    "cached": (
        *("prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"),
        *("cache_read_input_tokens", "cachedContentTokenCount"),
    ),
    "written": ("cache_creation_input_tokens",),
    "written_1h": ("cache_creation.ephemeral_1h_input_tokens",),
}
_BESIDE_INPUT: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")
_EMBEDDINGS: Final = "/embeddings"


class InvalidRowError(ValueError):
    """The posted JSON is not a row; the message is Helicone's answer."""


class RowTooLargeError(ValueError):
    """The body is too large, or decoding it costs too much; the message is the answer."""


class PostedRow(NamedTuple):
    """A row that was posted.

    Attributes:
        id: The id of its request.
        session: The id and name of its session; `None` if it belongs to none.
        request: The columns of the table of requests, without id and session.
        facts: What its session can be found by: (what, name, value).
        data: The body, as JSON.
    """

    id: str
    session: tuple[str, str] | None
    request: Mapping[str, Any]
    facts: tuple[tuple[str, str, str], ...]
    data: bytes


def read_row(body: bytes, headers: Mapping[str, str], provider: str) -> PostedRow:
    """Return the row that was posted.

    Args:
        body: The JSON. Like Helicone, this takes a body that is not JSON for an empty object.
        headers: The headers of the HTTP request, with names in lower case. They override those in `meta`.
        provider: The provider of the route, or an empty text.

    Raises:
        InvalidRowError: A field is missing or has another type.
        RowTooLargeError: It has more than `MAX_UNITS`, or decoding the JSON costs more than `body_limits.MAX_COST`.
    """
    # A body of fewer bytes cannot have more units.
    if len(body) > MAX_UNITS and _utf16_units(body) > MAX_UNITS:
        raise RowTooLargeError("Payload too large")
    if json_exceeds(body):
        raise RowTooLargeError("Payload has too many values")
    try:
        return _row_of(_parsed(body), headers, provider)
    except RecursionError:  # it can be read, but not written again
        raise InvalidRowError("The JSON is nested too deeply") from None


def _utf16_units(body: bytes) -> int:
    return len(body.decode(errors="replace").encode("utf-16-le")) // 2


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return {}


def _row_of(posted: Any, headers: Mapping[str, str], provider: str) -> PostedRow:
    request, response, timing = _checked(posted)
    sent = {**request["meta"], **{name: value for name, value in headers.items() if name.startswith("helicone-")}}
    # The view's host is on no list, so the library percent-encodes what is not ASCII.
    meta = {str(key).lower(): wire.percent_decoded(wire.header_text(_text_of(value))) for key, value in sent.items()}
    id_ = meta.get(_REQUEST_ID, "")
    provider = provider or _clean(_text_of(posted.get("provider", "openai"))).lower()
    session_id, name = (
        wire.wire_text(meta.get(header, ""), _MAX_SESSION_TEXT)
        for header in ("helicone-session-id", "helicone-session-name")
    )
    kept = {
        "providerRequest": {**request, "meta": {}},
        "providerResponse": {**response, "headers": {}},
        "timing": timing,
    }
    return PostedRow(
        id_.lower() if _UUID.match(id_) else str(uuid.uuid4()),
        (session_id, name) if session_id else None,
        _request(request, response, timing, meta, provider),
        tuple(_facts(meta)),
        json.dumps(kept).encode(),
    )


def keep_row(connection: sqlite3.Connection, row: PostedRow) -> list[int]:
    """Write a row: add it to the request of its span, or make a request of it. Return the sessions that changed."""
    connection.execute("INSERT OR REPLACE INTO logs (id, data) VALUES (?, ?)", (row.id, row.data))
    existing = connection.execute("SELECT session, span FROM requests WHERE id = ?", (row.id,)).fetchone()
    if existing is not None and existing[1] is not None:
        # The span knows session and times better than the row.
        completed = ", ".join(f"{column} = coalesce({column}, :{column})" for column in _COMPLETED)
        sql = f"UPDATE requests SET logged = 1, badge = :badge, {completed} WHERE id = :id"
        connection.execute(sql, {**row.request, "id": row.id})
        keep_facts(connection, ((existing[0], fact) for fact in _models_in(row)))
        changed = {existing[0]}
    elif row.session is None:
        return []
    else:
        session = session_number(connection, row.session)
        changed = {session} | ({existing[0]} if existing is not None else set())
        columns = {**row.request, "id": row.id, "session": session, "logged": 1}
        names, marks = (", ".join(form.format(column) for column in columns) for form in ('"{}"', ":{}"))
        connection.execute(f"INSERT OR REPLACE INTO requests ({names}) VALUES ({marks})", columns)
        keep_colours(connection, [row.request["path"]])
        keep_facts(connection, ((session, fact) for fact in (*row.facts, *_models_in(row))))
    for session in changed:
        update_sums(connection, session)
    return sorted(changed)


def _models_in(row: PostedRow) -> Iterator[tuple[str, str, str]]:
    if model := row.request["model"]:
        yield "model", "", model


# --- Helicone's checks --------------------------------------------------------------------------------


def _checked(posted: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Return request, response and timing of a body, with the checks of Helicone's worker."""
    body = posted if isinstance(posted, dict) else {}
    request, response = (_object(body, key) for key in ("providerRequest", "providerResponse"))
    timing = body.get("timing")
    _require(isinstance(request.get("url"), str), "Missing or invalid providerRequest.url")
    _require("json" in request, "Missing providerRequest.json")
    _require(isinstance(request.get("meta"), dict), "Missing or invalid providerRequest.meta")
    _require("json" in response, "Missing providerResponse.json")
    _require(_is_number(response.get("status")), "Missing or invalid providerResponse.status")
    _require(isinstance(response.get("headers"), dict), "Missing or invalid providerResponse.headers")
    if timing is not None:
        _require(isinstance(timing, dict), "Invalid timing")
        start, end = (_nanoseconds(timing.get(key)) for key in ("startTime", "endTime"))
        _require(start is not None and end is not None, "Missing or invalid timing.startTime or timing.endTime")
        _require(0 <= (start or 0) <= (end or 0), "Invalid timing: it ends before it starts, or is negative")
    return request, response, timing


def _object(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise InvalidRowError(f"Missing {key}")
    return value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidRowError(message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MAX_NUMBER < value < _MAX_NUMBER


def _nanoseconds(value: Any) -> int | None:
    """Return a time of the log API in nanoseconds; `None` if it is not a time."""
    if not isinstance(value, dict) or not all(_is_number(value.get(key)) for key in ("seconds", "milliseconds")):
        return None
    # Each product by itself, so that whole numbers stay exact.
    return min(int(value["seconds"] * 1_000_000_000) + int(value["milliseconds"] * 1_000_000), _MAX_TIME)


# --- a request from a row -----------------------------------------------------------------------------


def _request(
    request: Mapping[str, Any],
    response: Mapping[str, Any],
    timing: Mapping[str, Any] | None,
    meta: Mapping[str, str],
    provider: str,
) -> dict[str, Any]:
    asked = request["json"] if isinstance(request["json"], dict) else {}
    answered = response["json"] if isinstance(response["json"], dict) else {}
    now = time.time_ns()
    start, end = (_nanoseconds(timing[key]) for key in ("startTime", "endTime")) if timing else (now, now)
    kind = _kind(asked, request["url"])
    model = meta.get("helicone-model-override") or answered.get("model") or asked.get("model")
    name = asked.get("toolName") or asked.get("name") or asked.get("collection") or asked.get("databaseName")
    path = "/" + "/".join(path_segments(meta.get("helicone-session-path") or "/"))
    tokens, models = _tokens(answered), [_clean(one) if one else None for one in (model, asked.get("model"))]
    provider = "" if provider == "custom" else provider
    return {
        "path": path,
        "kind": kind,
        "name": _clean((model if kind in CALL_KINDS else name) or kind),
        "model": models[0],
        "provider": provider or None,
        "start": start,
        "end": end,
        "ttft": _first_token(timing or {}),
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "error": _error(response, answered),
        "badge": badge_of(kind, calls_tools=kind in CALL_KINDS and calls_tools(response["json"])),
        "answered": models[0],
        "cached": tokens.cached,
        "written": tokens.written,
        "written_1h": tokens.written_1h,
        "cost": cost_of(kind, models, provider, tokens, start or 0),
        "said": said_in(asked) if kind in CALL_KINDS else None,
    }


def _first_token(timing: Mapping[str, Any]) -> int | None:
    """Return the time to the first token in nanoseconds."""
    value: Any = timing.get("timeToFirstToken")
    return round(value * 1e6) if _is_number(value) and 0 < value < _MAX_MILLISECONDS else None


def _kind(asked: Mapping[str, Any], url: str) -> str:
    if "_type" in asked:
        return {"tool": "tool", "vector_db": "vector_db"}.get(str(asked["_type"]), "data")
    is_embedding = url.partition("?")[0].endswith(_EMBEDDINGS) or ("input" in asked and "encoding_format" in asked)
    return "embedding" if is_embedding else "llm"


def _tokens(answered: Mapping[str, Any]) -> Tokens:
    """Return what a call used, in the words of OpenAI's two APIs, of Anthropic, of Google and of Meta."""
    usage = answered.get("usage") if isinstance(answered.get("usage"), dict) else answered.get("usageMetadata")
    counts: Mapping[str, Any] = {**answered, **(usage if isinstance(usage, dict) else {})}
    found = {field: _first_count(counts, keys) for field, keys in _TOKENS.items()}
    # Anthropic counts the tokens of its cache beside the others.
    beside = [_first_count(counts, (key,)) for key in _BESIDE_INPUT]
    if found["input"] is not None:
        found["input"] += sum(filter(None, beside))
    return Tokens(**found)


def _first_count(counts: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    """Return the first number of tokens under one of some keys; `a.b` is `b` in the object `a`."""
    for key in keys:
        outer, _, inner = key.rpartition(".")
        inside = counts.get(outer) if outer else counts
        value: Any = inside.get(inner) if isinstance(inside, Mapping) else None
        if value is not None and _is_number(value) and 0 <= value <= _MAX_TOKENS:
            return int(value)
    return None


def _error(response: Mapping[str, Any], answered: Mapping[str, Any]) -> str | None:
    error = answered.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    if message:
        return _clean(message, _MAX_ERROR)
    if answered.get("status") == "error" or answered.get("failed") is True:
        return _clean(answered.get("message") or answered.get("reason") or "error", _MAX_ERROR)
    status = int(response["status"])
    # Helicone writes 0 for a request that is still pending.
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
    """Return a text that can be encoded in UTF-8."""
    return _text_of(value)[:limit].encode("utf-8", "replace").decode()
