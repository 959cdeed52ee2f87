"""Which span stands for a real call? The innermost: one call, one row in Helicone."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ._record import MAX_DEPTH, Record
from ._spans import REQUEST_KINDS, Reading

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Ids of rows are UUIDv5, so that a row that is sent twice stays one row; Helicone replaces
# ids of versions above 5.
NAMESPACE: Final = uuid.UUID("c48d0953-a864-57a6-8a83-c99d75b28a03")
# A tool that runs an agent whose tools run is a run of its own.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})
_NOTHING: Final[Mapping[str, int]] = {}


def tell_wrappers(made: Mapping[str, int], teller: int, above: Record | None) -> None:
    """Tell what encloses a span which calls were made in it.

    A span hands on what it was told when it ends: only then is it known for sure what it is.

    Args:
        made: By kind, the id of the one call's span; 0: there were several.
        teller: The span's id.
        above: What encloses it.
    """
    for _ in range(MAX_DEPTH):
        if above is None or not above.hear(made, teller):
            return
        if above.scope is not None and not above.ended:
            return
        # Its end is past, or it is a place, which has none.
        if is_boundary(above):
            return
        above = above.parent


def calls_made(record: Record, span_id: int) -> Mapping[str, int]:
    """Return which calls a span that has ended stands for or encloses."""
    inside = _NOTHING if is_boundary(record) else record.inside
    kind = call_of(record.reading)
    return inside if kind is None or kind in inside else {**inside, kind: record.beside or span_id}


def call_of(reading: Reading) -> str | None:
    """Return the kind of call that a span which is read like this can stand for."""
    return reading.kind if may_be_request(reading) else None


def is_boundary(record: Record) -> bool:
    """Tell whether calls inside of a span are no calls of what encloses it."""
    return record.reading.kind in _BOUNDARIES


def may_be_request(reading: Reading) -> bool:
    """Tell whether a span that is read like this can stand for a real call."""
    row = reading.row
    return reading.kind in REQUEST_KINDS and (row is None or (row.request and not row.echo))


def stands_alone(record: Record) -> bool:
    """Tell whether a span that only tells once more of a call stands for it: the one it would repeat is not there."""
    row, above = record.reading.row, record.parent
    return row is not None and row.echo and (above is None or above.scope is not record.scope)


def new_row_id() -> str:
    """Return a random id for the row that a gateway is about to make: a UUIDv4."""
    # `uuid.uuid4` takes twice as long, for the sake of two more random bits.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def request_id(span: ReadableSpan) -> str:
    """Return the id of the row that a span becomes: the same whenever it is asked for."""
    context = span.get_span_context()
    name = f"{context.trace_id:032x}{context.span_id:016x}" if context else ""
    return str(uuid.uuid5(NAMESPACE, name))
