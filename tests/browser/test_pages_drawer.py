"""The drawer, which shows one request."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.support.costs import cost_of, money

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def requests_of(url: str, id_: str, name: str) -> list[Any]:
    return ask(url, "session", id=id_, name=name)["requests"]


def texts(window: BrowserWindow, title: str) -> str:
    section = window.drawer.locator("section", has=window.page.get_by_role("heading", name=title, exact=True)).last
    return section.inner_text()


def test_messages_are_shown_as_a_conversation(seeded: View, window: BrowserWindow) -> None:
    chat = next(one for one in requests_of(seeded.url, "review/1", "reviewer") if one["kind"] == "llm")
    window.session(seeded.url, "review/1", "reviewer", request=chat["id"])
    messages = window.drawer.locator("article.message")
    expect(messages).to_have_count(3)
    assert [message.inner_text().splitlines() for message in messages.all()] == [
        ["System", "You review code. <script>alert(1)</script>"],
        ["User", "Is file 0 safe?"],
        ["Assistant", "ended: tool_calls", "calls read_file c1", "{", '  "file": 0', "}"],
    ]


def test_model_tokens_first_token_and_times_are_at_the_top(seeded: View, window: BrowserWindow) -> None:
    chat = next(one for one in requests_of(seeded.url, "review/1", "reviewer") if one["kind"] == "llm")
    window.session(seeded.url, "review/1", "reviewer", request=chat["id"])
    stats = window.drawer.locator("dl.stats")
    stats.wait_for()
    facts = dict(zip(stats.locator("dt").all_inner_texts(), stats.locator("dd").all_inner_texts(), strict=True))
    started = facts.pop("Started")
    prices = ask(seeded.url, "request", id=chat["id"])["prices"]
    assert facts == {
        "Cost": f"{money(cost_of(100, 20))}, prices of {prices['date']} ({prices['name']})",
        "Duration": "30.0 ms",
        "First token": "12.0 ms",
        "Tokens": "100 in, 20 out",
        "Model": "gpt-4o-mini",
        "Provider": "openai",
        "Badge in Helicone": "Tool",
    }
    assert started.endswith(" UTC")


def test_input_and_result_of_a_tool_are_shown(seeded: View, window: BrowserWindow) -> None:
    tool = next(one for one in requests_of(seeded.url, "review/3", "reviewer") if one["kind"] == "tool")
    window.session(seeded.url, "review/3", "reviewer", request=tool["id"])
    assert texts(window, "Input").split() == ["Input", "{", '"file":', "0", "}"]
    assert texts(window, "Result").split() == ["Result", "{", '"safe":', "true", "}"]


def test_a_failed_request_shows_its_error(seeded: View, window: BrowserWindow) -> None:
    failed = next(one for one in requests_of(seeded.url, "review/3", "reviewer") if one["error"])
    window.session(seeded.url, "review/3", "reviewer", request=failed["id"])
    assert texts(window, "Input").split() == ["Input", "{", '"file":', "2", "}"]
    expect(window.drawer.locator(".failure")).to_have_text("TimeoutError")


def test_a_vector_query_is_shown_with_its_matches_and_scores(running: View, window: BrowserWindow) -> None:
    row = {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {
                "_type": "vector_db",
                "operation": "search",
                "text": "visa rules",
                "topK": 2,
                "databaseName": "docs",
            },
            "meta": {"Helicone-Session-Id": "v/1", "Helicone-Session-Path": "/find", "Helicone-Session-Name": "finder"},
        },
        "providerResponse": {
            "json": {
                "status": "success",
                "matches": [{"id": "a", "score": 0.91, "metadata": {"page": 3}}, {"id": "b", "score": 0.5}],
            },
            "status": 200,
            "headers": {},
        },
        "timing": {
            "startTime": {"seconds": 1760000000, "milliseconds": 0},
            "endTime": {"seconds": 1760000000, "milliseconds": 90},
        },
    }
    post = urllib.request.Request(
        f"{running.http_url}/custom/v1/log", json.dumps(row).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(post, timeout=20) as answer:
        assert answer.status == 200
    (only,) = requests_of(running.url, "v/1", "finder")
    window.session(running.url, "v/1", "finder", request=only["id"])
    assert "visa rules" in texts(window, "Query")
    shown = [" ".join(match.inner_text().split()) for match in window.drawer.locator(".match").all()]
    assert shown == ['0.910 id a { "page": 3 }', "0.500 id b"]


def test_sent_headers_ids_attributes_and_trace_are_shown(demo: str, window: BrowserWindow) -> None:
    found = ask(demo, "sessions", name=NAME, sort="-requests")["sessions"][0]
    chat = next(one for one in requests_of(demo, found["id"], NAME) if one["path"] == "/plan_trip/write")
    page = window.session(demo, found["id"], NAME, request=chat["id"])
    lines = texts(window, "Headers sent").splitlines()[1:]
    headers = dict(zip(lines[::2], lines[1::2], strict=True))
    assert (
        headers.items()
        >= {
            "Helicone-Session-Id": found["id"],
            "Helicone-Session-Path": "/plan_trip/write",
            "Helicone-Session-Name": NAME,
        }.items()
    )
    ids = texts(window, "Ids")
    full = ask(demo, "request", id=chat["id"])
    for id_ in (chat["id"], found["id"], full["trace"]["trace_id"], full["trace"]["span_id"]):
        assert id_ in ids
    window.drawer.get_by_text("Attributes (").click()
    expect(window.drawer.get_by_text("gen_ai.request.model")).to_be_visible()
    assert [item.split("\n")[0] for item in window.drawer.locator("ol.spans li").all_inner_texts()][:2] == [
        "plan_trip",
        "write",
    ]
    # The demo's gateway is on this machine, so that Helicone has no row of it.
    expect(window.drawer.get_by_role("link", name="This request on Helicone")).to_have_count(0)
    page.get_by_role("button", name="The request after").click()
    page.wait_for_url(f"**request={full['next']}*")
    page.get_by_role("button", name="The request before").click()
    page.wait_for_url(f"**request={chat['id']}*")


def test_a_request_that_helicone_has_a_row_of_has_a_link_to_it(running: View, window: BrowserWindow) -> None:
    from tests.support.view_seed import request_of, send, span  # noqa: PLC0415  # needs the extra "view"

    row = "0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "linked/1"}
    carried = {"url.full": "https://oai.helicone.ai/v1/chat", "http.response.header.helicone-id": [row]}
    spans = [span(91, 1, attributes=chat, length=9), span(91, 2, 1, name="POST", kind="CLIENT", attributes=carried)]
    send(running, request_of("finder", spans))
    (only,) = requests_of(running.url, "linked/1", "finder")
    window.session(running.url, "linked/1", "finder", request=only["id"])
    link = window.drawer.get_by_role("link", name="This request on Helicone")
    assert link.get_attribute("href") == f"https://us.helicone.ai/requests?requestId={row}"
    assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener noreferrer", "_blank")


def test_the_drawer_says_that_content_was_not_captured(demo: str, window: BrowserWindow) -> None:
    found = ask(demo, "sessions", name=NAME, sort="-requests")["sessions"][0]
    chats = [one for one in requests_of(demo, found["id"], NAME) if one["kind"] == "llm"]
    bare = [one for one in chats if ask(demo, "request", id=one["id"])["messages"] == []]
    if not bare:
        pytest.skip("the demo captures its content")
    window.session(demo, found["id"], NAME, request=bare[0]["id"])
    expect(window.drawer).to_contain_text("did not capture the content")
