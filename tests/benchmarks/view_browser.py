"""Measure how fast the pages of the view are: `python -m tests.benchmarks.view_browser [--check]`.

In Chromium, over a store that holds a session of 5,000 requests: how long until it can be read, and the longest
task that blocks the page while it is opened, scrolled, zoomed, folded, and walked through.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from helicone_otel import Settings
from helicone_otel.tools.replay.otlp import batch_of
from helicone_otel.tools.view.server import running_view
from helicone_otel.tools.view.sockets import ListenOptions
from tests.browser.chromium import browsing
from tests.support.view_seed import fill, request_of, review, wait_until_labelled

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTIONS = 1667  # of three requests each
ROUNDS = 5
MOST_OPEN = 1000.0
MOST_BLOCKED = 100.0
NAME = "reviewer"
# Runs before the page's own scripts.
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({type: "longtask", buffered: true});
new MutationObserver((_changes, observer) => {
  if (!document.querySelector("#row-0")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => (window.opened = performance.now())));
}).observe(document, {childList: true, subtree: true});
"""
SCROLL = """async (selector) => {
  const scroller = document.querySelector(selector);
  for (let step = 0; step < 60; step += 1) {
    scroller.scrollTop = (scroller.scrollHeight * step) / 60;
    await new Promise(requestAnimationFrame);
  }
}"""


def main() -> int:
    """Measure and print; return 1 if a budget is missed and `--check` is given."""
    with running_view(None, Settings(), ListenOptions(pages=0, grpc=0, http=0)) as view, browsing() as browser:
        fill(view)
        spans = review(5000, "long", QUESTIONS, time.time_ns() - 3600 * 10**9, fails=True)
        view.intake.accept_spans(batch_of(request_of(NAME, spans))).result()
        wait_until_labelled(view)
        measured: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_init_script(WATCH)
            for name, value in _round(context.new_page(), view.url):
                measured.setdefault(name, []).append(value)
            context.close()
    return _report(measured)


def _round(page: Page, url: str) -> list[tuple[str, float]]:
    page.goto(f"{url}/session?{urlencode({'id': 'long', 'name': NAME})}")
    page.wait_for_selector("#row-0")
    page.wait_for_timeout(600)
    found = [("opened", float(page.evaluate("opened")))]
    found.append(("blocked while opened", _longest(page)))

    def blocked(what: str) -> None:
        page.wait_for_timeout(250)
        found.append((f"blocked while {what}", _longest(page)))

    page.get_by_role("button", name="Collapse all").click()
    page.get_by_role("button", name="Expand all").click()
    blocked("all is expanded")
    page.evaluate(SCROLL, "#scroller")
    blocked("scrolled")
    page.locator("#timeline").focus()
    for key in ["+"] * 12 + ["Shift+ArrowRight"] * 12 + ["0"]:
        page.keyboard.press(key)
    blocked("zoomed and moved")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    blocked("walked from request to request")
    page.keyboard.press("Escape")
    page.locator("#timeline-as").get_by_role("button", name="Table").click()
    page.wait_for_selector(".tabulator-row")
    blocked("turned into a table")
    page.evaluate(SCROLL, "#requests-table .tabulator-tableholder")
    blocked("the table is scrolled")
    return found


def _longest(page: Page) -> float:
    """Return the longest task since the last call in ms; 0 if none took 50 ms, the least that browsers report."""
    return float(page.evaluate("Math.max(0, ...longTasks.splice(0))"))


def _report(measured: dict[str, list[float]]) -> int:
    missed = False
    for name, values in measured.items():
        middle, most = sorted(values)[len(values) // 2], MOST_OPEN if name == "opened" else MOST_BLOCKED
        missed = missed or middle > most
        print(f"{name:34} {middle:7.0f} ms   {min(values):.0f} to {max(values):.0f}, budget {most:.0f}")
    return int(missed and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
