"""Sends one row, once: over connections that stay open, within a time that is given."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401  # else the first connection loads it, in a thread: see `Client`
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .connections import pools
from .queue import PendingRow
from .verdict import Delivery, DeliveryResult, judge

# The thread ends where no request has been made for so many seconds.
_LINGER: Final = 30.0


class RequestDeadlines:
    """Watches over the requests of one client, in a thread of its own while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._limits: dict[int, Deadline] = {}
        self._runs = False
        self._until = math.inf
        self._mine = threading.local()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[Deadline]:
        """Let what this thread sends in the block take so long, and no longer."""
        limit = Deadline(time.monotonic() + seconds)
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


class Deadline:
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


_CONNECT_WITHIN: Final = 5.0
# An answer of Helicone's has two letters.
_MAX_ANSWER: Final = 65536
# What was open longer than this without being used may be gone: load balancers drop it, and in a process that
# was frozen meanwhile no end of a connection is seen.
_MAX_IDLE: Final = 20.0
_TOO_LATE: Final = DeliveryResult(Delivery.LATER, "Helicone did not answer in time", answered=True)


class RowSender:
    """The way to Helicone.

    Args:
        endpoint: The address of its log, for which the environment may name a proxy.
        connections: How many are kept open at most.
        seconds: How long one request may take as a whole.
    """

    def __init__(self, endpoint: str, connections: int, seconds: float) -> None:
        self._seconds = seconds
        self._watch = RequestDeadlines()
        self._pools = _pools(endpoint, connections, self._watch)
        self._used = time.time()

    def send(self, row: PendingRow, seconds: float | None = None) -> DeliveryResult:
        """Send a row and say what became of it. Never raises.

        Args:
            row: The row.
            seconds: How long it may take, if that is less than usual.
        """
        within = min(self._seconds, seconds) if seconds is not None else self._seconds
        now = time.time()  # not the monotonic clock, which may stand still where a process is frozen
        if now - self._used > _MAX_IDLE:
            self._pools.clear()
        self._used = now
        with self._watch.limit(within) as limit:
            try:
                return self._answer(row, within)
            except Exception as error:  # noqa: BLE001  # whatever it is, this row has failed and the next may not
                result = _judge_error(error, limit)
                # Cut short by whoever has no more time: that is no fault of the row's.
                return result if within >= self._seconds else result._replace(answered=False)

    def _answer(self, row: PendingRow, within: float) -> DeliveryResult:
        headers = {
            "Authorization": f"Bearer {row.key}",
            "Content-Type": "application/json",
            "User-Agent": "helicone-otel",
            **dict(row.headers),
        }
        response = self._pools.urlopen(
            "POST",
            row.url,
            body=row.body,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(_CONNECT_WITHIN, within), read=within),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            body = response.read(_MAX_ANSWER)
            return judge(response.status, response.headers, body)
        finally:
            if response.length_remaining == 0:
                response.release_conn()
            else:
                response.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pools.clear()


# The first that fits counts. Texts of errors may hold what was sent, so none of them is shown.
_ERRORS: Final[tuple[tuple[type[Exception], DeliveryResult], ...]] = (
    # One of urllib3's time-outs, too.
    (exceptions.NewConnectionError, DeliveryResult(Delivery.LATER, "Helicone cannot be reached")),
    (exceptions.TimeoutError, _TOO_LATE),
    (
        exceptions.SSLError,
        DeliveryResult(
            Delivery.REFUSED, "no encrypted connection to its address can be trusted, so nothing is sent there"
        ),
    ),
    (
        exceptions.ProtocolError,
        DeliveryResult(Delivery.LATER, "the connection to Helicone broke off", answered=True, stale=True),
    ),
    (exceptions.HTTPError, DeliveryResult(Delivery.LATER, "the request to Helicone failed", answered=True)),
    (OSError, DeliveryResult(Delivery.LATER, "Helicone cannot be reached")),
    (Exception, DeliveryResult(Delivery.REFUSED, "it cannot be sent")),
)


def _judge_error(error: Exception, limit: Deadline) -> DeliveryResult:
    if limit.passed:
        return _TOO_LATE
    result = next(result for kind, result in _ERRORS if isinstance(error, kind))
    if isinstance(error, exceptions.SSLError):
        cause = error.args[0] if error.args else None
        # A connection that broke off while it was being encrypted: that may pass.
        ended = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        return (
            DeliveryResult(Delivery.LATER, "Helicone cannot be reached")
            if ended
            else result._replace(detail=str(error))
        )
    return result._replace(detail=type(error).__name__)


def _pools(endpoint: str, connections: int, watch: RequestDeadlines) -> urllib3.PoolManager:
    made = pools(endpoint, connections)
    made.pool_classes_by_scheme = _watched(watch)
    return made


def _watched(watch: RequestDeadlines) -> dict[str, type[HTTPConnectionPool]]:
    """Return the classes of pools whose connections tell the watch when they are used."""

    class Plain(HTTPConnection):
        def request(self, *args: Any, **kwargs: Any) -> None:
            watch.sends_over(self)
            super().request(*args, **kwargs)

    class Encrypted(HTTPSConnection):
        def request(self, *args: Any, **kwargs: Any) -> None:
            watch.sends_over(self)
            super().request(*args, **kwargs)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
