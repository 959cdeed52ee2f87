"""Hostile text in spans and rows is shown and never runs, on the pages and in the exported file."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask
from tests.browser.window import BrowserWindow
from tests.support.view_seed import request_of, send, span

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

ATTACKS = {
    "script": "</script><script>window.hacked=1</script>",
    "handler": '"><img src=x onerror="window.hacked=1">',
    "svg": "<svg onload=window.hacked=1><animate onbegin=window.hacked=1 attributeName=x dur=1s></svg>",
    "link": "javascript:window.hacked=1",
    "template": "{{7*7}}${window.hacked=1}{a|b}<!--<script>",
    "turned": "safe\u202egnp.exe\u2066\u200b\u200f end",
    "controls": "a\x07b\x1b[31mc\u0085d",
}
# How the invisible is shown.
SHOWN = {
    "turned": "safe⟨U+202E⟩gnp.exe⟨U+2066⟩⟨U+200B⟩⟨U+200F⟩ end",
    "controls": "a⟨U+0007⟩b⟨U+001B⟩[31mc⟨U+0085⟩d",
}
INVISIBLE = "\u202e\u2066\u200b\u200f\x07\x1b\u0085"


def attack(text: str, number: int) -> list[dict[str, Any]]:
    """Return the spans of a session in which every field has this text."""
    base = number << 12
    session = {"session.id": f"{number}{text}", "helicone.session.name": f"n{text}", "user.id": f"u{text}"}
    messages = [{"role": text, "parts": [{"type": "text", "content": text}, {"type": text, "url": text, text: text}]}]
    answer = [
        {
            "role": "assistant",
            "finish_reason": text,
            "parts": [
                {"type": "text", "content": text},
                {"type": "tool_call", "id": text, "name": text, "arguments": {text: text}},
            ],
        }
    ]
    chat = {
        **session,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": text,
        "gen_ai.request.model": text,
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps(answer),
        "error.type": text,
        "http.request.header.helicone-property-x": [text],
        f"key{text}": text,
    }
    tool = {
        **session,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": text,
        "gen_ai.tool.call.arguments": json.dumps({text: text}),
        "gen_ai.tool.call.result": text,
    }
    search = {
        **session,
        "db.system.name": "qdrant",
        "db.operation.name": text,
        "db.collection.name": text,
        "db.query.text": text,
    }
    agent = {**session, "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": text}
    common = {"epoch": time.time_ns() - 10**10, "scope": "opentelemetry.instrumentation.qdrant"}
    return [
        span(number, base + 1, name=text, attributes=agent, length=100, **common),
        span(number, base + 2, base + 1, name=text, attributes=chat, start=1, length=20, kind="CLIENT", **common),
        span(number, base + 3, base + 1, name=text, attributes=tool, start=30, length=20, **common),
        span(number, base + 4, base + 1, name=text, attributes=search, start=60, length=20, kind="CLIENT", **common),
    ]


@pytest.fixture(scope="module")
def attacked() -> Any:
    from helicone_otel import Settings  # noqa: PLC0415
    from helicone_otel.tools.view.server import running_view  # noqa: PLC0415  # needs the extra "view"
    from helicone_otel.tools.view.sockets import ListenOptions  # noqa: PLC0415

    with running_view(None, Settings(), ListenOptions(pages=0, grpc=0, http=0)) as view:
        attacks = enumerate(ATTACKS.values(), 1)
        send(view, *(request_of(f"service{text}", attack(text, number)) for number, text in attacks))
        yield view


def harmless(window: BrowserWindow) -> None:
    """Check that no script ran, no markup was made, and no invisible character is on the page."""
    page = window.page
    assert page.evaluate("window.hacked") is None
    assert (
        page.locator("#main img, #main iframe, #main object, #main [onerror], #main [onload], #main svg").count() == 0
    )
    links = page.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert [link for link in links if not link.startswith(("http:", "https:", "file:"))] == []
    spoken = page.evaluate(
        "[document.title, document.body.innerText, ...[...document.querySelectorAll('*')].flatMap("
        "(one) => [one.title, one.ariaLabel, one.alt])].join(' ')"
    )
    assert [character for character in INVISIBLE if character in spoken] == []
    window.check()


def session_of(view: View, what: str) -> Any:
    """Return the session of an attack. Control characters have been removed from its id and its name on the way."""
    number = str(list(ATTACKS).index(what) + 1)
    return next(one for one in ask(view.url, "sessions", size=100)["sessions"] if one["id"].startswith(number))


def visible(text: str) -> str:
    """Return a text as pages show it: with signs in the place of characters that nobody sees."""
    return "".join(f"⟨U+{ord(one):04X}⟩" if one in INVISIBLE else one for one in text)


def test_the_list_shows_hostile_text_and_runs_none_of_it(attacked: View, window: BrowserWindow) -> None:
    page = window.go(attacked.url)
    expect(page.locator("#sessions .tabulator-row")).to_have_count(len(ATTACKS))
    names = window.column("name")
    for what, text in ATTACKS.items():
        assert visible(session_of(attacked, what)["name"]) in names
        page.get_by_label("Search", exact=True).fill(text)
        page.wait_for_timeout(300)
    harmless(window)


@pytest.mark.parametrize("what", ATTACKS)
def test_a_session_and_its_requests_show_hostile_text_and_run_none_of_it(
    attacked: View, window: BrowserWindow, what: str
) -> None:
    shown = SHOWN.get(what, ATTACKS[what])
    found = session_of(attacked, what)
    page = window.session(attacked.url, found["id"], found["name"])
    expect(page.get_by_role("heading", level=1)).to_contain_text(visible(found["name"]))
    assert page.locator("#facts").inner_text().count(shown) >= 2
    requests = ask(attacked.url, "session", id=found["id"], name=found["name"])["requests"]
    assert {one["kind"] for one in requests} == {"llm", "tool", "vector_db"}
    for request in requests:
        window.session(attacked.url, found["id"], found["name"], request=request["id"])
        expect(window.drawer).to_contain_text(shown)
        for folded in window.drawer.locator("details").all():
            folded.locator("summary").click()
        harmless(window)
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    page.locator("#durations-as").get_by_role("button", name="Table").click()
    page.locator("#requests-table .tabulator-row").first.wait_for()
    harmless(window)
    page.locator("#timeline-as").get_by_role("button", name="Timeline").click()
    box = page.locator("#timeline").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 14)
    harmless(window)


@pytest.mark.parametrize("what", ATTACKS)
def test_the_comparison_shows_hostile_text_and_runs_none_of_it(
    attacked: View, window: BrowserWindow, what: str
) -> None:
    page = window.go(attacked.url, "/compare", name=session_of(attacked, what)["name"])
    expect(page.get_by_role("heading", level=1)).to_have_text(visible(session_of(attacked, what)["name"]))
    page.locator("#moved-as").get_by_role("button", name="Table").click()
    harmless(window)


@pytest.mark.parametrize("what", ATTACKS)
def test_the_exported_file_shows_hostile_text_and_runs_none_of_it(
    attacked: View, browser: Browser, tmp_path: Path, what: str
) -> None:
    found = session_of(attacked, what)
    file = tmp_path / "session.html"
    address = f"{attacked.url}/api/export?{urlencode({'id': found['id'], 'name': found['name']})}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        file.write_bytes(answer.read())
    with BrowserWindow.at(browser, offline=True) as window:
        window.page.goto(file.as_uri())
        window.page.wait_for_selector("#row-0")
        window.page.get_by_role("treeitem").nth(1).locator(".label").click()
        expect(window.page.get_by_role("heading", level=1)).to_contain_text(visible(found["name"]))
        harmless(window)


def test_a_hostile_address_runs_nothing(attacked: View, window: BrowserWindow) -> None:
    evil = ATTACKS["handler"]
    window.page.goto(f"{attacked.url}/?{urlencode({'name': evil, 'search': evil, 'sort': evil, 'page': evil})}")
    window.page.wait_for_selector("#names button")
    window.page.goto(f"{attacked.url}/compare?{urlencode({'name': evil, 'path': evil, 'measure': evil})}")
    expect(window.page.get_by_role("heading", level=1)).to_have_text(evil)
    assert window.page.evaluate("window.hacked") is None
    window.problems.clear()  # the browser itself tells of what the server refuses
