"""Ends requests whose time is over: urllib3 limits each read, and not a request as a whole."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# The thread that watches deadlines ends after this many seconds without a request.
_LINGER: Final = 30.0


class Deadline:
    """The time by which a request must have ended.

    Attributes:
        end: By the monotonic clock.
        has_passed: The request was cut because the time was over.
        connection: The connection that the request uses.
    """

    def __init__(self, end: float) -> None:
        self.end = end
        self.has_passed = False
        self.connection: Any = None

    def cut(self) -> None:
        """End the request by shutting its socket down."""
        self.has_passed = True
        with contextlib.suppress(Exception):  # the connection may be in any state
            self.connection.sock.shutdown(socket.SHUT_RDWR)


class RequestDeadlines:
    """Cuts requests whose time is over, in a thread that lives while there are requests."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._deadlines: dict[int, Deadline] = {}
        self._runs = False
        self._next_end = math.inf
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def deadline(self, seconds: float) -> Iterator[Deadline]:
        """Cut the request that this thread makes inside of the block if it takes longer than `seconds`."""
        deadline = Deadline(time.monotonic() + seconds)
        with self._changed:
            self._deadlines[id(deadline)] = deadline
            self._start()
            if deadline.end < self._next_end:
                self._changed.notify()
        self._of_thread.deadline = deadline
        try:
            yield deadline
        finally:
            self._of_thread.deadline = None
            with self._changed:
                del self._deadlines[id(deadline)]

    def set_connection(self, connection: Any) -> None:
        """Remember the connection that this thread is about to use."""
        deadline = getattr(self._of_thread, "deadline", None)
        if deadline is not None:
            deadline.connection = connection

    def _start(self) -> None:
        if not self._runs:
            # No thread can start while the interpreter ends. Then only the time-outs of the sockets hold.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._run, name="helicone-otel-watch", daemon=True).start()
                self._runs = True

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for deadline in list(self._deadlines.values()):
                    if deadline.end <= now and not deadline.has_passed:
                        deadline.cut()
                ends = (deadline.end for deadline in self._deadlines.values() if not deadline.has_passed)
                self._next_end = min(ends, default=math.inf)
                left = max(self._next_end - now, 0.01) if self._next_end < math.inf else _LINGER
                if not self._changed.wait(left) and not self._deadlines:
                    self._runs = False
                    return


def watched(pools: urllib3.PoolManager, deadlines: RequestDeadlines) -> urllib3.PoolManager:
    """Let the connections of some pools tell the deadlines when they are used; return the pools."""

    class Plain(HTTPConnection):
        def request(self, *args: Any, **kwargs: Any) -> None:
            deadlines.set_connection(self)
            super().request(*args, **kwargs)

    class Encrypted(HTTPSConnection):
        def request(self, *args: Any, **kwargs: Any) -> None:
            deadlines.set_connection(self)
            super().request(*args, **kwargs)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    pools.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
    return pools
