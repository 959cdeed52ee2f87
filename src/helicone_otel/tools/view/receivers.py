"""Receives spans and rows over HTTP: OTLP, and Helicone's log API beside it.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]  # ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..replay.otlp import MalformedError, SpanBatch, batch_of, decode_json, decode_protobuf
from .database import BusyError, DatabaseError
from .intake import Intake
from .log_rows import MAX_UNITS, ROUTES, InvalidRowError, read_row
from .security import SecurityMiddleware

MAX_BODY: Final = 32 * 1024 * 1024
# All bodies that are read or decoded at one time.
MAX_ALL_BODIES: Final = 128 * 1024 * 1024
_BODY_SECONDS: Final = 30.0
_MAX_DIGITS: Final = 12
_MAX_MEMBERS: Final = 16
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_DECODE: Final[dict[str, Callable[[bytes], ExportTraceServiceRequest]]] = {
    _PROTOBUF: decode_protobuf,
    _JSON: decode_json,
}
# Metrics and logs are accepted and dropped: many applications send all signals to one endpoint, and would log errors.
_OTHER_SIGNALS: Final = ("/v1/metrics", "/v1/logs")
# The rest of the body may still be unread, so that the connection cannot be used again.
_CLOSE: Final = {"Connection": "close"}
_RETRY: Final = {"Retry-After": "1"}
# gRPC's status codes, which OTLP/HTTP uses in its answers.
_INVALID_ARGUMENT, _UNAVAILABLE = 3, 14
_BAD_REQUEST, _SERVICE_UNAVAILABLE = 400, 503


class HttpReceivers:
    """Receives spans and rows.

    Args:
        intake: Keeps them.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bodies = BodyReader()

    def app(self, hosts: frozenset[str]) -> SecurityMiddleware:
        """Return the ASGI application.

        Args:
            hosts: The host names that requests may name.
        """
        routes = [Route("/v1/traces", self._traces, methods=["POST"])]
        routes += [Route(path, self._dropped, methods=["POST"]) for path in _OTHER_SIGNALS]
        routes += [Route(path, self._log(provider), methods=["POST"]) for path, provider in ROUTES.items()]
        return SecurityMiddleware(Starlette(routes=routes), hosts)

    # --- OTLP ---------------------------------------------------------------------------------

    async def _traces(self, request: Request) -> Response:
        media_type = _media_type(request)
        decode = _DECODE.get(media_type)
        if decode is None:
            return _unsupported()
        try:
            async with self._bodies.read(request) as body:
                batch: SpanBatch = await asyncio.to_thread(lambda: batch_of(decode(body)))
                await asyncio.wrap_future(self._intake.accept_spans(batch))
        except BodyError as error:
            return _failure(media_type, error.status, error.message)
        except MalformedError as error:
            return _failure(media_type, _BAD_REQUEST, str(error))
        except BusyError:
            return _failure(media_type, _SERVICE_UNAVAILABLE, "busy; try again")
        except DatabaseError as error:
            return _failure(media_type, _SERVICE_UNAVAILABLE, str(error))
        return _accepted(media_type, batch.refused)

    async def _dropped(self, request: Request) -> Response:
        media_type = _media_type(request)
        if media_type not in _DECODE:
            return _unsupported()
        try:
            async with self._bodies.read(request):
                pass
        except BodyError as error:
            return _failure(media_type, error.status, error.message)
        return Response("{}" if media_type == _JSON else b"", media_type=media_type)

    # --- Helicone's log API -------------------------------------------------------------------

    def _log(self, provider: str) -> Callable[[Request], Any]:
        async def log(request: Request) -> Response:
            try:
                async with self._bodies.read(request) as body:
                    # Helicone's limit is in UTF-16 units. A body of fewer bytes cannot have more units.
                    if len(body) > MAX_UNITS and _utf16_units(body) > MAX_UNITS:
                        return PlainTextResponse("Payload too large", _BAD_REQUEST)
                    headers = {name.lower(): value for name, value in request.headers.items()}
                    row = await asyncio.to_thread(read_row, body, headers, provider)
                    await asyncio.wrap_future(self._intake.accept_row(row))
            except BodyError as error:
                return PlainTextResponse(error.message, error.status, _CLOSE)
            except InvalidRowError as error:
                return JSONResponse({"error": str(error)}, _BAD_REQUEST)
            except (BusyError, DatabaseError):
                return PlainTextResponse("busy; try again", _SERVICE_UNAVAILABLE, _RETRY)
            # Helicone's worker says so, and its API server says nothing.
            return PlainTextResponse("ok", headers={"helicone-id": row.id}) if provider else Response()

        return log


def _utf16_units(body: bytes) -> int:
    return len(body.decode(errors="replace").encode("utf-16-le")) // 2


# --- answers ------------------------------------------------------------------------------------------


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported() -> Response:
    return PlainTextResponse(f"Content-Type must be {_PROTOBUF} or {_JSON}\n", 415)


def _accepted(media_type: str, refused: int) -> Response:
    answer = ExportTraceServiceResponse()
    if refused:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = "spans without a valid trace id and span id"
    return Response(_encoded(answer, media_type), media_type=media_type)


def _failure(media_type: str, status: int, message: str) -> Response:
    is_busy = status == _SERVICE_UNAVAILABLE
    answer = Status(code=_UNAVAILABLE if is_busy else _INVALID_ARGUMENT, message=message)
    return Response(_encoded(answer, media_type), status, {**_CLOSE, **(_RETRY if is_busy else {})}, media_type)


def _encoded(message: Any, media_type: str) -> bytes:
    if media_type == _JSON:
        return str(MessageToJson(message, indent=None)).encode()
    return bytes(message.SerializeToString())


# --- bodies -------------------------------------------------------------------------------------------


class BodyError(Exception):
    """The body cannot be accepted.

    Args:
        status: The HTTP status of the answer.
        message: What is wrong, for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BodyReader:
    """Reads and decompresses bodies within limits for each body and for all bodies together.

    Attributes:
        size: The bytes of all bodies that are in memory.
    """

    def __init__(self) -> None:
        self.size = 0

    @asynccontextmanager
    async def read(self, request: Request, limit: int = MAX_BODY) -> AsyncIterator[bytes]:
        """Yield the decompressed body of a request. It counts against the limit for all bodies while the block runs.

        Raises:
            BodyError: The body is too large, arrives too slowly, or has an unknown encoding.
        """
        memory = _BodyMemory(self)
        try:
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    raw = await self._raw(request, limit, memory)
            except TimeoutError:
                raise BodyError(408, "the body took too long") from None
            except ClientDisconnect:
                raise BodyError(400, "the body ended early") from None
            body = _decompressed(request, raw, limit)
            memory.add(len(body))
            yield body
        finally:
            self.size -= memory.size

    async def _raw(self, request: Request, limit: int, memory: _BodyMemory) -> bytes:
        length = request.headers.get("content-length", "")
        if length and (not length.isascii() or not length.isdigit()):
            raise BodyError(400, "Content-Length is not a number")
        if length and (len(length) > _MAX_DIGITS or int(length) > limit):
            raise BodyError(413, f"the body has more than {limit} bytes")
        parts: list[bytes] = []
        async for part in request.stream():
            memory.add(len(part))
            if memory.size > limit:
                raise BodyError(413, f"the body has more than {limit} bytes")
            parts.append(part)
        return b"".join(parts)


class _BodyMemory:
    """Counts the memory of one body, and adds it to that of all bodies."""

    def __init__(self, bodies: BodyReader) -> None:
        self._bodies = bodies
        self.size = 0

    def add(self, size: int) -> None:
        self.size += size
        self._bodies.size += size
        if self._bodies.size > MAX_ALL_BODIES:
            raise BodyError(503, "too many large bodies at one time; try again")


def _decompressed(request: Request, body: bytes, limit: int) -> bytes:
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            return body
        case "gzip":
            return _gunzipped(body, limit)
        case _:
            raise BodyError(415, "Content-Encoding must be gzip or identity")


def _gunzipped(body: bytes, limit: int) -> bytes:
    # A few kilobytes of gzip can decompress to gigabytes, so decompression stops at the limit for a body.
    parts: list[bytes] = []
    size = 0
    # A gzip file can have several members: https://www.rfc-editor.org/rfc/rfc1952#page-5
    while body or not parts:
        if len(parts) == _MAX_MEMBERS:  # each member costs a copy of the rest
            raise BodyError(400, "the gzip has too many members")
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            parts.append(decompressor.decompress(body, limit - size + 1))
        except zlib.error:
            raise BodyError(400, "the body is not gzip") from None
        size += len(parts[-1])
        if size > limit:
            raise BodyError(413, f"the body has more than {limit} bytes")
        if not decompressor.eof:
            raise BodyError(400, "the gzip ends early")
        body = decompressor.unused_data
    return b"".join(parts)
