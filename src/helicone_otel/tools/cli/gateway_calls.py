"""The HTTP requests with Helicone headers that spans recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from ...destinations import Destination, Destinations
from ...spans.schema import URL_ATTRIBUTES
from ..replay.spans import sent_headers
from .receiver import ReceivedSpan

_STATUS_ATTRIBUTES: Final = ("http.response.status_code", "http.status_code")


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One HTTP request with Helicone headers to a gateway. A retry is another one.

    Attributes:
        host: `host:port`, or empty if the span does not record it. Never the path or the query, which may hold keys.
        status: The status of the answer, `None` if the span does not record it.
        start: Nanoseconds since the epoch, as is `end`.
        headers: The Helicone headers, in the case in which Helicone documents them.
    """

    host: str
    status: int | None
    start: int
    end: int
    error: str | None
    headers: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether the span records an error or a status from 400 on."""
        return self.error is not None or (self.status is not None and self.status >= HTTPStatus.BAD_REQUEST)


class SpanParents:
    """Finds the ancestors of a span among the spans that arrived."""

    def __init__(self, spans: Iterable[ReceivedSpan]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}

    def line(self, span: ReceivedSpan) -> Iterator[ReceivedSpan]:
        """Yield the span, its parent, the parent's parent, and so on."""
        seen: set[str] = set()
        current: ReceivedSpan | None = span
        while current is not None and current.span_id not in seen:
            seen.add(current.span_id)
            yield current
            current = self._by_id.get((current.trace_id, current.parent_id))


def spans_with_headers(
    spans: Sequence[ReceivedSpan], parents: SpanParents, destinations: Destinations
) -> list[ReceivedSpan]:
    """Return one span for each HTTP request with Helicone headers to a gateway."""
    with_headers = [span for span in spans if sent_headers(span.attributes) and _goes_to_gateway(span, destinations)]
    # The Anthropic SDK writes headers on its own span and the HTTP client below writes them again: one request.
    outer = {(above.trace_id, above.span_id) for span in with_headers for above in list(parents.line(span))[1:]}
    return [span for span in with_headers if (span.trace_id, span.span_id) not in outer]


def gateway_call_of(span: ReceivedSpan) -> GatewayCall:
    """Return the gateway call that a span with headers recorded."""
    status = first_attribute(span.attributes, _STATUS_ATTRIBUTES)
    return GatewayCall(
        host=host_of(span.attributes),
        status=int(status) if status.isascii() and status.isdigit() else None,
        start=span.start,
        end=span.end,
        error=span.error,
        headers=tuple(sent_headers(span.attributes)),
    )


def host_of(attributes: Mapping[str, str]) -> str:
    """Return `host:port` and no more of a span's URL: its path can hold a Helicone key, its query any other."""
    if url := first_attribute(attributes, URL_ATTRIBUTES):
        try:
            return urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    address, port = attributes.get("server.address", ""), attributes.get("server.port", "")
    return f"{address}:{port}" if address and port else address


def first_attribute(attributes: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of some attributes that is set and not empty, or an empty text."""
    return next((value for name in names if (value := attributes.get(name))), "")


def _goes_to_gateway(span: ReceivedSpan, destinations: Destinations) -> bool:
    url = first_attribute(span.attributes, URL_ATTRIBUTES)
    return not url or destinations.of_url(url) is not Destination.SERVICE
