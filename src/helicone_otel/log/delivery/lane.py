"""The rows of one key, which are sent at one pace. A key belongs to one address, so a lane has one server."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from .pace import CHANCE, Pace, pause_after
from .verdict import DeliveryResult

# The memory that a row takes beside its body: the object itself, its id, its entry in the lane.
_OVERHEAD: Final = 1024
# A row is given up when the failures that are not explained by the server's own trouble sum up to this.
_MAX_BLAME: Final = 10.0
# The share of new rows that fail is an average in which each answer counts with this weight.
_WEIGHT: Final = 1 / 16
_numbers = count()


@dataclass(slots=True, eq=False)
class PendingRow:
    """A row that waits, or is being sent.

    Attributes:
        id: The row's id.
        key: The API key that it is sent with.
        url: The URL that it is sent to.
        body: What is posted.
        failures: How often it was put off or failed, rate limits aside.
        blame: How surely its failures are its own fault and not the server's.
        paused_before: How many pauses its lane had had when it was sent last.
        generation: For which flushes it is sent: see `RowQueue`.
    """

    id: str
    key: str = field(repr=False)
    url: str
    body: bytes = field(repr=False)
    failures: int = 0
    blame: float = 0.0
    paused_before: int = 0
    generation: int = 0

    @property
    def size(self) -> int:
        """How much memory it is counted with, in bytes."""
        return len(self.body) + _OVERHEAD


class Lane:
    """The rows of one key that wait or are being sent.

    Args:
        pace: Decides when the next row may leave.
        connections: How many rows may be under way at a time.

    Attributes:
        pace: The same.
        rows: How many rows there are, those under way included.
        bytes: How much memory they are counted with.
        under_way: How many rows are being sent.
    """

    def __init__(self, pace: Pace, connections: int) -> None:
        self.pace = pace
        self.rows = self.bytes = self.under_way = 0
        self._connections = connections
        # Which share of the rows fail that are sent for the first time.
        self._new_failing = 0.0
        self._waiting: deque[PendingRow] = deque()
        # Rows that may be at fault themselves, and are sent when no other waits.
        self._suspects: deque[PendingRow] = deque()
        # The row that is sent to see whether a pause was long enough.
        self._probe: PendingRow | None = None
        # Rows that were put off alone: when each may leave, its number, by whose wish it waits, and the row.
        self._put_off: list[tuple[float, int, bool, PendingRow]] = []

    @property
    def waiting(self) -> int:
        """How many rows are not under way."""
        return self.rows - self.under_way

    @property
    def is_probing(self) -> bool:
        """Whether a row is under way to see whether a pause was long enough."""
        return self._probe is not None

    def add(self, row: PendingRow) -> None:
        """Add a new row."""
        self._waiting.append(row)
        self.rows += 1
        self.bytes += row.size

    def opens_at(self, now: float) -> float | None:
        """Return when a row may leave, which may be in the past; `None` if only an answer can change that."""
        if not self.waiting or self.under_way >= self._connections or (self.pace.failures and self.is_probing):
            return None
        return max(self.pace.open_from, now if self._waiting or self._suspects else self._put_off[0][0])

    def take(self, now: float) -> PendingRow:
        """Take the row that is to be sent next. Only at a time that `opens_at` returned, or later."""
        while self._put_off and self._put_off[0][0] <= now:
            self._bring_back(heapq.heappop(self._put_off)[3])
        rows = self._waiting or self._suspects
        # Any row is a probe, because many of the first ones may be at fault themselves.
        row = rows.popleft() if not self.pace.failures else _popped_anywhere(rows)
        row.paused_before = self.pace.paused
        self.under_way += 1
        self.pace.sent(now)
        if self.pace.failures:
            self._probe = row
        return row

    def delivered(self, row: PendingRow, now: float) -> None:
        """Remove a row that was delivered at a time."""
        self._came_back(row)
        if not row.failures:
            self._new_failing -= self._new_failing * _WEIGHT
        self.pace.delivered(now, row.paused_before)
        self._remove(row)

    def refused(self, row: PendingRow) -> None:
        """Remove a row that was refused for good. This says nothing about the other rows."""
        self._came_back(row)
        self._remove(row)

    def put_back(self, row: PendingRow, result: DeliveryResult, now: float) -> bool:
        """Put a row back that may be delivered later.

        Args:
            row: The row.
            result: Why it was not delivered.
            now: The time.

        Returns:
            False if the row is given up: it failed again and again while others were delivered.
        """
        self._came_back(row)
        if not result.limited:
            if not row.failures:
                self._new_failing += (1 - self._new_failing) * _WEIGHT
            row.failures += 1
        if result.blames_row:
            # Where half of the rows fail at first, a failure says half as much about the row.
            row.blame += 1 - self._new_failing
        pauses = self.pace.put_off(now, result.wait, limited=result.limited, paused_before=row.paused_before)
        if row.blame >= _MAX_BLAME:
            self._remove(row)
            return False
        if pauses:
            self._bring_back(row)
        else:
            wait = pause_after(row.failures, alone=True) if result.wait is None else result.wait
            heapq.heappush(self._put_off, (now + wait, next(_numbers), result.wait is not None, row))
        return True

    def end_own_pauses(self) -> None:
        """End all pauses that no server asked for."""
        self.pace.end_own_pause()
        asked = [entry for entry in self._put_off if entry[2]]
        for _, _, is_asked, row in sorted(self._put_off, reverse=True):
            if not is_asked:
                self._bring_back(row)
        heapq.heapify(asked)
        self._put_off = asked

    def pop_newest(self) -> PendingRow:
        """Remove the row that would be sent last, and return it."""
        row = self._suspects.pop() if self._suspects else None
        row = row or (self._waiting.pop() if self._waiting else self._put_off.pop()[3])
        self._remove(row)
        return row

    def _bring_back(self, row: PendingRow) -> None:
        """Let a row wait that was sent before: before all others, unless it may never be accepted."""
        if row.blame:
            self._suspects.append(row)
        else:
            self._waiting.appendleft(row)

    def _came_back(self, row: PendingRow) -> None:
        self.under_way -= 1
        if row is self._probe:
            self._probe = None

    def _remove(self, row: PendingRow) -> None:
        self.rows -= 1
        self.bytes -= row.size


def _popped_anywhere(rows: deque[PendingRow]) -> PendingRow:
    index = CHANCE.randrange(len(rows))
    row = rows[index]
    del rows[index]
    return row
