"""Sessions as HTML files, for downloads: one is made at a time, and all who ask for the same one get the same."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from jinja2 import Environment

from .database import Database
from .html_export import session_html
from .spool import Spool, Spooled

# The id and the name of a session.
_Key: TypeAlias = tuple[str, str | None]


class Exports:
    """Makes the files.

    Args:
        database: Has the sessions.
        templates: The templates of the pages.
        spool: Keeps the files while they are sent.
    """

    def __init__(self, database: Database, templates: Environment, spool: Spool) -> None:
        self._database = database
        self._templates = templates
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, "view-export")
        # Those that are still being sent, with the revision of the database that they show.
        self._made: weakref.WeakValueDictionary[tuple[_Key, int], Spooled] = weakref.WeakValueDictionary()
        self._waiting: dict[_Key, Future[Spooled | None]] = {}
        self._lock = threading.Lock()

    async def get(self, id_: str, name: str | None) -> Spooled | None:
        """Return a session as an HTML file that shows everything that is kept now; `None` if there is none.

        Raises:
            sqlite3.Error: The database fails.
        """
        key = (id_, name)
        made = self._made.get((key, self._database.revision))
        if made is not None and made.close.alive:
            return made
        with self._lock:
            if key not in self._waiting:
                self._waiting[key] = self._thread.submit(self._make, key)
            waiting = self._waiting[key]
        # The others must still get it if this client goes.
        return await asyncio.shield(asyncio.wrap_future(waiting))

    def _make(self, key: _Key) -> Spooled | None:
        # Who asks from here on may want data that this one does not show.
        with self._lock:
            del self._waiting[key]
        revision = self._database.revision
        parts = session_html(self._database, self._templates, *key)
        if parts is None:
            return None
        made = self._made[key, revision] = self._spool.keep(parts)
        return made

    def close(self) -> None:
        """Make nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
