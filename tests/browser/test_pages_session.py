"""The page of one session, with the session of the real demo."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.support.costs import cost_of, cost_of_review, money, short_money

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser

# The colour at a place of a canvas, as `#rrggbb`.
COLOUR_AT = """([id, x, y]) => {
  const canvas = document.getElementById(id);
  const ratio = devicePixelRatio;
  const [r, g, b] = canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data;
  return "#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
}"""
ROW = 28


@pytest.fixture(scope="module")
def planned(demo: str) -> Any:
    """The demo's long session, as the API returns it when all its spans have arrived."""
    for _ in range(100):
        found = ask(demo, "sessions", name=NAME, sort="-requests")
        whole = ask(demo, "session", id=found["sessions"][0]["id"], name=NAME)
        if len(whole["requests"]) >= 13:
            break
        time.sleep(0.1)
    return whole


def opened(window: BrowserWindow, demo: str, planned: Any, **more: Any) -> Any:
    return window.session(demo, planned["session"]["id"], NAME, **more)


def written(planned: Any) -> Any:
    """Return the longest request at `/plan_trip/write`, which alone is in its row."""
    return max(
        (one for one in planned["requests"] if one["path"] == "/plan_trip/write"), key=lambda one: one["duration_ms"]
    )


def middle_of(planned: Any, request: Any, width: float, share: float = 0.5) -> float:
    """Return the x position of the middle, or of another share, of a request's bar in the timeline."""
    start, length = planned["session"]["start_ms"], planned["session"]["duration_ms"]
    return (request["start_ms"] + request["duration_ms"] * share - start) / length * width


def test_a_session_is_asked_for_once_and_first(demo: str, planned: Any, window: BrowserWindow) -> None:
    opened(window, demo, planned)

    addresses = [urlsplit(url).path for url in window.requested]
    assert addresses[:2] == ["/session", "/api/session"]
    assert addresses.count("/api/session") == 1


def test_the_tree_shows_paths_with_kinds_counts_durations_and_errors(
    demo: str, planned: Any, window: BrowserWindow
) -> None:
    opened(window, demo, planned)
    paths = {row["path"] for row in planned["tree"]}
    assert window.rows[0].startswith("plan_trip, Task, 13 requests, ")
    assert window.rows[0].endswith(" s, 2 failed")
    tried = [row.split(", ")[:2] + row.split(", ")[3:] for row in window.rows[2:4]]
    assert tried == [["gpt-5.4-mini", "LLM", "failed"], ["gpt-5.4-mini", "LLM"]]
    assert any(row.startswith("gpt-5.4-mini, LLM, calls tools, ") for row in window.rows)
    assert "weather" not in {row["segment"] for row in planned["tree"]}  # no request was made there
    assert {"/plan_trip/research/guide", "/plan_trip/research/trains/search_trains"} <= paths
    named = [row.split(", ")[0] for row in window.rows]
    assert {row["segment"] for row in planned["tree"]} <= set(named)
    kinds = {tuple(row.split(", ")[:2]) for row in window.rows}
    assert {
        ("text-embedding-3-small", "Embed"),
        ("query_points", "Vector DB"),
        ("search_trains", "Tool"),
        ("gpt-5.4-mini", "LLM"),
    } <= kinds


def test_a_row_shows_the_kind_of_its_step_the_mix_below_and_busy_time_beside_the_extent(
    seeded: View, window: BrowserWindow
) -> None:
    window.session(seeded.url, "review/1", "reviewer")
    shown = ask(seeded.url, "session", id="review/1", name="reviewer")
    root = window.row("reviewer")
    assert root.locator(".badge").all_inner_texts() == ["Agent"]
    assert root.locator(".mix span").all_inner_texts() == ["8 LLM", "8 Tool", "8 Vector DB"]
    # Eight questions of 60 ms each, with pauses in between.
    busy, extent = round(shown["tree"][0]["busy_ms"]), round(shown["tree"][0]["duration_ms"])
    assert busy < extent
    assert root.locator(".took").inner_text() == f"{busy} ms"
    assert root.locator(".extent").inner_text() == f"of {extent} ms"
    expect(window.page.locator("#stats")).to_contain_text(f"{round(shown['session']['busy_ms'])} ms busy")


def test_the_page_shows_what_the_session_its_paths_and_requests_cost(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer", durations="table")
    shown = ask(seeded.url, "session", id="review/1", name="reviewer")
    cost = money(cost_of_review(8))
    expect(page.locator("#stats")).to_contain_text(f"{cost} prices of {shown['prices']['date']}")
    row = page.locator("#durations-table tr", has=page.get_by_role("button", name="/reviewer", exact=True))
    expect(row.locator("td").last).to_have_text(cost)
    assert row.locator("td").all_inner_texts()[-2:] == ["1,001", cost]
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    assert window.column("cost", "#requests-table")[:2] == [short_money(cost_of(100, 20)), ""]
    page.locator("#requests-table .tabulator-row").first.click()
    expect(window.drawer).to_contain_text(f"{money(cost_of(100, 20))}, prices of")


def test_the_critical_path_is_marked_in_the_timeline_and_in_the_table(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    shown = ask(seeded.url, "session", id="review/1", name="reviewer")
    expect(page.locator("#critical")).to_have_text(f"critical path, {round(shown['session']['critical_ms'])} ms")
    width = page.locator("#timeline").bounding_box()["width"]
    page.wait_for_timeout(300)  # until it is drawn
    height = page.locator("#timeline").bounding_box()["height"]
    seen = set()
    for place, label in enumerate(window.rows):
        for request in shown["requests"]:
            # Rows of paths end in other times.
            row = re.compile(rf"{request['name']}, (LLM, calls tools|Tool), {request['duration_ms']:.1f} ms")
            if row.fullmatch(label) and (place + 1) * ROW < height:
                # The line is below the bar, which ends five pixels above the next row.
                at = ["timeline", middle_of(shown, request, width), place * ROW + ROW - 3]
                marked = page.evaluate(COLOUR_AT, at) != "#000000"
                assert marked is request["critical"], label
                seen.add(marked)
    assert seen == {True, False}
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    ticks = [bool(text.strip()) for text in window.column("critical", "#requests-table")]
    assert ticks == [one["critical"] for one in shown["requests"]][: len(ticks)]


def test_one_branch_or_all_branches_can_be_collapsed(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    whole = window.rows
    research = window.row("research")
    expect(research).to_have_attribute("aria-expanded", "true")
    research.locator(".caret").click()
    expect(research).to_have_attribute("aria-expanded", "false")
    assert not any(row.startswith("guide,") for row in window.rows)
    page.get_by_role("button", name="Collapse all").click()
    expect(page.get_by_role("treeitem")).to_have_count(1)
    page.get_by_role("button", name="Expand all").click()
    assert window.rows == whole


def test_each_request_is_a_bar_at_its_time_in_the_colour_of_its_path(
    demo: str, planned: Any, window: BrowserWindow
) -> None:
    page = opened(window, demo, planned)
    width = page.locator("#timeline").bounding_box()["width"]
    for request in planned["requests"]:
        if request["duration_ms"] < 20:
            continue
        swatch = _swatch(page, request["path"])
        places = _rows_of(page, request)
        # Before the first token it is lighter.
        share = (1 + (request["ttft_ms"] or 0) / request["duration_ms"]) / 2
        x = middle_of(planned, request, width, share)
        seen = {page.evaluate(COLOUR_AT, ["timeline", x, place * ROW + ROW / 2]) for place in places}
        assert any(templates(swatch, one) for one in seen), (request, swatch, seen)


def templates(one: str, other: str) -> bool:
    """Tell whether two colours `#rrggbb` are equal, except for rounding where translucent colours overlap."""
    parts = [[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in (one, other)]
    return all(abs(first - second) <= 3 for first, second in zip(*parts, strict=True))


def _rows_of(page: Any, request: Any) -> list[int]:
    """Return the rows that a request can be drawn on: its own row, or that of its path."""
    names = (request["name"], request["path"].rpartition("/")[2])
    rows = page.get_by_role("treeitem").evaluate_all("rows => rows.map(row => row.ariaLabel)")
    return [place for place, row in enumerate(rows) if row.split(", ")[0] in names]


def _swatch(page: Any, path: str) -> str:
    """Return the colour of a path in the tree, as `#rrggbb`."""
    row = page.locator(f'[role="treeitem"][title="{path}"]').first
    found: str = row.locator(".swatch").evaluate("swatch => getComputedStyle(swatch).backgroundColor")
    red, green, blue = (int(part) for part in found.removeprefix("rgb(").removesuffix(")").split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


def test_the_same_path_has_the_same_colour_in_every_view_and_session(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    first = _swatch(page, "/reviewer/security_check")
    page.locator("#durations-as").get_by_role("button", name="Table").click()
    in_table = page.get_by_role("button", name="/reviewer/security_check", exact=True).locator(".swatch")
    page = window.session(seeded.url, "review/2", "reviewer")
    assert _swatch(page, "/reviewer/security_check") == first
    page = window.go(seeded.url, "/compare", name="reviewer")
    compared = page.locator("#paths .path-cell", has_text="/reviewer/security_check").first.locator(".swatch")
    told = compared.evaluate("swatch => getComputedStyle(swatch).backgroundColor")
    page = window.session(seeded.url, "review/2", "reviewer", durations="table")
    assert in_table.evaluate("swatch => getComputedStyle(swatch).backgroundColor") == told
    assert _swatch(page, "/reviewer/security_check") == first


def test_overlapping_requests_are_on_separate_lanes_of_the_map(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    assert max(request["lane"] for request in planned["requests"]) >= 1
    width = page.locator("#minimap").bounding_box()["width"]
    for request in planned["requests"]:
        if request["duration_ms"] < 20:
            continue
        x = middle_of(planned, request, width)
        assert templates(
            page.evaluate(COLOUR_AT, ["minimap", x, 4 + request["lane"] * 7]), _swatch(page, request["path"])
        )


def test_choosing_a_bar_chooses_the_row_opens_the_request_and_changes_the_address(
    demo: str, planned: Any, window: BrowserWindow
) -> None:
    page = opened(window, demo, planned)
    box = page.locator("#timeline").bounding_box()
    slow = written(planned)
    (place,) = [place for place, row in enumerate(window.rows) if row.startswith("write,")]
    page.mouse.click(box["x"] + middle_of(planned, slow, box["width"]), box["y"] + place * ROW + ROW / 2)
    expect(window.drawer).to_be_visible()
    expect(window.drawer).to_contain_text(slow["path"])
    expect(window.row("write")).to_have_attribute("aria-selected", "true")
    assert window.address["request"] == [slow["id"]]
    page.goto(page.url)
    expect(window.drawer).to_contain_text(slow["path"])
    page.get_by_role("button", name="Close").click()
    expect(window.drawer).to_be_hidden()
    assert "request" not in window.address


def test_choosing_a_path_in_one_view_chooses_it_in_all(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    width = page.locator("#timeline").bounding_box()["width"]
    slow = written(planned)
    (place,) = [place for place, row in enumerate(window.rows) if row.startswith("write,")]
    at = ["timeline", middle_of(planned, slow, width), place * ROW + ROW / 2]
    before = page.evaluate(COLOUR_AT, at)
    window.row("research").locator(".label").click()
    assert window.address["path"] == ["/plan_trip/research"]
    page.wait_for_timeout(100)
    assert page.evaluate(COLOUR_AT, at) != before  # what is not below it steps back
    page.locator("#durations-as").get_by_role("button", name="Table").click()
    page.get_by_role("button", name="/plan_trip/write", exact=True).click()
    expect(window.row("write")).to_have_attribute("aria-selected", "true")
    expect(window.row("research")).to_have_attribute("aria-selected", "false")
    expect(page.get_by_role("button", name="/plan_trip/write", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Clear").click()
    expect(window.row("write")).to_have_attribute("aria-selected", "false")
    assert "path" not in window.address


def test_a_click_on_the_chart_of_durations_chooses_the_path(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    page.locator("#durations canvas").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = page.locator("#durations").bounding_box()
    # The name of the first: what took the longest in sum.
    page.mouse.click(box["x"] + 60, box["y"] + 8 + 15)
    page.wait_for_url("**path=*")
    assert window.address["path"] == [planned["durations"][0]["path"]]


def test_the_timeline_zooms_and_the_part_is_in_the_address(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    box = page.locator("#timeline").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**part=*")
    start, end = (float(part) for part in window.address["part"][0].split("-"))
    length = planned["session"]["duration_ms"]
    assert start == pytest.approx(length * 0.2, rel=0.02)
    assert end == pytest.approx(length * 0.4, rel=0.02)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(400)
    closer = [float(part) for part in window.address["part"][0].split("-")]
    assert closer[1] - closer[0] == pytest.approx((end - start) * 0.6, rel=0.01)
    page.keyboard.down("Control")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.wheel(0, 40)
    page.keyboard.up("Control")
    page.wait_for_timeout(400)
    wider = [float(part) for part in window.address["part"][0].split("-")]
    assert wider[1] - wider[0] > closer[1] - closer[0]
    page.get_by_role("button", name="Fit").click()
    page.wait_for_timeout(400)
    assert "part" not in window.address


def test_a_tip_shows_the_request_under_the_pointer(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    box = page.locator("#timeline").bounding_box()
    slow = written(planned)
    (place,) = [place for place, row in enumerate(window.rows) if row.startswith("write,")]
    page.mouse.move(box["x"] + middle_of(planned, slow, box["width"]), box["y"] + place * ROW + ROW / 2)
    expect(page.locator("#tip")).to_contain_text("/plan_trip/write")
    expect(page.locator("#tip")).to_contain_text("first token after")


def test_the_table_has_the_content_of_the_timeline(demo: str, planned: Any, window: BrowserWindow) -> None:
    page = opened(window, demo, planned)
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    expect(page.locator("#requests-table .tabulator-row")).to_have_count(13)
    assert window.column("path", "#requests-table") == [one["path"] for one in planned["requests"]]
    page.locator("#requests-table .tabulator-row").nth(3).click()
    expect(window.drawer).to_be_visible()
    assert window.address["request"] == [planned["requests"][3]["id"]]
    assert window.address["as"] == ["table"]


def test_a_running_session_grows_while_it_is_open(running: View, window: BrowserWindow) -> None:
    from tests.support.view_seed import request_of, review, send  # noqa: PLC0415  # needs the extra "view"

    spans = review(78, "live/2", 4, 1_760_000_000_000_000_000)
    for part, requests in ((spans[:4], 3), (spans[4:], 12)):
        send(running, request_of("reviewer", part))
        if requests == 3:
            window.session(running.url, "live/2", "reviewer")
            window.row("reviewer").locator(".label").click()
        expect(window.page.locator("#stats")).to_contain_text(f"{requests} ", use_inner_text=True)
    # What was chosen stays so.
    expect(window.row("reviewer")).to_have_attribute("aria-selected", "true")
    assert window.rows[0].startswith("reviewer, Agent, 12 requests")


def test_other_sessions_of_the_name_can_be_opened(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    page.get_by_label("Another session of this name").select_option(index=2)
    page.wait_for_url("**review%2F2*")
    page.wait_for_selector("#row-0")
    page.get_by_role("link", name="Compare").click()
    page.wait_for_selector("#paths .tabulator-row")
    assert window.address == {"name": ["reviewer"]}


def test_the_page_says_that_a_session_does_not_exist_and_what_to_do(seeded: View, window: BrowserWindow) -> None:
    window.page.goto(f"{seeded.url}/session?id=review/1&name=nobody")
    expect(window.page.get_by_role("alert")).to_have_text("there is no such session")
    expect(window.page.get_by_role("heading", name="There is no session review/1 here")).to_be_visible()
    window.page.get_by_role("link", name="Search for the id").click()
    window.page.wait_for_selector("#sessions .tabulator-row")
    assert "review/1" in window.column("id")
    window.page.go_back()
    window.page.get_by_role("link", name="reviewer").click()
    window.page.wait_for_selector("#row-0")
    window.problems.clear()  # the browser itself tells of the 404
