"""Sends the pages the sessions that have changed, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from starlette.responses import StreamingResponse

from .database import Database
from .responses import safe_json

# More open pages than this are not looked at by anybody.
MAX_PAGES: Final = 64
_MAX_SESSIONS: Final = 100
_PAUSE_SECONDS: Final = 0.5
_KEEP_ALIVE_SECONDS: Final = 15.0


class ChangeFeed:
    """Collects the sessions that have changed until each open page has been sent them.

    Args:
        database: Has the sessions.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[_OpenPage] = set()
        self._closed = False

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send changes on this event loop from now on."""
        self._loop = loop

    def publish(self, sessions: Iterable[int]) -> None:
        """Report from any thread that sessions have changed, by their numbers in the database."""
        loop, changed = self._loop, set(sessions)
        if loop is not None and not self._closed and changed:
            try:
                loop.call_soon_threadsafe(self._add_to_pages, changed)
            except RuntimeError:  # the loop has ended
                return

    def _add_to_pages(self, changed: set[int]) -> None:
        for page in self._pages:
            page.add(changed)

    def close(self) -> None:
        """End all event streams; call it on the event loop."""
        self._closed = True
        for page in self._pages:
            page.end()

    async def events(self) -> AsyncIterator[str]:
        """Yield the events for one page, as text to send."""
        if self._closed or len(self._pages) >= MAX_PAGES:
            return
        page = _OpenPage()
        self._pages.add(page)
        try:
            # A page that loses its connection asks again after so many milliseconds.
            yield "retry: 1000\n\n"
            while not page.ended:
                changed = await page.next(_KEEP_ALIVE_SECONDS)
                if changed:
                    data = await asyncio.to_thread(self._event, changed)
                    yield f"event: changed\nid: {self._database.revision}\ndata: {safe_json(data)}\n\n"
                    await page.pause(_PAUSE_SECONDS)
                else:
                    yield ": still here\n\n"
        finally:
            self._pages.discard(page)

    def _event(self, changed: set[int]) -> dict[str, Any]:
        numbers = sorted(changed, reverse=True)[:_MAX_SESSIONS]
        marks = ", ".join("?" * len(numbers))
        rows = self._database.reader.execute(f"SELECT session_id, name FROM sessions WHERE id IN ({marks})", numbers)
        sessions = [{"id": row[0], "name": row[1]} for row in rows]
        return {"revision": self._database.revision, "sessions": sessions, "more": len(changed) > _MAX_SESSIONS}


class _OpenPage:
    """The sessions that one open page must still be sent."""

    def __init__(self) -> None:
        self.ended = False
        self._changed: set[int] = set()
        self._wake = asyncio.Event()
        self._end = asyncio.Event()

    def add(self, changed: set[int]) -> None:
        self._changed |= changed
        self._wake.set()

    def end(self) -> None:
        self.ended = True
        self._wake.set()
        self._end.set()

    async def next(self, seconds: float) -> set[int]:
        """Return the sessions that have changed, or an empty set if none changes in so many seconds."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return set()
        changed, self._changed = self._changed, set()
        if not self.ended:
            self._wake.clear()
        return changed

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the page ends."""
        try:
            await asyncio.wait_for(self._end.wait(), seconds)
        except TimeoutError:
            return


class EventStream(StreamingResponse):
    """A response that lasts until the page or the server ends it."""

    media_type = "text/event-stream"

    def __init__(self, changes: ChangeFeed) -> None:
        super().__init__(changes.events(), headers={"Cache-Control": "no-store"})
