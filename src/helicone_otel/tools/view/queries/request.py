"""One request: its content, its headers and attributes, the spans around it, and its page at Helicone."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .... import wire
from ....destinations import Destination, Destinations
from ....log.rows.content import Content
from ....log.rows.jsonread import read
from ....log.rows.row import row_of
from ....log.rows.types import FinishedSpan
from ....wire import CALL_KINDS
from ...redaction import redact, redact_attributes, redact_json, redact_resource
from ...replay.calls import finished_span, status_of
from ...replay.otlp import attributes_of
from ...replay.spans import sent_headers, url_of
from ..content import RequestContent, content_of
from ..database import milliseconds
from ..markdown import MarkdownReader
from ..prices import dollars, is_unpriced, shown_prices

_MAX_SPANS: Final = 200
_MAX_DEPTH: Final = 128
# So many requests of a session are read at once.
_AT_ONCE: Final = 500
_REQUESTS: Final = """
SELECT r.rowid AS number, r.id, s.session_id, s.name AS session_name, r.path, r.kind, r.name, r.model, r.provider,
    r.start, r."end", r.ttft, r.input_tokens, r.output_tokens, r.error, r.badge, r.trace, r.span, r.logged, r.session,
    r.cost, r.cached, r.written, r.answered, c.colour,
    EXISTS (SELECT 1 FROM places p WHERE p.tells_of = r.id) AS has_wrappers
FROM requests r JOIN sessions s ON s.id = r.session LEFT JOIN paths c ON c.path = r.path
"""
_SPANS: Final = """
SELECT s.id, s.span, s.parent, s.name, p.kind, p.path, s.start, s."end", s.error, p.request
FROM spans s LEFT JOIN places p ON p.id = s.id WHERE s.trace = ? ORDER BY s.start, s.id LIMIT 20000
"""
# The other spans of a call, the innermost first. One of another trace is among them, if it was found there.
_WRAPPERS: Final = """SELECT id, trace FROM places WHERE tells_of = ? ORDER BY "end", id LIMIT 16"""
_NO_SPAN: Final[Mapping[str, Any]] = {
    "headers": [],
    "attributes": [],
    "events": [],
    "resource": [],
    "scope": None,
    "trace": None,
}


def request(traces: TraceReader, id_: str) -> dict[str, Any] | None:
    """Return a request; `None` if there is no request with that id.

    Args:
        traces: Reads its span and the spans around it.
        id_: Its id.
    """
    row = traces.connection.execute(f"{_REQUESTS} WHERE r.id = ?", (id_,)).fetchone()
    return _request(traces, row, _beside(traces.connection, row), MarkdownReader()) if row is not None else None


def requests_in(traces: TraceReader, session: int, texts: MarkdownReader) -> Iterator[dict[str, Any]]:
    """Yield the requests of a session: trace by trace, because a `TraceReader` keeps one trace.

    Traces are in the order of their first requests. Those of one session can overlap.

    Args:
        traces: Reads the spans of the requests and the spans around them.
        session: The number of the session in the database.
        texts: Reads their texts as Markdown.
    """
    sql = "SELECT trace, rowid, id FROM requests WHERE session = ? ORDER BY start, id"
    order = traces.connection.execute(sql, (session,)).fetchall()
    before = [None, *(row["id"] for row in order)]
    by_trace: defaultdict[str | None, dict[int, _Beside]] = defaultdict(dict)
    for (trace, number, _), *ids in zip(order, before, [*before[2:], None], strict=False):
        by_trace[trace][number] = _Beside(*ids)
    beside = {number: ids for numbers in by_trace.values() for number, ids in numbers.items()}
    for row in _rows(traces.connection, list(beside)):
        yield _request(traces, row, beside[row["number"]], texts)


def _rows(connection: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[sqlite3.Row]:
    """Yield the rows of requests by their numbers in the database, in this order."""
    for first in range(0, len(numbers), _AT_ONCE):
        some = numbers[first : first + _AT_ONCE]
        sql = f"{_REQUESTS} WHERE r.rowid IN ({', '.join('?' * len(some))})"
        rows = {row["number"]: row for row in connection.execute(sql, some)}
        yield from (rows[number] for number in some)


class _Beside(NamedTuple):
    """The ids of the requests before and after a request in its session, in the order of their starts."""

    previous: str | None
    next: str | None


def _request(traces: TraceReader, row: sqlite3.Row, beside: _Beside, texts: MarkdownReader) -> dict[str, Any]:
    connection, id_ = traces.connection, row["id"]
    span = _RequestSpan(traces, row["trace"], row["span"]) if row["span"] is not None else None
    posted = connection.execute("SELECT data FROM logs WHERE id = ?", (id_,)).fetchone() if row["logged"] else None
    made = _made(row, span) if span is not None else None
    stored = json.loads(posted[0]) if posted else None
    content = _with_name(_content(made, stored), row["name"])
    if span is not None and not content.messages and (call := span.call_above(row)) is not None:
        content = content._replace(messages=[one for one in call.messages or () if one["from"] == "input"])
    shown = redact(content._asdict())
    return {
        "id": row["id"],
        "session": {"id": row["session_id"], "name": row["session_name"]},
        "path": row["path"],
        **{key: row[key] for key in ("kind", "name", "model", "provider")},
        "start_ms": milliseconds(row["start"]),
        "end_ms": milliseconds(row["end"]),
        "duration_ms": milliseconds(row["end"] - row["start"]),
        "ttft_ms": milliseconds(row["ttft"]) if row["ttft"] is not None else None,
        **{key: row[key] for key in ("input_tokens", "output_tokens")},
        "cached_tokens": row["cached"],
        "written_tokens": row["written"],
        "answered_by": row["answered"],
        "cost": dollars(row["cost"]),
        "unpriced": is_unpriced(row["kind"], row["cost"], row["input_tokens"], row["output_tokens"]),
        "prices": shown_prices(),
        "error": redact(row["error"]),
        "badge": row["badge"],
        **beside._asdict(),
        **shown,
        "markdown": list(texts.trees(shown["messages"] or ())),
        "raw": _raw(redact_json(stored) if stored is not None else made),
        **(span.data() if span is not None else _NO_SPAN),
        "logged": bool(row["logged"]),
        "helicone_url": span.page_at_helicone() if span is not None else None,
        "colour": row["colour"],
    }


def _made(row: sqlite3.Row, span: _RequestSpan) -> Mapping[str, Any] | None:
    """Return the body of the row that the library makes of a span, without the secrets that have a name."""
    made = row_of(_without_secrets(span.finished(row)), Content())
    return made.body if made is not None else None


def _content(made: Mapping[str, Any] | None, posted: Mapping[str, Any] | None) -> RequestContent:
    """Return the content of the row made of the span, and what it lacks from the row that was posted."""
    content = content_of(made) if made is not None else RequestContent()
    if posted is None:
        return content
    other = content_of(posted)
    lacking = [field for field in RequestContent._fields if _is_empty(getattr(content, field))]
    return content._replace(**{field: getattr(other, field) for field in lacking if getattr(other, field) is not None})


def _without_secrets(span: FinishedSpan) -> FinishedSpan:
    """Return a span without secrets in its JSON: the row joins parts of messages to one text."""
    events = [event._replace(attributes=redact_json(event.attributes)) for event in span.events]
    wrappers = tuple(map(_without_secrets, span.wrappers))
    return span._replace(attributes=redact_json(span.attributes), events=events, wrappers=wrappers)


def _raw(body: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return address, request and response of a row as they are, but without secrets.

    Args:
        body: The row, after `redact_json`.
    """
    if body is None:
        return None
    asked, answered = body["providerRequest"], body["providerResponse"]
    answer = read(answered["textBody"]) if answered.get("textBody") else answered.get("json")
    raw = {"url": asked["url"], "request": asked["json"], "response": answer, "status": answered["status"]}
    return dict(redact(raw))


def _is_empty(part: Any) -> bool:
    values = part.values() if isinstance(part, dict) else part or ()
    return all(value in (None, "", [], {}) for value in values)


def _with_name(content: RequestContent, name: str) -> RequestContent:
    """Give a tool or an operation without a name the request's name."""
    if content.tool is not None and content.tool["name"] is None:
        return content._replace(tool={**content.tool, "name": name})
    if content.vector is not None and content.vector["operation"] is None:
        return content._replace(vector={**content.vector, "operation": name})
    return content


def _beside(connection: sqlite3.Connection, row: sqlite3.Row) -> _Beside:
    key = (row["session"], row["start"], row["id"])
    before = "SELECT id FROM requests WHERE session = ? AND (start, id) < (?, ?) ORDER BY start DESC, id DESC LIMIT 1"
    after = "SELECT id FROM requests WHERE session = ? AND (start, id) > (?, ?) ORDER BY start, id LIMIT 1"
    found = (connection.execute(sql, key).fetchone() for sql in (before, after))
    return _Beside(*(one[0] if one else None for one in found))


# --- spans --------------------------------------------------------------------------------------------


class TraceReader:
    """Reads the spans around a span. It keeps the last trace, for callers that ask for many spans of one trace.

    Args:
        connection: The connection that reads.
        max_spans: The number of spans to return around one span.
    """

    def __init__(self, connection: sqlite3.Connection, max_spans: int = _MAX_SPANS) -> None:
        self.connection = connection
        self._max_spans = max_spans
        self._trace = ""
        self._by_id: dict[str, sqlite3.Row] = {}
        # In the order of their starts.
        self._places: dict[str, int] = {}
        self._children: defaultdict[str, list[str]] = defaultdict(list)

    def around(self, trace: str, span: str) -> list[sqlite3.Row]:
        """Return a span with the spans around it: its ancestors from the root down, then the others by their starts."""
        self._read(trace)
        line = _ancestors(self._by_id, span)
        selected = dict.fromkeys(line)
        waiting = [span]
        while waiting and len(selected) < self._max_spans:
            children = self._children[waiting.pop()]
            waiting += [child for child in children if child not in selected]
            selected.update(dict.fromkeys(children))
        siblings = self._children[line[1] if len(line) > 1 else ""]
        selected.update(dict.fromkeys(siblings[: max(0, self._max_spans - len(selected))]))
        others = sorted((one for one in selected if one not in line), key=self._places.__getitem__)
        return [self._by_id[one] for one in (*reversed(line), *others)][: self._max_spans]

    def line(self, trace: str, span: str) -> list[sqlite3.Row]:
        """Return a span, its parent, and so on."""
        self._read(trace)
        return [self._by_id[one] for one in _ancestors(self._by_id, span)]

    def shown(self, rows: Iterable[sqlite3.Row], this: str) -> list[Any]:
        """Return what pages show of spans, with `this` for the one with that id."""
        return [{**span_data(row), "this": row["span"] == this} for row in rows]

    def attributes(self, number: int) -> dict[str, Any]:
        """Return the attributes of a span by its number in the database."""
        (data,) = self.connection.execute("SELECT data FROM spans WHERE id = ?", (number,)).fetchone()
        return attributes_of(Span.FromString(data).attributes)

    def _read(self, trace: str) -> None:
        if trace == self._trace:
            return
        self._trace = trace
        rows = self.connection.execute(_SPANS, (trace,)).fetchall()
        self._by_id = {row["span"]: row for row in rows}
        self._places = {row["span"]: place for place, row in enumerate(rows)}
        self._children = defaultdict(list)
        for row in rows:
            self._children[row["parent"] if row["parent"] in self._by_id else ""].append(row["span"])


def _ancestors(by_id: Mapping[str, sqlite3.Row], span: str) -> list[str]:
    """Return a span, its parent, and so on."""
    line: list[str] = []
    while span in by_id and span not in line and len(line) < _MAX_DEPTH:
        line.append(span)
        span = by_id[span]["parent"]
    return line


class _RequestSpan:
    """The span of a request."""

    def __init__(self, traces: TraceReader, trace: str, number: int) -> None:
        sql = "SELECT s.data, r.data, s.scope, s.span FROM spans s JOIN resources r ON r.id = s.resource WHERE s.id = ?"
        data, resource, self._scope, self._id = traces.connection.execute(sql, (number,)).fetchone()
        self._traces = traces
        self._trace = trace
        self._span = Span.FromString(data)
        self._attributes = attributes_of(self._span.attributes)
        self._resource = resource

    def finished(self, row: sqlite3.Row) -> FinishedSpan:
        """Return the span with the label of its request and with its wrappers, as log rows are made from it."""
        if not row["has_wrappers"]:  # as of most requests, for which a query would find nothing
            return self.labelled(row)
        wrappers = self._traces.connection.execute(_WRAPPERS, (row["id"],)).fetchall()
        found = (_RequestSpan(self._traces, wrapper["trace"], wrapper["id"]) for wrapper in wrappers)
        return self.labelled(row)._replace(wrappers=tuple(wrapper.labelled(row) for wrapper in found))

    def labelled(self, row: sqlite3.Row) -> FinishedSpan:
        """Return the span alone, with the label of its request."""
        label = {
            wire.REQUEST_ID: row["id"],
            wire.SPAN_KIND: row["kind"],
            wire.SESSION_ID: row["session_id"],
            wire.SESSION_PATH: row["path"],
        }
        return finished_span(self._scope, self._span, {**self._attributes, **label})

    def call_above(self, row: sqlite3.Row) -> RequestContent | None:
        """Return the content of the call that a request is an earlier attempt of; `None` if it is not one."""
        if row["kind"] not in CALL_KINDS:
            return None
        ancestors = self._traces.line(self._trace, self._id)[1:]
        above = next((above for above in ancestors if above["kind"]), None)
        # A call right above another one would be its wrapper, and no request.
        if above is None or above["kind"] not in CALL_KINDS or not above["request"]:
            return None
        return _content(_made(row, _RequestSpan(self._traces, self._trace, above["id"])), None)

    @cached_property
    def _around(self) -> list[sqlite3.Row]:
        return self._traces.around(self._trace, self._id)

    @cached_property
    def _below(self) -> list[sqlite3.Row]:
        """The spans around it that descend from it."""
        found: list[sqlite3.Row] = []
        below = {self._id}
        for row in self._around:
            if row["parent"] in below:
                below.add(row["span"])
                found.append(row)
        return found

    def data(self) -> dict[str, Any]:
        """Return headers, attributes, events, resource, scope and the spans around it."""
        return {
            "headers": self._headers(),
            "attributes": redact_attributes(self._attributes),
            "events": [
                {
                    "name": event.name,
                    "at_ms": milliseconds(event.time_unix_nano),
                    "attributes": redact_attributes(attributes_of(event.attributes)),
                }
                for event in self._span.events
            ],
            "resource": _shown_resource(self._resource),
            "scope": self._scope,
            "trace": {
                "trace_id": self._trace,
                "span_id": self._id,
                "spans": self._traces.shown(self._around, self._id),
            },
        }

    def page_at_helicone(self) -> str | None:
        """Return the address of the request's page on Helicone; `None` if no row of it is known to exist."""
        carrying = {self._id}
        carriers: list[dict[str, Any]] = []
        for row in self._below:
            # A span below that is a request itself has a row of its own, as earlier attempts have.
            if row["parent"] in carrying and not row["request"]:
                carrying.add(row["span"])
                carriers.append(self._traces.attributes(row["id"]))
        return _page_at_helicone(self._attributes, carriers)

    def _headers(self) -> list[list[str]]:
        """Return the Helicone headers that were captured on the span, or else on a span of an HTTP request below it."""
        headers = _captured_headers(self._attributes)
        for row in self._below:
            if headers:
                break
            headers = _captured_headers(self._traces.attributes(row["id"]))
        return headers


def span_data(row: sqlite3.Row) -> dict[str, Any]:
    """Return what pages show of a span around a request."""
    return {
        "span_id": row["span"],
        "parent_id": row["parent"] or None,
        "name": row["name"],
        "kind": row["kind"],
        "path": row["path"],
        "start_ms": milliseconds(row["start"]),
        "end_ms": milliseconds(row["end"]),
        "error": redact(row["error"]),
        "request": row["request"],
    }


@lru_cache(maxsize=64)
def _shown_resource(resource: bytes) -> list[list[Any]]:
    return redact_resource(attributes_of(Resource.FromString(resource).attributes))


def _captured_headers(attributes: Mapping[str, Any]) -> list[list[str]]:
    texts = {key: _joined(value) for key, value in attributes.items() if key.startswith(wire.REQUEST_HEADER_PREFIX)}
    return [list(header) for header in sent_headers(texts)]


def _joined(value: Any) -> str:
    values: Iterable[Any] = value if isinstance(value, list) else (value,)
    return ", ".join(str(redact(item)) for item in values)


# --- its page at Helicone -----------------------------------------------------------------------------

# Only a request that Helicone has a row of, by an id that is known, has a page there. The spans prove it: an HTTP
# request to one of Helicone's own gateways, and an id that came in the answer or was sent and answered. What an app
# logs itself is not proven by a span: it may not log at all, or log to this view.

# The dashboards of the two regions. A key, and so a row, belongs to one of them.
_DASHBOARD: Final = "https://us.helicone.ai"
_EUROPEAN_DASHBOARD: Final = "https://eu.helicone.ai"
# Gateways of the user's own have a dashboard whose address nobody knows here.
_HELICONES_OWN: Final = Destinations()
_ANSWERED_ID: Final = f"http.response.header.{wire.ROW_ID_HEADER}"
_SENT_ID: Final = f"{wire.REQUEST_HEADER_PREFIX}{wire.REQUEST_ID_HEADER.lower()}"
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/
_SERVER: Final = "server.address"


def _page_at_helicone(span: Mapping[str, Any], below: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the address of a request's page on Helicone; `None` if no row of it is known to exist.

    Args:
        span: The attributes of the request's span.
        below: The attributes of the spans that carried it, in the order of their starts: the row is that of the last.
    """
    for attributes in (*reversed(list(below)), span):
        host = _gateway_in(attributes)
        if host is None:
            continue
        row_id = _row_id(attributes) or _valid_id(span.get(wire.REQUEST_ID))
        if row_id is None:
            return None
        dashboard = _EUROPEAN_DASHBOARD if "eu" in host.split(".") else _DASHBOARD
        return f"{dashboard}/requests?requestId={row_id}"
    return None


def _gateway_in(attributes: Mapping[str, Any]) -> str | None:
    """Return the host of one of Helicone's gateways to which a span's request went; `None` if it went elsewhere."""
    url = url_of(attributes)
    try:
        host = urlsplit(url).hostname if isinstance(url, str) and url else attributes.get(_SERVER)
    except ValueError:  # it is no URL
        return None
    if not isinstance(host, str) or _HELICONES_OWN.of_host(host, None, "https") is not Destination.GATEWAY:
        return None
    return host.lower()


def _row_id(attributes: Mapping[str, Any]) -> str | None:
    """Return the id that the gateway's answer names, or that was sent with a request that was answered."""
    answered = _valid_id(attributes.get(_ANSWERED_ID))
    return answered or (_valid_id(attributes.get(_SENT_ID)) if status_of(attributes) is not None else None)


def _valid_id(value: Any) -> str | None:
    text = value[0] if isinstance(value, list) and value else value
    return text.lower() if isinstance(text, str) and re.match(wire.ROW_ID, text) else None
