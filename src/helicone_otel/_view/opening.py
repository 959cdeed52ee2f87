"""Opens a database, for this process alone, and says for people why it cannot be."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from .schema import APPLICATION_ID, SCHEMA, VERSION

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
