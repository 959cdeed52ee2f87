"""Receives spans over gRPC. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from ..replay.otlp import batch_of
from .database import BusyError, DatabaseError
from .intake import Intake

_THREADS: Final = 4
_MAX_CALLS: Final = 64
# The Collector accepts 4 MiB.
_MAX_MESSAGE: Final = 16 * 1024 * 1024
_WRITE_SECONDS: Final = 30.0


class PortError(OSError):
    """The port is in use."""


class GrpcReceiver:
    """A server for OTLP/gRPC.

    Args:
        intake: Keeps the spans.
        host: The address to listen on.
        port: The port to listen on; 0 for a free port.

    Attributes:
        port: The port that it listens on.

    Raises:
        PortError: The port is in use.
    """

    def __init__(self, intake: Intake, host: str, port: int) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, "view-grpc"),
            maximum_concurrent_rpcs=_MAX_CALLS,
            options=[("grpc.max_receive_message_length", _MAX_MESSAGE), ("grpc.so_reuseport", 0)],
        )
        add_TraceServiceServicer_to_server(_TraceService(intake), self._server)  # type: ignore[no-untyped-call]
        address = f"[{host}]" if ":" in host else host
        try:
            self.port: int = self._server.add_insecure_port(f"{address}:{port}")
        except RuntimeError as error:
            raise PortError(str(port)) from error
        if not self.port:
            raise PortError(str(port))

    def start(self) -> None:
        """Start to listen."""
        self._server.start()

    def stop(self, seconds: float) -> None:
        """Stop to listen, and give running calls so many seconds."""
        self._server.stop(seconds).wait(seconds + 1)


class _TraceService(TraceServiceServicer):
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802  # as the service calls it
        batch = batch_of(request)
        try:
            kept: Future[None] = self._intake.accept_spans(batch)
            kept.result(_WRITE_SECONDS)
        except BusyError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy; try again")
        except DatabaseError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except FutureTimeoutError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "writing took too long; try again")
        answer = ExportTraceServiceResponse()
        if batch.refused:
            answer.partial_success.rejected_spans = batch.refused
            answer.partial_success.error_message = "spans without a valid trace id and span id"
        return answer
