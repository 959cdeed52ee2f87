"""Access to the pages: keyboard, screen reader, dark mode, small screen, reduced motion."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

CONTRAST_OF_THINGS, CONTRAST_OF_TEXT = 3.0, 4.5
PAGES = ["/", "/session?id=review/3&name=reviewer", "/compare?name=reviewer"]
# Controls and other elements with a meaning that have no name for screen readers.
UNNAMED = """
[...document.querySelectorAll("button, a, input, select, canvas[tabindex], [role=tree], [role=img], table, nav, aside")]
  .filter((one) => one.checkVisibility() && !one.closest(".tabulator-header, .tabulator-footer"))
  .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length || one.caption || one.title
    || one.getAttribute("aria-labelledby") || one.closest(".tabulator-row")))
  .map((one) => one.outerHTML.slice(0, 120))
"""


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_arrow_keys_move_through_the_tree(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    tree = page.get_by_role("tree")
    tree.focus()

    def active() -> str:
        return page.locator(f"#{tree.get_attribute('aria-activedescendant')}").get_attribute("aria-label") or ""

    assert active().startswith("reviewer,")
    page.keyboard.press("ArrowLeft")
    expect(window.row("reviewer")).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(window.row("reviewer")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    assert active() == window.rows[1]
    page.keyboard.press("End")
    assert active() == window.rows[-1]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(window.drawer).to_be_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "drawer"
    page.keyboard.press("Escape")
    expect(window.drawer).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "tree"


def test_arrow_keys_move_through_the_timeline_and_each_step_is_announced(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    requests = ask(seeded.url, "session", id="review/1", name="reviewer")["requests"]
    page.locator("#timeline").focus()
    for one in requests[:3]:
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**request={one['id']}*")
        expect(page.get_by_role("status")).to_contain_text(f"Request {one['name']}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**request={requests[1]['id']}*")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "drawer"
    page.keyboard.press("Escape")
    expect(window.drawer).to_be_hidden()
    page.locator("#timeline").focus()
    page.keyboard.press("+")
    page.wait_for_url("**part=*")
    page.keyboard.press("0")
    page.wait_for_timeout(400)
    assert "part" not in window.address


@pytest.mark.parametrize("address", PAGES)
def test_tab_moves_through_the_page_in_order_and_a_link_skips_the_head(
    seeded: View, window: BrowserWindow, address: str
) -> None:
    page = window.page
    page.goto(seeded.url + address)
    page.wait_for_selector("#row-0, .tabulator-row")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        tops.append(page.evaluate("document.activeElement.getBoundingClientRect().top"))
        assert page.evaluate("document.activeElement !== document.body")
    assert all(below >= above - 200 for above, below in pairwise(tops))


@pytest.mark.parametrize("address", PAGES)
def test_every_control_has_a_name(seeded: View, window: BrowserWindow, address: str) -> None:
    page = window.page
    page.goto(seeded.url + address)
    page.wait_for_selector("#row-0, .tabulator-row")
    assert page.evaluate(UNNAMED) == []
    assert page.get_by_role("main").count() == page.get_by_role("heading", level=1).count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"


def test_every_hue_has_contrast_to_the_background_and_to_text_on_it(
    seeded: View, browser: Browser, scheme: Any
) -> None:
    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        page = window.session(seeded.url, "review/1", "reviewer")
        hues = page.evaluate(
            """async () => {
              const { colour, textOn, token } = await import("/static/colour.js");
              const hues = Array.from({ length: 360 }, (_none, hue) => [colour(hue), textOn(hue)]);
              return { hues, panel: token("--panel"), selected: token("--accent-soft") };
            }"""
        )
        assert len({one for one, _ in hues["hues"]}) > 340
        for one, text in hues["hues"]:
            assert _contrast(one, hues["panel"]) >= CONTRAST_OF_THINGS
            assert _contrast(one, text) >= CONTRAST_OF_TEXT


def test_texts_have_contrast(seeded: View, browser: Browser, scheme: Any) -> None:
    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        page = window.session(seeded.url, "review/3", "reviewer")
        tokens = page.evaluate(
            """async () => {
              const { token } = await import("/static/colour.js");
              const names = ["page", "panel", "sunk", "text", "muted", "accent", "bad", "accent-soft", "bad-soft"];
              return Object.fromEntries(names.map((name) => [name, token(`--${name}`)]));
            }"""
        )
        on = {
            "text": ("page", "panel", "sunk", "accent-soft"),
            "muted": ("page", "panel", "sunk"),
            "accent": ("panel", "accent-soft"),
            "bad": ("panel", "bad-soft"),
        }
        for text, grounds in on.items():
            for ground in grounds:
                assert _contrast(tokens[text], tokens[ground]) >= CONTRAST_OF_TEXT, (text, ground)


def test_colours_follow_the_scheme_while_the_page_is_open(seeded: View, window: BrowserWindow) -> None:
    page = window.session(seeded.url, "review/1", "reviewer")
    light = page.locator(".row .swatch").first.evaluate("one => getComputedStyle(one).backgroundColor")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.locator(".row .swatch").first.evaluate("one => getComputedStyle(one).backgroundColor") != light
    assert (
        _contrast(page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--page')"), "#000000") < 2
    )


def test_nothing_moves_if_the_user_prefers_no_motion(seeded: View, browser: Browser) -> None:
    with BrowserWindow.at(browser, reduced_motion="reduce") as window:
        page = window.session(seeded.url, "review/3", "reviewer")
        page.keyboard.press("Tab")
        window.row("reviewer").locator(".label").click()
        running = page.evaluate("document.getAnimations().length")
        assert running == 0


@pytest.mark.parametrize("address", PAGES)
def test_a_small_screen_scrolls_in_one_direction_only(seeded: View, browser: Browser, address: str) -> None:
    with BrowserWindow.at(browser, viewport={"width": 390, "height": 800}) as window:
        page = window.page
        page.goto(seeded.url + address)
        page.wait_for_selector("#row-0, .tabulator-row")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_small_screen_the_drawer_fills_the_screen(demo: str, browser: Browser) -> None:
    found = ask(demo, "sessions", name=NAME, sort="-requests")["sessions"][0]
    with BrowserWindow.at(browser, viewport={"width": 390, "height": 800}) as window:
        page: Page = window.session(demo, found["id"], NAME)
        window.row("write").locator(".label").click()
        expect(window.drawer).to_be_visible()
        page.wait_for_timeout(300)
        box = window.drawer.bounding_box()
        assert box is not None
        assert (box["x"], box["width"], box["height"]) == (0, 390, 800)


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours `#rrggbb`: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour.strip().lstrip("#")[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
