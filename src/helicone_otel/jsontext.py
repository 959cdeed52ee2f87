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


# Deeper is no content, and walking it would exhaust the stack.
_JSON_MAX_DEPTH: Final = 48
_MAX_INT: Final = 2**63
_JSON_CUT: Final = "…"
# `json.loads` looks at more than is needed.
_DECODER: Final = json.JSONDecoder()
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def _writer() -> Callable[[object, int], Iterable[str]]:
    """Return what writes compact JSON in pieces, given a value and how deep it stands.

    `JSONEncoder` makes a writer in C anew for each value, which takes as long as writing a short one.
    """
    try:
        how = (None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
        return json.encoder.c_make_encoder(*how)  # type: ignore[attr-defined, no-any-return]  # typeshed lacks it
    except (AttributeError, TypeError):  # another Python
        return lambda value, _: (_ENCODER.encode(value),)


_write: Final = _writer()
# What a JSON text of a compound value begins with.
_OPENINGS: Final = ("{", "[")
# What reading JSON gives. That of strangers is tidied where it is taken into a body.
_READ: Final = frozenset({dict, list, int, float, bool, type(None)})
# Longer texts are not looked into: to read them as JSON costs their size many times over.
_MAX_READ: Final = 16 * 1024 * 1024


def read(value: object) -> Any:
    """Return what a JSON text of an object or a list holds, and anything else as JSON's own types.

    A text that is no such JSON stays a text: `"7"` is what somebody said, and no number.
    """
    if isinstance(value, str):
        if not value[:64].lstrip().startswith(_OPENINGS) or len(value) > _MAX_READ:
            return value
        text = value.strip()
        try:
            found, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            return value
        return found if end == len(text) else value
    return value if type(value) in _READ else tidy(value)


def tidy(value: object, depth: int = 0) -> Any:
    """Return a value as JSON's own types, whatever it is: finite, not too deep, without secrets."""
    if value is None or isinstance(value, str | bool | int | float):
        return _json_simple(value)
    if depth >= _JSON_MAX_DEPTH:
        return _JSON_CUT
    if isinstance(value, Mapping):
        return {name: REDACTED if _is_secret(name) else tidy(item, depth + 1) for name, item in _named(value)}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [tidy(item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"


def text_of(value: object) -> str:
    """Return a text as it is, and anything else as JSON."""
    return value if type(value) is str else str(value) if isinstance(value, str) else dump(tidy(value))


def dump(value: object) -> str:
    """Return a value of JSON's own types as compact JSON."""
    return "".join(_write(value, 0))


def number(value: object) -> float | int | None:
    """Return a finite number, also if it comes as a text, or none."""
    if type(value) is int:  # unions are made anew each time they are asked for
        return value if -_MAX_INT <= value < _MAX_INT else None
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return value if -_MAX_INT <= value < _MAX_INT else None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """Return a number that is whole and not negative, or none."""
    if type(value) is int and 0 <= value < _MAX_INT:
        return value
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) and found < _MAX_INT else None


def _json_simple(value: object) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_MAX_INT <= value < _MAX_INT else _long(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _named(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(name if isinstance(name, str) else str(tidy(name, _JSON_MAX_DEPTH)), item) for name, item in value.items()]


def _is_secret(name: str) -> bool:
    return len(name) <= 32 and name.lower().replace("-", "_") in SECRETS  # noqa: PLR2004  # longer than any of them


def _long(value: int) -> str:
    # Python refuses to write very long numbers.
    return str(value) if value.bit_length() <= 1024 else f"<int of {value.bit_length()} bits>"  # noqa: PLR2004
