"""A span has started: is it our business? The hot path, measured in `tests/benchmarks`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current

from ._context import PLACE_KEY, PLACES, Place
from ._destinations import Destination
from ._labeller import Labeller
from ._lineage import MAX_LIVE
from ._record import MAX_DEPTH, Record
from ._resolver import Resolver, is_newer
from ._spans import URL_ATTRIBUTES, Scope
from ._stands import Alike

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

Attributes = Mapping[str, object] | None

_NO_FACTS: Final[dict[str, object]] = {}
_INTERNAL: Final = trace.SpanKind.INTERNAL
_ENTRANCES: Final = (trace.SpanKind.SERVER, trace.SpanKind.CONSUMER)


class Arrivals:
    """Takes note of spans that start."""

    def __init__(self, resolver: Resolver, labeller: Labeller) -> None:
        self._resolver = resolver
        self._labeller = labeller
        self._lineage = resolver.lineage
        self._live = resolver.lineage.live
        self._vocabulary = resolver.vocabulary
        self._known_scope = resolver.vocabulary.known_scope
        self._traces = resolver.traces
        self._strangers = resolver.strangers

    def attend(self, span: Span, parent_context: Context | None = None) -> None:
        """Take note of a span that has started, and label it if it belongs to a session.

        Most spans of most apps are none of our business, which must cost next to nothing: no place
        is open, no dialect knows the scope or an attribute, the trace has no session.

        Args:
            span: The live span.
            parent_context: As the SDK hands it over: `None` stands for the current Context.
        """
        scope_name = span.instrumentation_scope.name  # type: ignore[union-attr]  # the SDK always sets one
        scope = self._known_scope(scope_name) or self._vocabulary.scope(scope_name)
        attributes = span.attributes
        if scope.known or PLACES or self._traces or attributes or self._live or span.kind is not _INTERNAL:
            if span.kind in _ENTRANCES:
                self._strangers.hear(span.get_span_context().trace_id, parent_context)
            self._consider(span, scope, attributes, parent_context)
        elif span.parent is not None:
            self._lineage.note(span.get_span_context().span_id, trace.get_current_span(parent_context))

    def _consider(self, span: Span, scope: Scope, attributes: Attributes, parent_context: Context | None) -> None:
        """Label a span if it is our business, else remember what stands above it."""
        ids, above, kind = span.get_span_context(), span.parent, span.kind
        place: Place | None = None
        if PLACES:
            place = (get_current() if parent_context is None else parent_context).get(PLACE_KEY)  # type: ignore[assignment]  # our own key
        facts = self._facts_of(scope, attributes) if attributes else _NO_FACTS
        if (
            place is None
            and not facts
            and not scope.known
            and ids.trace_id not in self._traces
            and not (above is not None and self._lineage.remembers(above.span_id))
        ):
            if above is not None:
                self._lineage.note(ids.span_id, trace.get_current_span(parent_context))
            return
        parent = self._parent_of(above, parent_context) if above is not None else None
        if not attributes and kind is _INTERNAL:
            # The common case is spelled out: see the benchmarks.
            holder = parent
            if place is not None and (parent is None or is_newer(place, parent)):
                known = place.record
                holder = known[1] if known is not None and known[0] is self._resolver and not place.left else None
            base = holder.stand if holder is not None and (holder is parent or holder.rooted) else None
            alike = base.alike.get((scope, span.name)) if base is not None else None
            if alike is not None and alike.stand.chosen:
                self._live[ids.span_id] = (alike, place)
                if len(self._live) > MAX_LIVE:
                    self._live.forget_oldest()
                span.set_attributes(alike.stand.label)
                return
        elif ids.span_id in self._live:
            return  # a second processor of ours, added by hand
        record = Record(span, parent, scope, place, ids.trace_id)
        if record.depth > MAX_DEPTH:
            record.cut_off()
        self._live.put(ids.span_id, record)
        self._take_in(record, span, facts, len(attributes) if attributes else 0)

    def _facts_of(self, scope: Scope, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """Return what a span shows; nothing, if it is only a URL whose host is on no list, as most are."""
        facts = self._vocabulary.facts(attributes)
        if len(facts) != 1 or scope.known:
            return facts
        ((key, value),) = facts.items()
        if key not in URL_ATTRIBUTES or not isinstance(value, str):
            return facts
        unlisted = self._resolver.destinations.of_url(value) is Destination.UNKNOWN
        return _NO_FACTS if unlisted else facts

    def _parent_of(self, above: trace.SpanContext, parent_context: Context | None) -> Record | None:
        parent = self._live.get(above.span_id)
        if not isinstance(parent, Record):
            parent = self._lineage.record_at(trace.get_current_span(parent_context)) or self._lineage.known(
                above.span_id
            )
        if parent is not None and self._resolver.has_changed(parent):
            self._labeller.ask(parent)
        return parent

    def _encloses(self, place: Place | None, parent: Record | None, trace_id: int) -> Record | None:
        """Return what encloses a span, if that is known already."""
        if place is not None and (parent is None or is_newer(place, parent)):
            return None if place.left else self._resolver.known_record(place, trace_id)
        return parent

    def _take_in(self, record: Record, span: Span, facts: Mapping[str, object], size: int) -> None:
        """Read and label a span that has started, or label it like the last that showed the same."""
        key: tuple[object, ...] | None = None
        if not facts and span.kind is _INTERNAL:
            key = (record.scope, span.name)
        elif self._vocabulary.are_common(facts) and span.kind not in _ENTRANCES:
            key = (record.scope, span.name, span.kind, *facts.items())
        encloses = self._encloses(record.place, record.parent, record.trace_id)
        base = encloses.stand if encloses is not None else None
        try:
            alike = base.alike.get(key) if base is not None and key is not None else None
        except TypeError:  # a value that cannot be hashed, as a mapping
            alike = key = None
        if alike is not None:
            record.parent = encloses
            self._label_alike(record, alike, span, size)
            return
        self._labeller.read(record, [record])
        # What the SDK's limits cut does for no one else.
        if key and record.base is not None and record.stand is not None and _bears(span, record.label):
            with contextlib.suppress(TypeError):  # see above
                record.base.alike.put(key, Alike(record.reading, record.stand, record.base, span.name))

    def _label_alike(self, record: Record, alike: Alike, span: Span, size: int) -> None:
        record.reading, record.stand, record.base, record.name = alike
        record.label = label = alike.stand.label
        record.size = size + len(label)
        span.set_attributes(label)


def _bears(span: ReadableSpan, label: Mapping[str, object] | None) -> bool:
    attributes = span.attributes or _NO_FACTS
    return label is not None and all(attributes.get(key) == value for key, value in label.items())
