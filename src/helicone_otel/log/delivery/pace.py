"""Learns from a server's answers how fast the rows of one key may be sent.

Three things are told apart. A row that is put off now and then waits alone. If the server puts off more than half of
the rows, the lane pauses, and one row is sent as a probe. A server that limits the rate (429) is obeyed at once, and
if it does so with more than the odd row, the lane pauses in the same way. After such a pause rows leave at the rate at
which the server took them, and slowly faster.
"""

from __future__ import annotations

import math
import random
from typing import Final

# Of our own, because an app that seeds Python's may count on the numbers that follow.
CHANCE: Final = random.Random()  # noqa: S311  # not used for security
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
# A row that waits alone does so for a shorter time at first: the server is well, as the other rows show.
_ALONE: Final = 0.1
# The share of rows that were put off is an average in which each new answer counts with this weight.
_WEIGHT: Final = 1 / 16
# From this share on the server is in trouble. By chance, a server that fails with one row in five never comes so far.
_TOO_MANY: Final = 0.6
# The same if the server says that it limits the rate. A server with many nodes does so now and then at any rate. After
# a pause for that the average begins anew, as that of all answers.
_TOO_MANY_LIMITED: Final = 0.1
_LIMITED_WEIGHT: Final = 1 / 128
# After more pauses than these in a row a server was down, which says nothing about the rate.
_SHORT_OUTAGE: Final = 2
# The share after a probe was delivered.
_AFTER_PROBE: Final = 0.25
# The rate is measured over at least this many seconds: at first a server takes a burst of rows.
_SHORTEST_MEASUREMENT: Final = 1.0
# Rows leave a little slower than the server took them.
_MARGIN: Final = 0.95
_SLOWEST: Final = 0.2
# No answer that does not speak of a limit makes the first rate lower than this.
_SLOWEST_GUESS: Final = 5.0
# The rate grows by 2 % a second, and by 20 % after ten seconds without a refusal. 1,000 rows a second is no limit.
_QUIET: Final = 10.0
_GROWTH: Final = 1.02
_QUICK_GROWTH: Final = 1.2
_NO_LIMIT: Final = 1000.0
# A thread that wakes up late does not make the rows slower, if it is not later than this.
_MAX_LATE: Final = 0.01


class Pace:
    """Decides when the next row of a lane may leave.

    Times are in seconds, of one clock that never goes back.

    Args:
        now: The time.

    Attributes:
        rate: How many rows may leave in a second.
        failures: How many pauses there were since a row was delivered.
        put_off_share: About which share of the last rows the server put off.
        paused: How many pauses there have been. A row that left before the last one says nothing new about the server.
    """

    def __init__(self, now: float) -> None:
        self.rate = math.inf
        self.failures = 0
        self.put_off_share = self._limited_share = 0.0
        self.paused = 0
        self._next = self._own_pause_until = self._server_pause_until = 0.0
        # The rate grows from `_slowed` on; `_grown` is until when that has been reckoned.
        self._slowed = self._grown = now
        self._measured_since, self._delivered = now, 0
        self._answered = 0  # how many rows were, since the server last limited the rate
        self._is_limited = False  # whether the last pause was for that

    @property
    def open_from(self) -> float:
        """When the next row may leave."""
        return max(self._next, self._own_pause_until, self._server_pause_until)

    def measure_from(self, now: float) -> None:
        """Begin a new measurement: the lane was empty, so what it delivered before is not all that it could."""
        self._measured_since, self._delivered = now, 0

    def sent(self, now: float) -> None:
        """Take note that a row leaves."""
        if self.rate < math.inf:
            self._grow(now)
            self._next = max(self._next, now - _MAX_LATE) + 1 / self.rate

    def delivered(self, now: float, paused_before: int) -> None:
        """Take note that a row was delivered.

        Args:
            now: The time.
            paused_before: What `paused` was when the row left.
        """
        self._delivered += 1
        self.put_off_share -= self.put_off_share * _WEIGHT
        self._count_limited(0)
        if self.failures and paused_before == self.paused:
            if self.failures > _SHORT_OUTAGE and not self._is_limited:
                self.measure_from(now)
            self.failures, self.put_off_share = 0, _AFTER_PROBE

    def put_off(self, now: float, wait: float | None, *, limited: bool, paused_before: int) -> bool:
        """Take note that a row was put off, and pause if that is more than the odd row.

        Args:
            now: The time.
            wait: How many seconds the server asks us to wait, if it does.
            limited: The server says that rows come too fast.
            paused_before: What `paused` was when the row left.

        Returns:
            Whether the lane pauses. If it does not, the row waits alone.
        """
        self.put_off_share += (1 - self.put_off_share) * _WEIGHT
        if limited:
            self._count_limited(1)
        if paused_before != self.paused:
            if wait is not None:
                self._server_pause_until = max(self._server_pause_until, now + wait)
            return True
        is_limited = limited and self._limited_share >= _TOO_MANY_LIMITED
        if not (is_limited or self.failures or self.put_off_share >= _TOO_MANY):
            if limited and wait is not None:  # it is obeyed, and nothing more is made of it
                self.paused += 1
                self._server_pause_until = now + wait
            return limited and wait is not None
        if not self.failures:  # what is delivered during a pause had left before it
            self._measure(now, limited=limited)
        self.failures += 1
        self.paused += 1
        self._is_limited = is_limited
        if is_limited:
            self._answered = 0
        # A server that asks for a pause each time is obeyed first, and then left alone for longer.
        own = pause_after(self.failures - (wait is not None))
        self._own_pause_until = now + own
        self._server_pause_until = now + (wait or 0.0)
        self._slowed = self._grown = max(self._own_pause_until, self._server_pause_until)
        return True

    def end_own_pause(self) -> None:
        """End a pause that no server asked for."""
        self._own_pause_until = 0.0

    def _count_limited(self, limited: int) -> None:
        self._answered += 1
        self._limited_share += (limited - self._limited_share) * max(_LIMITED_WEIGHT, 1 / self._answered)

    def _measure(self, now: float, *, limited: bool) -> None:
        seconds = now - self._measured_since
        if seconds < _SHORTEST_MEASUREMENT:
            return
        if self._delivered:  # without a delivery nothing is known of the rate: the server is down
            at_least = _SLOWEST if limited else self.rate / 2 if self.rate < math.inf else _SLOWEST_GUESS
            self.rate = min(self.rate, max(self._delivered / seconds * _MARGIN, at_least))
        self.measure_from(now)

    def _grow(self, now: float) -> None:
        quick_from = self._slowed + _QUIET
        slow = max(min(now, quick_from) - self._grown, 0.0)
        quick = max(now - max(self._grown, quick_from), 0.0)
        self._grown = max(now, self._grown)
        # The exponent is bounded, because a lane may have waited for days.
        self.rate *= _GROWTH**slow * _QUICK_GROWTH ** min(quick, 100.0)
        if self.rate > _NO_LIMIT:
            self.rate = math.inf


def pause_after(failures: int, *, alone: bool = False) -> float:
    """Return how many seconds to wait after so many failures; zero after none.

    Args:
        failures: How many failures there were.
        alone: Only one row waits, and the others do not.
    """
    if failures <= 0:
        return 0.0
    first = FIRST_PAUSE * _ALONE if alone else FIRST_PAUSE
    pause: float = min(first * 2 ** min(failures - 1, 20), LONGEST_PAUSE)
    # Jitter, so that not all processes that saw a server fail return to it at once.
    return pause * CHANCE.uniform(0.5, 1.0)
