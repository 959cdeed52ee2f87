"""Who a provider is, by the words in the names that the families give it.

`gcp.gemini`, `google` and `vertex_ai` are one; frameworks that call themselves the provider stand
in no list, so they say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

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
