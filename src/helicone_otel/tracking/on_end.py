"""A span has ended: what it is, what it bears and whether it becomes a row is decided for good."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from .. import wire
from ..destinations import Destination
from ..spans.reader import ScopeRules
from ..wire import CALL_KINDS
from .labels import LabelWriter
from .nodes import SpanTemplate
from .open_spans import OpenSpans
from .records import Entry, Leaf, LeafRecord, Record, SpanRecord, attributes_of, held_by, is_of, size_of
from .requests import Calls, request_id
from .resolver import Resolver
from .state import MAX_LIVE, ProcessState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_T = TypeVar("_T")

_NOTHING: Final[Mapping[str, object]] = {}
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/
_SERVER_ADDRESS: Final = "server.address"
_SERVER_PORT: Final = "server.port"
# The address of an API, alone or in a JSON object.
_API_BASE: Final = re.compile(r'(?:\A|(?<="api_base": ")|(?<="api_base":"))https?://[^"\s]+')
_MAX_API_BASE: Final = 4096


class Outcome(NamedTuple):
    """What was decided for a span that has ended.

    Attributes:
        written: The label that was written on it while it lived.
        final: The attributes that it bears for good.
        overwritten: The values that the user had put in the place of our `helicone.*` by the time it ended. They
            have been read, and `final` has what became of them.
        logged: It stands for a call that no gateway saw, so its row is ours to make.
        value_limit: The length to which the SDK cuts values, if it is known to cut ours.
        waits: The record of a call to a gateway whose answer has not come yet: it may still name the row's id.
    """

    written: Mapping[str, str]
    final: Mapping[str, str | list[str]]
    overwritten: Mapping[str, object] = _NOTHING
    logged: bool = False
    value_limit: int | None = None
    waits: Record | None = None

    def exported_attributes(self, span: ReadableSpan) -> dict[str, object]:
        """Return a span's attributes with its finalized label.

        What somebody on the way here changed or took out, as scrubbers do, is theirs to decide. What the SDK's limits
        evicted or cut is brought back.
        """
        attributes = span.attributes or {}
        stale = self.written.keys() - self.final.keys()
        kept = {key: attributes[key] for key in attributes if key not in stale or not self._is_written(key, attributes)}
        ours = {key: value for key, value in self.final.items() if not self._is_redacted(key, attributes, span)}
        return {**kept, **ours}

    def _is_redacted(self, key: str, attributes: Mapping[str, object], span: ReadableSpan) -> bool:
        written = self.written.get(key)
        if key not in attributes:
            return written is not None and not span.dropped_attributes
        if attributes[key] in (self.overwritten.get(key), self.final[key]):
            return False
        return not self._is_written(key, attributes)

    def _is_written(self, key: str, attributes: Mapping[str, object]) -> bool:
        """Tell whether an attribute has the value that we wrote, or what the SDK's limit of values left of it."""
        value, written = attributes[key], self.written.get(key)
        return written is not None and value in (written, written[: self.value_limit])


class SpanEnds:
    """Decides about spans when they end, or when an exporter asks.

    Args:
        state: The settings in force, and where candidates for rows go.
        resolver: Reads spans and finds path nodes.
        label_writer: Writes labels.
        calls: Decides which span of a call stands for it.
    """

    def __init__(self, state: ProcessState, resolver: Resolver, label_writer: LabelWriter, calls: Calls) -> None:
        self._state = state
        self._resolver = resolver
        self._label_writer = label_writer
        self._calls = calls
        self._left_alone = state.left_alone
        self._span_store = resolver.span_store
        self._live = resolver.span_store.live
        self._recent = resolver.span_store.recent

    def on_end(self, span: ReadableSpan) -> None:
        """Decide about a span that has ended, and hand it to the log if it may become a row.

        While rows are logged, the span is in `ProcessState.ending` until `handed_on` is called.
        """
        span_context = span.get_span_context()
        if span_context is None:
            return
        span_id, state = span_context.span_id, self._state
        if state.log is not None:
            # Before it leaves `live`, so that whoever looks there first and here next finds it.
            state.ending[span_id] = self._live.get(span_id)
        if (record := self._live.pop(span_id, None)) is not None:
            self._end(record, span_id, span)
            return
        if state.log is None and not state.decides_at_end:
            return  # it was decided at its start, or an exporter asks
        recent = self._recent
        entry = recent.young.get(span_id) or recent.old.get(span_id)
        if isinstance(entry, SpanRecord) and not is_of(entry, span):
            entry = None
        if state.log is None:
            if entry is None or self._is_changed_leaf(entry, span):
                self._record_of_ended(span)
        elif isinstance(entry, tuple):
            self._offer_leaf(entry, span)
        elif entry is None and (
            # A span that bears nothing can be no call, unless its scope says so.
            state.decides_at_end or size_of(span) or self._resolver.is_of_named_scope(span)
        ):
            self._offer(self._record_of_ended(span), span)

    def handed_on(self, span: ReadableSpan) -> None:
        """Note that all processors of its provider have had a span that has ended: it may become a row now."""
        if (span_context := span.get_span_context()) is not None:
            self._state.ending.pop(span_context.span_id, None)

    def _end(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> None:
        recent = self._recent
        recent.young[span_id] = record
        if len(recent.young) >= recent.limit:
            recent.turn()
        self._finalize(record, span)
        self._offer(record, span)

    def _offer_leaf(self, leaf: Leaf, span: ReadableSpan) -> None:
        """Hand a span that was labelled by a template to the log, if it may become a row."""
        log = self._state.log
        if log is None:
            return
        template = leaf[0]
        if template.request:
            log(leaf, span)
        elif _has_changed(template, span):
            self._offer(self._record_of_ended(span), span)

    def _offer(self, record: SpanRecord | None, span: ReadableSpan) -> None:
        """Hand a span to the log, if it may become a row or complete the row of a call that it wraps."""
        log = self._state.log
        if record is None or log is None:
            return
        if self._is_logged(record, span) or ((call := record.tells_of) and self._may_lack_content(call)):
            log(record, span)

    def _may_lack_content(self, span_id: int) -> bool:
        """Tell whether the row of a span may need what its wrappers contain: no gateway makes it."""
        entry = self._live.get(span_id) or self._recent.get(span_id)
        return not (isinstance(entry, SpanRecord) and entry.by_gateway)

    def _is_changed_leaf(self, entry: SpanRecord | Leaf, span: ReadableSpan) -> bool:
        return isinstance(entry, tuple) and not self._is_as_it_started(LeafRecord._make(entry), span)

    def _is_as_it_started(self, leaf: LeafRecord, span: ReadableSpan) -> bool:
        """Tell whether a span has shown nothing new since its start, and what encloses it has not moved."""
        template = leaf.template
        return (
            size_of(span) == template.size
            and span.name == template.name
            and leaf.parent.node is template.base
            and not self._resolver.is_overwritten(held_by(attributes_of(span)) or _NOTHING, template.node.label)
        )

    def _finalize(self, record: SpanRecord, span: ReadableSpan) -> None:
        # The live span, if there is one: what is handed over may be a copy that somebody redacted.
        record.span = live = record.span or span
        if self._resolver.has_moved(record):
            self._label_writer.follow(record)
            record.span = live  # `follow` lets go of a span that has ended
        if has_changed := self._resolver.has_changed(record):
            record.overwritten = _overwritten_values(record)
            self._resolver.read(record)
        # Not before, because a span that has ended and has no kind wraps nothing.
        record.ended = record.finalized = True
        if has_changed:
            self._resolver.find_node(record)
            is_new = record.node is None and not self._resolver.is_begun(record)
            if is_new and record.classification.recognised:
                self._label_writer.begin_trace(record)
        parent = record.parent
        self._calls.finalize(record, span)
        if record.parent is not parent:
            self._resolver.find_node(record)
        record.span, record.name = None, ""  # it is not read again, and a name may be of any length
        if record.node is not None and not record.node.chosen:
            self._resolver.keep_session_id(record)

    # --- an exporter asks ---------------------------------------------------------------------

    def outcome(self, span: ReadableSpan) -> Outcome | None:
        """Return what was decided for a span that has ended; `None`: it leaves as it is."""
        span_context = span.get_span_context()
        if span_context is None or self._left_alone.has(span):
            return None
        span_id = span_context.span_id
        if (record := self._live.pop(span_id, None)) is not None:
            self._end(record, span_id, span)  # an exporter got it before our processor did
        return self._outcome_of(self._span_store.ended(span_id, span), span)

    def open_spans(self) -> OpenSpans | None:
        """Return the spans that may still turn out to tell of calls that have ended, if there are any."""
        # A span is added to `ending` before it leaves `live`, so in this order none is missed.
        live, ending = _values_of(self._live), _values_of(self._state.ending)
        if len(ending) > MAX_LIVE:  # the threads of these were killed
            self._state.ending.clear()
        forked_at = self._state.forked_at
        records = (record for record in (*live, *ending) if record is not None)
        found = [
            record
            for record in records
            if (record.start_time or forked_at) >= forked_at and (record.span is not None or record.tells_of)
        ]
        return OpenSpans(found, self._calls.recent) if found else None

    def is_handed_on(self, span_id: int) -> bool:
        """Tell whether all processors have had a span that has ended."""
        return span_id not in self._state.ending

    def may_be_told_late(self, entry: Entry, heard: Collection[ScopeRules]) -> bool:
        """Tell whether a call may still be told of when it is over, because a library is around that does so.

        So it is where nothing tells when the app's processors have had a span.

        Args:
            entry: What is remembered of the call's span.
            heard: The scopes that have told of it already.
        """
        if self._state.are_ends_unseen:
            return True
        kind = entry.classification.kind
        return any(kind in scope.not_current and scope not in heard for scope in self._resolver.reader.late)

    def ended(self, span_id: int, span: ReadableSpan) -> Entry | None:
        """Return what is remembered of a span that has ended."""
        return self._span_store.ended(span_id, span)

    def outcome_later(self, entry: Entry, span: ReadableSpan) -> Outcome | None:
        """Return the outcome of a candidate for a row.

        Args:
            entry: What was remembered of it when it ended; it may be forgotten by now, or be a wrapper.
            span: The span.
        """
        span_context = span.get_span_context()
        now = self._span_store.ended(span_context.span_id, span) if span_context is not None else None
        return self._outcome_of(now or (entry if is_of(entry, span) else None), span)

    def _outcome_of(self, entry: Entry | None, span: ReadableSpan) -> Outcome | None:
        state = self._state
        if isinstance(entry, LeafRecord) and (state.decides_at_end or self._is_as_it_started(entry, span)):
            written = entry.template.node.label
            if not entry.template.request:
                return Outcome(written, written, value_limit=self._resolver.value_limit)
            with_id = {**written, wire.REQUEST_ID: request_id(span)}
            return Outcome(written, with_id, logged=True, value_limit=self._resolver.value_limit)
        record = entry if isinstance(entry, SpanRecord) else None
        if record is None and not state.decides_at_end:  # otherwise an unknown span is a copy of another one
            record = self._record_of_ended(span)
        label = record.full_label() if record is not None else None
        if record is None or label is None:
            return None
        extra: dict[str, str | list[str]] = {}
        logged = self._is_logged(record, span)
        by_gateway = record.by_gateway and record.request and not record.wraps
        row_id = request_id(span) if logged else record.row_id if by_gateway else None
        if row_id is not None:
            extra[wire.REQUEST_ID] = row_id
        if record.sent_headers and state.settings.capture_headers:
            extra |= {wire.REQUEST_HEADER_PREFIX + name.lower(): [value] for name, value in record.sent_headers}
        final: Mapping[str, str | list[str]] = {**label, **extra} if extra else label
        return Outcome(
            record.label or {},
            final,
            record.overwritten or _NOTHING,
            logged,
            self._resolver.value_limit,
            waits=record if by_gateway and row_id is None else None,
        )

    def _is_logged(self, record: SpanRecord, span: ReadableSpan) -> bool:
        """Tell whether the row of a span that has ended is ours: it stands for a call that no gateway saw."""
        if not record.request or record.wraps or record.by_gateway or record.destination is Destination.GATEWAY:
            return False
        # Where a client has no hook no headers leave, but its span may name the host that was called.
        return record.classification.kind not in CALL_KINDS or self._named_destination(span) is not Destination.GATEWAY

    def _named_destination(self, span: ReadableSpan) -> Destination:
        """Return where a call went, by what its span says."""
        attributes, destinations = attributes_of(span) or _NOTHING, self._state.destinations
        host, port = attributes.get(_SERVER_ADDRESS), attributes.get(_SERVER_PORT)
        if isinstance(host, str):
            return destinations.of_host(host, port if isinstance(port, int) else None, "https")
        for key in self._resolver.reader.api_bases:
            if isinstance(told := attributes.get(key), str) and (url := _API_BASE.search(told[:_MAX_API_BASE])):
                return destinations.of_url(url[0])
        return Destination.UNKNOWN

    def _record_of_ended(self, span: ReadableSpan) -> SpanRecord | None:
        """Make the record of a span that has ended, if only now it matters what it is."""
        span_context = span.get_span_context()
        record = self._span_store.known(span_context, span) if span_context is not None else None
        if record is None and self._resolver.is_recognisable(span):
            record = self._span_store.ended_record(span)
        if record is not None and not record.finalized:
            self._finalize(record, span)
        return record


def _values_of(records: Mapping[int, _T]) -> list[_T]:
    while True:
        with contextlib.suppress(RuntimeError):  # another thread has changed it meanwhile
            return list(records.values())


def _has_changed(template: SpanTemplate, span: ReadableSpan) -> bool:
    """Tell, as cheaply as possible, whether a span shows more than at its start, or the user has set its kind."""
    attributes = attributes_of(span)
    if attributes is None:
        return False
    if len(attributes) != template.size or span.name != template.name:
        return True
    try:
        return template.classification.kind is not None and attributes[wire.SPAN_KIND] != template.classification.kind
    except KeyError:  # evicted by the SDK's limit
        return False


def _overwritten_values(record: SpanRecord) -> dict[str, object] | None:
    """Return the values that a span bears in the place of the `helicone.*` that we wrote."""
    attributes = (record.span.attributes if record.span is not None else None) or _NOTHING
    label = record.label or {}
    ours = [key for key in wire.LABEL if key in label and key in attributes]
    return {key: attributes[key] for key in ours if attributes[key] != label[key]} or None
