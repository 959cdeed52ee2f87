"""A stand-in for Helicone's gateway on loopback: strict about what it is sent, and remembers it byte for byte."""

from __future__ import annotations

import io
import json
import re
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .._cli.loopback import LoopbackServer, QuietHandler
from .answers import TEXT, Body, Endpoint, as_event_stream, endpoint_of, openai_error

_MAX_LINE: Final = 65536
_MAX_BODY: Final = 16 * 1024 * 1024
# https://www.rfc-editor.org/rfc/rfc9112#section-5, without what nobody may send any more (folded lines)
_HEADER_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*\r\n\Z", re.DOTALL)
_PRINTABLE: Final = re.compile(r"[ -~]+\Z")
# Headers of Helicone's that tell nothing of a session.
_ASIDE: Final = frozenset({"helicone-auth", "helicone-request-id"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        head: The request line and the headers with the empty line after them, byte for byte.
        body: The body, byte for byte.
        method: Such as `POST`.
        path: With the query.
        headers: Names and values in the order and the case in which they were sent.
    """

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def helicone_headers(self) -> dict[str, str]:
        """The `Helicone-*` headers in the case in which they were sent.

        The key in `Helicone-Auth` is left out, and so is `Helicone-Request-Id`, which is another one each time.
        """
        return {name: value for name, value in self.headers if name.lower() not in _ASIDE and _is_helicones(name)}

    @property
    def request_id(self) -> str | None:
        """The id of the row that Helicone makes of this request: `helicone.request.id` on its span."""
        return self.header("Helicone-Request-Id")

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever case its name was sent in, or `None`."""
        return next((value for sent, value in self.headers if sent.lower() == name.lower()), None)


class Gateway(LoopbackServer):
    """Answers as the providers do, and remembers every request.

    Attributes:
        script: What to answer next: a text, a whole body, or the status of an error.
    """

    def __init__(self) -> None:
        self.script: deque[str | int | Body] = deque()
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def requests(self) -> list[Request]:
        """What has arrived, the oldest first."""
        with self._lock:
            return list(self._requests)

    def remember(self, request: Request) -> str | int | Body:
        """Remember a request and return what to answer it."""
        with self._lock:
            self._requests.append(request)
            return self.script.popleft() if self.script else TEXT


class _Handler(QuietHandler):
    server: Gateway
    raw_requestline: bytes

    def parse_request(self) -> bool:
        # The parent's parser keeps no bytes, so it is given them at second hand.
        lines = [self.raw_requestline]
        while lines[-1] not in (b"\r\n", b"\n", b""):
            lines.append(self.rfile.readline(_MAX_LINE))
        self._lines = lines
        stream, self.rfile = self.rfile, io.BytesIO(b"".join(lines[1:]))
        try:
            return super().parse_request()
        finally:
            self.rfile = stream

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        request = self._request()
        endpoint = endpoint_of(self.path)
        error = endpoint.error if endpoint else openai_error
        if request is None:
            self.close_connection = True
            self._send_json(411, error("The request has no Content-Length, or one that is too large."))
            return
        answer = self.server.remember(request)
        if fault := _fault_in_head(self._lines[1:-1]):
            self.close_connection = True  # nobody knows where the next request begins
            self._send_json(400, error(fault))
        elif fault := _fault_in_call(endpoint, request):
            self._send_json(400, error(fault))
        elif isinstance(answer, int):
            self._send_json(answer, error(f"The test asked for {answer}."))
        elif not isinstance(answer, str):
            self._send_json(200, answer)
        elif endpoint is None:
            self._send_json(404, error(f"The stand-in gateway knows no {self.path}; answer_with() a whole body."))
        elif endpoint.events and request.json.get("stream"):
            self._send(200, "text/event-stream", as_event_stream(endpoint.events(request.json, answer)))
        else:
            self._send_json(200, endpoint.answer(request.json, answer))

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        if request := self._request(length="0"):
            self.server.remember(request)
        self._send_json(404, openai_error("The stand-in gateway answers only POST."))

    def _request(self, length: str = "") -> Request | None:
        matches = (_HEADER_LINE.match(line) for line in self._lines[1:])
        headers = tuple((match[1].decode("latin-1"), match[2].decode("latin-1")) for match in matches if match)
        length = {name.lower(): value for name, value in headers}.get("content-length", length)
        if not length.isdigit() or int(length) > _MAX_BODY:
            return None
        return Request(b"".join(self._lines), self.rfile.read(int(length)), self.command, self.path, headers)

    def _send_json(self, status: int, body: Body) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        # An SDK that retries is not to keep the test waiting.
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(body)


def _is_helicones(name: str) -> bool:
    return name.lower().startswith("helicone-")


def _fault_in_head(lines: list[bytes]) -> str | None:
    """Say what Helicone, or a server on the way to it, would not take."""
    names: Counter[str] = Counter()
    for line in lines:
        match = _HEADER_LINE.match(line)
        if match is None:
            return f"This is no header line: {line!r}"
        name, value = match[1].decode("latin-1").lower(), match[2].decode("latin-1")
        if name.startswith("helicone-") and not _PRINTABLE.match(value):
            return f"The header {match[1].decode()} is empty or holds what is no printable ASCII: {value!r}"
        names[name] += 1
    twice = [name for name, count in names.items() if count > 1 and name.startswith("helicone-")]
    return f"These headers were sent more than once: {', '.join(twice)}" if twice else None


def _fault_in_call(endpoint: Endpoint | None, request: Request) -> str | None:
    """Say what the provider would not take."""
    if endpoint is None:
        return None
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        return "The body is no JSON object."
    for name, kind in endpoint.required.items():
        if not isinstance(body.get(name), kind) or not body[name]:
            return f"'{name}' is missing, empty or of the wrong type."
    missing = [name for name in endpoint.headers if not request.header(name)]
    return f"The header {missing[0]} is missing." if missing else None
