"""Chooses where the row of a call goes, and the form of its bodies, so that Helicone's pages can read them.

A page reads a row with one of Helicone's mappers, which it chooses by the provider of the row's endpoint and by the
model (`getMapperType` in https://github.com/Helicone/helicone). A mapper shows nothing of a form that is not its own.
If the model of a call has another mapper at its provider's endpoint, the row goes to the endpoint for all others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from ...spans.providers import CLAUDE_ON_VERTEX, CUSTOM, ENDPOINTS, Endpoint

Api = Literal["chat", "responses", "embeddings"]
# Forms of bodies: OpenAI's chat, its completions and its embeddings, Anthropic's and Google's; `none` is one that is
# not written here.
Form = Literal["openai", "completions", "embeddings", "anthropic", "google", "none"]

_ANTHROPIC, _GOOGLE, _OPENAI = (ENDPOINTS[name] for name in ("anthropic", "google", "openai"))
_MAX_PLACES: Final = 512


class _Reader(NamedTuple):
    """A form in which Helicone reads rows.

    Attributes:
        route: The endpoint of the rows; of any if empty.
        model: Fits the beginning of the model's name.
        form: How their bodies are read.
    """

    route: str
    model: str
    form: Form


# The first that fits decides.
_READERS: Final = tuple(
    (route, re.compile(model, re.DOTALL), form)
    for route, model, form in (
        _Reader("", r"\Z", "openai"),
        _Reader("", r".*deepseek", "openai"),
        _Reader("", r"gpt-3\.5-turbo-instruct", "completions"),
        _Reader(CUSTOM.route, r"claude", "anthropic"),
        _Reader(CUSTOM.route, r"", "openai"),
        _Reader("", r"(ft:)?gpt-(4|3\.5|35)(?!-turbo-instruct)|o1-(preview|mini)|(?i:meta-llama/)", "openai"),
        _Reader("", r".*(claude|anthropic)", "anthropic"),
        _Reader(_ANTHROPIC.route, r"", "anthropic"),
        _Reader("", r".*Llama", "none"),
        _Reader(_OPENAI.route, r"(?i:.*gemini)", "openai"),
        _Reader(_GOOGLE.route, r"", "google"),
        _Reader("", r"dall-e-[23]|gpt-image-1|text-moderation", "none"),
        _Reader("", r"text-embedding", "embeddings"),
        _Reader("", r"", "openai"),
    )
)
# The forms in which rows are written, by what the endpoint's provider is asked.
_WRITTEN: Final[dict[tuple[str, Api], frozenset[Form]]] = {
    ("openai", "chat"): frozenset({"openai", "completions"}),
    ("openai", "embeddings"): frozenset({"openai", "embeddings"}),
    ("anthropic", "chat"): frozenset({"anthropic"}),
    ("google", "chat"): frozenset({"google"}),
    ("google", "embeddings"): frozenset({"google"}),
}


class Place(NamedTuple):
    """Where the row of a call goes, and how its bodies are written."""

    endpoint: Endpoint
    api: Api
    form: Form


@lru_cache(_MAX_PLACES)
def place_of(provider: str, model: str, api: Api) -> Place:
    """Return the place of a call.

    Args:
        provider: A key of `ENDPOINTS`, or any other name.
        model: The model as Helicone will store it: the one that answered.
        api: What was called.
    """
    endpoint = ENDPOINTS.get(provider, CUSTOM)
    if api == "responses":
        # Helicone reads this form at OpenAI's own endpoint only, and of rows with a model.
        if endpoint is _OPENAI and model:
            return Place(endpoint, api, "openai")
        api = "chat"
    form = _form(endpoint.route, model)
    if endpoint is _GOOGLE and form == "anthropic":
        endpoint = CLAUDE_ON_VERTEX
    if endpoint is not CUSTOM and form in _WRITTEN.get((endpoint.shape, api), ()):
        return Place(endpoint, api, form)
    return Place(CUSTOM, api, _form(CUSTOM.route, model))


def _form(route: str, model: str) -> Form:
    return next(form for at, named, form in _READERS if at in ("", route) and named.match(model))
