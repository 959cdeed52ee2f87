"""Times, percentiles and histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from ....wire import CALL_KINDS
from ..prices import price_list

_MAX_BARS: Final = 20
# How many digits of a border are kept after the first one of the width.
_DIGITS: Final = 6


def milliseconds(nanoseconds: int) -> float:
    """Return milliseconds, exact to the microsecond."""
    return nanoseconds // 1000 / 1000


def nanoseconds(amount: float) -> int:
    """Return the nanoseconds of milliseconds that are exact to the microsecond. A float would not be exact."""
    return round(amount * 1000) * 1000


def dollars(amount: float | None) -> float | None:
    """Return an amount without the noise of adding up; `None` if it is unknown."""
    return round(amount, 9) if amount is not None else None


def is_unpriced(kind: str, cost: float | None, *tokens: int | None) -> bool:
    """Tell whether a request has no price although its tokens are known. The same in SQL is in `writes.py`."""
    return cost is None and kind in CALL_KINDS and any(count is not None for count in tokens)


def prices() -> dict[str, str] | None:
    """Return which list of prices the costs are made with; `None` without one."""
    found = price_list()
    return found._asdict() if found is not None else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed.

    Args:
        ordered: The values in ascending order, at least one.
        share: From 0 to 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Bars(NamedTuple):
    """The bars of a histogram, all of one width.

    Attributes:
        low: The smallest value that is counted.
        high: The largest one.
        first: Where the first bar begins.
        width: The width of each bar.
        number: How many there are.
    """

    low: float
    high: float
    first: float
    width: float
    number: int

    def data(self, counts: Mapping[int, int]) -> list[dict[str, Any]]:
        """Return the bars as the API has them, by the number of values in each."""
        digits = _DIGITS - math.floor(math.log10(self.width))
        borders = [round(self.first + place * self.width, digits) for place in range(self.number + 1)]
        return [
            {"from": start, "to": end, "count": counts.get(place, 0)}
            for place, (start, end) in enumerate(pairwise(borders))
        ]


def bars_between(low: float, high: float) -> Bars:
    """Return at most 20 bars of equal, round width; bars of whole numbers have whole borders."""
    width = _round_width((high - low) / _MAX_BARS)
    if isinstance(low, int) and isinstance(high, int):
        width = max(1, math.ceil(width))
    first = math.floor(low / width) * width
    return Bars(low, high, first, width, int((high - first) / width) + 1)


def _round_width(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, … (or tenths of them) that is larger than a width."""
    if least <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power > least)
