"""Measuring: many short rounds in which all variants take turns, CPU time, medians."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Sample(NamedTuple):
    """A median and its spread, the median absolute deviation."""

    median: float
    spread: float


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: What was measured.
        unit: Of `ours` and `reference`.
        ours: What we take, or a peer.
        reference: What that is measured against; `None` where the budget is a plain number.
        against: The reference in words.
        budget: The most that `figure` may be; `None` for information only.
    """

    name: str
    unit: str
    ours: Sample
    reference: Sample | None = None
    against: str = ""
    budget: float | None = None

    @property
    def figure(self) -> float:
        """What a budget is set for: a ratio, or the plain number where there is no reference."""
        return self.ours.median / self.reference.median if self.reference else self.ours.median


class Series(list[float]):
    """One figure of each round: microseconds for each repetition."""

    def __sub__(self, other: Series) -> Series:
        return Series(mine - theirs for mine, theirs in zip(self, other, strict=True))

    def __add__(self, other: Series) -> Series:  # type: ignore[override]  # figures are added, not appended
        return Series(mine + theirs for mine, theirs in zip(self, other, strict=True))

    @property
    def sample(self) -> Sample:
        """The median of all rounds and its spread."""
        return sample_of(self)


def sample_of(values: Sequence[float]) -> Sample:
    """Return the median of some values and its spread."""
    median = statistics.median(values)
    return Sample(median, statistics.median(abs(value - median) for value in values))


# Prepares what a variant needs for so many repetitions, and returns what is to be timed.
Variant = Callable[[int], Callable[[], object]]


def take_turns(variants: dict[str, Variant], rounds: int, repetitions: int = 200) -> dict[str, Series]:
    """Time variants in turns, each round beginning with another one.

    Other processes share the machine, so CPU time of this thread is taken; the collector is off
    inside a timing.
    """
    series = {name: Series() for name in variants}
    order = list(variants)
    for number in range(-2, rounds):  # two rounds to warm up
        order.append(order.pop(0))
        for name in order:
            seconds = _timed(variants[name](repetitions))
            if number >= 0:
                series[name].append(seconds / repetitions * 1e6)
    return series


def _timed(work: Callable[[], object]) -> float:
    gc.collect(0)
    gc.disable()
    begin = time.thread_time()
    work()
    end = time.thread_time()
    gc.enable()
    return end - begin


def each(call: Callable[..., object], arguments: Iterable[tuple[object, ...]]) -> Callable[[], None]:
    """Return work that makes one call for each tuple of arguments."""
    prepared = list(arguments)

    def work() -> None:
        for these in prepared:
            call(*these)

    return work
