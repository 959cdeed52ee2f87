"""Bounds what the clients of the servers can hold: connections, memory for bodies, and threads that decode these.

uvicorn limits the size of a head (with h11, 64 KiB) and the time between two requests on a connection. It limits
neither the time that a head may take, nor the time that a client may take to read an answer. And if it limits the
number of connections, a few hundred slow ones keep all others out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ..body_limits import TooLongError, gunzipped

# --- connections --------------------------------------------------------------------------------------

# The limit for the head of a request. A head usually arrives in one packet.
HEAD_SECONDS = 10.0
# The limit for the time in which a client reads nothing of an answer.
READ_SECONDS = 30.0
# The connections that may stay, and those that may be open at once. Many can come in the moment in which a client has
# connected and its request is on its way, so that a connection may stay for a moment in any case.
MAX_CONNECTIONS = 96
MAX_AT_ONCE = 400
GRACE_SECONDS = 1.0


class ClientTimeoutProtocol(H11Protocol):
    """Closes connections whose clients are too slow.

    A head may take `HEAD_SECONDS`, and a client that reads an answer may pause for `READ_SECONDS`. When there are
    `MAX_CONNECTIONS`, a new one takes the place of the one whose client has kept the server waiting longest, but not of
    one that waits for less than `GRACE_SECONDS`, unless there are `MAX_AT_ONCE`.
    """

    _since: float | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first head."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._wait_for_head()
        _make_room(self.connections, self._began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    # --- requests -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering or self.timeout_keep_alive_task is not None:
            self._since = None
        elif self._since is None:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._since = self.loop.time()
        self.loop.call_later(HEAD_SECONDS, self._close_if_waiting, self._since)

    def _close_if_waiting(self, since: float) -> None:
        if self._since == since and not self.transport.is_closing():
            self.transport.close()

    # --- answers ------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Wait until the client has read what was written."""
        super().pause_writing()
        self._stop_waiting_for_reader()
        self._reading = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Write the next part."""
        super().resume_writing()
        self._stop_waiting_for_reader()

    def _stop_waiting_for_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._began = self.loop.time()
        super().on_response_complete()

    # --- the number of connections ------------------------------------------------------------

    @property
    def waits_since(self) -> float | None:
        """When the server began to wait for this client; `None` while the client waits for the server."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused:
            return self._began
        return None


def _make_room(connections: set[Any], now: float) -> None:
    over = len(connections) - MAX_CONNECTIONS
    if over <= 0:
        return
    waiting = sorted((one for one in connections if one.waits_since is not None), key=lambda one: one.waits_since)
    too_many = len(connections) - MAX_AT_ONCE
    for number, one in enumerate(waiting[:over]):
        if number >= too_many and now - one.waits_since < GRACE_SECONDS:
            return
        connections.discard(one)  # it is lost only when the loop comes to it
        one.transport.abort()


# --- bodies -------------------------------------------------------------------------------------------

MAX_BODY: Final = 32 * 1024 * 1024
# All bodies that arrive, or wait to be decoded, at one time.
MAX_ALL_BODIES: Final = 64 * 1024 * 1024
# Bodies of this size cannot fill the memory: there are not so many connections.
SMALL: Final = 64 * 1024
_BODY_SECONDS: Final = 30.0
_MAX_DIGITS: Final = 12
_BAD_REQUEST, _TIMEOUT, _TOO_LARGE, _BUSY = 400, 408, 413, 503


class BodyError(Exception):
    """The body cannot be accepted.

    Args:
        status: The HTTP status of the answer.
        message: What is wrong, for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BodyReader:
    """Reads bodies within limits for each body and for all bodies together.

    When the memory for all bodies is full, the large body that has been arriving longest gives way. Ordinary bodies
    arrive at once, so that slow ones cannot keep them out.

    Args:
        most: The bytes that one body may have; by default `MAX_BODY`.

    Attributes:
        size: The bytes of all bodies that are in memory.
    """

    def __init__(self, most: int | None = None) -> None:
        self.size = 0
        self._most = MAX_BODY if most is None else most
        # In the order in which they began.
        self._arriving: dict[_Body, None] = {}

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request. It counts against the limit for all bodies while the block runs.

        Raises:
            BodyError: The body is too large, arrives too slowly, or has to give way to others.
        """
        _check_length(request, self._most)
        body = _Body()
        try:
            await self._receive(request, body)
            yield body.joined()
        finally:
            self._release(body)

    async def _receive(self, request: Request, body: _Body) -> None:
        self._arriving[body] = None
        try:
            async with asyncio.timeout(_BODY_SECONDS) as body.deadline:
                async for part in request.stream():
                    self._add(body, part)
        except TimeoutError:
            if not body.gave_way:
                raise BodyError(_TIMEOUT, "the body took too long") from None
        except ClientDisconnect:
            raise BodyError(_BAD_REQUEST, "the body ended early") from None
        finally:
            self._arriving.pop(body, None)
        # Perhaps with its last part: then nothing waited for the deadline any more.
        if body.gave_way:
            raise BodyError(_BUSY, "too many large bodies at one time; try again")

    def _add(self, body: _Body, part: bytes) -> None:
        if body.gave_way:
            return
        body.parts.append(part)
        body.size += len(part)
        self.size += len(part)
        if body.size > self._most:
            raise BodyError(_TOO_LARGE, f"the body has more than {self._most} bytes")
        while self.size > MAX_ALL_BODIES and self._arriving:
            self._give_way(self._slowest())

    def _slowest(self) -> _Body:
        """Return the body that has been arriving longest; one that frees memory, if there is one."""
        return next((one for one in self._arriving if one.size > SMALL), None) or next(iter(self._arriving))

    def _give_way(self, body: _Body) -> None:
        del self._arriving[body]
        self._release(body)
        body.gave_way = True
        if body.deadline is not None:
            body.deadline.reschedule(0)  # a time that has passed

    def _release(self, body: _Body) -> None:
        self.size -= body.size
        body.size = 0
        body.parts.clear()


class _Body:
    """One body while it arrives."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.gave_way = False
        self.deadline: asyncio.Timeout | None = None

    def joined(self) -> bytes:
        """Return the whole body, and keep it only once."""
        if len(self.parts) > 1:
            self.parts = [b"".join(self.parts)]
        return self.parts[0] if self.parts else b""


def _check_length(request: Request, most: int) -> None:
    length = request.headers.get("content-length", "")
    if length and (not length.isascii() or not length.isdigit()):
        raise BodyError(_BAD_REQUEST, "Content-Length is not a number")
    if length and (len(length) > _MAX_DIGITS or int(length) > most):
        raise BodyError(_TOO_LARGE, f"the body has more than {most} bytes")


# --- decoding -----------------------------------------------------------------------------------------

# Larger bodies are decoded one at a time, so that small ones need not wait for them.
_SMALL_DECODED: Final = 256 * 1024
_THREADS: Final = 2

_T = TypeVar("_T")


class Decoder:
    """Decompresses and decodes bodies, only a few at one time, because it takes a multiple of a body's memory."""

    def __init__(self) -> None:
        self._small = ThreadPoolExecutor(_THREADS, "view-decode-small")
        self._large = ThreadPoolExecutor(1, "view-decode-large")

    def decode(self, body: bytes, decode: Callable[[bytes], _T]) -> Future[_T]:
        """Return a future with what `decode` returns of a body."""
        pool = self._small if len(body) <= _SMALL_DECODED else self._large
        return pool.submit(decode, body)

    async def decode_gzip(self, body: bytes, decode: Callable[[bytes], _T]) -> _T:
        """Return what `decode` returns of a body when it is decompressed.

        Raises:
            GzipError: The body is not gzip.
            TooLongError: The decompressed body has more than `MAX_BODY` bytes.
        """
        if len(body) <= _SMALL_DECODED:
            try:
                return await asyncio.wrap_future(self._small.submit(_decode_gzip, body, decode, _SMALL_DECODED))
            except TooLongError:
                pass  # only its compressed form is small
        return await asyncio.wrap_future(self._large.submit(_decode_gzip, body, decode, MAX_BODY))

    def close(self) -> None:
        """Decode nothing more."""
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)


def _decode_gzip(body: bytes, decode: Callable[[bytes], _T], limit: int) -> _T:
    return decode(gunzipped(body, limit))
