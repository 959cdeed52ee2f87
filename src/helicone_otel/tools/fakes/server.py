"""The server: which door a request goes in by, and what is remembered of it."""

from __future__ import annotations

import io
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias

from . import jawn_api, log_api, otlp_api, read_api
from .gateway import HEADER_LINE, Provider, passed_on
from .headers import KEY, WRITE_ONLY_KEY, Keys, from_http
from .loopback import LoopbackServer, QuietHandler
from .provider import ScriptedProvider
from .requests import Door, Outcome, Reply, Request, Trouble, Troubles, in_text, refused
from .rows import MAX_ROWS, Row, Store

Opened: TypeAlias = Callable[[Request], Outcome]

_MAX_BYTES: Final = 256 * 1024 * 1024


class FakeHelicone(LoopbackServer):
    """A Helicone on loopback.

    Attributes:
        key: A key that may write and read.
        write_only_key: One that may only write.
        keys: All keys that exist.
        store: The rows.
        troubles: What will go wrong.
        closing: Set when the server ends, so that nobody waits for its slow answers.
    """

    key: str = KEY
    write_only_key: str = WRITE_ONLY_KEY

    def __init__(self, provider: Provider | None = None, *, key: str = KEY, max_rows: int = MAX_ROWS) -> None:
        self.key = key
        self.keys = Keys(key)
        self.store = Store(max_rows)
        self.troubles = Troubles()
        self.closing = threading.Event()
        self._provider = provider or ScriptedProvider()
        self._doors = self._doors_by_path()
        self._seen: deque[tuple[Door, Request]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        super().__init__(Handler)

    @property
    def rows(self) -> list[Row]:
        """All rows, the oldest first."""
        return self.store.rows()

    def requests(self, door: Door) -> list[Request]:
        """Return the requests that came in by a door, the oldest first."""
        with self._lock:
            return [request for by, request in self._seen if by == door]

    def forget(self) -> None:
        """Forget rows and requests, and let all be well; keys stay."""
        self.troubles.end()
        self.store.forget()
        with self._lock:
            self._seen.clear()
            self._bytes = 0

    def answer(self, request: Request) -> tuple[Outcome, Trouble]:
        """Answer a request, and store what becomes rows."""
        door, open_ = self._door(request)
        self._remember(door, request)
        trouble = self.troubles.take(door)
        if not trouble.makes_rows and not trouble.drop:
            return Outcome(trouble.reply or in_text(200, "")), trouble
        try:
            outcome = open_(request)
        except Exception as error:  # noqa: BLE001  # without an answer nobody would know whose fault it was
            outcome = refused(500, f"the fake Helicone failed itself: {type(error).__name__}: {error}")
        if trouble.makes_rows:
            self.store.add(outcome.rows, len(request.body))
        return Outcome(trouble.reply or outcome.reply), trouble

    def server_close(self) -> None:
        self.closing.set()
        super().server_close()

    def _remember(self, door: Door, request: Request) -> None:
        with self._lock:
            self._seen.append((door, request))
            self._bytes += _size(request)
            while self._bytes > _MAX_BYTES:
                self._bytes -= _size(self._seen.popleft()[1])

    def _doors_by_path(self) -> dict[str, tuple[Door, Opened]]:
        logs: dict[str, Opened] = {path: partial(log_api.log, path=path, keys=self.keys) for path in log_api.PROVIDERS}
        logs |= {path: self._for_readers(jawn_api.log) for path in jawn_api.PATHS}
        logs[jawn_api.TYPED_PATH] = self._for_readers(jawn_api.log_typed)
        return {
            **{path: ("log", opened) for path, opened in logs.items()},
            otlp_api.JSON_PATH: ("otlp", self._for_readers(otlp_api.receive_json)),
            otlp_api.PROTOBUF_PATH: ("otlp", self._for_readers(otlp_api.receive_protobuf)),
        }

    def _door(self, request: Request) -> tuple[Door, Opened]:
        path = request.path.partition("?")[0]
        if request.method == "POST" and (door := self._doors.get(path)):
            return door
        if path.startswith(read_api.STARTS):
            return "api", self._for_readers(partial(read_api.query, store=self.store))
        if path.rpartition("/")[2].startswith("log"):
            return "log", lambda _: Outcome(in_text(400, "invalid path"))
        return "gateway", lambda request: passed_on(request, self._provider, self.keys)

    def _for_readers(self, open_: Callable[[Request, str], Outcome]) -> Opened:
        """Return a door of jawn's, which a key opens only if it may read."""

        def ask(request: Request) -> Outcome:
            key = from_http(request.headers).get("authorization", "").removeprefix("Bearer ").strip()
            owner = self.keys.owner(key)
            if owner is None or not owner.reads:
                return refused(401, "Invalid API key, or one without the permission to read")
            return open_(request, owner.organization)

        return ask


def _size(request: Request) -> int:
    # The object itself takes some memory, too.
    return len(request.head) + len(request.body) + 1024


_MAX_LINE: Final = 65536
# What Node takes, and the only limit on headers that anybody found (431 beyond).
_MAX_HEAD: Final = 16 * 1024
# What jawn takes; the worker says no before.
_MAX_BODY: Final = 50 * 1024 * 1024
_HANG_UP_AT_ONCE: Final = struct.pack("ii", 1, 0)


class Handler(QuietHandler):
    """Reads a request, has it answered, and sends the answer."""

    server: FakeHelicone
    raw_requestline: bytes
    # Head and body leave as one, which is twice as fast.
    wbufsize = 65536

    def parse_request(self) -> bool:
        # The parent's parser keeps no bytes, so it is given them at second hand.
        lines = [self.raw_requestline]
        while lines[-1] not in (b"\r\n", b"\n", b""):
            lines.append(self.rfile.readline(_MAX_LINE))
        self._lines = lines
        if sum(map(len, lines)) > _MAX_HEAD:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            return False
        stream, self.rfile = self.rfile, io.BytesIO(b"".join(lines[1:]))
        try:
            return super().parse_request()
        finally:
            self.rfile = stream

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="")

    def do_PUT(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="")

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="0")

    def _answer(self, length: str) -> None:
        request = self._request(length)
        if request is None:
            self.close_connection = True
            outcome, trouble = refused(411, "The request has no Content-Length, or one that is too large."), Trouble()
        else:
            outcome, trouble = self.server.answer(request)
        if self.server.closing.wait(trouble.seconds):
            self.close_connection = True
        elif trouble.reset:
            self._reset()
        elif trouble.trickle:
            self._trickle(outcome.reply, trouble.trickle)
        else:
            self._send(outcome.reply)

    def _request(self, length: str) -> Request | None:
        matches = (HEADER_LINE.match(line) for line in self._lines[1:])
        headers = tuple((match[1].decode("latin-1"), match[2].decode("latin-1")) for match in matches if match)
        length = {name.lower(): value for name, value in headers}.get("content-length", length)
        if not length.isdigit() or int(length) > _MAX_BODY:
            return None
        return Request(b"".join(self._lines), self.rfile.read(int(length)), self.command, self.path, headers)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in _headers(reply):
            self.send_header(name, value)
        self.end_headers()
        if reply.events:
            self._send_events(reply)
        elif self._waited(reply.seconds):
            self.wfile.write(reply.body)

    def _send_events(self, reply: Reply) -> None:
        for event in reply.events:
            if not self._waited(reply.seconds / len(reply.events)):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _trickle(self, reply: Reply, seconds: float) -> None:
        wire, self.wfile = self.wfile, io.BytesIO()
        try:
            self._send(reply)
            whole = self.wfile.getvalue()
        finally:
            self.wfile = wire
        for byte in whole:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            if not self._waited(seconds):
                return

    def _waited(self, seconds: float) -> bool:
        """Wait, and tell whether anybody still does."""
        return not (seconds and self.server.closing.wait(seconds))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP_AT_ONCE)
        # The server would say goodbye first if it still had the socket.
        os.close(self.connection.detach())


def _headers(reply: Reply) -> Iterator[tuple[str, str]]:
    if reply.content_type:
        yield "Content-Type", reply.content_type
    yield from (("Transfer-Encoding", "chunked"),) if reply.events else (("Content-Length", str(len(reply.body))),)
    yield from reply.headers
