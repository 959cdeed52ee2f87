"""What a row is made from, and the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...sessions.model import Session


class Event(NamedTuple):
    """An event of a span; its time is in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Mapping[str, object]


class FinishedSpan(NamedTuple):
    """A span that has ended: all that a row is made from.

    Attributes:
        name: The span's name.
        scope: The name of its instrumentation scope.
        attributes: Its attributes, with the label that was decided when it ended.
        events: Its events.
        start: In nanoseconds since the epoch; 0 if unknown.
        end: The same.
        failed: Whether its status is ERROR.
        reason: The description of the status; empty if there is none.
        wrappers: Other spans of the same call, the innermost first. What this span lacks is taken from them.
    """

    name: str
    scope: str
    attributes: Mapping[str, object]
    events: Sequence[Event]
    start: int
    end: int
    failed: bool
    reason: str
    wrappers: Sequence[FinishedSpan] = ()


class RowBodies(NamedTuple):
    """The request and the response of a row, and where the request went.

    Attributes:
        request: The body of the request.
        response: The body of the response.
        url: The provider's endpoint.
        route: The path of Helicone's endpoint that accepts such rows.
    """

    request: dict[str, Any]
    response: dict[str, Any]
    url: str = "custom-model-nopath"
    route: str = "/custom/v1/log"


class HeliconeRow(NamedTuple):
    """One row of Helicone's log.

    Attributes:
        id: The row's id, a UUID.
        route: The path of Helicone's endpoint that accepts it.
        kind: The kind of the call.
        session: The session that it belongs to.
        body: What is posted, in JSON's own types.
    """

    id: str
    route: str
    kind: str
    session: Session
    body: dict[str, Any]
