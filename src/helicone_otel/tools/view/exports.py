"""Sessions as files for downloads: CSV, JSON, OTLP JSON, or the page of one session. Each is made once for all who ask.

Files are made in parts, because they can be much larger than the memory. No secrets and no folders of the machine
leave, as on the pages.
"""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, Final, NamedTuple, TypeAlias

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from jinja2 import Environment
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ..redaction import redact, redact_attributes, redact_json, redact_resource
from ..replay.otlp import attributes_of
from .database import Database, milliseconds
from .html_export import session_html
from .markdown import MarkdownReader
from .prices import dollars
from .queries.filters import SessionFilter
from .queries.request import TraceReader, requests_in
from .queries.sessions import find_session, session_by_number, session_data
from .responses import Spool, Spooled, compact_json, encoded

HTML: Final = "html"
_REQUESTS: Final = """
SELECT s.session_id, s.name, r.path, r.kind, r.name, r.model, r.provider, r.start, r."end", r.ttft, r.input_tokens,
    r.output_tokens, r.cost, r.error, r.badge, r.id
FROM requests r JOIN sessions s ON s.id = r.session WHERE r.session = ? ORDER BY r.start, r.id
"""
_SPANS: Final = """
SELECT s.resource, r.data, s.scope, s.data
FROM places p JOIN spans s ON s.id = p.id JOIN resources r ON r.id = s.resource
WHERE p.session = ? ORDER BY s.resource, s.scope, s.start, s.id
"""
_COLUMNS: Final = (
    *("session_id", "session_name", "path", "kind", "name", "model", "provider", "start", "duration_ms"),
    *("first_token_ms", "input_tokens", "output_tokens", "cost", "error", "badge", "request_id"),
)
# A spreadsheet takes a text that begins like this for a formula, and runs it.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_FIELDS: Final = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
# So many spans are in one line of OTLP JSON, which other programs read as a whole.
_SPANS_PER_LINE: Final = 500


class Selected(NamedTuple):
    """What is exported: one session, or all sessions that a filter lets through.

    Attributes:
        filter: Selects the sessions; its name is the session's name if there is an id.
        id: The id of one session.
    """

    filter: SessionFilter
    id: str | None = None

    def numbers(self, connection: sqlite3.Connection) -> list[int]:
        """Return the numbers of the sessions, the last used first."""
        if self.id is not None:
            row = find_session(connection, self.id, self.filter.name)
            return [row[0]] if row is not None else []
        where, values = self.filter.clause(connection)
        sql = f"SELECT id FROM sessions WHERE {where} ORDER BY last DESC, id DESC"
        return [row[0] for row in connection.execute(sql, values)]


class Format(NamedTuple):
    """A form in which sessions are exported.

    Attributes:
        write: Yields the parts of the file for the sessions with these numbers.
        media_type: The type of the file.
        suffix: The end of its name.
        requests: The number of requests that one file may have.
    """

    write: Callable[[sqlite3.Connection, Sequence[int]], Iterator[bytes]]
    media_type: str
    suffix: str
    requests: int


# The form, and what is exported.
_Key: TypeAlias = tuple[str, Selected]


class TooManyRequestsError(ValueError):
    """The filter lets more requests through than one file may have; the message says how many."""


class Exports:
    """Makes the files, one at a time.

    Args:
        database: Has the sessions.
        templates: The templates of the pages.
        spool: Keeps the files while they are sent.
    """

    def __init__(self, database: Database, templates: Environment, spool: Spool) -> None:
        self._database = database
        self._templates = templates
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, "view-export")
        # Those that are still being sent, with the revision of the database that they show.
        self._made: weakref.WeakValueDictionary[tuple[_Key, int], Spooled] = weakref.WeakValueDictionary()
        self._waiting: dict[_Key, Future[Spooled | None]] = {}
        self._lock = threading.Lock()

    async def get(self, form: str, selected: Selected) -> Spooled | None:
        """Return a file that has everything that is kept now; `None` if there is no such session.

        Args:
            form: `HTML` for one session as a page, or a key of `FORMATS`.
            selected: The sessions.

        Raises:
            TooManyRequestsError: There are more requests than one file may have.
            sqlite3.Error: The database fails.
        """
        key = (form, selected)
        made = self._made.get((key, self._database.revision))
        if made is not None and made.close.alive:
            return made
        with self._lock:
            if key not in self._waiting:
                self._waiting[key] = self._thread.submit(self._make, key)
            waiting = self._waiting[key]
        # The others must still get it if this client goes.
        return await asyncio.shield(asyncio.wrap_future(waiting))

    def _make(self, key: _Key) -> Spooled | None:
        # Who asks from here on may want data that this one does not show.
        with self._lock:
            del self._waiting[key]
        revision = self._database.revision
        form, selected = key
        if form == HTML:
            parts = session_html(self._database, self._templates, selected.id or "", selected.filter.name)
            made = self._spool.keep(parts) if parts is not None else None
        else:
            made = self._make_format(FORMATS[form], selected)
        if made is not None:
            self._made[key, revision] = made
        return made

    def _make_format(self, form: Format, selected: Selected) -> Spooled | None:
        with self._database.reading() as connection:
            sessions = selected.numbers(connection)
            if selected.id is not None and not sessions:
                return None
            counts = (connection.execute("SELECT requests FROM sessions WHERE id = ?", (one,)) for one in sessions)
            requests = sum(count.fetchone()[0] for count in counts)
            if requests > form.requests:
                raise TooManyRequestsError(
                    f"{requests:,} requests are more than the {form.requests:,} that a {form.suffix} file may have; "
                    "choose fewer sessions"
                )
            return self._spool.keep(form.write(connection, sessions))

    def close(self) -> None:
        """Make nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


# --- CSV ----------------------------------------------------------------------------------------------


def _csv(connection: sqlite3.Connection, sessions: Sequence[int]) -> Iterator[bytes]:
    """Yield a line for each request: https://www.rfc-editor.org/rfc/rfc4180."""
    yield _csv_lines([_COLUMNS])
    for session in sessions:
        yield _csv_lines(map(_csv_row, connection.execute(_REQUESTS, (session,))))


def _csv_lines(rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return encoded(text.getvalue())


def _csv_row(row: Sequence[Any]) -> list[Any]:
    *before, start, end, first_token, inputs, outputs, cost, error, badge, id_ = row
    when = datetime.fromtimestamp(start / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first = milliseconds(first_token) if first_token is not None else None
    numbers = [milliseconds(end - start), first, inputs, outputs, dollars(cost)]
    return [_cell(value) for value in (*before, when, *numbers, error, badge, id_)]


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = redact(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


# --- JSON ---------------------------------------------------------------------------------------------


def _json(connection: sqlite3.Connection, sessions: Sequence[int]) -> Iterator[bytes]:
    """Yield a list of sessions, each as in the list of the API, with its requests as the API has them."""
    yield b"["
    traces, texts = TraceReader(connection, 1), MarkdownReader(0)
    for place, session in enumerate(sessions):
        row = session_by_number(connection, session)
        whole = compact_json(session_data(row))
        yield encoded(f'{"," if place else ""}\n{{"session":{whole},"requests":[')
        for number, request in enumerate(requests_in(traces, session, texts)):
            yield encoded(f"{',' if number else ''}\n{compact_json(_json_request(request))}")
        yield b"]}"
    yield b"\n]\n"


def _json_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without what only pages need."""
    trace = request["trace"]
    ids = {"trace_id": trace["trace_id"], "span_id": trace["span_id"]} if trace else None
    left_out = ("session", "colour", "markdown", "previous", "next", "trace")
    return {**{key: value for key, value in request.items() if key not in left_out}, "trace": ids}


# --- OTLP ---------------------------------------------------------------------------------------------


def _otlp(connection: sqlite3.Connection, sessions: Sequence[int]) -> Iterator[bytes]:
    """Yield export requests of OTLP JSON, one a line, as the Collector's file exporter writes them.

    https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
    """
    for session in sessions:
        spans = connection.execute(_SPANS, (session,))
        for (_, resource, scope), rows in groupby(spans, key=lambda row: (row[0], row[1], row[2])):
            while some := [row[3] for row in islice(rows, _SPANS_PER_LINE)]:
                yield encoded(compact_json(_otlp_request(resource, scope, some)) + "\n")


def _otlp_request(resource: bytes, scope: str, spans: Sequence[bytes]) -> dict[str, Any]:
    shown = redact_resource(attributes_of(Resource.FromString(resource).attributes))
    scope_spans = {"scope": {"name": scope}, "spans": [_otlp_span(Span.FromString(data)) for data in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _otlp_attributes(shown)}, "scopeSpans": [scope_spans]}]}


def _otlp_span(span: Span) -> dict[str, Any]:
    attributes, events = _otlp_safe(span.attributes), [_otlp_safe(event.attributes) for event in span.events]
    status = redact(span.status.message)
    for holder in (span, *span.events):
        del holder.attributes[:]
    # Links have attributes of anybody, and pages do not show them.
    for link in span.links:
        del link.attributes[:]
    span.status.message, span.name, span.trace_state = status, redact(span.name), redact(span.trace_state)
    for event in span.events:
        event.name = redact(event.name)
    whole = MessageToDict(span, use_integers_for_enums=True)
    ids = {"traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_span_id}
    whole.update({field: value.hex() for field, value in ids.items() if value})
    for link, one in zip(whole.get("links", ()), span.links, strict=True):
        link.update(traceId=one.trace_id.hex(), spanId=one.span_id.hex())
    for event, some in zip(whole.get("events", ()), events, strict=True):
        event["attributes"] = some
    return {**whole, "attributes": attributes}


def _otlp_safe(pairs: Any) -> list[dict[str, Any]]:
    """Return attributes without secrets, with values of the types that they had."""
    return _otlp_attributes(redact_attributes(redact_json(attributes_of(pairs))))


def _otlp_attributes(pairs: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _otlp_value(value)} for key, value in pairs]


def _otlp_value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_otlp_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _otlp_attributes(list(value.items()))}}
    field = _FIELDS.get(type(value))
    return {field: str(value) if field == "intValue" else value} if field is not None else {}


FORMATS: Final = {
    "csv": Format(_csv, "text/csv; charset=utf-8", "csv", 1_000_000),
    "json": Format(_json, "application/json", "json", 50_000),
    "otlp": Format(_otlp, "application/jsonl", "otlp.jsonl", 50_000),
}
