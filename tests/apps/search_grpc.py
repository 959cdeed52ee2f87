"""The same downstream service with gRPC. It prints its port, and serves until SIGTERM."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
from model import ask
from opentelemetry import trace

tracer = trace.get_tracer("search")


def query(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    """Ask the model to rank search results."""
    with tracer.start_as_current_span("rank"):
        return ask("Which museum is best?").encode()


server = grpc.server(ThreadPoolExecutor(max_workers=2))
handlers = {"Query": grpc.unary_unary_rpc_method_handler(query)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Search", handlers)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=5))
print(port, flush=True)
server.wait_for_termination()
