"""What the pages save as CSV, JSON and OTLP."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def saved(page: Page, label: str, to: Path) -> tuple[str, str]:
    """Return name and text of the file that a link saves."""
    with page.expect_download() as download:
        page.locator("#exports").get_by_role("link", name=label).click()
    download.value.save_as(to)
    return download.value.suggested_filename, to.read_text(encoding="utf-8")


def test_a_session_is_saved_in_each_form(seeded: View, window: BrowserWindow, tmp_path: Path) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    ids = [one["id"] for one in ask(seeded.url, "session", id="review/1", name="reviewer")["requests"]]

    name, text = saved(page, "CSV", tmp_path / "a")
    assert (name, [row["request_id"] for row in csv.DictReader(text.splitlines())]) == ("session review_1.csv", ids)
    name, text = saved(page, "JSON", tmp_path / "b")
    (session,) = json.loads(text)
    assert (name, [one["id"] for one in session["requests"]]) == ("session review_1.json", ids)
    name, text = saved(page, "OTLP", tmp_path / "c")
    assert (name, json.loads(text.splitlines()[0]).keys()) == ("session review_1.otlp.jsonl", {"resourceSpans"})


def test_the_list_saves_what_its_filters_let_through(seeded: View, window: BrowserWindow, tmp_path: Path) -> None:
    page = window.go(seeded.url, name="reviewer")
    page.get_by_label("Search", exact=True).fill("review/1")
    address = "/api/export?name=reviewer&search=review%2F1&format=csv"
    expect(page.locator("#exports a").first).to_have_attribute("href", address)
    expected = {one["id"] for one in ask(seeded.url, "sessions", name="reviewer", search="review/1")["sessions"]}

    name, text = saved(page, "CSV", tmp_path / "a")

    assert (name, {row["session_id"] for row in csv.DictReader(text.splitlines())}) == ("sessions.csv", expected)
    assert expected == {"review/1", "review/10", "review/11", "review/12"}
