"""The page that compares the sessions of one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import ask
from tests.support.costs import cost_of_review, money
from tests.support.view_seed import request_of, send, span

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def test_each_path_has_its_numbers_over_the_chosen_sessions(seeded: View, window: BrowserWindow) -> None:
    ids = ["review/1", "review/2", "review/3"]
    window.go(seeded.url, "/compare", name="reviewer", id=ids)
    rows = dict(
        zip(
            window.column("path", "#paths"),
            zip(
                *(
                    window.column(field, "#paths")
                    for field in ("kind", "count", "sessions", "p50", "p95", "error_rate", "p99", "tokens", "cost")
                ),
                strict=True,
            ),
            strict=True,
        )
    )
    assert rows["/reviewer"][:6] == ("LLM", "24", "3", "33.0 ms", "37.0 ms", "0%")
    assert rows["/reviewer"][6:] == ("37.0 ms", "3,003", money(3 * cost_of_review(8)))
    assert rows["/reviewer/security_check"][:3] == ("Tool", "6", "3")
    assert rows["/reviewer/security_check"][5] == "33.3%"
    shares = [float(text.split()[-1].rstrip("%")) for text in window.column("share", "#paths")]
    assert shares == sorted(shares, reverse=True)


def test_changes_of_a_measure_are_drawn_and_are_in_a_table(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, "/compare", name="reviewer", id=["review/1", "review/2", "review/3"])
    page.locator("#moved canvas").wait_for()
    page.get_by_role("button", name="Error rate", exact=True).click()
    page.locator("#moved-as").get_by_role("button", name="Table").click()
    table = page.get_by_role("table", name="Error rate of each path, by session")
    row = table.get_by_role("row").filter(
        has=page.get_by_role("rowheader", name="/reviewer/security_check", exact=True)
    )
    assert row.get_by_role("cell").all_inner_texts() == ["100%", "0%", "0%"]  # the oldest first
    assert window.address["measure"] == ["errors"]
    page.goto(page.url)
    expect(table).to_be_visible()


@pytest.mark.parametrize(
    ("measure", "each"), [("Cost", money(cost_of_review(8))), ("Tokens", "1,001"), ("Median", "33.0 ms")]
)
def test_cost_tokens_and_durations_of_a_name_are_shown_over_time(
    seeded: View, window: BrowserWindow, measure: str, each: str
) -> None:
    page = window.go(seeded.url, "/compare", name="reviewer", id=["review/1", "review/2", "review/3"])
    page.locator("#measure").get_by_role("button", name=measure, exact=True).click()
    page.locator("#moved-as").get_by_role("button", name="Table").click()
    table = page.get_by_role("table", name=f"{measure} of each path, by session")
    expect(table.get_by_role("row", name="All paths").get_by_role("cell")).to_have_text([each] * 3)
    # Beside one path, all of them together would hide how that one changes.
    page.get_by_role("button", name="/reviewer/security_check", exact=True).click()
    expect(table.get_by_role("row", name="All paths")).to_have_count(0)


def test_a_path_chosen_in_the_table_is_in_the_address(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, "/compare", name="reviewer")
    page.get_by_role("button", name="/reviewer/security_check", exact=True).click()
    page.wait_for_url("**path=*")
    expect(page.locator("#paths .tabulator-row.chosen")).to_have_count(1)
    expect(page.locator("#chosen")).to_contain_text("/reviewer/security_check")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#paths .tabulator-row.chosen")).to_have_count(0)


def test_sessions_can_be_left_out_and_taken_back(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, "/compare", name="reviewer", id=["review/1", "review/2", "review/3"])
    expect(page.locator("#about")).to_contain_text("3 sessions")
    page.locator("#sessions input[type=checkbox]").first.click()
    expect(page.locator("#about")).to_contain_text("2 sessions")
    assert window.address["id"] == ["review/3", "review/2"]
    page.get_by_role("button", name="The latest of this name").click()
    expect(page.locator("#about")).to_contain_text("13 sessions")
    found = ask(seeded.url, "compare", name="reviewer")
    expect(page.locator("#paths .tabulator-row")).to_have_count(len(found["paths"]))
    page.locator("#sessions").get_by_role("link").first.click()
    page.wait_for_selector("#row-0")


def test_sessions_before_and_after_a_time_are_compared_with_a_legend(seeded: View, window: BrowserWindow) -> None:
    page = window.go(seeded.url, "/compare", name="reviewer", id=[f"review/{number}" for number in range(1, 5)])
    expect(page.locator("#sets")).to_be_hidden()
    page.get_by_label("Divide sessions").select_option("before and after a time")
    legend = page.get_by_role("group", name="Legend")
    expect(legend).to_contain_text("before ")
    expect(legend.locator(".legend")).to_have_count(2)
    expect(legend.locator(".legend").first).to_contain_text("(2 sessions)")
    page.locator("#sets-chart canvas").wait_for()
    table = page.get_by_role("table", name="Two sets of sessions")
    row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name="/reviewer", exact=True))
    cells = [cell.split("\n")[0] for cell in row.get_by_role("cell").all_inner_texts()]
    assert cells[:2] == ["33.0 ms → 33.0 ms", "37.0 ms → 37.0 ms"]
    cost = money(cost_of_review(8))
    assert cells[3:5] == ["1,001 → 1,001", f"{cost} → {cost}"]
    page.get_by_label("Measure", exact=True).select_option("Cost a session")
    page.goto(page.url)
    expect(legend.locator(".legend")).to_have_count(2)
    expect(page.get_by_label("Measure", exact=True)).to_have_value("cost")
    page.get_by_label("Divide sessions").select_option("not at all")
    expect(page.locator("#sets")).to_be_hidden()
    assert "at" not in window.address


def test_sessions_are_compared_by_a_property(running: View, window: BrowserWindow) -> None:
    for number, env in enumerate(("staging", "prod", "prod"), 1):
        label = {"helicone.session.id": f"c-{number}", "helicone.session.name": "by property"}
        call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "helicone.property.env": env}
        send(running, request_of("shop", [span(700 + number, 1, attributes={**label, **call}, length=number * 10)]))
    page = window.go(running.url, "/compare", name="by property")
    page.get_by_label("Divide sessions").select_option("by env")
    legend = page.get_by_role("group", name="Legend").locator(".legend")
    expect(legend).to_have_text(["env: prod (2 sessions)", "env: staging (1 session)"])
    page.get_by_label("First value").select_option("staging")
    expect(legend).to_have_text(["env: staging (0 sessions)", "env: staging (0 sessions)"])
    page.get_by_label("Second value").select_option("prod")
    expect(legend).to_have_text(["env: staging (1 session)", "env: prod (2 sessions)"])
    whole = page.get_by_role("table", name="Two sets of sessions").get_by_role("row").nth(1)
    expect(whole.get_by_role("cell").first).to_have_text("10.0 ms → 20.0 ms+100%")
