"""Writes labels on spans: here and nowhere else. Reads them again first, as far as they have changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from .. import wire
from ..destinations import Destination
from ..sessions.model import Session
from .nodes import top
from .records import MAX_DEPTH, SpanRecord, size_of
from .resolver import Resolver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

_UNKNOWN: Final = Destination.UNKNOWN


class LabelWriter:
    """Keeps the labels of spans in step with what they show."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._families = resolver.families

    def ask(self, record: SpanRecord) -> None:
        """Read a span, and outwards whatever encloses it and has changed since it was read."""
        changed: list[SpanRecord] = []
        above: SpanRecord | None = record
        while above is not None and self._resolver.has_changed(above):
            changed.append(above)
            above = above.parent
        if changed:
            self.read(record, changed)

    def read(self, record: SpanRecord, changed: list[SpanRecord]) -> None:
        """Read spans, given from the inside out, and label them."""
        recognised = False
        for above in reversed(changed):
            self._resolver.show(above)
            self._resolver.find_node(above)
            recognised = recognised or above.classification.recognised
        if recognised and record.node is None and record.trace_id not in self._resolver.traces:
            self.begin_trace(record)
            return
        for above in changed:
            self.write(above)

    def ask_everything(self, record: SpanRecord) -> None:
        """Read a span and all that encloses it, wherever there is more to see or something has moved.

        What was overwritten is seen when a child starts, and an HTTP client's span mostly is one; headers must
        be quick to leave.
        """
        resolver = self._resolver
        if record.destination is _UNKNOWN and resolver.has_changed(record):
            return self._ask_line(record)
        above: SpanRecord | None = record
        for _ in range(MAX_DEPTH):
            if above is None:
                break
            span, parent = above.span, above.parent
            if span is not None and (above.size != size_of(span) or above.name != span.name):
                return self._ask_line(record)
            if above.base is not (parent.node if parent is not None else resolver.base_of(above)):
                return self._ask_line(record)
            above = parent
        return None

    def _ask_line(self, record: SpanRecord) -> None:
        resolver = self._resolver
        for above in reversed(list(record.line())):
            if resolver.has_changed(above):
                self.read(above, [above])
            else:
                self._move(above)

    def follow(self, record: SpanRecord) -> None:
        """Find a record's stand again where something above it has moved since."""
        for above in reversed(list(record.line())):
            self._move(above)

    def _move(self, record: SpanRecord) -> None:
        if record.base is not self._resolver.base_of(record):
            self._resolver.find_node(record)
            self.write(record)

    def begin_trace(self, record: SpanRecord) -> None:
        """Label a span, and what stands above it, whose trace turns out to be part of an LLM app."""
        self._resolver.begin_trace(record)
        line = list(record.line())
        if line[-1].parent is not None:
            line[-1].cut_off()  # of a longer line the outermost would wait for what nobody asks
        for above in reversed(line):
            if above.size < 0:  # it ended before anybody asked
                self._resolver.show(above)
            if above.node is None:
                self._resolver.find_node(above)
                self.write(above)

    def write(self, record: SpanRecord) -> None:
        """Write a span's label, as far as it is not there yet and the span still lives."""
        span = record.span
        if span is None:
            return
        live = cast("Span", span)
        if record.ended or not live.is_recording():
            record.ended, record.span = True, None  # what has ended is not kept alive
            return
        label = self.label_of(record)
        before = record.label
        if label is None or label is before:
            return
        live.set_attributes(label)
        self._note_limit(live, label)
        record.size += len(label) if before is None else len(label.keys() - before.keys())
        # What was written and no longer holds is remembered, so that the settled copy can leave it out.
        record.label = label if before is None or before.keys() <= label.keys() else {**before, **label}

    def _note_limit(self, span: Span, label: Mapping[str, str]) -> None:
        # Read back, because what is cut later looks like something that the user wrote.
        attributes = span.attributes or {}
        for key in attributes:
            value, ours = attributes[key], label.get(key)
            if ours is not None and value != ours and isinstance(value, str) and ours.startswith(value):
                self._resolver.value_limit = len(value)

    def label_of(self, record: SpanRecord) -> dict[str, str] | None:
        """Return the label of a span, or `None`: it passes untouched."""
        if record.theirs is not None:
            return record.theirs
        if record.node is None:
            return None
        if not record.foreign:
            return record.node.label
        if record.filtered is None or record.filtered[0] is not record.node:
            label = {key: value for key, value in record.node.label.items() if key not in record.foreign}
            record.filtered = (record.node, label)
        return record.filtered[1]

    def adopt_caller_headers(self, record: SpanRecord, headers: Mapping[str, str]) -> None:
        """Label a span with what a caller wrote into its request's headers, and what we added to it."""
        ours = record.node.session if record.node is not None else None
        session_id = headers.get(wire.SESSION_ID_HEADER)
        name = headers.get(wire.SESSION_NAME_HEADER)
        if ours is not None and session_id == ours.wire_id:
            session = replace(ours, name=name)
        else:
            session = Session(session_id or "", name, user_id=ours.user_id if ours else None)
        node = top(self._families, session, chosen=True).below(self._resolver.key_of(record))
        label = {**node.label, wire.SESSION_PATH: headers.get(wire.SESSION_PATH_HEADER, "/")}
        record.theirs = {key: value for key, value in label.items() if key not in record.foreign}
        self.write(record)
