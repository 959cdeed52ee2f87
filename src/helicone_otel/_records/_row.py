"""From a span to a row, and from a row to the bytes that leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from .. import _wire
from .._guard import swallow
from .._session import Session, SessionPath
from .._spans import REQUEST_KINDS

_CUSTOM: Final = "/custom/v1/log"


class Event(NamedTuple):
    """An event of a span; its time is in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Mapping[str, object]


class Facts(NamedTuple):
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
    """

    name: str
    scope: str
    attributes: Mapping[str, object]
    events: Sequence[Event]
    start: int
    end: int
    failed: bool
    reason: str


class Where(NamedTuple):
    """Where a text stands that is about to leave.

    Attributes:
        kind: The kind of the call, for instance `llm` or `tool`.
        side: Whether it went into the call or came out of it.
        key: What it is called where it stands, for instance `content`, or the name of an argument.
    """

    kind: str
    side: Literal["inputs", "outputs"]
    key: str


class Content(NamedTuple):
    """Which content may leave.

    Attributes:
        inputs: The kinds of calls whose inputs may.
        outputs: The kinds of calls whose outputs may.
        redact: Given each text, returns what is sent in its place.
    """

    inputs: frozenset[str] = REQUEST_KINDS
    outputs: frozenset[str] = REQUEST_KINDS
    redact: Callable[[str, Where], str] | None = None


class Row(NamedTuple):
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


def row_of(facts: Facts, content: Content) -> Row | None:
    """Return the row of a span; `None` if it can have none. Never raises."""
    try:
        return _row(facts, content)
    except Exception as error:  # noqa: BLE001  # spans hold what the world put there
        swallow("row_of", error)
        return None


def encoded(row: Row) -> bytes:
    """Return the body of a row as compact JSON."""
    return json.dumps(row.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _row(facts: Facts, content: Content) -> Row | None:
    attributes = facts.attributes
    request_id, kind = attributes.get(_wire.REQUEST_ID), attributes.get(_wire.SPAN_KIND)
    session_id = attributes.get(_wire.SESSION_ID)
    if not isinstance(request_id, str) or not isinstance(kind, str) or not isinstance(session_id, str):
        return None
    session = _session(session_id, attributes)
    request, response = _BODIES.get(kind, _data)(facts)
    # Until there is more: no content of a kind for which any is kept back.
    if content.redact or kind not in content.inputs & content.outputs:
        for body in (request, response):
            for key in ("input", "query", "result"):
                body.pop(key, None)
    response["status"] = "error" if facts.failed else "success"
    if facts.failed:
        response["error"] = {"message": facts.reason or "error"}
    meta = {_wire.SESSION_PATH_HEADER: _text(attributes.get(_wire.SESSION_PATH)) or "/", **dict(session.headers)}
    body = {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": request,
            "meta": {**meta, "Helicone-Request-Id": request_id},
        },
        "providerResponse": {"json": response, "status": 500 if facts.failed else 200, "headers": {}},
        "timing": {"startTime": _time(facts.start), "endTime": _time(max(facts.start, facts.end))},
    }
    return Row(request_id, _CUSTOM, kind, session, body)


def _session(session_id: str, attributes: Mapping[str, object]) -> Session:
    prefix = _wire.PROPERTY_PREFIX
    return Session(
        session_id,
        _text(attributes.get(_wire.SESSION_NAME)) or None,
        SessionPath("/" + _text(attributes.get(_wire.SESSION_PATH))),
        _text(attributes.get(_wire.OTEL_USER_ID)) or None,
        {key.removeprefix(prefix): _text(value) for key, value in attributes.items() if key.startswith(prefix)},
    )


def _tool(facts: Facts) -> tuple[dict[str, Any], dict[str, Any]]:
    named = {"_type": "tool", "toolName": _text(facts.attributes.get("gen_ai.tool.name")) or facts.name}
    arguments = _text(facts.attributes.get("gen_ai.tool.call.arguments"))
    return {**named, "input": arguments}, {**named, "result": _text(facts.attributes.get("gen_ai.tool.call.result"))}


def _vector(facts: Facts) -> tuple[dict[str, Any], dict[str, Any]]:
    known = {
        "operation": _text(facts.attributes.get("db.operation.name")),
        "databaseName": _text(facts.attributes.get("db.system.name")),
        "collection": _text(facts.attributes.get("db.collection.name")),
        "query": _text(facts.attributes.get("db.query.text")),
    }
    return {"_type": "vector_db", **{key: text for key, text in known.items() if text}}, {"_type": "vector_db"}


def _data(facts: Facts) -> tuple[dict[str, Any], dict[str, Any]]:
    named = {"_type": "data", "name": _text(facts.attributes.get(_wire.DATA_NAME)) or facts.name}
    return dict(named), dict(named)


_BODIES: Final = {"tool": _tool, "vector_db": _vector}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(max(nanoseconds, 0), 1_000_000_000)
    return {"seconds": seconds, "milliseconds": rest // 1_000_000}
