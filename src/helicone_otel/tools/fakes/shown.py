"""What a person sees of a row on Helicone's pages.

A page chooses one of Helicone's mappers, by type, provider, URL and model, and shows what that mapper finds in the two
bodies. Of rows of the worker's log API the body of the request is the whole log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from . import mappers
from .mappers import Page, Shown, js_json

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
    request = request if isinstance(request, Mapping) else {}
    response = response if isinstance(response, Mapping) else {}
    mapper = mapper_of(provider_shown(provider, url), model, url, request, response)
    read = mappers.MAPPERS.get(mapper, mappers.unknown)
    try:
        shown = read(Page(request, response, status, model))
    except mappers.BROKEN as error:
        # A mapper that fails shows raw JSON.
        shown = Shown(request=js_json(request), response=js_json(response), error=f"Error: {error}")
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
    return text.replace("\n", " ")[:_PREVIEW]
