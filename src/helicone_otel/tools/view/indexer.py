"""Keeps the full-text index up to date, in a thread of its own, after what arrives has been stored and labelled.

The database notes by triggers which requests have changed. So nothing is lost if the view ends before it has indexed
all of them, and what any other part of the view removes is removed from the index, too.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from ...failures import swallow
from .database import BusyError, Database, DatabaseError
from .text_index import RequestText, keep_texts, texts_of

# With more requests in one transaction, those who send spans would wait for it.
_AT_ONCE: Final = 200
# After changes the thread waits a moment: a trace that grows is labelled again, and its requests change again.
_PAUSE = 0.25
_RETRY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 3.0


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
            rows = connection.execute("SELECT request, change FROM unindexed LIMIT ?", (_AT_ONCE,)).fetchall()
            texts = self._texts(connection, {row[0]: row[1] for row in rows})
        if texts:
            self._database.write(partial(keep_texts, texts=texts)).result()
        return len(rows) == _AT_ONCE

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
