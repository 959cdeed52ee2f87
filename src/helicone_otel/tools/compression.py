"""Decompresses bodies within a limit: a few kilobytes of gzip can become gigabytes."""

from __future__ import annotations

import zlib
from typing import Final

_MAX_MEMBERS: Final = 16


class GzipError(ValueError):
    """The body is not gzip; the message says why."""


class TooLongError(ValueError):
    """The decompressed body is longer than the limit."""


def gunzipped(body: bytes, limit: int) -> bytes:
    """Return a decompressed body.

    Args:
        body: One or more members of gzip.
        limit: Decompression stops at so many bytes.

    Raises:
        GzipError: `body` is not gzip, ends early, or has very many members.
        TooLongError: There are more than `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    # A gzip file can have several members: https://www.rfc-editor.org/rfc/rfc1952#page-5
    while body or not parts:
        if len(parts) == _MAX_MEMBERS:  # each member costs a copy of the rest
            raise GzipError("the gzip has too many members")
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            parts.append(decompressor.decompress(body, limit - size + 1))
        except zlib.error:
            raise GzipError("the body is not gzip") from None
        size += len(parts[-1])
        if size > limit:
            raise TooLongError(f"the body has more than {limit} bytes")
        if not decompressor.eof:
            raise GzipError("the gzip ends early")
        body = decompressor.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)
