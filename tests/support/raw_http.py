"""An HTTP server that records the bytes of each request before anything parses them."""

from __future__ import annotations

import json
import math
import re
import socket
import ssl
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
from opentelemetry.instrumentation import httpx as http_instrumentation
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel.tools.fakes.provider import ModelAnswer, as_event_stream, endpoint_of
from helicone_otel.wire import is_row_id

MODEL = "gpt-5.4-mini"
QUESTION = {"role": "user", "content": "Where to?"}
# Made once, because loading all certificates takes longer than a whole test.
TLS = ssl.create_default_context()

# With and without OpenTelemetry's HTTP instrumentation, which supports httpx2 since 0.65b0.
HTTP = [
    pytest.param(False, id="no HTTP instrumentation"),
    pytest.param(
        True,
        id="HTTP instrumentation",
        marks=pytest.mark.skipif(
            not hasattr(http_instrumentation, "HTTPX2ClientInstrumentor"), reason="this instrumentation knows no httpx2"
        ),
    ),
]

_ROW_ID = b"helicone-request-id"
_NO_TUNNEL = b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


def _named_once(row_id: str) -> Sequence[bytes]:
    # As some answers of Helicone spell it; others are in lower case.
    return (b"Helicone-Id: " + row_id.encode(),)


@dataclass
class Wire:
    """A server, and the requests that arrived there.

    Attributes:
        url: Its address.
        heads: The request line and headers of each request, byte for byte.
        bodies: The body of each request.
        answers: JSON answers by the end of the path; other paths are answered as OpenAI or Anthropic do.
        redirect: An address to redirect requests to, instead of answering them.
        redirects: How many requests are redirected; the others are answered.
        statuses: The next statuses, 200 when there are none left; 0: the connection is closed without an answer.
        row_ids: The id of the row that was made of each request; `None` if none was made.
        naming: Makes the header lines of an answer in which a gateway names that id.
    """

    url: str
    redirect: str | None = None
    redirects: float = math.inf
    answers: Mapping[str, object] = field(default_factory=dict)
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    statuses: deque[int] = field(default_factory=deque)
    row_ids: list[str | None] = field(default_factory=list)
    naming: Callable[[str], Sequence[bytes]] = _named_once
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def netloc(self) -> str:
        return self.url.removeprefix("http://")

    def headers(self, index: int = -1) -> list[tuple[bytes, bytes]]:
        """Return the header lines of a request, split at their first colon and no further."""
        lines = self.heads[index].removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
        return [(line.partition(b": ")[0], line.partition(b": ")[2]) for line in lines]

    def helicone(self, index: int = -1) -> list[tuple[bytes, bytes]]:
        """Return the sorted header lines of Helicone; a line that was sent twice is there twice."""
        return sorted((name, value) for name, value in self.headers(index) if name.lower().startswith(b"helicone"))

    def take(self, head: bytes, body: bytes) -> str | None:
        """Keep a request, make a row of it unless it is redirected, and return the row's id."""
        with self._lock:
            self.heads.append(head)
            self.bodies.append(body)
            sent = [value.decode() for name, value in self.headers() if name.lower() == _ROW_ID]
            row_id = sent[0] if sent and is_row_id(sent[0]) else str(uuid.uuid4())
            self.row_ids.append(None if self.redirect and len(self.heads) <= self.redirects else row_id)
            return self.row_ids[-1]


def in_any_case(lines: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return header lines with names in lower case, because OpenAI's SDK lowers the names of its caller's headers."""
    return sorted((name.lower(), value) for name, value in lines)


def expected(**headers: str | None) -> list[tuple[bytes, bytes]]:
    """Return the header lines of a session, as `Wire.helicone` returns them: `expected(id="a", path="/b")`."""
    lines = {f"Helicone-Session-{part.title()}": value for part, value in headers.items() if value is not None}
    return sorted((name.encode(), value.encode()) for name, value in lines.items())


@contextmanager
def listening(
    redirect: str | None = None,
    host: str = "127.0.0.1",
    redirects: float = math.inf,
    answers: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[Wire]:
    """Record and answer requests on a free port of a loopback address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        server.settimeout(0.02)
        port = server.getsockname()[1]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        wire = Wire(url, redirect, redirects, answers)
        over = threading.Event()
        connections: list[socket.socket] = []
        thread = threading.Thread(target=_accept, args=(server, wire, over, connections))
        thread.start()
        try:
            yield wire
        finally:
            over.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # on Linux, the thread need not wait for its timeout
            thread.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, wire: Wire, over: threading.Event, connections: list[socket.socket]) -> None:
    while not over.is_set():
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(None)
            connections.append(connection)
            threading.Thread(target=_serve, args=(connection, wire), daemon=True).start()


def _serve(connection: socket.socket, wire: Wire) -> None:
    with connection, suppress(OSError):
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                if not (chunk := connection.recv(65536)):
                    return
                received += chunk
            head, _, received = received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head + b"\r\n")
            while length and len(received) < int(length[1]):
                received += connection.recv(65536)
            body, received = received[: int(length[1])] if length else b"", received[int(length[1]) if length else 0 :]
            row_id = wire.take(head + b"\r\n\r\n", body)
            method, path, _ = head.decode("latin-1").split(" ", 2)
            answer = _NO_TUNNEL if method == "CONNECT" else _answer(wire, path, body, row_id)
            if answer is None:
                return
            connection.sendall(answer)


def _answer(wire: Wire, path: str, body: bytes, row_id: str | None) -> bytes | None:
    status = wire.statuses.popleft() if wire.statuses else 200
    if not status:
        return None
    if row_id is None:
        return f"HTTP/1.1 307 On\r\nLocation: {wire.redirect}{path}\r\nContent-Length: 0\r\n\r\n".encode()
    endpoint, kind = endpoint_of(path) if body else None, "application/json"
    asked = json.loads(body) if endpoint else {}
    fixed = next((answer for end, answer in wire.answers.items() if path.endswith(end)), None)
    if fixed is not None:
        content = json.dumps(fixed).encode()
    elif endpoint and endpoint.events and asked.get("stream"):
        content, kind = as_event_stream(endpoint.events(asked, ModelAnswer("OK"))), "text/event-stream"
    else:
        content = json.dumps(endpoint.answer(asked, ModelAnswer("OK")) if endpoint else {}).encode()
    lines = [f"HTTP/1.1 {status} So".encode(), f"Content-Type: {kind}\r\nContent-Length: {len(content)}".encode()]
    return b"\r\n".join([*lines, *wire.naming(row_id), b"", b""]) + content


def labels_of(exporter: InMemorySpanExporter) -> list[dict[str, object]]:
    """Return the session attributes of exported spans: `id`, `path` and `name`."""
    spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    keys = {part: f"helicone.session.{part}" for part in ("id", "path", "name")}
    return [{part: span[key] for part, key in keys.items() if key in span} for span in spans]
