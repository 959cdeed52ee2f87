"""The answers of the API: JSON that can be put into an HTML page as it is, and long answers on the disk.

From there, a client that reads slowly costs little memory, and equal exports are kept once.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

# All answers that are still being sent from the disk. Beyond that, the oldest is broken off.
MAX_SPOOLED = 512 * 1024 * 1024
_CHUNK: Final = 64 * 1024
# uvicorn keeps what a client has not read yet in memory, so that longer answers are sent in parts.
_MAX_IN_MEMORY: Final = 256 * 1024
_NOT_STORED: Final = {"Cache-Control": "no-store"}
# In JSON these characters occur only in strings, where an escape means the same. In HTML they could end a script.
_UNSAFE: Final = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
# Made once, and without a check for cycles: no answer has any.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)


def compact_json(data: Any) -> str:
    """Return JSON without blanks."""
    return _ENCODER.encode(data)


def safe_json(data: Any) -> str:
    """Return JSON that can be put into HTML as it is."""
    text = compact_json(data)
    # `str.translate` takes thirty times as long. `replace` is slow where there is nothing to replace.
    for character, escape in _UNSAFE.items():
        if character in text:
            text = text.replace(character, escape)
    return text


class JsonResponse(Response):
    """An answer of the API, which no cache may keep."""

    media_type = "application/json"

    def __init__(self, data: Any, status_code: int = 200) -> None:
        super().__init__(encoded(safe_json(data)), status_code, headers=_NOT_STORED)


# --- on the disk --------------------------------------------------------------------------------------


class Spooled:
    """The bytes of one answer, in a temporary file that is removed when nobody needs it any more.

    Args:
        parts: What to keep.

    Attributes:
        size: The number of bytes.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, self._file.close)
        self.size = sum(map(self._file.write, parts))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield all bytes, in parts of 64 KiB.

        Raises:
            ValueError: The answer has been broken off.
        """
        sent = 0
        while sent < self.size:
            chunk = await asyncio.to_thread(self._read, sent)
            yield chunk
            sent += len(chunk)

    def _read(self, start: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(_CHUNK)


class Spool:
    """All answers that are being sent, within a bound."""

    def __init__(self) -> None:
        # In the order in which they were made.
        self._sending: list[weakref.ref[Spooled]] = []
        self._lock = threading.Lock()

    def keep(self, parts: Iterable[bytes]) -> Spooled:
        """Return an answer with these bytes; break off the oldest ones if all together take too much."""
        made = Spooled(parts)
        with self._lock:
            sending = [one for reference in self._sending if (one := reference()) is not None]
            size = made.size + sum(one.size for one in sending)
            while size > MAX_SPOOLED and sending:
                oldest = sending.pop(0)
                size -= oldest.size
                oldest.close()
            self._sending = [weakref.ref(one) for one in (*sending, made)]
        return made


class SpooledResponse(StreamingResponse):
    """An answer that is sent from the disk, and that no cache may keep."""

    def __init__(self, spooled: Spooled, media_type: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        headers = {**headers, **_NOT_STORED, "Content-Length": str(spooled.size)}
        super().__init__(spooled.chunks(), headers=headers, media_type=media_type)


def json_answer(data: Any, spool: Spool) -> Response:
    """Return an answer of the API, of any length."""
    content = encoded(safe_json(data))
    if len(content) > _MAX_IN_MEMORY:
        return SpooledResponse(spool.keep([content]), JsonResponse.media_type)
    return Response(content, headers=_NOT_STORED, media_type=JsonResponse.media_type)


def encoded(text: str) -> bytes:
    """Return a text in UTF-8, with escapes for lone surrogates, which UTF-8 does not have."""
    return text.encode("utf-8", "backslashreplace")
