"""Attributes of OTLP as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_MAX_DEPTH: Final = 32


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes as JSON has them."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue, depth: int = 0) -> Any:
    """Return one value; what is nested too deeply, or is no text, as text."""
    which = value.WhichOneof("value")
    if which in ("string_value", "int_value", "double_value", "bool_value"):
        return getattr(value, which)
    if depth > _MAX_DEPTH:
        return "…"
    if which == "array_value":
        return [value_of(item, depth + 1) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: value_of(item.value, depth + 1) for item in value.kvlist_value.values}
    return value.bytes_value.hex() if which == "bytes_value" else None
