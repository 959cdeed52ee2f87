"""Lists sessions: filtered, sorted and page by page, with the sums over all that match the filter."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from ...redaction import redact, redact_values
from .filters import SessionFilter
from .numbers import dollars, milliseconds, prices
from .overview import ShownRange, overview

MAX_NAMES: Final = 500
# What a list can be sorted by. Equal sessions are sorted by arrival, the latest first.
SORTS: Final = {
    "start": "start",
    "last": "last",
    "duration": "last - start",
    "requests": "requests",
    "tokens": "input_tokens + output_tokens",
    "errors": "errors",
    "cost": "cost",
    "name": "name COLLATE NOCASE",
    "id": "session_id",
}
_NO_FACTS: Final[Mapping[str, Any]] = {"users": [], "properties": {}, "models": [], "services": []}
_COLUMNS: Final = (
    "id, session_id, name, start, last, requests, errors, input_tokens, output_tokens, kinds, facts, "
    "cost, unpriced, said"
)


def names(connection: sqlite3.Connection, selected: SessionFilter, contains: str) -> dict[str, Any]:
    """Return the names of sessions that contain a text, with counts, last used first."""
    where, values = selected.clause(connection)
    rows = connection.execute(
        f"SELECT name, count(*), sum(errors > 0), max(last), sum(cost) FROM sessions WHERE {where} "
        "GROUP BY name ORDER BY max(last) DESC",
        values,
    ).fetchall()
    rows = [row for row in rows if contains.casefold() in row[0].casefold()]
    return {
        "names": [
            {"name": name, "sessions": count, "errors": errors, "last_ms": milliseconds(last), "cost": dollars(cost)}
            for name, count, errors, last, cost in rows[:MAX_NAMES]
        ],
        "total": len(rows),
    }


def sessions(
    connection: sqlite3.Connection,
    selected: SessionFilter,
    sort: str,
    page: int,
    size: int,
    shown: ShownRange = ShownRange(),  # noqa: B008  # cannot be changed
) -> dict[str, Any]:
    """Return one page of the sessions that match a filter, and the sums over all of them.

    Args:
        connection: The connection that reads.
        selected: Selects the sessions.
        sort: A key of `SORTS`, after `-` for descending order.
        page: The number of the page, from 1.
        size: The number of sessions on a page.
        shown: Which sessions the histograms show.
    """
    where, values = selected.clause(connection)
    direction = "DESC" if sort.startswith("-") else "ASC"
    order = f"{SORTS[sort.removeprefix('-')]} {direction}, id DESC"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, size, (page - 1) * size),
    ).fetchall()
    sums = overview(connection, where, values, shown)
    total = sums["totals"]["sessions"]
    return {
        "sessions": [session_data(row) for row in rows],
        "total": total,
        "page": page,
        "size": size,
        "pages": max(1, -(-total // size)),
        "prices": prices(),
        **sums,
    }


def session_data(row: sqlite3.Row) -> dict[str, Any]:
    """Return one session as an entry of the list."""
    _, id_, name, start, last, requests, errors, input_tokens, output_tokens, kinds, facts, *more = row
    cost, unpriced, said = more
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
        "cost": dollars(cost),
        "unpriced": unpriced,
        "first_input": said,
        **_NO_FACTS,
        **_shown_facts(json.loads(facts)),
    }


def _shown_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: redact_values(value) if isinstance(value, Mapping) else redact(value) for key, value in facts.items()}


def find_session(connection: sqlite3.Connection, id_: str, name: str | None) -> sqlite3.Row | None:
    """Return a session by its id and name; without a name, the latest of that id."""
    where, values = ("session_id = ? AND name = ?", (id_, name)) if name is not None else ("session_id = ?", (id_,))
    row: sqlite3.Row | None = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY last DESC LIMIT 1", values
    ).fetchone()
    return row


def session_by_number(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    """Return a session by its number in the database."""
    row: sqlite3.Row = connection.execute(f"SELECT {_COLUMNS} FROM sessions WHERE id = ?", (number,)).fetchone()
    return row


def names_of(connection: sqlite3.Connection, id_: str) -> list[str]:
    """Return the names of the sessions that have an id, last used first."""
    sql = "SELECT name FROM sessions WHERE session_id = ? ORDER BY last DESC LIMIT ?"
    return [row[0] for row in connection.execute(sql, (id_, MAX_NAMES))]
