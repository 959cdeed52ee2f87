"""A row on its way: bytes, and the key that they go with."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

# What a row takes beside its body: the object itself, its id, its place in the queue.
_OVERHEAD = 1024


@dataclass(slots=True)
class PendingRow:
    """A row on its way.

    Attributes:
        id: The row's id.
        key: The key that it goes with.
        url: Where it goes.
        body: What is posted.
        headers: HTTP headers beside those for authorization and content type.
        failures: How often it failed while others of its key got through.
        others: How many others had got through when it was tried last.
        tried: It was sent before, and may have arrived.
    """

    id: str
    key: str = field(repr=False)
    url: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    failures: int = 0
    others: int = 0
    tried: bool = False

    @property
    def size(self) -> int:
        """How much memory it is counted with."""
        return len(self.body) + _OVERHEAD


_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
# So many failures of a row while others got through: it is the row.
_MAX_FAILURES: Final = 5


class KeyQueue:
    """The rows of one key.

    Attributes:
        waiting: In the order in which they go.
        rows: How many there are, those on their way included.
        failed: How often the lane was closed since a row got through.
        opens: When it opens again, by the monotonic clock.
        told: The server has said when.
        tries: One row is on its way to see whether the others may follow.
        through: How many rows got through.
    """

    def __init__(self) -> None:
        self.waiting: deque[PendingRow] = deque()
        self.rows = 0
        self.failed = 0
        self.opens = 0.0
        self.told = False
        self.tries = False
        self.through = 0

    def is_open(self, now: float) -> bool:
        """Tell whether a row may leave."""
        return bool(self.waiting) and now >= self.opens and not (self.failed and self.tries)

    def close(self, wait: float | None) -> None:
        """Let nothing leave for a while: as long as the server says, or longer each time."""
        self.failed += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self.failed - 1, 10), _LONGEST_PAUSE)
        # Jitter, so that not all processes that saw a server fail come back to it at once.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret about it
        self.told = wait is not None
        self.opens = time.monotonic() + (pause if wait is None else wait)


class RowQueue:
    """The rows that wait to be sent, or are being sent: so many, and so many bytes, at most.

    Args:
        max_rows: How many rows it takes.
        max_bytes: How much memory they may take.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        # An object that is collected, or a signal that comes, while it is held may end a span.
        self._changed = threading.Condition(threading.RLock())
        self._key_queues: dict[str, KeyQueue] = {}
        self._rows = self._bytes = self._queued = self._idle = 0
        self._closed = False

    def __len__(self) -> int:
        return self._rows

    @property
    def bytes(self) -> int:
        """How much memory the rows in it take."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more row, however small."""
        return self._rows >= self._max_rows

    @property
    def wants_hands(self) -> bool:
        """Whether more rows wait than threads do."""
        return self._queued > self._idle and not self._closed

    def put(self, row: PendingRow) -> bool:
        """Take a row; false if there is no room for it. What is in stays in."""
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
        """Wait for a row that may leave, and take it.

        Args:
            until: How long to wait, by the monotonic clock; for ever if not given.
            linger: For how many seconds to wait where there is none.

        Returns:
            The row; `None` if the time is over, the outbox is closed, or, with a time given, nothing is in it.
        """
        with self._changed:
            leaves = time.monotonic() + linger
            while not self._closed:
                now = time.monotonic()
                if until is not None and (now >= until or not self._rows):
                    return None
                if now >= leaves and not self._queued:
                    return None
                key_queue = self._open_key_queue(now)
                if key_queue is not None:
                    key_queue.tries = key_queue.failed > 0
                    self._queued -= 1
                    return key_queue.waiting.popleft()
                self._wait(now, until, leaves)
            return None

    def _open_key_queue(self, now: float) -> KeyQueue | None:
        for key, key_queue in self._key_queues.items():
            if key_queue.is_open(now):
                if len(self._key_queues) > 1:  # the next time the others come first
                    self._key_queues[key] = self._key_queues.pop(key)
                return key_queue
        return None

    def _wait(self, now: float, until: float | None, leaves: float) -> None:
        moments = [
            key_queue.opens for key_queue in self._key_queues.values() if key_queue.waiting and key_queue.opens > now
        ]
        if until is not None:
            moments.append(until)
        if now < leaves < math.inf:
            moments.append(leaves)
        self._idle += 1
        try:
            self._changed.wait(max(min(moments) - now, 0.001) if moments else None)
        finally:
            self._idle -= 1

    def delivered(self, row: PendingRow) -> None:
        """Forget a row that got through; the others of its key may follow."""
        with self._changed:
            key_queue = self._key_queues[row.key]
            recovers = key_queue.failed > 0
            key_queue.failed, key_queue.tries = 0, False
            key_queue.through += 1
            self._forget(row)
            if recovers:
                self._changed.notify_all()

    def refused(self, row: PendingRow) -> None:
        """Forget a row that will never get through; that says nothing of the others."""
        with self._changed:
            self._key_queues[row.key].tries = False
            self._forget(row)

    def put_back(self, row: PendingRow, wait: float | None, *, answered: bool) -> bool:
        """Put a row back that may get through later, behind the others.

        Returns:
            False if it is given up: others got through again and again where it did not.
        """
        with self._changed:
            key_queue = self._key_queues[row.key]
            key_queue.tries = False
            if answered and key_queue.through > row.others:
                row.failures += 1
                row.others = key_queue.through
            # What was on its way when the lane was closed says nothing new.
            if time.monotonic() >= key_queue.opens:
                key_queue.close(wait)
            if row.failures >= _MAX_FAILURES:
                self._forget(row)
                return False
            key_queue.waiting.append(row)
            self._queued += 1
            self._changed.notify()
            return True

    def put_first(self, row: PendingRow) -> None:
        """Put a row back that is to go at once."""
        with self._changed:
            key_queue = self._key_queues[row.key]
            key_queue.tries = False
            key_queue.waiting.appendleft(row)
            self._queued += 1
            self._changed.notify()

    def _forget(self, row: PendingRow) -> None:
        key_queue = self._key_queues[row.key]
        self._rows -= 1
        self._bytes -= row.size
        key_queue.rows -= 1
        if not key_queue.rows:
            del self._key_queues[row.key]  # tenants come and go
        if not self._rows:
            self._changed.notify_all()

    def hurry(self) -> None:
        """Open the lanes that are closed by our own caution."""
        with self._changed:
            for key_queue in self._key_queues.values():
                if not key_queue.told:
                    key_queue.opens = 0.0
            self._changed.notify_all()

    def close(self) -> int:
        """Take nothing more, let nothing leave, and return how many rows are left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._rows
