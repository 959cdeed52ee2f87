"""Sends one row once, within a deadline, over connections that stay open."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401  # loaded now, or the first connection would load it in a thread: see `Client`
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

from ...endpoints import is_api_server
from .connections import pools
from .queue import PendingRow
from .verdict import Delivery, DeliveryResult, result_of_answer

_CONNECT_WITHIN: Final = 5.0
# Helicone answers with two letters, or with none.
_MAX_ANSWER: Final = 65536
# A connection that was not used for longer may be gone: load balancers drop it, and a process that was frozen
# meanwhile did not see the end of it.
_MAX_IDLE: Final = 20.0
# The thread that watches deadlines ends after this many seconds without a request.
_LINGER: Final = 30.0


class RowSender:
    """Sends rows to Helicone.

    Args:
        endpoint: The address of its log. The environment may name a proxy for it.
        connections: How many connections stay open at most.
        seconds: How long one request may take as a whole.
    """

    def __init__(self, endpoint: str, connections: int, seconds: float) -> None:
        self._seconds = seconds
        self._is_api_server = is_api_server(endpoint)
        self._deadlines = RequestDeadlines()
        self._pools = watched(pools(endpoint, connections), self._deadlines)
        self._last_used = time.time()

    def send(self, row: PendingRow, seconds: float | None = None) -> DeliveryResult:
        """Send a row, and return the result. Never raises.

        Args:
            row: The row.
            seconds: How long it may take, if that is less than usual.
        """
        within = min(self._seconds, seconds) if seconds is not None else self._seconds
        now = time.time()  # not the monotonic clock, which may stop while a process is frozen
        if now - self._last_used > _MAX_IDLE:
            self._pools.clear()
        self._last_used = now
        with self._deadlines.deadline(within) as deadline:
            try:
                return self._post(row, within)
            except Exception as error:  # noqa: BLE001  # of any kind: this row failed, and the next may not
                result = _result_of_error(error, deadline)
                # A caller with less time than usual cut it short: that is not the row's fault.
                return result if within >= self._seconds else result._replace(answered=False)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pools.clear()

    def _post(self, row: PendingRow, within: float) -> DeliveryResult:
        headers = {
            "Authorization": f"Bearer {row.key}",
            "Content-Type": "application/json",
            "User-Agent": "helicone-otel",
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
            return result_of_answer(response.status, response.headers, body, is_api_server=self._is_api_server)
        finally:
            if response.length_remaining == 0:
                response.release_conn()
            else:
                response.close()


# --- deadlines: urllib3 limits each read, and not a request as a whole ----------------------------------


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


# --- errors ---------------------------------------------------------------------------------------------

_TOO_LATE: Final = DeliveryResult(Delivery.LATER, "Helicone did not answer in time", answered=True)
_UNREACHABLE: Final = DeliveryResult(Delivery.LATER, "Helicone cannot be reached")
_UNTRUSTED: Final = DeliveryResult(
    Delivery.REFUSED, "no encrypted connection to its address can be trusted, so nothing is sent there"
)
_BROKEN_OFF: Final = DeliveryResult(Delivery.LATER, "the connection to Helicone broke off", answered=True, stale=True)
# The first that fits counts. No text of an error is logged, because it may contain what was sent.
_ERRORS: Final[tuple[tuple[type[Exception], DeliveryResult], ...]] = (
    (exceptions.NewConnectionError, _UNREACHABLE),  # before the time-outs, because urllib3 makes it one of them
    (exceptions.TimeoutError, _TOO_LATE),
    (exceptions.SSLError, _UNTRUSTED),
    (exceptions.ProtocolError, _BROKEN_OFF),
    (exceptions.HTTPError, DeliveryResult(Delivery.LATER, "the request to Helicone failed", answered=True)),
    (OSError, _UNREACHABLE),
    (Exception, DeliveryResult(Delivery.REFUSED, "it cannot be sent")),
)


def _result_of_error(error: Exception, deadline: Deadline) -> DeliveryResult:
    if deadline.has_passed:
        return _TOO_LATE
    result = next(result for kind, result in _ERRORS if isinstance(error, kind))
    if isinstance(error, exceptions.SSLError):
        cause = error.args[0] if error.args else None
        # The connection broke off during the handshake, which may be different the next time.
        broke_off = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        return _UNREACHABLE if broke_off else result._replace(detail=str(error))
    return result._replace(detail=type(error).__name__)
