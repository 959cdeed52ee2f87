"""Lists sessions: filtered, sorted and page by page, with sums and histograms over all that match the filter.

SQLite adds up and counts: for a hundred thousand sessions, fetching their numbers alone would take longer than all of
this.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from ...redaction import redact, redact_values
from ..database import milliseconds
from ..prices import dollars, shown_prices
from .filters import SessionFilter

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
# The shares of the sessions that histograms can be limited to, as Helicone's page has them.
SHARES: Final = {"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
_NO_FACTS: Final[Mapping[str, Any]] = {"users": [], "properties": {}, "models": [], "services": []}
_COLUMNS: Final = (
    "id, session_id, name, start, last, requests, errors, input_tokens, output_tokens, kinds, facts, "
    "cost, unpriced, said"
)


class ShownRange(NamedTuple):
    """Which sessions histograms show: for all of them to be of use, a few very large ones must be left out.

    Attributes:
        share: The share of the sessions with the smallest values; 1 for all.
        is_inner: Leave out as many of the smallest as of the largest. Of 0.75 this is the interquartile range.
    """

    share: float = 1.0
    is_inner: bool = False


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
    sums = _overview(connection, where, values, shown)
    total = sums["totals"]["sessions"]
    return {
        "sessions": [session_data(row) for row in rows],
        "total": total,
        "page": page,
        "size": size,
        "pages": max(1, -(-total // size)),
        "prices": shown_prices(),
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


# --- all that match -----------------------------------------------------------------------------------

# What is distributed, in SQL. Durations are in milliseconds, exact to the microsecond.
_METRICS: Final = {
    "requests": "requests",
    "duration_ms": "(last - start) / 1000 / 1000.0",
    "tokens": "input_tokens + output_tokens",
    "cost": "cost",
}
_SUMS: Final = (
    "count(*), total(requests), total(errors), total(errors > 0), total(input_tokens), total(output_tokens), "
    "sum(cost), total(unpriced)"
)
# More than the number of bars.
_BASE: Final = 64
_HALF: Final = 0.5
_NOWHERE: Final = _BASE - 1


class _Metric(NamedTuple):
    """A number that sessions have: how many of them do, and smallest, largest and mean."""

    name: str
    known: int
    low: float
    high: float
    mean: float

    @property
    def sql(self) -> str:
        return _METRICS[self.name]


def _overview(connection: sqlite3.Connection, where: str, values: Sequence[Any], shown: ShownRange) -> dict[str, Any]:
    """Return sums and histograms of the sessions that match a condition.

    Args:
        connection: The connection that reads.
        where: The condition, in SQL.
        values: The values of the condition.
        shown: Which sessions the histograms show.
    """
    columns = ", ".join(f"count({sql}), min({sql}), max({sql}), avg({sql})" for sql in _METRICS.values())
    row = connection.execute(f"SELECT {_SUMS}, {columns} FROM sessions WHERE {where}", values).fetchone()
    sessions, requests, errors, failing, input_tokens, output_tokens, cost, unpriced = row[:8]
    numbers = [row[8 + 4 * place : 12 + 4 * place] for place in range(len(_METRICS))]
    metrics = [_Metric(name, *of) for name, of in zip(_METRICS, numbers, strict=True) if of[0]]
    query = _Query(connection, where, values)
    by_name = {metric.name: metric for metric in metrics}
    return {
        "totals": {
            "sessions": sessions,
            "requests": int(requests),
            "errors": int(errors),
            "sessions_with_errors": int(failing),
            "input_tokens": int(input_tokens),
            "output_tokens": int(output_tokens),
            "tokens": int(input_tokens + output_tokens),
            "cost": dollars(cost),
            "unpriced": int(unpriced),
            "duration_ms": query.summary(by_name["duration_ms"]) if by_name else None,
            "mean": {name: round(by_name[name].mean, 9) if name in by_name else None for name in _METRICS},
            "kinds": query.kinds(),
        },
        "histograms": {name: [] for name in _METRICS} | query.histograms(metrics, shown),
    }


class _Query:
    """Asks for the distributions of numbers over some sessions."""

    def __init__(self, connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> None:
        self._connection = connection
        self._where = where
        self._values = values

    def kinds(self) -> dict[str, int]:
        """Return by kind the number of requests, the most frequent kind first."""
        kinds: Counter[str] = Counter()
        # Many sessions have the same kinds.
        sql = f"SELECT kinds, count(*) FROM sessions WHERE {self._where} GROUP BY kinds"
        for text, count in self._connection.execute(sql, self._values):
            for kind, number in json.loads(text).items():
                kinds[kind] += number * count
        return dict(kinds.most_common())

    def summary(self, metric: _Metric) -> dict[str, float]:
        """Return mean, median, 95th percentile and maximum."""
        p50, p95 = (self._percentile(metric, share) for share in (0.5, 0.95))
        return {"mean": round(metric.mean, 3), "p50": p50, "p95": p95, "max": metric.high}

    def _percentile(self, metric: _Metric, share: float) -> float:
        """Return the smallest value that at least this share of the values do not exceed."""
        place = max(0, math.ceil(share * metric.known) - 1)
        # From the nearer end, so that SQLite need not keep as many.
        order, offset = ("", place) if share < _HALF else ("DESC", metric.known - 1 - place)
        sql = (
            f"SELECT {metric.sql} AS value FROM sessions WHERE {self._where} AND value IS NOT NULL "
            f"ORDER BY value {order} LIMIT 1 OFFSET ?"
        )
        found: float = self._connection.execute(sql, (*self._values, offset)).fetchone()[0]
        return found

    def histograms(self, metrics: Sequence[_Metric], shown: ShownRange) -> dict[str, list[dict[str, Any]]]:
        """Return the histogram of each metric: all of them are counted in one pass over the sessions."""
        bars = {metric.name: _bars_between(*self._limits(metric, shown)) for metric in metrics}
        if not bars:
            return {}
        # The places of a session's bars, as the digits of one number: SQLite groups by a number faster than by several.
        digits = [
            f"{_place_in(bars[metric.name], metric.sql)} * {_BASE**number}" for number, metric in enumerate(metrics)
        ]
        sql = f"SELECT {' + '.join(digits)} AS places, count(*) FROM sessions WHERE {self._where} GROUP BY places"
        counts: dict[str, Counter[int]] = {metric.name: Counter() for metric in metrics}
        for found, count in self._connection.execute(sql, self._values):
            for number, metric in enumerate(metrics):
                counts[metric.name][found // _BASE**number % _BASE] += count
        return {name: bars[name].data(counts[name]) for name in bars}

    def _limits(self, metric: _Metric, shown: ShownRange) -> tuple[float, float]:
        high = metric.high if shown.share == 1 else self._percentile(metric, shown.share)
        return (self._percentile(metric, 1 - shown.share) if shown.is_inner else metric.low), high


def _place_in(bars: _Bars, sql: str) -> str:
    """Return the place of a value's bar, in SQL; `_NOWHERE` for a value that is in none."""
    place = f"min(CAST(({sql} - {bars.first!r}) / {bars.width!r} AS INTEGER), {bars.number - 1})"
    return f"CASE WHEN {sql} BETWEEN {bars.low!r} AND {bars.high!r} THEN {place} ELSE {_NOWHERE} END"


# --- distributions ------------------------------------------------------------------------------------

_MAX_BARS: Final = 20
# How many digits of a border are kept after the first one of the width.
_DIGITS: Final = 6


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed.

    Args:
        ordered: The values in ascending order, at least one.
        share: From 0 to 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class _Bars(NamedTuple):
    """The bars of a histogram, all of one width.

    Attributes:
        low: The smallest value that is counted.
        high: The largest one.
        first: Where the first bar begins.
        width: The width of each bar.
        number: How many there are.
    """

    low: float
    high: float
    first: float
    width: float
    number: int

    def data(self, counts: Mapping[int, int]) -> list[dict[str, Any]]:
        """Return the bars as the API has them, by the number of values in each."""
        digits = _DIGITS - math.floor(math.log10(self.width))
        borders = [round(self.first + place * self.width, digits) for place in range(self.number + 1)]
        return [
            {"from": start, "to": end, "count": counts.get(place, 0)}
            for place, (start, end) in enumerate(pairwise(borders))
        ]


def _bars_between(low: float, high: float) -> _Bars:
    """Return at most 20 bars of equal, round width; bars of whole numbers have whole borders."""
    width = _round_width((high - low) / _MAX_BARS)
    if isinstance(low, int) and isinstance(high, int):
        width = max(1, math.ceil(width))
    first = math.floor(low / width) * width
    return _Bars(low, high, first, width, int((high - first) / width) + 1)


def _round_width(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, … (or tenths of them) that is larger than a width."""
    if least <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power > least)
