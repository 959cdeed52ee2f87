"""Nothing that carries meaning is cut, however wide the window is, with the drawer open or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import opened
from tests.browser.demo_view import ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

WIDTHS = (1440, 1280, 800)
MINUTE = 60_000
# Numbers, kinds, failures, times, and the heads of columns: of these no part may be out of sight. What the drawer
# covers is out of sight, too, unless it can be scrolled from below it.
CUT = """(selector) => {
  const drawer = document.querySelector("#drawer:not([hidden])")?.getBoundingClientRect();
  const isCut = (one) => {
    if (!one.checkVisibility() || !one.innerText.trim()) return false;
    const range = document.createRange();
    range.selectNodeContents(one);
    const text = range.getBoundingClientRect();
    const isBeside = drawer && drawer.left > 0 && !one.closest("#drawer");
    if (isBeside && text.right > drawer.left && text.bottom > drawer.top && text.top < drawer.bottom) return true;
    for (let box = one; box && box !== document.body; box = box.parentElement) {
      const inside = box.getBoundingClientRect();
      const clips = ["hidden", "clip", "auto", "scroll"].includes(getComputedStyle(box).overflowX);
      if (clips && (text.right > inside.right + 1 || text.left < inside.left - 1)) return true;
    }
    return text.right > innerWidth + 1;
  };
  const cut = [...document.querySelectorAll(selector)].filter(isCut);
  return cut.map((one) => `${one.className || one.tagName}: ${one.innerText}`);
}"""
WHOLE = """.took, .badge, .count, .kinds, time, dt, dd:not(.id), .spans .number, #zone, #live,
  button:not(.cell-button):not(.label), .tabulator-col-title, .tabulator-row .tabulator-cell.number,
  [tabulator-field=kind], .plain-table th, .plain-table .number"""
# Names may be cut if they are long, but a good part of each is seen, and the rest is in its title.
NAMES = """[...document.querySelectorAll("#tree .label")].map((one) => ({
  seen: one.clientWidth, whole: one.scrollWidth, title: one.closest("[title]")?.title ?? "" }))"""


@pytest.fixture(scope="module")
def planned() -> Iterator[tuple[View, str]]:
    """A view of a session that took 21 minutes, with long names five levels deep, and one of its requests."""
    from tests.support.view_seed import fill, request_of, send, span  # noqa: PLC0415  # needs the extra "view"

    conversation = {"gen_ai.conversation.id": "long/1"}
    usage = {"gen_ai.usage.input_tokens": 169_412, "gen_ai.usage.output_tokens": 51_234}
    first = {"gen_ai.response.time_to_first_chunk": 71.2}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5.4-mini-2026-03-17", **usage, **first}
    spans: list[dict[str, Any]] = []
    for level, name in enumerate(("planner", "research_the_destination", "compare_options", "search_trains", "rank")):
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **conversation}
        spans.append(span(5, level * 10 + 1, level * 10 - 9 if level else 0, attributes=agent, length=21 * MINUTE))
        for call in range(3):
            failed = {"error.type": "RateLimitError: too many requests"} if call == 2 else {}
            place = {"start": call * 5 * MINUTE + level * 1000, "length": (call + 1) * 1.5 * MINUTE}
            spans.append(
                span(5, level * 10 + 2 + call, level * 10 + 1, attributes={**chat, **conversation, **failed}, **place)
            )
    with opened() as view:
        fill(view)
        send(view, request_of("planner-service", spans))
        yield view, ask(view.url, "session", id="long/1")["requests"][4]["id"]


def session(window: BrowserWindow, view: View, **more: str) -> Page:
    """Open the session, as a tree or as a table."""
    window.page.goto(f"{view.url}/session?{urlencode({'id': 'long/1', 'name': 'planner-service', **more})}")
    window.page.wait_for_selector("#requests-table .tabulator-row" if more.get("as") == "table" else "#row-0")
    return window.page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shown", ["tree", "table"])
@pytest.mark.parametrize("is_open", [True, False], ids=["drawer", "alone"])
def test_of_a_session_nothing_is_cut(
    planned: tuple[View, str], browser: Browser, width: int, shown: str, is_open: bool
) -> None:
    view, request = planned
    more = {"as": "table"} if shown == "table" else {}
    with BrowserWindow.at(browser, viewport={"width": width, "height": 900}) as window:
        page = session(window, view, durations="table", **more, **({"request": request} if is_open else {}))
        if is_open:
            expect(window.drawer).to_be_visible()
        page.wait_for_timeout(300)
        assert page.evaluate(CUT, WHOLE) == []
        for name in page.evaluate(NAMES) if shown == "tree" else ():
            assert name["seen"] >= min(name["whole"], 52)
            assert name["seen"] >= name["whole"] or name["title"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("address", ["/", "/compare"])
def test_of_lists_nothing_is_cut(planned: tuple[View, str], browser: Browser, width: int, address: str) -> None:
    view, _ = planned
    with BrowserWindow.at(browser, viewport={"width": width, "height": 900}) as window:
        page = window.go(view.url, address, **({"name": "reviewer"} if address == "/compare" else {}))
        page.wait_for_timeout(300)
        assert page.evaluate(CUT, WHOLE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_chosen_request_is_not_behind_the_drawer(planned: tuple[View, str], browser: Browser) -> None:
    view, request = planned
    with BrowserWindow.at(browser, viewport={"width": 800, "height": 900}) as window:
        page = session(window, view, request=request)
        expect(window.drawer).to_be_visible()
        page.wait_for_timeout(300)
        row = page.locator('#tree [aria-selected="true"]').bounding_box()
        drawer = window.drawer.bounding_box()
    assert row is not None
    assert drawer is not None
    assert row["y"] + row["height"] <= drawer["y"]


def test_columns_yield_in_their_order(planned: tuple[View, str], browser: Browser) -> None:
    view, _ = planned
    seen = []
    with BrowserWindow.at(browser) as window:
        for width in (1600, 1280, 1100, 800, 700):
            window.page.set_viewport_size({"width": width, "height": 900})
            page = session(window, view, **{"as": "table"})
            heads = page.locator("#requests-table .tabulator-col:visible .tabulator-col-title")
            seen.append(heads.all_inner_texts())
    all_columns = ["Start", "Path", "Kind", "Name", "Duration", "First token", "Tokens", "Cost", "Critical", "Error"]
    order = ["First token", "Critical", "Tokens", "Start", "Cost", "Kind"]
    for columns in seen:
        gone = order[: len(all_columns) - len(columns)]
        assert columns == [one for one in all_columns if one not in gone]
    assert seen[0] == all_columns
    assert len(seen[-1]) < len(all_columns)


def test_the_width_of_the_tree_can_be_dragged_and_set_by_keys_and_stays(
    planned: tuple[View, str], window: BrowserWindow
) -> None:
    view, _ = planned
    page = window.session(view.url, "long/1", "planner-service")
    line = page.get_by_role("separator", name="Width of the tree")

    def width() -> float:
        tree, timeline = page.locator("#tree").bounding_box(), page.locator("#timeline").bounding_box()
        assert tree is not None
        assert timeline is not None
        assert abs(tree["x"] + tree["width"] - timeline["x"]) < 2
        return float(tree["width"])

    first = width()
    expect(line).to_have_attribute("aria-valuenow", str(round(first)))
    box = line.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 4, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] - 96, box["y"] + 200, steps=5)
    page.mouse.up()
    assert width() == pytest.approx(first - 100, abs=2)
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    assert width() == pytest.approx(first - 100, abs=2)
    line.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert width() == pytest.approx(first - 68, abs=2)
    window.session(view.url, "long/1", "planner-service")
    assert width() == pytest.approx(first - 68, abs=2)
    line.focus()
    page.keyboard.press("Home")
    expect(line).to_have_attribute("aria-valuenow", "280")
    assert width() == 280
    assert page.evaluate(CUT, "#tree .took, #tree .badge") == []
    page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuenow", line.get_attribute("aria-valuemax") or "")
    page.keyboard.press("Enter")
    assert width() == pytest.approx(first, abs=2)
