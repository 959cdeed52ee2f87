"""JSON from strangers: read without surprises, and made such that no other parser refuses it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from .._content import REDACTED, SECRETS

# Deeper is no content, and walking it would exhaust the stack.
_MAX_DEPTH: Final = 48
_MAX_INT: Final = 2**63
_CUT: Final = "…"
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
        return _simple(value)
    if depth >= _MAX_DEPTH:
        return _CUT
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


def _simple(value: object) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_MAX_INT <= value < _MAX_INT else _long(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _named(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(name if isinstance(name, str) else str(tidy(name, _MAX_DEPTH)), item) for name, item in value.items()]


def _is_secret(name: str) -> bool:
    return len(name) <= 32 and name.lower().replace("-", "_") in SECRETS  # noqa: PLR2004  # longer than any of them


def _long(value: int) -> str:
    # Python refuses to write very long numbers.
    return str(value) if value.bit_length() <= 1024 else f"<int of {value.bit_length()} bits>"  # noqa: PLR2004
