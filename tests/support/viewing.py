"""Sends requests to a view over HTTP, as its pages and applications do."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import quote, urlencode, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from helicone_otel import Settings
from helicone_otel.tools.view import text_index, worker
from helicone_otel.tools.view.database import SCHEMA
from helicone_otel.tools.view.server import View, running_view
from helicone_otel.tools.view.sockets import ListenOptions
from tests.support.view_seed import request_of, send, wait_until_labelled

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def ask(url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request as it is, without redirects or proxies."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def with_requests(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session of the API with a dictionary for each request."""
    fields, rows = session["requests"]["fields"], session["requests"]["rows"]
    return {**session, "requests": [dict(zip(fields, row, strict=True)) for row in rows]}


class ViewClient:
    """A running view, with methods to fill and to query it."""

    def __init__(self, view: View) -> None:
        self.view = view

    def clear(self) -> None:
        """Remove all data."""
        wait_until_labelled(self.view)

        def forget(connection: sqlite3.Connection) -> None:
            for table in ("spans", "traces", "places", "logs", "requests", "sessions", "facts", "scores", "feedback"):
                connection.execute(f"DELETE FROM {table}")

        self.view.database.write(forget).result()

    def send(self, *requests: ExportTraceServiceRequest) -> None:
        """Send export requests one after the other, and wait for the labels of their spans."""
        send(self.view, *requests)

    def take(self, *spans: dict[str, Any], service: str = "shop") -> None:
        """Send spans of `view_seed.span`, and wait for their labels."""
        self.send(request_of(service, list(spans)))

    def get(self, query: str, *pairs: tuple[str, object], **parameters: object) -> Any:
        """Return the API's answer to a query."""
        answer = ask(f"{self.view.url}/api/{query}?{urlencode([*parameters.items(), *pairs], quote_via=quote)}")
        assert answer.status == 200, answer.body
        return answer.data

    def raw(self, query: str) -> bytes:
        """Return the API's answer to a query as bytes."""
        return ask(f"{self.view.url}/api/{query}").body

    def log(self, row: Mapping[str, Any], route: str = "/custom/v1/log") -> Answer:
        """Post a row to Helicone's log API."""
        return ask(f"{self.view.http_url}{route}", "POST", json.dumps(row).encode(), JSON)

    def session(self, id_: str, name: str | None = None) -> Any:
        """Return a session with a dictionary for each of its requests."""
        return with_requests(self.get("session", id=id_, **({"name": name} if name is not None else {})))

    def request(self, id_: str) -> Any:
        return self.get("request", id=id_)

    def requests(self, id_: str) -> list[tuple[str, str, str]]:
        """Return path, kind and name of the requests of a session."""
        return [(one["path"], one["kind"], one["name"]) for one in self.session(id_)["requests"]]


def posted_row(
    session: str,
    path: str,
    name: str,
    *,
    request_id: str = "",
    user: str = "",
    properties: Mapping[str, str] | None = None,
    asked_for: Any = None,
    answered: Any = None,
) -> dict[str, Any]:
    """Return a row as Helicone's helpers post it; by default a small conversation."""
    meta = {"Helicone-Session-Id": session, "Helicone-Session-Path": path, "Helicone-Session-Name": name}
    if request_id:
        meta["Helicone-Request-Id"] = request_id
    if user:
        meta["Helicone-User-Id"] = user
    meta.update({f"Helicone-Property-{key}": value for key, value in (properties or {}).items()})
    return {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": asked_for or {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
            "meta": meta,
        },
        "providerResponse": {
            "json": answered
            or {
                "model": "gpt-4o-mini",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            },
            "status": 200,
            "headers": {},
        },
        "timing": {
            "startTime": {"seconds": 1760000000, "milliseconds": 125},
            "endTime": {"seconds": 1760000001, "milliseconds": 640},
        },
    }


@contextmanager
def view_client(settings: Settings | None = None, file: Path | None = None) -> Iterator[ViewClient]:
    """Run a view that labels spans as soon as they arrive, and keeps them in a file if there is one."""
    with (
        mock.patch.object(worker, "_QUIET", 0.0),
        mock.patch.object(text_index, "_PAUSE", 0.01),
        mock.patch.object(worker, "_WAIT_FACTOR", 0),
        running_view(file, settings or Settings(), ListenOptions(pages=0, grpc=0, http=0)) as view,
    ):
        yield ViewClient(view)


def make_older(file: Path) -> None:
    """Make a file of the view one of the oldest version that is migrated: without what has been added since."""
    older = file.with_name(f"older-{file.name}")
    with closing(sqlite3.connect(older, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("ATTACH ? AS newer", (str(file),))
        for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
    older.replace(file)
