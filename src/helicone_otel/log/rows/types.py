"""What goes into a row, and the row."""

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
    """A span that has ended, as it is handed over: all that a row is made from.

    Attributes:
        name: The span's name.
        scope: The name of its instrumentation scope.
        attributes: The settled ones, the label among them.
        events: What happened meanwhile.
        start: In nanoseconds since the epoch; 0 where unknown.
        end: The same.
        failed: Its status is ERROR.
        reason: The status' description, empty if there is none.
        wrappers: What other spans tell of the same call, the innermost first: for what this one lacks.
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


class HeliconeRow(NamedTuple):
    """One row of Helicone's log.

    Attributes:
        id: The row's id, a UUID.
        route: The path of the endpoint that takes it.
        kind: What the call was.
        session: To which session it belongs.
        body: What is posted, in JSON's own types.
        headers: HTTP headers beside those for authorization and content type.
    """

    id: str
    route: str
    kind: str
    session: Session
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


class RowBodies(NamedTuple):
    """What is specific to a row: the two bodies, and where they would have gone.

    Attributes:
        request: The body of the request.
        response: The body of the response.
        url: The provider's endpoint.
        route: The path of Helicone's endpoint that takes such rows.
    """

    request: dict[str, Any]
    response: dict[str, Any]
    url: str = "custom-model-nopath"
    route: str = "/custom/v1/log"
