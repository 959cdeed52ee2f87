"""What a vector query found, whatever the index calls it: ids, scores, texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..jsontext import content_text

MAX_MATCHES: Final = 100
_PAIR: Final = 2
_SURELY_SHORT: Final = 256
# Our name for a fact, and what clients of vector databases call it, the commonest first.
_FACTS: Final = (
    ("id", ("id", "_id", "key")),
    ("score", ("score", "_score", "similarity", "relevance")),
    ("distance", ("distance", "_distance")),
    ("content", ("content", "text", "document", "page_content")),
    ("metadata", ("metadata", "payload")),
)
_NUMBERS: Final = frozenset({"score", "distance"})


class Matches:
    """Matches as OpenTelemetry's `gen_ai.retrieval.documents` has them, the first hundred of them.

    Attributes:
        count: How many there were.
        shown: The first of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[dict[str, Any]] = []

    def add(self, match: object) -> None:
        """Add a match: a mapping, an object, a pair of it or its id with the score, a text or an id."""
        self.count += 1
        if self.count <= MAX_MATCHES:
            try:
                self.shown.append(_document(match))
            except Exception:  # noqa: BLE001  # other people's methods may do anything
                self.shown.append({})


def found_in(value: object) -> Matches | None:
    """Return the matches in a list of them; `None` if it is no such thing."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        return None
    matches = Matches()
    for match in value:
        matches.add(match)
    return matches


def dimension(value: object) -> int | None:
    """Return the size of an embedding, alone or the first of several; `None` if it is none."""
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # noqa: BLE001  # other people's methods may do anything
        return None
    if isinstance(shape, Sequence) and shape and isinstance(shape[-1], int):
        return shape[-1]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        return None
    first = value[0]
    if isinstance(first, int | float):
        return len(value)
    return len(first) if isinstance(first, list | tuple) else None


def _document(match: object) -> dict[str, Any]:
    if isinstance(match, tuple | list) and len(match) == _PAIR:
        score = _number(match[1])
        return _document(match[0]) | ({} if score is None else {"score": score})
    if isinstance(match, str):
        return {"content" if " " in match else "id": match}  # a passage, or what names one
    if isinstance(match, int):
        return {"id": content_text(match)}
    facts: dict[str, Any] = {}
    for name, keys in _FACTS:
        for key in keys:
            value = _get(match, key)
            if value is not None:
                break
        else:
            continue
        value = _number(value) if name in _NUMBERS else _id(value) if name == "id" else value
        if value is not None:
            facts[name] = value
    return facts


def _id(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _SURELY_SHORT and value.isascii() else content_text(value)


def _get(match: object, key: str) -> Any:
    return match.get(key) if isinstance(match, dict | Mapping) else getattr(match, key, None)


def _number(value: Any) -> float | None:
    """Return a score as Helicone can show it: a finite number, or none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
