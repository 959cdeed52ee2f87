"""The page with the list of sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask
from tests.support.costs import cost_of_review, money
from tests.support.view_seed import request_of, review, send

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def test_the_list_shows_sessions_with_their_numbers_the_latest_first(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    fields = ("name", "first_input", "id", "duration", "tokens", "cost", "errors")
    first = [window.column(field)[0].strip() for field in fields]
    assert first == ["reviewer", "Is file 0 safe?", "a long review", "12.01 s", "26K", money(cost_of_review(200)), ""]
    requests = page.locator("#sessions .tabulator-row").first.locator(".requests")
    expect(requests).to_have_text("600200 LLM · 200 Tool · 200 Vector DB")
    assert window.column("id")[1:4] == ["review/1", "review/2", "review/3"]


def test_the_list_shows_what_sessions_cost_and_from_when_the_prices_are(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    found = ask(seeded.url, "sessions", name="reviewer")
    day = found["prices"]["date"]
    assert window.column("cost")[1] == money(cost_of_review(8))
    cost = page.locator("#totals div", has=page.get_by_text("Cost", exact=True))
    expect(cost).to_have_text(f"Cost{money(found['totals']['cost'])} prices of {day}")
    page.locator("#sessions .tabulator-col[tabulator-field=cost]").click()
    page.wait_for_url("**sort=*cost*")
    sessions = ask(seeded.url, "sessions", size=500)["sessions"]
    without = next(one for one in sessions if one["cost"] is None and one["unpriced"])
    window.go(seeded.url, search=without["id"])
    assert window.column("cost") == ["no price"]


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
        "Cost": money(4 * cost_of_review(8)),
        "Median duration": "499",
        "p95": "499",
    }
    # What a histogram draws stands beside it for those who hear it.
    requests = page.get_by_role("table", name="Requests per session")
    expect(requests.get_by_role("cell")).to_have_text(["4 sessions"])
    expect(page.locator("#histograms canvas")).to_have_count(4)


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


def test_columns_can_be_chosen_and_the_choice_is_in_the_address(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer", sort="-cost")
    page.get_by_text("Columns", exact=True).click()
    menu = page.get_by_role("group", name="Columns")
    for column in ("User", "Models"):
        menu.get_by_label(column, exact=True).check()
    for column in ("Started", "Last activity", "Cost"):
        menu.get_by_label(column, exact=True).uncheck()
    expect(page.locator("#sessions .tabulator-row")).to_have_count(13)
    users = {f"u-{number}" for number in range(7)}
    assert (set(window.column("users")), set(window.column("models")), window.column("cost")) == (
        users,
        {"gpt-4o-mini"},
        [],
    )
    assert window.address == {
        "name": ["reviewer"],
        "sort": ["-cost"],
        "columns": ["name,first_input,id,users,models,duration,requests,tokens,errors"],
    }
    page.goto(page.url)
    expect(page.locator("#sessions .tabulator-row").first).to_be_visible()
    assert (set(window.column("users")), window.column("cost")) == (users, [])
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("button", name="Usual columns").click()
    expect(page.locator("#sessions .tabulator-col[tabulator-field=cost]")).to_be_visible()
    assert "columns" not in window.address


def test_columns_yield_in_their_order_where_there_is_no_room(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, name="reviewer")
    usual = ["name", "first_input", "id", "start", "last", "duration", "requests", "tokens", "cost", "errors"]
    for width, yielded in ((1440, 0), (1280, 2), (1000, 4), (800, 4), (500, 6)):
        page.set_viewport_size({"width": width, "height": 900})
        gone = ["first_input", "last", "tokens", "id", "start", "requests"][:yielded]
        heads = page.locator("#sessions .tabulator-col:visible[tabulator-field]:not([tabulator-field=''])")
        expect(heads).to_have_count(len(usual) - yielded)
        assert heads.evaluate_all("all => all.map(one => one.getAttribute('tabulator-field'))") == [
            one for one in usual if one not in gone
        ], width


def test_histograms_can_leave_out_the_largest_values_or_show_the_interquartile_range(
    seeded: View, window: BrowserWindow
) -> None:
    page = window.go(seeded.url, name="reviewer")
    bars = page.get_by_role("table", name="Requests per session")
    expect(bars).to_contain_text("600")
    expect(page.get_by_role("heading", name="Requests per session")).to_contain_text("68.3 on average")
    expect(page.get_by_label("Interquartile")).to_be_disabled()
    page.get_by_label("Histograms of").select_option("values up to p75")
    expect(bars).not_to_contain_text("600")
    page.get_by_label("Interquartile").check()
    page.wait_for_url("**inner=1*")
    assert window.address == {"name": ["reviewer"], "range": ["p75"], "inner": ["1"]}
    page.goto(page.url)
    expect(page.get_by_label("Histograms of")).to_have_value("p75")
    expect(page.get_by_label("Interquartile")).to_be_checked()
    page.get_by_label("Histograms of").select_option("all sessions")
    expect(bars).to_contain_text("600")
    assert window.address == {"name": ["reviewer"]}
