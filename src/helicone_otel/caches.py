"""Caches of bounded size. None has a lock, so each can be used after a fork."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_R = TypeVar("_R")


class Generations(Generic[_K, _R]):
    """A cache that forgets its oldest entries, many at a time.

    It consists of two dicts, so that it is about as fast as a dict. When `young` is full, it becomes `old`, and the
    entries that were `old` are forgotten.

    Args:
        limit: The size of one dict. The cache holds at most twice as many entries.

    Attributes:
        young: The newest entries; empty only until the first `put`.
        old: The entries before them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.young: dict[_K, _R] = {}
        self.old: dict[_K, _R] = {}

    def get(self, key: _K) -> _R | None:
        """Return the value of a key; `None` if it was never put in, or is forgotten."""
        value = self.young.get(key)
        return self.old.get(key) if value is None else value

    def put(self, key: _K, value: _R) -> None:
        """Put in a value."""
        self.young[key] = value
        if len(self.young) >= self.limit:
            self.turn()

    def turn(self) -> None:
        """Make `young` the `old` dict, if it is full. Threads that do so at the same moment may lose a few entries."""
        young = self.young
        if len(young) >= self.limit:
            # The newest entry stays in `young`, so that `young` is never empty again.
            key = next(reversed(young))
            self.old, self.young = young, {key: young[key]}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class Recent(dict[_K, _R]):
    """A dict of bounded size: when it is full, it forgets its oldest entry."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def put(self, key: _K, value: _R) -> _K | None:
        """Put in a value; return the key of the entry that was forgotten for it, or `None`."""
        self[key] = value
        return self.forget_oldest() if len(self) > self.limit else None

    def forget_oldest(self) -> _K | None:
        """Forget the oldest entry; return its key, or `None` if there is none."""
        try:
            oldest = next(iter(self))
            del self[oldest]
        except (KeyError, RuntimeError, StopIteration):
            return None  # another thread changes it at this moment
        return oldest
