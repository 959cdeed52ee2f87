"""Bodies of requests, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

MAX_BODY: Final = 32 * 1024 * 1024
# Of all bodies that are being read or decoded at a time.
MAX_TOGETHER: Final = 128 * 1024 * 1024
_SECONDS: Final = 30.0
_MAX_DIGITS: Final = 12
_MAX_MEMBERS: Final = 16


class BodyError(Exception):
    """The body cannot be taken.

    Args:
        status: The answer's.
        message: What is wrong, for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Bodies:
    """Reads bodies.

    Attributes:
        held: How many bytes all requests hold that are being answered; this is bounded.
    """

    def __init__(self) -> None:
        self.held = 0

    @asynccontextmanager
    async def read(self, request: Request, most: int = MAX_BODY) -> AsyncIterator[bytes]:
        """Yield the body of a request, unpacked; it counts for as long as the block runs.

        Raises:
            BodyError: It is too large, too slow, or packed in a way that is not known.
        """
        held = _Held(self)
        try:
            try:
                async with asyncio.timeout(_SECONDS):
                    packed = await self._raw(request, most, held)
            except TimeoutError:
                raise BodyError(408, "the body took too long") from None
            except ClientDisconnect:
                raise BodyError(400, "the body ended early") from None
            body = self._plain(request, packed, most)
            held.add(len(body))
            yield body
        finally:
            self.held -= held.size

    def _plain(self, request: Request, body: bytes, most: int) -> bytes:
        match request.headers.get("content-encoding", "identity").strip().lower():
            case "identity" | "":
                return body
            case "gzip":
                return _unzipped(body, most)
            case _:
                raise BodyError(415, "no other Content-Encoding than gzip is known")

    async def _raw(self, request: Request, most: int, held: _Held) -> bytes:
        length = request.headers.get("content-length", "")
        if length and (not length.isascii() or not length.isdigit()):
            raise BodyError(400, "Content-Length is no number")
        if length and (len(length) > _MAX_DIGITS or int(length) > most):
            raise BodyError(413, f"more than {most} bytes")
        parts: list[bytes] = []
        async for part in request.stream():
            held.add(len(part))
            if held.size > most:
                raise BodyError(413, f"more than {most} bytes")
            parts.append(part)
        return b"".join(parts)


class _Held:
    """What one request holds of the memory that all of them may take together."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    def add(self, size: int) -> None:
        self.size += size
        self._bodies.held += size
        if self._bodies.held > MAX_TOGETHER:
            raise BodyError(503, "too much at a time; try again")


def _unzipped(body: bytes, most: int) -> bytes:
    # A few kilobytes of gzip can unfold to gigabytes, so it unfolds only as far as a body may be long.
    parts: list[bytes] = []
    size = 0
    # Of one member or several: https://www.rfc-editor.org/rfc/rfc1952#page-5
    while body or not parts:
        if len(parts) == _MAX_MEMBERS:  # what is left is copied with each
            raise BodyError(400, "gzip in too many pieces")
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            parts.append(unzip.decompress(body, most - size + 1))
        except zlib.error:
            raise BodyError(400, "no gzip") from None
        size += len(parts[-1])
        if size > most:
            raise BodyError(413, f"more than {most} bytes")
        if not unzip.eof:
            raise BodyError(400, "the gzip ends early")
        body = unzip.unused_data
    return b"".join(parts)
