"""Writes labels on spans: here and nowhere else. Reads them again first, as far as they have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ._record import Record
from ._resolver import Resolver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span


class Labeller:
    """Keeps the labels of spans in step with what they show."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def ask(self, record: Record) -> None:
        """Read a span, and outwards whatever encloses it and has changed since it was read."""
        changed: list[Record] = []
        above: Record | None = record
        while above is not None and self._resolver.has_changed(above):
            changed.append(above)
            above = above.parent
        if changed:
            self.read(record, changed)

    def read(self, record: Record, changed: list[Record]) -> None:
        """Read spans, given from the inside out, and label them."""
        recognised = False
        for above in reversed(changed):
            self._resolver.show(above)
            self._resolver.find_stand(above)
            recognised = recognised or above.reading.recognised
        if recognised and record.stand is None and record.trace_id not in self._resolver.traces:
            self.begin_trace(record)
            return
        for above in changed:
            self.write(above)

    def ask_everything(self, record: Record) -> None:
        """Read a span and all that encloses it, wherever something has changed."""
        resolver = self._resolver
        for above in reversed(list(record.line())):
            if resolver.has_changed(above):
                self.read(above, [above])
            elif above.base is not resolver.base_of(above):
                resolver.find_stand(above)
                self.write(above)

    def follow(self, record: Record) -> None:
        """Find a record's stand again where something above it has moved since."""
        for above in reversed(list(record.line())):
            if above.base is not self._resolver.base_of(above):
                self._resolver.find_stand(above)
                self.write(above)

    def begin_trace(self, record: Record) -> None:
        """Label a span, and what stands above it, whose trace turns out to be part of an LLM app."""
        self._resolver.begin_trace(record)
        for above in reversed(list(record.line())):
            if above.stand is None:
                self._resolver.find_stand(above)
                self.write(above)

    def write(self, record: Record) -> None:
        """Write a span's label, as far as it is not there yet and the span still lives."""
        span = record.span
        if span is None:
            return
        if record.ended:
            record.span = None  # what has ended is not kept alive
            return
        label = self.label_of(record)
        before = record.label
        if label is None or label is before:
            return
        cast("Span", span).set_attributes(label)
        record.size += len(label) if before is None else len(label.keys() - before.keys())
        record.label = label

    def label_of(self, record: Record) -> dict[str, str] | None:
        """Return the label of a span, or `None`: it passes untouched."""
        if record.theirs is not None:
            own = record.stand.label if record.stand is not None else {}
            label = {**own, **record.theirs}
            return {key: value for key, value in label.items() if value is not None and key not in record.foreign}
        if record.stand is None:
            return None
        if not record.foreign:
            return record.stand.label
        return {key: value for key, value in record.stand.label.items() if key not in record.foreign}
