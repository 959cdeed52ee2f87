"""Anything at all as a text of bounded size, for what people hand us to record.

What cannot be shown as JSON is shown by the name of its type: a `repr` may hold secrets, be
endless, or raise.
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
_MAX_DEPTH: Final = 12
_MAX_BITS: Final = 256
_MAX_BYTES: Final = 1_048_576
# What JSON makes of a control character.
_LONGEST_ESCAPE: Final = 6
_CUT: Final = "…"
REDACTED: Final = "[redacted]"
# Keys of headers and configurations whose values are nobody's business.
SECRETS: Final = frozenset(
    {"authorization", "proxy_authorization", "helicone_auth", "x_api_key", "api_key", "apikey", "password", "secret"}
)
# How objects that hold data say what it is: pydantic's models, numpy's and torch's arrays and scalars.
_EXPORTS: Final = ("model_dump", "tolist")


def content_text(value: object, limit: int = MAX_CONTENT) -> str:
    """Return a text as it is, and anything else as JSON; never raises.

    Args:
        value: What to show. Values under keys like `authorization` are left out.
        limit: About how many characters to show; the rest is cut, and the JSON stays valid.

    Returns:
        A text that UTF-8 can encode: one lone surrogate would make OTLP's encoder lose the whole batch.
    """
    plain = _Budget(limit).plain(value)
    return _valid(plain if isinstance(plain, str) else _json(plain))


class Collected:
    """Things that come one by one, remembered as JSON's own types and of bounded size.

    Args:
        limit: As for `content_text`.
    """

    def __init__(self, limit: int = MAX_CONTENT) -> None:
        self._budget = _Budget(limit)
        self._items: list[Any] = []

    def add(self, item: object) -> None:
        """Show one more, if there is room."""
        if self._budget.left > 0:
            self._items.append(self._budget.plain(item))

    def items(self) -> list[Any]:
        """Return what has been collected, as JSON's own types."""
        return self._items if self._budget.left > 0 else [*self._items, _CUT]


def _json(plain: object) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _simple(value: object) -> object:
    """Return what is shown of a value, if it holds nothing else."""
    if isinstance(value, Enum):
        value = value.value
    for types, show in _SIMPLE:
        if isinstance(value, types):
            return show(value)
    return value


def _int(value: int) -> object:
    # Python refuses to write very long numbers.
    return value if value.bit_length() <= _MAX_BITS else f"<int of {value.bit_length()} bits>"


def _float(value: float) -> object:
    return value if math.isfinite(value) else str(value)


_SIMPLE: Final[tuple[tuple[Any, Callable[[Any], object]], ...]] = (
    (int, _int),
    (float, _float),
    ((bytes, bytearray, memoryview), lambda value: f"<{len(value)} bytes>"),
    (
        (dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, pathlib.PurePath),
        str,
    ),
)


class _Budget:
    """How much more may be shown."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def plain(self, value: object, depth: int = 0) -> Any:
        """Return a value as JSON's own types."""
        try:
            return self._plain(value, depth)
        except Exception:  # noqa: BLE001  # other people's methods may do anything
            return self._text(f"<{type(value).__name__}>")

    def _plain(self, value: object, depth: int) -> Any:
        self.left -= 4  # roughly what JSON puts around it
        value = _simple(value)
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
            # What is left out of a `repr` is left out for a reason.
            shown = (field.name for field in dataclasses.fields(value) if field.repr)
            return self._object(((name, getattr(value, name)) for name in shown), depth)
        if isinstance(size := getattr(value, "nbytes", 0), int) and size > _MAX_BYTES:
            return f"<{type(value).__name__} of {size} bytes>"
        for name in _EXPORTS:
            export: Callable[[], object] | None = getattr(value, name, None)
            if callable(export):
                return self.plain(export(), depth + 1)
        return self._text(f"<{type(value).__name__}>")

    def _text(self, text: str) -> str:
        room = max(self.left, 0)
        shown = text[:room]
        if len(json.dumps(shown, ensure_ascii=False)) > room + 2:
            shown = shown[: room // _LONGEST_ESCAPE]
        self.left -= len(json.dumps(shown, ensure_ascii=False))
        return shown if len(shown) == len(text) else shown + _CUT

    def _array(self, values: Iterable[object], depth: int) -> list[Any]:
        shown: list[Any] = []
        for value in islice(values, max(self.left, 0) + 1):
            if self.left <= 0:
                return [*shown, _CUT]
            shown.append(self.plain(value, depth + 1))
        return shown

    def _object(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in items:
            if self.left <= 0:
                return {**shown, _CUT: _CUT}
            name = self._text(key if isinstance(key, str) else str(self.plain(key, _MAX_DEPTH)))
            secret = name.lower().replace("-", "_") in SECRETS
            shown[name] = REDACTED if secret else self.plain(value, depth + 1)
        return shown
