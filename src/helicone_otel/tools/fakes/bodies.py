"""What Helicone derives from the bodies of a request and its response: model, tokens, badge, error and flaws."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from .headers import as_text

_MODEL_IN_URL: Final = re.compile(r"/(?:models|engines|model)/([^/?:]+)")
_ASSISTANT: Final = ("assistant_id", "thread_id", "metadata")
_RUNNING: Final = ("queued", "in_progress")
_BADGES: Final = (("vector_db", "VectorDB"), ("tool:", "Tool"), ("data:", "Data"))
_PROMPT: Final = ("prompt_tokens", "input_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
_UNDEFINED: Final = "undefined"


def response_of(request: Any, text: str | None, body: Any) -> Any:
    """Return the response that Helicone stores.

    Args:
        request: The body of the request. With `"stream": true`, a text is read as a stream, and a body is unreadable.
        text: The response as a text; it goes before `body`.
        body: The response as JSON.
    """
    streamed = isinstance(request, Mapping) and request.get("stream") is True
    if text:
        return _streamed(text) if streamed else _parsed(text)
    return _unreadable(body) if streamed and body else body


def model_of(url: str, request: Any, response: Any, override: str = "") -> str:
    """Return the model that Helicone stores.

    Args:
        url: The URL or path of the request; it may name the model.
        request: The body of the request.
        response: The body of the response.
        override: The header `Helicone-Model-Override`, which goes before everything else.
    """
    request, response = _mapping(request), _mapping(response)
    named = _text(response.get("model")) or _requested_model(request) or _model_in_url(url)
    return override or _assistant(response, named) or _typed_model(response) or named


def _requested_model(request: Mapping[str, Any]) -> str:
    match request.get("_type"):
        case "vector_db":
            return "vector_db"
        case "tool":
            return f"tool:{_named(request, 'toolName')}"
        case _:
            return _text(request.get("model"))


def _typed_model(response: Mapping[str, Any]) -> str:
    match response.get("_type"):
        case "vector_db":
            return "vector_db"
        case "tool":
            return f"tool:{_named(response, 'toolName')}"
        case "data":
            return f"data:{_named(response, 'name')}"
        case _:
            return ""


def _assistant(response: Mapping[str, Any], named: str) -> str:
    """Return the model that Helicone stores for what it takes for OpenAI's assistants, or an empty text."""
    data = response.get("data")
    first = _mapping(data[0]) if isinstance(data, list) and data else {}
    if not any(key in response for key in _ASSISTANT) and "assistant_id" not in first:
        return ""
    if response.get("status") in _RUNNING:
        return "assistant-polling"
    return "" if named else "assistant-call"


def _model_in_url(url: str) -> str:
    found = _MODEL_IN_URL.search(url)
    return found[1] if found else ""


def tokens_of(provider: str, response: Any) -> tuple[int, int]:
    """Return the numbers of tokens of the prompt and of the completion."""
    response = _mapping(response)
    usage = _usage(response)
    if provider == "GOOGLE" and (google := _mapping(response.get("usageMetadata"))):
        return _count(google, "promptTokenCount"), _count(google, "candidatesTokenCount")
    return (
        _count(usage, *_PROMPT) or _count(response, "prompt_token_count"),
        _count(usage, *_COMPLETION) or _count(response, "generation_token_count"),
    )


def _usage(response: Mapping[str, Any]) -> Mapping[str, Any]:
    chunks = response.get("streamed_data")
    parts = [response, *(chunks if isinstance(chunks, list) else ())]
    # Anthropic's streams have the prompt's tokens at their start, in the message, and the completion's at their end.
    holders = [holder for part in parts for holder in (_mapping(_mapping(part).get("message")), _mapping(part))]
    return {key: value for holder in holders for key, value in _mapping(holder.get("usage")).items()}


def badge(model: str, response: Any) -> str:
    """Return the badge with which Helicone shows a row: `LLM`, `Tool`, `VectorDB` or `Data`."""
    if any(_mapping(message).get("tool_calls") for message in _messages(response)):
        return "Tool"
    return next((name for start, name in _BADGES if model.startswith(start)), "LLM")


def error_message(response: Any) -> str | None:
    """Return the error message in a response, which makes a row an error whatever its status."""
    return _text(_mapping(_mapping(response).get("error")).get("message")) or None


def flaws(model: str, request: Any, response: Any) -> list[str]:
    """Return, as sentences, what Helicone would show otherwise than the sender meant."""
    return list(_flaws(model, _mapping(request), _mapping(response)))


def _flaws(model: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> Iterator[str]:
    if "helicone_error" in response:
        yield f"the response cannot be read: {response.get('parse_response_error')}"
    if model.startswith("assistant-"):
        yield f"Helicone takes it for a call of OpenAI's assistants and stores the model {model}"
    if model.endswith(f":{_UNDEFINED}"):
        yield f"the response does not repeat the name, so it is shown as {model}"
    if "_type" in request and request["_type"] != response.get("_type"):
        yield f"the response does not repeat the type {request['_type']!r}"
    for key in ("matches", "results"):
        entries = response.get(key)
        scores = [_mapping(entry).get("score", 0) for entry in entries] if isinstance(entries, list) else []
        if response.get("_type") == "vector_db" and not all(is_number(score) for score in scores):
            yield f"a score among the {key} is not a number, so Helicone shows raw JSON"


def _messages(response: Any) -> Iterator[Any]:
    choices = _mapping(response).get("choices")
    if isinstance(choices, list):
        yield from (_mapping(choice).get("message") for choice in choices)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _unreadable(text)


def _streamed(text: str) -> Any:
    """Return server-sent events as Helicone stores them: the model, and all chunks."""
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    try:
        chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    except ValueError:
        return _unreadable(text)
    if not chunks:
        return _unreadable(text)
    model = next(filter(None, map(_model_in, chunks)), None)
    return {**({"model": model} if model else {}), "streamed_data": chunks}


def _model_in(chunk: Any) -> str:
    return _text(_mapping(chunk).get("model")) or _text(_mapping(_mapping(chunk).get("message")).get("model"))


def _unreadable(body: Any) -> dict[str, Any]:
    reason = "it is neither a stream nor JSON, whichever the request asked for"
    return {"helicone_error": "error parsing response", "parse_response_error": reason, "body": body}


def _named(body: Mapping[str, Any], key: str) -> str:
    return as_text(body[key]) if key in body else _UNDEFINED


def _count(usage: Mapping[str, Any], *keys: str) -> int:
    return next((int(usage[key]) for key in keys if is_number(usage.get(key))), 0)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return what `typeof value === "number"` is in JavaScript."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
