"""The tokens and the cost that Helicone reads in a response.

Helicone has two readers and prefers the newer one wherever that finds tokens. The newer one exists only for the
providers in `_READERS`. Models that it does not know have older prices, or none; `CUSTOM` has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeGuard

_PER_MILLION: Final = 1_000_000


class Usage(NamedTuple):
    """Numbers of tokens; `None` where a reader finds none.

    Attributes:
        input: Without those of the cache.
        output: Without those of the reasoning.
        read: Read from the cache.
        written: Written to the cache for five minutes, or for a time that is not known.
        written_1h: Written to the cache for an hour.
        reasoning: Used for reasoning.
    """

    input: float | None = None
    output: float | None = None
    read: float | None = None
    written: float | None = None
    written_1h: float | None = None
    reasoning: float | None = None


class Bill(NamedTuple):
    """What Helicone stores of the tokens of a row; `cost` is in dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0


class Price(NamedTuple):
    """Dollars for a million tokens."""

    input: float
    output: float
    read: float
    written: float
    written_1h: float


# Of a few models. Helicone knows many more, each under the names in its tables only.
PRICES: Final[Mapping[tuple[str, str], Price]] = {
    ("OPENAI", "gpt-4o"): Price(2.5, 10, 1.25, 2.5, 2.5),
    ("OPENAI", "gpt-4o-mini"): Price(0.15, 0.6, 0.075, 0.15, 0.15),
    ("OPENAI", "text-embedding-3-small"): Price(0.02, 0, 0.02, 0.02, 0.02),
    ("OPENAI", "gpt-5"): Price(1.25, 10, 0.125, 1.25, 1.25),
    ("ANTHROPIC", "claude-sonnet-4-20250514"): Price(3, 15, 0.3, 3.75, 6),
    ("ANTHROPIC", "claude-3-5-haiku-20241022"): Price(0.8, 4, 0.08, 1, 1.6),
    ("GOOGLE", "gemini-2.5-flash"): Price(0.3, 2.5, 0.075, 0.3, 0.3),
    ("AZURE", "gpt-4o-mini"): Price(0.15, 0.6, 0.075, 0.15, 0.15),
    ("AWS", "anthropic.claude-sonnet-4-5-20250929-v1:0"): Price(3, 15, 0.3, 3.75, 6),
    ("DEEPSEEK", "deepseek-chat"): Price(0.56, 1.68, 0.07, 0.56, 0.56),
    ("GROQ", "llama-3.1-8b-instant"): Price(0.05, 0.08, 0.05, 0.05, 0.05),
    ("OPENROUTER", "openai/gpt-4o-mini"): Price(0.158, 0.633, 0.158, 0.158, 0.158),
}
# Of models that are not above, by a part of the model's name. They are multiplied with what the older reader finds.
# They lack a price for the tokens of reasoning.
OLDER_PRICES: Final = (
    ("OPENAI", "ft:gpt-4o-mini-2024-07-18", Price(0.3, 1.2, 0.3, 0.3, 0.3)),
    ("OPENAI", "gpt-4o-mini-2024-07-18", Price(0.15, 0.6, 0.075, 0.15, 0.15)),
    ("AWS", "claude-sonnet-4", Price(3, 15, 0.3, 3.75, 3.75)),
    ("AWS", "claude-3-5-sonnet", Price(3, 15, 0.3, 3.75, 3.75)),
    # A thousand times Mistral's own.
    ("MISTRAL", "mistral-large-latest", Price(2000, 6000, 2000, 2000, 2000)),
    ("TOGETHER", "meta-llama/Llama-3.3-70B-Instruct-Turbo", Price(0.88, 0.88, 0.88, 0.88, 0.88)),
)


def bill_of(provider: str, model: str, response: Any) -> Bill:
    """Return the tokens and the cost of a response.

    Args:
        provider: Such as `OPENAI`.
        model: The stored model.
        response: The body.
    """
    response = _with_streamed_usage(mapping(response))
    older = _older(provider, response)
    reader = _READERS.get(provider)
    usage = reader(response) if reader else None
    newer = usage or Usage()
    writes = (newer.written or 0) + (newer.written_1h or 0)
    return Bill(
        # A negative number, of fewer tokens than cached ones, is stored as 0.
        prompt_tokens=max(0, int(newer.input or older.input or 0)),
        completion_tokens=int(newer.output or older.output or 0),
        cache_read_tokens=int(newer.read or older.read or 0),
        # The older number is used only if the newer reader has found nothing of a cache.
        cache_write_tokens=int(writes if newer.read or writes else older.written or 0),
        reasoning_tokens=int(newer.reasoning or 0),
        cost=_cost(provider, model, usage, older),
    )


def _cost(provider: str, model: str, newer: Usage | None, older: Usage) -> float:
    price, usage = PRICES.get((provider, model)), newer
    if price is None:
        price = next((one for at, part, one in OLDER_PRICES if at == provider and part in model), None)
        usage = older._replace(reasoning=None)
    if price is None or usage is None:
        return 0.0
    dollars = (
        (usage.input or 0) * price.input
        + ((usage.output or 0) + (usage.reasoning or 0)) * price.output
        + (usage.read or 0) * price.read
        + (usage.written or 0) * price.written
        + (usage.written_1h or 0) * price.written_1h
    )
    return dollars / _PER_MILLION


# --- the newer readers ----------------------------------------------------------------------------


def _openai(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usage"))
    details = mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    details_out = mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    tokens = _first(usage, "prompt_tokens", "input_tokens")
    cached, reasoning = _number(details.get("cached_tokens")), _number(details_out.get("reasoning_tokens"))
    # More cached tokens than tokens: then they are not counted as input.
    fresh = tokens if cached > tokens else tokens - cached
    output = max(0, _first(usage, "completion_tokens", "output_tokens") - reasoning)
    return Usage(fresh, output, cached, _number(details.get("cache_write_tokens")), None, reasoning)


def _anthropic(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usage"))
    written = mapping(usage.get("cache_creation"))
    # `cache_creation_input_tokens` is not read: its sum does not say what the tokens cost.
    return Usage(
        _number(usage.get("input_tokens")) if usage else _number(response.get("input_tokens")),
        _number(usage.get("output_tokens")),
        _number(usage.get("cache_read_input_tokens")),
        _number(written.get("ephemeral_5m_input_tokens")),
        _number(written.get("ephemeral_1h_input_tokens")),
    )


def _google(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usageMetadata"))
    tokens, cached = _number(usage.get("promptTokenCount")), _number(usage.get("cachedContentTokenCount"))
    output, thoughts = _number(usage.get("candidatesTokenCount")), _number(usage.get("thoughtsTokenCount"))
    return Usage(max(0, tokens - cached), output, cached, None, None, thoughts)


def _xai(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usage"))
    details = mapping(usage.get("prompt_tokens_details"))
    output = usage.get("completion_tokens")
    # Zero is added to it. To a text JavaScript appends it.
    output = f"{output}0" if isinstance(output, str) else output
    return Usage(_number(details.get("text_tokens")), _number(output), _number(details.get("cached_tokens")))


def _deepseek(response: Mapping[str, Any]) -> Usage:
    # `prompt_tokens` is not read, so its cost lacks them where DeepSeek's own numbers are missing.
    usage = mapping(response.get("usage"))
    fresh, cached = usage.get("prompt_cache_miss_tokens"), usage.get("prompt_cache_hit_tokens")
    return _openai(response)._replace(input=_number(fresh), read=_number(cached))


_AS_OPENAI: Final = ("OPENAI", "AZURE", "MISTRAL", "GROQ", "OPENROUTER", "PERPLEXITY", "FIREWORKS")
_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Usage]]] = {
    **dict.fromkeys(_AS_OPENAI, _openai),
    **dict.fromkeys(("ANTHROPIC", "AWS", "BEDROCK"), _anthropic),
    "GOOGLE": _google,
    "X": _xai,
    "DEEPSEEK": _deepseek,
}


# --- the older readers ----------------------------------------------------------------------------


def _older(provider: str, response: Mapping[str, Any]) -> Usage:
    if provider == "LLAMA":
        # It reads `metrics` of Llama's own API.
        return Usage()
    if provider == "ANTHROPIC":
        return _older_anthropic(response)
    return _older_google(response) if provider == "GOOGLE" else _older_of_others(response)


def _older_anthropic(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usage"))
    if not usage.get("input_tokens") or not usage.get("output_tokens"):
        return Usage(_number(response.get("input_tokens")))
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return Usage(*(_number(usage.get(name)) for name in names))


def _older_google(response: Mapping[str, Any]) -> Usage:
    usage = mapping(response.get("usage"))
    if "input_tokens" in usage and "output_tokens" in usage:
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return Usage(*(_number(usage.get(name)) for name in names))
    counts = mapping(response.get("usageMetadata"))
    tokens, cached = counts.get("promptTokenCount"), counts.get("cachedContentTokenCount")
    # Without a number of cached tokens there is none of the prompt's either.
    input_ = None if tokens is None or cached is None else _number(tokens) - _number(cached)
    output = _number(counts.get("thoughtsTokenCount")) + _number(counts.get("candidatesTokenCount"))
    return Usage(input_, output, _number(cached))


def _older_of_others(response: Mapping[str, Any]) -> Usage:
    if "usage" not in response:
        names = ("prompt_token_count", "generation_token_count")
        return Usage(*(_number(response.get(name)) for name in names))
    found = _openai(response)
    usage = mapping(response["usage"])
    details = mapping(usage.get("prompt_tokens_details"))
    return found._replace(written=_number(details.get("cache_write_tokens")))


def _with_streamed_usage(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response with the usage in its chunks.

    Anthropic's streams have the prompt's tokens at their start, in the message, and the completion's at their end.
    """
    chunks = response.get("streamed_data")
    if not isinstance(chunks, list):
        return response
    holders = [holder for chunk in chunks for holder in (mapping(mapping(chunk).get("message")), mapping(chunk))]
    usage = {key: value for holder in holders for key, value in mapping(holder.get("usage")).items()}
    return {**response, "usage": usage}


def _first(usage: Mapping[str, Any], *names: str) -> float:
    return next((_number(usage[name]) for name in names if usage.get(name) is not None), 0)


def _number(value: Any) -> float:
    """Return a number, also from a text, as JavaScript calculates with both."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return 0
    return number if 0 < number < math.inf else 0


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object of JSON; an empty one in the place of anything else."""
    return value if isinstance(value, Mapping) else {}


def is_number(value: object) -> TypeGuard[int | float]:
    """Return what `typeof value === "number"` is in JavaScript."""
    return isinstance(value, int | float) and not isinstance(value, bool)
