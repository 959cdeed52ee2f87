"""Receives spans and rows over HTTP: OTLP, and Helicone's log API beside it.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]  # ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..body_limits import GzipError, TooLongError
from ..replay.otlp import MalformedError, batch_of, decode_json, decode_protobuf
from .database import BusyError, DatabaseError
from .intake import Intake
from .limits import BodyError, BodyReader, Decoder
from .log_rows import ROUTES, InvalidRowError, RowTooLargeError, read_row
from .security import SecurityMiddleware

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
_BAD_REQUEST, _TOO_LARGE, _UNSUPPORTED, _SERVICE_UNAVAILABLE = 400, 413, 415, 503
_ENCODINGS: Final = ("", "identity", "gzip")

_T = TypeVar("_T")


class HttpReceivers:
    """Receives spans and rows.

    Args:
        intake: Keeps them.
        decoder: Decodes them.
    """

    def __init__(self, intake: Intake, decoder: Decoder) -> None:
        self._intake = intake
        self._decoder = decoder
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
            batch = await self._decoded(request, lambda body: batch_of(decode(body)))
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
                _is_gzip(request)
        except BodyError as error:
            return _failure(media_type, error.status, error.message)
        return Response("{}" if media_type == _JSON else b"", media_type=media_type)

    # --- Helicone's log API -------------------------------------------------------------------

    def _log(self, provider: str) -> Callable[[Request], Any]:
        async def log(request: Request) -> Response:
            try:
                headers = {name.lower(): value for name, value in request.headers.items()}
                row = await self._decoded(request, partial(read_row, headers=headers, provider=provider))
                await asyncio.wrap_future(self._intake.accept_row(row))
            except BodyError as error:
                return PlainTextResponse(error.message, error.status, _CLOSE)
            except RowTooLargeError as error:
                return PlainTextResponse(str(error), _BAD_REQUEST)
            except InvalidRowError as error:
                return JSONResponse({"error": str(error)}, _BAD_REQUEST)
            except (BusyError, DatabaseError):
                return PlainTextResponse("busy; try again", _SERVICE_UNAVAILABLE, _RETRY)
            # Helicone's worker says so, and its API server says nothing.
            return PlainTextResponse("ok", headers={"helicone-id": row.id}) if provider else Response()

        return log

    # --- bodies -------------------------------------------------------------------------------

    async def _decoded(self, request: Request, decode: Callable[[bytes], _T]) -> _T:
        """Return what `decode` returns of the decompressed body of a request.

        Raises:
            BodyError: The body cannot be read or decompressed.
        """
        async with self._bodies.read(request) as body:
            try:
                if _is_gzip(request):
                    return await self._decoder.decode_gzip(body, decode)
                return await asyncio.wrap_future(self._decoder.decode(body, decode))
            except GzipError as error:
                raise BodyError(_BAD_REQUEST, str(error)) from None
            except TooLongError as error:
                raise BodyError(_TOO_LARGE, str(error)) from None


def _is_gzip(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise BodyError(_UNSUPPORTED, "Content-Encoding must be gzip or identity")
    return encoding == "gzip"


# --- answers ------------------------------------------------------------------------------------------


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported() -> Response:
    return PlainTextResponse(f"Content-Type must be {_PROTOBUF} or {_JSON}\n", _UNSUPPORTED)


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
