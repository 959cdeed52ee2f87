"""Fixtures: a browser, running views, and a window that fails the test if a page has errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from helicone_otel import Settings
from tests.browser.chromium import MISSING, browsing, executable
from tests.browser.demo_view import demonstrated
from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel.tools.view.server import View


# Without these packages, as with the oldest supported versions, no test is collected, and `pytest -m browser` fails.
NEEDED = ("playwright", "axe_playwright_python", "genai_prices", "starlette", "uvicorn", "jinja2")
ABSENT = [one for one in NEEDED if find_spec(one) is None]
collect_ignore_glob = ["test_*.py"] if ABSENT else []


def pytest_report_header() -> str | None:
    return f"browser tests: left out, without {', '.join(ABSENT)}" if ABSENT else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if executable() is None:
        pytest.fail(MISSING) if os.environ.get("CI") else pytest.skip(MISSING)
    with browsing() as browser:
        yield browser


@contextmanager
def opened() -> Iterator[View]:
    """Yield a view on free ports."""
    from helicone_otel.tools.view.server import running_view  # noqa: PLC0415  # needs the extra "view"
    from helicone_otel.tools.view.sockets import ListenOptions  # noqa: PLC0415

    with running_view(None, Settings(), ListenOptions(pages=0, grpc=0, http=0)) as view:
        yield view


@pytest.fixture(scope="session")
def running() -> Iterator[View]:
    """A view that several tests fill."""
    with opened() as view:
        yield view


@pytest.fixture
def empty() -> Iterator[View]:
    """A view without any data."""
    with opened() as view:
        yield view


@pytest.fixture(scope="session")
def seeded() -> Iterator[View]:
    """A view of the recordings and of some code reviews."""
    from tests.support.view_seed import fill  # noqa: PLC0415  # needs the extra "view"

    with opened() as view:
        fill(view)
        yield view


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The address of a view that shows the real demo."""
    with demonstrated() as url:
        yield url


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserWindow]:
    """A window that fails the test if a page had an error, a blocked script or a request to another host."""
    with BrowserWindow.at(browser) as window:
        yield window
