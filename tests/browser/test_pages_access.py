"""The pages without a pointer, without sight of them, in the dark, on a small screen, and without motion."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo_view import NAME, ask
from tests.browser.looking import Looking

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

CONTRAST_OF_THINGS, CONTRAST_OF_TEXT = 3.0, 4.5
PAGES = ["/", "/session?id=review/3&name=reviewer", "/compare?name=reviewer"]
# What is said of everything that can be used or means something by itself.
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


def test_the_tree_is_walked_with_arrows(seeded: View, look: Looking) -> None:
    page = look.session(seeded.url, "review/1", "reviewer")
    tree = page.get_by_role("tree")
    tree.focus()

    def active() -> str:
        return page.locator(f"#{tree.get_attribute('aria-activedescendant')}").get_attribute("aria-label") or ""

    assert active().startswith("reviewer,")
    page.keyboard.press("ArrowLeft")
    expect(look.row("reviewer")).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(look.row("reviewer")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    assert active() == look.rows[1]
    page.keyboard.press("End")
    assert active() == look.rows[-1]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(look.drawer).to_be_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "drawer"
    page.keyboard.press("Escape")
    expect(look.drawer).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "tree"


def test_the_timeline_is_walked_with_arrows_and_each_step_is_said(seeded: View, look: Looking) -> None:
    page = look.session(seeded.url, "review/1", "reviewer")
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
    expect(look.drawer).to_be_hidden()
    page.locator("#timeline").focus()
    page.keyboard.press("+")
    page.wait_for_url("**part=*")
    page.keyboard.press("0")
    page.wait_for_timeout(400)
    assert "part" not in look.address


@pytest.mark.parametrize("address", PAGES)
def test_tab_leads_through_the_page_in_order_and_a_link_skips_its_head(
    seeded: View, look: Looking, address: str
) -> None:
    page = look.page
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
def test_everything_that_can_be_used_has_a_name(seeded: View, look: Looking, address: str) -> None:
    page = look.page
    page.goto(seeded.url + address)
    page.wait_for_selector("#row-0, .tabulator-row")
    assert page.evaluate(UNNAMED) == []
    assert page.get_by_role("main").count() == page.get_by_role("heading", level=1).count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"


def test_every_hue_can_be_told_from_the_background_and_texts_on_it_read(
    seeded: View, browser: Browser, scheme: Any
) -> None:
    with Looking.at(browser, color_scheme=scheme) as look:
        page = look.session(seeded.url, "review/1", "reviewer")
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


def test_texts_can_be_read(seeded: View, browser: Browser, scheme: Any) -> None:
    with Looking.at(browser, color_scheme=scheme) as look:
        page = look.session(seeded.url, "review/3", "reviewer")
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


def test_colours_follow_the_scheme_while_the_page_is_open(seeded: View, look: Looking) -> None:
    page = look.session(seeded.url, "review/1", "reviewer")
    light = page.locator(".row .swatch").first.evaluate("one => getComputedStyle(one).backgroundColor")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.locator(".row .swatch").first.evaluate("one => getComputedStyle(one).backgroundColor") != light
    assert (
        _contrast(page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--page')"), "#000000") < 2
    )


def test_nothing_moves_where_motion_is_not_wanted(seeded: View, browser: Browser) -> None:
    with Looking.at(browser, reduced_motion="reduce") as look:
        page = look.session(seeded.url, "review/3", "reviewer")
        page.keyboard.press("Tab")
        look.row("reviewer").locator(".label").click()
        running = page.evaluate("document.getAnimations().length")
        assert running == 0


@pytest.mark.parametrize("address", PAGES)
def test_a_small_screen_scrolls_in_one_direction_only(seeded: View, browser: Browser, address: str) -> None:
    with Looking.at(browser, viewport={"width": 390, "height": 800}) as look:
        page = look.page
        page.goto(seeded.url + address)
        page.wait_for_selector("#row-0, .tabulator-row")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_small_screen_the_drawer_takes_it_all(demo: str, browser: Browser) -> None:
    found = ask(demo, "sessions", name=NAME, sort="-requests")["sessions"][0]
    with Looking.at(browser, viewport={"width": 390, "height": 800}) as look:
        page: Page = look.session(demo, found["id"], NAME)
        look.row("write").locator(".label").click()
        expect(look.drawer).to_be_visible()
        page.wait_for_timeout(300)
        box = look.drawer.bounding_box()
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
