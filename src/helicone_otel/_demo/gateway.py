"""A stand-in for Helicone's gateway on loopback: answers as the providers do, and records what it was sent."""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from helicone_otel._cli.loopback import LoopbackServer, QuietHandler

from . import anthropic_api, openai_api
from .answers import Answer, Body, RefusedError
from .replies import OVERLOADED

_MAX_BODY: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One request as the gateway saw it: what Helicone makes a row of.

    Attributes:
        kind: `llm` or `embedding`, by the endpoint; `unknown` if there is none of that path.
        headers: All `Helicone-*` headers, with lower-case names.
    """

    kind: str
    status: int
    headers: Mapping[str, str]


class _Endpoint(NamedTuple):
    kind: str
    answer: Callable[[Body, Mapping[str, str]], Answer]
    refusal: Callable[[RefusedError], Answer]


def _refuse(_body: Body, _headers: Mapping[str, str]) -> Answer:
    raise RefusedError(404, "unknown_url", "Invalid URL: there is no such endpoint.")


_ENDPOINTS: Final = {
    "/v1/chat/completions": _Endpoint("llm", openai_api.chat, openai_api.refusal),
    "/v1/embeddings": _Endpoint("embedding", openai_api.embeddings, openai_api.refusal),
    "/v1/messages": _Endpoint("llm", anthropic_api.messages, anthropic_api.refusal),
}
_UNKNOWN: Final = _Endpoint("unknown", _refuse, openai_api.refusal)


class Gateway(LoopbackServer):
    """Serves both providers under one address and remembers every request.

    Attributes:
        key: The only API key it accepts.
    """

    def __init__(self) -> None:
        self.key = f"sk-helicone-demo-{secrets.token_hex(8)}"
        self._rows: list[Row] = []
        self._throttled = False
        self._lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def rows(self) -> list[Row]:
        with self._lock:
            return list(self._rows)

    def record(self, row: Row) -> None:
        with self._lock:
            self._rows.append(row)

    def throttle(self, body: Body) -> None:
        """Refuse the first request about the one thing that the model is overloaded with."""
        with self._lock:
            if self._throttled or OVERLOADED not in json.dumps(body).lower():
                return
            self._throttled = True
        raise RefusedError(429, "rate_limit_exceeded", "Rate limit reached. Please try again in 40ms.")


class _Handler(QuietHandler):
    server: Gateway

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        endpoint = _ENDPOINTS.get(self.path, _UNKNOWN)
        answer = self._answer(endpoint)
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower().startswith("helicone-")}
        self.server.record(Row(endpoint.kind, answer.status, headers))
        self._send(answer)

    def _answer(self, endpoint: _Endpoint) -> Answer:
        try:
            body = self._body()
            self._authenticate()
            self.server.throttle(body)
            return endpoint.answer(body, {name.lower(): value for name, value in self.headers.items()})
        except RefusedError as refused:
            return endpoint.refusal(refused)

    def _authenticate(self) -> None:
        key = self.headers.get("X-Api-Key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(key.encode(), self.server.key.encode()):
            raise RefusedError(401, "authentication_error", "Incorrect API key provided.")

    def _body(self) -> Body:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise RefusedError(413, "request_too_large", "The request has no length, or is too long.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict) or self.headers.get_content_type() != "application/json":
            raise RefusedError(400, "invalid_request_error", "We could not parse the JSON body of your request.")
        return body

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Helicone-Id", str(uuid.uuid4()))
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After-Ms", "40")
        if answer.events:
            self._send_events(answer)
        else:
            time.sleep(answer.seconds)
            body = json.dumps(answer.body).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _send_events(self, answer: Answer) -> None:
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in answer.events:
            time.sleep(answer.seconds / len(answer.events))
            event = (f"event: {name}\n" if name else "") + f"data: {data}\n\n"
            self.wfile.write(f"{len(event.encode()):x}\r\n{event}\r\n".encode())
        self.wfile.write(b"0\r\n\r\n")
