"""The doors over HTTP: OTLP, and Helicone's log API beside it.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]  # ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .arrived import Batch, MalformedError, from_json, from_protobuf
from .bodies import Bodies, BodyError
from .guards import Guard
from .intake import Intake
from .logs import MAX_UNITS, ROUTES, RefusedError, read_row
from .opening import StoreError
from .store import BusyError

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_READ: Final[dict[str, Callable[[bytes], Batch]]] = {_PROTOBUF: from_protobuf, _JSON: from_json}
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
        read = _READ.get(kind)
        if read is None:
            return PlainTextResponse(f"Content-Type: {_PROTOBUF} or {_JSON}\n", 415)
        try:
            async with self._bodies.read(request) as body:
                batch = await asyncio.to_thread(read, body)
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
        if kind not in _READ:
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
