"""Places the traces of a store, some at a time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...failures import swallow
from .database import BusyError, Store, StoreError
from .labelling import SessionSpan, StoredSpan, TraceLabeller
from .writes import held_spans, keep_places, spans_within, waiting_traces

# So many spans are written together.
_TOGETHER: Final = 1000
_BESIDE: Final = 64
# Longer traces are cut: what lies beyond stands in no session.
MAX_TRACE: Final = 50_000


def place_traces(store: Store, placing: TraceLabeller, traces: Iterable[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Place traces, and yield those that have been placed with the sessions that have changed.

    Raises:
        StoreError: It cannot be written.
        BusyError: Too much is waiting to be written.
    """
    seen: dict[str, int] = {}
    placed: list[SessionSpan] = []
    for trace in traces:
        # How many have arrived is read first: what comes in between is read twice rather than never.
        row = store.reader.execute("SELECT seen FROM traces WHERE trace = ?", (trace,)).fetchone()
        seen[trace] = row[0] if row is not None else 0
        spans = held_spans(store.reader, trace, MAX_TRACE)
        try:
            placed += _place(store, placing, spans)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001  # a trace that cannot be read must not keep the others from being
            swallow("the view's placing", error)
        if len(placed) >= _TOGETHER:
            yield list(seen), _keep(store, seen, placed)
            seen, placed = {}, []
    if seen:
        yield list(seen), _keep(store, seen, placed)


def _place(store: Store, placing: TraceLabeller, spans: list[StoredSpan]) -> list[SessionSpan]:
    placed = placing.label(spans)
    alone = [one.stored for one in placed if one.may_wrap_other_trace]
    if not alone:
        return placed
    # What another instrumentation saw of the same call: https://github.com/traceloop/openllmetry wraps the
    # Anthropic SDK's own span like this.
    beside = {span.number: span for one in alone for span in spans_within(store.reader, one, _BESIDE)}
    return placing.label(spans, list(beside.values()))


def _keep(store: Store, seen: dict[str, int], placed: list[SessionSpan]) -> list[int]:
    changed: list[int] = store.write(lambda connection: keep_places(connection, seen, placed)).result()
    return changed


# A trace is read again when nothing of it has come for so long, and while it grows only as often as
# costs a small part of the time.
_QUIET: Final = 0.25
_SHARE: Final = 10
_MAX_WAIT: Final = 30.0
_STOP_SECONDS: Final = 3.0
# So many traces are taken up at a time.
_WORKER_TOGETHER: Final = 500


class Worker:
    """Places what arrives, in a thread of its own.

    Args:
        store: Where it is kept.
        placing: Finds where it stands.
        changed: Called with the numbers of the sessions that have changed.
    """

    def __init__(self, store: Store, placing: TraceLabeller, changed: Callable[[Iterable[int]], None]) -> None:
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
                due = [trace for trace, at in self._due.items() if at <= now][:_WORKER_TOGETHER]
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
