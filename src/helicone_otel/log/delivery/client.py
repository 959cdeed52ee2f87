"""Brings rows to Helicone: in threads of its own, again where that helps, and within a bound.

At most `max_rows` rows and `MAX_BYTES` of them wait or are on their way; what is in stays in until it is
delivered or refused for good, and what does not fit is counted and dropped.
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

# Rows that wait, as they are sent.
MAX_BYTES: Final = 64 * 2**20
# Helicone takes one row a request: so many at a time.
CONNECTIONS: Final = 32
# A thread ends that has had nothing to do for so many seconds: exporters come and go.
_LINGER: Final = 30.0
# A request of ten megabytes over a slow line takes its time.
_SECONDS: Final = 30.0


class Client:
    """Brings rows to one address.

    Args:
        endpoint: The address, without the route.
        max_rows: How many rows may wait.
        connections: How many requests are made at a time.
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
        # Now, and not in a thread: a fork at that moment would leave the child with a lock on the module that
        # nobody opens.
        import opentelemetry.instrumentation.utils  # noqa: F401, PLC0415  # not above: see the package's docstring

        self._begin()
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (anew := begin()) and anew())

    def _begin(self) -> None:
        """Begin with nothing: at first, and in a child that was forked, whose parent sends what it had."""
        self._pid = os.getpid()
        self._lock = threading.RLock()  # see `RowQueue`
        self._helps = threading.Lock()
        self._threads = 0
        self._queue = RowQueue(self._max_rows, self._max_bytes)
        self._post = RowSender(self.endpoint, self._connections + 1, self._seconds)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more row."""
        return self._queue.is_full

    @property
    def rows(self) -> int:
        """How many rows wait or are on their way."""
        return len(self._queue)

    @property
    def bytes(self) -> int:
        """How much memory they are counted with."""
        return self._queue.bytes

    def put(self, row: PendingRow) -> bool:
        """Take a row, to be sent soon; false if it does not fit. Never blocks."""
        if self._pid != os.getpid():
            self._begin()  # forked by something that tells Python nothing of it, such as uWSGI
        if not self._queue.put(row):
            return False
        if self._queue.wants_hands:
            self._start_one()
        return True

    def flush(self, seconds: float) -> bool:
        """Send what is there; tell whether all of it was sent, or refused, within a time."""
        until = time.monotonic() + seconds
        self._queue.hurry()
        # Threads may be frozen, or cannot be started any more where the interpreter ends: this one is here.
        if self._helps.acquire(timeout=seconds):
            try:
                with suppressed():
                    while (row := self._queue.take(until)) is not None:
                        self._deliver(row, max(until - time.monotonic(), 0.1))
            finally:
                self._helps.release()
        return not len(self._queue)

    def shutdown(self, seconds: float) -> bool:
        """Send what is there, and end; tell whether all of it was sent, or refused, within a time."""
        done = self.flush(seconds)
        if left := self._queue.close():
            warn_once("Rows were not logged to Helicone: there was no time left to send them", f"{left} rows")
        self._post.close()
        return done

    def _start_one(self) -> None:
        with self._lock:
            if self._threads >= self._connections:
                return
            # Where the interpreter ends no thread can be started: `flush` sends what is there.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._work, args=(self._queue,), name="helicone-otel-log", daemon=True).start()
                self._threads += 1

    def _work(self, queue: RowQueue) -> None:
        with suppressed():
            while (row := queue.take(linger=_LINGER)) is not None:
                try:
                    self._deliver(row)
                except Exception as error:  # noqa: BLE001  # the rows after it are to be sent all the same
                    swallow("log client", error)
        with self._lock:
            self._threads -= 1
        if queue.wants_hands:  # a row came just now, when all threads there may be were there
            self._start_one()

    def _deliver(self, row: PendingRow, seconds: float | None = None) -> None:
        result = self._post.send(row, seconds)
        if result.delivery is Delivery.DELIVERED:
            self._queue.delivered(row)
        elif result.delivery is Delivery.REFUSED:
            warn_once(f"A row was not logged to Helicone: {result.reason}", result.detail)
            self._queue.refused(row)
        elif result.stale and not row.tried:
            row.tried = True
            self._queue.put_first(row)
        else:
            self._try_later(row, result)

    def _try_later(self, row: PendingRow, result: DeliveryResult) -> None:
        row.tried = True
        if self._queue.put_back(row, result.wait, answered=result.answered):
            warn_once(f"Rows are logged to Helicone later, if they can be: {result.reason}", result.detail)
        else:
            warn_once(f"A row was not logged to Helicone, where others were: {result.reason}")


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Make no spans of what is sent here, and put no session's headers on it, wherever the thread was started."""
    # Not imported above: it imports `opentelemetry.propagate`, see the package's docstring.
    from opentelemetry.instrumentation.utils import suppress_instrumentation  # noqa: PLC0415

    token = attach(Context())
    try:
        with suppress_instrumentation():
            yield
    finally:
        detach(token)
