"""A span has started: is it our business? The hot path, measured in `tests/benchmarks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from ..sessions.context import FRAME_KEY, OPEN_FRAMES, ContextFrame
from ..sessions.foreign import LOADED, SessionClaim, claim_in, claim_of_run, find_imported_sdks
from ..spans.reader import ScopeRules
from .labels import LabelWriter
from .nodes import SpanTemplate
from .records import MAX_DEPTH, SpanRecord, shown
from .requests import call_of, may_be_request, tell_wrappers
from .resolver import Resolver, is_newer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

Attributes = Mapping[str, object] | None

_NO_FACTS: Final[dict[str, object]] = {}
_MAX_KEY: Final = 32
# What spans show is remembered with what they are; whole prompts and documents are not.
_MAX_SHOWN: Final = 256
_SERVER: Final = trace.SpanKind.SERVER
_CONSUMER: Final = trace.SpanKind.CONSUMER
_ENTRY_KINDS: Final = frozenset({_SERVER, _CONSUMER})


class SpanStarts:
    """Takes note of spans that start."""

    def __init__(self, resolver: Resolver, label_writer: LabelWriter) -> None:
        self._resolver = resolver
        self._label_writer = label_writer
        self._span_store = resolver.span_store
        self._live = resolver.span_store.live
        self._recent = resolver.span_store.recent
        self._reader = resolver.reader
        self._foreign_sessions = resolver.foreign_sessions
        self._known_scope = resolver.reader.known_scope
        self._traces = resolver.traces
        self._untrusted = resolver.untrusted

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: C901, PLR0912  # see below
        """Take note of a span that has started, and label it if it belongs to a session.

        Most spans of most apps are none of our business, which must cost next to nothing. Most others
        are like one before them, so that way is the short one; a call less is worth a line more here.

        Args:
            span: The live span.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        scope_name = span.instrumentation_scope.name  # type: ignore[union-attr]  # the SDK always sets one
        scope = self._known_scope(scope_name) or self._new_scope(scope_name)
        given, above, kind = shown(span), span.parent, span.kind
        if kind is _SERVER or kind is _CONSUMER:
            self._untrusted.hear(span.get_span_context().trace_id, parent_context)
        frame: ContextFrame | None = None
        claim: SessionClaim | None = None
        if OPEN_FRAMES or LOADED:
            context = get_current() if parent_context is None else parent_context
            frame = context.get(FRAME_KEY)  # type: ignore[assignment]  # our own key
            if LOADED:
                claim = claim_in(context)
        if (frame is None and (claim is None or not claim.session_id)) and (
            not (scope.named or self._traces or given or self._live or self._recent.young)
            or self._is_ordinary(span, scope, given)
        ):
            if above is not None:
                self._span_store.note(span.get_span_context().span_id, trace.get_current_span(parent_context))
            return
        attributes = _copy(given) if given else _NO_FACTS
        bridged = self._reader.framework_spans and not scope.framework_spans
        parent = encloses = self._parent_of(above, parent_context, bridged) if above is not None or bridged else None
        if LOADED:
            parent = encloses = self._innermost(parent, frame, claim, span)
        elif frame is not None and (parent is None or is_newer(frame, parent)):
            known = frame.record
            if known is not None and known[0] is self._resolver and known[1].rooted and not frame.left:
                encloses = known[1]
            else:
                encloses = self._record_of(frame, span)
        if encloses is None or (node := encloses.node) is None:
            self._take_in(span, scope, attributes, parent, frame)
            return
        template = node.templates.get((scope, span.name, *attributes) if attributes else (scope, span.name))
        if (
            template is None
            or template.kind is not kind
            or (attributes and template.show and template.show(attributes) != template.shown)
        ):
            self._take_in(span, scope, attributes, parent, frame)
            return
        span_id = span.get_span_context().span_id
        if (call := template.call) or not template.leaf:
            if not template.leaf or self._reader.has_not_current:
                self._take_in_like(span, encloses, frame, template)
                return
            if parent is not None and call is not None and encloses.inside.get(call) != 0:
                tell_wrappers({call: span_id}, span_id, encloses)
        recent = self._recent
        recent.young[span_id] = (template, frame, encloses)
        if len(recent.young) >= recent.limit:
            recent.turn()
        span.set_attributes(template.node.label)

    def _new_scope(self, name: str) -> ScopeRules:
        find_imported_sdks()  # whoever brings spans of its own may have brought more
        return self._reader.scope(name)

    def _innermost(
        self, parent: SpanRecord | None, frame: ContextFrame | None, claim: SessionClaim | None, span: Span
    ) -> SpanRecord | None:
        """Return the record of what encloses a span, where other SDKs may have a say in it."""
        trace_id = _trace_of(parent, span.get_span_context())
        while frame is not None and frame.left:
            frame = frame.outer
        if frame is not None and (parent is None or is_newer(frame, parent)):
            parent = self._resolver.record_of(frame, trace_id, span)
        is_chosen = parent is not None and parent.node is not None and parent.node.chosen
        return self._foreign_sessions.innermost(parent, claim, None if is_chosen else claim_of_run(), trace_id, span)

    def _is_ordinary(self, span: Span, scope: ScopeRules, attributes: Attributes) -> bool:
        """Tell whether a span outside of any place is none of our business."""
        if scope.known or span.get_span_context().trace_id in self._traces:
            return False
        if span.parent is not None and self._span_store.remembers(span.parent.span_id):
            return False
        if self._reader.framework_spans and self._resolver.framework_spans.innermost(None) is not None:
            return False
        if not scope.named and (not attributes or scope.attributes.isdisjoint(attributes)):
            return True
        return not self._resolver.shows_itself(span)

    def _record_of(self, frame: ContextFrame, span: Span) -> SpanRecord | None:
        """Return the record of a place, if it is known already and holds for a span's trace."""
        return None if frame.left else self._resolver.known_record(frame, span.get_span_context().trace_id)

    def _parent_of(
        self, above: trace.SpanContext | None, parent_context: Context | None, bridged: object
    ) -> SpanRecord | None:
        parent: SpanRecord | None = None
        if above is not None:
            known = self._live.get(above.span_id)
            parent = known if isinstance(known, SpanRecord) else self._record_above(above, parent_context)
        if bridged and _is_current(parent_context):
            parent = self._resolver.framework_spans.innermost(parent)
        if parent is not None and self._resolver.has_changed(parent):
            self._label_writer.ask(parent)
        return parent

    def _record_above(self, above: trace.SpanContext, parent_context: Context | None) -> SpanRecord | None:
        return self._span_store.record_at(trace.get_current_span(parent_context)) or self._span_store.known(above)

    def _take_in(
        self,
        span: Span,
        scope: ScopeRules,
        attributes: dict[str, object],
        parent: SpanRecord | None,
        frame: ContextFrame | None,
    ) -> None:
        """Read and label a span that has started, and remember it for those that are like it."""
        ids = span.get_span_context()
        if self._span_store.remembers(ids.span_id):
            return  # a second processor of ours, added by hand
        facts = scope.facts(attributes)
        key = (scope, span.name, *attributes)
        record = SpanRecord(span, parent, scope, frame, _trace_of(parent, ids))
        if record.depth > MAX_DEPTH:
            record.cut_off()
        self._live.put(ids.span_id, record)
        self._label_writer.read(record, [record])
        if record.parent is not None and (call := call_of(record.classification)):
            tell_wrappers({call: ids.span_id}, ids.span_id, record.parent)
        if (
            len(key) <= _MAX_KEY
            and span.kind not in _ENTRY_KINDS
            and record.parent is not None
            and self._reader.are_common(facts)
            and _are_short((span.name, *facts.values()))
        ):
            self._remember(key, record, span, facts)

    def _remember(self, key: tuple[object, ...], record: SpanRecord, span: Span, facts: Mapping[str, object]) -> None:
        base, node, scope, classification = record.base, record.node, record.scope, record.classification
        # What the SDK's limits cut does for no one else.
        if base is None or node is None or scope is None or not _bears(span, record.label):
            return
        # A made-up id may have to be replaced.
        leaf = node.chosen
        base.templates.put(
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
                leaf,
                may_be_request(classification),
                call_of(classification),
            ),
        )

    def _take_in_like(
        self, span: Span, encloses: SpanRecord, frame: ContextFrame | None, template: SpanTemplate
    ) -> None:
        ids = span.get_span_context()
        record = SpanRecord(span, encloses, template.scope, frame, _trace_of(encloses, ids))
        record.apply_template(template)
        if record.depth > MAX_DEPTH:
            record.cut_off()
        self._live.put(ids.span_id, record)
        span.set_attributes(template.node.label)


def _is_current(parent_context: Context | None) -> bool:
    # Else it is started below something else on purpose.
    return parent_context is None or trace.get_current_span(parent_context) is trace.get_current_span()


def _trace_of(parent: SpanRecord | None, ids: trace.SpanContext) -> int:
    # Across a bridge a span belongs to the trace of what encloses it. Places may be shared by traces.
    while parent is not None and parent.others:
        parent = parent.parent
    return parent.trace_id if parent is not None and parent.scope is not None else ids.trace_id


def _are_short(values: Iterable[object]) -> bool:
    return not any(isinstance(value, str | tuple) and len(value) > _MAX_SHOWN for value in values)


def _bears(span: ReadableSpan, label: Mapping[str, object] | None) -> bool:
    attributes = shown(span) or _NO_FACTS
    return label is not None and all(attributes.get(key) == value for key, value in label.items())


def _copy(attributes: Mapping[str, object]) -> dict[str, object]:
    # All but copying is slow on the SDK's mapping, which copies itself into a dict.
    return dict(attributes) if (copy := getattr(attributes, "copy", None)) is None else copy()
