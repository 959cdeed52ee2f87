"""What the list says about a named database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.view_seed import request_of, review, send

if TYPE_CHECKING:
    from tests.browser.window import BrowserWindow

pytestmark = pytest.mark.browser


def test_the_list_says_how_large_the_file_is_and_compacts_it(window: BrowserWindow, tmp_path: Path) -> None:
    from helicone_otel import Settings  # noqa: PLC0415
    from helicone_otel.tools.view.retention import Retention  # noqa: PLC0415
    from helicone_otel.tools.view.server import running_view  # noqa: PLC0415  # needs the extra "view"
    from helicone_otel.tools.view.sockets import ListenOptions  # noqa: PLC0415

    options = ListenOptions(pages=0, grpc=None, http=0)
    with running_view(tmp_path / "a.db", Settings(), options, Retention(days=30_000, size=2 * 10**9)) as view:
        send(view, request_of("reviewer", review(1, "review/1", 200, 1_760_000_000_000_000_000)))
        page = window.go(view.url)
        said = page.locator("#kept")
        rule = "Sessions are removed after 30,000 days or beyond 2.00 GB."
        expect(said).to_have_text(re.compile(rf"^The database has \d+\.\d MB\. {re.escape(rule)} Compact$"))
        before = view.database.size
        with page.expect_response("**/api/compact") as answered:
            said.get_by_role("button", name="Compact").click()
        assert answered.value.json()["size"] < before
        expect(page.locator("#announcer")).to_have_text("Compacted")


def test_a_view_that_keeps_nothing_says_nothing_about_it(seeded: object, window: BrowserWindow) -> None:
    page = window.go(seeded.url)  # type: ignore[attr-defined]
    expect(page.locator("#kept")).to_be_empty()
