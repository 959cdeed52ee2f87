"""Sessions as CSV, JSON and OTLP."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel import Settings
from helicone_otel.tools.view import exports
from helicone_otel.tools.view.database import Database
from helicone_otel.tools.view.intake import load_files
from helicone_otel.tools.view.queries.session import session as find_session
from tests.support.view_seed import any_value, request_of, review, span
from tests.support.viewing import Answer, ViewClient, ask, posted_row, with_requests

EPOCH = 1_760_000_000_000_000_000


def export(view: ViewClient, form: str, **parameters: object) -> Answer:
    return ask(f"{view.view.url}/api/export?{urlencode({'format': form, **parameters})}")


def rows_of(answer: Answer) -> list[dict[str, str]]:
    assert answer.status == 200, answer.body
    return list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))


@pytest.fixture
def reviews(view: ViewClient) -> ViewClient:
    for number in (1, 2):
        view.send(request_of("reviewer", review(number, f"review/{number}", 4, EPOCH + number * 10**12, fails=True)))
    view.log(posted_row("s", "/a", "other"))
    return view


def test_a_session_as_csv_has_a_line_for_each_request(reviews: ViewClient) -> None:
    answer = export(reviews, "csv", id="review/1", name="reviewer")
    rows = rows_of(answer)
    requests = reviews.session("review/1")["requests"]

    assert (answer.headers["content-type"], answer.headers["content-disposition"]) == (
        "text/csv; charset=utf-8",
        "attachment; filename*=utf-8''session%20review%2F1.csv",
    )
    assert [row["request_id"] for row in rows] == [one["id"] for one in requests]
    assert rows[0] == {
        "session_id": "review/1",
        "session_name": "reviewer",
        "path": "/reviewer",
        "kind": "llm",
        "name": "gpt-4o-mini",
        "model": "gpt-4o-mini",
        "provider": "openai",
        "start": "2025-10-09T09:10:00.005Z",
        "duration_ms": "30.0",
        "first_token_ms": "12.0",
        "input_tokens": "100",
        "output_tokens": "20",
        "cost": "2.7e-05",
        "error": "",
        "badge": "Tool",
        "request_id": requests[0]["id"],
    }
    assert [row["error"] for row in rows if row["error"]] == ["TimeoutError"]


def test_what_a_filter_lets_through_is_exported(reviews: ViewClient) -> None:
    def sessions(**parameters: object) -> set[str]:
        return {row["session_id"] for row in rows_of(export(reviews, "csv", **parameters))}

    assert sessions() == {"review/1", "review/2", "s"}
    assert sessions(name="reviewer") == sessions(errors=1) == {"review/1", "review/2"}
    assert sessions(search="view/2") == {"review/2"}
    assert sessions(name="none") == set()
    assert sessions(id="review/1") == {"review/1"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0"])
def test_a_text_that_a_spreadsheet_would_run_is_marked_as_text(text: str) -> None:
    assert exports._cell(text) == f"'{text}"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_is_one_cell(texts: list[str]) -> None:
    written = exports._csv_lines([texts]).decode()

    assert list(csv.reader(io.StringIO(written, newline=""), strict=True)) == [
        [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    ]


def test_sessions_as_json_have_their_requests_with_content(reviews: ViewClient) -> None:
    answer = export(reviews, "json", name="reviewer")
    sessions = answer.data
    listed = {one["id"]: one for one in reviews.get("sessions")["sessions"]}

    assert answer.headers["content-type"] == "application/json"
    assert [one["session"]["id"] for one in sessions] == ["review/2", "review/1"]
    for session in sessions:
        assert session["session"] == listed[session["session"]["id"]]
        assert len(session["requests"]) == session["session"]["requests"]
        for request in session["requests"]:
            whole = reviews.request(request["id"])
            trace = {key: whole["trace"][key] for key in ("trace_id", "span_id")}
            left_out = ("session", "colour", "markdown", "previous", "next")
            assert request == {**{key: one for key, one in whole.items() if key not in left_out}, "trace": trace}


def test_otlp_that_is_exported_makes_the_same_session_again(reviews: ViewClient, tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_bytes(export(reviews, "otlp", id="review/1").body)
    before = reviews.session("review/1")

    database = Database()
    try:
        assert load_files(database, Settings(), [file]) == 0
        with database.reading() as connection:
            after = find_session(connection, "review/1", None)
    finally:
        database.close()

    assert after is not None
    again = with_requests(after)
    for key in ("session", "tree", "requests", "durations"):
        assert again[key] == before[key]


def test_values_of_every_type_stay_as_they_are_in_otlp(view: ViewClient) -> None:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": "c",
        "text": "ä\u202e<b>",
        "yes": True,
        "large": 2**62,
        "half": 0.5,
        "list": ["a", "b"],
    }
    view.take(span(1, 1, attributes=attributes))

    (line,) = export(view, "otlp", id="c").body.splitlines()
    (resource,) = json.loads(line)["resourceSpans"]
    (exported,) = resource["scopeSpans"][0]["spans"]

    assert resource["scopeSpans"][0]["scope"] == {"name": "opentelemetry.instrumentation.openai_v2"}
    assert (exported["traceId"], exported["spanId"]) == (f"{1:032x}", f"{1:016x}")
    assert {one["key"]: one["value"] for one in exported["attributes"]}.items() >= {
        "text": {"stringValue": "ä\u202e<b>"},
        "yes": {"boolValue": True},
        "large": {"intValue": str(2**62)},
        "half": {"doubleValue": 0.5},
        "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}},
    }.items()


@pytest.mark.parametrize("form", ["csv", "json", "otlp"])
def test_no_export_has_a_secret(view: ViewClient, form: str) -> None:
    secret = "sk-12345678901234567890"
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": "c",
        "error.type": f"no access with {secret}",
        "http.request.header.authorization": ["very-secret-key"],
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": {"api_key": "very-secret-key"}}]),
        "note": secret,
    }
    request = request_of("shop", [span(1, 1, attributes=attributes)])
    resource = request.resource_spans[0].resource
    resource.attributes.add(key="process.command_args", value=any_value(["--token", "very-secret-key"]))
    view.send(request)

    body = export(view, form, id="c").body.decode()

    assert [one for one in (secret, "very-secret-key") if one in body] == []
    assert "***" in body


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ({"format": "xlsx"}, 400, "format: one of html, csv, json, otlp"),
        ({"format": "csv", "id": "none"}, 404, "there is no such session"),
        ({"format": "csv", "from": "x"}, 400, "from: not a number"),
        ({"format": "html"}, 400, "id: missing"),
    ],
)
def test_an_export_that_cannot_be_made_is_an_error(
    view: ViewClient, query: dict[str, str], status: int, error: str
) -> None:
    answer = ask(f"{view.view.url}/api/export?{urlencode(query)}")

    assert (answer.status, answer.data) == (status, {"error": error})


def test_more_requests_than_a_file_may_have_are_an_error(reviews: ViewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    few = exports.FORMATS["csv"]._replace(requests=12)
    monkeypatch.setitem(exports.FORMATS, "csv", few)

    assert export(reviews, "csv", id="review/1").status == 200
    assert export(reviews, "csv").data == {
        "error": "25 requests are more than the 12 that a csv file may have; choose fewer sessions"
    }


def test_requests_of_traces_that_overlap_are_read_trace_by_trace(view: ViewClient) -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
    for trace in (1, 2):
        view.take(*(span(trace, 10 * trace + n, attributes=chat, start=2 * n + trace) for n in range(3)))

    (session,) = export(view, "json", id="c").data

    assert [one["trace"]["trace_id"][-1] for one in session["requests"]] == ["1", "1", "1", "2", "2", "2"]


def page_of(view: ViewClient, id_: str) -> Any:
    """Return the data in the page of a session."""
    html = ask(f"{view.view.url}/api/export?id={id_}").body
    return json.loads(html.partition(b'id="exported">')[2].partition(b"</script>")[0])


def test_a_page_of_a_session_has_the_requests_as_the_api_has_them(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helicone_otel.tools.view.queries.request._AT_ONCE", 2)
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
    for trace in (1, 2):
        view.take(*(span(trace, 10 * trace + n, attributes=chat, start=2 * n + trace) for n in range(3)))
    for path in ("/a", "/b"):
        view.log(posted_row("c", path, "shop"))
    ids = [one["id"] for one in view.session("c")["requests"]]
    exported = page_of(view, "c")["requests"]

    assert len(ids) == 8
    assert exported.keys() == set(ids)
    assert [(exported[id_]["previous"], exported[id_]["next"]) for id_ in ids] == list(
        zip([None, *ids], [*ids[1:], None], strict=False)
    )
    assert [{**exported[id_], "trace": None} for id_ in ids] == [{**view.request(id_), "trace": None} for id_ in ids]


def test_a_page_of_a_session_has_each_span_once(reviews: ViewClient) -> None:
    data = page_of(reviews, "review/1")
    for request in data["requests"].values():
        whole = reviews.request(request["id"])["trace"]
        spans = [data["spans"][number] for number in request["trace"]["spans"]]
        known = {one["span_id"]: {key: one[key] for key in one if key != "this"} for one in whole["spans"]}
        assert [one for one in spans if one != known[one["span_id"]]] == []
    ids = [one["span_id"] for one in data["spans"]]
    assert len(ids) == len(set(ids)) == 13
