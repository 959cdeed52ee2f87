"""The embedded database: one writer, many readers, and nothing acknowledged before it is kept.

Whoever has something to write hands over a function. What waits is written in one transaction, and
each caller hears of it when that has been committed: from then on the death of this process costs
nothing.
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

# "hlcv", so that no other database is taken for one of ours: https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID: Final = 0x686C6376
VERSION: Final = 1

SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
BEGIN;

-- What made the spans: OTLP's Resource, each once.
CREATE TABLE resources (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);

-- As they arrived. Times are nanoseconds since the epoch.
CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT NOT NULL,
    name TEXT NOT NULL, scope TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT,
    resource INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (trace, span)
);

CREATE INDEX spans_at_roots ON spans (resource, start) WHERE parent = '';

-- How many arrivals a trace has had, and how many of them are in sessions by now.
CREATE TABLE traces (trace TEXT PRIMARY KEY, seen INTEGER NOT NULL, placed INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX traces_waiting ON traces (trace) WHERE placed < seen;

-- Where the spans of sessions stand.
CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT, request TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT
);
CREATE INDEX places_of_session ON places (session);
CREATE INDEX places_of_trace ON places (trace);

-- Rows of Helicone's log API, as they arrived.
CREATE TABLE logs (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;

-- One real call each, from a span, a row, or both.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, model TEXT, provider TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, ttft INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    error TEXT,
    trace TEXT, span INTEGER, logged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX requests_of_session ON requests (session, start);
CREATE INDEX requests_of_trace ON requests (trace);

-- Sums over what a session holds, and what it is found by.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL, name TEXT NOT NULL,
    start INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    kinds TEXT NOT NULL DEFAULT '{{}}', facts TEXT NOT NULL DEFAULT '{{}}', search TEXT NOT NULL DEFAULT '',
    UNIQUE (session_id, name)
);

-- Users, properties, models and services of a session.
CREATE TABLE facts (
    session INTEGER NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (session, what, name, value)
) WITHOUT ROWID;
COMMIT;
"""


LOCK_SUFFIX: Final = ".lock"
_BUSY_SECONDS: Final = 10.0


class StoreError(Exception):
    """The database cannot be used; the message says why, for people, and names no folder."""


def hold(file: Path) -> sqlite3.Connection:
    """Take a lock that ends with this process, however it ends.

    SQLite's own lock on a database beside ours: it works on every system, and is no lock on ours, which
    has many connections.
    """
    connection = sqlite3.connect(
        file.with_name(file.name + LOCK_SUFFIX), timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StoreError(
                f"another helicone-otel view has {file.name} open; stop it, or name another file"
            ) from error
        raise
    return connection


def connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # In KiB; each thread that reads has a connection.
    connection.execute("PRAGMA cache_size = -4000")
    return connection


def opened(file: Path) -> sqlite3.Connection:
    connection = connected(file)
    found, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and found != APPLICATION_ID:
        raise StoreError(f"{file.name} is a database of something else")
    if tables and version != VERSION:
        raise StoreError(f"{file.name} was made by another version of helicone-otel; name a new file")
    # Once written to the log of the database, a transaction survives the death of the process.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not tables:
        connection.executescript(SCHEMA)
    return connection


# What SQLite says of a full disk and the like: https://www.sqlite.org/rescode.html
_TOLD: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: nothing more can be kept",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: is there such a folder, and may it be written?",
    sqlite3.SQLITE_NOTADB: "it is no database",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_BUSY: "another program has it open",
    sqlite3.SQLITE_LOCKED: "another program has it open",
}


def told(error: sqlite3.Error, file: Path) -> str:
    # The low byte is the kind; the rest is detail.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{file.name}: {_TOLD.get(code, 'the database fails: ' + type(error).__name__)}"


# What waits to be written may be as large as this; whoever comes then is told to try again.
MAX_WAITING: Final = 64 * 1024 * 1024
_MAX_JOBS: Final = 64


class BusyError(Exception):
    """More is waiting to be written than may wait: try again."""


class _Job(NamedTuple):
    write: Callable[[sqlite3.Connection], Any]
    size: int
    done: Future[Any]


class Store:
    """A database, open for writing.

    Args:
        file: Where it is kept; a temporary one that goes with the process, if not given.

    Attributes:
        kept: It is a file that somebody named.
        problem: Why writing fails right now; `None` if it does not.
        revision: Grows with everything that is written.

    Raises:
        StoreError: It is no database of ours, another process has it, or it cannot be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.kept = file is not None
        self.problem: str | None = None
        self.revision = 0
        self._folder = None if file else tempfile.TemporaryDirectory(prefix="helicone-otel-view-")
        self._file = file or Path(self._folder.name if self._folder else "", "view.db")
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._closed = False
        try:
            self._hold = hold(self._file)
            self._connection = opened(self._file)
        except sqlite3.Error as error:
            self._remove()
            raise StoreError(told(error, self._file)) from error
        except StoreError:
            self._remove()
            raise
        self._writer = threading.Thread(target=self._write_all, name="view-writer", daemon=True)
        self._writer.start()

    # --- writing ------------------------------------------------------------------------------

    def write(self, job: Callable[[sqlite3.Connection], Any], size: int = 0) -> Future[Any]:
        """Have a function write; what it returns is there once it has been committed.

        Args:
            job: Writes with the connection that it gets.
            size: How many bytes it keeps in memory until then.

        Raises:
            BusyError: Too much is waiting.
        """
        done: Future[Any] = Future()
        with self._lock:
            if self._closed or (self._waiting and self._waiting + size > MAX_WAITING):
                raise BusyError
            self._waiting += size
            self._jobs.put(_Job(job, size, done))
        return done

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            last = False
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _MAX_JOBS:
                    following = self._jobs.get_nowait()
                    if following is None:
                        last = True
                        break
                    jobs.append(following)
            self._write_together(jobs)
            if last:
                return

    def _write_together(self, jobs: list[_Job]) -> None:
        results: list[tuple[_Job, Any, Exception | None]] = []
        try:
            with _transaction(self._connection):
                results = [(job, *self._written(job)) for job in jobs]
            self.problem = None
            self.revision += 1
        except sqlite3.Error as error:
            self.problem = told(error, self._file)
            failure = StoreError(self.problem)
            results = [(job, None, failure) for job in jobs]
        with self._lock:
            self._waiting -= sum(job.size for job in jobs)
        for job, result, error_of_job in results:
            # Who has gone meanwhile, as when the server ends, hears nothing; the others still do.
            if not job.done.set_running_or_notify_cancel():
                continue
            if error_of_job is not None:
                job.done.set_exception(error_of_job)
            else:
                job.done.set_result(result)

    def _written(self, job: _Job) -> tuple[Any, Exception | None]:
        """Do one job; what it does wrong is undone alone, unless the database itself fails."""
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.write(self._connection)
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
                self._connection.execute("ROLLBACK TO job")
                self._connection.execute("RELEASE job")
                return None, error
            raise
        except Exception as error:  # noqa: BLE001  # it goes to whoever waits for it
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None

    # --- reading ------------------------------------------------------------------------------

    @property
    def reader(self) -> sqlite3.Connection:
        """A connection of this thread's own, which can only read; for threads that live as long as the store."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._new_reader()
        return connection

    def _new_reader(self) -> sqlite3.Connection:
        connection = connected(self._file)
        connection.execute("PRAGMA query_only = ON")
        connection.row_factory = sqlite3.Row
        with self._lock:
            self._readers.append(connection)
        return connection

    @contextmanager
    def classification(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for which nothing changes while the block runs."""
        # Servers' threads come and go, and a connection would be left open for each.
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
        """Write what waits, and close."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._writer.join()
        for connection in (*self._readers, self._connection, self._hold):
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()
        else:
            with contextlib.suppress(OSError):
                # On Windows it cannot be removed while another process has it, which is as well.
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
