"""Receives spans over gRPC. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import DESCRIPTOR, ExportTraceServiceResponse

from ..replay.otlp import MalformedError, SpanBatch, batch_of, decode_protobuf
from .database import BusyError, DatabaseError
from .intake import Intake
from .limits import Decoder

_SERVICE: Final = DESCRIPTOR.services_by_name["TraceService"].full_name
# A message that arrives keeps a thread, and gRPC's library keeps the message.
_THREADS: Final = 24
# The Collector accepts 4 MiB.
MAX_MESSAGE: Final = 8 * 1024 * 1024
# Calls that wait for a thread cost little.
_MAX_CALLS: Final = 1024
_WRITE_SECONDS: Final = 30.0
# How long a message may take, and how long while many of them take long.
MESSAGE_SECONDS = 30.0
BUSY_SECONDS = 0.5
_BUSY_CALLS: Final = _THREADS // 2
_TICK_SECONDS: Final = 0.25


class PortError(OSError):
    """The port is in use."""


class GrpcReceiver:
    """A server for OTLP/gRPC.

    Args:
        intake: Keeps the spans.
        decoder: Decodes them.
        host: The address to listen on.
        port: The port to listen on; 0 for a free port.

    Attributes:
        port: The port that it listens on.

    Raises:
        PortError: The port is in use.
    """

    def __init__(self, intake: Intake, decoder: Decoder, host: str, port: int) -> None:
        self._arrivals = Arrivals()
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, "view-grpc"),
            maximum_concurrent_rpcs=_MAX_CALLS,
            options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)],
        )
        # On the wire, a stream of one message is the same as one message. But gRPC's library waits for one message
        # before it calls a handler, however long that takes, and decodes it, whatever that costs.
        export = grpc.stream_unary_rpc_method_handler(
            _Export(intake, decoder, self._arrivals), None, ExportTraceServiceResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))
        address = f"[{host}]" if ":" in host else host
        try:
            self.port: int = self._server.add_insecure_port(f"{address}:{port}")
        except RuntimeError as error:
            raise PortError(str(port)) from error
        if not self.port:
            raise PortError(str(port))

    def start(self) -> None:
        """Start to listen."""
        self._arrivals.start()
        self._server.start()

    def stop(self, seconds: float) -> None:
        """Stop to listen, and give running calls so many seconds."""
        self._server.stop(seconds).wait(seconds + 1)
        self._arrivals.stop()


class Arrivals:
    """Cancels calls whose messages arrive too slowly, so that they cannot keep all threads."""

    def __init__(self) -> None:
        # The calls that wait for their message, with the time when they began.
        self._waiting: dict[Any, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="view-grpc-watch", daemon=True)

    @contextmanager
    def arriving(self, context: Any) -> Iterator[None]:
        """Cancel the call if the block takes too long."""
        self._waiting[context] = time.monotonic()
        try:
            yield
        finally:
            del self._waiting[context]

    def cancel_slow(self, now: float) -> None:
        """Cancel the calls that take too long at a time of the monotonic clock."""
        waiting = list(self._waiting.items())
        seconds = BUSY_SECONDS if len(waiting) >= _BUSY_CALLS else MESSAGE_SECONDS
        for context, since in waiting:
            if now - since >= seconds:
                context.cancel()

    def start(self) -> None:
        """Start the thread that cancels."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(_TICK_SECONDS):
            self.cancel_slow(time.monotonic())


class _Export:
    def __init__(self, intake: Intake, decoder: Decoder, arrivals: Arrivals) -> None:
        self._intake = intake
        self._decoder = decoder
        self._arrivals = arrivals

    def __call__(self, messages: Iterator[bytes], context: Any) -> ExportTraceServiceResponse:
        try:
            with self._arrivals.arriving(context):
                message = next(messages, b"")
        except grpc.RpcError:  # the call was cancelled, here or by the client
            return ExportTraceServiceResponse()
        answer = ExportTraceServiceResponse()
        if refused := self._keep(message, context):
            answer.partial_success.rejected_spans = refused
            answer.partial_success.error_message = "spans without a valid trace id and span id"
        return answer

    def _keep(self, message: bytes, context: Any) -> int:
        """Keep the spans of an export request, and return the number of those that cannot be kept."""
        try:
            batch = self._decoder.decode(message, _batch).result(_WRITE_SECONDS)
            kept: Future[None] = self._intake.accept_spans(batch)
            kept.result(_WRITE_SECONDS)
        except MalformedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BusyError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy; try again")
        except DatabaseError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except FutureTimeoutError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "writing took too long; try again")
        return batch.refused


def _batch(message: bytes) -> SpanBatch:
    return batch_of(decode_protobuf(message))
