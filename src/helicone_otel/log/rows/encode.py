"""Encodes a row as JSON, with copies of the request where Helicone looks for it, and cuts it to the size it accepts.

Helicone's worker stores the body of the POST as the body of the request. So its pages look for messages, a tool's name
or a query at the top level of the POST, and not in `providerRequest`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from .jsonread import dump, tidy
from .types import HeliconeRow

# Helicone refuses longer bodies (https://github.com/Helicone/helicone). Its worker counts UTF-16 units, and its API
# server bytes, of which there are never fewer.
LIMIT: Final = 10 * 1024 * 1024
# Members of the POST that Helicone's servers read themselves, so no copies have these names.
RESERVED: Final = frozenset({"provider", "providerRequest", "providerResponse", "timing", "stream"})
# The field that says that a row was cut.
_NOTE: Final = "helicone_otel_cut"
# For the notes at the ends of cut texts, and for small errors of the estimate.
_MARGIN: Final = 64 * 1024
_QUOTES: Final = 2
# Texts are not cut to fewer characters, unless lists have to be cut as well.
_SHORTEST: Final = 200
# If cutting texts is not enough, lists are cut to these numbers of items, one after the other.
_FEWER: Final = (10_000, 1_000, 100, 10, 1)


def encoded(row: HeliconeRow, provider: str | None = None) -> bytes:
    """Return what is posted of a row: compact JSON in UTF-8.

    For the worker, the members of the request are in it twice: in `providerRequest`, and copied to the top level, in
    front of the rest. If it is too large, its longest texts are cut, and a note in it says so.

    Args:
        row: The row.
        provider: For Helicone's API server, which reads it from the body; `None` for the worker.
    """
    body = row.body if provider is None else {**row.body, "provider": provider}
    sent = _bytes(_text(body))
    return sent if len(sent) <= LIMIT else _bytes(_cut(body, len(sent)))


def _bytes(text: str) -> bytes:
    # UTF-8 cannot encode a lone surrogate.
    return text.encode("utf-8", "replace")


def _text(body: dict[str, Any]) -> str:
    try:
        return _joined(body)
    except (ValueError, TypeError, RecursionError):
        return _joined(tidy(body))


def _joined(body: dict[str, Any]) -> str:
    """Return the JSON of a body with the copies. The request is encoded once."""
    if "provider" in body:  # Helicone's API server stores `providerRequest`
        return dump(body)
    asked = body["providerRequest"]
    request = dump(asked["json"])
    copies = request[1:-1] if RESERVED.isdisjoint(asked["json"]) else dump(_copied(asked["json"]))[1:-1]
    around = dump({"url": asked["url"], "meta": asked["meta"]})
    rest = dump({name: member for name, member in body.items() if name != "providerRequest"})
    comma = "," if copies else ""
    return f'{{{copies}{comma}"providerRequest":{{"json":{request},{around[1:]},{rest[1:]}'


def _copied(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in RESERVED}


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(_bytes(text))


def _cut(body: dict[str, Any], size: int) -> str:
    """Return the JSON of a body with its longest texts, and if need be its lists, cut to the limit."""
    note = f"helicone-otel shortened this row: it was {size} bytes long, and Helicone takes {LIMIT}."
    body = tidy(body)
    for most in (None, *_FEWER):
        if most is not None:
            body = _with_fewer_items(body, most)
        texts = sorted(_lengths(body))
        room = LIMIT - _MARGIN - (_size(_text(body)) - sum(texts))
        if room > 0 and (longest := _longest(texts, room)) >= min(_SHORTEST, texts[-1] if texts else 0):
            for part in (body["providerRequest"], body["providerResponse"]):
                part["json"] = _shortened(part["json"], longest)
            body["providerRequest"]["json"][_NOTE] = note
            text = _text(body)
            if _size(text) <= LIMIT:
                return text
    kept = {"_type", "name", "toolName", "model"}
    for part in (body["providerRequest"], body["providerResponse"]):
        part["json"] = {key: _shortened(value, _SHORTEST) for key, value in part["json"].items() if key in kept}
    body["providerRequest"]["json"][_NOTE] = note
    return _text(body)


def _longest(lengths: list[int], room: int) -> int:
    """Return how long texts may be so that all fit into the room. `lengths` is sorted."""
    left = len(lengths)
    for length in lengths:
        if length * left > room:
            return room // left
        room -= length
        left -= 1
    return lengths[-1] if lengths else 0


def _lengths(body: dict[str, Any]) -> list[int]:
    """Return the lengths of all texts in a body, as JSON. Those of the request count twice, as they are sent."""
    found: list[int] = []
    waiting: list[Any] = [body, {} if "provider" in body else _copied(body["providerRequest"]["json"])]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(_json_length(item))
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found


def _json_length(text: str) -> int:
    return _size(json.dumps(text, ensure_ascii=False))


def _shortened(value: Any, longest: int) -> Any:
    """Return a value with each text cut to a length as JSON."""
    if isinstance(value, dict):
        return {key: _shortened(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, longest) for item in value]
    if not isinstance(value, str) or len(value) * 6 <= longest:
        return value
    length = _json_length(value)
    if length <= longest:
        return value
    note = f"… [cut: {len(value)} characters]"
    kept, room = value, max(0, longest - len(note) - _QUOTES)
    while length - _QUOTES > room and kept:
        # The kept part may need more escapes than the average, so this may take several rounds.
        kept = kept[: min(len(kept) * room // length, len(kept) - 1)]
        length = _json_length(kept)
    return kept + note


def _with_fewer_items(value: Any, most: int) -> Any:
    """Return a value with each list cut to a number of items, and each object to ten times as many members."""
    if isinstance(value, dict):
        kept = dict(list(value.items())[:most]) if len(value) > most * 10 else value
        return {key: _with_fewer_items(item, most) for key, item in kept.items()}
    return [_with_fewer_items(item, most) for item in value[:most]] if isinstance(value, list) else value
