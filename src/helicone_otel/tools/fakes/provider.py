"""The provider behind the fake gateway: OpenAI's and Anthropic's endpoints, and a provider that a test scripts.

How the two write answers, streams and errors is written here once; the models of the demo use it, too.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from .requests import STREAM_TYPE, Reply, Request, in_json

Body: TypeAlias = Mapping[str, object]
# Name and data of a server-sent event; OpenAI's have no name.
Event: TypeAlias = tuple[str, Body | str]

TEXT: Final = "OK"
_HEADERS: Final = (
    # An SDK that retries must not keep the test waiting.
    ("Retry-After-Ms", "1"),
    # A client that the app keeps for good would leave a socket open, and Python would warn of it at the end.
    ("Connection", "close"),
)
_VECTOR: Final = (0.6, 0.8, 0.0)


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answers, before an API writes it in its own form.

    Attributes:
        text: The text of the answer.
        pieces: The text as it is streamed, piece by piece; whole if there are none.
        tool_calls: Calls of tools that the model asks for instead of a text, as OpenAI writes them.
        vectors: The embedding of each input; the same short vector for all if there are none.
        model: The model that answers; the one that was asked if empty.
        id: Follows the prefix of the API.
        created: Seconds since the epoch.
        prompt_tokens: 1 for each input if not given.
        seconds: How long the model takes.
    """

    text: str = ""
    pieces: tuple[str, ...] = ()
    tool_calls: tuple[Body, ...] = ()
    vectors: tuple[Sequence[float], ...] = ()
    model: str = ""
    id: str = "0"
    created: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int = 1
    seconds: float = 0.0


# https://platform.openai.com/docs/api-reference/chat
def chat(body: Body, answer: ModelAnswer) -> Body:
    """Return the body of a chat completion."""
    message: Body = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message = {**message, "content": None, "tool_calls": answer.tool_calls}
    finish = "tool_calls" if answer.tool_calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {**_chat_head(body, answer, "chat.completion"), "choices": [choice], "usage": _chat_usage(answer)}


def chat_events(body: Body, answer: ModelAnswer) -> Iterator[Event]:
    """Yield the chunks of a chat completion."""
    head = _chat_head(body, answer, "chat.completion.chunk")
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in answer.pieces or (answer.text,)]
    for delta, finish in (*((delta, None) for delta in deltas), ({}, "stop")):
        yield "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield "", {**head, "choices": [], "usage": _chat_usage(answer)}
    yield "", "[DONE]"


def _chat_head(body: Body, answer: ModelAnswer, kind: str) -> Body:
    model = answer.model or body["model"]
    return {"id": f"chatcmpl-{answer.id}", "created": answer.created, "object": kind, "model": model}


def _chat_usage(answer: ModelAnswer) -> Body:
    prompt, completion = _prompt_tokens(answer, 1), answer.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


# https://platform.openai.com/docs/api-reference/embeddings
def embeddings(body: Body, answer: ModelAnswer) -> Body:
    """Return the body of a list of embeddings, in base64 if the request asks for that."""
    texts = body["input"]
    vectors = answer.vectors or (_VECTOR,) * (len(texts) if isinstance(texts, list) else 1)
    in_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if in_base64 else list(vector)}
        for index, vector in enumerate(vectors)
    ]
    count = _prompt_tokens(answer, len(vectors))
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": answer.model or body["model"], "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


# https://docs.anthropic.com/en/api/messages
def message(body: Body, answer: ModelAnswer) -> Body:
    """Return the body of an Anthropic message."""
    content = [{"type": "text", "text": answer.text}]
    return {**_message_head(body, answer, answer.completion_tokens), "content": content, "stop_reason": "end_turn"}


def message_events(body: Body, answer: ModelAnswer) -> Iterator[Event]:
    """Yield the events of an Anthropic message."""
    deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces or (answer.text,)]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: tuple[tuple[str, Body], ...] = (
        # The real API counts the first token here, too.
        ("message_start", {"message": _message_head(body, answer, 1)}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(("content_block_delta", {"index": 0, "delta": delta}) for delta in deltas),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": {"output_tokens": answer.completion_tokens}}),
        ("message_stop", {}),
    )
    for name, data in events:
        yield name, {"type": name, **data}


def _message_head(body: Body, answer: ModelAnswer, output_tokens: int) -> dict[str, object]:
    model = answer.model or body["model"]
    head = {"id": f"msg_{answer.id}", "type": "message", "role": "assistant", "model": model}
    usage = {"input_tokens": _prompt_tokens(answer, 1), "output_tokens": output_tokens}
    return {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


# https://platform.openai.com/docs/api-reference/responses
def response(body: Body, answer: ModelAnswer) -> Body:
    """Return the body of a response."""
    return {**_response_head(body, answer), "status": "completed", "output": [_output(answer)], "usage": _usage(answer)}


def response_events(body: Body, answer: ModelAnswer) -> Iterator[Event]:
    """Yield the events of a response."""
    whole = response(body, answer)
    started = {**whole, "status": "in_progress", "output": [], "usage": None}
    item, place = _output(answer), {"output_index": 0, "item_id": f"msg_{answer.id}", "content_index": 0}
    [part] = item["content"]
    events: tuple[tuple[str, Body], ...] = (
        ("response.created", {"response": started}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(
            ("response.output_text.delta", {**place, "delta": piece, "logprobs": []})
            for piece in answer.pieces or (answer.text,)
        ),
        ("response.output_text.done", {**place, "text": answer.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    )
    for number, (name, data) in enumerate(events):
        yield name, {"type": name, "sequence_number": number, **data}


def _response_head(body: Body, answer: ModelAnswer) -> dict[str, object]:
    asked = {"tools": body.get("tools") or [], "tool_choice": body.get("tool_choice") or "auto"}
    head = {"id": f"resp_{answer.id}", "object": "response", "created_at": answer.created, "error": None}
    return {**head, **asked, "model": answer.model or body["model"], "parallel_tool_calls": True, "metadata": {}}


def _output(answer: ModelAnswer) -> dict[str, Any]:
    part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{answer.id}",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _usage(answer: ModelAnswer) -> Body:
    prompt, completion = _prompt_tokens(answer, 1), answer.completion_tokens
    counts = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    return {
        **counts,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def _prompt_tokens(answer: ModelAnswer, default: int) -> int:
    return default if answer.prompt_tokens is None else answer.prompt_tokens


def openai_error(message: str, code: str | None = None, param: str | None = None) -> Body:
    """Return the body of an error as OpenAI writes it.

    Args:
        message: For people.
        code: What went wrong, such as `rate_limit_exceeded`.
        param: The field of the request that is wrong.
    """
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic_error(message: str, code: str | None = None, _param: str | None = None) -> Body:
    """Return the body of an error as Anthropic writes it; it names no field."""
    return {"type": "error", "error": {"type": code or "invalid_request_error", "message": message}}


def as_event_stream(events: Iterable[Event]) -> bytes:
    """Return events as `text/event-stream` writes them."""
    parts = []
    for name, data in events:
        parts.append(f"event: {name}\n" if name else "")
        parts.append(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
    return "".join(parts).encode()


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
    "/chat/completions": ProviderEndpoint("llm", {"model": str, "messages": list}, (), chat, chat_events, openai_error),
    "/embeddings": ProviderEndpoint(
        "embedding", {"model": str, "input": (str, list)}, (), embeddings, None, openai_error
    ),
    "/responses": ProviderEndpoint(
        "llm", {"model": str, "input": (str, list)}, (), response, response_events, openai_error
    ),
    "/messages": ProviderEndpoint(
        "llm",
        {"model": str, "messages": list, "max_tokens": int},
        ("anthropic-version",),
        message,
        message_events,
        anthropic_error,
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
        return "The body is not a JSON object."
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
    events = tuple(as_event_stream([event]) for event in endpoint.events(body, answer))
    if answer.seconds:
        return Reply(200, b"", STREAM_TYPE, headers, answer.seconds, events)
    return Reply(200, b"".join(events), STREAM_TYPE, headers)


def error_reply(
    path: str, status: int, message: str, *headers: tuple[str, str], code: str | None = None, param: str | None = None
) -> Reply:
    """Return an error as the provider at a path writes it; OpenAI's form where there is no endpoint."""
    endpoint = endpoint_of(path)
    error = endpoint.error if endpoint else openai_error
    return in_json(status, error(message, code, param), *headers)


class ScriptedProvider:
    """Gives the scripted answers, and always the same text when there are none left.

    Attributes:
        script: The next answers: a text, a whole body, or the status of an error.

    Args:
        text: The answer when the script has ended.
    """

    def __init__(self, text: str = TEXT) -> None:
        self.script: deque[str | int | Body] = deque()
        self._text = text

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        if request.method != "POST":
            return self.refusal("", 404, "The fake gateway answers only POST.")
        answer, endpoint = self._next(), endpoint_of(request.path)
        if endpoint and (fault := fault_of(endpoint, request)):
            return self.refusal(request.path, 400, fault)
        if isinstance(answer, int):
            return self.refusal(request.path, answer, f"The test asked for {answer}.")
        if not isinstance(answer, str):
            return in_json(200, answer, *_HEADERS)
        if endpoint is None:
            message = f"The fake gateway has no endpoint {request.path}: in a test, give answer_with() a whole body."
            return self.refusal(request.path, 404, message)
        return model_reply(endpoint, request.json, ModelAnswer(answer), _HEADERS)

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        return error_reply(path, status, message, *_HEADERS)

    def _next(self) -> str | int | Body:
        try:
            return self.script.popleft()
        except IndexError:
            return self._text
