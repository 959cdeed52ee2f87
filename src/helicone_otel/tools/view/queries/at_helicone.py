"""Finds the page of a request on Helicone: only a request that Helicone has a row of, by an id that is known, has one.

The spans prove it: an HTTP request to one of Helicone's own gateways, and an id that came in the answer or was sent and
answered. What an app logs itself is not proven by a span: it may not log at all, or log to this view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .... import wire
from ....destinations import Destination, Destinations
from ...replay.calls import status_of
from ...replay.spans import url_of

# The dashboards of the two regions. A key, and so a row, belongs to one of them.
_DASHBOARD: Final = "https://us.helicone.ai"
_EUROPEAN_DASHBOARD: Final = "https://eu.helicone.ai"
# Gateways of the user's own have a dashboard whose address nobody knows here.
_HELICONES_OWN: Final = Destinations()
_ANSWERED_ID: Final = f"http.response.header.{wire.ROW_ID_HEADER}"
_SENT_ID: Final = f"{wire.REQUEST_HEADER_PREFIX}{wire.REQUEST_ID_HEADER.lower()}"
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/
_SERVER: Final = "server.address"


def page_at_helicone(span: Mapping[str, Any], below: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the address of a request's page on Helicone; `None` if no row of it is known to exist.

    Args:
        span: The attributes of the request's span.
        below: The attributes of the spans that carried it, in the order of their starts: the row is that of the last.
    """
    for attributes in (*reversed(list(below)), span):
        host = _gateway_in(attributes)
        if host is None:
            continue
        row_id = _row_id(attributes) or _valid(span.get(wire.REQUEST_ID))
        if row_id is None:
            return None
        dashboard = _EUROPEAN_DASHBOARD if "eu" in host.split(".") else _DASHBOARD
        return f"{dashboard}/requests?requestId={row_id}"
    return None


def _gateway_in(attributes: Mapping[str, Any]) -> str | None:
    """Return the host of one of Helicone's gateways to which a span's request went; `None` if it went elsewhere."""
    url = url_of(attributes)
    try:
        host = urlsplit(url).hostname if isinstance(url, str) and url else attributes.get(_SERVER)
    except ValueError:  # it is no URL
        return None
    if not isinstance(host, str) or _HELICONES_OWN.of_host(host, None, "https") is not Destination.GATEWAY:
        return None
    return host.lower()


def _row_id(attributes: Mapping[str, Any]) -> str | None:
    """Return the id that the gateway's answer names, or that was sent with a request that was answered."""
    answered = _valid(attributes.get(_ANSWERED_ID))
    return answered or (_valid(attributes.get(_SENT_ID)) if status_of(attributes) is not None else None)


def _valid(value: Any) -> str | None:
    text = value[0] if isinstance(value, list) and value else value
    return text.lower() if isinstance(text, str) and re.match(wire.ROW_ID, text) else None
