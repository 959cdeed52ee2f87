"""Draws the pictures of the README from the real demo: `python tests/browser/picture.py`.

They are kept beside this file, so that they are neither in the package nor at the top of the repository.
"""

from __future__ import annotations

import sys
import urllib.parse
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1])]

# The head of a session, its tree and its timeline.
SIZE = {"width": 1200, "height": 940}
SCHEMES = ("light", "dark")


def main() -> None:
    """Run the demo with a view, open its session, and save pictures of it, in light and dark mode."""
    from tests.browser.chromium import browsing  # noqa: PLC0415  # found by the path above
    from tests.browser.demo_view import NAME, ask, demonstrated  # noqa: PLC0415

    with demonstrated() as url, browsing() as browser:
        found = ask(url, "sessions", name=NAME, sort="-requests")["sessions"][0]
        query = urllib.parse.urlencode({"id": found["id"], "name": NAME})
        for scheme in SCHEMES:
            page = browser.new_page(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
            page.goto(f"{url}/session?{query}")
            page.locator("#durations canvas").wait_for()
            page.wait_for_timeout(800)
            page.screenshot(path=HERE / f"session-{scheme}.png")
            page.close()


if __name__ == "__main__":
    main()
