"""Finds out, beside what arrives, in which sessions it stands."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from .._guard import swallow
from .keeping import waiting_traces
from .opening import StoreError
from .placed import place_traces
from .placing import Placing
from .store import BusyError, Store

# A trace is read again when nothing of it has come for so long, and while it grows only as often as
# costs a small part of the time.
_QUIET: Final = 0.25
_SHARE: Final = 10
_MAX_WAIT: Final = 30.0
_STOP_SECONDS: Final = 3.0
# So many traces are taken up at a time.
_TOGETHER: Final = 500


class Worker:
    """Places what arrives, in a thread of its own.

    Args:
        store: Where it is kept.
        placing: Finds where it stands.
        changed: Called with the numbers of the sessions that have changed.
    """

    def __init__(self, store: Store, placing: Placing, changed: Callable[[Iterable[int]], None]) -> None:
        self._store = store
        self._placing = placing
        self._changed = changed
        self._due: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._idle = True
        self._thread = threading.Thread(target=self._run, name="view-worker", daemon=True)

    def start(self) -> None:
        """Begin, with what a former process left undone."""
        self.arrived(waiting_traces(self._store.reader))
        self._thread.start()

    def stop(self) -> None:
        """End; what has not been placed is placed when the file is opened again."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def arrived(self, traces: Iterable[str]) -> None:
        """Take note that spans of these traces have been kept."""
        now = time.monotonic()
        with self._wake:
            for trace in traces:
                self._due.setdefault(trace, max(now + _QUIET, self._not_before.get(trace, 0.0)))
            self._wake.notify_all()

    @property
    def waiting(self) -> int:
        """How many traces are not placed yet."""
        with self._wake:
            return len(self._due) + (not self._idle)

    def _run(self) -> None:
        while (traces := self._next()) is not None:
            try:
                self._place(traces)
            except (StoreError, BusyError, sqlite3.Error):
                self._again(traces)
            except Exception as error:  # noqa: BLE001  # the view goes on with what comes next
                swallow("the view's worker", error)

    def _next(self) -> list[str] | None:
        """Wait for traces that are due; `None`: it is time to end."""
        with self._wake:
            self._idle = True
            while not self._stopping:
                now = time.monotonic()
                due = [trace for trace, at in self._due.items() if at <= now][:_TOGETHER]
                if due:
                    for trace in due:
                        del self._due[trace]
                    self._idle = False
                    return due
                next_at = min(self._due.values(), default=now + _MAX_WAIT)
                self._wake.wait(max(next_at - now, 0.01))
        return None

    def _again(self, traces: Iterable[str]) -> None:
        with self._wake:
            for trace in traces:
                self._due.setdefault(trace, time.monotonic() + 1)

    def _place(self, traces: list[str]) -> None:
        began = time.monotonic()
        for placed, changed in place_traces(self._store, self._placing, self._while_running(traces)):
            self._changed(changed)
            self._take_time(placed, time.monotonic() - began)
            began = time.monotonic()

    def _while_running(self, traces: Iterable[str]) -> Iterator[str]:
        for trace in traces:
            if self._stopping:
                return
            yield trace

    def _take_time(self, traces: list[str], seconds: float) -> None:
        """Leave traces alone for a while that what they cost is a small part of."""
        now = time.monotonic()
        wait = min(seconds / len(traces) * _SHARE, _MAX_WAIT)
        with self._wake:
            self._not_before = {trace: at for trace, at in self._not_before.items() if at > now}
            if wait > _QUIET:
                self._not_before.update(dict.fromkeys(traces, now + wait))
