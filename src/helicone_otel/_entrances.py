"""By which route or task did work come into the service? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ._names import clean_route, fit_template
from ._session import bounded
from ._spans import first_text
from .dialects import ENTRANCES

_BY_KIND: Final = {entrance.span_kind: entrance for entrance in ENTRANCES}
KINDS: Final = frozenset(_BY_KIND)


def entrance_of(span_kind: str, name: str, attributes: Mapping[str, object]) -> str:
    """Return the path of the route or task name of a SERVER or CONSUMER span; empty if it has none."""
    named = first_text(attributes, _BY_KIND[span_kind].named_by)
    return _path(named) if named else _path_from_name(span_kind, name)


@lru_cache(maxsize=512)
def _path_from_name(span_kind: str, name: str) -> str:
    rests = (fit_template(template, name) for template in _BY_KIND[span_kind].templates)
    return _path(next((rest for rest in rests if rest), ""))


def _path(route: str) -> str:
    segments = bounded(clean_route(route))
    return "/" + "/".join(segments) if segments else ""
