"""The HTTP requests with Helicone headers that spans recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...destinations import Destination, Destinations
from ..replay.calls import failed_status, status_of
from ..replay.spans import SpanParents, sent_headers, url_of
from .receiver import ReceivedSpan


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One HTTP request with Helicone headers to a gateway. Each attempt of an SDK is one.

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
    def failure(self) -> str | None:
        """How it failed: the status from 400 on, or else the error of its span."""
        return failed_status(self.status) or self.error


def spans_with_headers(
    spans: Sequence[ReceivedSpan], parents: SpanParents[ReceivedSpan], destinations: Destinations
) -> list[ReceivedSpan]:
    """Return one span for each HTTP request with Helicone headers to a gateway."""
    with_headers = [span for span in spans if sent_headers(span.attributes) and _goes_to_gateway(span, destinations)]
    # The Anthropic SDK writes headers on its own span and the HTTP client below writes them again: one request.
    return parents.innermost(with_headers)


def gateway_call_of(span: ReceivedSpan) -> GatewayCall:
    """Return the gateway call that a span with headers recorded."""
    return GatewayCall(
        host=host_of(span.attributes),
        status=status_of(span.attributes),
        start=span.start,
        end=span.end,
        error=span.error,
        headers=tuple(sent_headers(span.attributes)),
    )


def host_of(attributes: Mapping[str, str]) -> str:
    """Return `host:port` and no more of a span's URL: its path can hold a Helicone key, its query any other."""
    if isinstance(url := url_of(attributes), str) and url:
        try:
            return urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    address, port = attributes.get("server.address", ""), attributes.get("server.port", "")
    return f"{address}:{port}" if address and port else address


def _goes_to_gateway(span: ReceivedSpan, destinations: Destinations) -> bool:
    url = url_of(span.attributes)
    return not url or destinations.of_url(url) is not Destination.SERVICE
