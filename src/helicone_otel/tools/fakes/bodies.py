"""What Helicone derives from the bodies of a request and its response: model, badge, error and flaws."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeGuard

from .headers import as_text
from .mappers import Shown, ShownMessage

_MODEL_IN_URL: Final = re.compile(r"/(?:models|engines|model)/([^/?:]+)")
_ASSISTANT: Final = ("assistant_id", "thread_id", "metadata")
_RUNNING: Final = ("queued", "in_progress")
_BADGES: Final = (("vector_db", "VectorDB"), ("tool:", "Tool"), ("data:", "Data"))
_UNDEFINED: Final = "undefined"
# Members of a log that the servers read themselves. They cannot be copies of members of a request.
LOG_MEMBERS: Final = frozenset({"provider", "providerRequest", "providerResponse", "timing", "stream"})
# Where bodies have what went into a model, and what came out.
_QUESTIONS: Final = ("messages", "input", "contents", "prompt", "requests")
_ANSWERS: Final = ("choices", "output", "content", "candidates")
# Members that hold content of a message.
_TEXTS: Final = ("text", "content", "thinking", "name")


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
        request: The stored body of the request. Of rows of the worker's log API that is the whole log.
        response: The body of the response, in which Helicone looks first.
        override: The header `Helicone-Model-Override`, which goes before everything else.
    """
    request, response = _mapping(request), _mapping(response)
    named = override or _text(response.get("model")) or requested_model(url, request)
    return _assistant(response, named) or _typed_model(response) or named


def requested_model(url: str, request: Any) -> str:
    """Return the model that a request names."""
    request = _mapping(request)
    typed = _typed_model(request)
    if typed:
        return typed
    model = _text(request.get("model")) or _model_in_url(url)
    return model or ("assistant-call" if _is_for_an_assistant(request) else "")


def _is_for_an_assistant(request: Mapping[str, Any]) -> bool:
    creates_one = "messages" not in request and "instructions" in request and "name" in request
    return creates_one or "assistant_id" in request or "metadata" in request


def _typed_model(body: Mapping[str, Any]) -> str:
    match body.get("_type"):
        case "vector_db":
            return "vector_db"
        case "tool":
            return f"tool:{_named(body, 'toolName')}"
        case "data":
            return f"data:{_named(body, 'name')}"
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


def badge(model: str, shown: Shown) -> str:
    """Return the badge with which Helicone shows a row: `LLM`, `Tool`, `VectorDB` or `Data`."""
    if any(message.has_calls for message in shown.answered):
        return "Tool"
    return next((name for start, name in _BADGES if model.startswith(start)), "LLM")


def error_message(response: Any) -> str | None:
    """Return the error message in a response, which makes a row an error whatever its status."""
    return _text(_mapping(_mapping(response).get("error")).get("message")) or None


def flaws(model: str, request: Any, response: Any, shown: Shown) -> list[str]:
    """Return, as sentences, what Helicone would show otherwise than the sender meant."""
    return list(_flaws(model, _mapping(request), _mapping(response), shown))


def _flaws(model: str, request: Mapping[str, Any], response: Mapping[str, Any], shown: Shown) -> Iterator[str]:
    if "helicone_error" in response:
        yield f"the response cannot be read: {response.get('parse_response_error')}"
    if model.startswith("assistant-"):
        yield f"Helicone takes it for a call of OpenAI's assistants and stores the model {model}"
    if model.endswith(f":{_UNDEFINED}"):
        yield f"the request or the response lacks the name, so it is shown as {model}"
    if "_type" in request and request["_type"] != response.get("_type"):
        yield f"the response does not repeat the type {request['_type']!r}"
    if missing := _not_copied(request):
        yield f"Helicone looks for {', '.join(missing)} at the top level of the log, and finds nothing"
    if "_type" not in _asked(request):
        yield from _flaws_of_texts(request, response, shown)
    for key in ("matches", "results"):
        entries = response.get(key)
        scores = [_mapping(entry).get("score", 0) for entry in entries] if isinstance(entries, list) else []
        if response.get("_type") == "vector_db" and not all(is_number(score) for score in scores):
            yield f"a score among the {key} is not a number, so Helicone shows raw JSON"


def _flaws_of_texts(request: Mapping[str, Any], response: Mapping[str, Any], shown: Shown) -> Iterator[str]:
    if _contains_text(_asked(request), _QUESTIONS) and not _has_text(shown.sent):
        yield f"nothing of the request is shown: {shown.mapper} does not read its form"
    if _contains_text(response, _ANSWERS) and not _has_text(shown.answered) and not shown.error:
        yield f"nothing of the response is shown: {shown.mapper} does not read its form"


def _not_copied(request: Mapping[str, Any]) -> list[str]:
    """Return the members of the request in a log that are not at the top level of the log, too."""
    return [key for key in _asked(request) if key not in request and key not in LOG_MEMBERS]


def _asked(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(request["providerRequest"]).get("json")) if "providerRequest" in request else request


def _contains_text(body: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Tell whether a body has a text, or the name of a tool, under one of some keys."""
    waiting: list[Any] = [body[key] for key in keys if key in body]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            if any(isinstance(item.get(key), str) and item[key].strip() for key in _TEXTS):
                return True
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return any(isinstance(body.get(key), str) and body[key].strip() for key in keys)


def _has_text(messages: Iterable[ShownMessage]) -> bool:
    return any(message.text for message in messages)


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


def is_number(value: object) -> TypeGuard[int | float]:
    """Return what `typeof value === "number"` is in JavaScript."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
