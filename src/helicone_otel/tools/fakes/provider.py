"""The provider behind the fake gateway: the endpoints of OpenAI and Anthropic, and answers that a test scripts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from . import provider_formats
from .provider_formats import Body, Event, ModelAnswer
from .requests import STREAM_TYPE, Reply, Request, in_json

TEXT: Final = "OK"
_HEADERS: Final = (
    # An SDK that retries must not keep the test waiting.
    ("Retry-After-Ms", "1"),
    # A client that the app keeps for good would leave a socket open, and Python would warn of it at the end.
    ("Connection", "close"),
)


class ProviderEndpoint(NamedTuple):
    """One endpoint of a provider.

    Attributes:
        kind: The kind of its calls.
        required: The fields that a request must have, with their types.
        headers: The headers that a request must have.
        answer: Makes the body of an answer from that of a request and the answer of the model.
        events: Makes the same as a stream of events; `None` if the endpoint has no stream.
        error: Makes the body of an error from its message, code and field.
    """

    kind: str
    required: Mapping[str, type | tuple[type, ...]]
    headers: tuple[str, ...]
    answer: Callable[[Body, ModelAnswer], Body]
    events: Callable[[Body, ModelAnswer], Iterator[Event]] | None
    error: Callable[[str, str | None, str | None], Body]


_ENDPOINTS: Final = {
    "/chat/completions": ProviderEndpoint(
        "llm",
        {"model": str, "messages": list},
        (),
        provider_formats.chat,
        provider_formats.chat_events,
        provider_formats.openai_error,
    ),
    "/embeddings": ProviderEndpoint(
        "embedding",
        {"model": str, "input": (str, list)},
        (),
        provider_formats.embeddings,
        None,
        provider_formats.openai_error,
    ),
    "/messages": ProviderEndpoint(
        "llm",
        {"model": str, "messages": list, "max_tokens": int},
        ("anthropic-version",),
        provider_formats.message,
        provider_formats.message_events,
        provider_formats.anthropic_error,
    ),
}


def endpoint_of(path: str) -> ProviderEndpoint | None:
    """Return the endpoint at a path, whatever the base URL puts before it."""
    path = path.partition("?")[0]
    return next((endpoint for end, endpoint in _ENDPOINTS.items() if path.endswith(end)), None)


def fault_of(endpoint: ProviderEndpoint, request: Request) -> str | None:
    """Return why an endpoint refuses a request: no JSON object, or a field or header that is missing."""
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


def model_reply(
    endpoint: ProviderEndpoint, body: Body, answer: ModelAnswer, headers: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """Return the answer of a model as an endpoint writes it: as a stream if the request asks for one."""
    if not endpoint.events or not body.get("stream"):
        return in_json(200, endpoint.answer(body, answer), *headers)._replace(seconds=answer.seconds)
    events = tuple(provider_formats.as_event_stream([event]) for event in endpoint.events(body, answer))
    if answer.seconds:
        return Reply(200, b"", STREAM_TYPE, headers, answer.seconds, events)
    return Reply(200, b"".join(events), STREAM_TYPE, headers)


def error_reply(
    path: str, status: int, message: str, *headers: tuple[str, str], code: str | None = None, param: str | None = None
) -> Reply:
    """Return an error as the provider at a path writes it; OpenAI's form where there is no endpoint."""
    endpoint = endpoint_of(path)
    error = endpoint.error if endpoint else provider_formats.openai_error
    return in_json(status, error(message, code, param), *headers)


class ScriptedProvider:
    """Gives the scripted answers, and `OK` when there are none left.

    Attributes:
        script: The next answers: a text, a whole body, or the status of an error.
    """

    def __init__(self) -> None:
        self.script: deque[str | int | Body] = deque()

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        if request.method != "POST":
            return self.refusal("", 404, "The stand-in gateway answers only POST.")
        answer, endpoint = self._next(), endpoint_of(request.path)
        if endpoint and (fault := fault_of(endpoint, request)):
            return self.refusal(request.path, 400, fault)
        if isinstance(answer, int):
            return self.refusal(request.path, answer, f"The test asked for {answer}.")
        if not isinstance(answer, str):
            return in_json(200, answer, *_HEADERS)
        if endpoint is None:
            message = f"The stand-in gateway knows no {request.path}; answer_with() a whole body."
            return self.refusal(request.path, 404, message)
        return model_reply(endpoint, request.json, ModelAnswer(answer), _HEADERS)

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        return error_reply(path, status, message, *_HEADERS)

    def _next(self) -> str | int | Body:
        try:
            return self.script.popleft()
        except IndexError:
            return TEXT
