"""Reads JSON that spans contain, and turns any value into JSON's own types, for the bodies of rows."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...jsontext import REDACTED, is_secret_key

# What is nested deeper is no content, and walking it would exhaust the stack.
_MAX_DEPTH: Final = 48
NUMBERS: Final = frozenset({int, float, bool})
_MAX_INT: Final = 2**63
# Python refuses to write very long numbers.
_MAX_BITS: Final = 1024
# Longer texts are not read as Python's notation: that takes five hundred times their size, and stops all threads.
_MAX_PYTHON: Final = 64 * 1024
# Longer texts are not read as JSON, which takes many times their size in memory.
_MAX_READ: Final = 16 * 1024 * 1024
_CUT: Final = "…"
# The first character of a JSON object or list.
_OPENINGS: Final = ("{", "[")
# The types that reading JSON gives. What is inside of them is made safe where a body takes it in, by `tidy`.
_JSON_TYPES: Final = frozenset({dict, list, int, float, bool, type(None)})
# Used directly, because `json.loads` does more than is needed.
_DECODER: Final = json.JSONDecoder()
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def read(value: object) -> Any:
    """Return the object or list that a JSON text holds, and anything else as JSON's own types.

    A text that is other JSON stays a text: `"7"` is what somebody wrote, and not a number.
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
    return value if type(value) in _JSON_TYPES else tidy(value)


def read_python(value: object) -> Any:
    """Return what `read` does, and also the dict or list that a text holds as Python prints it."""
    found = read(value)
    if not isinstance(found, str) or not found.startswith(_OPENINGS) or len(found) > _MAX_PYTHON:
        return found
    try:
        return tidy(ast.literal_eval(found))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return found


def tidy(value: object, depth: int = 0) -> Any:
    """Return any value as JSON's own types: with finite numbers, not too deep, without secrets."""
    if value is None or isinstance(value, str | bool | int | float):
        return _scalar(value)
    if depth >= _MAX_DEPTH:
        return _CUT
    if isinstance(value, Mapping):
        return {name: REDACTED if is_secret_key(name) else tidy(item, depth + 1) for name, item in _named(value)}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [tidy(item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"


def text_of(value: object) -> str:
    """Return a text as it is, and anything else as JSON."""
    return value if type(value) is str else str(value) if isinstance(value, str) else dump(tidy(value))


def dump(value: object) -> str:
    """Return a value of JSON's own types as compact JSON.

    Raises:
        RecursionError: The value is nested too deep.
        TypeError: It contains another type.
        ValueError: It contains a number that is not finite.
    """
    return _ENCODER.encode(value)


def number(value: object) -> float | int | None:
    """Return a finite number, also from a text; `None` if the value is no such number."""
    if type(value) is int:  # first, because `int | float | str` below is built anew at each call
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
    """Return a whole number that is not negative; `None` if the value is no such number."""
    if type(value) is int and 0 <= value < _MAX_INT:
        return value
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) and found < _MAX_INT else None


def _scalar(value: str | float | bool | None) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_MAX_INT <= value < _MAX_INT else _long(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _long(value: int) -> str:
    return str(value) if value.bit_length() <= _MAX_BITS else f"<int of {value.bit_length()} bits>"


def _named(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(name if isinstance(name, str) else str(tidy(name, _MAX_DEPTH)), item) for name, item in value.items()]


def known(members: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    """Return an object without its empty members.

    Args:
        members: The object. A zero and a `False` are not empty.
        kept: Members that stay even if they are empty.
    """
    return {name: value for name, value in members.items() if value or type(value) in NUMBERS or name in kept}
