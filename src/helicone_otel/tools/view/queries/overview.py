"""The sums over the sessions of a list, and how their numbers are distributed.

SQLite adds up and counts: for a hundred thousand sessions, fetching their numbers alone would take longer than all of
this.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from .numbers import Bars, bars_between, dollars

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
# The shares of the sessions that histograms can be limited to, as Helicone's page has them.
SHARES: Final = {"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


class ShownRange(NamedTuple):
    """Which sessions histograms show: for all of them to be of use, a few very large ones must be left out.

    Attributes:
        share: The share of the sessions with the smallest values; 1 for all.
        is_inner: Leave out as many of the smallest as of the largest. Of 0.75 this is the interquartile range.
    """

    share: float = 1.0
    is_inner: bool = False


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


def overview(connection: sqlite3.Connection, where: str, values: Sequence[Any], shown: ShownRange) -> dict[str, Any]:
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
        bars = {metric.name: bars_between(*self._limits(metric, shown)) for metric in metrics}
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


def _place_in(bars: Bars, sql: str) -> str:
    """Return the place of a value's bar, in SQL; `_NOWHERE` for a value that is in none."""
    place = f"min(CAST(({sql} - {bars.first!r}) / {bars.width!r} AS INTEGER), {bars.number - 1})"
    return f"CASE WHEN {sql} BETWEEN {bars.low!r} AND {bars.high!r} THEN {place} ELSE {_NOWHERE} END"
