"""What is written: spans as they arrive, and where they stand once that has been found out."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..replay.otlp import EncodedSpan
from .labelling import SessionSpan, StoredSpan

# What a session is found by, and shows of it: so many of each kind.
_MAX_FACTS: Final = 64
_MAX_SEARCH: Final = 8192
# SQLite's smallest default for the number of values that one statement takes is 999.
_MAX_MARKS: Final = 500

_SPAN: Final = """
INSERT INTO spans (trace, span, parent, name, scope, start, "end", error, resource, data)
VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (trace, span) DO UPDATE SET parent = excluded.parent, name = excluded.name, scope = excluded.scope,
    start = excluded.start, "end" = excluded."end", error = excluded.error, resource = excluded.resource,
    data = excluded.data
WHERE excluded.data != data OR excluded.resource != resource
"""
_TRACE: Final = """
INSERT INTO traces (trace, seen, placed) VALUES (?, ?, 0) ON CONFLICT (trace) DO UPDATE SET seen = seen + excluded.seen
"""
_HELD: Final = """
SELECT s.id, s.trace, s.span, s.parent, s.name, s.scope, s.start, s."end", s.error, r.data, s.data
FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? ORDER BY s.start LIMIT ?
"""
_WITHIN: Final = """
SELECT s.id, s.trace, s.span, s.parent, s.name, s.scope, s.start, s."end", s.error, r.data, s.data
FROM resources r JOIN spans s ON s.resource = r.id AND s.parent = ''
WHERE r.data = ? AND s.start BETWEEN ? AND ? AND s."end" <= ? AND s.trace != ? ORDER BY s.start LIMIT ?
"""
_PLACE: Final = """
INSERT OR REPLACE INTO places (id, trace, session, path, kind, request, start, "end", error) VALUES (?,?,?,?,?,?,?,?,?)
"""
_REQUEST: Final = """
INSERT INTO requests (id, session, path, kind, name, model, provider, start, "end", ttft, input_tokens, output_tokens,
    error, trace, span) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (id) DO UPDATE SET session = excluded.session, path = excluded.path, kind = excluded.kind,
    name = excluded.name, start = excluded.start, "end" = excluded."end", trace = excluded.trace, span = excluded.span,
    model = coalesce(excluded.model, model), provider = coalesce(excluded.provider, provider),
    ttft = coalesce(excluded.ttft, ttft), input_tokens = coalesce(excluded.input_tokens, input_tokens),
    output_tokens = coalesce(excluded.output_tokens, output_tokens), error = coalesce(excluded.error, error)
"""
_SUMS: Final = """
SELECT kind, count(*), coalesce(sum(error IS NOT NULL), 0), coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0), min(start), max("end")
FROM requests WHERE session = ? GROUP BY kind
"""


def keep_spans(connection: sqlite3.Connection, spans: Sequence[EncodedSpan]) -> None:
    """Write spans as they arrived. Of one that comes twice the last counts."""
    resources = {data: _resource(connection, data) for data in {span.resource for span in spans}}
    connection.executemany(
        _SPAN,
        [
            (
                s.trace_id,
                s.span_id,
                s.parent_id,
                s.name,
                s.scope,
                s.start,
                s.end,
                s.error,
                resources[s.resource],
                s.data,
            )
            for s in spans
        ],
    )
    connection.executemany(_TRACE, Counter(span.trace_id for span in spans).items())


def _resource(connection: sqlite3.Connection, data: bytes) -> int:
    found = connection.execute("SELECT id FROM resources WHERE data = ?", (data,)).fetchone()
    if found is None:
        found = connection.execute("INSERT INTO resources (data) VALUES (?) RETURNING id", (data,)).fetchone()
    return int(found[0])


def waiting_traces(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the traces of which spans stand in no session yet, with how many arrivals they have had."""
    return {row[0]: row[1] for row in connection.execute("SELECT trace, seen FROM traces WHERE placed < seen")}


def held_spans(connection: sqlite3.Connection, trace: str, limit: int) -> list[StoredSpan]:
    """Return the spans of a trace, the first `limit` of them."""
    return [_stored(row) for row in connection.execute(_HELD, (trace, limit))]


def spans_within(connection: sqlite3.Connection, around: StoredSpan, limit: int) -> list[StoredSpan]:
    """Return roots of other traces that the same process began and ended during a span."""
    span = around.span
    values = (span.resource, span.start, span.end, span.end, span.trace_id, limit)
    return [_stored(row) for row in connection.execute(_WITHIN, values)]


def _stored(row: Sequence[Any]) -> StoredSpan:
    return StoredSpan(row[0], EncodedSpan(*row[1:]))


def keep_places(connection: sqlite3.Connection, seen: Mapping[str, int], placed: Sequence[SessionSpan]) -> list[int]:
    """Write where the spans of some traces stand, in the place of what was known of them.

    Args:
        connection: With which to write.
        seen: The traces, and how many arrivals each had had when it was read.
        placed: Those of their spans that stand in a session.

    Returns:
        The sessions that have changed.
    """
    changed, stale = _leave(connection, seen)
    sessions = {key: session_of(connection, key) for key in {one.session for one in placed}}
    connection.executemany(_PLACE, [_place(one, sessions[one.session]) for one in placed])
    requests = [_request(one, sessions[one.session]) for one in placed if one.request is not None]
    changed.update(_sessions_of(connection, [request[0] for request in requests]))
    _forget(connection, stale.difference(request[0] for request in requests))
    connection.executemany(_REQUEST, requests)
    _keep_facts(connection, ((sessions[one.session], fact) for one in placed for fact in one.details))
    connection.executemany("UPDATE traces SET placed = ? WHERE trace = ?", [(n, trace) for trace, n in seen.items()])
    changed.update(sessions.values())
    for session in changed:
        sum_up(connection, session)
    return sorted(changed)


def _leave(connection: sqlite3.Connection, traces: Iterable[str]) -> tuple[set[int], set[str]]:
    """Take traces out of where they stood; return those sessions, and what their requests were."""
    changed: set[int] = set()
    stale: set[str] = set()
    for trace in traces:
        for request, session in connection.execute("SELECT id, session FROM requests WHERE trace = ?", (trace,)):
            stale.add(request)
            changed.add(session)
        places = connection.execute("SELECT DISTINCT session FROM places WHERE trace = ?", (trace,))
        changed.update(row[0] for row in places)
        connection.execute("DELETE FROM places WHERE trace = ?", (trace,))
    return changed, stale


def _sessions_of(connection: sqlite3.Connection, requests: Sequence[str]) -> Iterator[int]:
    """Yield the sessions in which requests stood before: a row may have come before its span."""
    for first in range(0, len(requests), _MAX_MARKS):
        some = requests[first : first + _MAX_MARKS]
        marks = ", ".join("?" * len(some))
        yield from (row[0] for row in connection.execute(f"SELECT session FROM requests WHERE id IN ({marks})", some))


def session_of(connection: sqlite3.Connection, key: tuple[str, str]) -> int:
    """Return the number of a session, by its id and name; one that is new gets one."""
    found = connection.execute("SELECT id FROM sessions WHERE session_id = ? AND name = ?", key).fetchone()
    if found is None:
        sql = "INSERT INTO sessions (session_id, name) VALUES (?, ?) RETURNING id"
        found = connection.execute(sql, key).fetchone()
    return int(found[0])


def _place(one: SessionSpan, session: int) -> tuple[Any, ...]:
    number, span = one.stored
    return (number, span.trace_id, session, one.path, one.kind, one.request, span.start, span.end, span.error)


def _request(one: SessionSpan, session: int) -> tuple[Any, ...]:
    number, span = one.stored
    model, provider, ttft, input_tokens, output_tokens = one.call or (None,) * 5
    kind = one.kind or "data"
    times = span.start, span.end, ttft
    return (
        one.request, session, one.path, kind, one.name, model, provider, *times,
        input_tokens, output_tokens, span.error, span.trace_id, number,
    )  # fmt: skip


def _forget(connection: sqlite3.Connection, requests: Iterable[str]) -> None:
    """Take out what turned out to be no request; what was logged as a row stays one."""
    for request in requests:
        connection.execute("DELETE FROM requests WHERE id = ? AND NOT logged", (request,))
        connection.execute("UPDATE requests SET trace = NULL, span = NULL WHERE id = ?", (request,))


def _keep_facts(connection: sqlite3.Connection, facts: Iterable[tuple[int, tuple[str, str, str]]]) -> None:
    rows = {(session, *fact) for session, fact in facts}
    connection.executemany("INSERT OR IGNORE INTO facts (session, what, name, value) VALUES (?,?,?,?)", sorted(rows))


def keep_facts(connection: sqlite3.Connection, session: int, facts: Iterable[tuple[str, str, str]]) -> None:
    """Write what a session is found by: (what, name, value)."""
    _keep_facts(connection, ((session, fact) for fact in facts))


def sum_up(connection: sqlite3.Connection, session: int) -> None:
    """Write the sums over what a session holds; one that holds nothing any more goes."""
    rows = connection.execute(_SUMS, (session,)).fetchall()
    if rows:
        start, last = min(row[5] for row in rows), max(row[6] for row in rows)
    else:
        sql = 'SELECT min(start), max("end") FROM places WHERE session = ?'
        start, last = connection.execute(sql, (session,)).fetchone()
        if start is None:
            connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
            connection.execute("DELETE FROM facts WHERE session = ?", (session,))
            return
    kinds = {row[0]: row[1] for row in rows}
    sums = [sum(row[column] for row in rows) for column in (1, 2, 3, 4)]
    facts = _facts_of(connection, session)
    id_, name = connection.execute("SELECT session_id, name FROM sessions WHERE id = ?", (session,)).fetchone()
    connection.execute(
        "UPDATE sessions SET start = ?, last = ?, requests = ?, errors = ?, input_tokens = ?, output_tokens = ?, "
        "kinds = ?, facts = ?, search = ? WHERE id = ?",
        (start, last, *sums, json.dumps(kinds), json.dumps(facts), _search(id_, name, facts), session),
    )


def _facts_of(connection: sqlite3.Connection, session: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"users": [], "properties": {}, "models": [], "services": []}
    # Properties last: of them there can be very many.
    sql = "SELECT what, name, value FROM facts WHERE session = ? ORDER BY what DESC, name, value LIMIT 1024"
    for what, name, value in connection.execute(sql, (session,)):
        properties = facts["properties"]
        if what == "property" and name not in properties and len(properties) == _MAX_FACTS:
            continue
        values = properties.setdefault(name, []) if what == "property" else facts[f"{what}s"]
        if len(values) < _MAX_FACTS:
            values.append(value)
    models = connection.execute(
        "SELECT DISTINCT model FROM requests WHERE session = ? AND model IS NOT NULL", (session,)
    )
    facts["models"] = sorted(row[0] for row in models)[:_MAX_FACTS]
    return facts


def _search(session_id: str, name: str, facts: Mapping[str, Any]) -> str:
    properties = (text for key, values in facts["properties"].items() for text in (key, *values))
    # A separator that nobody types, so that no match reaches from one into the next.
    return "\x1f".join((session_id, name, *facts["users"], *properties)).casefold()[:_MAX_SEARCH]
