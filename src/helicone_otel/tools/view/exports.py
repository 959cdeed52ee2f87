"""Sessions as files, for downloads: one is made at a time, and all who ask for the same one get the same."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeAlias

from jinja2 import Environment

from .database import Database
from .export_formats import FORMATS, Format, Selected
from .html_export import session_html
from .responses import Spool, Spooled

# The form, and what is exported.
_Key: TypeAlias = tuple[str, Selected]
HTML: Final = "html"


class TooManyRequestsError(ValueError):
    """The filter lets more requests through than one file may have; the message says how many."""


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

    async def get(self, form: str, selected: Selected) -> Spooled | None:
        """Return a file that has everything that is kept now; `None` if there is no such session.

        Args:
            form: `HTML` for one session as a page, or a key of `FORMATS`.
            selected: The sessions.

        Raises:
            TooManyRequestsError: There are more requests than one file may have.
            sqlite3.Error: The database fails.
        """
        key = (form, selected)
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
        form, selected = key
        if form == HTML:
            parts = session_html(self._database, self._templates, selected.id or "", selected.filter.name)
            made = self._spool.keep(parts) if parts is not None else None
        else:
            made = self._make_format(FORMATS[form], selected)
        if made is not None:
            self._made[key, revision] = made
        return made

    def _make_format(self, form: Format, selected: Selected) -> Spooled | None:
        with self._database.reading() as connection:
            sessions = selected.numbers(connection)
            if selected.id is not None and not sessions:
                return None
            counts = (connection.execute("SELECT requests FROM sessions WHERE id = ?", (one,)) for one in sessions)
            requests = sum(count.fetchone()[0] for count in counts)
            if requests > form.requests:
                raise TooManyRequestsError(
                    f"{requests:,} requests are more than the {form.requests:,} that a {form.suffix} file may have; "
                    "choose fewer sessions"
                )
            return self._spool.keep(form.write(connection, sessions))

    def close(self) -> None:
        """Make nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
