"""A session as a test compares it: what stands at each path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, get_args

from opentelemetry.sdk.trace import ReadableSpan

from .. import _wire
from .._spans import Kind
from .answers import endpoint_of
from .fake.requests import Request

_ORDER: Final = {kind: place for place, kind in enumerate(get_args(Kind))}


class _Sight(NamedTuple):
    session: str
    name: str | None
    path: str
    kind: str | None
    is_call: bool


def sessions(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> dict[str, str | None]:
    """Return the name of each session by its id, in the order in which they were seen."""
    return {sight.session: sight.name for sight in _sights(spans, requests)}


def tree(spans: Iterable[ReadableSpan], requests: Iterable[Request], session: str | None) -> dict[str, list[str]]:
    """Return the kinds that stand at each path of a session: calls one by one, steps once."""
    sights = list(_sights(spans, requests))
    chosen = {sight.session for sight in sights if session is None or session in (sight.session, sight.name)}
    if len(chosen) > 1 or (session is not None and not chosen):
        seen = {sight.session: sight.name for sight in sights}
        wanted = (
            "tree() needs to know which one" if session is None else f"tree({session!r}) fits {len(chosen)} of them"
        )
        raise AssertionError(f"{wanted}; the sessions seen, by id: {seen}")
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    # Calls first: a wrapper around a call says nothing new about its path.
    for sight in sorted(sights, key=lambda sight: not sight.is_call):
        if sight.session in chosen and sight.kind and (sight.is_call or sight.kind not in kinds[sight.path]):
            kinds[sight.path].append(sight.kind)
    return {path: sorted(kinds[path], key=_ORDER.__getitem__) for path in sorted(kinds) if kinds[path]}


def _sights(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> Iterator[_Sight]:
    arrived: set[str | None] = set()
    for request in requests:
        arrived.add(request.request_id)
        if session := request.header(_wire.SESSION_ID_HEADER):
            path = request.header(_wire.SESSION_PATH_HEADER) or "/"
            endpoint = endpoint_of(request.path)
            kind = endpoint.kind if endpoint else "llm"
            yield _Sight(session, request.header(_wire.SESSION_NAME_HEADER), path, kind, is_call=True)
    for span in spans:
        attributes = span.attributes or {}
        if _wire.SESSION_ID in attributes:
            texts = {key: str(value) for key, value in attributes.items()}
            yield _Sight(
                texts[_wire.SESSION_ID],
                texts.get(_wire.SESSION_NAME),
                texts.get(_wire.SESSION_PATH, "/"),
                texts.get(_wire.SPAN_KIND),
                # Of a call that a gateway saw, the request that arrived counts.
                is_call=_wire.REQUEST_ID in attributes and texts[_wire.REQUEST_ID] not in arrived,
            )
