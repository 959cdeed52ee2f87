"""Writes spans as they arrive, their labels, and the sums over each session."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from ...wire import CALL_KINDS
from ..replay.calls import CallSummary
from ..replay.otlp import EncodedSpan
from .colours import keep_colours
from .judging import keep_scores
from .labelling import SessionSpan, StoredSpan
from .prices import Tokens, cost_of

_NO_CALL: Final = CallSummary(None, None, None, None, None)
# The number of users, of properties, of models and of services that are kept with a session.
_MAX_FACTS: Final = 64
_MAX_SEARCH: Final = 8192
# SQLite's smallest default for the number of values in one statement is 999.
_MAX_VALUES: Final = 500

_INSERT_SPAN: Final = """
INSERT INTO spans (trace, span, parent, name, scope, start, "end", error, resource, data)
VALUES {rows}
ON CONFLICT (trace, span) DO UPDATE SET parent = excluded.parent, name = excluded.name, scope = excluded.scope,
    start = excluded.start, "end" = excluded."end", error = excluded.error, resource = excluded.resource,
    data = excluded.data
WHERE excluded.data != data OR excluded.resource != resource
"""
_COUNT_SPANS: Final = """
INSERT INTO traces (trace, seen, placed) VALUES (?, ?, 0) ON CONFLICT (trace) DO UPDATE SET seen = seen + excluded.seen
"""
_SPANS_OF_TRACE: Final = """
SELECT s.id, s.trace, s.span, s.parent, s.name, s.scope, s.start, s."end", s.error, r.data, s.data
FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ? ORDER BY s.start LIMIT ?
"""
_ROOTS_WITHIN: Final = """
SELECT s.id, s.trace, s.span, s.parent, s.name, s.scope, s.start, s."end", s.error, r.data, s.data
FROM resources r JOIN spans s ON s.resource = r.id AND s.parent = ''
WHERE r.data = ? AND s.start BETWEEN ? AND ? AND s."end" <= ? AND s.trace != ? ORDER BY s.start LIMIT ?
"""
_WRAPPERS_ELSEWHERE: Final = """
SELECT s.id, s.trace, s.span, s.parent, s.name, s.scope, s.start, s."end", s.error, r.data, s.data
FROM places p JOIN spans s ON s.id = p.id JOIN resources r ON r.id = s.resource
WHERE p.tells_of IN ({marks}) AND p.trace != ?
"""
_INSERT_LABEL: Final = """
INSERT OR REPLACE INTO places (id, trace, session, path, kind, request, tells_of, start, "end", error) VALUES {rows}
"""
_INSERT_REQUEST: Final = """
INSERT INTO requests (id, session, path, kind, name, model, provider, start, "end", ttft, input_tokens, output_tokens,
    error, badge, trace, span, answered, cached, written, written_1h, cost, said) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET session = excluded.session, path = excluded.path, kind = excluded.kind,
    name = excluded.name, start = excluded.start, "end" = excluded."end", trace = excluded.trace, span = excluded.span,
    model = coalesce(excluded.model, model), provider = coalesce(excluded.provider, provider),
    ttft = coalesce(excluded.ttft, ttft), input_tokens = coalesce(excluded.input_tokens, input_tokens),
    output_tokens = coalesce(excluded.output_tokens, output_tokens), error = coalesce(excluded.error, error),
    answered = coalesce(excluded.answered, answered), cached = coalesce(excluded.cached, cached),
    written = coalesce(excluded.written, written), written_1h = coalesce(excluded.written_1h, written_1h),
    cost = coalesce(excluded.cost, cost), said = coalesce(excluded.said, said),
    badge = CASE WHEN logged THEN badge ELSE excluded.badge END
"""
_CALLS: Final = ", ".join(f"'{kind}'" for kind in CALL_KINDS)
# A request whose tokens are known and whose model has no price, as `is_unpriced` of `prices.py` tells.
_UNPRICED: Final = f"cost IS NULL AND kind IN ({_CALLS}) AND coalesce(input_tokens, output_tokens) IS NOT NULL"
_SUMS: Final = f"""
SELECT kind, count(*), coalesce(sum(error IS NOT NULL), 0), coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0), min(start), max("end"), sum(cost), sum({_UNPRICED})
FROM requests WHERE session = ? GROUP BY kind
"""
_PRICED: Final = """
SELECT rowid, session, kind, answered, model, provider, start, input_tokens, output_tokens, cached, written, written_1h
FROM requests WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
_SUM_COSTS: Final = f"""
UPDATE sessions SET (cost, unpriced) =
    (SELECT sum(cost), coalesce(sum({_UNPRICED}), 0) FROM requests WHERE session = sessions.id) WHERE id = ?
"""
_SAID: Final = "SELECT said FROM requests WHERE session = ? AND said IS NOT NULL ORDER BY start, id LIMIT 1"


# --- spans --------------------------------------------------------------------------------------------


def keep_spans(connection: sqlite3.Connection, spans: Sequence[EncodedSpan]) -> None:
    """Write spans as they arrived. If a span arrives twice, the last one is kept."""
    resources = {data: _resource_number(connection, data) for data in {span.resource for span in spans}}
    rows = [
        (s.trace_id, s.span_id, s.parent_id, s.name, s.scope, s.start, s.end, s.error, resources[s.resource], s.data)
        for s in spans
    ]
    _insert(connection, _INSERT_SPAN, rows)
    connection.executemany(_COUNT_SPANS, Counter(span.trace_id for span in spans).items())


def _insert(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, many with each statement.

    Each statement gives up Python's lock, and while another thread computes it takes up to 5 ms to get it back. With a
    statement for each row, a large batch would keep all other writers waiting for many seconds.
    """
    width = len(rows[0]) if rows else 1
    marks = f"({', '.join('?' * width)})"
    size = _MAX_VALUES // width
    for first in range(0, len(rows), size):
        some = rows[first : first + size]
        connection.execute(sql.format(rows=", ".join([marks] * len(some))), list(chain.from_iterable(some)))


def _resource_number(connection: sqlite3.Connection, data: bytes) -> int:
    row = connection.execute("SELECT id FROM resources WHERE data = ?", (data,)).fetchone()
    if row is None:
        row = connection.execute("INSERT INTO resources (data) VALUES (?) RETURNING id", (data,)).fetchone()
    return int(row[0])


def unlabelled_traces(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the traces with spans that are not labelled yet, with the number of their spans that have arrived."""
    return {row[0]: row[1] for row in connection.execute("SELECT trace, seen FROM traces WHERE placed < seen")}


def stored_spans(connection: sqlite3.Connection, trace: str, limit: int) -> list[StoredSpan]:
    """Return the first `limit` spans of a trace."""
    return [_stored_span(row) for row in connection.execute(_SPANS_OF_TRACE, (trace, limit))]


def spans_within(connection: sqlite3.Connection, around: StoredSpan, limit: int) -> list[StoredSpan]:
    """Return root spans of other traces that the same process started and ended while a span was open."""
    span = around.span
    values = (span.resource, span.start, span.end, span.end, span.trace_id, limit)
    return [_stored_span(row) for row in connection.execute(_ROOTS_WITHIN, values)]


def wrappers_elsewhere(connection: sqlite3.Connection, trace: str, requests: Sequence[str]) -> Iterator[StoredSpan]:
    """Yield the spans of other traces that tell of requests of a trace."""
    for first in range(0, len(requests), _MAX_VALUES):
        some = requests[first : first + _MAX_VALUES]
        sql = _WRAPPERS_ELSEWHERE.format(marks=", ".join("?" * len(some)))
        yield from (_stored_span(row) for row in connection.execute(sql, (*some, trace)))


def _stored_span(row: Sequence[Any]) -> StoredSpan:
    return StoredSpan(row[0], EncodedSpan(*row[1:]))


# --- labels -------------------------------------------------------------------------------------------


def keep_labels(
    connection: sqlite3.Connection, arrived: Mapping[str, int], labelled: Sequence[SessionSpan]
) -> list[int]:
    """Write the labels of traces, and remove their earlier labels.

    Args:
        connection: The connection that writes.
        arrived: The traces, each with the number of its spans that had arrived when it was read.
        labelled: The spans of these traces that belong to a session.

    Returns:
        The numbers of the sessions that have changed.
    """
    changed, former_requests = _remove_labels(connection, arrived)
    sessions = {key: session_number(connection, key) for key in {one.session for one in labelled}}
    _insert(connection, _INSERT_LABEL, [_label_values(one, sessions[one.session]) for one in labelled])
    requests = [_request_values(one, sessions[one.session]) for one in labelled if one.request is not None]
    ids = [request[0] for request in requests]
    changed.update(_sessions_of_requests(connection, ids))
    _remove_requests(connection, former_requests.difference(ids))
    _insert(connection, _INSERT_REQUEST, requests)
    keep_colours(connection, (one.path for one in labelled))
    keep_facts(connection, ((sessions[one.session], fact) for one in labelled for fact in _facts_in(one)))
    keep_scores(connection, arrived, labelled, sessions)
    counts = [(count, trace) for trace, count in arrived.items()]
    connection.executemany("UPDATE traces SET placed = ? WHERE trace = ?", counts)
    changed.update(sessions.values())
    for session in changed:
        update_sums(connection, session)
    return sorted(changed)


def _remove_labels(connection: sqlite3.Connection, traces: Iterable[str]) -> tuple[set[int], set[str]]:
    """Remove the labels of traces; return the sessions that they were in, and the ids of their requests."""
    changed: set[int] = set()
    requests: set[str] = set()
    for trace in traces:
        for request, session in connection.execute("SELECT id, session FROM requests WHERE trace = ?", (trace,)):
            requests.add(request)
            changed.add(session)
        sessions = connection.execute("SELECT DISTINCT session FROM places WHERE trace = ?", (trace,))
        changed.update(row[0] for row in sessions)
        connection.execute("DELETE FROM places WHERE trace = ?", (trace,))
    return changed, requests


def _sessions_of_requests(connection: sqlite3.Connection, requests: Sequence[str]) -> Iterator[int]:
    """Yield the sessions that requests are in: a row of the log API may have arrived before its span."""
    for first in range(0, len(requests), _MAX_VALUES):
        some = requests[first : first + _MAX_VALUES]
        marks = ", ".join("?" * len(some))
        yield from (row[0] for row in connection.execute(f"SELECT session FROM requests WHERE id IN ({marks})", some))


def _facts_in(one: SessionSpan) -> Iterator[tuple[str, str, str]]:
    yield from one.facts
    if one.request is not None and one.call is not None and one.call.model:
        yield "model", "", one.call.model


def _label_values(one: SessionSpan, session: int) -> tuple[Any, ...]:
    number, span = one.stored
    times = span.start, span.end
    return (number, span.trace_id, session, one.path, one.kind, one.request, one.tells_of, *times, span.error)


def _request_values(one: SessionSpan, session: int) -> tuple[Any, ...]:
    number, span = one.stored
    call, kind = one.call or _NO_CALL, one.kind or "data"
    times = one.start, span.end, call.first_token
    return (
        one.request, session, one.path, kind, one.name, call.model, call.provider, *times,
        call.input_tokens, call.output_tokens, one.error, one.badge, span.trace_id, number,
        call.answered_by, call.cached_tokens, call.written_tokens, call.written_tokens_1h, one.cost, one.said,
    )  # fmt: skip


def _remove_requests(connection: sqlite3.Connection, requests: Iterable[str]) -> None:
    """Remove requests that have no span any more. Those with a posted row stay, without a span."""
    for request in requests:
        connection.execute("DELETE FROM requests WHERE id = ? AND NOT logged", (request,))
        connection.execute("UPDATE requests SET trace = NULL, span = NULL WHERE id = ?", (request,))


# --- sessions -----------------------------------------------------------------------------------------


def session_number(connection: sqlite3.Connection, key: tuple[str, str]) -> int:
    """Return the number of a session by its id and name; a new session gets one."""
    row = connection.execute("SELECT id FROM sessions WHERE session_id = ? AND name = ?", key).fetchone()
    if row is None:
        sql = "INSERT INTO sessions (session_id, name) VALUES (?, ?) RETURNING id"
        row = connection.execute(sql, key).fetchone()
    return int(row[0])


def keep_facts(connection: sqlite3.Connection, facts: Iterable[tuple[int, tuple[str, str, str]]]) -> None:
    """Write what sessions can be found by: pairs of a session's number and (what, name, value)."""
    rows = {(session, *fact) for session, fact in facts}
    connection.executemany("INSERT OR IGNORE INTO facts (session, what, name, value) VALUES (?,?,?,?)", sorted(rows))


def update_sums(connection: sqlite3.Connection, session: int) -> None:
    """Write the sums over a session's requests; remove the session if no span or request is left in it."""
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
    costs = [row[7] for row in rows if row[7] is not None]
    said = connection.execute(_SAID, (session,)).fetchone()
    sums = [sum(row[column] for row in rows) for column in (1, 2, 3, 4)]
    facts = _facts_of(connection, session)
    id_, name = connection.execute("SELECT session_id, name FROM sessions WHERE id = ?", (session,)).fetchone()
    connection.execute(
        "UPDATE sessions SET start = ?, last = ?, requests = ?, errors = ?, input_tokens = ?, output_tokens = ?, "
        "kinds = ?, facts = ?, search = ?, cost = ?, unpriced = ?, said = ? WHERE id = ?",
        (
            *(start, last, *sums, json.dumps(kinds), json.dumps(facts), _search_text(id_, name, facts)),
            *(sum(costs) if costs else None, sum(row[8] for row in rows), said[0] if said else "", session),
        ),
    )


# --- prices -------------------------------------------------------------------------------------------


def prices_in_use(connection: sqlite3.Connection) -> str | None:
    """Return the name of the list that the costs were made with; `None` if they were made without one."""
    row = connection.execute("SELECT list FROM prices").fetchone()
    return row[0] if row is not None else None


def use_prices(connection: sqlite3.Connection, name: str) -> None:
    """Write the name of the list that all costs have been made with."""
    connection.execute("DELETE FROM prices")
    connection.execute("INSERT INTO prices (list) VALUES (?)", (name,))


def price_again(connection: sqlite3.Connection, after: int, count: int) -> int | None:
    """Make the costs of some requests again, and the sums over their sessions.

    Args:
        connection: The connection that writes.
        after: The number of the last request that has been done.
        count: How many requests to do.

    Returns:
        The number of the last one; `None` if none is left.
    """
    rows = connection.execute(_PRICED, (after, count)).fetchall()
    costs = [(_cost_of_row(row), row[0]) for row in rows]
    connection.executemany("UPDATE requests SET cost = ? WHERE rowid = ?", costs)
    connection.executemany(_SUM_COSTS, [(session,) for session in {row[1] for row in rows}])
    return int(rows[-1][0]) if rows else None


def _cost_of_row(row: Sequence[Any]) -> float | None:
    _, _, kind, answered, model, provider, start, *tokens = row
    return cost_of(kind, (answered, model), provider, Tokens(*tokens), start)


def _facts_of(connection: sqlite3.Connection, session: int) -> dict[str, Any]:
    """Return users, properties, models and services of a session."""
    facts: dict[str, Any] = {"users": [], "properties": {}, "models": [], "services": []}
    # Properties come last, because a session can have very many.
    sql = "SELECT what, name, value FROM facts WHERE session = ? ORDER BY what DESC, name, value LIMIT 1024"
    for what, name, value in connection.execute(sql, (session,)):
        properties = facts["properties"]
        if what == "property" and name not in properties and len(properties) == _MAX_FACTS:
            continue
        values = properties.setdefault(name, []) if what == "property" else facts[f"{what}s"]
        if len(values) < _MAX_FACTS:
            values.append(value)
    return facts


def _search_text(session_id: str, name: str, facts: Mapping[str, Any]) -> str:
    properties = (text for key, values in facts["properties"].items() for text in (key, *values))
    # Nobody types this separator, so no match can reach from one text into the next.
    return "\x1f".join((session_id, name, *facts["users"], *properties)).casefold()[:_MAX_SEARCH]
