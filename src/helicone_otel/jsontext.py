"""Writes any value as a text or JSON of bounded size, for content that users hand over to be recorded.

A value that JSON cannot hold is written as the name of its type. A `repr` may contain secrets, be endless, or raise.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import math
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import islice
from typing import Any, Final

MAX_CONTENT: Final = 32_768
"""How many characters `content_text` writes unless a limit is given."""
REDACTED: Final = "[redacted]"
# Keys of headers and configurations whose values are never written.
SECRET_KEYS: Final = frozenset(
    {"authorization", "proxy_authorization", "helicone_auth", "x_api_key", "api_key", "apikey", "password", "secret"}
)
_LONGEST_SECRET_KEY: Final = max(map(len, SECRET_KEYS))
_CUT: Final = "…"
_MAX_DEPTH: Final = 12
# Python refuses to write very long numbers.
_MAX_BITS: Final = 256
# An array that takes more memory is not turned into a list.
_MAX_ARRAY_BYTES: Final = 1_048_576
# JSON writes a control character as `\u0000`.
_LONGEST_ESCAPE: Final = 6
# About as many characters JSON puts around each value.
_PUNCTUATION: Final = 4
# Methods that return the data of an object: of pydantic's models, numpy's and torch's arrays and scalars.
_EXPORTS: Final = ("model_dump", "tolist")


def content_text(value: object, limit: int = MAX_CONTENT) -> str:
    """Return a text as it is, and anything else as JSON. Never raises.

    Args:
        value: Any value. What is under keys like `authorization` is left out.
        limit: About how many characters to write. The rest is cut, and the JSON stays valid.

    Returns:
        A text that UTF-8 can encode. One lone surrogate would make OTLP's encoder lose the whole batch.
    """
    plain = _Writer(limit).plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def is_secret_key(name: str) -> bool:
    """Tell whether the value under a key such as `Authorization` or `api-key` is a secret."""
    return len(name) <= _LONGEST_SECRET_KEY and name.lower().replace("-", "_") in SECRET_KEYS


class Collected:
    """A list of bounded size, of values that come one by one.

    Args:
        limit: As for `content_text`, for all values together.
    """

    def __init__(self, limit: int = MAX_CONTENT) -> None:
        self._writer = _Writer(limit)
        self._items: list[Any] = []

    def add(self, item: object) -> None:
        """Add a value, if there is room."""
        if self._writer.left > 0:
            self._items.append(self._writer.plain(item))

    def items(self) -> list[Any]:
        """Return the values as JSON's own types."""
        return self._items if self._writer.left > 0 else [*self._items, _CUT]


class _Writer:
    """Turns values into JSON's own types, until the limit is used up.

    Attributes:
        left: About how many more characters may be written.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit

    def plain(self, value: object, depth: int = 0) -> Any:
        """Return a value as JSON's own types."""
        try:
            return self._plain(value, depth)
        except Exception:  # noqa: BLE001  # methods of other people's objects may do anything
            return self._text(f"<{type(value).__name__}>")

    def _plain(self, value: object, depth: int) -> Any:
        self.left -= _PUNCTUATION
        value = _scalar(value)
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        return _CUT if depth == _MAX_DEPTH else self._compound(value, depth)

    def _compound(self, value: object, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._object(value.items(), depth)
        if isinstance(value, Sequence | AbstractSet):
            return self._array(value, depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            # A field that is left out of the `repr` may be a secret.
            names = (field.name for field in dataclasses.fields(value) if field.repr)
            return self._object(((name, getattr(value, name)) for name in names), depth)
        if isinstance(size := getattr(value, "nbytes", 0), int) and size > _MAX_ARRAY_BYTES:
            return f"<{type(value).__name__} of {size} bytes>"
        for name in _EXPORTS:
            export: Callable[[], object] | None = getattr(value, name, None)
            if callable(export):
                return self.plain(export(), depth + 1)
        return self._text(f"<{type(value).__name__}>")

    def _text(self, text: str) -> str:
        room = max(self.left, 0)
        kept = text[:room]
        if len(json.dumps(kept, ensure_ascii=False)) > room + 2:
            kept = kept[: room // _LONGEST_ESCAPE]
        self.left -= len(json.dumps(kept, ensure_ascii=False))
        return kept if len(kept) == len(text) else kept + _CUT

    def _array(self, values: Iterable[object], depth: int) -> list[Any]:
        items: list[Any] = []
        for value in islice(values, max(self.left, 0) + 1):
            if self.left <= 0:
                return [*items, _CUT]
            items.append(self.plain(value, depth + 1))
        return items

    def _object(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in items:
            if self.left <= 0:
                return {**members, _CUT: _CUT}
            name = self._text(key if isinstance(key, str) else str(self.plain(key, _MAX_DEPTH)))
            members[name] = REDACTED if is_secret_key(name) else self.plain(value, depth + 1)
        return members


def _scalar(value: object) -> object:
    """Return the scalar that a simple value is written as. A compound value stays as it is."""
    if isinstance(value, Enum):
        value = value.value
    for types, convert in _SCALARS:
        if isinstance(value, types):
            return convert(value)
    return value


def _int(value: int) -> object:
    return value if value.bit_length() <= _MAX_BITS else f"<int of {value.bit_length()} bits>"


def _float(value: float) -> object:
    return value if math.isfinite(value) else str(value)


_SCALARS: Final[tuple[tuple[Any, Callable[[Any], object]], ...]] = (
    (int, _int),
    (float, _float),
    ((bytes, bytearray, memoryview), lambda value: f"<{len(value)} bytes>"),
    ((dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, pathlib.PurePath), str),
)
