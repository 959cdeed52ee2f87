"""A span starts: it is labelled here if it belongs to a session. The hot path, measured in `tests/benchmarks`."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from ..sessions.context import FRAME_KEY, OPEN_FRAMES, SPAN_KEY, ContextFrame
from ..sessions.foreign import IMPORTED, SessionClaim, claim_in, find_imported_sdks
from ..spans.reader import ScopeRules, are_short
from .entries import EntrySpans
from .labels import LabelWriter
from .nodes import SpanTemplate
from .records import (
    ENTRY_SPAN_KINDS,
    MAX_DEPTH,
    Record,
    SpanRecord,
    attributes_of,
    copied,
    fields_of,
    make_room,
    work_of,
)
from .requests import call_of, may_be_request, report_calls
from .resolver import Resolver, is_newer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

Attributes = Mapping[str, object] | None

_NO_FACTS: Final[dict[str, object]] = {}
_MAX_KEY: Final = 32
_SERVER: Final = trace.SpanKind.SERVER
_CONSUMER: Final = trace.SpanKind.CONSUMER


class SpanStarts:
    """Labels spans that start.

    Args:
        resolver: Reads spans and finds path nodes.
        label_writer: Writes labels.
    """

    def __init__(self, resolver: Resolver, label_writer: LabelWriter) -> None:
        self._resolver = resolver
        self._label_writer = label_writer
        self._span_store = resolver.span_store
        self._live = resolver.span_store.live
        self._recent = resolver.span_store.recent
        self._parents = resolver.span_store.parents
        self._reader = resolver.reader
        self._scopes = resolver.reader.scopes
        self._traces = resolver.traces
        self._entry_spans = EntrySpans(resolver, label_writer)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: C901, PLR0912, PLR0915  # see below
        """Label a span that has started, if it belongs to a session.

        Most spans of most apps have nothing to do with LLMs, and must cost next to nothing. Most others are like
        one before them: for those this one function does everything, because each further call costs more
        than a line here.

        Args:
            span: The live span.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        given, parent_ids, kind, name, span_context, scope_name = fields_of(span)
        held = getattr(given, "_dict", given)  # see `held_by`
        scope = self._scopes.get(scope_name) or self._new_scope(scope_name)
        if (kind is _SERVER or kind is _CONSUMER or scope.inbound) and self._entry_spans.begins_anew(
            span, scope, parent_context
        ):
            return
        frame: ContextFrame | None = None
        claim: SessionClaim | None = None
        if OPEN_FRAMES or IMPORTED:
            context = get_current() if parent_context is None else parent_context
            frame = context.get(FRAME_KEY)  # type: ignore[assignment]  # our own key
            if IMPORTED:
                claim = claim_in(context)
        if (frame is None and (claim is None or not claim.session_id)) and (
            not (scope.named or self._traces or held or self._live or self._recent.young)
            or self._is_ordinary(span, scope, held, span_context.trace_id, parent_ids)
        ):
            if parent_ids is not None:
                context = get_current() if parent_context is None else parent_context
                parents = self._parents
                parents.young[span_context.span_id] = context.get(SPAN_KEY)  # type: ignore[assignment]
                if len(parents.young) >= parents.limit:
                    parents.turn()
            return
        attributes = copied(held) if held else _NO_FACTS
        asks_frameworks = self._reader.framework_spans and not scope.framework_spans
        parent: Record | None = None
        if parent_ids is not None or asks_frameworks:
            parent = self._parent_of(parent_ids, parent_context, asks_frameworks)
        enclosing = parent
        if IMPORTED:
            parent = enclosing = self._resolver.with_claims(parent, frame, claim, span)
        elif frame is not None and (parent is None or is_newer(frame, parent)):
            known = frame.record
            if known is not None and known[0] is self._resolver and known[1].is_shared and not frame.stale:
                enclosing = known[1]
            else:
                enclosing = self._record_of(frame, span)
        if enclosing is None or (node := enclosing.node) is None:
            self._take_in(span, scope, attributes, parent, frame)
            return
        template = node.templates.get((scope, name, *attributes) if attributes else (scope, name))
        if (
            template is None
            or template.span_kind is not kind
            or (attributes and template.values_of and template.values_of(attributes) != template.values)
        ):
            self._take_in(span, scope, attributes, parent, frame)
            return
        span_id = span_context.span_id
        if (call := template.call) or not template.leaf:
            if not template.leaf or self._reader.has_not_current:
                self._take_in_like(span, enclosing, frame, template)
                return
            if parent is not None and call is not None and enclosing.inside.get(call) != 0:
                report_calls({call: span_id}, span_id, enclosing)
        recent = self._recent
        recent.young[span_id] = (template, frame, enclosing)  # see `records.Leaf`
        if len(recent.young) >= recent.limit:
            recent.turn()
        label = template.node.label
        if limit := getattr(given, "maxlen", None):  # see `make_room`
            given.maxlen = limit + len(label)
        span.set_attributes(label)

    def _new_scope(self, name: str) -> ScopeRules:
        find_imported_sdks()  # who brings spans of a new scope may have brought an SDK that makes claims
        return self._reader.scope(name)

    def _is_ordinary(
        self,
        span: Span,
        scope: ScopeRules,
        attributes: Attributes,
        trace_id: int,
        parent_ids: trace.SpanContext | None,
    ) -> bool:
        """Tell whether a span outside of any context frame has nothing to do with an LLM app."""
        if scope.known or trace_id in self._traces:
            return False
        if parent_ids is not None and self._span_store.remembers(parent_ids.span_id):
            return False
        if self._reader.framework_spans and self._resolver.framework_spans.innermost(None) is not None:
            return False
        if not scope.named and (not attributes or scope.attributes.isdisjoint(attributes)):
            return True
        return not self._resolver.is_recognisable(span)

    def _record_of(self, frame: ContextFrame, span: Span) -> Record | None:
        """Return the record of a context frame, if there is one that holds for a span's trace."""
        return None if frame.stale else self._resolver.known_record(frame, span.get_span_context().trace_id)

    def _parent_of(
        self, parent_ids: trace.SpanContext | None, parent_context: Context | None, asks_frameworks: object
    ) -> Record | None:
        parent: Record | None = None
        if parent_ids is not None:
            known = self._live.get(parent_ids.span_id)
            parent = known if isinstance(known, SpanRecord) else self._record_above(parent_ids, parent_context)
        if asks_frameworks and _is_current(parent_context):
            parent = self._resolver.framework_spans.innermost(parent)
        if parent is not None and self._resolver.has_changed(parent):
            self._label_writer.update(parent)
        return parent

    def _record_above(self, parent_ids: trace.SpanContext, parent_context: Context | None) -> SpanRecord | None:
        return self._span_store.record_at(trace.get_current_span(parent_context)) or self._span_store.known(parent_ids)

    def _take_in(
        self,
        span: Span,
        scope: ScopeRules,
        attributes: dict[str, object],
        parent: Record | None,
        frame: ContextFrame | None,
    ) -> None:
        """Read and label a span, and make a template of it for spans that are like it."""
        span_context = span.get_span_context()
        if self._span_store.known(span_context, span) is not None:
            return  # a second processor of ours, added by hand
        if span.parent is None and span_context.trace_id in self._traces:
            del self._traces[span_context.trace_id]  # another trace, whose id this one repeats
        key = (scope, span.name, *attributes)
        if frame is None and parent is not None:
            frame = parent.frame  # what is current inside of the span may hold it, and it is not newer
        record = SpanRecord(span, parent, scope, frame, work_of(parent, span_context))
        if record.depth > MAX_DEPTH:
            record.cut_off()
        self._live.put(span_context.span_id, record)
        self._label_writer.read(record, [record])
        if record.parent is not None and (call := call_of(record.classification)):
            report_calls({call: span_context.span_id}, span_context.span_id, record.parent)
        if (
            len(key) <= _MAX_KEY
            and span.kind not in ENTRY_SPAN_KINDS
            and record.parent is not None
            and self._reader.are_common(facts := scope.facts(attributes))
            and are_short((span.name, *attributes, *facts.values()))
        ):
            self._make_template(key, record, span, facts)

    def _make_template(
        self, key: tuple[object, ...], record: SpanRecord, span: Span, facts: Mapping[str, object]
    ) -> None:
        base, node, scope, classification = record.base_node, record.node, record.scope, record.classification
        # A label that the SDK's limits have cut is no example for others, nor one without what the app set itself.
        if base is None or node is None or scope is None or record.preset or not _bears(span, record.label):
            return
        base.add_template(
            key,
            SpanTemplate(
                classification,
                node,
                base,
                span.name,
                scope,
                span.kind,
                itemgetter(*facts) if facts else None,
                itemgetter(*facts)(facts) if facts else None,
                record.size,
                leaf=node.chosen,  # a provisional id may have to be replaced
                request=may_be_request(classification),
                call=call_of(classification),
            ),
        )

    def _take_in_like(self, span: Span, enclosing: Record, frame: ContextFrame | None, template: SpanTemplate) -> None:
        """Label a span by a template, and give it a record of its own."""
        span_context = span.get_span_context()
        record = SpanRecord(span, enclosing, template.scope, frame, work_of(enclosing, span_context))
        record.apply_template(template)
        if record.depth > MAX_DEPTH:
            record.cut_off()
        self._live.put(span_context.span_id, record)
        make_room(span, len(template.node.label))
        span.set_attributes(template.node.label)


def _is_current(parent_context: Context | None) -> bool:
    # Otherwise the span is started below another one on purpose.
    return parent_context is None or trace.get_current_span(parent_context) is trace.get_current_span()


def _bears(span: ReadableSpan, label: Mapping[str, object] | None) -> bool:
    attributes = attributes_of(span) or _NO_FACTS
    return label is not None and all(attributes.get(key) == value for key, value in label.items())
