"""Paths as nested folders: one folder a segment, each with a content of the caller's own type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Folder(Generic[T]):
    """One level of a path.

    Attributes:
        segments: From the root to this level; empty for the root.
        content: What the caller keeps at this level.
        folders: The levels below by their segment, in the order in which they were first opened.

    Args:
        new_content: Makes the content of this folder and of each one below it.
        segments: As above.
    """

    new_content: Callable[[], T] = field(repr=False, compare=False)
    segments: tuple[str, ...] = ()
    content: T = field(init=False)
    folders: dict[str, Folder[T]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.content = self.new_content()

    @property
    def segment(self) -> str:
        """The last segment; empty for the root."""
        return self.segments[-1] if self.segments else ""

    @property
    def path(self) -> str:
        """The segments as a path, `/` for the root."""
        return "/" + "/".join(self.segments)

    def open(self, segments: Iterable[str]) -> Folder[T]:
        """Return the folder at a path below this one, and make each level that is missing."""
        folder = self
        for segment in segments:
            below = folder.folders.get(segment)
            if below is None:
                below = folder.folders[segment] = Folder(self.new_content, (*folder.segments, segment))
            folder = below
        return folder

    def walk(self, key: Callable[[Folder[T]], Any] | None = None) -> Iterator[Folder[T]]:
        """Yield this folder and all below it, each before the ones that it holds.

        Args:
            key: Sorts the folders of one level; among equals, the one opened last comes first. Without it they come
                in the order in which they were first opened.
        """
        # Without recursion: a path may have more levels than Python's stack.
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            below = folder.folders.values()
            waiting += reversed(below) if key is None else sorted(below, key=key, reverse=True)
