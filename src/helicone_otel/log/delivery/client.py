"""Queues rows and sends them to Helicone in threads of its own, again where that can help.

The queue is bounded in rows and in bytes. A row in it stays until it is delivered or refused for good. When the queue
is full, new rows are dropped and counted.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Final

from opentelemetry.context import Context, attach, detach

from ...failures import swallow, warn_once
from .queue import PendingRow, RowQueue
from .sender import RowSender
from .verdict import Delivery, DeliveryResult

__all__ = ["CONNECTIONS", "MAX_BYTES", "Client", "PendingRow", "suppressed"]

# How much memory the rows in the queue may take.
MAX_BYTES: Final = 64 * 2**20
# How many requests run at a time. Helicone accepts one row a request.
CONNECTIONS: Final = 32
# A thread ends after this many seconds without a row, because exporters come and go.
_LINGER: Final = 30.0
# How long a request may take. It may be ten megabytes over a slow line.
_SECONDS: Final = 30.0


class Client:
    """Sends rows to Helicone's log.

    Args:
        endpoint: The address of the log, without the route.
        max_rows: How many rows may wait.
        connections: How many requests run at a time.
        seconds: How long a request may take as a whole.
        max_bytes: How much memory the rows may take.
    """

    def __init__(
        self,
        endpoint: str,
        max_rows: int,
        connections: int = CONNECTIONS,
        seconds: float = _SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.endpoint = endpoint
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._connections, self._seconds = connections, seconds
        # Loaded now, and not in a thread: a fork at that moment would leave the child with a lock on the module
        # that is never released. Not at the top, because it imports `opentelemetry.propagate`, which an entry point
        # must not.
        import opentelemetry.instrumentation.utils  # noqa: F401, PLC0415

        self._reset()
        if hasattr(os, "register_at_fork"):
            weak = weakref.WeakMethod(self._reset)
            os.register_at_fork(after_in_child=lambda: (method := weak()) and method())

    def _reset(self) -> None:
        """Start with an empty queue: at first, and in a forked child, because the parent sends what it had."""
        self._pid = os.getpid()
        self._lock = threading.RLock()  # see `RowQueue`
        self._flush_lock = threading.Lock()
        self._threads = 0
        self._queue = RowQueue(self._max_rows, self._max_bytes)
        self._sender = RowSender(self.endpoint, self._connections + 1, self._seconds)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more row."""
        return self._queue.is_full

    @property
    def rows(self) -> int:
        """How many rows wait or are being sent."""
        return len(self._queue)

    @property
    def bytes(self) -> int:
        """How much memory they are counted with."""
        return self._queue.bytes

    def put(self, row: PendingRow) -> bool:
        """Queue a row; return false if there is no room. Never blocks."""
        if self._pid != os.getpid():
            self._reset()  # the process was forked without Python's fork hooks, as uWSGI does
        if not self._queue.put(row):
            return False
        if self._queue.needs_thread:
            self._start_thread()
        return True

    def flush(self, seconds: float) -> bool:
        """Send all rows; return whether each was delivered, or refused for good, within `seconds`."""
        until = time.monotonic() + seconds
        self._queue.end_own_pauses()
        # This thread sends as well: the others may be frozen, or cannot start while the interpreter ends.
        if self._flush_lock.acquire(timeout=seconds):
            try:
                with suppressed():
                    while (row := self._queue.take(until)) is not None:
                        self._deliver(row, max(until - time.monotonic(), 0.1))
            finally:
                self._flush_lock.release()
        return not len(self._queue)

    def shutdown(self, seconds: float) -> bool:
        """Send all rows and stop; return whether each was delivered, or refused for good, within `seconds`."""
        done = self.flush(seconds)
        if left := self._queue.close():
            warn_once("Rows were not logged to Helicone: there was no time left to send them", f"{left} rows")
        self._sender.close()
        return done

    def _start_thread(self) -> None:
        with self._lock:
            if self._threads >= self._connections:
                return
            # No thread can start while the interpreter ends. Then `flush` sends the rows.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._work, args=(self._queue,), name="helicone-otel-log", daemon=True).start()
                self._threads += 1

    def _work(self, queue: RowQueue) -> None:
        with suppressed():
            while (row := queue.take(linger=_LINGER)) is not None:
                try:
                    self._deliver(row)
                except Exception as error:  # noqa: BLE001  # the next rows must be sent all the same
                    swallow("log client", error)
        with self._lock:
            self._threads -= 1
        if queue.needs_thread:  # a row came just now, while this thread still counted as one
            self._start_thread()

    def _deliver(self, row: PendingRow, seconds: float | None = None) -> None:
        result = self._sender.send(row, seconds)
        if result.delivery is Delivery.DELIVERED:
            self._queue.delivered(row)
        elif result.delivery is Delivery.REFUSED:
            warn_once(f"A row was not logged to Helicone: {result.reason}", result.detail)
            self._queue.refused(row)
        elif result.stale and not row.was_sent:
            row.was_sent = True
            self._queue.put_first(row)
        else:
            self._try_later(row, result)

    def _try_later(self, row: PendingRow, result: DeliveryResult) -> None:
        row.was_sent = True
        if self._queue.put_back(row, result.wait, answered=result.answered):
            warn_once(f"Rows will be sent to Helicone again later: {result.reason}", result.detail)
        else:
            warn_once(f"A row was not logged to Helicone, although others were: {result.reason}")


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Suppress instrumentation, and leave the current session, so that requests make no spans and get no headers."""
    # Not at the top: see `Client`.
    from opentelemetry.instrumentation.utils import suppress_instrumentation  # noqa: PLC0415

    token = attach(Context())
    try:
        with suppress_instrumentation():
            yield
    finally:
        detach(token)
