"""The queue of rows that wait to be sent, bounded in rows and in bytes.

It has a lane for each key, so that a tenant whose key Helicone refuses for a while holds up no other tenant. One lane
may fill the whole queue. If a shorter one needs room then, the longest lane gives up its newest rows.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from .lane import Lane, PendingRow
from .pace import Pace
from .threads import Condition, Lock
from .verdict import DeliveryResult

# How many rows of one key are under way at a time. Helicone accepts one row a request.
CONNECTIONS: Final = 32
# Of how many keys without rows it is remembered how fast their rows may be sent.
_MAX_PACES: Final = 1024


class RowQueue:
    """The rows that wait to be sent or are under way.

    Threads take rows, send them, and say what became of them. One thread without work watches for the next moment at
    which a row may leave. When it takes that row, it wakes another one up, or the caller starts one (`needs_thread`).

    Args:
        max_rows: How many rows it holds at most.
        max_bytes: How much memory they may take.
        connections: How many rows of a key may be under way at a time.
        clock: Returns the time in seconds.

    Attributes:
        lost: How many rows were dropped, refused or given up.
    """

    def __init__(
        self,
        max_rows: int,
        max_bytes: int,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._connections = connections
        self._clock = clock
        lock = Lock()
        self._changed, self._sent = Condition(lock), Condition(lock)
        self._lanes: dict[str, Lane] = {}
        self._rows = self._bytes = self._under_way = self._idle = 0
        self._closed = False
        # The next moment for which a thread waits.
        self._watched_until = math.inf
        # A flush waits for the rows of its generation and of those before, because others may come all the time.
        self._generation = 0
        self._left: Counter[int] = Counter()
        # What was learned of keys that have no rows now.
        self._paces: dict[str, Pace] = {}
        self.lost = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def bytes(self) -> int:
        """How much memory the rows take."""
        return self._bytes

    @property
    def waiting(self) -> int:
        """How many rows are not under way."""
        return self._rows - self._under_way

    @property
    def threads(self) -> int:
        """How many threads send a row or wait for one."""
        return self._under_way + self._idle

    @property
    def needs_thread(self) -> bool:
        """Whether rows wait, and no thread waits for them."""
        return self.waiting > 0 and not self._idle and not self._closed

    @property
    def is_closed(self) -> bool:
        """Whether no row is accepted or sent any more."""
        return self._closed

    def has_room_for(self, key: str) -> bool:
        """Tell whether a small row of a key would be queued now."""
        with self._changed:
            return self._rows < self._max_rows or self._longer_lane(key, "rows", 1) is not None

    def put(self, row: PendingRow) -> list[PendingRow]:
        """Add a row. Never blocks.

        Returns:
            The rows that are dropped: none if there is room, newer ones of a longer lane, or the row itself.
        """
        with self._changed:
            dropped = self._make_room(row)
            self.lost += len(dropped)
            if not dropped or dropped[-1] is not row:
                self._add(row)
            return dropped

    def count_loss(self) -> None:
        """Count a row that was lost before it could be queued."""
        with self._changed:
            self.lost += 1

    def take(self, linger: float = math.inf) -> PendingRow | None:
        """Wait for a row that may be sent, and take it.

        Args:
            linger: How many seconds to wait while there is nothing to do.

        Returns:
            The row; `None` if there was none for so long, or the queue is closed.
        """
        with self._changed:
            until = self._clock() + linger
            while not self._closed:
                if (row := self.take_now()) is not None:
                    return row
                now = self._clock()
                # The thread that waits for the next moment stays as long as rows wait.
                if now >= until and (self._watched_until < math.inf or not self.waiting):
                    return None
                self._wait(now, until)
            return None

    def take_now(self) -> PendingRow | None:
        """Take a row that may be sent now; `None` if there is none."""
        with self._changed:
            now = self._clock()
            lane = None if self._closed else self._open_lane(now)
            if lane is None:
                return None
            row = lane.take(now)
            self._under_way += 1
            if self._idle and self.waiting:
                self._changed.notify()
            return row

    def opens_at(self) -> float | None:
        """Return the next moment at which a row may be sent; `None` if only an answer or a new row can change that."""
        with self._changed:
            now = self._clock()
            moments = [moment for lane in self._lanes.values() if (moment := lane.opens_at(now)) is not None]
            return min((moment for moment in moments if moment > now), default=None)

    def is_neglected(self) -> bool:
        """Tell whether a row may be sent and no thread sends any, as if the threads did not run."""
        with self._changed:
            return not self._under_way and self._open_lane(self._clock()) is not None

    def mark(self) -> int:
        """Return the generation of the rows that are here. Later ones are of the next generation."""
        with self._changed:
            self._generation += 1
            return self._generation - 1

    def wait_until_sent(self, generation: int, seconds: float) -> bool:
        """Wait until no row of a generation, or of one before, is left; return whether that is so."""

        def is_sent() -> bool:
            return not any(left <= generation for left in self._left)

        self._sent.wait_beside(lambda: self._closed or is_sent(), seconds)
        with self._sent:
            return is_sent()

    def delivered(self, row: PendingRow) -> None:
        """Remove a row that was delivered."""
        with self._changed:
            self._lanes[row.key].delivered(row, self._clock())
            self._under_way -= 1
            self._removed(row)

    def refused(self, row: PendingRow) -> None:
        """Remove a row that was refused for good."""
        with self._changed:
            self._lanes[row.key].refused(row)
            self._under_way -= 1
            self.lost += 1
            self._removed(row)

    def put_back(self, row: PendingRow, result: DeliveryResult) -> bool:
        """Put a row back that may be delivered later; return false if it is given up instead: see `Lane`."""
        with self._changed:
            kept = self._lanes[row.key].put_back(row, result, self._clock())
            self._under_way -= 1
            if kept and self._closed:
                self._removed(self._lanes[row.key].pop_newest())
            elif kept:
                self._changed.notify()
            else:
                self.lost += 1
                self._removed(row)
            return kept

    def end_own_pauses(self) -> None:
        """End all pauses that no server asked for."""
        with self._changed:
            for lane in self._lanes.values():
                lane.end_own_pauses()
            self._changed.notify_all()

    def close(self) -> int:
        """Accept no more rows, drop those that wait, and return how many are left. Some may still be under way."""
        with self._changed:
            left = self._rows
            self._closed = True
            self.lost += left
            for lane in list(self._lanes.values()):
                while lane.waiting:
                    self._removed(lane.pop_newest())
            self._changed.notify_all()
            self._sent.notify_all()
            return left

    # --- room ---------------------------------------------------------------------------------

    def _add(self, row: PendingRow) -> None:
        lane = self._lanes.get(row.key)
        if lane is None:
            now = self._clock()
            pace = self._paces.pop(row.key, None) or Pace(now)
            pace.measure_from(now)
            lane = self._lanes.setdefault(row.key, Lane(pace, self._connections))
        row.generation = self._generation
        self._left[row.generation] += 1
        lane.add(row)
        self._rows += 1
        self._bytes += row.size
        if self._idle:
            self._changed.notify()

    def _make_room(self, row: PendingRow) -> list[PendingRow]:
        """Drop rows of longer lanes until there is room for a row; if that is not enough, the row is dropped, too."""
        dropped: list[PendingRow] = []
        while self._closed or self._rows >= self._max_rows or self._bytes + row.size > self._max_bytes:
            measure, size = ("rows", 1) if self._rows >= self._max_rows else ("bytes", row.size)
            longer = None if self._closed else self._longer_lane(row.key, measure, size)
            if longer is None:
                return [*dropped, row]
            dropped.append(longer.pop_newest())
            self._removed(dropped[-1])
        return dropped

    def _longer_lane(self, key: str, measure: str, size: int) -> Lane | None:
        """Return the longest lane with rows that wait, if it is longer than that of a key with one more row."""
        own = self._lanes.get(key)
        lanes = [lane for lane in self._lanes.values() if lane.waiting]
        longest = max(lanes, key=lambda lane: getattr(lane, measure), default=None)
        if longest is None or getattr(longest, measure) <= (getattr(own, measure) if own is not None else 0) + size:
            return None
        return longest

    def _removed(self, row: PendingRow) -> None:
        self._rows -= 1
        self._bytes -= row.size
        if not self._lanes[row.key].rows:
            self._forget(row.key)
        self._left[row.generation] -= 1
        if not self._left[row.generation]:
            del self._left[row.generation]
            self._sent.notify_all()

    def _forget(self, key: str) -> None:
        """Remove the lane of a key that has no rows: tenants come and go. What it taught stays for a while."""
        pace = self._lanes.pop(key).pace
        if pace.rate < math.inf or pace.failures:
            self._paces[key] = pace
            if len(self._paces) > _MAX_PACES:
                del self._paces[next(iter(self._paces))]

    # --- the next row ---------------------------------------------------------------------------

    def _open_lane(self, now: float) -> Lane | None:
        probes = None
        for key, lane in self._lanes.items():
            if (moment := lane.opens_at(now)) is None or moment > now:
                continue
            if lane.pace.failures:
                # A tenant whose requests hang keeps a connection busy. Half of them stay for those that are well.
                probes = sum(other.is_probing for other in self._lanes.values()) if probes is None else probes
                if probes >= max(self._connections // 2, 1):
                    continue
            if len(self._lanes) > 1:  # moved to the end, so that the other keys come next
                self._lanes[key] = self._lanes.pop(key)
            return lane
        return None

    def _wait(self, now: float, until: float) -> None:
        """Wait for a change, and for the next moment at which a row may be sent, if no other thread waits for that."""
        moment = self.opens_at()
        watches = moment is not None and moment < self._watched_until
        if moment is not None and watches:
            self._watched_until = moment
        moments = [end for end in (moment if watches else None, until) if end is not None and now < end < math.inf]
        self._idle += 1
        try:
            self._changed.wait(max(min(moments) - now, 0.001) if moments else None)
        finally:
            self._idle -= 1
            if watches and self._watched_until == moment:
                self._watched_until = math.inf
