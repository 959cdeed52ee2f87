"""The spans around one: above, beside and below it in its trace."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ..attributes import attributes_of

_MAX_DEPTH: Final = 128
_SPANS: Final = """
SELECT s.id, s.span, s.parent, s.name, p.kind, p.path, s.start, s."end", s.error, p.request
FROM spans s LEFT JOIN places p ON p.id = s.id WHERE s.trace = ? ORDER BY s.start LIMIT 20000
"""


class Traces:
    """Reads traces; the last one is kept, for whoever asks about many of its spans.

    Args:
        connection: With which to read.
        most: How many spans are told of around one.
    """

    def __init__(self, connection: sqlite3.Connection, most: int = 200) -> None:
        self.connection = connection
        self._most = most
        self._trace = ""
        self._by_id: dict[str, sqlite3.Row] = {}
        self._children: defaultdict[str, list[str]] = defaultdict(list)

    def around(self, trace: str, span: str) -> list[sqlite3.Row]:
        """Return a span and those around it: above it from the outside in, then the others as they began."""
        self._read(trace)
        line = _line(self._by_id, span)
        wanted = dict.fromkeys(line)
        waiting = [span]
        while waiting and len(wanted) < self._most:
            inner = self._children[waiting.pop()]
            waiting += [one for one in inner if one not in wanted]
            wanted.update(dict.fromkeys(inner))
        beside = self._children[line[1] if len(line) > 1 else ""]
        wanted.update(dict.fromkeys(beside[: max(0, self._most - len(wanted))]))
        others = sorted(
            (self._by_id[one] for one in wanted if one not in line), key=lambda row: (row["start"], row["id"])
        )
        return [*(self._by_id[one] for one in reversed(line)), *others][: self._most]

    def attributes(self, number: int) -> dict[str, Any]:
        """Return the attributes of a span by its number in the store."""
        (data,) = self.connection.execute("SELECT data FROM spans WHERE id = ?", (number,)).fetchone()
        return attributes_of(Span.FromString(data).attributes)

    def _read(self, trace: str) -> None:
        if trace == self._trace:
            return
        self._trace = trace
        rows = self.connection.execute(_SPANS, (trace,)).fetchall()
        self._by_id = {row["span"]: row for row in rows}
        self._children = defaultdict(list)
        for row in rows:
            self._children[row["parent"] if row["parent"] in self._by_id else ""].append(row["span"])


def _line(by_id: Mapping[str, sqlite3.Row], span: str) -> list[str]:
    """Return a span and what stands above it, from the inside out."""
    line: list[str] = []
    while span in by_id and span not in line and len(line) < _MAX_DEPTH:
        line.append(span)
        span = by_id[span]["parent"]
    return line
