"""Tells the pages what has changed, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from starlette.responses import StreamingResponse

from .database import Store
from .responses import safe_json

_MOST: Final = 100
_PAUSE: Final = 0.5
_KEEP_ALIVE: Final = 15.0
# Beyond this many pages nobody looks at them.
MAX_LISTENERS: Final = 64


class Changes:
    """Collects what has changed until each page has heard of it.

    Args:
        store: Knows the sessions by their numbers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[_Listener] = set()
        self._closed = False

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell them on this loop from now on."""
        self._loop = loop

    def tell(self, sessions: Iterable[int]) -> None:
        """Say, from any thread, that sessions have changed."""
        loop, changed = self._loop, set(sessions)
        if loop is not None and not self._closed and changed:
            try:
                loop.call_soon_threadsafe(self._spread, changed)
            except RuntimeError:  # the loop has ended
                return

    def _spread(self, changed: set[int]) -> None:
        for listener in self._listeners:
            listener.hear(changed)

    def close(self) -> None:
        """End what listens; called on the loop."""
        self._closed = True
        for listener in self._listeners:
            listener.end()

    async def events(self) -> AsyncIterator[str]:
        """Yield events as they are to be sent."""
        if self._closed or len(self._listeners) >= MAX_LISTENERS:
            return
        listener = _Listener()
        self._listeners.add(listener)
        try:
            # A page that was cut off asks again after this many milliseconds.
            yield "retry: 1000\n\n"
            while not listener.ended:
                changed = await listener.next(_KEEP_ALIVE)
                if changed:
                    data = await asyncio.to_thread(self._event, changed)
                    yield f"event: changed\nid: {self._store.revision}\ndata: {safe_json(data)}\n\n"
                    await listener.pause(_PAUSE)
                else:
                    yield ": still here\n\n"
        finally:
            self._listeners.discard(listener)

    def _event(self, changed: set[int]) -> dict[str, Any]:
        numbers = sorted(changed, reverse=True)[:_MOST]
        marks = ", ".join("?" * len(numbers))
        rows = self._store.reader.execute(f"SELECT session_id, name FROM sessions WHERE id IN ({marks})", numbers)
        sessions = [{"id": row[0], "name": row[1]} for row in rows]
        return {"revision": self._store.revision, "sessions": sessions, "more": len(changed) > _MOST}


class _Listener:
    """One page that listens."""

    def __init__(self) -> None:
        self.ended = False
        self._changed: set[int] = set()
        self._heard = asyncio.Event()
        self._end = asyncio.Event()

    def hear(self, changed: set[int]) -> None:
        self._changed |= changed
        self._heard.set()

    def end(self) -> None:
        self.ended = True
        self._heard.set()
        self._end.set()

    async def next(self, seconds: float) -> set[int]:
        try:
            await asyncio.wait_for(self._heard.wait(), seconds)
        except TimeoutError:
            return set()
        changed, self._changed = self._changed, set()
        if not self.ended:
            self._heard.clear()
        return changed

    async def pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._end.wait(), seconds)
        except TimeoutError:
            return


class EventStream(StreamingResponse):
    """The answer that never ends."""

    media_type = "text/event-stream"

    def __init__(self, changes: Changes) -> None:
        super().__init__(changes.events(), headers={"Cache-Control": "no-store"})
