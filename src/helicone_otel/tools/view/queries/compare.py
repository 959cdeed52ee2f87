"""Compares the sessions of one name, path by path."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .numbers import colour_of, milliseconds, percentile
from .sessions import SessionFilter

# The durations in nanoseconds of the requests at a path, and whether each failed.
_Calls = list[tuple[int, bool]]


def compare(connection: sqlite3.Connection, selected: SessionFilter, ids: Sequence[str], limit: int) -> dict[str, Any]:
    """Return how long the requests at each path took in the selected sessions, oldest session first."""
    where, values = selected.clause()
    if ids:
        where, values = f"{where} AND session_id IN ({', '.join('?' * len(ids))})", [*values, *ids]
    rows = connection.execute(
        "SELECT id, session_id, start, last, requests, errors, input_tokens + output_tokens FROM sessions "
        f"WHERE {where} ORDER BY last DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    rows.sort(key=lambda row: (row[2], row[0]))
    kinds: dict[str, str] = {}
    calls: defaultdict[str, dict[int, _Calls]] = defaultdict(dict)
    for index, row in enumerate(rows):
        sql = 'SELECT path, kind, "end" - start, error IS NOT NULL FROM requests WHERE session = ?'
        for path, kind, duration, failed in connection.execute(sql, (row[0],)):
            kinds.setdefault(path, kind)
            calls[path].setdefault(index, []).append((duration, bool(failed)))
    lengths = [row[3] - row[2] for row in rows]
    paths = [_path_data(path, kinds[path], by_session, lengths) for path, by_session in calls.items()]
    return {
        "name": selected.name,
        "sessions": [_session_data(row) for row in rows],
        "paths": sorted(paths, key=lambda path: (-path["share"], path["path"])),
    }


def _session_data(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row[1],
        "start_ms": milliseconds(row[2]),
        "duration_ms": milliseconds(row[3] - row[2]),
        "requests": row[4],
        "errors": row[5],
        "tokens": row[6],
    }


def _path_data(path: str, kind: str, by_session: dict[int, _Calls], lengths: Sequence[int]) -> dict[str, Any]:
    everything = [call for calls in by_session.values() for call in calls]
    figures = _figures(everything, sum(lengths))
    errors = figures.pop("errors")
    return {
        "path": path,
        "kind": kind,
        "colour": colour_of(path),
        "sessions": len(by_session),
        "error_rate": round(errors / len(everything), 4),
        **figures,
        "moved": [{"session": index, **_figures(calls, lengths[index])} for index, calls in sorted(by_session.items())],
    }


def _figures(calls: _Calls, length: int) -> dict[str, Any]:
    durations = sorted(duration for duration, _ in calls)
    return {
        "count": len(calls),
        "p50": milliseconds(int(percentile(durations, 0.5))),
        "p95": milliseconds(int(percentile(durations, 0.95))),
        "errors": sum(failed for _, failed in calls),
        "share": round(sum(durations) / length, 4) if length else 0.0,
    }
