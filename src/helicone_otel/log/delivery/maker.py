"""Makes rows in a thread of its own, because the user's functions (`key_for`, `redact`) may take any time.

The work of one tenant is done in the order in which it came, by one thread at a time. While a function of the user
takes long, another thread does the work of the other tenants.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import Final, NamedTuple

from ...failures import swallow
from .threads import Condition, Lock, start

# A thread ends after this many seconds without work, because exporters come and go.
_LINGER: Final = 30.0
# How often one that waits looks whether the threads run, in seconds.
_STEP: Final = 0.1
# After so many seconds with the same piece of work, another thread does that of other tenants.
_LONG: Final = 0.1
_MAX_THREADS: Final = 16


class _Work(NamedTuple):
    number: int
    make: Callable[[], object]
    size: int


class _Lane(deque[_Work]):
    """The work of one tenant that waits."""

    def __init__(self, tenant: Hashable) -> None:
        super().__init__()
        self.tenant = tenant
        self.bytes = 0


class RowMaker:
    """Does the work of one tenant after that of the other, in turn.

    If there is no room, the tenant with the most work loses its newest, as in `RowQueue`.

    Args:
        max_rows: How many pieces of work wait at most.
        max_bytes: How much memory they may take.
        inside: The context in which the threads work.

    Attributes:
        bytes: How much memory is taken by what waits or is being made.
    """

    def __init__(self, max_rows: int, max_bytes: int, inside: Callable[[], AbstractContextManager[None]]) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._inside = inside
        lock = Lock()
        self._more, self._less = Condition(lock), Condition(lock)
        self._lanes: dict[Hashable, _Lane] = {}
        # The tenants whose work is being done, and since when.
        self._busy: dict[Hashable, float] = {}
        # The numbers of the pieces of work that are not done, in their order.
        self._open: dict[int, None] = {}
        self._came = 0
        # How many threads there are, and how many of these look whether another one takes long.
        self._threads = self._watchers = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def put(self, make: Callable[[], object], size: int, tenant: Hashable = None) -> int:
        """Do some work later.

        Args:
            make: The work.
            size: How much memory it takes until it is done.
            tenant: For whom it is done.

        Returns:
            How many pieces of work are dropped because there is no room, this one or others.
        """
        with self._more:
            lost = 0
            while measure := self._full(size):
                if (longer := self._longer_lane(tenant, measure, size)) is None:
                    return lost + 1
                self._drop_newest(longer)
                lost += 1
            lane = self._lanes.setdefault(tenant, _Lane(tenant))
            lane.append(_Work(self._came, make, size))
            lane.bytes += size
            self._open[self._came] = None
            self._came += 1
            self.bytes += size
            if not self._busy or (tenant not in self._busy and not self._watchers):
                self._more.notify()
        self._start()
        return lost

    def wait_for_room(self, until: float | None) -> bool:
        """Wait until there are fewer pieces of work than may wait; return whether that is so. See `finish`."""
        return self._wait_until_done(lambda: len(self) < self._max_rows, until)

    def with_room(self, tenants: Iterable[Hashable]) -> list[Hashable]:
        """Return the first of some tenants for whose work there is a place; none if there is none."""
        with self._more:
            has_places = len(self) < self._max_rows
            longest = max(map(len, self._lanes.values()), default=0)
            with_room = (each for each in tenants if has_places or len(self._lanes.get(each, ())) + 1 < longest)
            return list(islice(with_room, 1))

    def finish(self, until: float) -> bool:
        """Wait until all is done that came before, and return whether that is so.

        If no thread can be started, the work is done here.

        Args:
            until: How long to wait, by the monotonic clock.
        """
        with self._more:
            end = self._came
        return self._wait_until_done(lambda: next(iter(self._open), end) >= end, until)

    # --- room ---------------------------------------------------------------------------------

    def _full(self, size: int) -> Callable[[_Lane], int] | None:
        """Return what there is too much of: places or memory; `None` if a piece of work has room."""
        if len(self) >= self._max_rows:
            return len
        if len(self) and self.bytes + size > self._max_bytes:
            return _bytes_of
        return None

    def _longer_lane(self, tenant: Hashable, measure: Callable[[_Lane], int], size: int) -> _Lane | None:
        """Return the longest lane, if it is longer than that of a tenant would be with one more piece of work."""
        longest = max(self._lanes.values(), key=measure, default=None)
        own = self._lanes.get(tenant)
        length = (measure(own) if own is not None else 0) + (1 if measure is len else size)
        return longest if longest is not None and measure(longest) > length else None

    def _drop_newest(self, lane: _Lane) -> None:
        work = lane.pop()
        lane.bytes -= work.size
        if not lane:
            del self._lanes[lane.tenant]
        self._remove(work)

    def _remove(self, work: _Work) -> None:
        del self._open[work.number]
        self.bytes -= work.size
        self._less.notify_all()

    # --- the threads --------------------------------------------------------------------------

    def _wait_until_done(self, is_done: Callable[[], bool], until: float | None) -> bool:
        def is_done_now() -> bool:
            with self._more:
                return is_done()

        while not is_done_now():
            left = _STEP if until is None else until - time.monotonic()
            if left <= 0:
                return False
            self._start()
            if not self._threads:
                with self._inside():
                    if self._make_next():
                        continue
            self._less.wait_beside(is_done, min(left, _STEP))
        return True

    def _start(self) -> None:
        """Start a thread if there is none for work that waits, or none that looks whether the others take long."""
        with self._more:
            waits = self._waits() and not self._watchers and self._threads <= len(self._busy)
            if not waits or self._threads >= _MAX_THREADS:
                return
            self._threads += 1
        try:
            start(self._work, "helicone-otel-make")
        except RuntimeError:  # the interpreter ends, or there are too many threads
            self._count_out()

    def _count_out(self) -> None:
        with self._more:
            self._threads -= 1

    def _waits(self) -> bool:
        """Tell whether work waits of which no thread does the tenant's."""
        return not self._lanes.keys() <= self._busy.keys()

    def _work(self) -> None:
        has_begun = False
        try:
            with self._inside():
                has_begun = True
                while self._wait():
                    with suppress(BaseException):  # the user's function may raise what ends a thread
                        self._make_next()
                    self._start()
        finally:
            self._count_out()
            if has_begun:
                self._start()  # some work may have come just now

    def _wait(self) -> bool:
        """Wait for work, and return whether there is some."""
        until = time.monotonic() + _LINGER
        with self._more:
            while (now := time.monotonic()) < until:
                if self._waits() and all(now - began >= _LONG for began in self._busy.values()):
                    return True
                if not self._waits():
                    self._more.wait(until - now)
                    continue
                if self._watchers:  # one is enough
                    return False
                self._watchers += 1
                try:
                    self._more.wait(_LONG)
                finally:
                    self._watchers -= 1
            return False

    def _make_next(self) -> bool:
        """Do what waits longest of the next tenant, and return whether there was anything."""
        with self._more:
            tenant = next((each for each in self._lanes if each not in self._busy), self)
            if tenant is self:  # another thread took it
                return False
            lane = self._lanes.pop(tenant)
            work = lane.popleft()
            lane.bytes -= work.size
            if lane:  # at the end, so that the other tenants come next
                self._lanes[tenant] = lane
            self._busy[tenant] = time.monotonic()
        self._start()  # this thread may have been the one that looks whether the others take long
        try:
            work.make()
        except Exception as error:  # noqa: BLE001  # the next rows must be made all the same
            swallow("log exporter", error)
        finally:
            with self._less:
                del self._busy[tenant]
                self._remove(work)
        return True


def _bytes_of(lane: _Lane) -> int:
    return lane.bytes
