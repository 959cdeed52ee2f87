"""JSON that can be put into an HTML page as it is."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response

# In JSON these characters occur only in strings, where an escape means the same. In HTML they could end a script.
_UNSAFE: Final = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def safe_json(data: Any) -> str:
    """Return JSON that can be put into HTML as it is."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


class JsonResponse(Response):
    """An answer of the API, which no cache may keep."""

    media_type = "application/json"

    def __init__(self, data: Any, status_code: int = 200) -> None:
        # Lone surrogates cannot be encoded in UTF-8.
        content = safe_json(data).encode("utf-8", "backslashreplace")
        super().__init__(content, status_code, headers={"Cache-Control": "no-store"})
