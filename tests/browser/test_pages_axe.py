"""axe finds nothing serious on any page, in light and dark mode, wide and narrow, with what can be open open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.demo_view import ask
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

SERIOUS = {"serious", "critical"}
WIDTHS = [1440, 800]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Any:
    return request.param


def findings(page: Page) -> list[str]:
    """Return what axe finds that is serious: the rule, and the first elements that break it."""
    # What fades in is measured when it is there.
    page.wait_for_timeout(400)
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in violations
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_list(seeded: View, browser: Browser, scheme: Any, width: int) -> None:
    with BrowserWindow.at(browser, color_scheme=scheme, viewport={"width": width, "height": 900}) as window:
        page = window.go(seeded.url, name="reviewer", duration="1..", user="u-3")
        assert findings(page) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shown", ["tree", "table"])
def test_a_session_with_a_request_open(seeded: View, browser: Browser, scheme: Any, width: int, shown: str) -> None:
    requests = ask(seeded.url, "session", id="review/3", name="reviewer")["requests"]
    failed = next(one for one in requests if one["error"] is not None)
    with BrowserWindow.at(browser, color_scheme=scheme, viewport={"width": width, "height": 900}) as window:
        page = window.session(seeded.url, "review/3", "reviewer", durations="table", kind="tool")
        assert findings(page) == []
        if shown == "table":
            page.locator("#timeline-as").get_by_role("button", name="Table").click()
        page.keyboard.press("f")
        expect(window.drawer).to_contain_text("TimeoutError")
        assert window.address["request"] == [failed["id"]]
        assert findings(page) == []


def test_a_conversation(seeded: View, browser: Browser, scheme: Any) -> None:
    chat = next(
        one for one in ask(seeded.url, "session", id="review/1", name="reviewer")["requests"] if one["kind"] == "llm"
    )
    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        page = window.session(seeded.url, "review/1", "reviewer", request=chat["id"])
        expect(window.drawer.locator("article.message")).to_have_count(3)
        for summary in window.drawer.locator("summary").all():
            summary.click()
        assert findings(page) == []


@pytest.mark.parametrize("width", [1440, 600])
def test_a_comparison(seeded: View, browser: Browser, scheme: Any, width: int) -> None:
    """In a narrow window its tables are wider than the page, and must be scrolled without a pointer, too."""
    with BrowserWindow.at(browser, color_scheme=scheme, viewport={"width": width, "height": 900}) as window:
        page = window.go(seeded.url, "/compare", name="reviewer", **{"as": "table"})
        assert findings(page) == []


def test_an_empty_view_and_the_shortcuts(empty: View, browser: Browser, scheme: Any) -> None:
    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        page = window.go(empty.url)
        assert findings(page) == []
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert findings(page) == []


def test_the_page_of_an_unknown_session(seeded: View, browser: Browser, scheme: Any) -> None:
    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        window.page.goto(f"{seeded.url}/session?id=review/1&name=nobody")
        expect(window.page.get_by_role("alert")).to_be_visible()
        assert findings(window.page) == []
        window.problems.clear()  # the browser itself tells of the 404
