"""The exported file: one session that opens without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(demo: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the button of a session's page saves."""
    found = ask(demo, "sessions", name=NAME, sort="-requests")["sessions"][0]
    with BrowserWindow.at(browser) as window:
        page = window.session(demo, found["id"], NAME)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Export").click()
        to = tmp_path_factory.mktemp("exported") / "session.html"
        saved.value.save_as(to)
        assert saved.value.suggested_filename.endswith(".html")
        return to


@pytest.fixture
def offline(browser: Browser) -> Iterator[BrowserWindow]:
    with BrowserWindow.at(browser, offline=True) as window:
        yield window
        assert [url for url in window.requested if not url.startswith(("file:", "data:"))] == []


def test_an_exported_file_shows_the_session_as_the_page_does(file: Path, offline: BrowserWindow) -> None:
    page = offline.page
    page.goto(file.as_uri())
    page.wait_for_selector("#row-0")
    assert offline.rows[0].startswith("plan_trip, Task, 13 requests")
    expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)
    page.locator("#durations canvas").wait_for()
    # What needs a server is not there.
    for name in ("Export", "Compare", "Sessions"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_requests_in_an_exported_file_open_and_are_in_its_address(file: Path, offline: BrowserWindow) -> None:
    page = offline.page
    page.goto(file.as_uri())
    page.wait_for_selector("#row-0")
    offline.row("write").locator(".label").click()
    expect(offline.drawer).to_contain_text("/plan_trip/write")
    expect(offline.drawer).to_contain_text("Helicone-Session-Path")
    page.keyboard.press("Escape")
    expect(offline.drawer).to_be_hidden()
    offline.row("research").locator(".label").click()
    assert offline.address == {"path": ["/plan_trip/research"]}
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(offline.row("research")).to_have_attribute("aria-selected", "true")


def test_the_table_in_an_exported_file_works(file: Path, offline: BrowserWindow) -> None:
    page = offline.page
    page.goto(file.as_uri())
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    expect(page.locator("#requests-table .tabulator-row")).to_have_count(13)
