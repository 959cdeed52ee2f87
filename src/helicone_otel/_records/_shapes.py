"""Where on a span the facts stand: the same for all spans that have the same attributes."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ..dialects._contents import SIDES, SOURCES

_MAX_SHAPES: Final = 512
# Spans with more attributes are seldom alike.
_MAX_KEYS: Final = 96
_PARAMETER: Final = "parameter."
_TOKENS: Final = "tokens."


class Place(NamedTuple):
    """A place of a fact on spans that have the same attributes.

    Attributes:
        key: The attribute, or the beginning of numbered ones.
        form: How it is written.
        keys: The numbered attributes.
    """

    key: str
    form: str
    keys: tuple[str, ...] = ()


class Shape(NamedTuple):
    """Where the facts stand on spans that have the same attributes, the best places first.

    Attributes:
        places: By the fact.
        scalars: The attributes of those facts that are no content and need no reading.
        parameters: Names of parameters, and the facts that are their values.
        tokens: The facts that are numbers of tokens.
    """

    places: dict[str, tuple[Place, ...]]
    scalars: dict[str, tuple[str, ...]]
    parameters: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]


def _indexed() -> dict[str, tuple[tuple[str, int, str], ...]]:
    """Return, by attribute, of which facts it is a place, how good a one, and how it is written."""
    index: dict[str, tuple[tuple[str, int, str], ...]] = {}
    places = ((source, key) for source in SOURCES for key in source.keys)
    for rank, (source, key) in enumerate(places):
        index[key] = (*index.get(key, ()), (source.fact, rank, source.form))
    return index


_INDEX: Final = _indexed()
_PREFIXES: Final = tuple(key for key in _INDEX if key.endswith("."))


def shape_of(attributes: tuple[str, ...]) -> Shape:
    """Return where the facts stand on spans that have these attributes."""
    return _remembered(attributes) if len(attributes) <= _MAX_KEYS else _remembered.__wrapped__(attributes)


@lru_cache(_MAX_SHAPES)
def _remembered(attributes: tuple[str, ...]) -> Shape:
    numbered: dict[str, list[str]] = {}
    for key in attributes:
        if key.startswith(_PREFIXES) and key not in _INDEX:
            numbered.setdefault(next(prefix for prefix in _PREFIXES if key.startswith(prefix)), []).append(key)
    ranked: dict[str, list[tuple[int, Place]]] = {}
    for key in (*(key for key in attributes if key in _INDEX), *numbered):
        for fact, rank, form in _INDEX[key]:
            ranked.setdefault(fact, []).append((rank, Place(key, form, tuple(numbered.get(key, ())))))
    places = {fact: tuple(place for _, place in sorted(found)) for fact, found in ranked.items()}
    scalars = {
        fact: tuple(place.key for place in found)
        for fact, found in places.items()
        if fact not in SIDES and all(place.form == "plain" for place in found)
    }
    parameters = tuple((fact.removeprefix(_PARAMETER), fact) for fact in places if fact.startswith(_PARAMETER))
    return Shape(places, scalars, parameters, tuple(fact for fact in places if fact.startswith(_TOKENS)))
