"""Small bodies that become large when they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import pytest


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf with a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def in_span(content: bytes, span_id: int = 1) -> bytes:
    """Return an export request with one span that has these fields beside its ids."""
    ids = field(1, b"\1" * 16) + field(2, span_id.to_bytes(8, "big"))
    return field(1, field(2, field(2, ids + content)))


def spans(count: int) -> bytes:
    """Return an export request with so many spans that have nothing but their ids."""
    # All are as long as the first, so only the number of each differs.
    before = field(2, field(1, b"\1" * 16) + field(2, bytes(8)))[:-8]
    return field(1, field(2, b"".join(before + number.to_bytes(8, "big") for number in range(1, count + 1))))


# Export requests of about so many bytes, by what repeats in them.
PROTOBUF: Final[Mapping[str, Callable[[int], bytes]]] = MappingProxyType(
    {
        "resources": lambda size: b"\x0a\x00" * (size // 2),
        "scopes": lambda size: field(1, b"\x12\x00" * (size // 2)),
        "empty spans": lambda size: field(1, field(2, b"\x12\x00" * (size // 2))),
        "spans": lambda size: spans(size // 30),
        "attributes": lambda size: in_span(b"\x4a\x00" * (size // 2)),
        "events": lambda size: in_span(b"\x5a\x00" * (size // 2)),
        "links": lambda size: in_span(b"\x6a\x00" * (size // 2)),
        "array": lambda size: in_span(field(9, field(2, field(5, b"\x0a\x00" * (size // 2))))),
        "entity keys": lambda size: field(1, field(1, field(3, b"\x1a\x00" * (size // 2)))),
        "unknown fields": lambda size: in_span(b"\xf8\x01\x00" * (size // 3)),
    }
)
# The kinds of `PROTOBUF` for tests of a server, each of which counts the parts with the same function. All kinds are
# counted in test_body_limits.py; the servers get the others in CI.
KINDS: Final = [
    kind if kind in {"resources", "array"} else pytest.param(kind, marks=pytest.mark.slow) for kind in PROTOBUF
]
JSON: Final[Mapping[str, Callable[[int], bytes]]] = MappingProxyType(
    {
        "objects": lambda size: b'{"resourceSpans":[%s{}]}' % (b"{}," * (size // 3)),
        "numbers": lambda size: b'{"resourceSpans":[],"x":[%s1]}' % (b"1.5," * (size // 4)),
        "texts": lambda size: b'{"resourceSpans":[],"x":[%s1]}' % (b'"aa",' * (size // 5)),
        "members": lambda size: (
            b'{"resourceSpans":[],"x":{%s"":1}}' % b"".join(b'"%x":1,' % number for number in range(size // 9))
        ),
    }
)
