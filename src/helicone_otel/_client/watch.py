"""Ends requests that take too long as a whole.

A socket's time-out starts anew with each byte, so a server that sends one every few seconds is waited for
without end. Beyond its time a connection is shut from here.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

# The thread ends where no request has been made for so many seconds.
_LINGER: Final = 30.0


class Watch:
    """Watches over the requests of one client, in a thread of its own while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._limits: dict[int, Limit] = {}
        self._runs = False
        self._until = math.inf
        self._mine = threading.local()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[Limit]:
        """Let what this thread sends in the block take so long, and no longer."""
        limit = Limit(time.monotonic() + seconds)
        with self._changed:
            self._limits[id(limit)] = limit
            self._start()
            if limit.end < self._until:
                self._changed.notify()
        self._mine.limit = limit
        try:
            yield limit
        finally:
            self._mine.limit = None
            with self._changed:
                del self._limits[id(limit)]

    def sends_over(self, connection: Any) -> None:
        """Take note of the connection that this thread is about to use."""
        limit = getattr(self._mine, "limit", None)
        if limit is not None:
            limit.connection = connection

    def _start(self) -> None:
        if not self._runs:
            # Where the interpreter ends no thread can be started; then the sockets' own time-outs must do.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._run, name="helicone-otel-watch", daemon=True).start()
                self._runs = True

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for limit in list(self._limits.values()):
                    if limit.end <= now and not limit.passed:
                        limit.cut()
                self._until = min((limit.end for limit in self._limits.values() if not limit.passed), default=math.inf)
                left = max(self._until - now, 0.01) if self._until < math.inf else _LINGER
                if not self._changed.wait(left) and not self._limits:
                    self._runs = False
                    return


class Limit:
    """How long one request may take.

    Attributes:
        passed: Its time is over.
    """

    def __init__(self, end: float) -> None:
        self.end = end
        self.passed = False
        self.connection: Any = None

    def cut(self) -> None:
        """End it."""
        self.passed = True
        with contextlib.suppress(Exception):  # whatever state it is in
            self.connection.sock.shutdown(socket.SHUT_RDWR)
