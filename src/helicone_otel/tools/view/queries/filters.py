"""Which sessions a list shows. Filters of different kinds must all hold; of several values of one, any may."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...redaction import redact, redact_values
from ..database import nanoseconds
from ..text_index import SESSIONS_FOUND, expression_of, words_of

# What is measured of a session, and can be limited.
MEASURES: Final[Mapping[str, str]] = {
    "duration": "(last - start) / 1e6",
    "requests": "requests",
    "tokens": "input_tokens + output_tokens",
    "cost": "cost",
}
# Texts of a session that a filter may name, with what they are called in the table of facts.
FACTS: Final = ("user", "model", "property")
_MAX_VALUES: Final = 200


class Limits(NamedTuple):
    """The limits of a measure of `MEASURES`; `None` for no limit."""

    measure: str
    least: float | None
    most: float | None


class SessionFilter(NamedTuple):
    """Selects sessions.

    Attributes:
        name: The name; `None` for any name.
        search: Words that must all occur: in the id, the name, a user or a property, or begin a word in the ids,
            names, models, paths, errors or content of a request.
        since: Milliseconds since the epoch; sessions that ended before are left out.
        until: Milliseconds since the epoch; sessions that started later are left out.
        errors: `True` selects only sessions with an error, `False` only those without; `None` both.
        kinds: Select sessions with a request of one of these kinds.
        facts: Select sessions with one of these: (what, name, value), where `what` is one of `FACTS`.
        limits: Select sessions within these limits.
    """

    name: str | None = None
    search: str = ""
    since: float | None = None
    until: float | None = None
    errors: bool | None = None
    kinds: tuple[str, ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()
    limits: tuple[Limits, ...] = ()

    def clause(self, connection: sqlite3.Connection) -> tuple[str, list[Any]]:
        """Return the condition in SQL, and its values.

        Args:
            connection: The connection that reads. The search is run now, and once, because the condition is often used
                in several queries.
        """
        parts = list(self._parts())
        if words := words_of(self.search):
            parts.append(_among(connection, _found(connection, words)))
        return " AND ".join(sql for sql, _ in parts) or "1", [value for _, values in parts for value in values]

    def _parts(self) -> Iterator[tuple[str, list[Any]]]:
        if self.name is not None:
            yield "name = ?", [self.name]
        if self.since is not None:
            yield "last >= ?", [nanoseconds(self.since)]
        if self.until is not None:
            yield "start < ?", [nanoseconds(self.until) + 1000]  # with all of that microsecond
        if self.errors is not None:
            yield f"errors {'>' if self.errors else '='} 0", []
        if self.kinds:
            # The column is a JSON object whose keys are kinds.
            kinds = [f'"{kind}":' for kind in self.kinds]
            yield f"({' OR '.join(['instr(kinds, ?) > 0'] * len(kinds))})", kinds
        yield from self._fact_parts()
        for measure, least, most in self.limits:
            ends = ((">=", least), ("<=", most))
            yield from ((f"{MEASURES[measure]} {sign} ?", [end]) for sign, end in ends if end is not None)

    def _fact_parts(self) -> Iterator[tuple[str, list[Any]]]:
        by_name: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for what, name, value in self.facts:
            by_name[what, name].append(value)
        for (what, name), values in by_name.items():
            marks = ", ".join("?" * len(values))
            sql = f"id IN (SELECT session FROM facts WHERE what = ? AND name = ? AND value IN ({marks}))"
            yield sql, [what, name, *values]


def _among(connection: sqlite3.Connection, numbers: list[int]) -> tuple[str, list[Any]]:
    """Return the condition that a session is among these; of more than a half, that it is none of the others."""
    (total,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
    if len(numbers) * 2 <= total:
        return "id IN (SELECT value FROM json_each(?))", [json.dumps(numbers)]
    others = set(json.loads(connection.execute("SELECT json_group_array(id) FROM sessions").fetchone()[0]))
    others.difference_update(numbers)
    return "id NOT IN (SELECT value FROM json_each(?))", [json.dumps(list(others))]


def _found(connection: sqlite3.Connection, words: Iterable[str]) -> list[int]:
    """Return the numbers of the sessions in which all words occur."""
    parts: list[str] = []
    values: list[str] = []
    for word in words:
        expression = expression_of([word])
        values.append(word.casefold())
        if expression is None:
            parts.append("instr(search, ?) > 0")
        else:
            parts.append(f"(instr(search, ?) > 0 OR id IN ({SESSIONS_FOUND}))")
            values.append(expression)
    sql = f"SELECT json_group_array(id) FROM sessions WHERE {' AND '.join(parts)}"
    numbers: list[int] = json.loads(connection.execute(sql, values).fetchone()[0])
    return numbers


def filter_values(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the values that sessions can be filtered by: of each, the most frequent."""
    sql = "SELECT name, value, count(*) FROM facts WHERE what = ? GROUP BY name, value ORDER BY 3 DESC, 1, 2 LIMIT ?"
    rows = {what: connection.execute(sql, (what, _MAX_VALUES)).fetchall() for what in FACTS}
    properties: defaultdict[str, list[str]] = defaultdict(list)
    for name, value, _ in rows["property"]:
        properties[name].append(value)
    return {
        "users": redact([row[1] for row in rows["user"]]),
        "models": redact([row[1] for row in rows["model"]]),
        "properties": redact_values(properties),
    }
