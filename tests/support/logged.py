"""Makes rows of Helicone's log in tests, also from recordings, and checks that Helicone would accept them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from helicone_otel import Settings
from helicone_otel.log.rows.content import Content
from helicone_otel.log.rows.encode import encoded
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.types import Event, FinishedSpan, HeliconeRow
from helicone_otel.tools.replay.files import recording_of
from helicone_otel.tools.replay.player import Replay
from helicone_otel.tracking.registry import Registry
from helicone_otel.wire import MAX_PATH, wire_text
from tests.support import replay

EXPECTED = replay.RECORDINGS.parent / "rows"
ROUTES = {"/custom/v1/log", "/oai/v1/log", "/anthropic/v1/log", "/googleapis/v1/log"}
ROW_ID = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"
START, END = 1_760_000_000_125_000_000, 1_760_000_001_640_000_000
LABEL = {
    "helicone.request.id": ROW_ID,
    "helicone.session.id": "s-1",
    "helicone.session.path": "/plan/draft",
    "helicone.session.name": "Trip planner",
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def finished_span(kind: str, attributes: Mapping[str, Any] = {}, **more: Any) -> FinishedSpan:  # only read
    """Return a span of this kind, with a label."""
    labelled = {**LABEL, "helicone.span.kind": kind, **attributes}
    return FinishedSpan(**{**_SPAN, "attributes": labelled, **more})


_SPAN: dict[str, Any] = {
    "name": "a span",
    "scope": "a.scope",
    "events": (),
    "start": START,
    "end": END,
    "failed": False,
    "reason": "",
}


def row(kind: str, attributes: Mapping[str, Any] = {}, content: Content = Content(), **more: Any) -> HeliconeRow:  # noqa: B008
    """Return the row of a span of this kind, and check that Helicone accepts it."""
    made = row_of(finished_span(kind, attributes, **more), content)
    assert made is not None
    check(made)
    return made


def bodies(made: HeliconeRow) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request and the response of a row as Helicone gets them."""
    body = json.loads(encoded(made))
    return body["providerRequest"]["json"], body["providerResponse"]["json"]


def recorded(name: str) -> Iterator[tuple[str, FinishedSpan]]:
    """Yield the requests of a recording, each with its span id, as the exporter makes rows of them."""
    recording = replay.load(name)
    spans = {span["span_id"]: span for span in recording["spans"]}
    for replayed in Replay(recording_of(recording), Registry(Settings())).run():
        attributes = replayed.final.attributes or {}
        span = spans[replayed.recorded.span_id]
        if "helicone.request.id" not in attributes:
            continue
        status = span.get("status", {})
        yield (
            span["span_id"],
            FinishedSpan(
                name=span["name"],
                scope=span["scope"]["name"],
                attributes=attributes,
                events=[Event(e["name"], e["time_unix_nano"], e["attributes"]) for e in span.get("events", ())],
                start=span["start_time_unix_nano"],
                end=span["end_time_unix_nano"],
                failed=status.get("code") == "ERROR",
                reason=status.get("description", ""),
            ),
        )


def check(made: HeliconeRow) -> None:
    """Check that Helicone would accept a row and show it: what its endpoints validate, and what breaks its pages."""
    sent = encoded(made)
    text = sent.decode()
    body = json.loads(text, parse_constant=_no_constant)
    assert len(text.encode("utf-16-le")) // 2 <= 10 * 1024 * 1024
    request, response, timing = body["providerRequest"], body["providerResponse"], body["timing"]
    log = {"providerRequest", "providerResponse", "timing"}
    # In front of the rest, because lists show the beginning of the request.
    assert [*body][-len(log) :] == ["providerRequest", "providerResponse", "timing"]
    assert {name: value for name, value in body.items() if name not in log} == request["json"]
    assert isinstance(request["url"], str)
    assert isinstance(request["json"], dict)
    assert isinstance(response["json"], dict)
    assert type(response["status"]) is int
    assert response["headers"] == {}
    _check_headers(request["meta"])
    assert request["meta"]["Helicone-Request-Id"] == made.id
    _check_timing(timing)
    assert made.route in ROUTES
    _check_shown(made.kind, request["json"], response["json"], response["status"])


def _check_headers(meta: dict[str, Any]) -> None:
    assert len({name.lower() for name in meta}) == len(meta)
    for name, value in meta.items():
        assert _HEADER_NAME.fullmatch(name), name
        assert isinstance(value, str), name
        assert value == wire_text(value, MAX_PATH) != ""
    assert _UUID.fullmatch(meta["Helicone-Request-Id"])
    assert meta.get("Helicone-Session-Path", "/").startswith("/")


def _check_timing(timing: dict[str, Any]) -> None:
    moments = []
    for name in ("startTime", "endTime"):
        assert set(timing[name]) == {"seconds", "milliseconds"}
        assert all(type(part) is int and part >= 0 for part in timing[name].values())
        assert timing[name]["milliseconds"] < 1000
        moments.append(timing[name]["seconds"] * 1000 + timing[name]["milliseconds"])
    assert moments[0] <= moments[1]
    assert timing.get("timeToFirstToken", 0) >= 0


def _check_shown(kind: str, request: dict[str, Any], response: dict[str, Any], status: int) -> None:
    assert request.get("stream") is not True
    assert response.get("status") not in ("queued", "in_progress")
    if kind not in ("llm", "embedding"):
        assert request["_type"] == response["_type"] == {"tool": "tool", "vector_db": "vector_db"}.get(kind, "data")
        assert "metadata" not in response
        assert (response["status"], status == 200) in (("success", True), ("error", False))
    for name in ("toolName", "name"):
        if "_type" in request:
            assert request.get(name) == response.get(name)
    for match in response.get("matches", ()):
        assert type(match.get("score", 0.0)) in (int, float)
    if status != 200:
        assert isinstance(response["error"]["message"], str)
        assert response["error"]["message"]


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def expected_form(made: HeliconeRow) -> dict[str, Any]:
    """Return a row in the form of the files with expected rows."""
    body = json.loads(encoded(made))
    request, response = body["providerRequest"], body["providerResponse"]
    return {
        "route": made.route,
        "url": request["url"],
        "status": response["status"],
        "timing": body["timing"],
        "meta": request["meta"],
        "request": request["json"],
        "response": response["json"],
    }


def expected(name: str) -> dict[str, Any]:
    """Return the expected rows of a recording, by span id."""
    return json.loads((EXPECTED / f"{name}.json").read_text())


def write_expected() -> None:
    """Write the files with expected rows, one row of each form. A person must review each line that changes."""
    seen: set[str] = set()
    for path in sorted(replay.RECORDINGS.glob("*.json")):
        rows = {}
        for span_id, span in recorded(path.stem):
            made = row_of(span, Content())
            assert made is not None
            if (form := _form(made)) not in seen:
                seen.add(form)
                rows[span_id] = {"span": f"{span.name} ({span.scope})", **expected_form(made)}
        if rows:
            (EXPECTED / path.name).write_text(_written(rows))


def _written(rows: Mapping[str, Mapping[str, Any]]) -> str:
    written = []
    for span_id, one in rows.items():
        lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in one.items()]
        written.append(f'"{span_id}": {{\n  ' + ",\n  ".join(lines) + "\n}")
    return "{\n" + ",\n".join(written) + "\n}\n"


def _form(made: HeliconeRow) -> str:
    """Return the form of a row: its kind, its route, its URL, and its fields."""
    request, response = bodies(made)
    return json.dumps([made.kind, made.route, made.body["providerRequest"]["url"], _fields(request), _fields(response)])


def _fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fields(item) for name, item in sorted(value.items())}
    return [_fields(item) for item in value] if isinstance(value, list) else type(value).__name__


if __name__ == "__main__":
    write_expected()
