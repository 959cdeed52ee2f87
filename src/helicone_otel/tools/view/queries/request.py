"""One request, with its content and everything that belongs to it."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .... import wire
from ....log.rows.content import Content
from ....log.rows.row import row_of
from ....log.rows.types import FinishedSpan
from ...redaction import shown, shown_attributes, shown_resource
from ...replay.calls import finished_span
from ...replay.otlp import attributes_of
from ...replay.spans import sent_headers
from ..content import RequestContent, content_of
from .numbers import colour_of, milliseconds

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

    def foreign_sessions(self, trace: str, span: str) -> list[sqlite3.Row]:
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


_PAGE: Final = "https://us.helicone.ai/requests?requestId="
_REQUEST: Final = """
SELECT r.id, s.session_id, s.name, r.path, r.kind, r.name, r.model, r.provider, r.start, r."end", r.ttft,
    r.input_tokens, r.output_tokens, r.error, r.trace, r.span, r.logged, r.session
FROM requests r JOIN sessions s ON s.id = r.session WHERE r.id = ?
"""


def request(traces: Traces, id_: str) -> dict[str, Any] | None:
    """Return a request; `None` if there is none of that id."""
    connection = traces.connection
    row = connection.execute(_REQUEST, (id_,)).fetchone()
    if row is None:
        return None
    span = _Span(traces, row["trace"], row["span"]) if row["span"] is not None else None
    logged = connection.execute("SELECT data FROM logs WHERE id = ?", (id_,)).fetchone() if row["logged"] else None
    content = _named(_content(row, span, json.loads(logged[0]) if logged else None), row["name"])
    return {
        "id": row["id"],
        "session": {"id": row["session_id"], "name": row[2]},
        "path": row["path"],
        "colour": colour_of(row["path"]),
        **{key: row[place] for key, place in (("kind", 4), ("name", 5), ("model", 6), ("provider", 7))},
        "start_ms": milliseconds(row["start"]),
        "end_ms": milliseconds(row["end"]),
        "duration_ms": milliseconds(row["end"] - row["start"]),
        "ttft_ms": milliseconds(row["ttft"]) if row["ttft"] is not None else None,
        **{key: row[key] for key in ("input_tokens", "output_tokens")},
        "error": shown(row["error"]),
        **_beside(connection, row),
        **shown(content._asdict()),
        **(span.data() if span is not None else _NO_SPAN),
        "logged": bool(row["logged"]),
        "helicone_url": _PAGE + quote(row["id"], safe=""),
    }


_NO_SPAN: Final[Mapping[str, Any]] = {
    "headers": [],
    "attributes": [],
    "events": [],
    "resource": [],
    "scope": None,
    "trace": None,
}


def _content(row: sqlite3.Row, span: _Span | None, logged: Mapping[str, Any] | None) -> RequestContent:
    """Return what the span tells, and where it tells nothing, the row that arrived."""
    made = row_of(span.finished(row), Content()) if span is not None else None
    told = content_of(made.body) if made is not None else RequestContent()
    if logged is None:
        return told
    other = content_of(logged)
    silent = [field for field in RequestContent._fields if not _says(getattr(told, field))]
    better = {field: getattr(other, field) for field in silent if getattr(other, field) is not None}
    return told._replace(**better)


def _named(content: RequestContent, name: str) -> RequestContent:
    """Call a tool and an operation what the session calls them, where the convention has no name for them."""
    if content.tool is not None and content.tool["name"] is None:
        return content._replace(tool={**content.tool, "name": name})
    if content.vector is not None and content.vector["operation"] is None:
        return content._replace(vector={**content.vector, "operation": name})
    return content


def _says(part: Any) -> bool:
    values = part.values() if isinstance(part, dict) else part or ()
    return any(value not in (None, "", [], {}) for value in values)


def _beside(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, str | None]:
    key = (row["session"], row["start"], row["id"])
    before = "SELECT id FROM requests WHERE session = ? AND (start, id) < (?, ?) ORDER BY start DESC, id DESC LIMIT 1"
    after = "SELECT id FROM requests WHERE session = ? AND (start, id) > (?, ?) ORDER BY start, id LIMIT 1"
    found = {"previous": connection.execute(before, key).fetchone(), "next": connection.execute(after, key).fetchone()}
    return {name: one[0] if one else None for name, one in found.items()}


class _Span:
    """The span of a request, and those around it."""

    def __init__(self, traces: Traces, trace: str, number: int) -> None:
        sql = "SELECT s.data, r.data, s.scope, s.span FROM spans s JOIN resources r ON r.id = s.resource WHERE s.id = ?"
        data, resource, self._scope, self._id = traces.connection.execute(sql, (number,)).fetchone()
        span = Span.FromString(data)
        self._traces = traces
        self._trace = trace
        self._span = span
        self.attributes = attributes_of(span.attributes)
        self._resource = attributes_of(Resource.FromString(resource).attributes)

    def finished(self, row: sqlite3.Row) -> FinishedSpan:
        """Return the span with the label of its request, as log rows are made from it."""
        label = {
            wire.REQUEST_ID: row["id"],
            wire.SPAN_KIND: row["kind"],
            wire.SESSION_ID: row["session_id"],
            wire.SESSION_PATH: row["path"],
        }
        return finished_span(self._scope, self._span, label)

    def data(self) -> dict[str, Any]:
        """Return what the span tells beside its content."""
        foreign_sessions = self._traces.foreign_sessions(self._trace, self._id)
        return {
            "headers": self._headers(foreign_sessions),
            "attributes": shown_attributes(self.attributes),
            "events": [
                {
                    "name": event.name,
                    "at_ms": milliseconds(event.time_unix_nano),
                    "attributes": shown_attributes(attributes_of(event.attributes)),
                }
                for event in self._span.events
            ],
            "resource": shown_resource(self._resource),
            "scope": self._scope,
            "trace": {
                "trace_id": self._trace,
                "span_id": self._id,
                "spans": [_span_data(row, self._id) for row in foreign_sessions],
            },
        }

    def _headers(self, foreign_sessions: Sequence[sqlite3.Row]) -> list[list[str]]:
        """Return the Helicone headers that were captured on the span, or on one of an HTTP request below it."""
        found = _captured(self.attributes)
        inside = {self._id}
        for row in foreign_sessions:
            if found:
                break
            if row["parent"] in inside:
                inside.add(row["span"])
                found = _captured(self._traces.attributes(row["id"]))
        return found


def _span_data(row: sqlite3.Row, this: str) -> dict[str, Any]:
    return {
        "span_id": row["span"],
        "parent_id": row["parent"] or None,
        "name": row["name"],
        "kind": row["kind"],
        "path": row["path"],
        "start_ms": milliseconds(row["start"]),
        "end_ms": milliseconds(row["end"]),
        "error": shown(row["error"]),
        "request": row["request"],
        "this": row["span"] == this,
    }


def _captured(attributes: Mapping[str, Any]) -> list[list[str]]:
    texts = {key: _joined(value) for key, value in attributes.items() if key.startswith(wire.REQUEST_HEADER_PREFIX)}
    return [list(pair) for pair in sent_headers(texts)]


def _joined(value: Any) -> str:
    values: Iterable[Any] = value if isinstance(value, list) else (value,)
    return ", ".join(str(shown(item)) for item in values)
