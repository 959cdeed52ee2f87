"""A session as a tree by path: the model that is drawn, and printed as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | None"

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One HTTP request on which Helicone headers left for a gateway; a retry is another one.

    Attributes:
        host: `host:port` as far as the span tells; never the path or the query, which may hold keys.
        status: The status of the answer, `None` if the span does not tell.
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
        return self.error is not None or (self.status is not None and self.status >= HTTPStatus.BAD_REQUEST)


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """What the log API made of a request that no gateway saw.

    Attributes:
        badge: What Helicone shows it as.
        flaws: What it would draw otherwise than it was meant, as sentences.
    """

    badge: str
    model: str
    status: int
    flaws: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One real LLM call, embedding, vector operation, tool run, rerank or guardrail.

    Attributes:
        kind: As on the span; `http` for a call to a gateway that no LLM instrumentation covers.
        name: The model, if the span tells.
        calls: The HTTP requests that carried it to a gateway; none if it went elsewhere.
        rows: Its rows in Helicone's log; none if a gateway makes them.
    """

    kind: str
    name: str
    path: str
    start: int
    end: int
    error: str | None
    calls: tuple[GatewayCall, ...]
    rows: tuple[LoggedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a path, with everything that stands at it.

    Attributes:
        segment: The last segment of `path`; empty for the session's root.
        kind: `None` for a level that no span of this run stands at.
        runs: How often it ran.
    """

    segment: str
    path: str
    kind: str | None
    runs: int
    start: int
    end: int
    error: str | None
    requests: tuple[Request, ...]
    steps: tuple[Step, ...]

    def walk(self) -> Iterator[Step]:
        """Yield this step and all below it, each before its children."""
        yield self
        for step in self.steps:
            yield from step.walk()


@dataclass(frozen=True, slots=True)
class Session:
    """All that Helicone would show under one id and name.

    Attributes:
        name: Empty if the session has none.
    """

    id: str
    name: str
    root: Step

    @property
    def requests(self) -> list[Request]:
        return [request for step in self.root.walk() for request in step.requests]


def as_data(sessions: Iterable[Session]) -> list[Json]:
    """Return sessions as plain data for JSON; times are milliseconds from the session's start."""
    return [_session_data(session) for session in sessions]


def _session_data(session: Session) -> Json:
    root = session.root
    return {
        "id": session.id,
        "name": session.name or None,
        "started_at": datetime.fromtimestamp(root.start / 1e9, UTC).isoformat(timespec="milliseconds"),
        "duration_ms": _milliseconds(root.end - root.start),
        "request_count": len(session.requests),
        "tree": _step_data(root, root.start),
    }


def _step_data(step: Step, zero: int) -> Json:
    return {
        "segment": step.segment,
        "path": step.path,
        "kind": step.kind,
        "runs": step.runs,
        **_times(step, zero),
        "requests": [_request_data(request, zero) for request in step.requests],
        "steps": [_step_data(child, zero) for child in step.steps],
    }


def _request_data(request: Request, zero: int) -> Json:
    return {
        "kind": request.kind,
        "name": request.name or None,
        "path": request.path,
        **_times(request, zero),
        "gateway_calls": [_call_data(call, zero) for call in request.calls],
        "rows": [_row_data(row) for row in request.rows],
    }


def _call_data(call: GatewayCall, zero: int) -> Json:
    return {"host": call.host, "status": call.status, **_times(call, zero), "headers": dict(call.headers)}


def _row_data(row: LoggedRow) -> Json:
    return {"badge": row.badge, "model": row.model, "status": row.status, "flaws": list(row.flaws)}


def _times(timed: Step | Request | GatewayCall, zero: int) -> dict[str, Json]:
    return {
        "start_ms": _milliseconds(timed.start - zero),
        "duration_ms": _milliseconds(timed.end - timed.start),
        "error": timed.error,
    }


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / _MS, 3)
