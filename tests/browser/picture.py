"""Draws the pictures of the documentation from the real demo: `python -m tests.browser.picture`."""

from __future__ import annotations

import urllib.parse

from tests.browser.chromium import browsing
from tests.browser.demo_view import NAME, ask, demonstrated
from tests.support.paths import REPOSITORY

IMAGES = REPOSITORY / "docs" / "images"

# The head of a session, its tree and its timeline.
SIZE = {"width": 1200, "height": 940}
SCHEMES = ("light", "dark")


def main() -> None:
    """Run the demo with a view, open its session, and save pictures of it, in light and dark mode."""
    with demonstrated() as url, browsing() as browser:
        found = ask(url, "sessions", name=NAME, sort="-requests")["sessions"][0]
        query = urllib.parse.urlencode({"id": found["id"], "name": NAME})
        for scheme in SCHEMES:
            page = browser.new_page(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
            page.goto(f"{url}/session?{query}")
            page.locator("#durations canvas").wait_for()
            page.wait_for_timeout(800)
            page.screenshot(path=IMAGES / f"session-{scheme}.png")
            page.close()


if __name__ == "__main__":
    main()
