"""An OTLP/HTTP receiver on the loopback interface, for the spans of one `helicone-otel run`.

It listens on a free port and under a secret path, so that other users of the machine can neither read nor add spans.
The size of a body, the cost of decoding it and the number of spans are limited.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ... import wire
from ...install.entry_points import LOGS
from ..body_limits import GzipError, TooLongError, gunzipped
from ..fakes.loopback import LoopbackServer, QuietHandler, serving
from ..replay.calls import MODEL_ATTRIBUTES
from ..replay.otlp import DecodedSpan, MalformedError, decode_protobuf, decoded_fields, scoped_spans, value_of

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

MAX_BODY: Final = 64 * 1024 * 1024
MAX_SPANS: Final = 200_000
_MAX_DISCARDED: Final = 64 * 1024
_MAX_DIGITS: Final = 12
_MAX_TEXT: Final = 2048
_PROTOBUF: Final = "application/x-protobuf"
# Only these attributes are drawn. The others are not kept, because a prompt can have a megabyte.
_KEPT_PREFIXES: Final = ("helicone.", wire.REQUEST_HEADER_PREFIX + "helicone-")
_KEPT: Final = MODEL_ATTRIBUTES | {
    "db.system",
    "error.type",
    "http.response.status_code",
    "http.status_code",
    "http.url",
    "server.address",
    "server.port",
    "url.full",
}


@dataclass(frozen=True, slots=True)
class ReceivedSpan(DecodedSpan):
    """A span with those of its attributes that are drawn.

    Attributes:
        attributes: The values are texts.
    """

    attributes: Mapping[str, str]


def decode(body: bytes) -> list[ReceivedSpan]:
    """Return the spans of an export request in protobuf.

    Raises:
        MalformedError: `body` is not an export request.
    """
    return [
        ReceivedSpan(*decoded_fields(scope, span), _kept(span.attributes))
        for resource_spans in decode_protobuf(body).resource_spans
        for scope, span in scoped_spans(resource_spans)
    ]


def _kept(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {
        pair.key: _text(value_of(pair.value))[:_MAX_TEXT]
        for pair in attributes
        if pair.key in _KEPT or pair.key.startswith(_KEPT_PREFIXES)
    }


def _text(value: object) -> str:
    # A captured header is a list of values: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class Inbox:
    """Keeps the spans that the receiver's threads decode.

    Attributes:
        greetings: The number of processes that reported that they are instrumented.
        logs: Whether one of them logs to the Helicone of its settings.
        dropped: The number of spans that arrived when `max_spans` were kept already.

    Args:
        max_spans: The number of spans to keep.
        forward: Is called with each export request, in protobuf.
    """

    def __init__(self, max_spans: int = MAX_SPANS, forward: Callable[[bytes], None] | None = None) -> None:
        self.greetings = 0
        self.logs = False
        self.dropped = 0
        self._max_spans = max_spans
        self._forward = forward
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[ReceivedSpan]:
        """The spans that are kept, in the order of their arrival."""
        with self._lock:
            return list(self._spans)

    def greet(self) -> None:
        """Count a process that reports that it is instrumented."""
        with self._lock:
            self.greetings += 1

    def take(self, request: bytes) -> None:
        """Keep the spans of an export request in protobuf.

        Raises:
            MalformedError: `request` is not an export request.
        """
        self.add(decode(request))
        if self._forward is not None:
            self._forward(request)

    def add(self, spans: Iterable[ReceivedSpan]) -> None:
        """Keep spans until there are `max_spans`, and count the others."""
        with self._lock:
            for span in spans:
                if len(self._spans) < self._max_spans:
                    self._spans.append(span)
                else:
                    self.dropped += 1


@contextmanager
def receiving(inbox: Inbox) -> Iterator[str]:
    """Fill `inbox` while the block runs, and yield the endpoint.

    `POST <endpoint>/v1/traces` accepts OTLP as protobuf, plain or gzip. With `POST <endpoint>/hello` a process reports
    that it is instrumented.
    """
    server = _ReceiverServer(inbox, secrets.token_urlsafe(16))
    with serving(server):
        yield f"{server.url}/{server.token}"


class _ReceiverServer(LoopbackServer):
    def __init__(self, inbox: Inbox, token: str) -> None:
        self.inbox = inbox
        self.token = token
        self.decoding = threading.Lock()
        super().__init__(_ReceiverHandler)


class _HttpError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class _ReceiverHandler(QuietHandler):
    server: _ReceiverServer

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        """Answer a POST request."""
        try:
            self._route()
        except _HttpError as error:
            # The rest of the body may still be unread, so the connection cannot be used again.
            self.close_connection = True
            self._answer(error.status)
        except MalformedError:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            self._answer(HTTPStatus.OK)

    def _route(self) -> None:
        inbox, token = self.server.inbox, self.server.token
        # The bodies of those who do not know the secret path cost nothing. A connection that closes before a body that
        # is on its way may lose the answer, so that a short one is read.
        if self.path not in (f"/{token}/hello", f"/{token}/v1/traces"):
            self.rfile.read(min(self._length(), _MAX_DISCARDED))
            raise _HttpError(HTTPStatus.NOT_FOUND)
        body = self._body()
        inbox.logs |= self.headers.get(LOGS) is not None
        if self.path == f"/{token}/hello":
            inbox.greet()
        elif self.headers.get_content_type() != _PROTOBUF:
            raise _HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        else:
            # One at a time: decoding takes a multiple of a body's memory.
            with self.server.decoding:
                inbox.take(self._decompressed(body))

    def _length(self) -> int:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _HttpError(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > _MAX_DIGITS or int(length) > MAX_BODY:
            raise _HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return int(length)

    def _body(self) -> bytes:
        length = self._length()
        body = self.rfile.read(length)
        if len(body) < length:
            raise _HttpError(HTTPStatus.BAD_REQUEST)
        return body

    def _decompressed(self, body: bytes) -> bytes:
        match self.headers.get("Content-Encoding", "identity").strip().lower():
            case "identity":
                return body
            case "gzip":
                return self._gunzipped(body)
            case _:
                raise _HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    def _gunzipped(self, body: bytes) -> bytes:
        try:
            return gunzipped(body, MAX_BODY)
        except TooLongError:
            raise _HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
        except GzipError:
            raise _HttpError(HTTPStatus.BAD_REQUEST) from None

    def _answer(self, status: HTTPStatus) -> None:
        # An empty ExportTraceServiceResponse, which means "all accepted", is zero bytes long.
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF)
        self.send_header("Content-Length", "0")
        self.end_headers()
