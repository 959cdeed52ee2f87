"""Draws the pictures of the documentation from the real demo: `python -m tests.browser.picture`."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.browser.chromium import browsing
from tests.browser.demo_view import NAME, ask, demonstrated
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES: Final = REPOSITORY / "docs" / "images"


class Picture(NamedTuple):
    """A picture of a page of the demo's view.

    Attributes:
        page: The page.
        parameters: Its query.
        height: In pixels; all pictures are 1200 pixels wide.
        waits_for: What is there when the page is complete.
        prepare: What is done on the page before.
        schemes: The colour schemes in which it is drawn.
    """

    page: str
    parameters: dict[str, str]
    height: int
    waits_for: str
    prepare: Callable[[Page], Any] = lambda _: None
    schemes: tuple[str, ...] = ("light",)


def pictures(session: str) -> dict[str, Picture]:
    """Return the pictures by name, which ends in the scheme in the file.

    Args:
        session: The id of the demo's long session.
    """
    shown = {"id": session, "name": NAME}
    return {
        # The head of a session, its tree and its timeline.
        "session": Picture("/session", shown, 1000, "#durations canvas", schemes=("light", "dark")),
        "list": Picture("/", {"kind": "tool", "search": "trains"}, 680, "#sessions .tabulator-row"),
        "find": Picture("/session", {**shown, "errors": "1"}, 760, "#row-0", lambda page: page.keyboard.press("f")),
        "keys": Picture("/session", shown, 760, "#row-0", lambda page: page.keyboard.press("?")),
    }


def draw(url: str, browser: Browser) -> None:
    """Save all pictures."""
    found = ask(url, "sessions", name=NAME, sort="-requests")["sessions"][0]
    for name, picture in pictures(found["id"]).items():
        for scheme in picture.schemes:
            size = {"width": 1200, "height": picture.height}
            page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.goto(f"{url}{picture.page}?{urllib.parse.urlencode(picture.parameters)}")
            page.locator(picture.waits_for).first.wait_for()
            picture.prepare(page)
            page.wait_for_timeout(800)
            page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
            page.close()


def main() -> None:
    """Run the demo with a view, and save pictures of it."""
    with demonstrated() as url, browsing() as browser:
        draw(url, browser)


if __name__ == "__main__":
    main()
