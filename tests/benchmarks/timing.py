"""Rows of the table, and how they are measured: many short rounds in which all variants take turns."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

ROUNDS = 201


class Sample(NamedTuple):
    """A median and its spread, the median absolute deviation."""

    median: float
    spread: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """Return the median of some values and its spread."""
        median = statistics.median(values)
        return cls(median, statistics.median(abs(value - median) for value in values))


class Measurement(NamedTuple):
    """What was measured (`ours`, or a peer's), what beside it, and the most that it may be."""

    name: str
    unit: str
    ours: Sample
    reference: Sample | None = None
    beside: str = ""
    budget: float | None = None

    @property
    def figure(self) -> float:
        """What the budget is set for: a ratio, or the plain number where nothing stands beside it."""
        return self.ours.median / self.reference.median if self.reference else self.ours.median

    @property
    def result(self) -> str:
        """Whether the budget is kept, if there is one."""
        return "" if self.budget is None else "kept" if self.figure <= self.budget else "missed"


# Prepares so many repetitions and returns the work that is to be timed.
Variant = Callable[[int], Callable[[], object]]
# One figure for each round, in microseconds for one repetition.
Series = list[float]


def take_turns(variants: Mapping[str, Variant], repetitions: int = 200) -> dict[str, Series]:
    """Time variants round by round, each round beginning with another one.

    Others share the machine, so it is this thread's CPU time; the collector is off inside a timing.
    """
    found: dict[str, Series] = {name: [] for name in variants}
    order = list(variants)
    for number in range(-2, ROUNDS):  # two rounds to warm up
        order.append(order.pop(0))
        for name in order:
            work = variants[name](repetitions)
            gc.collect(0)
            gc.disable()
            begin = time.thread_time()
            work()
            end = time.thread_time()
            gc.enable()
            if number >= 0:
                found[name].append((end - begin) / repetitions * 1e6)
    return found


def difference(more: Series, less: Series) -> Series:
    """Return what the one takes more than the other, round by round."""
    return [a - b for a, b in zip(more, less, strict=True)]
