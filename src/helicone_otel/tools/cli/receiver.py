"""A small OTLP/HTTP receiver on loopback, for the spans of one run.

It listens on a port of its own and under a secret path, so that other users of the machine can
neither read nor add anything. What it holds is bounded: one body, and the number of spans.
"""

from __future__ import annotations

import secrets
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from ... import wire
from ..fakes.loopback import LoopbackServer, QuietHandler, serving

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

# A prompt can be a megabyte and nothing of it is drawn, so only these are kept.
_KEPT_PREFIXES: Final = ("helicone.", wire.REQUEST_HEADER_PREFIX + "helicone-")
_KEPT: Final = frozenset(
    (
        "db.system",
        "error.type",
        "gen_ai.request.model",
        "http.response.status_code",
        "http.status_code",
        "http.url",
        "llm.model_name",
        "embedding.model_name",
        "server.address",
        "server.port",
        "url.full",
    )
)
_MAX_TEXT: Final = 2048


@dataclass(frozen=True, slots=True)
class Span:
    """One ended span.

    Attributes:
        parent_id: Empty for the root of a trace.
        start: Nanoseconds since the epoch, as is `end`.
        error: What the span says went wrong; `None` when it went well.
        attributes: The few that are drawn, as text.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    scope: str
    start: int
    end: int
    error: str | None
    attributes: Mapping[str, str]


def decode(body: bytes) -> list[Span]:
    """Return the spans of one OTLP export request.

    Raises:
        google.protobuf.message.DecodeError: `body` is not such a request.
    """
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        _span(scoped.scope.name, span)
        for resource in request.resource_spans
        for scoped in resource.scope_spans
        for span in scoped.spans
    ]


def _span(scope: str, span: OtlpSpan) -> Span:
    attributes = _kept(span.attributes)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name[:_MAX_TEXT],
        scope=scope[:_MAX_TEXT],
        start=span.start_time_unix_nano,
        end=max(span.end_time_unix_nano, span.start_time_unix_nano),
        error=_error(span.status, attributes),
        attributes=attributes,
    )


def _error(status: Status, attributes: Mapping[str, str]) -> str | None:
    if status.code != Status.STATUS_CODE_ERROR:
        return None
    return status.message[:_MAX_TEXT] or attributes.get("error.type") or "error"


def _kept(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {
        attribute.key: _text(attribute.value)[:_MAX_TEXT]
        for attribute in attributes
        if attribute.key in _KEPT or attribute.key.startswith(_KEPT_PREFIXES)
    }


def _text(value: AnyValue) -> str:
    # A captured header is a list of values: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return str(value.int_value)
        case "array_value":
            return ", ".join(_text(item) for item in value.array_value.values)
        case _:
            return ""


MAX_BODY: Final = 64 * 1024 * 1024
MAX_SPANS: Final = 200_000
_MAX_DIGITS: Final = 12
_PROTOBUF: Final = "application/x-protobuf"


class Inbox:
    """What arrived, filled by the receiver's threads.

    Attributes:
        greetings: How many processes said that they were instrumented.
        dropped: How many spans came after `max_spans` were held.

    Args:
        max_spans: How many are held.
        forward: Gets each export request as well, in protobuf.
    """

    def __init__(self, max_spans: int = MAX_SPANS, forward: Callable[[bytes], None] | None = None) -> None:
        self.greetings = 0
        self.dropped = 0
        self._max_spans = max_spans
        self._forward = forward
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    def greet(self) -> None:
        with self._lock:
            self.greetings += 1

    def take(self, request: bytes) -> None:
        """Keep the spans of an export request in protobuf.

        Raises:
            google.protobuf.message.DecodeError: It is none.
        """
        self.add(decode(request))
        if self._forward is not None:
            self._forward(request)

    def add(self, spans: Iterable[Span]) -> None:
        """Keep spans up to the bound, and count the rest."""
        with self._lock:
            for span in spans:
                if len(self._spans) < self._max_spans:
                    self._spans.append(span)
                else:
                    self.dropped += 1


@contextmanager
def receiving(inbox: Inbox) -> Iterator[str]:
    """Fill `inbox` while the block runs, and yield the endpoint.

    `POST <endpoint>/v1/traces` takes OTLP as protobuf, plain or gzip; `POST <endpoint>/hello` is a
    process saying that it was instrumented.
    """
    server = _Server(inbox, secrets.token_urlsafe(16))
    with serving(server):
        yield f"{server.url}/{server.token}"


class _Server(LoopbackServer):
    def __init__(self, inbox: Inbox, token: str) -> None:
        self.inbox = inbox
        self.token = token
        super().__init__(_Handler)


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class _Handler(QuietHandler):
    server: _Server

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        try:
            self._route(self._body())
        except _RefusedError as refused:
            # The body may be unread, so the connection cannot be used again.
            self.close_connection = True
            self._answer(refused.status)
        except DecodeError:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            self._answer(HTTPStatus.OK)

    def _route(self, body: bytes) -> None:
        inbox, token = self.server.inbox, self.server.token
        if self.path == f"/{token}/hello":
            inbox.greet()
        elif self.path != f"/{token}/v1/traces":
            raise _RefusedError(HTTPStatus.NOT_FOUND)
        elif self.headers.get_content_type() != _PROTOBUF:
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        else:
            inbox.take(self._plain(body))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > _MAX_DIGITS or int(length) > MAX_BODY:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        return body

    def _plain(self, body: bytes) -> bytes:
        match self.headers.get("Content-Encoding", "identity").strip().lower():
            case "identity":
                return body
            case "gzip":
                return _unzipped(body)
            case _:
                raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    def _answer(self, status: HTTPStatus) -> None:
        # An empty ExportTraceServiceResponse, which says "all accepted", is zero bytes long.
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _unzipped(body: bytes) -> bytes:
    # A few kilobytes of gzip can unfold to gigabytes, so it unfolds only as far as a body may be long.
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unzip.decompress(body, MAX_BODY)
    except zlib.error:
        raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
    if unzip.unconsumed_tail:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if not unzip.eof:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return plain
