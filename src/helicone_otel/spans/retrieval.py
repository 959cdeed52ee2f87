"""Matches of a vector query: ids, scores and texts, whatever the client of the index calls them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..jsontext import content_text

MAX_MATCHES: Final = 100
_PAIR: Final = 2
_MAX_PLAIN_ID: Final = 256
# Each field of a document, and its names in clients of vector databases, the commonest first.
_FIELDS: Final = (
    ("id", ("id", "_id", "key")),
    ("score", ("score", "_score", "similarity", "relevance")),
    ("distance", ("distance", "_distance")),
    ("content", ("content", "text", "document", "page_content")),
    ("metadata", ("metadata", "payload")),
)
_NUMBERS: Final = frozenset({"score", "distance"})


class Matches:
    """The matches of one query, in the form of OpenTelemetry's `gen_ai.retrieval.documents`.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/

    Attributes:
        count: The number of matches.
        shown: The first `MAX_MATCHES` of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[dict[str, Any]] = []

    def add(self, match: object) -> None:
        """Add a match.

        Args:
            match: A mapping, an object with attributes, a text, an id, or a pair of one of these and its score.
        """
        self.count += 1
        if self.count <= MAX_MATCHES:
            try:
                self.shown.append(_document(match))
            except Exception:  # noqa: BLE001  # attributes of a client's object may raise anything
                self.shown.append({})


def found_in(value: object) -> Matches | None:
    """Return the matches in an iterable; `None` if the value is no iterable, or a text or a mapping."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        return None
    matches = Matches()
    for match in value:
        matches.add(match)
    return matches


def dimension(value: object) -> int | None:
    """Return the number of dimensions of an embedding, or of the first of several; `None` if it is no embedding."""
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # noqa: BLE001  # a property of another library's object may raise anything
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
        return {"content" if " " in match else "id": match}  # a passage contains blanks, an id does not
    if isinstance(match, int):
        return {"id": content_text(match)}
    document: dict[str, Any] = {}
    for name, keys in _FIELDS:
        for key in keys:
            value = _get(match, key)
            if value is not None:
                break
        else:
            continue
        value = _number(value) if name in _NUMBERS else _id(value) if name == "id" else value
        if value is not None:
            document[name] = value
    return document


def _id(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_PLAIN_ID and value.isascii() else content_text(value)


def _get(match: object, key: str) -> Any:
    return match.get(key) if isinstance(match, dict | Mapping) else getattr(match, key, None)


def _number(value: Any) -> float | None:
    """Return a score as a finite number, which Helicone can show; `None` if it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
