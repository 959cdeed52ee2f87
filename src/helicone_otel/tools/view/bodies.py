"""Reads the bodies of requests: all of them share a bounded memory, and none may take longer than its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

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
