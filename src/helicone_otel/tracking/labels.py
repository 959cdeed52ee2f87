"""The only writer of labels: keeps the labels of spans in step with what the spans show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from .. import wire
from ..destinations import Destination
from ..sessions.model import Session
from .nodes import top
from .records import MAX_DEPTH, Record, SpanRecord, attributes_of, held_by, make_room, shown_by
from .resolver import Resolver

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

_UNKNOWN: Final = Destination.UNKNOWN
_DEPTHS: Final = range(MAX_DEPTH)


class LabelWriter:
    """Reads spans again where they have changed, and writes their labels.

    Args:
        resolver: Reads spans and finds path nodes.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._families = resolver.families

    def update(self, record: Record) -> None:
        """Read a span again, and outwards each that encloses it and has changed since it was read."""
        changed: list[Record] = []
        above: Record | None = record
        while above is not None and self._resolver.has_changed(above):
            changed.append(above)
            above = above.parent
        if changed:
            self.read(record, changed)

    def read(self, record: Record, changed: list[Record]) -> None:
        """Read spans and label them.

        Args:
            record: The record of the innermost one.
            changed: The records of all of them, from the inside out.
        """
        recognised = False
        for above in reversed(changed):
            self._resolver.read(above)
            self._resolver.find_node(above)
            recognised = recognised or above.classification.recognised
        if recognised and record.node is None and not self._resolver.is_begun(record):
            self.begin_trace(record)
            return
        for above in changed:
            self.write(above)

    def update_line(self, record: Record) -> None:
        """Read a span and all that encloses it again, if anything there has changed or moved.

        Values that the user overwrote are noticed when a child starts, and the span of an HTTP client mostly
        is one. Headers must be quick to leave, so they are looked for here only if there is none.
        """
        resolver = self._resolver
        is_read = record.destination is _UNKNOWN
        if is_read and resolver.has_changed(record):
            return self._update_all(record)
        above: Record | None = record
        for _ in _DEPTHS:
            if above is None:
                break
            span, parent = above.span, above.parent
            if span is not None and not (is_read and above is record):
                attributes, name = shown_by(span)
                attributes = held_by(attributes)
                # Only the record of a span has a span, and it has a name, too.
                if above.name != name or above.size != (0 if attributes is None else len(attributes)):  # type: ignore[attr-defined]
                    return self._update_all(record)
            if above.base_node is not (parent.node if parent is not None else resolver.base_of(above)):
                return self._update_all(record)
            above = parent
        return None

    def _update_all(self, record: Record) -> None:
        for above in reversed(list(record.line())):
            if self._resolver.has_changed(above):
                self.read(above, [above])
            else:
                self._move(above)

    def follow(self, record: Record) -> None:
        """Find the path node of a record again, where something above it has moved."""
        for above in reversed(list(record.line())):
            self._move(above)

    def _move(self, record: Record) -> None:
        if record.base_node is not self._resolver.base_of(record):
            self._resolver.find_node(record)
            self.write(record)

    def begin_trace(self, record: Record) -> None:
        """Give a trace its session, and label a span and what encloses it: the trace is part of an LLM app."""
        self._resolver.begin_trace(record)
        line = list(record.line())
        if line[-1].parent is not None:
            line[-1].cut_off()  # otherwise the outermost of a longer line would wait for what nobody reads
        for above in reversed(line):
            if above.size < 0:  # it ended before anybody asked
                self._resolver.read(above)
            if above.node is None:
                self._resolver.find_node(above)
                self.write(above)

    def write(self, record: Record) -> None:
        """Write a span's label, unless it is there already or the span has ended."""
        span = record.span
        if span is None or not isinstance(record, SpanRecord):
            return
        live = cast("Span", span)
        if record.ended or not live.is_recording():
            record.ended, record.span = True, None  # what has ended is not kept alive
            return
        before = record.label
        if before is not None and record.full_label() is not before:
            self._resolver.note_preset(record, attributes_of(live) or {})
        label = record.full_label()
        if label is None or label is before:
            return
        new = len(label) if before is None else len(label.keys() - before.keys())
        make_room(live, new)
        live.set_attributes(label)
        self._note_limit(live, label)
        record.size += new
        # What was written and no longer holds is remembered, so that the finalized copy can leave it out.
        record.label = label if before is None or before.keys() <= label.keys() else {**before, **label}

    def _note_limit(self, span: Span, label: Mapping[str, str]) -> None:
        # A value that the SDK has cut would look later like one that the user wrote.
        attributes = span.attributes or {}
        for key in attributes:
            value, ours = attributes[key], label.get(key)
            if ours is not None and value != ours and isinstance(value, str) and ours.startswith(value):
                self._resolver.value_limit = len(value)

    def adopt_caller_headers(self, record: Record, headers: Mapping[str, str]) -> None:
        """Label a span with the session headers that a caller wrote into its request, and those that we added.

        Args:
            record: The span's record.
            headers: The session headers that leave, by their canonical names.
        """
        if not isinstance(record, SpanRecord):
            return
        ours = record.node.session if record.node is not None else None
        session_id = headers.get(wire.SESSION_ID_HEADER)
        name = headers.get(wire.SESSION_NAME_HEADER)
        if ours is not None and session_id == ours.wire_id:
            session = replace(ours, name=name)
        else:
            session = Session(session_id or "", name, user_id=ours.user_id if ours else None)
        node = top(self._families, session, chosen=True).below(self._resolver.key_of(record))
        path = wire.wire_text(headers.get(wire.SESSION_PATH_HEADER, "/"), wire.MAX_PATH)
        label = {**node.label, wire.SESSION_PATH: path or "/"}
        record.caller_label = {key: value for key, value in label.items() if key not in record.preset}
        self.write(record)
