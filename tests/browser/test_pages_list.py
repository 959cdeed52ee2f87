"""The page with the list of sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.view_seed import request_of, review, send

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def test_the_list_shows_sessions_with_their_numbers_the_latest_first(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    first = page.locator("#sessions .tabulator-row").first
    texts = [text.strip() for text in first.locator(".tabulator-cell").all_inner_texts()]
    assert [texts[place] for place in (1, 2, 5, 6, 8)] == [
        "reviewer",
        "a long review",
        "12.01 s",
        "600200 LLM · 200 Tool · 200 Vector DB",
        "",
    ]
    assert window.column("id")[1:4] == ["review/1", "review/2", "review/3"]


def test_names_show_their_counts_and_filter_the_list(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url)
    names = page.get_by_role("navigation", name="Names")
    reviewer = names.get_by_role("button", name="reviewer", exact=False).first
    expect(reviewer).to_contain_text("13")
    page.get_by_label("Find a name").fill("review")
    expect(names.get_by_role("listitem")).to_have_count(1)
    reviewer.click()
    expect(reviewer).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#totals")).to_contain_text("13")
    assert set(window.column("name")) == {"reviewer"}
    assert window.address == {"name": ["reviewer"]}


def test_search_finds_parts_of_ids_and_names_and_what_is_found_can_be_shared(
    seeded: View, window: BrowserWindow
) -> None:
    page = window.go(seeded.url)
    page.get_by_label("Search", exact=True).fill("review/12")
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    assert window.column("id") == ["review/12"]
    page.goto(page.url)
    expect(page.get_by_label("Search", exact=True)).to_have_value("review/12")
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)


def test_the_list_can_be_limited_to_sessions_with_errors(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    page.get_by_label("With errors only").check()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(4)
    assert window.column("id") == ["review/3", "review/6", "review/9", "review/12"]
    assert all(int(text) > 0 for text in window.column("errors"))
    page.go_back()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(13)
    expect(page.get_by_label("With errors only")).not_to_be_checked()


def test_a_period_selects_the_sessions_with_activity_in_it(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    page.get_by_label("Time", exact=True).select_option("Last hour")
    expect(page.locator("#sessions .tabulator-row")).to_have_count(6)
    page.get_by_label("Time", exact=True).select_option("Between…")
    page.get_by_label("From").fill("2020-01-01T00:00:00")
    page.get_by_label("To", exact=True).fill("2020-01-02T00:00:00")
    expect(page.get_by_text("No session is like that.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(50)


def test_sorting_and_page_are_in_the_address(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url)
    page.locator('.tabulator-col[tabulator-field="requests"]').click()
    page.wait_for_url("**sort=requests*")
    page.locator('.tabulator-col[tabulator-field="requests"]').click()
    page.wait_for_url("**sort=-requests*")
    expect(page.locator("#sessions .tabulator-row").first).to_contain_text("600200 LLM")
    first = _listed(window)
    page.get_by_role("button", name="Next Page").click()
    page.wait_for_url("**page=2*")
    expect(page.locator("#sessions .tabulator-row").filter(has_text="a long review")).to_have_count(0)
    second = _listed(window)
    assert set(second).isdisjoint(first)
    page.goto(page.url)
    page.wait_for_selector("#sessions .tabulator-row")
    assert _listed(window) == second


def test_totals_and_histograms_are_of_the_sessions_that_match_the_filter(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer", errors="1")
    totals = dict(
        zip(
            page.locator("#totals dt").all_inner_texts(),
            (text.split()[0] for text in page.locator("#totals dd").all_inner_texts()),
            strict=True,
        )
    )
    assert totals == {
        "Sessions": "4",
        "With errors": "4",
        "Requests": "96",
        "Tokens": "4,004",
        "Median duration": "499",
        "p95": "499",
    }
    # What a histogram draws stands beside it for those who hear it.
    requests = page.get_by_role("table", name="Requests per session")
    expect(requests.get_by_role("cell")).to_have_text(["4 sessions"])
    expect(page.locator("#histograms canvas")).to_have_count(3)


def test_a_new_session_appears_by_itself_and_grows(empty: View, window: BrowserWindow) -> None:
    page = window.go(empty.url)
    expect(page.get_by_text("No session yet")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("OTEL_EXPORTER_OTLP_ENDPOINT")
    expect(page.locator("#live")).to_have_text("Live")
    epoch = time.time_ns() - 10**9
    spans = review(77, "live/1", 6, epoch)
    send(empty, request_of("reviewer", spans[:7]))
    expect(page.locator("#sessions .tabulator-row")).to_have_count(1)
    expect(page.locator("#sessions .tabulator-row")).to_contain_text("live/1")
    requests = page.locator('#sessions .tabulator-cell[tabulator-field="requests"]')
    expect(requests).to_have_text("62 LLM · 2 Tool · 2 Vector DB")
    send(empty, request_of("reviewer", spans[7:]))
    expect(requests).to_have_text("186 LLM · 6 Tool · 6 Vector DB")


def test_a_row_opens_its_session_and_selected_rows_are_compared(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer", search="review/1")
    page.get_by_role("link", name="reviewer").first.click()
    page.wait_for_selector("#row-0")
    assert window.address == {"id": ["review/1"], "name": ["reviewer"]}
    page.go_back()
    page.wait_for_selector("#sessions .tabulator-row")
    boxes = page.locator("#sessions .tabulator-row input[type=checkbox]")
    boxes.nth(0).check()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_selector("#paths .tabulator-row")
    assert window.address == {"name": ["reviewer"], "id": ["review/1", "review/10"]}


def _listed(window: BrowserWindow) -> list[tuple[str, str]]:
    return list(zip(window.column("id"), window.column("name"), strict=True))


def test_the_column_of_errors_is_in_sight_without_scrolling(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url)
    page.set_viewport_size({"width": 1280, "height": 800})

    expect(page.locator("#sessions .tabulator-row").first).to_be_visible()
    expect(page.locator("#sessions .tabulator-col[tabulator-field=errors]")).to_be_in_viewport(ratio=1)


def test_each_box_is_labelled_with_its_session(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")

    boxes = page.locator("#sessions .tabulator-row input")
    expect(boxes.nth(1)).to_have_accessible_name("Choose review/1")
