"""What Helicone derives from the bodies of a request and its response: model, badge, what its pages show, and flaws.

A page chooses one of Helicone's mappers, by type, provider, URL and model, and shows what that mapper finds in the two
bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from . import mappers
from .headers import as_text
from .mappers import Page, Shown, ShownMessage, js_json
from .usage import is_number, mapping

_MODEL_IN_URL: Final = re.compile(r"/(?:models|engines|model)/([^/?:]+)")
_ASSISTANT: Final = ("assistant_id", "thread_id", "metadata")
_RUNNING: Final = ("queued", "in_progress")
_BADGES: Final = (("vector_db", "VectorDB"), ("tool:", "Tool"), ("data:", "Data"))
_UNDEFINED: Final = "undefined"
# How JavaScript writes an object as a text.
_OBJECT: Final = "[object Object]"
# Members of a log that the servers read themselves. They cannot be copies of members of a request.
LOG_MEMBERS: Final = frozenset({"provider", "providerRequest", "providerResponse", "timing", "stream"})
# Where bodies have what went into a model, and what came out.
_QUESTIONS: Final = ("messages", "input", "contents", "prompt", "requests")
_ANSWERS: Final = ("choices", "output", "content", "candidates")
# Members that hold content of a message.
_TEXTS: Final = ("text", "content", "thinking", "name")

_TYPES: Final = {"vector_db": "vector-db", "tool": "tool", "data": "data"}
_OPENAI_MODEL: Final = re.compile(r"(ft:)?gpt-(4|3\.5|35)(?!-turbo-instruct)|o1-(preview|mini)(-\d{4}-\d\d-\d\d)?$")
_META_LLAMA: Final = re.compile(r"meta-llama/", re.IGNORECASE)
_MODERATION: Final = re.compile(r"text-moderation(-\[\w+\]|-\d+)?$")
# Providers of which models are read as OpenAI's chat, whatever they are called.
_AS_OPENAI: Final = frozenset({"OPENROUTER", "CUSTOM", "GROQ", "TOGETHER", "TOGETHERAI"})
_IMAGE: Final = re.compile(r"dall-e-[23]$|gpt-image-1")
_AZURE: Final = re.compile(
    r"(https?://)?([^.]*\.)?"
    r"(openai\.azure\.com|azure-api\.net|cognitiveservices\.azure\.com|services\.ai\.azure\.com)(/.*)?$"
)
_PREVIEW: Final = 1000
_SUCCESSES: Final = range(200, 300)


def response_of(streamed: bool, text: str | None, body: Any) -> Any:
    """Return the response that Helicone stores.

    Args:
        streamed: The request has `"stream": true`: a text is read as a stream, and a body is unreadable.
        text: The response as a text; it goes before `body`.
        body: The response as JSON.
    """
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
    request, response = mapping(request), mapping(response)
    named = override or _text(response.get("model")) or requested_model(url, request)
    return _assistant(response, named) or _typed_model(response) or named


def requested_model(url: str, request: Any) -> str:
    """Return the model that a request names."""
    request = mapping(request)
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
    first = mapping(data[0]) if isinstance(data, list) and data else {}
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
    return _text(mapping(mapping(response).get("error")).get("message")) or None


def flaws(model: str, request: Any, response: Any, shown: Shown) -> list[str]:
    """Return, as sentences, what Helicone would show otherwise than the sender meant."""
    return list(_flaws(model, mapping(request), mapping(response), shown))


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
    if shown.mapper == "tool" and not isinstance(request.get("input"), Mapping | list | None):
        yield "the input of the tool is no object, so the page shows each of its characters, or none"
    if "_type" not in _asked(request):
        yield from _flaws_of_texts(request, response, shown)
    for key in ("matches", "results"):
        entries = response.get(key)
        scores = [mapping(entry).get("score", 0) for entry in entries] if isinstance(entries, list) else []
        if response.get("_type") == "vector_db" and not all(is_number(score) for score in scores):
            yield f"a score among the {key} is not a number, so Helicone shows raw JSON"


def _flaws_of_texts(request: Mapping[str, Any], response: Mapping[str, Any], shown: Shown) -> Iterator[str]:
    for messages in (shown.sent, shown.answered):
        text = "\n".join(message.text for message in messages)
        for left_out in (message.left_out for message in messages if message.left_out not in text):
            yield f"the page leaves out calls without a content beside them: {left_out}"
        if any(message.is_loading for message in messages):
            yield f"a part of a message never loads: {shown.mapper} does not read its content"
    if _OBJECT in shown.response:
        yield "the list shows an object in place of the answer"
    if _contains_text(_asked(request), _QUESTIONS) and not _has_text(shown.sent):
        yield f"nothing of the request is shown: {shown.mapper} does not read its form"
    if _contains_text(response, _ANSWERS) and not _has_text(shown.answered) and not shown.error:
        yield f"nothing of the response is shown: {shown.mapper} does not read its form"


def _not_copied(request: Mapping[str, Any]) -> list[str]:
    """Return the members of the request in a log that are not at the top level of the log, too."""
    return [key for key in _asked(request) if key not in request and key not in LOG_MEMBERS]


def _asked(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(request["providerRequest"]).get("json")) if "providerRequest" in request else request


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
    return _text(mapping(chunk).get("model")) or _text(mapping(mapping(chunk).get("message")).get("model"))


def _unreadable(body: Any) -> dict[str, Any]:
    reason = "it is neither a stream nor JSON, whichever the request asked for"
    return {"helicone_error": "error parsing response", "parse_response_error": reason, "body": body}


def _named(body: Mapping[str, Any], key: str) -> str:
    return as_text(body[key]) if key in body else _UNDEFINED


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# --- what the pages show --------------------------------------------------------------------------


def shown_of(provider: str, model: str, url: str, status: int, request: Any, response: Any) -> Shown:
    """Return what Helicone's pages show of a row.

    Args:
        provider: Such as `OPENAI`.
        model: The stored model.
        url: Where the request went.
        status: The status of the response.
        request: The stored body of the request.
        response: The stored body of the response.
    """
    request, response = mapping(request), mapping(response)
    mapper = mapper_of(provider_shown(provider, url), model, url, request, response)
    read = mappers.MAPPERS.get(mapper, mappers.unknown)
    try:
        shown = read(Page(request, response, status, model))
    except mappers.BROKEN as error:
        # A mapper that fails shows raw JSON.
        shown = Shown(request=js_json(request), response=js_json(response), error=f"Error: {error}")
    if status not in _SUCCESSES:
        shown = shown._replace(error=js_json(response, 2))
    return shown._replace(mapper=mapper, request=_preview(shown.request), response=_preview(shown.response))


def provider_shown(provider: str, url: str) -> str:
    """Return the provider that the lists name: Azure, wherever the URL is one of its own."""
    return "AZURE" if _AZURE.match(url) else provider


def mapper_of(provider: str, model: str, url: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    """Return the name of the mapper that reads a row."""
    kind = request.get("_type")
    if isinstance(kind, str) and kind in _TYPES:
        return _TYPES[kind]
    if response.get("object") == "thread.run" or response.get("assistant_id") or response.get("thread_id"):
        return "openai-assistant"
    asked = _Asked(provider, model, url, _is_of_an_assistant(request, response))
    return next((mapper for applies, mapper in _RULES if applies(asked)), "openai-chat")


class _Asked(NamedTuple):
    provider: str
    model: str
    url: str
    is_of_an_assistant: bool


# The first rule that applies decides. OpenAI's chat is for all others.
_RULES: Final[tuple[tuple[Callable[[_Asked], object], str], ...]] = (
    (lambda row: row.provider == "GOOGLE" and "chat/completions" in row.url, "openai-chat"),
    (lambda row: row.provider == "VERCEL", "vercel-chat"),
    (lambda row: not row.model, "openai-chat"),
    (lambda row: row.provider == "OPENAI" and "/v1/response" in row.url, "openai-response"),
    (lambda row: "deepseek" in row.model, "openai-chat"),
    (lambda row: row.model == "vector_db", "vector-db"),
    (lambda row: row.model.startswith("tool:"), "tool"),
    (lambda row: row.model.startswith("data:"), "data"),
    (lambda row: row.model.startswith("gpt-3.5-turbo-instruct"), "openai-instruct"),
    (lambda row: row.provider == "CUSTOM" and row.model.startswith("claude"), "anthropic-chat"),
    (lambda row: row.provider in _AS_OPENAI, "openai-chat"),
    (lambda row: _OPENAI_MODEL.match(row.model) or _META_LLAMA.match(row.model), "openai-chat"),
    (lambda row: "claude" in row.model or "anthropic" in row.model, "anthropic-chat"),
    (lambda row: row.provider == "ANTHROPIC", "anthropic-chat"),
    (lambda row: row.provider == "NVIDIA", "openai-chat"),
    (lambda row: row.provider == "LLAMA" or "Llama" in row.model, "llama-chat"),
    (lambda row: row.is_of_an_assistant, "openai-assistant"),
    (lambda row: row.provider == "OPENAI" and "gemini" in row.model.lower(), "openai-chat"),
    (lambda row: row.provider == "GOOGLE" or "gemini" in row.model.lower(), "gemini-chat"),
    (lambda row: _IMAGE.match(row.model), "openai-image"),
    (lambda row: _MODERATION.match(row.model), "openai-moderation"),
    (lambda row: row.model.startswith("text-embedding"), "openai-embedding"),
)


def _is_of_an_assistant(request: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    data = response.get("data")
    return (
        "assistant_id" in request
        or "metadata" in request
        or "metadata" in response
        or (isinstance(data, list) and any(isinstance(item, Mapping) and "metadata" in item for item in data))
    )


def _preview(text: str) -> str:
    # JavaScript counts UTF-16 units, and cuts a character in two.
    units = text.replace("\n", " ").encode("utf-16-le", "surrogatepass")
    return units[: 2 * _PREVIEW].decode("utf-16-le", "surrogatepass")
