"""A row on its way: bytes, and the key that they go with."""

from __future__ import annotations

from dataclasses import dataclass, field

# What a row takes beside its body: the object itself, its id, its place in the queue.
_OVERHEAD = 1024


@dataclass(slots=True)
class Parcel:
    """A row on its way.

    Attributes:
        id: The row's id.
        key: The key that it goes with.
        url: Where it goes.
        body: What is posted.
        headers: HTTP headers beside those for authorization and content type.
        failures: How often it failed while others of its key got through.
        others: How many others had got through when it was tried last.
        tried: It was sent before, and may have arrived.
    """

    id: str
    key: str = field(repr=False)
    url: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    failures: int = 0
    others: int = 0
    tried: bool = False

    @property
    def size(self) -> int:
        """How much memory it is counted with."""
        return len(self.body) + _OVERHEAD
