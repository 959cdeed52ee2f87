"""A fake of a vendor's OTLP backend: it checks path and headers as the real one does, and keeps the spans."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving

PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Span:
    """A received span without ids and times, so that two runs can be compared."""

    name: str
    kind: str
    scope: str
    parent: str
    attributes: Mapping[str, Any] = field(hash=False)
    events: tuple[str, ...]
    status: str
    service: str
    trace: str = field(compare=False)


class Backend(LoopbackServer):
    """Accepts spans at one path with the required headers, and refuses all other requests.

    Args:
        path: The path at which the real backend accepts spans.
        headers: The names and values of the headers that the real backend requires.
        other_answers: Other paths that the vendor's SDK requests, and the JSON with which they are answered.

    Attributes:
        refused: The requests that the real backend would have refused, and why.
    """

    def __init__(
        self,
        path: str = "/v1/traces",
        headers: Mapping[str, str] | None = None,
        other_answers: Mapping[str, object] | None = None,
    ) -> None:
        self.path = path
        self.required_headers = dict(headers or {})
        self.other_answers = dict(other_answers or {})
        self.refused: list[str] = []
        self._requests: list[ExportTraceServiceRequest] = []
        self._lock = threading.Lock()
        super().__init__(_Handler)

    def add(self, body: bytes) -> None:
        """Decode and keep the body of a request."""
        with self._lock:
            self._requests.append(ExportTraceServiceRequest.FromString(body))

    @property
    def spans(self) -> list[Span]:
        """The spans that have arrived, in the order of their starts."""
        with self._lock:
            found = [
                (resource.resource.attributes, scoped.scope.name, span)
                for request in self._requests
                for resource in request.resource_spans
                for scoped in resource.scope_spans
                for span in scoped.spans
            ]
        found.sort(key=lambda one: (one[2].start_time_unix_nano, one[2].end_time_unix_nano))
        names = {span.span_id: span.name for _, _, span in found}
        return [_span(dict_of(resource), scope, span, names) for resource, scope, span in found]


def _span(resource: Mapping[str, Any], scope: str, span: OtlpSpan, names: Mapping[bytes, str]) -> Span:
    return Span(
        name=span.name,
        kind=OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        scope=scope,
        parent=names.get(span.parent_span_id, "?") if span.parent_span_id else "",
        attributes=dict_of(span.attributes),
        events=tuple(event.name for event in span.events),
        status=str(MessageToDict(span.status)),
        service=str(resource.get("service.name", "")),
        trace=str(uuid.UUID(bytes=span.trace_id)),
    )


def dict_of(attributes: Any) -> dict[str, Any]:
    """Return OTLP's attributes as a dictionary of Python values."""
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, which) if which else None


@contextmanager
def receiving(
    path: str = "/v1/traces",
    headers: Mapping[str, str] | None = None,
    other_answers: Mapping[str, object] | None = None,
) -> Iterator[Backend]:
    """Run a backend while the block runs. For the arguments, see `Backend`."""
    with serving(Backend(path, headers, other_answers)) as backend:
        yield backend


class _Handler(QuietHandler):
    server: Backend

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != self.server.path:
            self._answer_other()
            return
        wrong = {name for name, value in self.server.required_headers.items() if self.headers.get(name) != value}
        if wrong:
            self._refuse(401, f"without the right {', '.join(sorted(wrong))}")
        elif self.headers.get_content_type() != PROTOBUF:
            self._refuse(415, f"as {self.headers.get_content_type()}")
        else:
            zipped = self.headers.get("Content-Encoding") == "gzip"
            self.server.add(gzip.decompress(body) if zipped else body)
            self._answer(200, b"", PROTOBUF)

    def do_GET(self) -> None:  # noqa: N802  # as http.server calls it
        self._answer_other()

    def _answer_other(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.server.other_answers:
            self._answer(200, json.dumps(self.server.other_answers[path]).encode(), "application/json")
        else:
            self._refuse(404, "to an unknown path")

    def _refuse(self, status: int, why: str) -> None:
        self.server.refused.append(f"{self.command} {self.path} {why}")
        self._answer(status, b"", "text/plain")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
