"""The empty view, with the commands that fill it, and the keys that work everywhere on a page."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

ADDRESSES = ["/", "/session?id=review/3&name=reviewer", "/compare?name=reviewer"]


def test_each_command_of_an_empty_view_can_be_copied(empty: View, browser: Browser) -> None:
    with BrowserWindow.at(browser, permissions=["clipboard-read", "clipboard-write"]) as window:
        page = window.go(empty.url)
        expect(page.get_by_role("heading", name="No session yet")).to_be_visible()
        commands = page.locator("#empty .command")
        expect(commands).to_have_count(4)
        for command in commands.all():
            text = command.locator("code").inner_text()
            assert str(empty.http_url) in text
            command.get_by_role("button").click()
            expect(command.get_by_role("button")).to_have_attribute("data-label", "Copied")
            assert page.evaluate("navigator.clipboard.readText()") == text


def test_where_nothing_can_be_copied_the_command_is_selected(empty: View, browser: Browser) -> None:
    with BrowserWindow.at(browser) as window:
        # As on a page of another machine without TLS.
        window.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page = window.go(empty.url)
        command = page.locator("#empty .command").first
        command.get_by_role("button").click()
        expect(command.get_by_role("button")).to_have_attribute("data-label", "Selected")
        assert page.evaluate("getSelection().toString()") == command.locator("code").inner_text()


def test_the_command_for_the_demo_fills_the_view(empty: View, window: BrowserWindow) -> None:
    page = window.go(empty.url)
    command = page.locator("#empty .command code").last.inner_text().split()
    assert command[:2] == ["helicone-otel", "demo"]
    done = subprocess.run(
        [sys.executable, "-m", "helicone_otel", *command[1:]], capture_output=True, text=True, timeout=120, check=False
    )
    assert "All agree" in done.stdout, done
    expect(page.locator("#sessions .tabulator-row").first).to_contain_text(NAME)
    assert {one["name"] for one in ask(empty.url, "sessions")["sessions"]} == {NAME}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_question_mark_shows_the_shortcuts(seeded: View, window: BrowserWindow, address: str) -> None:
    page = window.page
    page.goto(seeded.url + address)
    page.wait_for_selector("#row-0, .tabulator-row")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    groups = dialog.get_by_role("heading", level=3).all_inner_texts()
    only = {"/": "List of sessions", "/session": "Session"}.get(address.partition("?")[0])
    assert groups[0] == "Every page"
    assert groups[1:2] == ([only] if only else [])
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(dialog).to_be_visible()
    page.mouse.click(5, 5)
    expect(dialog).to_be_hidden()


def test_a_slash_goes_to_the_search_and_keys_in_a_field_are_text(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url)
    page.keyboard.press("/")
    page.keyboard.type("?/review/12")
    expect(page.get_by_label("Search", exact=True)).to_have_value("?/review/12")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_keys_go_from_failure_to_failure_and_around(seeded: View, window: BrowserWindow) -> None:
    requests = ask(seeded.url, "session", id="review/3", name="reviewer")["requests"]
    failed = [one["id"] for one in requests if one["error"] is not None]
    assert len(failed) > 1
    page = window.session(seeded.url, "review/3", "reviewer")
    for id_ in (*failed, failed[0]):
        page.keyboard.press("f")
        page.wait_for_url(f"**request={id_}*")
    page.keyboard.press("Shift+F")
    page.wait_for_url(f"**request={failed[-1]}*")
    page.keyboard.press("k")
    page.wait_for_url(f"**request={requests[[one['id'] for one in requests].index(failed[-1]) - 1]['id']}*")
    page.keyboard.press("j")
    page.wait_for_url(f"**request={failed[-1]}*")


def test_where_nothing_failed_the_key_says_so(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    page.keyboard.press("f")
    expect(page.get_by_role("status")).to_have_text("No request failed")
    assert "request" not in window.address
