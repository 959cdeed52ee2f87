"""Which of some spans are above which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Linked(Protocol):
    """A span that names its parent."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    @property
    def parent_id(self) -> str:
        """The parent's span id; empty for the root of a trace."""


S = TypeVar("S", bound=Linked)


class SpanParents(Generic[S]):
    """Finds the ancestors of a span among the spans that arrived."""

    def __init__(self, spans: Iterable[S]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}

    def line(self, span: S) -> Iterator[S]:
        """Yield the span, its parent, the parent's parent, and so on."""
        seen: set[str] = set()
        current: S | None = span
        while current is not None and current.span_id not in seen:
            seen.add(current.span_id)
            yield current
            current = self._by_id.get((current.trace_id, current.parent_id))

    def innermost(self, spans: Iterable[S]) -> list[S]:
        """Return those of some spans that have none of the others below them."""
        chosen = list(spans)
        outer = {(above.trace_id, above.span_id) for span in chosen for above in list(self.line(span))[1:]}
        return [span for span in chosen if (span.trace_id, span.span_id) not in outer]
