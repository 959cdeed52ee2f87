"""Compares the sessions of one name, path by path: all of them, and two sets of them with each other."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...redaction import redact_values
from ..colours import add_colours
from ..database import milliseconds, nanoseconds
from ..prices import dollars, shown_prices
from .filters import SessionFilter
from .sessions import percentile

_SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_MAX_PROPERTIES, _MAX_VALUES = 64, 64
_SESSIONS: Final = (
    "SELECT id, session_id, start, last, requests, errors, input_tokens + output_tokens, cost, unpriced FROM sessions"
)
_CALLS: Final = """
SELECT path, kind, "end" - start, error IS NOT NULL, coalesce(input_tokens, 0) + coalesce(output_tokens, 0), cost
FROM requests WHERE session = ?
"""


class Split(NamedTuple):
    """Divides sessions into two sets: by a time, or by two values of a property.

    Attributes:
        at: Milliseconds since the epoch; the second set are the sessions that started from then on.
        name: The name of a property; empty to divide by the time.
        values: The property's values in the first set and in the second.
    """

    at: float = 0.0
    name: str = ""
    values: tuple[str, str] = ("", "")

    def set_of(self, start: int, properties: Mapping[str, Sequence[str]]) -> int | None:
        """Return the set of a session, 0 or 1; `None` if it is in neither, or would be in both."""
        if not self.name:
            return int(start >= nanoseconds(self.at))
        found = [number for number, value in enumerate(self.values) if value in properties.get(self.name, ())]
        return found[0] if len(found) == 1 else None


class _Call(NamedTuple):
    """A request: its duration in nanoseconds, whether it failed, its tokens, and its cost in US dollars."""

    duration: int
    failed: bool
    tokens: int
    cost: float | None


# By path and by the number of a session, the requests.
_Calls = Mapping[str, Mapping[int, list[_Call]]]


def compare(
    connection: sqlite3.Connection, selected: SessionFilter, ids: Sequence[str], limit: int, split: Split | None = None
) -> dict[str, Any]:
    """Return how long the requests at each path took in the selected sessions, and what they cost.

    Args:
        connection: The connection that reads.
        selected: Selects the sessions, which have one name.
        ids: The ids of the sessions; empty for the latest.
        limit: How many sessions at most.
        split: Divides them into two sets; `None` not to.
    """
    where, values = selected.clause(connection)
    if ids:
        where, values = f"{where} AND session_id IN ({', '.join('?' * len(ids))})", [*values, *ids]
    rows = connection.execute(f"{_SESSIONS} WHERE {where} ORDER BY last DESC LIMIT ?", (*values, limit)).fetchall()
    rows.sort(key=lambda row: (row[2], row[0]))
    properties = [_properties_of(connection, row[0]) for row in rows]
    kinds, calls = _calls_of(connection, rows)
    sets = [split.set_of(row[2], of) if split else None for row, of in zip(rows, properties, strict=True)]
    lengths = [row[3] - row[2] for row in rows]
    paths = [_path_data(path, kinds[path], calls[path], lengths, sets) for path in calls]
    add_colours(connection, paths)
    divided = [[row for row, of in zip(rows, sets, strict=True) if of == number] for number in (0, 1)]
    return {
        "name": selected.name,
        "sessions": [_session_data(row, number) for row, number in zip(rows, sets, strict=True)],
        "whole": _moved(_by_session(calls.values()), lengths),
        "paths": sorted(paths, key=lambda path: (-path["share"], path["path"])),
        "sets": [_set_data(some) for some in divided] if split else None,
        "properties": redact_values(_choices(properties)),
        "prices": shown_prices(),
    }


def _calls_of(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> tuple[dict[str, str], _Calls]:
    """Return the kind of the first request at each path, and all requests."""
    kinds: dict[str, str] = {}
    calls: defaultdict[str, dict[int, list[_Call]]] = defaultdict(dict)
    for place, row in enumerate(rows):
        for path, kind, duration, failed, tokens, cost in connection.execute(_CALLS, (row[0],)):
            kinds.setdefault(path, kind)
            calls[path].setdefault(place, []).append(_Call(duration, bool(failed), tokens, cost))
    return kinds, calls


def _properties_of(connection: sqlite3.Connection, session: int) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    sql = "SELECT name, value FROM facts WHERE session = ? AND what = 'property' ORDER BY name, value LIMIT 1024"
    for name, value in connection.execute(sql, (session,)):
        found[name].append(value)
    return found


def _choices(properties: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Return the properties that have several values, and these."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for one in properties:
        for name, found in one.items():
            values[name].update(found)
    several = [(name, sorted(found)[:_MAX_VALUES]) for name, found in sorted(values.items()) if len(found) > 1]
    return dict(several[:_MAX_PROPERTIES])


def _session_data(row: sqlite3.Row, number: int | None) -> dict[str, Any]:
    return {
        "id": row[1],
        "start_ms": milliseconds(row[2]),
        "duration_ms": milliseconds(row[3] - row[2]),
        "requests": row[4],
        "errors": row[5],
        "tokens": row[6],
        "cost": dollars(row[7]),
        "unpriced": row[8],
        "set": number,
    }


def _set_data(rows: Sequence[sqlite3.Row]) -> dict[str, Any]:
    """Return the numbers of a set of sessions: requests, tokens and cost for each session."""
    if not rows:
        return {"sessions": 0, **dict.fromkeys((*_SHARES, "requests", "tokens", "cost", "error_rate"))}
    durations = sorted(row[3] - row[2] for row in rows)
    costs = [row[7] for row in rows if row[7] is not None]
    requests, errors, tokens = ([row[column] for row in rows] for column in (4, 5, 6))
    return {
        "sessions": len(rows),
        **{name: milliseconds(int(percentile(durations, share))) for name, share in _SHARES.items()},
        "requests": round(sum(requests) / len(rows), 2),
        "tokens": round(sum(tokens) / len(rows), 2),
        "cost": dollars(sum(costs) / len(rows)) if costs else None,
        "error_rate": round(sum(error > 0 for error in errors) / len(rows), 4),
    }


def _path_data(
    path: str, kind: str, by_session: Mapping[int, list[_Call]], lengths: Sequence[int], sets: Sequence[int | None]
) -> dict[str, Any]:
    everything = [call for calls in by_session.values() for call in calls]
    return {
        "path": path,
        "kind": kind,
        "sessions": len(by_session),
        **_with_rate(_figures(everything, sum(lengths))),
        "moved": _moved(by_session, lengths),
        "sets": [_path_in_set(by_session, lengths, sets, number) for number in (0, 1)],
    }


def _by_session(paths: Iterable[Mapping[int, list[_Call]]]) -> Mapping[int, list[_Call]]:
    """Return the requests of all paths."""
    found: defaultdict[int, list[_Call]] = defaultdict(list)
    for by_session in paths:
        for place, calls in by_session.items():
            found[place] += calls
    return found


def _moved(by_session: Mapping[int, list[_Call]], lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Return the numbers of each session that has requests, in the order of the sessions."""
    return [{"session": place, **_figures(calls, lengths[place])} for place, calls in sorted(by_session.items())]


def _path_in_set(
    by_session: Mapping[int, list[_Call]], lengths: Sequence[int], sets: Sequence[int | None], number: int
) -> dict[str, Any] | None:
    """Return the numbers of a path in a set, tokens and cost for each of its sessions; `None` if it is in none."""
    places = [place for place, of in enumerate(sets) if of == number]
    calls = [call for place in places for call in by_session.get(place, ())]
    if not calls:
        return None
    figures = _with_rate(_figures(calls, sum(lengths[place] for place in places)))
    cost = figures["cost"]
    figures["cost"] = dollars(cost / len(places)) if cost is not None else None
    return {**figures, "tokens": round(figures["tokens"] / len(places), 2)}


def _with_rate(figures: dict[str, Any]) -> dict[str, Any]:
    errors = figures.pop("errors")
    return {**figures, "error_rate": round(errors / figures["count"], 4)}


def _figures(calls: Sequence[_Call], length: int) -> dict[str, Any]:
    durations = sorted(call.duration for call in calls)
    costs = [call.cost for call in calls if call.cost is not None]
    return {
        "count": len(calls),
        **{name: milliseconds(int(percentile(durations, share))) for name, share in _SHARES.items()},
        "errors": sum(call.failed for call in calls),
        "share": round(sum(durations) / length, 4) if length else 0.0,
        "tokens": sum(call.tokens for call in calls),
        "cost": dollars(sum(costs)) if costs else None,
    }
