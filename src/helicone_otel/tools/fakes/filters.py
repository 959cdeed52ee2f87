"""The filters of Helicone's read API: from the JSON of a query to a test of rows."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from .rows import Row

RowTest: TypeAlias = Callable[[Row], bool]

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
