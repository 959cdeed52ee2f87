"""Find sessions in the list, and requests inside a session: by words and by filters that combine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def indexed(seeded: View) -> View:
    """The view of the recordings, when all of its requests can be found."""
    deadline = time.monotonic() + 60
    while ask(seeded.url, "status")["unindexed"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seeded


def test_sessions_are_found_by_the_content_of_their_requests(indexed: View, window: BrowserWindow) -> None:
    page = window.go(indexed.url)
    page.get_by_label("Search", exact=True).fill('"advisories about file 7" reviewer')
    expect(page.locator("#sessions .tabulator-row")).to_have_count(13)
    assert set(window.column("name")) == {"reviewer"}
    page.get_by_label("Search", exact=True).fill('"advisories about file 150"')
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    assert window.column("id") == ["a long review"]


def test_filters_of_the_list_combine_and_are_in_the_address(indexed: View, window: BrowserWindow) -> None:
    page = window.go(indexed.url, name="reviewer")
    page.get_by_label("Filter by").select_option("User")
    page.get_by_label("Value of the filter").fill("u-3")
    page.get_by_role("button", name="Add filter").click()
    chips = page.get_by_role("list", name="Filters").get_by_role("listitem")
    expect(chips).to_contain_text(["User: u-3"])
    expect(page.locator("#sessions .tabulator-row")).to_have_count(2)
    page.get_by_label("With errors only").check()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    page.get_by_label("Filter by").select_option("Duration at least")
    page.get_by_label("Value of the filter").fill("0.2")
    page.keyboard.press("Enter")
    expect(chips).to_contain_text(["User: u-3", "Duration at least 200 ms"])
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    assert window.address == {"name": ["reviewer"], "user": ["u-3"], "errors": ["1"], "duration": ["200.."]}
    # The address alone shows the same.
    page.goto(page.url)
    expect(chips).to_contain_text(["User: u-3", "Duration at least 200 ms"])
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    assert window.column("id") == ["review/3"]
    page.get_by_role("button", name="Remove the filter User: u-3").click()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(4)
    page.go_back()
    expect(chips).to_contain_text(["User: u-3", "Duration at least 200 ms"])


def test_values_to_filter_by_are_suggested(indexed: View, window: BrowserWindow) -> None:
    page = window.go(indexed.url)
    page.get_by_label("Filter by").select_option("Model")
    page.get_by_label("Value of the filter").focus()
    expect(page.locator("datalist option[value='gpt-4o-mini']")).to_have_count(1)
    assert "gpt-4o-mini" in ask(indexed.url, "values")["models"]


def test_requests_are_found_inside_a_session(indexed: View, window: BrowserWindow) -> None:
    page = window.session(indexed.url, "review/1", "reviewer")
    page.keyboard.press("/")
    page.keyboard.type('"about file 5"')
    expect(page.locator("#found")).to_have_text("1 of 24 requests")
    rows = page.get_by_role("treeitem")
    expect(rows).to_have_count(3)
    assert [row.split(", ")[0] for row in window.rows] == ["reviewer", "read_file", "search"]
    assert [row.split(", ")[2] for row in window.rows[:2]] == ["1 request", "1 request"]
    assert window.address["search"] == ['"about file 5"']
    page.goto(page.url)
    expect(page.locator("#found")).to_have_text("1 of 24 requests")
    expect(page.get_by_label("Find requests")).to_have_value('"about file 5"')
    page.get_by_label("Find requests").press("Escape")
    expect(page.locator("#found")).to_have_text("")
    expect(rows).not_to_have_count(3)


def test_filters_inside_a_session_combine(indexed: View, window: BrowserWindow) -> None:
    requests = ask(indexed.url, "session", id="review/3", name="reviewer")["requests"]
    failed = [one for one in requests if one["error"] is not None]
    page = window.session(indexed.url, "review/3", "reviewer")
    page.get_by_label("Filter by").select_option("Kind")
    page.get_by_label("Value of the filter").fill("tool")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text(
        f"{len([one for one in requests if one['kind'] == 'tool'])} of 24 requests"
    )
    page.get_by_label("Failed only").check()
    expect(page.locator("#found")).to_have_text(f"{len(failed)} of 24 requests")
    assert window.address == {"id": ["review/3"], "name": ["reviewer"], "kind": ["tool"], "errors": ["1"]}
    page.get_by_role("button", name="The next failure").click()
    page.wait_for_url(f"**request={failed[0]['id']}*")
    page.get_by_role("button", name="The failure before").click()
    page.wait_for_url(f"**request={failed[-1]['id']}*")
    page.go_back()
    page.go_back()
    page.go_back()
    expect(page.get_by_label("Failed only")).not_to_be_checked()


def test_nothing_found_says_so(indexed: View, window: BrowserWindow) -> None:
    page = window.session(indexed.url, "review/1", "reviewer")
    page.get_by_label("Find requests").fill("nobody said this")
    expect(page.locator("#found")).to_have_text("0 of 24 requests")
    expect(page.get_by_role("treeitem")).to_have_count(0)
    expect(page.get_by_role("button", name="The next failure")).to_be_disabled()


def test_an_exported_session_is_searched_without_a_server(indexed: View, window: BrowserWindow, tmp_path: Path) -> None:
    page = window.session(indexed.url, "review/3", "reviewer")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    file = tmp_path / "session.html"
    download.value.save_as(file)
    page.goto(file.as_uri())
    page.wait_for_selector("#row-0")
    page.get_by_label("Find requests").fill('"about file 5"')
    expect(page.locator("#found")).to_have_text("1 of 24 requests")
    page.get_by_label("Find requests").fill("")
    page.get_by_label("Failed only").check()
    expect(page.locator("#found")).to_have_text("2 of 24 requests")
    page.keyboard.press("f")
    expect(window.drawer.locator(".failure")).to_have_text("TimeoutError")
