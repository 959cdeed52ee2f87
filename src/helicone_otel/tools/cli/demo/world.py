"""The rest of the demo's world on loopback: a weather report, a timetable, and a witness for the vector store.

None of it is a Helicone gateway, so no `Helicone-*` header may arrive here.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ...fakes.answering import AnsweringServer
from ...fakes.headers import new_key
from ...fakes.requests import Outcome, Reply, Request, Trouble, in_json, in_text
from ...fakes.server import FakeHelicone
from . import anthropic_api, openai_api
from .answers import Answer, Body, RefusedError
from .replies import OVERLOADED

WITNESS_PATH: Final = "/witness"
_REPORTS: Final = {
    "/weather": "Sun on both days, 19 degrees; wind from the sea.",
    "/departures": "17:39 from platform 2",
}


class Town(AnsweringServer):
    """Answers the agent's other requests, and counts them."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._leaked: set[str] = set()
        self._lock = threading.Lock()
        super().__init__()

    @property
    def asked(self) -> dict[str, int]:
        """How often each path was asked for; `/witness/upsert` is one upsert that reached the store."""
        with self._lock:
            return dict(self._asked)

    @property
    def leaked(self) -> set[str]:
        """The `Helicone-*` headers that arrived and should not have."""
        with self._lock:
            return set(self._leaked)

    def answer(self, request: Request) -> tuple[Outcome, Trouble]:
        """Count a request, and answer it."""
        path = request.path.partition("?")[0]
        with self._lock:
            self._asked[path] += 1
            self._leaked |= {name for name, _ in request.headers if name.lower().startswith("helicone-")}
        reports = {**_REPORTS, path: ""} if path.startswith(f"{WITNESS_PATH}/") else _REPORTS
        return Outcome(in_text(200, reports[path]) if path in reports else in_text(404, "")), Trouble()


_MAX_BODY: Final = 1024 * 1024
_TOO_MANY: Final = 429
_JSON: Final = "application/json"


class _Endpoint(NamedTuple):
    answer: Callable[[Body, Mapping[str, str]], Answer]
    refusal: Callable[[RefusedError], Answer]


def _refuse(_body: Body, _headers: Mapping[str, str]) -> Answer:
    raise RefusedError(404, "unknown_url", "Invalid URL: there is no such endpoint.")


_ENDPOINTS: Final = {
    "/v1/chat/completions": _Endpoint(openai_api.chat, openai_api.refusal),
    "/v1/embeddings": _Endpoint(openai_api.embeddings, openai_api.refusal),
    "/v1/messages": _Endpoint(anthropic_api.messages, anthropic_api.refusal),
}
_UNKNOWN: Final = _Endpoint(_refuse, openai_api.refusal)


def demo_helicone() -> FakeHelicone:
    """Return a Helicone with these models behind its gateway; it and they take one key."""
    key = new_key()
    return FakeHelicone(Models(key), key=key)


class Models:
    """Both providers.

    Args:
        key: The only API key they accept.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._throttled = False
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        endpoint = _ENDPOINTS.get(request.path, _UNKNOWN)
        headers = {name.lower(): value for name, value in request.headers}
        try:
            body = _body(request)
            self._authenticate(headers)
            self._throttle(body)
            return _reply(endpoint.answer(body, headers))
        except RefusedError as refused:
            return _reply(endpoint.refusal(refused))

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        endpoint = _ENDPOINTS.get(path, _UNKNOWN)
        return _reply(endpoint.refusal(RefusedError(status, "invalid_request_error", message)))

    def _throttle(self, body: Body) -> None:
        """Refuse the first request about the one thing that the model is overloaded with."""
        with self._lock:
            if self._throttled or OVERLOADED not in json.dumps(body).lower():
                return
            self._throttled = True
        raise RefusedError(_TOO_MANY, "rate_limit_exceeded", "Rate limit reached. Please try again in 40ms.")

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(key.encode(), self._key.encode()):
            raise RefusedError(401, "authentication_error", "Incorrect API key provided.")


def _body(request: Request) -> Body:
    if len(request.body) > _MAX_BODY:
        raise RefusedError(413, "request_too_large", "The request is too long.")
    try:
        body = request.json
    except ValueError:
        body = None
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip()
    if not isinstance(body, dict) or content_type != _JSON:
        raise RefusedError(400, "invalid_request_error", "We could not parse the JSON body of your request.")
    return body


def _reply(answer: Answer) -> Reply:
    headers = (("Retry-After-Ms", "40"),) if answer.status == _TOO_MANY else ()
    if not answer.events:
        return in_json(answer.status, answer.body, *headers)._replace(seconds=answer.seconds)
    events = tuple((f"event: {name}\n" if name else "") + f"data: {data}\n\n" for name, data in answer.events)
    return Reply(200, b"", "text/event-stream", headers, answer.seconds, tuple(event.encode() for event in events))
