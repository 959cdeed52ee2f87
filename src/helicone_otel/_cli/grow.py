"""From labelled spans to session trees. Pure: what a span is was decided where it was made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from helicone_otel import _wire
from helicone_otel._destinations import Destinations
from helicone_otel._session import path_segments

from .calls import Family, carriers, first, gateway_call
from .spans import Span
from .tree import GatewayCall, LoggedRow, Request, Session, Step

_Path: TypeAlias = tuple[str, ...]

_CALL_KINDS: Final = frozenset({"llm", "embedding"})
_MODEL_ATTRIBUTES: Final = ("gen_ai.request.model", "llm.model_name", "embedding.model_name")
_LABEL_OF_HEADER: Final = {
    _wire.SESSION_ID_HEADER: _wire.SESSION_ID,
    _wire.SESSION_PATH_HEADER: _wire.SESSION_PATH,
    _wire.SESSION_NAME_HEADER: _wire.SESSION_NAME,
}
_NO_ROWS: Final[Mapping[str, tuple[LoggedRow, ...]]] = {}


def grow(
    spans: Sequence[Span], destinations: Destinations, rows: Mapping[str, tuple[LoggedRow, ...]] = _NO_ROWS
) -> list[Session]:
    """Return the sessions that labelled spans make, oldest first.

    Args:
        spans: Everything that arrived, in any order.
        destinations: Tells gateways from services of the user's own, which get headers as well.
        rows: Those of Helicone's log, by their ids.
    """
    family = Family(spans)
    groups: defaultdict[tuple[str, str], _Group] = defaultdict(_Group)
    for span in spans:
        if _wire.SESSION_ID in span.attributes:
            groups[_session_key(span.attributes)].add_span(span, family)
    for owner, calls in _requests(spans, family, destinations):
        label = owner.attributes if _wire.SESSION_ID in owner.attributes else _label_of(calls)
        if _wire.SESSION_ID in label:
            groups[_session_key(label)].add_request(_request(owner, label, calls, rows))
    sessions = [Session(id_, name, group.step(())) for (id_, name), group in groups.items()]
    return sorted(sessions, key=lambda session: session.root.start)


class _Group:
    """Collects what belongs to one session."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._spans: defaultdict[_Path, list[Span]] = defaultdict(list)
        self._runs: Counter[_Path] = Counter()
        self._requests: defaultdict[_Path, list[Request]] = defaultdict(list)
        self._children: defaultdict[_Path, set[_Path]] = defaultdict(set)

    def add_span(self, span: Span, family: Family) -> None:
        self._times += (span.start, span.end)
        if not _is_structural(span):
            return
        path = self._grown(_path_of(span.attributes))
        self._spans[path].append(span)
        # A wrapper and what it wraps share a path, as do both ends of an MCP call: that is one run.
        _, *ancestors = family.line(span)
        if not any(_is_structural(above) and _path_of(above.attributes) == path for above in ancestors):
            self._runs[path] += 1

    def add_request(self, request: Request) -> None:
        self._times += (request.start, request.end)
        self._requests[self._grown(path_segments(request.path))].append(request)

    def step(self, path: _Path) -> Step:
        """Return the step at a path, with all below it."""
        spans = sorted(self._spans[path], key=lambda span: span.start)
        requests = sorted(self._requests[path], key=lambda request: request.start)
        steps = sorted(
            (self.step(child) for child in self._children[path]), key=lambda step: (step.start, step.segment)
        )
        timed: Sequence[Span | Request | Step] = spans or [*requests, *steps]
        times = [time for part in timed for time in (part.start, part.end)] if path else self._times
        return Step(
            segment=path[-1] if path else "",
            path="/" + "/".join(path),
            kind=spans[0].attributes[_wire.SPAN_KIND] if spans else None,
            runs=self._runs[path],
            start=min(times),
            end=max(times),
            error=next((span.error for span in spans if span.error is not None), None),
            requests=tuple(requests),
            steps=tuple(steps),
        )

    def _grown(self, path: _Path) -> _Path:
        for depth in range(len(path)):
            self._children[path[:depth]].add(path[: depth + 1])
        return path


def _requests(
    spans: Sequence[Span], family: Family, destinations: Destinations
) -> Iterator[tuple[Span, list[GatewayCall]]]:
    """Yield each span that stands for a request, with the calls that carried it to a gateway."""
    owners = {(span.trace_id, span.span_id): span for span in spans if _wire.REQUEST_ID in span.attributes}
    calls: defaultdict[tuple[str, str], list[GatewayCall]] = defaultdict(list)
    for carrier in carriers(spans, family, destinations):
        line = family.line(carrier)
        owner = next((span for span in line if span.attributes.get(_wire.SPAN_KIND) in _CALL_KINDS), carrier)
        key = (owner.trace_id, owner.span_id)
        owners[key] = owner
        calls[key].append(gateway_call(carrier))
    for key, owner in owners.items():
        yield owner, sorted(calls[key], key=lambda call: call.start)


def _request(
    owner: Span, label: Mapping[str, str], calls: Sequence[GatewayCall], rows: Mapping[str, tuple[LoggedRow, ...]]
) -> Request:
    return Request(
        kind=owner.attributes.get(_wire.SPAN_KIND, "http"),
        name=first(owner.attributes, _MODEL_ATTRIBUTES),
        path="/" + "/".join(_path_of(label)),
        start=owner.start,
        end=owner.end,
        error=owner.error,
        calls=tuple(calls),
        rows=() if calls else rows.get(owner.attributes.get(_wire.REQUEST_ID, ""), ()),
    )


def _session_key(label: Mapping[str, str]) -> tuple[str, str]:
    return label[_wire.SESSION_ID], label.get(_wire.SESSION_NAME, "")


def _label_of(calls: Sequence[GatewayCall]) -> dict[str, str]:
    headers = calls[0].headers if calls else ()
    return {_LABEL_OF_HEADER[name]: value for name, value in headers if name in _LABEL_OF_HEADER}


def _path_of(label: Mapping[str, str]) -> _Path:
    return path_segments(label.get(_wire.SESSION_PATH, "/"))


def _is_structural(span: Span) -> bool:
    kind = span.attributes.get(_wire.SPAN_KIND, "")
    return _wire.SESSION_ID in span.attributes and kind != "" and kind not in _CALL_KINDS
