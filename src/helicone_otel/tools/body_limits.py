"""Limits what a body costs in memory and time: it is decompressed up to a size, and its cost is known before decoding.

A few kilobytes of gzip can become gigabytes. And a few bytes of a body can become a large object: an empty message
takes 2 bytes of protobuf and a hundred in memory. So the size of a body does not bound the cost of decoding it, and
neither does the size of what was compressed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor  # type: ignore[import-untyped]  # ships no types

_MAX_MEMBERS: Final = 16
# One unit is about 64 bytes of memory. An export request of 8192 spans (a full batch of the Collector) that have 30
# attributes each costs 1.8 million in protobuf. As JSON, 5000 such spans cost 2 million.
MAX_COST: Final = 2_000_000
# https://protobuf.dev/programming-guides/encoding/
_VARINT, _LENGTH = 0, 2
_FIXED: Final = {1: 8, 5: 4}
_MORE: Final = 0x80
_VALUE: Final = 1
_MESSAGE: Final = 2
# Python objects are made of each of these, and of a span a row in a database as well.
_DEAR: Final[Mapping[str, int]] = {"ResourceSpans": 16, "ScopeSpans": 16, "Span": 32}
# A field takes at least two bytes.
_MAX_COST_OF_BYTE: Final = max(_DEAR.values()) // 2
# An object of JSON with a few members takes four units, everything else one.
_OBJECT: Final = 4
_JSON_COSTS: Final = {b"{": _OBJECT, b"[": _VALUE, b",": _VALUE, b":": _VALUE}
# A string that does not end is one too: otherwise each quote in it would be tried as the start of another.
_JSON_TOKEN: Final = re.compile(rb'[{\[,:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class GzipError(ValueError):
    """The body is not gzip; the message says why."""


class TooLongError(ValueError):
    """The decompressed body is longer than the limit."""


def gunzipped(body: bytes, limit: int) -> bytes:
    """Return a decompressed body.

    Args:
        body: One or more members of gzip.
        limit: Decompression stops at so many bytes.

    Raises:
        GzipError: `body` is not gzip, ends early, or has very many members.
        TooLongError: There are more than `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    # A gzip file can have several members: https://www.rfc-editor.org/rfc/rfc1952#page-5
    while body or not parts:
        if len(parts) == _MAX_MEMBERS:  # each member costs a copy of the rest
            raise GzipError("the gzip has too many members")
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            parts.append(decompressor.decompress(body, limit - size + 1))
        except zlib.error:
            raise GzipError("the body is not gzip") from None
        size += len(parts[-1])
        if size > limit:
            raise TooLongError(f"the body has more than {limit} bytes")
        if not decompressor.eof:
            raise GzipError("the gzip ends early")
        body = decompressor.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


class NotProtobufError(ValueError):
    """The bytes are not a message of protobuf."""


@dataclass(slots=True)
class Costs:
    """The cost of the fields of one message.

    Attributes:
        cost: The cost of the message itself.
        messages: The fields that hold messages, by their tags.
    """

    cost: int
    messages: dict[int, Costs] = field(default_factory=dict, repr=False)


def costs_of(descriptor: Descriptor, known: dict[str, Costs] | None = None) -> Costs:
    """Return the costs of a type of messages, for `protobuf_exceeds`."""
    known = {} if known is None else known
    if (costs := known.get(descriptor.full_name)) is None:
        costs = known[descriptor.full_name] = Costs(_DEAR.get(descriptor.name, _MESSAGE))
        for one in descriptor.fields:
            if one.message_type is not None:
                costs.messages[one.number << 3 | _LENGTH] = costs_of(one.message_type, known)
    return costs


def protobuf_exceeds(body: bytes, costs: Costs, limit: int = MAX_COST) -> bool:
    """Tell whether decoding a message would cost more than `limit`; it stops to count there.

    Raises:
        NotProtobufError: `body` is not a message.
    """
    if len(body) * _MAX_COST_OF_BYTE <= limit:
        return False
    try:
        return _count(body, costs.messages, limit) > limit
    except IndexError:
        raise NotProtobufError from None


def _count(body: bytes, messages: Mapping[int, Costs], limit: int) -> int:
    """Return the cost of a message, or one that is above `limit`. Without recursion or slices, because it is hot."""
    around: list[tuple[int, Mapping[int, Costs]]] = []
    cost, at, end = 0, 0, len(body)
    while cost <= limit:
        while at == end and around:
            end, messages = around.pop()
        if at >= end:
            break
        tag, at = (body[at], at + 1) if body[at] < _MORE else _varint(body, at)
        if tag & 7 != _LENGTH:
            cost, at = cost + _VALUE, _after_number(body, at, tag & 7)
            continue
        size, at = (body[at], at + 1) if body[at] < _MORE else _varint(body, at)
        if (inside := messages.get(tag)) is None:
            cost, at = cost + _VALUE, at + size
        else:
            around.append((end, messages))
            cost, end, messages = cost + inside.cost, at + size, inside.messages
    if at > end:  # a field reaches beyond the message that holds it
        raise NotProtobufError
    return cost


def _after_number(body: bytes, at: int, kind: int) -> int:
    """Return the index after a number of fixed or variable length."""
    if kind == _VARINT:
        while body[at] >= _MORE:
            at += 1
        return at + 1
    if kind not in _FIXED:  # groups, which OTLP has never had
        raise NotProtobufError
    return at + _FIXED[kind]


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at an index, and the index after it."""
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < _MORE:
            return value, at
        shift += 7
        if shift > 63:  # noqa: PLR2004  # a number has at most 64 bits
            raise NotProtobufError


def json_exceeds(body: bytes, limit: int = MAX_COST) -> bool:
    """Tell whether decoding JSON would cost more than `limit`; it stops to count there."""
    # Most bodies are done here: what is inside texts is counted as well, so this is never too little.
    if sum(body.count(mark) * cost for mark, cost in _JSON_COSTS.items()) <= limit:
        return False
    cost = 0
    for token in _JSON_TOKEN.finditer(body):
        cost += _JSON_COSTS.get(token[0], 0)
        if cost > limit:
            return True
    return False
