"""Find sessions and requests: by ids, names, models, paths and content, and by filters that combine."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helicone_otel.tools.view.retention import Retention, remove_sessions
from helicone_otel.tools.view.text_index import Indexer, expression_of, words_of
from tests.support.view_seed import span
from tests.support.viewing import ViewClient, ask, posted_row

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up_weather"}


def indexed(view: ViewClient) -> ViewClient:
    """Wait until all requests can be found."""
    deadline = time.monotonic() + 20
    while view.get("status")["unindexed"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return view


def found(view: ViewClient, **parameters: Any) -> list[str]:
    """Return the ids of the sessions that the list shows, sorted."""
    listed = indexed(view).get("sessions", **parameters)
    ids = sorted(one["id"] for one in listed["sessions"])
    assert (listed["total"], listed["totals"]["sessions"]) == (len(ids), len(ids))
    names = view.get("names", **parameters)["names"]
    assert sum(one["sessions"] for one in names) == len(ids)
    return ids


def say(*texts: str) -> str:
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts])


@pytest.fixture
def filled(view: ViewClient) -> ViewClient:
    """Three sessions: one of spans, one of a row, one with a failed tool."""
    asked = {"gen_ai.input.messages": say("Where is the Löwenbräu? 京都の天気は")}
    answered = {"gen_ai.output.messages": say('In "Munich", near platform 26b')}
    label = {"gen_ai.conversation.id": "trip-42", "user.id": "ann"}
    view.take(span(1, 1, attributes={**CHAT, **label, **asked, **answered}, length=900), service="planner")
    failed = {**TOOL, "gen_ai.conversation.id": "storm-7", "user.id": "bob", "error.type": "TimeoutError: too slow"}
    view.take(span(2, 1, name="execute_tool look_up_weather", attributes=failed, length=30), service="forecast")
    body = {"model": "claude-opus-4.6", "messages": [{"role": "user", "content": "Refund the ferry to Bergen"}]}
    view.log(
        posted_row("shop/9", "/refund/write", "Shop", properties={"env": "staging", "tier": "gold"}, asked_for=body)
    )
    return view


@pytest.mark.parametrize(
    ("search", "ids"),
    [
        # Content of spans and of rows, without accents and in any case, from the beginning of a word on.
        ("löwenbräu", ["trip-42"]),
        ("LOWENB", ["trip-42"]),
        ("munich platform", ["trip-42"]),
        ('"near platform"', ["trip-42"]),
        ('"platform near"', []),
        ("京都", ["trip-42"]),
        ("天気は", ["trip-42"]),
        ("天京", []),
        ("ferry", ["shop/9"]),
        ("räu", []),
        # Models, paths, names and errors of requests.
        ("claude-opus", ["shop/9"]),
        ("/refund/write", ["shop/9"]),
        ("look_up", ["storm-7"]),
        ("timeouterror", ["storm-7"]),
        # Parts of the id, the name, a user or a property of a session, also together with content.
        ("rip-4", ["trip-42"]),
        ("bob", ["storm-7"]),
        ("staging ferry", ["shop/9"]),
        ("gold claude", ["shop/9"]),
        ("staging munich", []),
        ("the", ["shop/9", "trip-42"]),
        # What has no letters, and what looks like the syntax of a query, is a text.
        ("/", ["shop/9"]),
        ('" AND (', []),
        ("ferry OR munich", []),
        ("text:ferry*", []),
        ("no such thing", []),
        ("", ["shop/9", "trip-42", "storm-7"]),
    ],
)
def test_sessions_are_found_by_what_is_in_them(filled: ViewClient, search: str, ids: list[str]) -> None:
    assert found(filled, search=search) == sorted(ids)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([("kind", "tool")], ["storm-7"]),
        ([("kind", "tool"), ("kind", "llm")], ["shop/9", "trip-42", "storm-7"]),
        ([("errors", "1")], ["storm-7"]),
        ([("errors", "0")], ["shop/9", "trip-42"]),
        ([("model", "gpt-4o-mini")], ["trip-42"]),
        ([("model", "gpt-4o-mini"), ("model", "claude-opus-4.6")], ["trip-42"]),
        ([("model", "gpt")], []),
        ([("user", "ann"), ("user", "bob")], ["trip-42", "storm-7"]),
        ([("user", "ann"), ("kind", "tool")], []),
        ([("property", "env:staging")], ["shop/9"]),
        ([("property", "env:staging"), ("property", "env:prod")], ["shop/9"]),
        ([("property", "env:staging"), ("property", "tier:silver")], []),
        ([("property", "env:staging"), ("property", "tier:gold"), ("search", "bergen")], ["shop/9"]),
        ([("duration", "..100")], ["storm-7"]),
        ([("duration", "900..900")], ["trip-42"]),
        ([("duration", "500.."), ("errors", "0"), ("search", "the")], ["shop/9", "trip-42"]),
        ([("tokens", "1..")], ["shop/9"]),
        ([("cost", "0.000001..")], ["shop/9"]),
        ([("cost", "..0.000001")], []),
        ([("requests", "2..")], []),
    ],
)
def test_filters_combine(filled: ViewClient, filters: list[tuple[str, str]], ids: list[str]) -> None:
    # The model that answered a row counts, as on its request.
    expected = sorted({*ids, *(["shop/9"] if ("model", "gpt-4o-mini") in filters else [])})
    indexed(filled)
    listed = filled.get("sessions", *filters)

    assert (sorted(one["id"] for one in listed["sessions"]), listed["total"]) == (expected, len(expected))


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("duration", "5", "duration: LEAST..MOST, of which one may be missing"),
        ("tokens", "..", "tokens: LEAST..MOST, of which one may be missing"),
        ("requests", "a..b", "requests: LEAST..MOST, of which one may be missing"),
        ("property", "env", "property: NAME:VALUE"),
    ],
)
def test_a_filter_that_cannot_be_read_is_an_error(view: ViewClient, parameter: str, value: str, error: str) -> None:
    answer = ask(f"{view.view.url}/api/sessions?{parameter}={value}")

    assert (answer.status, answer.data) == (400, {"error": error})


def test_inside_a_session_the_requests_are_found(view: ViewClient) -> None:
    label = {"gen_ai.conversation.id": "c"}
    texts = ["The night train to Oslo", "The ferry to Bergen", "Nothing of it"]
    spans = [
        span(1, 1 + n, attributes={**CHAT, **label, "gen_ai.input.messages": say(t)}, start=n)
        for n, t in enumerate(texts)
    ]
    view.take(*spans)
    view.take(span(2, 1, attributes={**CHAT, "gen_ai.conversation.id": "other", "gen_ai.input.messages": say("train")}))
    ids = [one["id"] for one in view.session("c")["requests"]]
    indexed(view)

    def inside(search: str) -> list[str]:
        return sorted(view.get("find", id="c", search=search)["requests"])

    assert (inside("train"), inside("the to"), inside("night bergen")) == (ids[:1], sorted(ids[:2]), [])
    assert inside(ids[2]) == ids[2:]
    assert ask(f"{view.view.url}/api/find?id=nobody&search=x").status == 404
    assert ask(f"{view.view.url}/api/find?id=c").data == {"error": "search: missing"}


def test_a_wrapper_that_arrives_later_is_found_by_its_request(view: ViewClient) -> None:
    captured = {**TOOL, "gen_ai.tool.call.result": json.dumps({"answer": "42 degrees"}), "gen_ai.conversation.id": "c"}
    inner = {**TOOL, "gen_ai.conversation.id": "c"}
    view.take(span(1, 2, 1, name="execute_tool look_up_weather", scope="mcp", attributes=inner, start=5))
    assert found(view, search="degrees") == []
    view.take(span(1, 1, name="execute_tool look_up_weather", scope="weather", attributes=captured, length=50))

    assert found(view, search="degrees") == ["c"]


def test_what_is_replaced_or_gone_is_not_found_any_more(view: ViewClient) -> None:
    row = "0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"
    for session, word in (("one", "alpha"), ("two", "beta")):
        body = {"model": "m", "messages": [{"role": "user", "content": word}]}
        view.log(posted_row(session, "/x", "shop", request_id=row, asked_for=body))
        indexed(view)
    assert (found(view, search="alpha"), found(view, search="beta"), found(view)) == ([], ["two"], ["two"])

    view.view.database.write(lambda connection: connection.execute("DELETE FROM requests")).result()
    view.view.indexer.changed()
    indexed(view)
    with view.view.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM texts").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM found WHERE found MATCH 'beta'").fetchone()[0] == 0


def test_a_request_that_changes_before_it_is_indexed_is_indexed_as_it_is_then(view: ViewClient) -> None:
    label = {"gen_ai.conversation.id": "c", "gen_ai.input.messages": say("delta")}
    with mock.patch.object(Indexer, "_index_some", return_value=False):
        view.take(span(1, 2, 1, attributes={**CHAT, **label}))
        view.take(span(1, 1, name="run", attributes={"gen_ai.conversation.id": "c"}, length=50))
    view.view.indexer.changed()

    assert found(view, search="delta") == ["c"]


def test_a_session_that_is_not_kept_any_more_is_not_found_any_more(view: ViewClient) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "epsilon"}]}
    view.log(posted_row("s", "/x", "shop", asked_for=body))
    indexed(view)
    view.view.database.write(lambda connection: remove_sessions(connection, Retention(days=1e-9))).result()
    with view.view.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM texts").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM found WHERE found MATCH 'epsilon'").fetchone()[0] == 0


def test_secrets_cannot_be_searched_for(view: ViewClient) -> None:
    secrets = {
        "http.request.header.authorization": ["Bearer hiddenbearer1"],
        "gen_ai.input.messages": say("my key is sk-hiddenkey2-abcdefg"),
        "gen_ai.tool.call.arguments": json.dumps({"api_key": "hiddenargument3", "query": "visible"}),
        "gen_ai.conversation.id": "c",
    }
    view.take(span(1, 1, attributes={**TOOL, **secrets}))
    body = {"model": "m", "messages": [{"role": "user", "content": "visible"}], "api_key": "hiddenrow4"}
    view.log(posted_row("d", "/x", "shop", asked_for=body))

    assert found(view, search="visible") == ["c", "d"]
    for word in ("hiddenbearer1", "hiddenkey2", "sk-hidden", "hiddenargument3", "hiddenrow4", "hidden"):
        assert found(view, search=word) == []


def test_a_view_indexes_what_an_earlier_one_left(view: ViewClient) -> None:
    view.log(
        posted_row("s", "/x", "shop", asked_for={"model": "m", "messages": [{"role": "user", "content": "gamma"}]})
    )
    indexed(view)

    def forget(connection: Any) -> None:
        connection.execute("INSERT INTO unindexed SELECT request, 1 FROM texts")

    view.view.database.write(forget).result()
    view.view.indexer.changed()
    assert found(view, search="gamma") == ["s"]


def test_the_values_to_filter_by_are_listed_the_most_frequent_first(filled: ViewClient) -> None:
    filled.log(posted_row("shop/10", "/x", "Shop", properties={"env": "prod"}, user="ann"))
    values = filled.get("values")

    assert values["users"] == ["ann", "bob"]
    assert values["models"] == ["gpt-4o-mini", "claude-opus-4.6"] or set(values["models"]) == {"gpt-4o-mini"}
    assert {name: sorted(held) for name, held in values["properties"].items()} == {
        "env": ["prod", "staging"],
        "tier": ["gold"],
    }


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_can_be_searched_for(view: ViewClient, text: str) -> None:
    with view.view.database.reading() as connection:
        expression = expression_of(words_of(text))
        if expression is not None:
            connection.execute("SELECT rowid FROM found WHERE found MATCH ?", (expression,)).fetchall()
