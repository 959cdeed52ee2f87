"""The list of sessions: filtered, sorted, a page of it, and the sums over what the filter lets through."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...redaction import redact
from .numbers import histogram, milliseconds, spread

MAX_NAMES: Final = 500
_MAX_WORDS: Final = 16
# What a list can be sorted by; what is equal stands in the order of its arrival.
SORTS: Final = {
    "start": "start",
    "last": "last",
    "duration": "last - start",
    "requests": "requests",
    "tokens": "input_tokens + output_tokens",
    "errors": "errors",
    "name": "name COLLATE NOCASE",
    "id": "session_id",
}
_NO_FACTS: Final[Mapping[str, Any]] = {"users": [], "properties": {}, "models": [], "services": []}
_COLUMNS: Final = "id, session_id, name, start, last, requests, errors, input_tokens, output_tokens, kinds, facts"


class Filter(NamedTuple):
    """Which sessions.

    Attributes:
        name: Of this name; `None`: of any.
        search: With these words in an id, a name, a user or a property.
        since: Milliseconds since the epoch, as `until`: something happened in between.
        errors: Only those with an error.
    """

    name: str | None = None
    search: str = ""
    since: float | None = None
    until: float | None = None
    errors: bool = False

    def clause(self) -> tuple[str, list[Any]]:
        """Return the condition in SQL, and its values."""
        parts: list[tuple[str, Any]] = []
        if self.name is not None:
            parts.append(("name = ?", self.name))
        parts += [("instr(search, ?) > 0", word) for word in self.search.casefold().split()[:_MAX_WORDS]]
        if self.since is not None:
            parts.append(("last >= ?", self.since * 1e6))
        if self.until is not None:
            parts.append(("start <= ?", self.until * 1e6))
        if self.errors:
            parts.append(("errors > ?", 0))
        return " AND ".join(condition for condition, _ in parts) or "1", [value for _, value in parts]


def names(connection: sqlite3.Connection, chosen: Filter, contains: str) -> dict[str, Any]:
    """Return the names of sessions with counts, last used first."""
    where, values = chosen.clause()
    rows = connection.execute(
        f"SELECT name, count(*), sum(errors > 0), max(last) FROM sessions WHERE {where} "
        "GROUP BY name ORDER BY max(last) DESC",
        values,
    ).fetchall()
    rows = [row for row in rows if contains.casefold() in row[0].casefold()]
    return {
        "names": [
            {"name": name, "sessions": count, "errors": errors, "last_ms": milliseconds(last)}
            for name, count, errors, last in rows[:MAX_NAMES]
        ],
        "total": len(rows),
    }


def sessions(connection: sqlite3.Connection, chosen: Filter, sort: str, page: int, size: int) -> dict[str, Any]:
    """Return a page of the sessions that a filter lets through, and the sums over all of them.

    Args:
        connection: With which to read.
        chosen: Which sessions.
        sort: A key of `SORTS`, with `-` before it downwards.
        page: From 1.
        size: How many on a page.
    """
    where, values = chosen.clause()
    direction = "DESC" if sort.startswith("-") else "ASC"
    order = f"{SORTS[sort.removeprefix('-')]} {direction}, id DESC"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, size, (page - 1) * size),
    ).fetchall()
    everything = connection.execute(
        f"SELECT start, last, requests, errors, input_tokens, output_tokens, kinds FROM sessions WHERE {where}", values
    ).fetchall()
    return {
        "sessions": [session_data(row) for row in rows],
        "total": len(everything),
        "page": page,
        "size": size,
        "pages": max(1, -(-len(everything) // size)),
        **_sums(everything),
    }


def session_data(row: sqlite3.Row) -> dict[str, Any]:
    """Return one session as the list has it."""
    _, id_, name, start, last, requests, errors, input_tokens, output_tokens, kinds, facts = row
    return {
        "id": id_,
        "name": name,
        "start_ms": milliseconds(start),
        "last_ms": milliseconds(last),
        "duration_ms": milliseconds(last - start),
        "requests": requests,
        "kinds": json.loads(kinds),
        "errors": errors,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "tokens": input_tokens + output_tokens,
        **_NO_FACTS,
        **redact(json.loads(facts)),
    }


def find_session(connection: sqlite3.Connection, id_: str, name: str | None) -> sqlite3.Row | None:
    """Return a session by its id and name; without a name, the latest of that id."""
    where, values = ("session_id = ? AND name = ?", (id_, name)) if name is not None else ("session_id = ?", (id_,))
    row: sqlite3.Row | None = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY last DESC LIMIT 1", values
    ).fetchone()
    return row


def _sums(rows: Sequence[sqlite3.Row]) -> Mapping[str, Any]:
    durations = [milliseconds(row[1] - row[0]) for row in rows]
    requests, errors, inputs, outputs = ([row[column] for row in rows] for column in (2, 3, 4, 5))
    tokens = [one + other for one, other in zip(inputs, outputs, strict=True)]
    kinds: Counter[str] = Counter()
    # Many sessions look alike, and reading JSON is what takes time.
    for text, count in Counter(row[6] for row in rows).items():
        for kind, number in json.loads(text).items():
            kinds[kind] += number * count
    return {
        "totals": {
            "sessions": len(rows),
            "requests": sum(requests),
            "errors": sum(errors),
            "sessions_with_errors": sum(error > 0 for error in errors),
            "input_tokens": sum(inputs),
            "output_tokens": sum(outputs),
            "tokens": sum(tokens),
            "duration_ms": spread(durations),
            "kinds": dict(kinds.most_common()),
        },
        "histograms": {
            "requests": histogram(requests),
            "duration_ms": histogram(durations),
            "tokens": histogram(tokens),
        },
    }
