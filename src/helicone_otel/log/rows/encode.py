"""A row as the bytes that leave, cut down to what Helicone takes."""

from __future__ import annotations

import json
from typing import Any, Final

from .jsonread import dump, tidy
from .types import HeliconeRow

# https://github.com/Helicone/helicone: longer bodies are refused with 400. UTF-16 units, as JavaScript counts.
LIMIT: Final = 10 * 1024 * 1024
_NOTE: Final = "helicone_otel_cut"
# Cut texts end with what was cut, and an estimate may be a little wrong.
_MARGIN: Final = 64 * 1024
_QUOTES: Final = 2
_SHORTEST: Final = 200
# Lists of so many items are cut if texts alone do not do it.
_FEWER: Final = (10_000, 1_000, 100, 10, 1)


def encoded(row: HeliconeRow) -> bytes:
    """Return the body of a row as compact JSON in UTF-8.

    The largest texts of a body that is too large are shortened, with a note in it that they were.
    """
    text = _text(row.body)
    size = _size(text)
    if size > LIMIT:
        text = _cut(row.body, size)
    # A lone surrogate has no UTF-8 form.
    return text.encode("utf-8", "replace")


def _text(body: Any) -> str:
    try:
        return dump(body)
    except (ValueError, TypeError, RecursionError):
        return dump(tidy(body))


def _size(text: str) -> int:
    """Return the length of a text as JavaScript counts it."""
    if len(text) <= LIMIT // 2 or text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(body: dict[str, Any], size: int) -> str:
    note = f"helicone-otel shortened this row: it was {size} characters long, and Helicone takes {LIMIT}."
    body = tidy(body)
    for most in (None, *_FEWER):
        if most is not None:
            body = _fewer(body, most)
        texts = sorted(_lengths(body))
        room = LIMIT - _MARGIN - (_size(_text(body)) - sum(texts))
        if room > 0 and (longest := _longest(texts, room)) >= min(_SHORTEST, texts[-1] if texts else 0):
            for part in (body["providerRequest"], body["providerResponse"]):
                part["json"] = _shortened(part["json"], longest)
            body["providerRequest"]["json"][_NOTE] = note
            shown = _text(body)
            if _size(shown) <= LIMIT:
                return shown
    kept = {"_type", "name", "toolName", "model"}
    for part in (body["providerRequest"], body["providerResponse"]):
        part["json"] = {key: _shortened(value, _SHORTEST) for key, value in part["json"].items() if key in kept}
    body["providerRequest"]["json"][_NOTE] = note
    return _text(body)


def _longest(lengths: list[int], room: int) -> int:
    """Return how long texts may be, the shortest first, to take no more room than there is."""
    left = len(lengths)
    for length in lengths:
        if length * left > room:
            return room // left
        room -= length
        left -= 1
    return lengths[-1] if lengths else 0


def _lengths(value: Any) -> list[int]:
    """Return how long the texts in a value are as JSON."""
    found: list[int] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(_written(item))
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found


def _written(text: str) -> int:
    return _size(json.dumps(text, ensure_ascii=False))


def _shortened(value: Any, longest: int) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, longest) for item in value]
    if not isinstance(value, str) or len(value) * 6 <= longest:
        return value
    length = _written(value)
    if length <= longest:
        return value
    note = f"… [cut: {len(value)} characters]"
    shown, room = value, max(0, longest - len(note) - _QUOTES)
    while length - _QUOTES > room and shown:
        # All that is written of a part may be longer than its share.
        shown = shown[: min(len(shown) * room // length, len(shown) - 1)]
        length = _written(shown)
    return shown + note


def _fewer(value: Any, most: int) -> Any:
    if isinstance(value, dict):
        kept = dict(list(value.items())[:most]) if len(value) > most * 10 else value
        return {key: _fewer(item, most) for key, item in kept.items()}
    return [_fewer(item, most) for item in value[:most]] if isinstance(value, list) else value
