"""What the stand-in gateway answers: the least that the providers' own SDKs accept as an answer."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

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
