"""Makes rows in a thread of its own, because the user's functions (`key_for`, `redact`) may take any time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from ...failures import swallow
from .threads import Condition, Lock, start

# The thread ends after this many seconds without work, because exporters come and go.
_LINGER: Final = 30.0
# How often one that waits looks whether the thread runs, in seconds.
_STEP: Final = 0.1


class RowMaker:
    """Does one piece of work after the other, in the order in which it came.

    Args:
        max_rows: How many pieces of work wait at most.
        max_bytes: How much memory they may take.
        inside: The context in which the thread works.

    Attributes:
        bytes: How much memory is taken by what waits or is being made.
    """

    def __init__(self, max_rows: int, max_bytes: int, inside: Callable[[], AbstractContextManager[None]]) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._inside = inside
        lock = Lock()
        self._more, self._less = Condition(lock), Condition(lock)
        self._waiting: deque[tuple[Callable[[], object], int]] = deque()
        # How many pieces came, and how many are done.
        self._came = self._done = 0
        self._runs = False
        self.bytes = 0

    def __len__(self) -> int:
        return self._came - self._done

    def put(self, make: Callable[[], object], size: int) -> bool:
        """Do some work later, and return true; or return false if there is no room for it.

        Args:
            make: The work.
            size: How much memory it takes until it is done.
        """
        with self._more:
            if len(self) >= self._max_rows or (len(self) and self.bytes + size > self._max_bytes):
                return False
            self._waiting.append((make, size))
            self._came += 1
            self.bytes += size
            self._more.notify()
        self._start()
        return True

    def wait_for_room(self, until: float | None) -> bool:
        """Wait until there are fewer pieces of work than may wait; return whether that is so. See `finish`."""
        return self._wait_until_done(lambda: len(self) < self._max_rows, until)

    def finish(self, until: float) -> bool:
        """Wait until all is done that came before, and return whether that is so.

        If no thread can be started, the work is done here.

        Args:
            until: How long to wait, by the monotonic clock.
        """
        last = self._came
        return self._wait_until_done(lambda: self._done >= last, until)

    def _wait_until_done(self, is_done: Callable[[], bool], until: float | None) -> bool:
        while not is_done():
            left = _STEP if until is None else until - time.monotonic()
            if left <= 0:
                return False
            self._start()
            if not self._runs:
                with self._inside():
                    if self._make_next():
                        continue
            self._less.wait_beside(is_done, min(left, _STEP))
        return True

    def _start(self) -> None:
        with self._more:
            if self._runs or not self._waiting:
                return
            self._runs = True
        try:
            start(self._work, "helicone-otel-make")
        except RuntimeError:  # the interpreter ends, or there are too many threads
            self._runs = False

    def _work(self) -> None:
        has_begun = False
        try:
            with self._inside():
                has_begun = True
                while self._wait():
                    self._make_next()
        finally:  # the user's function may end the thread
            self._runs = False
            if has_begun:
                self._start()  # some work may have come just now

    def _wait(self) -> bool:
        """Wait for work, and return whether there is some."""
        with self._more:
            if not self._waiting:
                self._more.wait(_LINGER)
            return bool(self._waiting)

    def _make_next(self) -> bool:
        """Make what waits longest, and return whether there was anything."""
        try:
            make, size = self._waiting.popleft()
        except IndexError:  # another thread took it
            return False
        try:
            make()
        except Exception as error:  # noqa: BLE001  # the next rows must be made all the same
            swallow("log exporter", error)
        finally:
            with self._less:
                self._done += 1
                self.bytes -= size
                self._less.notify_all()
        return True
