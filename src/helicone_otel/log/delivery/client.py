"""Queues rows and sends them to Helicone in threads of its own, until each is delivered or refused for good.

The queue is bounded in rows and in bytes. What does not fit is dropped and counted. What an app may want gevent or
eventlet to patch, such as urllib3 and ssl, is imported when the first row is sent.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context, attach, detach

from ...failures import swallow, warn_once
from .lane import PendingRow
from .maker import RowMaker
from .queue import CONNECTIONS, RowQueue
from .threads import Lock, importing, start
from .verdict import BROKEN_OFF, Delivery, DeliveryResult

if TYPE_CHECKING:
    from .sender import RowSender

__all__ = ["MAX_BYTES", "Client", "seconds_of", "suppressed"]

# How much memory the rows in the queue may take.
MAX_BYTES: Final = 64 * 2**20
# A thread ends after this many seconds without a row, because exporters come and go.
_LINGER: Final = 30.0
# How long a request may take. It may be ten megabytes over a slow line.
_SECONDS: Final = 30.0
# How often a flush looks whether the threads run.
_STEP: Final = 0.1
# The system cannot wait for much longer.
_LONGEST: Final = min(threading.TIMEOUT_MAX, 30 * 86400.0)
_FULL: Final = "A row was not logged to Helicone: the queue is full (OTEL_BSP_MAX_QUEUE_SIZE, or 64 MiB)"


class Client:
    """Sends rows to Helicone's log.

    Args:
        endpoint: The address of the log, without the route.
        max_rows: How many rows may wait.
        connections: How many requests with one key run at a time. Those of all keys may be half as many again.
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
        self._reset()
        if hasattr(os, "register_at_fork"):
            weak = weakref.WeakMethod(self._reset)
            os.register_at_fork(after_in_child=lambda: (method := weak()) and method())

    def _reset(self) -> None:
        """Start with an empty queue: at first, and in a forked child, because the parent sends what it had."""
        self._pid = os.getpid()
        self._lock = Lock()
        # One key cannot take all threads.
        self._max_threads = self._connections + (self._connections + 1) // 2
        self._threads = 0
        self._lost_before = 0
        self._queue = RowQueue(self._max_rows, self._max_bytes, self._connections)
        self.maker = RowMaker(self._max_rows, self._max_bytes, suppressed)
        self._made_sender: RowSender | None = None

    @property
    def _sender(self) -> RowSender:
        return self._made_sender or self._make_sender()

    def _make_sender(self) -> RowSender:
        with importing():
            from .sender import RowSender  # noqa: PLC0415  # see the module's docstring

            # Another thread may have made one meanwhile.
            made = self._made_sender or RowSender(self.endpoint, self._max_threads, self._seconds)
            self._made_sender = made
        return made

    @property
    def rows(self) -> int:
        """How many rows are to be made, wait or are being sent."""
        return len(self.maker) + len(self._queue)

    @property
    def bytes(self) -> int:
        """How much memory they are counted with."""
        return self._queue.bytes

    def has_room_for(self, key: str) -> bool:
        """Tell whether a small row of a key would be queued now; if not, it is dropped and counted here.

        Asked before a row is made, to save that work.
        """
        self._notice_fork()
        if self._queue.has_room_for(key):
            return True
        self.count_loss(_FULL)
        return False

    def count_loss(self, message: str) -> None:
        """Count a row that is not even queued, and log the first with this message. The next flush returns false."""
        self._queue.count_loss()
        warn_once(message)

    def put(self, row: PendingRow) -> bool:
        """Queue a row; return false if there is no room. Never blocks."""
        self._notice_fork()
        dropped = self._queue.put(row)
        for _ in dropped:
            warn_once(_FULL)
        if self._queue.needs_thread:
            self._start_thread()
        return row not in dropped

    def put_later(self, make: Callable[[], PendingRow | None], size: int, tenant: Hashable = None) -> None:
        """Make a row in a thread, and queue it. What there is no room for is dropped and counted. Never blocks.

        Args:
            make: Makes the row; `None` if there is none.
            size: How much memory it takes until then.
            tenant: Whose row it is. If there is no room, the tenant with the most loses its newest.
        """
        self._notice_fork()

        def make_and_put() -> None:
            try:
                row = make()
            except BaseException as error:  # a function of the user may raise what ends a thread
                self.count_loss(f"A row was not logged to Helicone: it could not be made ({type(error).__name__})")
                raise
            if row is not None:
                self.put(row)

        for _ in range(self.maker.put(make_and_put, size, tenant)):
            self.count_loss(_FULL)

    def flush(self, seconds: float) -> bool:
        """Send all rows that came before.

        Args:
            seconds: How long that may take.

        Returns:
            Whether all rows since the last flush were delivered in time. False if one is left, was dropped, refused or
            given up.
        """
        self._notice_fork()
        until = time.monotonic() + seconds
        is_made = self.maker.finish(until)
        self._queue.end_own_pauses()
        if self._queue.needs_thread:
            self._start_thread()
        mark = self._queue.mark()
        while not (is_sent := self._queue.wait_until_sent(mark, min(_STEP, until - time.monotonic()))):
            if time.monotonic() >= until or self._queue.is_closed:
                break
            # Threads cannot start while the interpreter ends, and some servers do not let any run.
            if self._queue.is_neglected():
                self._send_here(until)
        now = self._queue.lost
        lost, self._lost_before = now - self._lost_before, now
        return is_made and is_sent and not lost

    def shutdown(self, seconds: float) -> bool:
        """Send all rows and stop; return the same as `flush`."""
        done = self.flush(seconds)
        if left := self._queue.close():
            warn_once("Rows were not logged to Helicone: there was no time left to send them", f"{left} rows")
        if self._made_sender is not None:
            self._made_sender.close()
        return done

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            self._reset()  # the process was forked without Python's fork hooks, as uWSGI does

    def _start_thread(self) -> None:
        with self._lock:
            # A thread that neither sends nor waits is about to take a row, and then looks whether others are needed.
            if self._threads >= self._max_threads or self._threads > self._queue.threads:
                return
            self._threads += 1
        queue = self._queue
        try:
            start(lambda: self._work(queue), "helicone-otel-log")
        except RuntimeError:  # no thread can start while the interpreter ends; then `flush` sends the rows
            self._count_out()

    def _work(self, queue: RowQueue) -> None:
        try:
            with suppressed():
                while (row := queue.take(linger=_LINGER)) is not None:
                    if queue.needs_thread:
                        self._start_thread()
                    self._deliver(row)
        finally:
            self._count_out()
            if self._made_sender is not None:
                self._made_sender.leave()
        if queue.needs_thread:  # a row came just now, while this thread still counted as one
            self._start_thread()

    def _count_out(self) -> None:
        with self._lock:
            self._threads -= 1

    def _send_here(self, until: float) -> None:
        """Send in this thread what can be sent now."""
        with suppressed():
            while time.monotonic() < until and (row := self._queue.take_now()) is not None:
                self._deliver(row, max(until - time.monotonic(), _STEP))

    def _deliver(self, row: PendingRow, seconds: float | None = None) -> None:
        result = BROKEN_OFF
        try:
            result = self._sender.send(row, seconds)
        except Exception as error:  # noqa: BLE001  # the next rows must be sent all the same
            swallow("log client", error)
        finally:  # whatever ends this thread, the row does not stay under way
            self._settle(row, result)

    def _settle(self, row: PendingRow, result: DeliveryResult) -> None:
        if result.delivery is Delivery.DELIVERED:
            self._queue.delivered(row)
        elif result.delivery is Delivery.REFUSED:
            warn_once(f"A row was not logged to Helicone: {result.reason}", result.detail)
            self._queue.refused(row)
        elif self._queue.put_back(row, result):
            warn_once(f"Rows will be sent to Helicone again later: {result.reason}", result.detail)
        else:
            warn_once(f"A row was not logged to Helicone, although others were: {result.reason}")


def load_sender() -> None:
    """Load all that the first row would load."""
    with importing():
        import opentelemetry.instrumentation.utils  # noqa: F401, PLC0415

        from . import sender  # noqa: F401, PLC0415


def seconds_of(milliseconds: object, default: float) -> float:
    """Return a timeout in seconds that the system can wait for.

    Args:
        milliseconds: What a caller gave: a number, which may be negative or infinite, or `None`.
        default: The seconds if it is `None`, or no number.
    """
    if not isinstance(milliseconds, int | float) or milliseconds != milliseconds:  # noqa: PLR0124  # it is NaN
        return default
    return max(min(milliseconds, _LONGEST * 1000), 0) / 1000


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Suppress instrumentation, and leave the current session, so that requests make no spans and get no headers."""
    with importing():
        # Not at the top, because it imports `opentelemetry.propagate`, which an entry point must not.
        from opentelemetry.instrumentation.utils import suppress_instrumentation  # noqa: PLC0415

    token = attach(Context())
    try:
        with suppress_instrumentation():
            yield
    finally:
        detach(token)
