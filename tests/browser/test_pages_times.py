"""All times are in the zone of the browser, and each page says which it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

ADDRESSES = [
    ("/", {"name": "reviewer"}),
    ("/session", {"id": "review/1", "name": "reviewer"}),
    ("/compare", {"name": "reviewer"}),
]
# A zone's difference to UTC, whether in summer or not.
ZONES = {
    "Australia/Darwin": "Australia/Darwin, UTC+09:30",
    "America/Phoenix": "America/Phoenix, UTC-07:00",
    "UTC": "UTC",
}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("address", "parameters"), ADDRESSES)
def test_every_page_names_the_zone(
    seeded: View, browser: Browser, address: str, parameters: dict[str, str], zone: str
) -> None:
    with BrowserWindow.at(browser, timezone_id=zone) as window:
        page = window.go(seeded.url, address, **parameters)
        expect(page.locator("#zone")).to_have_text(f"Times in {ZONES[zone]}")


def test_all_times_of_a_session_are_in_that_zone(seeded: View, browser: Browser, tmp_path: Path) -> None:
    request = ask(seeded.url, "session", id="review/1", name="reviewer")["requests"][0]
    with BrowserWindow.at(browser, timezone_id="Australia/Darwin") as window:
        page = window.go(seeded.url, name="reviewer", search="review/1")
        times = page.locator('#sessions .tabulator-row [tabulator-field="start"] time').first
        told = times.get_attribute("title") or ""
        page = window.session(seeded.url, "review/1", "reviewer", request=request["id"])
        started = page.locator("#stats time").get_attribute("title") or ""
        in_drawer = window.drawer.locator("dl.stats dd").filter(has_text="UTC").inner_text()
        expected = page.evaluate("at => new Date(at + 570 * 60000).toISOString()", request["start_ms"])
        with page.expect_download() as download:
            page.get_by_role("link", name="Export").click()
        file = tmp_path / "session.html"
        download.value.save_as(file)
    assert in_drawer == f"{expected[:10]} {expected[11:23]} UTC+09:30"
    assert {
        bool(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\+09:30", one)) for one in (told, started)
    } == {True}
    with BrowserWindow.at(browser, timezone_id="America/Phoenix") as window:
        window.page.goto(file.as_uri())
        expect(window.page.locator("#zone")).to_have_text("Times in America/Phoenix, UTC-07:00")


def test_summer_time_is_told_by_the_difference_to_utc(seeded: View, browser: Browser) -> None:
    with BrowserWindow.at(browser, timezone_id="Europe/Berlin") as window:
        page = window.go(seeded.url)
        told = page.evaluate(
            """async () => {
              const { exact } = await import("/static/times.js");
              return [exact(Date.UTC(2026, 2, 29, 0, 59, 59, 999)), exact(Date.UTC(2026, 2, 29, 1, 0, 0, 1))];
            }"""
        )
    assert told == ["2026-03-29 01:59:59.999 UTC+01:00", "2026-03-29 03:00:00.001 UTC+02:00"]
