"""Measure variants in many short rounds in which they take turns, and keep the results as rows of a table."""

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
    """One row of the table: a figure (ours, or a peer's), the figure to compare it with, and its budget."""

    name: str
    unit: str
    ours: Sample
    reference: Sample | None = None
    beside: str = ""
    budget: float | None = None

    @property
    def figure(self) -> float:
        """The number that the budget limits: a ratio, or the plain number if there is nothing to compare it with."""
        return self.ours.median / self.reference.median if self.reference else self.ours.median

    @property
    def result(self) -> str:
        """`kept` or `missed`; empty without a budget."""
        return "" if self.budget is None else "kept" if self.figure <= self.budget else "missed"


# Prepares a number of repetitions and returns the work to time.
Variant = Callable[[int], Callable[[], object]]
# One figure for each round, in microseconds for one repetition.
Series = list[float]


def take_turns(variants: Mapping[str, Variant], repetitions: int = 200) -> dict[str, Series]:
    """Time variants in rounds, each of which begins with another variant.

    Other processes share the machine, so this measures the CPU time of the thread. The garbage collector is off
    meanwhile.
    """
    measured: dict[str, Series] = {name: [] for name in variants}
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
                measured[name].append((end - begin) / repetitions * 1e6)
    return measured


def difference(more: Series, less: Series) -> Series:
    """Return how much more the first takes than the second, round by round."""
    return [a - b for a, b in zip(more, less, strict=True)]
