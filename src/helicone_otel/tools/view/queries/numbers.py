"""Times, colours, percentiles and histograms."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

_MAX_BARS: Final = 20
_HUES: Final = 360
# The golden angle spreads the hashes, so that paths that differ by one letter get different hues.
_GOLDEN: Final = 0.6180339887498949


def milliseconds(nanoseconds: int) -> float:
    """Return milliseconds, exact to the microsecond."""
    return nanoseconds // 1000 / 1000


def colour_of(path: str) -> int:
    """Return the hue of a path, from 0 to 359. It depends only on the path, so it is the same everywhere."""
    return int((zlib.crc32(path.encode("utf-8", "replace")) * _GOLDEN) % 1 * _HUES)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed.

    Args:
        ordered: The values in ascending order, at least one.
        share: From 0 to 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary_of(values: Iterable[float]) -> dict[str, float] | None:
    """Return mean, median, 95th percentile and maximum; `None` of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return {
        "mean": round(sum(ordered) / len(ordered), 3),
        "p50": percentile(ordered, 0.5),
        "p95": percentile(ordered, 0.95),
        "max": ordered[-1],
    }


def histogram(values: Sequence[float]) -> list[dict[str, Any]]:
    """Return at most 20 bars of equal, round width; bars of whole numbers have whole borders."""
    if not values:
        return []
    low, high = min(values), max(values)
    width = _round_width((high - low) / _MAX_BARS)
    if all(isinstance(value, int) for value in values):
        width = max(1, math.ceil(width))
    first = math.floor(low / width) * width
    counts = [0] * (int((high - first) / width) + 1)
    for value in values:
        counts[min(int((value - first) / width), len(counts) - 1)] += 1
    return [_bar(first, width, index, count) for index, count in enumerate(counts)]


def _bar(first: float, width: float, index: int, count: int) -> dict[str, Any]:
    return {"from": round(first + index * width, 6), "to": round(first + (index + 1) * width, 6), "count": count}


def _round_width(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, … (or tenths of them) that is larger than a width."""
    if least <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power > least)
