"""The provider behind the stand-in gateway: answers what a test tells it to, and else as little as the SDKs accept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from .answers import TEXT, Body, Endpoint, as_event_stream, endpoint_of, openai_error
from .fake.requests import Reply, Request, in_json

# An SDK that retries is not to keep the test waiting.
_RETRY: Final = ("Retry-After-Ms", "1")


class ScriptedProvider:
    """Answers as the providers do.

    Attributes:
        script: What to answer next: a text, a whole body, or the status of an error.
    """

    def __init__(self) -> None:
        self.script: deque[str | int | Body] = deque()

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        if request.method != "POST":
            return self.refusal("", 404, "The stand-in gateway answers only POST.")
        answer, endpoint = self._next(), endpoint_of(request.path)
        if fault := _fault(endpoint, request):
            return self.refusal(request.path, 400, fault)
        if isinstance(answer, int):
            return self.refusal(request.path, answer, f"The test asked for {answer}.")
        return self._said(request, endpoint, answer) if isinstance(answer, str) else in_json(200, answer, _RETRY)

    def _said(self, request: Request, endpoint: Endpoint | None, answer: str) -> Reply:
        if endpoint is None:
            message = f"The stand-in gateway knows no {request.path}; answer_with() a whole body."
            return self.refusal(request.path, 404, message)
        if endpoint.events and request.json.get("stream"):
            stream = as_event_stream(endpoint.events(request.json, answer))
            return Reply(200, stream, "text/event-stream", (_RETRY,))
        return in_json(200, endpoint.answer(request.json, answer), _RETRY)

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        endpoint = endpoint_of(path)
        return in_json(status, (endpoint.error if endpoint else openai_error)(message), _RETRY)

    def _next(self) -> str | int | Body:
        try:
            return self.script.popleft()
        except IndexError:
            return TEXT


def _fault(endpoint: Endpoint | None, request: Request) -> str | None:
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
