"""The full-text index over requests: their ids, names, models, paths, errors and content, without secrets.

It is SQLite's own (https://www.sqlite.org/fts5.html). The number of a text has the number of its session in its upper
bits, so that the sessions of all matches are known without a look at any other table. The index keeps no text. To
remove one from it, SQLite needs that text again, so each is kept beside it, compressed.

A thread indexes what has been stored and labelled. The database notes by triggers which requests have changed. So
nothing is lost if the view ends before it has indexed all of them, and what any other part of the view removes is
removed from the index, too.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...failures import swallow
from ..redaction import hide_secrets, redact, redact_attributes, redact_json
from ..replay.otlp import attributes_of
from .database import BusyError, Database, DatabaseError

# With more requests in one transaction, those who send spans would wait for it.
_INDEXED_AT_ONCE: Final = 200
# After changes the thread waits a moment: a trace that grows is labelled again, and its requests change again.
_PAUSE = 0.25
_RETRY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 3.0
# Of a longer text, what comes after is not found.
MAX_TEXT: Final = 100_000
# So many texts are removed at a time, and so many pages of the index are merged in one transaction.
_REMOVED_AT_ONCE: Final = 500
_MERGED_PAGES: Final = 1000
_BITS: Final = 20
_MAX_DEPTH: Final = 64
_MAX_WORDS: Final = 16
# Scripts without blanks between words. Each character becomes a word, and words of a query become phrases.
_UNSPACED: Final = re.compile("([\u2e80-\u2fdf\u3040-\u30ff\u3100-\u312f\u31a0-\u9fff\uac00-\ud7af\uf900-\ufaff])")
_WORDS: Final = re.compile(r'"([^"]*)"|(\S+)')
# A phrase cannot contain these.
_NO_PART: Final = re.compile(r'[\x00"]')
_HAS_TOKEN: Final = re.compile(r"[^\W_]")
_REQUEST: Final = """
SELECT id, session, path, kind, name, model, provider, error, trace, span, logged FROM requests WHERE id = ?
"""
# The span of a request, and those of its wrappers.
_SPANS: Final = """
SELECT span, data FROM spans WHERE id = ? UNION ALL
SELECT s.span, s.data FROM places p JOIN spans s ON s.id = p.id WHERE p.tells_of = ?
"""


class RequestText(NamedTuple):
    """The text by which a request is found.

    Attributes:
        request: The request's id.
        session: The number of its session in the database; `None` if the request is gone.
        text: The text.
        change: The number of the change after which the text was read.
    """

    request: str
    session: int | None
    text: str
    change: int


# --- the thread that indexes --------------------------------------------------------------------------


class Indexer:
    """Indexes requests soon after they have changed.

    Args:
        database: Has the requests, and keeps the index.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view-indexer", daemon=True)

    def start(self) -> None:
        """Start the thread, with the requests that an earlier process left unindexed."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. What is still unindexed is indexed when the file is opened again."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def changed(self) -> None:
        """Look soon for requests that have changed."""
        self._wake.set()

    def _run(self) -> None:
        while self._wake.wait() and not self._stopping.wait(_PAUSE):
            self._wake.clear()
            try:
                began = time.monotonic()
                while self._index_some():
                    # Half of the time is left to those who send spans.
                    if self._stopping.wait(time.monotonic() - began):
                        return
                    began = time.monotonic()
            except Exception as error:  # noqa: BLE001  # what fails once may succeed later
                if not isinstance(error, DatabaseError | BusyError | sqlite3.Error):
                    swallow("the view's index", error)  # of the others the pages tell
                self._stopping.wait(_RETRY_SECONDS)
                self._wake.set()

    def _index_some(self) -> bool:
        """Index some requests; return whether there may be more."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT request, change FROM unindexed LIMIT ?", (_INDEXED_AT_ONCE,)).fetchall()
            texts = self._texts(connection, {row[0]: row[1] for row in rows})
        if texts:
            self._database.write(partial(keep_texts, texts=texts)).result()
        return len(rows) == _INDEXED_AT_ONCE

    def _texts(self, connection: sqlite3.Connection, changes: Mapping[str, int]) -> list[RequestText]:
        try:
            return list(texts_of(connection, changes))
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001  # one request that fails must not keep the others out
            swallow("the view's index", error)
            return [self._text(connection, request, change) for request, change in changes.items()]

    def _text(self, connection: sqlite3.Connection, request: str, change: int) -> RequestText:
        try:
            return next(texts_of(connection, {request: change}))
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001  # it was logged; the request is not found by its content
            return RequestText(request, None, "", change)


# --- writing ------------------------------------------------------------------------------------------


def texts_of(connection: sqlite3.Connection, changes: Mapping[str, int]) -> Iterator[RequestText]:
    """Yield the texts of requests.

    Args:
        connection: The connection that reads.
        changes: The ids of the requests, of which some may be gone, with the numbers of their last changes.
    """
    for id_ in changes:
        row = connection.execute(_REQUEST, (id_,)).fetchone()
        if row is None:
            yield RequestText(id_, None, "", changes[id_])
        else:
            text = _spaced(" ".join(_parts(connection, row)))[:MAX_TEXT]
            yield RequestText(id_, row["session"], text, changes[id_])


def keep_texts(connection: sqlite3.Connection, texts: Sequence[RequestText]) -> None:
    """Bring the index up to date with the texts of requests."""
    wanted = [one for one in texts if not _remove_outdated(connection, one) and one.session is not None]
    # In the order of their numbers, because SQLite flushes what it has gathered when a smaller number comes.
    for one in sorted(wanted, key=lambda one: one.session or 0):
        number = _next_number(connection, one.session or 0)
        if number is not None:
            data = zlib.compress(one.text.encode(), 1)
            connection.execute("INSERT INTO texts (id, request, data) VALUES (?, ?, ?)", (number, one.request, data))
            connection.execute("INSERT INTO found (rowid, text) VALUES (?, ?)", (number, one.text))
    # What has changed again since it was read is read again.
    done = [(one.request, one.change) for one in texts]
    connection.executemany("DELETE FROM unindexed WHERE request = ? AND change = ?", done)


def _remove_outdated(connection: sqlite3.Connection, new: RequestText) -> bool:
    """Remove the text that a request had; return whether it is still right, and stays."""
    row = connection.execute("SELECT id, data FROM texts WHERE request = ?", (new.request,)).fetchone()
    if row is None:
        return False
    number, text = row[0], zlib.decompress(row[1]).decode()
    if number >> _BITS == new.session and text == new.text:
        return True
    _remove(connection, number, text)
    return False


def remove_texts(connection: sqlite3.Connection, session: int) -> None:
    """Remove the texts of a session, which is removed itself, from the index."""
    sql = "SELECT id, data FROM texts WHERE id BETWEEN ? AND ? LIMIT ?"
    while some := connection.execute(sql, (*_numbers_of(session), _REMOVED_AT_ONCE)).fetchall():
        for number, data in some:
            _remove(connection, number, zlib.decompress(data).decode())


def merge_removed(connection: sqlite3.Connection, begins: bool = False) -> bool:
    """Give back some of the space of removed texts, which the index only marks; return whether there may be more.

    https://www.sqlite.org/fts5.html#the_merge_command

    Args:
        connection: The connection that writes.
        begins: Whether this is the first of several calls.
    """
    before = connection.total_changes
    pages = -_MERGED_PAGES if begins else _MERGED_PAGES
    connection.execute("INSERT INTO found (found, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before > 1


def _remove(connection: sqlite3.Connection, number: int, text: str) -> None:
    connection.execute("INSERT INTO found (found, rowid, text) VALUES ('delete', ?, ?)", (number, text))
    connection.execute("DELETE FROM texts WHERE id = ?", (number,))


def _next_number(connection: sqlite3.Connection, session: int) -> int | None:
    """Return the next number of a text of a session; `None` if the session has very many."""
    first, last = _numbers_of(session)
    (highest,) = connection.execute("SELECT max(id) FROM texts WHERE id BETWEEN ? AND ?", (first, last)).fetchone()
    number = first if highest is None else int(highest) + 1
    return number if number <= last else None


def _numbers_of(session: int) -> tuple[int, int]:
    return session << _BITS, (session << _BITS) + (1 << _BITS) - 1


# --- the text of a request ----------------------------------------------------------------------------


def _parts(connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
    yield from (str(row[key]) for key in ("id", "path", "kind", "name", "model", "provider", "trace") if row[key])
    if row["error"]:
        yield str(redact(row["error"]))
    if row["span"] is not None:
        yield from _span_parts(connection, row)
    if row["logged"]:
        posted = connection.execute("SELECT data FROM logs WHERE id = ?", (row["id"],)).fetchone()
        if posted is not None:
            yield from map(hide_secrets, _texts_in(redact_json(json.loads(posted[0]))))


def _span_parts(connection: sqlite3.Connection, row: sqlite3.Row) -> Iterator[str]:
    """Yield the texts of the request's span and of its wrappers."""
    for span_id, data in connection.execute(_SPANS, (row["span"], row["id"])):
        yield span_id
        yield from _attribute_parts(data)


def _attribute_parts(data: bytes) -> Iterator[str]:
    span = Span.FromString(data)
    yield span.name
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for _key, value in redact_attributes(redact_json(attributes_of(attributes))):
            yield from _texts_in(value)


def _texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts in a value of JSON, also those in a text that holds JSON: there, letters can be escapes."""
    if isinstance(value, str):
        if "\\" in value and depth < _MAX_DEPTH and value.lstrip()[:1] in ("{", "["):
            try:
                yield from _texts_in(json.loads(value), depth + 1)
            except (ValueError, RecursionError):
                yield value
            return
        yield value
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for key, item in value.items():
            yield str(key)
            yield from _texts_in(item, depth + 1)
    elif isinstance(value, list) and depth < _MAX_DEPTH:
        for item in value:
            yield from _texts_in(item, depth + 1)
    elif value is not None and not isinstance(value, dict | list):
        yield str(value)


def _spaced(text: str) -> str:
    # A lone surrogate cannot be stored, and nobody searches for it.
    return _UNSPACED.sub(r" \1 ", text).encode("utf-8", "replace").decode()


# --- searching ----------------------------------------------------------------------------------------


def words_of(search: str) -> list[str]:
    """Return what must occur: words, and phrases between quotation marks."""
    found = (match[1] if match[1] is not None else match[2] for match in _WORDS.finditer(search))
    return [word.strip() for word in found if word.strip()][:_MAX_WORDS]


def expression_of(words: Iterable[str]) -> str | None:
    """Return the expression that finds texts with all of these words, or with words that begin so.

    Returns:
        The expression for `MATCH`; `None` if no word has a letter or a digit, so that nothing can be found by it.
    """
    return " AND ".join(_phrase(word) for word in words if _HAS_TOKEN.search(word)) or None


def _phrase(word: str) -> str:
    # With one letter or digit begins something in almost every text.
    beginning = " *" if len(word) > 1 else ""
    return f'"{_spaced(_NO_PART.sub(" ", word))}"{beginning}'


# The sessions with a match, as a subquery with the expression as its value.
SESSIONS_FOUND: Final = f"SELECT rowid >> {_BITS} FROM found WHERE found MATCH ?"


def requests_found(connection: sqlite3.Connection, session: int, search: str) -> list[str]:
    """Return the ids of the requests of a session in which all words occur.

    Args:
        connection: The connection that reads.
        session: The number of the session in the database.
        search: Words, and phrases between quotation marks.
    """
    expression = expression_of(words_of(search))
    if expression is None:
        return []
    sql = "SELECT t.request FROM found f JOIN texts t ON t.id = f.rowid WHERE found MATCH ? AND f.rowid BETWEEN ? AND ?"
    return [row[0] for row in connection.execute(sql, (expression, *_numbers_of(session)))]
