"""Decodes what the receivers get, in threads of its own: one large body at a time, and small ones beside it.

Decoding takes a multiple of a body's memory, so only a few bodies are decoded at one time. A large one must not make
the small ones wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from ..body_limits import TooLongError, gunzipped
from .bodies import MAX_BODY

SMALL: Final = 256 * 1024
_THREADS: Final = 2

_T = TypeVar("_T")


class Decoder:
    """Decompresses and decodes bodies."""

    def __init__(self) -> None:
        self._small = ThreadPoolExecutor(_THREADS, "view-decode-small")
        self._large = ThreadPoolExecutor(1, "view-decode-large")

    def decode(self, body: bytes, decode: Callable[[bytes], _T]) -> Future[_T]:
        """Return a future with what `decode` returns of a body."""
        pool = self._small if len(body) <= SMALL else self._large
        return pool.submit(decode, body)

    async def decode_gzip(self, body: bytes, decode: Callable[[bytes], _T]) -> _T:
        """Return what `decode` returns of a body when it is decompressed.

        Raises:
            GzipError: The body is not gzip.
            TooLongError: The decompressed body has more than `MAX_BODY` bytes.
        """
        if len(body) <= SMALL:
            try:
                return await asyncio.wrap_future(self._small.submit(_decode_gzip, body, decode, SMALL))
            except TooLongError:
                pass  # only its compressed form is small
        return await asyncio.wrap_future(self._large.submit(_decode_gzip, body, decode, MAX_BODY))

    def close(self) -> None:
        """Decode nothing more."""
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)


def _decode_gzip(body: bytes, decode: Callable[[bytes], _T], limit: int) -> _T:
    return decode(gunzipped(body, limit))
