"""How many tokens a call took, whoever counted them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ._json import whole
from ._told import Told

# Of an object that tells of usage, by the fact: the names at its top, and within its details.
_USAGE: Final = {
    "tokens.input": (("input_tokens", "prompt_tokens", "input", "promptTokenCount"), ()),
    "tokens.output": (("output_tokens", "completion_tokens", "output", "candidatesTokenCount"), ()),
    "tokens.total": (("total_tokens", "total", "totalTokenCount"), ()),
    "tokens.cached": (
        ("cache_read_input_tokens", "input_cached_tokens", "cachedContentTokenCount"),
        (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    ),
    "tokens.written": (("cache_creation_input_tokens", "input_cache_creation"), ()),
    "tokens.reasoning": (
        ("output_reasoning_tokens", "thoughtsTokenCount"),
        (("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")),
    ),
}


class Usage(NamedTuple):
    """Tokens; `None` where it is not known how many.

    Attributes:
        input: Those from the cache and those written to it among them, as OpenTelemetry's conventions have it.
        output: Those of the reasoning among them.
        total: Both.
        cached: Read from the cache.
        written: Written to the cache.
        reasoning: Spent on reasoning.
    """

    input: int | None
    output: int | None
    total: int | None
    cached: int | None
    written: int | None
    reasoning: int | None


def usage_of(told: Told) -> Usage:
    """Return the tokens of a call, all by one count: not everybody counts those of the cache among the input's."""
    if len(told.each) == 1:
        return _counted(told)
    # The first of those that know most.
    return max(map(_counted, told.each), key=lambda usage: _is_known(usage.input, usage.output))


def _is_known(*counts: int | None) -> int:
    return sum(count is not None for count in counts)


def _counted(told: Told) -> Usage:
    known = told.tokens()
    if told.knows("usage"):
        objects = [_inside(value) for value in told.all("usage") if isinstance(value, dict)]
        for fact, names in _USAGE.items() if objects else ():
            if known.get(fact) is None:
                known[fact] = _in_objects(objects, *names)
    given, said, total, *more = map(known.get, _USAGE)
    if total is None and given is not None:
        total = given + (said or 0)
    return Usage(given, said, total, *more)


def _inside(value: dict[str, Any]) -> dict[str, Any]:
    return value["usage"] if isinstance(value.get("usage"), dict) else value


def _in_objects(
    objects: list[dict[str, Any]], names: tuple[str, ...], nested: tuple[tuple[str, str], ...]
) -> int | None:
    for told in objects:
        values = [told.get(name) for name in names]
        values += [inner.get(name) for outer, name in nested if isinstance(inner := told.get(outer), dict)]
        for value in values:
            if (found := whole(value)) is not None:
                return found
    return None
