"""The queue of rows that wait to be sent, bounded in rows and in bytes.

It has a queue for each key, so that a tenant whose key Helicone refuses for a while holds up no other tenant.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

# The memory that a row takes beside its body: the object itself, its id, its entry in the queue.
_OVERHEAD: Final = 1024
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
# A row that fails this often while other rows arrive is given up: the fault is the row's.
_MAX_FAILURES: Final = 5


@dataclass(slots=True)
class PendingRow:
    """A row that waits, or is being sent.

    Attributes:
        id: The row's id.
        key: The API key that it is sent with.
        url: The URL that it is sent to.
        body: What is posted.
        failures: How often it failed while other rows of its key were delivered.
        delivered_before: How many rows of its key had been delivered when it was sent last.
        was_sent: It was sent before, and may have arrived.
    """

    id: str
    key: str = field(repr=False)
    url: str
    body: bytes = field(repr=False)
    failures: int = 0
    delivered_before: int = 0
    was_sent: bool = False

    @property
    def size(self) -> int:
        """How much memory it is counted with, in bytes."""
        return len(self.body) + _OVERHEAD


class RowQueue:
    """The rows that wait to be sent or are being sent.

    Args:
        max_rows: How many rows it holds at most.
        max_bytes: How much memory they may take.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        # Reentrant, because the garbage collector or a signal handler may end a span while the lock is held.
        self._changed = threading.Condition(threading.RLock())
        self._key_queues: dict[str, KeyQueue] = {}
        self._rows = self._bytes = self._queued = self._idle = 0
        self._closed = False

    def __len__(self) -> int:
        return self._rows

    @property
    def bytes(self) -> int:
        """How much memory the rows take."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more row, however small."""
        return self._rows >= self._max_rows

    @property
    def needs_thread(self) -> bool:
        """Whether more rows wait than threads do."""
        return self._queued > self._idle and not self._closed

    def put(self, row: PendingRow) -> bool:
        """Add a row; return false if there is no room. Rows that are in the queue stay in it."""
        with self._changed:
            if self._closed or self.is_full or self._bytes + row.size > self._max_bytes:
                return False
            key_queue = self._key_queues.get(row.key) or self._key_queues.setdefault(row.key, KeyQueue())
            key_queue.waiting.append(row)
            key_queue.rows += 1
            self._queued += 1
            self._rows += 1
            self._bytes += row.size
            self._changed.notify()
            return True

    def take(self, until: float | None = None, linger: float = math.inf) -> PendingRow | None:
        """Wait for a row that may be sent, and take it.

        Args:
            until: Wait until this time of the monotonic clock; without a limit if not given.
            linger: How many seconds to wait while the queue is empty.

        Returns:
            The row. `None` if the time is over, the queue is closed, or the queue is empty and `until` was given.
        """
        with self._changed:
            linger_until = time.monotonic() + linger
            while not self._closed:
                now = time.monotonic()
                if until is not None and (now >= until or not self._rows):
                    return None
                if now >= linger_until and not self._queued:
                    return None
                key_queue = self._open_key_queue(now)
                if key_queue is not None:
                    key_queue.is_probing = key_queue.failures > 0
                    self._queued -= 1
                    return key_queue.waiting.popleft()
                self._wait(now, until, linger_until)
            return None

    def delivered(self, row: PendingRow) -> None:
        """Remove a row that was delivered. The other rows of its key may follow."""
        with self._changed:
            key_queue = self._key_queues[row.key]
            recovers = key_queue.failures > 0
            key_queue.failures, key_queue.is_probing = 0, False
            key_queue.delivered += 1
            self._remove(row)
            if recovers:
                self._changed.notify_all()

    def refused(self, row: PendingRow) -> None:
        """Remove a row that was refused for good. This says nothing about the other rows."""
        with self._changed:
            self._key_queues[row.key].is_probing = False
            self._remove(row)

    def put_back(self, row: PendingRow, wait: float | None, *, answered: bool) -> bool:
        """Put a row back that may be delivered later, behind the others.

        Args:
            row: The row.
            wait: How many seconds the server asks us to wait; `None` if it does not say.
            answered: The server answered, or took too long: the fault may be the row's.

        Returns:
            False if the row is given up, because it failed again and again while other rows were delivered.
        """
        with self._changed:
            key_queue = self._key_queues[row.key]
            key_queue.is_probing = False
            if answered and key_queue.delivered > row.delivered_before:
                row.failures += 1
                row.delivered_before = key_queue.delivered
            # A failure during the pause is of a row that was sent before it, so it does not lengthen the pause.
            if time.monotonic() >= key_queue.paused_until:
                key_queue.pause(wait)
            if row.failures >= _MAX_FAILURES:
                self._remove(row)
                return False
            key_queue.waiting.append(row)
            self._queued += 1
            self._changed.notify()
            return True

    def put_first(self, row: PendingRow) -> None:
        """Put a row back that is to be sent again at once."""
        with self._changed:
            key_queue = self._key_queues[row.key]
            key_queue.is_probing = False
            key_queue.waiting.appendleft(row)
            self._queued += 1
            self._changed.notify()

    def end_own_pauses(self) -> None:
        """End all pauses that no server asked for."""
        with self._changed:
            for key_queue in self._key_queues.values():
                if not key_queue.is_pause_of_server:
                    key_queue.paused_until = 0.0
            self._changed.notify_all()

    def close(self) -> int:
        """Accept no more rows, send none, and return how many are left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._rows

    def _open_key_queue(self, now: float) -> KeyQueue | None:
        for key, key_queue in self._key_queues.items():
            if key_queue.is_open(now):
                if len(self._key_queues) > 1:  # moved to the end, so that the other keys come next
                    self._key_queues[key] = self._key_queues.pop(key)
                return key_queue
        return None

    def _wait(self, now: float, until: float | None, linger_until: float) -> None:
        """Wait for a change, or for the first moment at which a row may be sent or the caller gives up."""
        moments = [
            key_queue.paused_until
            for key_queue in self._key_queues.values()
            if key_queue.waiting and key_queue.paused_until > now
        ]
        if until is not None:
            moments.append(until)
        if now < linger_until < math.inf:
            moments.append(linger_until)
        self._idle += 1
        try:
            self._changed.wait(max(min(moments) - now, 0.001) if moments else None)
        finally:
            self._idle -= 1

    def _remove(self, row: PendingRow) -> None:
        key_queue = self._key_queues[row.key]
        self._rows -= 1
        self._bytes -= row.size
        key_queue.rows -= 1
        if not key_queue.rows:
            del self._key_queues[row.key]  # tenants come and go
        if not self._rows:
            self._changed.notify_all()


class KeyQueue:
    """The rows of one key.

    After a failure it pauses. Then one row is sent as a probe, and the others follow when that row is delivered.

    Attributes:
        waiting: The rows that wait, in the order in which they are sent.
        rows: How many rows there are, those being sent included.
        failures: How many pauses there were since a row was delivered.
        paused_until: The end of the pause, by the monotonic clock.
        is_pause_of_server: The server asked for the pause.
        is_probing: A row is being sent as a probe.
        delivered: How many rows were delivered.
    """

    def __init__(self) -> None:
        self.waiting: deque[PendingRow] = deque()
        self.rows = 0
        self.failures = 0
        self.paused_until = 0.0
        self.is_pause_of_server = False
        self.is_probing = False
        self.delivered = 0

    def is_open(self, now: float) -> bool:
        """Tell whether a row waits that may be sent."""
        return bool(self.waiting) and now >= self.paused_until and not (self.failures and self.is_probing)

    def pause(self, wait: float | None) -> None:
        """Send nothing for as long as the server asks, or else for longer after each failure."""
        self.failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures - 1, 10), _LONGEST_PAUSE)
        # Jitter, so that not all processes that saw a server fail return to it at once.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  # not used for security
        self.is_pause_of_server = wait is not None
        self.paused_until = time.monotonic() + (pause if wait is None else wait)
