"""What calls of models cost, in US dollars, by the prices of the package `genai-prices`.

Nothing is downloaded: the list is the one that is installed. https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from ...spans.providers import MODELS, is_framework, providers_in
from ...wire import CALL_KINDS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_PACKAGE: Final = "genai-prices"
_MAX_MODELS: Final = 1024
_MAX_NAME: Final = 256
_DIGITS: Final = 12
_LATEST: Final = 32503680000  # the year 3000, in seconds since the epoch
# The names that the list has for providers, by ours.
_LISTED: Final = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "google": "google",
    "aws": "aws",
    "mistral": "mistral",
    "cohere": "cohere",
    "groq": "groq",
    "deepseek": "deepseek",
    "perplexity": "perplexity",
    "xai": "x-ai",
    "together": "together",
    "fireworks": "fireworks",
    "openrouter": "openrouter",
}
# Azure serves OpenAI's models at OpenAI's prices, Google those of Anthropic at Anthropic's.
_AT_MAKERS_PRICES: Final = frozenset({"azure", "google"})
# One token of each sort, as input, output, read from the cache, written to it, and written to it for an hour.
_SORTS: Final = ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (1, 0, 1, 0, 0), (1, 0, 0, 1, 0), (1, 0, 0, 1, 1))
_MANY: Final = 1_000_000
# By the identity of a model's prices, the prices themselves and their rates.
_RATES: Final[dict[int, tuple[ModelPrice, tuple[float, ...] | None]]] = {}


class Tokens(NamedTuple):
    """The tokens of a call; `None` if unknown.

    Attributes:
        input: Of the request, with those of the cache.
        output: Of the answer.
        cached: Those of `input` that were read from the cache.
        written: Those of `input` that were written to it.
        written_1h: Those of `written` that the cache keeps for an hour.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    written: int | None = None
    written_1h: int | None = None

    @property
    def are_known(self) -> bool:
        """Whether anything is known of what the call used."""
        return self.input is not None or self.output is not None


class PriceList(NamedTuple):
    """Which prices are used.

    Attributes:
        name: The package and its version.
        date: The day of its newest price, as `2026-11-09`. Prices that will only apply later do not count.
    """

    name: str
    date: str


@lru_cache(1)
def price_list() -> PriceList | None:
    """Return which prices are used; `None` if the package is not installed."""
    try:
        from genai_prices.data import providers  # noqa: PLC0415  # half a second, and only the view needs it
    except ImportError:
        return None
    models = (model for provider in providers for model in provider.models)
    starts = (start for model in models for start in _starts(model))
    newest = max((start for start in starts if start <= datetime.now(UTC).date()), default=None)
    return PriceList(f"{_PACKAGE} {version(_PACKAGE)}", newest.isoformat() if newest else "")


def shown_prices() -> dict[str, str] | None:
    """Return which prices are used, as the API has it; `None` without a list."""
    found = price_list()
    return found._asdict() if found is not None else None


def _starts(model: ModelInfo) -> list[date]:
    """Return the days from which the prices of a model apply, as far as the list has them."""
    prices = model.prices if isinstance(model.prices, list) else []
    found = (getattr(price.constraint, "start_date", None) for price in prices)
    return [start for start in found if isinstance(start, date)]


def cost_of(kind: str, models: Iterable[str | None], provider: str | None, tokens: Tokens, start: int) -> float | None:
    """Return what a call cost, in US dollars; `None` if its tokens are unknown, or the list has no price for it.

    Args:
        kind: The kind of the request. Only models have prices.
        models: The model that answered, and the one that was asked for. The first that the list has decides.
        provider: The provider as the span or the row names it.
        tokens: What the call used.
        start: When it started, in nanoseconds since the epoch: prices change.
    """
    if kind not in CALL_KINDS or not tokens.are_known or price_list() is None:
        return None
    found = (_listed(name[:_MAX_NAME], (provider or "")[:_MAX_NAME]) for name in models if name)
    model = next((one for one in found if one is not None), None)
    return _price(model, tokens, start) if model is not None else None


def is_unpriced(kind: str, cost: float | None, *tokens: int | None) -> bool:
    """Tell whether a request has no price although its tokens are known. The same in SQL is in `writes.py`."""
    return cost is None and kind in CALL_KINDS and any(count is not None for count in tokens)


def dollars(amount: float | None) -> float | None:
    """Return an amount without the noise of adding up; `None` if it is unknown."""
    return round(amount, 9) if amount is not None else None


def _price(model: ModelInfo, tokens: Tokens, start: int) -> float | None:
    cached, written = tokens.cached or 0, tokens.written or 0
    written_1h = min(tokens.written_1h or 0, written)
    # Some instrumentations do not count the tokens of the cache as input.
    input_ = max(tokens.input or 0, cached + written)
    prices = model.get_prices(datetime.fromtimestamp(min(start // 1_000_000_000, _LATEST), UTC))
    try:
        rates = _rates_of(prices)
        if rates is None:
            return _exact(prices, input_, tokens.output or 0, cached, written, written_1h)
    except ValueError:  # a model that is sold by something else than tokens
        return None
    amounts = (input_ - cached - written, tokens.output or 0, cached, written - written_1h, written_1h)
    return round(sum(rate * amount for rate, amount in zip(rates, amounts, strict=True)), _DIGITS)


def _exact(prices: ModelPrice, input_: int, output: int, cached: int, written: int, written_1h: int) -> float:
    from genai_prices import Usage  # noqa: PLC0415

    usage = Usage(
        input_tokens=input_,
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
    )
    return round(float(prices.calc_price(usage)["total_price"]), _DIGITS)


def _rates_of(prices: ModelPrice) -> tuple[float, ...] | None:
    """Return the price of one token of each sort; `None` if it depends on how many there are.

    The package takes a tenth of a millisecond for a call, which is more than the label of its span takes.
    """
    known = _RATES.get(id(prices))
    if known is None or known[0] is not prices:
        is_flat = all(isinstance(price, Decimal) for price in vars(prices).values() if price is not None)
        found = tuple(_exact(prices, *(_MANY * one for one in sort)) / _MANY for sort in _SORTS) if is_flat else None
        if len(_RATES) >= _MAX_MODELS:
            _RATES.clear()
        known = _RATES[id(prices)] = prices, found
    return known[1]


@lru_cache(_MAX_MODELS)
def _listed(model: str, provider: str) -> ModelInfo | None:
    """Return a model of the list; `None` if the list has no such model of that provider."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    for name in _sellers(model, provider):
        try:
            return get_snapshot().find_provider_model(model, None, name, None)[1]
        except LookupError:
            continue
    return None


def _sellers(model: str, provider: str) -> list[str]:
    """Return the providers at whose prices a model is sold, as the list names them, the first that has it first."""
    maker = next((maker for beginning, maker in MODELS if model.lower().startswith(beginning)), None)
    names = providers_in([provider]) if not is_framework(provider) else frozenset()
    # Of several, as in `azure.ai.openai`, the one that serves the model is meant, not the one that made it.
    own = sorted(names, key=lambda name: (name == maker, name))[:1]
    if provider and not own and not is_framework(provider):  # nobody knows what it costs there
        return []
    if not own or own[0] in _AT_MAKERS_PRICES:
        own = [*own, *([maker] if maker else [])]
    return [_LISTED[name] for name in own if name in _LISTED]
