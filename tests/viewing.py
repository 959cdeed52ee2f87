"""Asks a view what its pages ask, over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from helicone_otel import Settings
from helicone_otel._view.arrived import of_request
from helicone_otel._view.serve import Places, View, viewing
from view_seed import request_of, settle

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
    """Send one request as it is: no redirects, no proxies, nothing made right."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Asked:
    """A view, and what it answers."""

    def __init__(self, view: View) -> None:
        self.view = view

    def send(self, *requests: ExportTraceServiceRequest) -> None:
        """Have it take export requests one after the other, and place what is in them."""
        for request in requests:
            self.view.intake.spans(of_request(request)).result()
        settle(self.view)

    def take(self, *spans: dict[str, Any], service: str = "shop") -> None:
        """Have it take spans of `view_seed.span`."""
        self.send(request_of(service, list(spans)))

    def get(self, query: str, *pairs: tuple[str, object], **parameters: object) -> Any:
        """Return what the API answers."""
        answer = ask(f"{self.view.url}/api/{query}?{urlencode([*parameters.items(), *pairs], quote_via=quote)}")
        assert answer.status == 200, answer.body
        return answer.data

    def session(self, id_: str, name: str | None = None) -> Any:
        return self.get("session", id=id_, **({"name": name} if name is not None else {}))

    def request(self, id_: str) -> Any:
        return self.get("request", id=id_)

    def requests(self, id_: str) -> list[tuple[str, str, str]]:
        """Return path, kind and name of the requests of a session."""
        return [(one["path"], one["kind"], one["name"]) for one in self.session(id_)["requests"]]


@contextmanager
def asked(settings: Settings | None = None) -> Iterator[Asked]:
    with viewing(None, settings or Settings(), Places(pages=0, grpc=0, http=0)) as view:
        yield Asked(view)
