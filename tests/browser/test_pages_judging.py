"""Thumbs, notes and scores on the page of a session."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
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

HOSTILE = '<img src=x onerror="window.hacked=1">\u202e'
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "judged"}


@pytest.fixture
def judged(empty: View) -> View:
    scores = {
        "annotations.0.annotation.name": "relevance",
        "annotations.0.annotation.score": 0.12345,
        "annotations.0.annotation.explanation": f"why {HOSTILE}",
        "session.annotations.0.annotation.name": HOSTILE,
        "session.annotations.0.annotation.label": HOSTILE,
    }
    send(empty, request_of("shop", [span(1, 1, attributes={**CHAT, **scores})]))
    return empty


def test_thumbs_and_a_note_are_kept_by_keyboard(judged: View, window: BrowserWindow) -> None:
    page = window.session(judged.url, "judged", "shop")
    good, bad = (page.get_by_role("button", name=name, exact=True) for name in ("Good", "Bad"))
    note = page.get_by_label("Note on the session")
    expect(good).to_have_attribute("aria-pressed", "false")
    good.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#judged")).to_have_text("Saved")
    note.fill(HOSTILE)
    page.keyboard.press("Tab")
    expect(page.locator("#judged")).to_have_text("Saved")
    found = ask(judged.url, "session", id="judged")["feedback"]
    assert (found["good"], found["note"]) == (True, HOSTILE)

    page.reload()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(note).to_have_value(HOSTILE)
    bad.click()
    expect(good).to_have_attribute("aria-pressed", "false")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#judged")).to_have_text("Saved")
    assert ask(judged.url, "session", id="judged")["feedback"]["good"] is None
    assert page.evaluate("window.hacked") is None


def test_scores_are_shown_and_lead_to_their_request(judged: View, window: BrowserWindow) -> None:
    page = window.session(judged.url, "judged", "shop")
    badges = page.locator("#judge .score-badge")
    shown = '<img src=x onerror="window.hacked=1">⟨U+202E⟩'
    expect(badges).to_have_text(["relevance: 0.123", f"{shown}: {shown}"])
    page.get_by_role("button", name="relevance: 0.123").click()
    expect(window.drawer.locator("section", has_text="Scores")).to_contain_text(f"why {shown}")
    assert page.evaluate("window.hacked") is None


def test_an_exported_file_shows_feedback_and_scores(judged: View, browser: Browser, tmp_path: Path) -> None:
    with BrowserWindow.at(browser) as window:
        page = window.session(judged.url, "judged", "shop")
        page.get_by_role("button", name="Good", exact=True).click()
        expect(page.locator("#judged")).to_have_text("Saved")
    file = tmp_path / "session.html"
    with urllib.request.urlopen(f"{judged.url}/api/export?{urlencode({'id': 'judged'})}", timeout=60) as answer:
        file.write_bytes(answer.read())
    with BrowserWindow.at(browser, offline=True) as window:
        window.page.goto(file.as_uri())
        expect(window.page.get_by_role("img", name="Good")).to_be_visible()
        expect(window.page.locator("#judge .score-badge").first).to_have_text("relevance: 0.123")
        expect(window.page.locator("#judge button .thumb")).to_have_count(0)
