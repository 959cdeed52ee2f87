"""The names of providers for Helicone's OTLP endpoint, as statements of OTTL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ..spans.providers import (
    ATTRIBUTES,
    FRAMEWORKS,
    MODELS,
    OTLP_CUSTOM,
    OTLP_NAMES,
    PROVIDERS,
    UNREAD_MODELS,
)
from . import ottl

MODEL: Final = ottl.key("gen_ai.response.model")
_NAMES: Final = ottl.cache("names")
_NAME: Final = ottl.cache("provider")
# What stands before a model: a router's word for the provider (`openai/gpt-4o`), or Bedrock's region and vendor
# (`us.anthropic.claude-sonnet-4-20250514-v1:0`).
_PREFIXES: Final = {"openai": "^openai/", "azure": "^azure[^/]*/", "aws": r"^(?:bedrock/)?(?:[a-z]+\.)?anthropic\."}
_NOTHING_LEFT: Final = f'not IsMatch({_NAMES}, "[0-9A-Za-z]")'


def provider_statements() -> Iterator[str]:
    """Yield statements that put the name for the endpoint into `span.cache["provider"]`.

    As in the library, a framework's name names no provider. If a span has no other name, the beginning of the model's
    name decides.
    """
    yield f'set({_NAMES}, "")'
    for attribute in ATTRIBUTES:
        path = ottl.key(attribute)
        yield f'set({_NAMES}, Concat([{_NAMES}, {path}], "\\n")) where {path} != nil and IsString({path})'
    for provider, otlp in OTLP_NAMES.items():
        yield _set(otlp.name, _matches(_NAMES, rf"(?i)(?:^|[^a-z])(?:{_words(provider)})(?:[^a-z]|$)"))
    # Frameworks are recognised by the letters and digits of their names.
    yield ottl.replaced(_NAMES, r"[^0-9A-Za-z\n]+", "")
    yield ottl.replaced(_NAMES, rf"(?im)^(?:{_alternatives(FRAMEWORKS)})$", "")
    for provider, otlp in OTLP_NAMES.items():
        if beginnings := [beginning for beginning, maker in MODELS if maker == provider]:
            pattern = rf"(?i)^(?:.*/)?(?:{_alternatives(beginnings)})"
            yield _set(otlp.name, f"{_NOTHING_LEFT} and {_matches(MODEL, pattern)}")
    yield _set(OTLP_CUSTOM)
    partial = _alternatives(otlp.name for otlp in OTLP_NAMES.values() if not otlp.reads_all)
    unread = _matches(MODEL, UNREAD_MODELS)
    yield f'set({_NAME}, "{OTLP_CUSTOM}") where {_matches(_NAME, f"^(?:{partial})$")} and {unread}'
    yield from _bare_models()


def _bare_models() -> Iterator[str]:
    """Yield statements that remove what stands before the names by which Helicone knows the prices of models."""
    for provider, prefix in _PREFIXES.items():
        yield f'{ottl.replaced(MODEL, prefix, "")} where {_NAME} == "{OTLP_NAMES[provider].name}"'


def _set(name: str, condition: str = "") -> str:
    return f'set({_NAME}, "{name}") where {_NAME} == nil' + (f" and {condition}" if condition else "")


def _matches(path: str, pattern: str) -> str:
    return f"IsMatch({path}, {ottl.quoted(pattern)})"


def _words(provider: str) -> str:
    return _alternatives(word for word, meant in PROVIDERS.items() if meant == provider)


def _alternatives(texts: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, texts)))
