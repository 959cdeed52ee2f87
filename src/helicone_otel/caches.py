"""Bounded memories. None holds a lock, so each survives a fork."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_R = TypeVar("_R")


class Generations(Generic[_K, _R]):
    """A bounded memory: full, it forgets what was put in longest ago.

    Two dicts take turns, so that neither putting nor getting costs more than a dict does. It holds
    at most twice `limit` entries. `young` is empty only while nothing has been put in.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.young: dict[_K, _R] = {}
        self.old: dict[_K, _R] = {}

    def get(self, key: _K) -> _R | None:
        """Return what was put in under a key, if it is still remembered."""
        found = self.young.get(key)
        return self.old.get(key) if found is None else found

    def put(self, key: _K, value: _R) -> None:
        """Remember a value."""
        self.young[key] = value
        if len(self.young) >= self.limit:
            self.turn()

    def turn(self) -> None:
        """Begin a new generation; what threads lose that do it at once is a few entries."""
        young = self.young
        if len(young) >= self.limit:
            # The newest stays in, so that what is not empty once is never empty again.
            key = next(reversed(young))
            self.old, self.young = young, {key: young[key]}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class Recent(dict[_K, _R]):
    """A bounded dict: full, it forgets its oldest entry."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: _K, value: _R) -> _K | None:
        """Remember a value; return the key of what was forgotten for it, if anything was."""
        self[key] = value
        return self.forget_oldest() if len(self) > self._limit else None

    def forget_oldest(self) -> _K | None:
        """Make room for one entry; return its key."""
        try:
            oldest = next(iter(self))
            del self[oldest]
        except (KeyError, RuntimeError, StopIteration):
            return None  # another thread is at it
        return oldest
