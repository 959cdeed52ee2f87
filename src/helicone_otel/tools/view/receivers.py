"""The doors over HTTP: OTLP, and Helicone's log API beside it.

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

from ..replay.otlp import MalformedError, batch_of, decode_json, decode_protobuf
from .database import BusyError, StoreError
from .intake import Intake
from .log_rows import MAX_UNITS, ROUTES, RefusedError, read_row
from .security import Guard

MAX_BODY: Final = 32 * 1024 * 1024
# Of all bodies that are being read or decoded at a time.
MAX_TOGETHER: Final = 128 * 1024 * 1024
_SECONDS: Final = 30.0
_MAX_DIGITS: Final = 12
_MAX_MEMBERS: Final = 16


class BodyError(Exception):
    """The body cannot be taken.

    Args:
        status: The answer's.
        message: What is wrong, for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Bodies:
    """Reads bodies.

    Attributes:
        held: How many bytes all requests hold that are being answered; this is bounded.
    """

    def __init__(self) -> None:
        self.held = 0

    @asynccontextmanager
    async def read(self, request: Request, most: int = MAX_BODY) -> AsyncIterator[bytes]:
        """Yield the body of a request, unpacked; it counts for as long as the block runs.

        Raises:
            BodyError: It is too large, too slow, or packed in a way that is not known.
        """
        held = _Held(self)
        try:
            try:
                async with asyncio.timeout(_SECONDS):
                    packed = await self._raw(request, most, held)
            except TimeoutError:
                raise BodyError(408, "the body took too long") from None
            except ClientDisconnect:
                raise BodyError(400, "the body ended early") from None
            body = self._plain(request, packed, most)
            held.add(len(body))
            yield body
        finally:
            self.held -= held.size

    def _plain(self, request: Request, body: bytes, most: int) -> bytes:
        match request.headers.get("content-encoding", "identity").strip().lower():
            case "identity" | "":
                return body
            case "gzip":
                return _unzipped(body, most)
            case _:
                raise BodyError(415, "no other Content-Encoding than gzip is known")

    async def _raw(self, request: Request, most: int, held: _Held) -> bytes:
        length = request.headers.get("content-length", "")
        if length and (not length.isascii() or not length.isdigit()):
            raise BodyError(400, "Content-Length is no number")
        if length and (len(length) > _MAX_DIGITS or int(length) > most):
            raise BodyError(413, f"more than {most} bytes")
        parts: list[bytes] = []
        async for part in request.stream():
            held.add(len(part))
            if held.size > most:
                raise BodyError(413, f"more than {most} bytes")
            parts.append(part)
        return b"".join(parts)


class _Held:
    """What one request holds of the memory that all of them may take together."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    def add(self, size: int) -> None:
        self.size += size
        self._bodies.held += size
        if self._bodies.held > MAX_TOGETHER:
            raise BodyError(503, "too much at a time; try again")


def _unzipped(body: bytes, most: int) -> bytes:
    # A few kilobytes of gzip can unfold to gigabytes, so it unfolds only as far as a body may be long.
    parts: list[bytes] = []
    size = 0
    # Of one member or several: https://www.rfc-editor.org/rfc/rfc1952#page-5
    while body or not parts:
        if len(parts) == _MAX_MEMBERS:  # what is left is copied with each
            raise BodyError(400, "gzip in too many pieces")
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            parts.append(unzip.decompress(body, most - size + 1))
        except zlib.error:
            raise BodyError(400, "no gzip") from None
        size += len(parts[-1])
        if size > most:
            raise BodyError(413, f"more than {most} bytes")
        if not unzip.eof:
            raise BodyError(400, "the gzip ends early")
        body = unzip.unused_data
    return b"".join(parts)


_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_DECODE: Final[dict[str, Callable[[bytes], ExportTraceServiceRequest]]] = {
    _PROTOBUF: decode_protobuf,
    _JSON: decode_json,
}
# Metrics and logs are taken and dropped: many apps send all signals to one endpoint, and would log errors for ever.
_OTHER_SIGNALS: Final = ("/v1/metrics", "/v1/logs")
# The rest of the body may be still to come, so that the connection is of no use any more.
_CLOSING: Final = {"Connection": "close"}
_INVALID_ARGUMENT, _UNAVAILABLE = 3, 14
_BAD_REQUEST, _SERVICE_UNAVAILABLE = 400, 503


class Receivers:
    """Takes spans and rows.

    Args:
        intake: Keeps them.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bodies = Bodies()

    def app(self, hosts: frozenset[str]) -> Guard:
        """Return the ASGI application.

        Args:
            hosts: Names by which it may be called.
        """
        routes = [Route("/v1/traces", self._traces, methods=["POST"])]
        routes += [Route(path, self._dropped, methods=["POST"]) for path in _OTHER_SIGNALS]
        routes += [Route(path, self._log(provider), methods=["POST"]) for path, provider in ROUTES.items()]
        return Guard(Starlette(routes=routes), hosts)

    # --- OTLP ---------------------------------------------------------------------------------

    async def _traces(self, request: Request) -> Response:
        kind = _media_type(request)
        decode = _DECODE.get(kind)
        if decode is None:
            return PlainTextResponse(f"Content-Type: {_PROTOBUF} or {_JSON}\n", 415)
        try:
            async with self._bodies.read(request) as body:
                batch = await asyncio.to_thread(lambda: batch_of(decode(body)))
                await asyncio.wrap_future(self._intake.spans(batch))
        except BodyError as error:
            return _failure(kind, error.status, error.message)
        except MalformedError as error:
            return _failure(kind, _BAD_REQUEST, str(error))
        except BusyError:
            return _failure(kind, _SERVICE_UNAVAILABLE, "busy; try again")
        except StoreError as error:
            return _failure(kind, _SERVICE_UNAVAILABLE, str(error))
        return _accepted(kind, batch.refused)

    async def _dropped(self, request: Request) -> Response:
        kind = _media_type(request)
        if kind not in _DECODE:
            return PlainTextResponse(f"Content-Type: {_PROTOBUF} or {_JSON}\n", 415)
        try:
            async with self._bodies.read(request):
                pass
        except BodyError as error:
            return _failure(kind, error.status, error.message)
        return Response("{}" if kind == _JSON else b"", media_type=kind)

    # --- Helicone's log API -------------------------------------------------------------------

    def _log(self, provider: str) -> Callable[[Request], Any]:
        async def log(request: Request) -> Response:
            try:
                async with self._bodies.read(request) as body:
                    # In the units of Helicone's worker. A body of fewer bytes has not more of them.
                    if len(body) > MAX_UNITS and _units(body) > MAX_UNITS:
                        return PlainTextResponse("Payload too large", _BAD_REQUEST)
                    headers = {name.lower(): value for name, value in request.headers.items()}
                    row = await asyncio.to_thread(read_row, body, headers, provider)
                    await asyncio.wrap_future(self._intake.row(row))
            except BodyError as error:
                return PlainTextResponse(error.message, error.status, _CLOSING)
            except RefusedError as error:
                return JSONResponse({"error": str(error)}, _BAD_REQUEST)
            except (BusyError, StoreError):
                return PlainTextResponse("busy; try again", _SERVICE_UNAVAILABLE, {"Retry-After": "1"})
            return PlainTextResponse("ok", headers={"helicone-id": row.id})

        return log


def _units(body: bytes) -> int:
    return len(body.decode(errors="replace").encode("utf-16-le")) // 2


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _accepted(kind: str, refused: int) -> Response:
    answer = ExportTraceServiceResponse()
    if refused:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = "spans without a valid trace id and span id"
    return Response(_encoded(answer, kind), media_type=kind)


def _failure(kind: str, status: int, message: str) -> Response:
    code = _UNAVAILABLE if status == _SERVICE_UNAVAILABLE else _INVALID_ARGUMENT
    headers = {**_CLOSING, **({"Retry-After": "1"} if status == _SERVICE_UNAVAILABLE else {})}
    return Response(_encoded(Status(code=code, message=message), kind), status, headers, kind)


def _encoded(message: Any, kind: str) -> bytes:
    encoded: bytes = MessageToJson(message, indent=None).encode() if kind == _JSON else message.SerializeToString()
    return encoded
