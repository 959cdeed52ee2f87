"""Helicone's read API: sessions and requests, the filters that find them, and what users add to them afterwards."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from ..folders import Folder
from .jawn_api import not_found
from .log_api import parsed
from .requests import ApiResult, Request, in_json
from .rows import Row, RowStore

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | int | None"
RowTest: TypeAlias = Callable[[Row], bool]

STARTS: Final = ("/v1/session/", "/v1/request/")
_DEFAULT_SESSIONS: Final = 50
_MAX_NAMES: Final = 50
_DEFAULT_REQUESTS: Final = 10
_MAX_REQUESTS: Final = 1000
_QUERY_FIELDS: Final = ("search", "timeFilter", "timezoneDifference", "filter")
_NAME_FIELDS: Final = ("nameContains", "timezoneDifference")
_TEXT_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "equals": operator.eq,
    "not-equals": operator.ne,
    "like": lambda value, wanted: _is_like(value, wanted, 0),
    "ilike": lambda value, wanted: _is_like(value, wanted, re.IGNORECASE),
    "contains": lambda value, wanted: wanted.lower() in value.lower(),
    "not-contains": lambda value, wanted: wanted.lower() not in value.lower(),
}
_NUMBER_TESTS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "equals": operator.eq,
    "not-equals": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_TEXTS: Final[Mapping[str, Callable[[Row], str]]] = {
    "request_id": lambda row: row.id,
    "model": lambda row: row.model,
    "provider": lambda row: row.provider,
    "user_id": lambda row: row.user_id,
    "request_path": lambda row: row.path,
    "session_session_id": lambda row: row.session_id or "",
    "session_session_name": lambda row: row.session_name,
}
_NUMBERS: Final[Mapping[str, Callable[[Row], float]]] = {
    "status": lambda row: row.status,
    "latency": lambda row: row.ended - row.started,
    "prompt_tokens": lambda row: row.prompt_tokens,
    "completion_tokens": lambda row: row.completion_tokens,
    "request_created_at": lambda row: row.started,
}
_TABLES: Final = ("request_response_rmt", "sessions_request_response_rmt")


class FilterError(Exception):
    """Helicone cannot make a query of a filter."""


class QueryError(Exception):
    """A query fails: Helicone answers 500, with the message as `error`."""


class PageError(Exception):
    """The page of a session answers 500, because its address cannot be decoded."""


class InvalidError(Exception):
    """A body lacks a field: Helicone answers 422."""


def query(request: Request, organization: str, store: RowStore) -> ApiResult:
    """Answer a request to the read API: `{"data": …, "error": …}`."""
    path, _, parameters = request.path.partition("?")
    body = parsed(request.body) if request.body else dict(parse_qsl(parameters))
    for method, pattern, status, answer in _ROUTES:
        if method == request.method and (match := pattern.fullmatch(path)):
            arguments = [unquote(argument) for argument in match.groups()]
            try:
                data = answer(store, organization, body, *arguments)
            except InvalidError as error:
                field = f"requestBody.{error}"
                details = {field: {"message": f"'{error}' is required"}}
                return ApiResult(in_json(422, {"message": "Validation Failed", "details": details}))
            except (QueryError, FilterError, ValueError, TypeError, LookupError, AttributeError) as error:
                return ApiResult(in_json(500, {"data": None, "error": str(error)}))
            return ApiResult(in_json(status, {"data": data, "error": None}))
    return not_found(request)


def _sessions(store: RowStore, organization: str, body: Any) -> Any:
    """`POST /v1/session/query`."""
    return _summaries(store, organization, body)


def _session_count(store: RowStore, organization: str, body: Any) -> Any:
    """`POST /v1/session/count`."""
    found = _summaries(store, organization, {**body, "offset": 0, "limit": None})
    count = len(found) or 1
    requests, latencies = (sum(entry[key] for entry in found) for key in ("total_requests", "avg_latency"))
    averages = {"avg_cost": 0, "avg_latency": latencies / count, "avg_requests": requests / count}
    return {"count": len(found), "total_cost": 0, **averages}


def _summaries(store: RowStore, organization: str, body: Any) -> list[Any]:
    _require(body, _QUERY_FIELDS)
    window = body["timeFilter"]
    first, last = (milliseconds(window[key]) for key in ("startTimeUnixMs", "endTimeUnixMs"))
    passes, search = test_of(body["filter"]), f"%{body['search']}%"
    rows = [row for row in store.ingested(organization) if first < row.started < last and passes(row)]
    sessions = {
        session: entries
        for session, entries in grouped(rows).items()
        if any(_is_like(text, search, re.IGNORECASE) for text in session)
        and body.get("nameEquals") in (None, "", session[1])
    }
    newest_first = sorted(sessions.items(), key=lambda entry: entry[1][0].started, reverse=True)
    start, limit = body.get("offset", 0), body.get("limit", _DEFAULT_SESSIONS)
    chosen = newest_first[start:] if limit is None else newest_first[start : start + limit]
    return [summary(session, entries, int(body["timezoneDifference"])) for session, entries in chosen]


def _session_names(store: RowStore, organization: str, body: Any) -> Any:
    """`POST /v1/session/name/query`."""
    _require(body, _NAME_FIELDS)
    wanted, minutes = str(body["nameContains"]).lower(), -abs(int(body["timezoneDifference"]))
    names: dict[str, list[Row]] = {}
    ids: dict[str, set[str]] = {}
    for (session_id, name), rows in grouped(store.ingested(organization)).items():
        if wanted in name.lower():
            names.setdefault(name, []).extend(rows)
            ids.setdefault(name, set()).add(session_id)
    return [_name(name, rows, len(ids[name]), minutes) for name, rows in list(names.items())[:_MAX_NAMES]]


def _name(name: str, rows: list[Row], sessions: int, minutes: int) -> dict[str, Any]:
    first, last = (as_date(end(row.started for row in rows), minutes) for end in (min, max))
    latency = sum(row.ended - row.started for row in rows) / len(rows)
    times = {"created_at": first, "first_used": first, "last_used": last}
    return {"name": name, **times, "session_count": sessions, "avg_latency": latency}


def _has_session(store: RowStore, organization: str, _: Any) -> Any:
    """`GET /v1/session/has-session`."""
    return any(row.session_id for row in store.ingested(organization))


def _give_feedback(_: RowStore, __: str, body: Any, ___: str) -> Any:
    """`POST /v1/session/{id}/feedback`, which always fails: it reads a table that Helicone no longer has."""
    _require(body, ("rating",))
    raise QueryError('relation "request" does not exist')


def _tag(store: RowStore, organization: str, _: Any, session: str) -> Any:
    """`GET /v1/session/{id}/tag`."""
    return store.tags.get((organization, session))


def _set_tag(store: RowStore, organization: str, body: Any, session: str) -> Any:
    """`POST /v1/session/{id}/tag`."""
    _require(body, ("tag",))
    store.tags[organization, session] = str(body["tag"])


def _requests(store: RowStore, organization: str, body: Any) -> Any:
    """`POST /v1/request/query-clickhouse`: rows without their bodies."""
    _require(body, ("filter",))
    passes = test_of(body["filter"])
    rows = [row for row in store.ingested(organization) if passes(row)]
    order = body.get("sort", {}).get("created_at", "desc")
    rows.sort(key=lambda row: row.started, reverse=order == "desc")
    start, limit = body.get("offset", 0), min(body.get("limit", _DEFAULT_REQUESTS), _MAX_REQUESTS)
    return [_request_data(row) for row in rows[start : start + limit]]


def _request(store: RowStore, organization: str, parameters: Any, request_id: str) -> Any:
    """`GET /v1/request/{id}`."""
    rows = [row for row in store.ingested(organization) if row.id == request_id]
    if not rows:
        raise QueryError("Request not found")
    row = rows[-1]
    wants_bodies = parameters.get("includeBody") == "true"
    bodies = {"request_body": row.request, "response_body": row.response} if wants_bodies else {}
    return {**_request_data(row), **bodies}


def _set_property(store: RowStore, organization: str, body: Any, request_id: str) -> Any:
    """`PUT /v1/request/{id}/property`."""
    _require(body, ("key", "value"))
    if not any(row.id == request_id for row in store.ingested(organization)):
        raise QueryError("Request not found")
    store.change(organization, request_id, str(body["key"]), str(body["value"]))


def _request_data(row: Row) -> dict[str, Any]:
    return {
        "request_id": row.id,
        "request_created_at": as_date(row.started),
        "response_created_at": as_date(row.ended),
        "delay_ms": row.ended - row.started,
        "time_to_first_token": row.time_to_first_token,
        "response_status": row.status,
        "model": row.model,
        "provider": row.provider,
        "request_path": row.path,
        "request_user_id": row.user_id,
        "request_properties": dict(row.properties),
        "properties": dict(row.properties),
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "total_tokens": row.prompt_tokens + row.completion_tokens,
        "cost": 0,
    }


def _require(body: Any, fields: Iterable[str]) -> None:
    if missing := [name for name in fields if not isinstance(body, Mapping) or name not in body]:
        raise InvalidError(missing[0])


# Method, path, status of a success, and what answers.
_ROUTES: Final[tuple[tuple[str, re.Pattern[str], int, Callable[..., Any]], ...]] = (
    ("POST", re.compile("/v1/session/query"), 200, _sessions),
    ("POST", re.compile("/v1/session/count"), 200, _session_count),
    ("POST", re.compile("/v1/session/name/query"), 200, _session_names),
    ("GET", re.compile("/v1/session/has-session"), 200, _has_session),
    ("POST", re.compile("/v1/session/([^/]+)/feedback"), 200, _give_feedback),
    ("GET", re.compile("/v1/session/([^/]+)/tag"), 200, _tag),
    ("POST", re.compile("/v1/session/([^/]+)/tag"), 200, _set_tag),
    ("POST", re.compile("/v1/request/query(?:-clickhouse)?"), 201, _requests),
    ("GET", re.compile("/v1/request/([^/]+)"), 200, _request),
    ("PUT", re.compile("/v1/request/([^/]+)/property"), 201, _set_property),
)


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each session by its id and name, sorted by start. Rows without a session are left out."""
    sessions: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.started):
        if row.session_id:
            sessions.setdefault((row.session_id, row.session_name), []).append(row)
    return sessions


def summary(session: tuple[str, str], rows: list[Row], minutes: int = 0) -> dict[str, Json]:
    """Return a session as Helicone's list of sessions has it.

    Args:
        session: Its id and name.
        rows: Its rows, sorted by start.
        minutes: Added to its dates.
    """
    prompt, completion = sum(row.prompt_tokens for row in rows), sum(row.completion_tokens for row in rows)
    return {
        "created_at": as_date(rows[0].started, minutes),
        "latest_request_created_at": as_date(rows[-1].started, minutes),
        "session_id": session[0],
        "session_name": session[1],
        # This API of the fake reports no costs.
        "total_cost": 0,
        "total_requests": len(rows),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "avg_latency": sum(row.ended - row.started for row in rows) / len(rows),
        "user_ids": sorted({row.user_id for row in rows if row.user_id}),
    }


def session_page(store: RowStore, organization: str, name: str, session_id: str) -> list[Row]:
    """Return the rows that the page of a session shows after a click on the session in the list.

    The link encodes name and id once, and the page decodes them twice. Then it looks for the id alone.

    Raises:
        PageError: The page answers 500.
    """
    _decoded(name)
    wanted = _decoded(session_id)
    return [row for row in store.ingested(organization) if row.session_id == wanted]


def _decoded(text: str) -> str:
    """Return what JavaScript's `decodeURIComponent` makes of a text."""
    try:
        if re.search("%(?![0-9A-Fa-f]{2})", text):
            raise PageError(text)
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise PageError(text) from error


def as_date(milliseconds: int, minutes: int = 0) -> str:
    """Return a moment, in milliseconds since the epoch, as ClickHouse writes it.

    Args:
        milliseconds: The moment.
        minutes: Added to it.
    """
    moment = datetime.fromtimestamp(milliseconds / 1000 + minutes * 60, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03}"


def session_tree(rows: Iterable[Row]) -> Folder[list[Row]]:
    """Return the tree that Helicone draws of a session's rows.

    A path is cut at each slash, without tidying. Rows and folders are in the order in which they started.
    """
    root = Folder[list[Row]](list)
    for row in sorted(rows, key=lambda row: row.started):
        if row.session_path:  # only OTLP lets it be empty
            root.open(_segments(row.session_path)).content.append(row)
    return root


def tree_lines(root: Folder[list[Row]]) -> list[str]:
    """Return a tree as text: folders with a slash, the rows of each before its folders."""
    lines: list[str] = []
    for folder in root.walk():
        indent = "  " * len(folder.segments)
        if folder.segments:
            lines.append(f"{indent[2:]}{folder.segment}/")
        lines += [f"{indent}{row.badge} {row.model}" for row in folder.content]
    return lines


def _segments(path: str) -> list[str]:
    # Helicone puts a slash before a path that has none. `/` gives one folder without a name.
    return (path if path.startswith("/") else f"/{path}").split("/")[1:]


def test_of(node: Any) -> RowTest:
    """Return a function that tells whether a row passes a filter.

    Args:
        node: A filter, or a part of one, as decoded JSON.

    Raises:
        FilterError: It is not a filter, or has a column or an operator that the fake does not know.
    """
    if node in ("all", {}):
        return lambda _: True
    if not isinstance(node, Mapping):
        raise FilterError(f"{node!r:.60} is not a filter")
    if "operator" in node:
        left, right = test_of(node.get("left")), test_of(node.get("right"))
        if node["operator"] == "and":
            return lambda row: left(row) and right(row)
        if node["operator"] == "or":
            return lambda row: left(row) or right(row)
        raise FilterError(f"{node['operator']!r:.60} is neither 'and' nor 'or'")
    return _column_test(_only(node, _TABLES))


def milliseconds(value: object) -> float:
    """Return a moment in milliseconds since the epoch.

    Args:
        value: Such a number, or a date in ISO 8601.

    Raises:
        FilterError: It is neither a number nor a text.
        ValueError: The text is not a date.
    """
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    if isinstance(value, int | float):
        return value
    raise FilterError(f"{value!r:.60} is not a date")


def _column_test(columns: Any) -> RowTest:
    column = next(iter(columns), "") if isinstance(columns, Mapping) else ""
    if column == "properties" and isinstance(columns[column], Mapping) and columns[column]:
        name, condition = next(iter(columns[column].items()))
        wanted, test = _condition(condition, _TEXT_TESTS)
        # In ClickHouse, a missing key of a map has the empty text as its value.
        return lambda row: test(row.properties.get(name, ""), str(wanted))
    if column in _TEXTS:
        wanted, test = _condition(columns[column], _TEXT_TESTS)
        return lambda row: test(_TEXTS[column](row), str(wanted))
    if column in _NUMBERS:
        wanted, compare = _condition(columns[column], _NUMBER_TESTS)
        number = milliseconds(wanted)
        return lambda row: compare(_NUMBERS[column](row), number)
    raise FilterError(f"the fake has no column {column!r:.60}")


def _condition(condition: Any, tests: Mapping[str, Callable[[Any, Any], bool]]) -> tuple[Any, Callable[..., bool]]:
    wanted = _only(condition, tests)
    return wanted, tests[next(iter(condition))]


def _only(node: Any, names: Any) -> Any:
    if not isinstance(node, Mapping) or len(node) != 1 or next(iter(node)) not in names:
        raise FilterError(f"{node!r:.60} is not one of {', '.join(names)}")
    return next(iter(node.values()))


def _is_like(value: str, pattern: str, flags: int) -> bool:
    wild = {"%": ".*", "_": "."}
    return bool(
        re.fullmatch("".join(wild.get(letter, re.escape(letter)) for letter in pattern), value, flags | re.DOTALL)
    )
