"""Removes the oldest sessions of a named database, by their age and by the size of all data."""

from __future__ import annotations

import sqlite3
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ...failures import swallow
from .database import BusyError, Database, DatabaseError
from .text_index import merge_removed, remove_texts

# So many sessions and requests are removed in one transaction, because all other writers wait for it.
_SESSIONS: Final = 20
_REQUESTS: Final = 5000
# What belongs to no session may still turn out to do so, for so many seconds after its end.
_SETTLED_SECONDS: Final = 600
# So many traces and rows without a session are looked at in one transaction.
_OTHERS: Final = 500
# So many free pages are given back to the disk in one transaction.
_PAGES: Final = 2000
_EVERY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 3.0
_DAY: Final = 86_400
_UNITS: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_MAX_DAYS: Final = 36_500

# Traces and rows that no page shows, because they belong to no session.
_OTHER_TRACES: Final = """
SELECT trace, (SELECT max("end") FROM spans s WHERE s.trace = t.trace) FROM traces t
WHERE trace > ? AND placed >= seen AND NOT EXISTS (SELECT 1 FROM places p WHERE p.trace = t.trace)
ORDER BY trace LIMIT ?
"""
_OTHER_ROWS: Final = """
SELECT id, CASE WHEN json_valid(CAST(data AS TEXT))
    THEN 1000000000 * json_extract(CAST(data AS TEXT), '$.timing.endTime.seconds') END
FROM logs l WHERE id > ? AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.id = l.id) ORDER BY id LIMIT ?
"""
# The content of a session. The index of its texts takes about as much as these, and its other rows are small.
_SIZES: Final = (
    "SELECT coalesce(sum(length(data)), 0) FROM spans WHERE id IN (SELECT id FROM places WHERE session = ?)",
    "SELECT coalesce(sum(length(data)), 0) FROM logs WHERE id IN (SELECT id FROM requests WHERE session = ?)",
    "SELECT coalesce(2 * sum(length(t.data)), 0) FROM texts t JOIN requests r ON r.id = t.request WHERE r.session = ?",
)


class Retention(NamedTuple):
    """What is kept; `None` for a limit that is not set.

    Attributes:
        days: Sessions are removed when their last request is older than so many days.
        size: The oldest sessions are removed when all data has more bytes than this. The newest one always stays.
    """

    days: float | None = None
    size: int | None = None


KEEP_ALL: Final = Retention()


def days_of(text: str) -> float:
    """Return the number of days that an argument names.

    Raises:
        ArgumentTypeError: It is no number of days.
    """
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= _MAX_DAYS:
        raise ArgumentTypeError(f"a number of days above 0, not {text!r:.40}")
    return days


def size_of(text: str) -> int:
    """Return the number of bytes that an argument names, such as `500MB` or `2GB`.

    Raises:
        ArgumentTypeError: It is no size.
    """
    number, unit = text[:-2].strip(), text[-2:].upper()
    try:
        size = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        size = 0.0
    if not _UNITS["MB"] <= size <= _UNITS["TB"]:
        raise ArgumentTypeError(f"a size from 1MB to 1TB, such as 500MB or 2GB, not {text!r:.40}")
    return int(size)


class RetentionWorker:
    """Removes what is not kept any more, in a thread of its own: at the start, and then every minute.

    Args:
        database: Has the sessions.
        retention: What is kept.
        changed: Is called with the numbers of the sessions that have been removed.

    Attributes:
        removed: How many sessions have been removed.
    """

    def __init__(self, database: Database, retention: Retention, changed: Callable[[Iterable[int]], None]) -> None:
        self._database = database
        self.retention = retention
        self._changed = changed
        self.removed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view-retention", daemon=True)

    def start(self) -> None:
        """Start the thread, if there is a limit."""
        if self.retention != KEEP_ALL:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.remove_all()
            except (DatabaseError, BusyError, sqlite3.Error):
                pass  # the view shows the problem, and this tries again
            except Exception as error:  # noqa: BLE001  # what fails once may succeed later
                swallow("the view's retention", error)
            self._stopping.wait(_EVERY_SECONDS)

    def remove_all(self) -> None:
        """Remove everything that is not kept any more.

        Raises:
            DatabaseError: It cannot be written.
            BusyError: Too much data waits to be written.
        """
        if self._database.write(lambda one: _too_much(one, self.retention)).result() > 0:
            self._remove_others(int((time.time() - _SETTLED_SECONDS) * 1e9))  # no page shows it
        while not self._stopping.is_set():
            removed: list[int] = self._database.write(lambda one: remove_sessions(one, self.retention)).result()
            if not removed:
                break
            self.removed += len(removed)
            self._changed(removed)
            self._merge()
        # Where no session is too old, what is in none goes only by its age.
        before = _time_before(self.retention)
        if before is not None:
            self._remove_others(before)
        while not self._stopping.is_set() and self._database.write(_give_back).result():
            pass

    def _merge(self) -> None:
        more = self._database.write(lambda one: merge_removed(one, begins=True)).result()
        while more and not self._stopping.is_set():
            more = self._database.write(merge_removed).result()

    def _remove_others(self, before: int) -> None:
        for sql, remove in ((_OTHER_TRACES, _remove_trace), (_OTHER_ROWS, _remove_row)):
            last: str | None = ""
            while last is not None and not self._stopping.is_set():
                last = self._database.write(
                    lambda one, sql=sql, last=last, remove=remove: _remove_some(one, sql, last, before, remove)  # type: ignore[misc]
                ).result()


def _time_before(retention: Retention) -> int | None:
    """Return the time in nanoseconds before which nothing is kept."""
    return int((time.time() - retention.days * _DAY) * 1e9) if retention.days is not None else None


def remove_sessions(connection: sqlite3.Connection, retention: Retention) -> list[int]:
    """Remove some of the sessions that are not kept any more, the oldest first; return their numbers.

    A session with spans that are not labelled yet stays until they are.

    Args:
        connection: The connection that writes.
        retention: What is kept.
    """
    before, too_much = _time_before(retention), _too_much(connection, retention)
    # The pages of removed texts are free only when the index is merged, so what is removed is reckoned.
    per_request = _bytes_per_request(connection) if too_much > 0 else 0
    removed, requests = list[int](), 0
    sql = "SELECT id, last, requests FROM sessions ORDER BY last, id LIMIT ?"
    oldest = connection.execute(sql, (_SESSIONS,)).fetchall()
    newest = connection.execute("SELECT id FROM sessions ORDER BY last DESC, id DESC LIMIT 1").fetchone()
    for number, last, count in oldest:
        is_old = before is not None and last < before
        if not is_old and (too_much <= 0 or number == newest[0]):
            break
        requests += count
        if requests > _REQUESTS and removed:
            break
        if _is_labelled(connection, number):
            if too_much > 0:
                too_much -= max(_size_of(connection, number), per_request * count)
            _remove_session(connection, number)
            removed.append(number)
    return removed


def _too_much(connection: sqlite3.Connection, retention: Retention) -> int:
    """Return how many bytes there are beyond the limit: zero or less if there are not, or is no limit."""
    return _used(connection) - retention.size if retention.size is not None else 0


def _bytes_per_request(connection: sqlite3.Connection) -> int:
    (requests,) = connection.execute("SELECT coalesce(sum(requests), 0) FROM sessions").fetchone()
    return _used(connection) // max(int(requests), 1)


def _size_of(connection: sqlite3.Connection, session: int) -> int:
    """Return the bytes of a session's content, without the pages around it."""
    sizes: list[int] = [connection.execute(sql, (session,)).fetchone()[0] for sql in _SIZES]
    return sum(sizes)


def _used(connection: sqlite3.Connection) -> int:
    """Return the bytes of all pages with data."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _is_labelled(connection: sqlite3.Connection, session: int) -> bool:
    sql = "SELECT 1 FROM places p JOIN traces t ON t.trace = p.trace WHERE p.session = ? AND t.placed < t.seen LIMIT 1"
    return connection.execute(sql, (session,)).fetchone() is None


def _remove_session(connection: sqlite3.Connection, session: int) -> None:
    traces = [row[0] for row in connection.execute("SELECT DISTINCT trace FROM places WHERE session = ?", (session,))]
    connection.execute("DELETE FROM spans WHERE id IN (SELECT id FROM places WHERE session = ?)", (session,))
    connection.execute("DELETE FROM logs WHERE id IN (SELECT id FROM requests WHERE session = ?)", (session,))
    connection.execute(
        "DELETE FROM feedback WHERE (session_id, name) IN (SELECT session_id, name FROM sessions WHERE id = ?)",
        (session,),
    )
    remove_texts(connection, session)
    for table in ("requests", "places", "facts", "scores"):
        connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))
    connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
    for trace in traces:
        # Its other spans may belong to other sessions.
        if connection.execute("SELECT 1 FROM places WHERE trace = ? LIMIT 1", (trace,)).fetchone() is None:
            _remove_trace(connection, trace)


def _remove_trace(connection: sqlite3.Connection, trace: str) -> None:
    connection.execute("DELETE FROM spans WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM traces WHERE trace = ?", (trace,))


def _remove_row(connection: sqlite3.Connection, id_: str) -> None:
    connection.execute("DELETE FROM logs WHERE id = ?", (id_,))


def _remove_some(
    connection: sqlite3.Connection,
    sql: str,
    last: str,
    before: int,
    remove: Callable[[sqlite3.Connection, str], None],
) -> str | None:
    """Remove traces or rows that end before a time; return the last one that was looked at, `None` after all."""
    rows = connection.execute(sql, (last, _OTHERS)).fetchall()
    for key, end in rows:
        if end is not None and end < before:
            remove(connection, key)
    return rows[-1][0] if len(rows) == _OTHERS else None


def _give_back(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk; tell whether there may be more."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
    left = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return bool(left and left < free)
