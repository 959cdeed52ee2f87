"""The embedded database: one thread writes, many threads read, and a write is confirmed when it is committed.

A caller hands over a function that writes. The writer thread runs all waiting functions in one transaction and then
tells each caller. From then on the data survives the death of this process.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from .migrations import OLDEST, VERSION, migrate

LOCK_SUFFIX: Final = ".lock"
# The functions that wait to write may keep so many bytes in memory. Then callers must try again.
MAX_WAITING: Final = 64 * 1024 * 1024
# The part of it that is left to small jobs, so that one sender of large ones does not keep the others out.
_FOR_SMALL: Final = 8 * 1024 * 1024
_SMALL: Final = 256 * 1024
_MAX_JOBS: Final = 64
_BUSY_SECONDS: Final = 10.0


class DatabaseError(Exception):
    """The database cannot be used; the message says why, for people, and names no folder."""


class BusyError(Exception):
    """Too much data waits to be written; try again."""


class _Job(NamedTuple):
    write: Callable[[sqlite3.Connection], Any]
    size: int
    done: Future[Any]
    alone: bool = False


# Errors of what one job asked for. Every other error of SQLite is one of the database itself.
_OF_ONE_JOB: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)


class Database:
    """A database, open for writing.

    Args:
        file: Where to keep it. Without a file, it is temporary and is removed by `close`.

    Attributes:
        kept: The database is in a file that the user named.
        problem: Why writing fails right now; `None` if it does not fail.
        revision: Grows with each transaction.

    Raises:
        DatabaseError: The file is not a database of the view, another process uses it, or it cannot be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.kept = file is not None
        self.problem: str | None = None
        self.revision = 0
        self._folder = None if file else tempfile.TemporaryDirectory(prefix="helicone-otel-view-")
        # An absolute path is a file to SQLite. Others may be more: `:memory:`, or a URI such as `file:view.db`.
        self._file = (file or Path(self._folder.name if self._folder else "", "view.db")).absolute()
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._closed = False
        try:
            self._file_lock: sqlite3.Connection | None = None
            self._file_lock = _lock_file(self._file)
            self._connection = _open(self._file)
        except sqlite3.Error as error:
            self._give_up()
            raise DatabaseError(_problem(error, self._file)) from error
        except DatabaseError:
            self._give_up()
            raise
        self._writer = threading.Thread(target=self._write_all, name="view-writer", daemon=True)
        self._writer.start()

    # --- writing ------------------------------------------------------------------------------

    def write(self, job: Callable[[sqlite3.Connection], Any], size: int = 0) -> Future[Any]:
        """Run a function in the writer thread; the future has its result when it has been committed.

        Args:
            job: Writes with the connection that it gets.
            size: How many bytes `job` keeps in memory until then.

        Raises:
            BusyError: Too much data waits to be written.
        """
        return self._add(_Job(job, size, Future()))

    def compact(self) -> Future[int]:
        """Give the space of removed data back to the disk; the future has the number of bytes that the file has then.

        Writing waits until it is done. While it runs, it takes as much space on the disk as the data itself.

        Raises:
            BusyError: Too much data waits to be written.
        """
        return self._add(_Job(self._compact, 0, Future(), alone=True))

    def _compact(self, connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO found (found) VALUES ('optimize')")
        connection.execute("DELETE FROM resources WHERE id NOT IN (SELECT resource FROM spans)")
        # From then on, pages that become free are given back one by one, also in a file of an older version.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self.size

    @property
    def size(self) -> int:
        """The number of bytes of the database's files."""
        sizes = 0
        for file in (self._file, self._file.with_name(self._file.name + "-wal")):
            with contextlib.suppress(OSError):
                sizes += file.stat().st_size
        return sizes

    def _add(self, job: _Job) -> Future[Any]:
        with self._lock:
            limit = MAX_WAITING if job.size <= _SMALL else MAX_WAITING - _FOR_SMALL
            if self._closed or (self._waiting and self._waiting + job.size > limit):
                raise BusyError
            self._waiting += job.size
            self._jobs.put(job)
        return job.done

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            following: _Job | None = job
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _MAX_JOBS and not jobs[-1].alone:
                    following = self._jobs.get_nowait()
                    if following is None:
                        break
                    jobs.append(following)
            # A job that runs outside of transactions is the last one of those that were taken.
            alone = jobs.pop() if jobs[-1].alone else None
            if jobs:
                self._write_together(jobs)
            if alone is not None:
                self._write_alone(alone)
            if following is None:
                return

    def _write_alone(self, job: _Job) -> None:
        try:
            result, error = job.write(self._connection), None
        except sqlite3.Error as failure:
            result, error = None, DatabaseError(_problem(failure, self._file))
        self._finish([(job, result, error)])

    def _write_together(self, jobs: list[_Job]) -> None:
        results: list[tuple[_Job, Any, Exception | None]] = []
        try:
            with _transaction(self._connection):
                results = [(job, *self._run(job)) for job in jobs]
            self.problem = None
            self.revision += 1
        except sqlite3.Error as error:
            self.problem = _problem(error, self._file)
            failure = DatabaseError(self.problem)
            results = [(job, None, failure) for job in jobs]
        self._finish(results)

    def _finish(self, results: list[tuple[_Job, Any, Exception | None]]) -> None:
        with self._lock:
            self._waiting -= sum(job.size for job, _, _ in results)
        for job, result, error_of_job in results:
            # A caller that has cancelled gets no result; the others must still get theirs.
            if not job.done.set_running_or_notify_cancel():
                continue
            if error_of_job is not None:
                job.done.set_exception(error_of_job)
            else:
                job.done.set_result(result)

    def _run(self, job: _Job) -> tuple[Any, Exception | None]:
        """Run one job. If it fails, undo only this job, unless the database itself fails."""
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.write(self._connection)
        except Exception as error:  # the caller gets it
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _OF_ONE_JOB):
                raise
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None

    # --- reading ------------------------------------------------------------------------------

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection, which can only read; for threads that live as long as the database."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._new_reader()
        return connection

    def _new_reader(self) -> sqlite3.Connection:
        connection = _connect(self._file)
        connection.execute("PRAGMA query_only = ON")
        connection.row_factory = sqlite3.Row
        with self._lock:
            self._readers.append(connection)
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of the database while the block runs."""
        # Connections are shared: servers start and end threads all the time, and each would leave one open.
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._new_reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")
            with self._lock:
                self._idle.append(connection)

    def close(self) -> None:
        """Write everything that waits, and close all connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._writer.join()
        for connection in (*self._readers, self._connection, self._file_lock):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._remove()

    def _give_up(self) -> None:
        """Release what was opened before it failed."""
        if self._file_lock is not None:
            self._file_lock.close()
            self._closed = True  # the lock is ours to remove
        self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()
        else:
            with contextlib.suppress(OSError):
                # On Windows a file that another process has open cannot be removed, which is right here.
                lock = self._file.with_name(self._file.name + LOCK_SUFFIX)
                if self._closed:
                    lock.unlink()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


# --- opening a file -----------------------------------------------------------------------------------


def _lock_file(file: Path) -> sqlite3.Connection:
    """Lock a file until this process ends, however it ends.

    The lock is SQLite's own, on a second database beside the file: it works on every system, and does not hinder the
    connections to the file.
    """
    connection = sqlite3.connect(
        file.with_name(file.name + LOCK_SUFFIX), timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise DatabaseError(
                f"another helicone-otel view has {file.name} open; stop it, or name another file"
            ) from error
        raise
    return connection


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # In KiB. Each reading thread has a connection of its own.
    connection.execute("PRAGMA cache_size = -4000")
    return connection


def _open(file: Path) -> sqlite3.Connection:
    """Return a connection that writes to a database of the view, which is created if there is none."""
    connection = _connect(file)
    application_id, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application_id != APPLICATION_ID:
        raise DatabaseError(f"{file.name} is a database of another program; name another file")
    if tables and version > VERSION:
        raise DatabaseError(f"{file.name} was made by a newer version of helicone-otel; update it, or name a new file")
    if tables and version < OLDEST:
        raise DatabaseError(f"{file.name} was made by a version of helicone-otel that is too old; name a new file")
    if not tables:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before anything is written
    # A transaction survives the death of the process as soon as it is in the write-ahead log.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not tables:
        connection.executescript(SCHEMA)
    migrate(connection, version if tables else OLDEST)
    return connection


# The kinds of SQLite's errors: https://www.sqlite.org/rescode.html
_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: nothing more can be kept",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: is there such a folder, and may it be written?",
    sqlite3.SQLITE_NOTADB: "it is not a database",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_BUSY: "another program has it open",
    sqlite3.SQLITE_LOCKED: "another program has it open",
}


def _problem(error: sqlite3.Error, file: Path) -> str:
    # The low byte of the code is the kind of error; the rest is detail.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{file.name}: {_PROBLEMS.get(code, 'the database fails: ' + type(error).__name__)}"


# --- times ------------------------------------------------------------------------------------------


def milliseconds(nanoseconds: int) -> float:
    """Return a time or a duration of the database, in nanoseconds, as the API has it, exact to the microsecond."""
    return nanoseconds // 1000 / 1000


def nanoseconds(amount: float) -> int:
    """Return the nanoseconds of milliseconds that are exact to the microsecond. A float would not be exact."""
    return round(amount * 1000) * 1000


# --- the schema ---------------------------------------------------------------------------------------

# "hlcv", so that a database of another program is recognised: https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID: Final = 0x686C6376

# The first schema. `migrations.py` has what came later.
SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {OLDEST};
BEGIN;

-- OTLP's Resource of the spans, each of them once.
CREATE TABLE resources (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);

-- Spans as they arrived. Times are nanoseconds since the epoch.
CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT NOT NULL,
    name TEXT NOT NULL, scope TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT,
    resource INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (trace, span)
);

CREATE INDEX spans_at_roots ON spans (resource, start) WHERE parent = '';

-- How many spans of a trace have arrived, and how many of them have been labelled.
CREATE TABLE traces (trace TEXT PRIMARY KEY, seen INTEGER NOT NULL, placed INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX traces_waiting ON traces (trace) WHERE placed < seen;

-- The labels of the spans that belong to a session.
CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT, request TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT
);
CREATE INDEX places_of_session ON places (session);
CREATE INDEX places_of_trace ON places (trace);

-- Rows that were posted to Helicone's log API, as they arrived.
CREATE TABLE logs (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;

-- Requests, from a span, a posted row, or both.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, model TEXT, provider TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, ttft INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    error TEXT, badge TEXT NOT NULL,
    trace TEXT, span INTEGER, logged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX requests_of_session ON requests (session, start);
CREATE INDEX requests_of_trace ON requests (trace);

-- Sessions with the sums over their requests, and the text that the search looks into.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL, name TEXT NOT NULL,
    start INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    kinds TEXT NOT NULL DEFAULT '{{}}', facts TEXT NOT NULL DEFAULT '{{}}', search TEXT NOT NULL DEFAULT '',
    UNIQUE (session_id, name)
);

-- Users, properties and services of a session.
CREATE TABLE facts (
    session INTEGER NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (session, what, name, value)
) WITHOUT ROWID;
COMMIT;
"""
