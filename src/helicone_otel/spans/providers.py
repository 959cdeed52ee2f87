"""Who a provider is, by the words in the names that the families give it.

`gcp.gemini`, `google` and `vertex_ai` are one; frameworks that call themselves the provider stand
in no list, so they say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

_MAX_NAME: Final = 64
_MAX_NAMES: Final = 256

PROVIDERS = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "google": "google",
    "gcp": "google",
    "gemini": "google",
    "vertex": "google",
    "vertexai": "google",
    "aws": "aws",
    "amazon": "aws",
    "bedrock": "aws",
    "mistral": "mistral",
    "mistralai": "mistral",
    "cohere": "cohere",
    "groq": "groq",
    "ollama": "ollama",
    "deepseek": "deepseek",
    "perplexity": "perplexity",
    "xai": "xai",
    "together": "together",
    "fireworks": "fireworks",
    "watsonx": "ibm",
    "ibm": "ibm",
}


def providers_in(names: Iterable[str]) -> frozenset[str]:
    """Return who is meant by names of providers; nobody, if they are of no provider that is known."""
    return frozenset().union(*(_providers_in(name[:_MAX_NAME].lower()) for name in names))


@lru_cache(_MAX_NAMES)
def _providers_in(name: str) -> frozenset[str]:
    return frozenset(PROVIDERS[word] for word in re.split(r"[^a-z]+", name) if word in PROVIDERS)


class Endpoint(NamedTuple):
    """Where a provider's calls go, and where in Helicone's log.

    Attributes:
        route: Helicone's endpoint, which decides whose prices hold.
            https://docs.helicone.ai/getting-started/integration-method/custom
        shape: Whose bodies they are.
        urls: The provider's endpoint by operation; `{model}` stands for the model.
    """

    route: str
    shape: Literal["openai", "anthropic", "google"]
    urls: dict[str, str]


_OPENAI: Final = {"chat": "/chat/completions", "responses": "/responses", "embeddings": "/embeddings"}
_GOOGLE: Final = {"chat": ":generateContent", "embeddings": ":batchEmbedContents"}
_GOOGLE_MODEL: Final = "https://generativelanguage.googleapis.com/v1beta/models/{model}"

ENDPOINTS: Final = {
    "openai": Endpoint(
        "/oai/v1/log", "openai", {name: "https://api.openai.com/v1" + path for name, path in _OPENAI.items()}
    ),
    # The same models at the same prices.
    "azure": Endpoint(
        "/oai/v1/log", "openai", {name: "https://openai.azure.com/openai/v1" + path for name, path in _OPENAI.items()}
    ),
    "anthropic": Endpoint("/anthropic/v1/log", "anthropic", {"chat": "https://api.anthropic.com/v1/messages"}),
    "google": Endpoint("/googleapis/v1/log", "google", {name: _GOOGLE_MODEL + verb for name, verb in _GOOGLE.items()}),
}
CUSTOM: Final = Endpoint("/custom/v1/log", "openai", {})
# Names of providers that are none: who calls, and not who answers.
FRAMEWORKS: Final = frozenset({"langchain", "langgraph", "llamaindex", "llama_index", "crewai", "haystack", "litellm"})
# Whose models they are, for spans that name no provider, and for bodies at a provider of many models.
MODELS: Final = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4-", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("omni-moderation", "openai"),
    ("claude", "anthropic"),
    ("gemini", "google"),
)
