"""The provider behind the stand-in gateway: answers what a test tells it to, and else as little as the SDKs accept."""

from __future__ import annotations

import base64
import json
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from .requests import Reply, Request, in_json

Body: TypeAlias = Mapping[str, object]
Event: TypeAlias = tuple[str, Body | str]

TEXT: Final = "OK"
_VECTOR: Final = (0.6, 0.8, 0.0)
_OPENAI_ID: Final = {"id": "chatcmpl-0", "created": 0}
_USAGE: Final = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Endpoint(NamedTuple):
    """One endpoint of a provider.

    Attributes:
        kind: What a call of it is.
        required: The fields that its request must have, and of which type.
        headers: The headers that its request must have.
        answer: Makes the body of an answer from that of a request and the text of the model.
        events: Makes the same as a stream of named events; `None`: there is no such stream.
        error: Makes the body of an error from its message.
    """

    kind: str
    required: Mapping[str, type | tuple[type, ...]]
    headers: tuple[str, ...]
    answer: Callable[[Body, str], Body]
    events: Callable[[Body, str], Iterator[Event]] | None
    error: Callable[[str], Body]


def endpoint_of(path: str) -> Endpoint | None:
    """Return the endpoint at a path, wherever the base URL put it."""
    path = path.partition("?")[0]
    return next((endpoint for end, endpoint in _ENDPOINTS.items() if path.endswith(end)), None)


def openai_error(message: str) -> Body:
    """Return the body of an error as OpenAI writes it."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


# https://platform.openai.com/docs/api-reference/chat
def _chat(body: Body, text: str) -> Body:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**_OPENAI_ID, "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": _USAGE}


def _chat_events(body: Body, text: str) -> Iterator[Event]:
    head = {**_OPENAI_ID, "object": "chat.completion.chunk", "model": body["model"]}
    for delta, finish in (({"role": "assistant", "content": ""}, None), ({"content": text}, None), ({}, "stop")):
        yield "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield "", {**head, "choices": [], "usage": _USAGE}
    yield "", "[DONE]"


# https://platform.openai.com/docs/api-reference/embeddings
def _embeddings(body: Body, _: str) -> Body:
    texts = body["input"]
    packed = base64.b64encode(struct.pack(f"<{len(_VECTOR)}f", *_VECTOR)).decode()
    vector = packed if body.get("encoding_format") == "base64" else list(_VECTOR)
    count = len(texts) if isinstance(texts, list) else 1
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


# https://docs.anthropic.com/en/api/messages
def _message(body: Body, text: str) -> Body:
    return {**_message_head(body), "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}


def _message_head(body: Body) -> dict[str, object]:
    head = {"id": "msg_0", "type": "message", "role": "assistant", "model": body["model"]}
    usage = {"input_tokens": 1, "output_tokens": 1}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _message_events(body: Body, text: str) -> Iterator[Event]:
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: tuple[tuple[str, Body], ...] = (
        ("message_start", {"message": _message_head(body)}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": {"output_tokens": 1}}),
        ("message_stop", {}),
    )
    for name, data in events:
        yield name, {"type": name, **data}


def _anthropic_error(message: str) -> Body:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def as_event_stream(events: Iterator[Event]) -> bytes:
    """Return events as text/event-stream writes them."""
    parts = []
    for name, data in events:
        parts.append(f"event: {name}\n" if name else "")
        parts.append(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
    return "".join(parts).encode()


_ENDPOINTS: Final = {
    "/chat/completions": Endpoint("llm", {"model": str, "messages": list}, (), _chat, _chat_events, openai_error),
    "/embeddings": Endpoint("embedding", {"model": str, "input": (str, list)}, (), _embeddings, None, openai_error),
    "/messages": Endpoint(
        "llm",
        {"model": str, "messages": list, "max_tokens": int},
        ("anthropic-version",),
        _message,
        _message_events,
        _anthropic_error,
    ),
}


_HEADERS: Final = (
    # An SDK that retries is not to keep the test waiting.
    ("Retry-After-Ms", "1"),
    # A client that the app keeps for good would leave a socket behind, of which Python warns at the end.
    ("Connection", "close"),
)


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
        return self._said(request, endpoint, answer) if isinstance(answer, str) else in_json(200, answer, *_HEADERS)

    def _said(self, request: Request, endpoint: Endpoint | None, answer: str) -> Reply:
        if endpoint is None:
            message = f"The stand-in gateway knows no {request.path}; answer_with() a whole body."
            return self.refusal(request.path, 404, message)
        if endpoint.events and request.json.get("stream"):
            stream = as_event_stream(endpoint.events(request.json, answer))
            return Reply(200, stream, "text/event-stream", _HEADERS)
        return in_json(200, endpoint.answer(request.json, answer), *_HEADERS)

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        endpoint = endpoint_of(path)
        return in_json(status, (endpoint.error if endpoint else openai_error)(message), *_HEADERS)

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
