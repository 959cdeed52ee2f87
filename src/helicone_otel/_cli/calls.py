"""The HTTP requests on which Helicone headers left for a gateway, as the spans tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from helicone_otel import _wire
from helicone_otel._destinations import Destination, Destinations

from .spans import Span
from .tree import GatewayCall

_URL_ATTRIBUTES: Final = ("url.full", "http.url")
_STATUS_ATTRIBUTES: Final = ("http.response.status_code", "http.status_code")
_PROPERTY_PREFIX: Final = _wire.PROPERTY_HEADER_PREFIX.lower()
# Helicone-Auth is no session header: were it ever captured, it would not be drawn.
_HEADER_NAMES: Final = {
    name.lower(): name
    for name in (
        _wire.SESSION_ID_HEADER,
        _wire.SESSION_PATH_HEADER,
        _wire.SESSION_NAME_HEADER,
        _wire.USER_ID_HEADER,
        _wire.REQUEST_ID_HEADER,
    )
}


class Family:
    """Finds the ancestors of a span among those that arrived."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}

    def line(self, span: Span) -> Iterator[Span]:
        """Yield the span, its parent, and so on."""
        seen: set[str] = set()
        found: Span | None = span
        while found is not None and found.span_id not in seen:
            seen.add(found.span_id)
            yield found
            found = self._by_id.get((found.trace_id, found.parent_id))


def carriers(spans: Sequence[Span], family: Family, destinations: Destinations) -> list[Span]:
    """Return the spans that are one HTTP request with Helicone headers to a gateway each."""
    found = [span for span in spans if sent_headers(span.attributes) and _goes_to_gateway(span, destinations)]
    # The Anthropic SDK writes headers on its own span and the HTTP client below writes them again: one request.
    outer = {(above.trace_id, above.span_id) for span in found for above in list(family.line(span))[1:]}
    return [span for span in found if (span.trace_id, span.span_id) not in outer]


def gateway_call(span: Span) -> GatewayCall:
    """Return what a carrier tells of its request."""
    status = first(span.attributes, _STATUS_ATTRIBUTES)
    return GatewayCall(
        host=host_of(span.attributes),
        status=int(status) if status.isascii() and status.isdigit() else None,
        start=span.start,
        end=span.end,
        error=span.error,
        headers=tuple(sent_headers(span.attributes)),
    )


def first(attributes: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of some attributes that is there, or an empty text."""
    return next((value for name in names if (value := attributes.get(name))), "")


def _goes_to_gateway(span: Span, destinations: Destinations) -> bool:
    url = first(span.attributes, _URL_ATTRIBUTES)
    return not url or destinations.of_url(url) is not Destination.SERVICE


def sent_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the Helicone headers that were captured among attributes, session headers first."""
    prefix = _wire.REQUEST_HEADER_PREFIX
    captured = {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}
    named = [(name, captured[key]) for key, name in _HEADER_NAMES.items() if key in captured]
    properties = sorted(key for key in captured if key.startswith(_PROPERTY_PREFIX))
    return named + [(_wire.PROPERTY_HEADER_PREFIX + key[len(_PROPERTY_PREFIX) :], captured[key]) for key in properties]


def host_of(attributes: Mapping[str, str]) -> str:
    """Return `host:port` and nothing else of a URL: its path can hold a Helicone key, its query any other."""
    if url := first(attributes, _URL_ATTRIBUTES):
        try:
            return urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    address, port = attributes.get("server.address", ""), attributes.get("server.port", "")
    return f"{address}:{port}" if address and port else address
