"""What several spans tell of one call: what its own span lacks is taken from its wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ._content import Content
from ._messages import Message
from ._told import Told
from ._types import Facts

# That a framework failed with an answer does not make a failure of the call.
_OWN: Final = frozenset({"status"})


class Together(Told):
    """The facts of a call of which several spans tell."""

    def __init__(self, facts: Facts, kind: str, content: Content) -> None:
        super().__init__(facts, kind, content)
        self._each = tuple(Told(one, kind, content) for one in (facts, *facts.wrappers))

    @property
    def each(self) -> tuple[Told, ...]:
        """What each span of the call tells; the one that stands for it comes first."""
        return self._each

    def knows(self, fact: str) -> bool:
        """Tell whether a fact has a place on one of the spans."""
        return any(told.knows(fact) for told in self._tellers(fact))

    def all(self, fact: str) -> Iterator[Any]:
        """Yield what the places of a fact hold on the first span that tells it."""
        yield from next(filter(None, (list(told.all(fact)) for told in self._tellers(fact))), ())

    def one(self, fact: str) -> Any:
        """Return what the best place of a fact holds, or `None`."""
        found = (told.one(fact) for told in self._tellers(fact))
        return next((value for value in found if value is not None), None)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that have attributes of their own."""
        merged: dict[str, Any] = {}
        for told in reversed(self.each):
            merged |= {name: value for name, value in told.parameters().items() if value is not None}
        return merged

    def messages(self, fact: str) -> list[Message]:
        """Return the messages of the first span that has any."""
        return next(filter(None, (told.messages(fact) for told in self.each)), [])

    def happened(self, fact: str) -> list[dict[str, Any]]:
        """Return what events tell that stand for a fact, of the first span that has any."""
        return next(filter(None, (told.happened(fact) for told in self.each)), [])

    def time_of(self, fact: str) -> int | None:
        """Return when the first event was that stands for a fact, on the first span that has one."""
        return next((time for told in self.each if (time := told.time_of(fact)) is not None), None)

    def given(self, fact: str) -> Iterable[Any]:
        """Return what the places of a fact hold on the first span that tells it."""
        return self.all(fact)

    def text(self, fact: str) -> str:
        """Return a fact as a text, empty if there is none."""
        return next(filter(None, (told.text(fact) for told in self._tellers(fact))), "")

    def whole(self, fact: str) -> int | None:
        """Return a fact as a number that is whole and not negative."""
        return next((found for told in self._tellers(fact) if (found := told.whole(fact)) is not None), None)

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        return next((found for told in self._tellers(fact) if (found := told.number(fact)) is not None), None)

    def _tellers(self, fact: str) -> tuple[Told, ...]:
        return self.each[:1] if fact in _OWN else self.each
