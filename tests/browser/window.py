"""A window of a browser that opens pages of a view and records errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

WIDE = {"width": 1440, "height": 900}
# The browser fires this event when the policy of a page forbids something.
_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error("policy", event.violatedDirective, event.blockedURI);
});
"""


class BrowserWindow:
    """One window of a browser. It records errors, dialogs and requests."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requested: list[str] = []
        page.add_init_script(_VIOLATIONS)
        page.on("console", self._record)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: self.requested.append(request.url))

    def _record(self, message: ConsoleMessage) -> None:
        # This warning is caused by tests that read pixels back from a canvas.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.problems.append(message.text)

    @classmethod
    @contextmanager
    def at(cls, browser: Browser, **settings: Any) -> Iterator[BrowserWindow]:
        context = browser.new_context(**{"viewport": WIDE, "accept_downloads": True, **settings})
        context.set_default_timeout(15_000)
        window = cls(context.new_page())
        try:
            yield window
            window.check()
        finally:
            context.close()

    def check(self) -> None:
        """Check that there were no errors, and no requests to other hosts."""
        assert self.problems == [], self.problems
        hosts = {
            urlsplit(url).hostname for url in self.requested if urlsplit(url).scheme in ("http", "https", "ws", "wss")
        }
        assert hosts <= {"127.0.0.1"}

    # --- opening pages ------------------------------------------------------------------------

    def go(self, url: str, page: str = "/", **parameters: Any) -> Page:
        """Open a page of a view, and wait until its content is there."""
        query = urlencode(parameters, doseq=True)
        self.page.goto(f"{url}{page}{f'?{query}' if query else ''}")
        shown = {
            "/": "#sessions .tabulator-row, #empty:not([hidden])",
            "/session": "#row-0",
            "/compare": "#paths .tabulator-row",
        }
        self.page.wait_for_selector(shown[page])
        if page == "/session":  # what loads when the rest is drawn
            self.page.wait_for_selector("#durations canvas, #durations-table tr", state="attached")
        return self.page

    def session(self, url: str, id_: str, name: str, **more: Any) -> Page:
        return self.go(url, "/session", id=id_, name=name, **more)

    # --- parts of a page --------------------------------------------------------------------------

    @property
    def address(self) -> dict[str, list[str]]:
        """The parameters in the address of the page."""
        parts = urlsplit(self.page.url)
        return parse_qs(parts.query or parts.fragment, keep_blank_values=True)

    @property
    def rows(self) -> list[str]:
        """The labels of the rows of the tree for screen readers."""
        return self.page.get_by_role("treeitem").evaluate_all("rows => rows.map(row => row.ariaLabel)")

    def row(self, name: str) -> Locator:
        """The row of the tree whose label begins with a name."""
        return self.page.locator(f'[role="treeitem"][aria-label^="{name},"]').first

    @property
    def drawer(self) -> Locator:
        return self.page.get_by_role("complementary", name="Request")

    def column(self, field: str, table: str = "#sessions") -> list[str]:
        """The texts of a column of a table that has rows."""
        self.page.locator(f"{table} .tabulator-row").first.wait_for()  # a table is drawn after the rest
        return self.page.locator(f'{table} .tabulator-row .tabulator-cell[tabulator-field="{field}"]').all_inner_texts()
