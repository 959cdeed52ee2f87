"""The answers of the API, as JSON that can be put into an HTML page as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from .spool import Spool, Spooled

# uvicorn keeps what a client has not read yet in memory, so that longer answers are sent in parts.
_MAX_IN_MEMORY: Final = 256 * 1024
_NOT_STORED: Final = {"Cache-Control": "no-store"}
# In JSON these characters occur only in strings, where an escape means the same. In HTML they could end a script.
_UNSAFE: Final = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def safe_json(data: Any) -> str:
    """Return JSON that can be put into HTML as it is."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # `str.translate` takes thirty times as long.
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return text


class JsonResponse(Response):
    """An answer of the API, which no cache may keep."""

    media_type = "application/json"

    def __init__(self, data: Any, status_code: int = 200) -> None:
        super().__init__(encoded(safe_json(data)), status_code, headers=_NOT_STORED)


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
