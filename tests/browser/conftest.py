"""A browser, views for it to look at, and a page that must not complain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from chromium import MISSING, browsing, executable
from demo_view import demonstrated
from looking import Looking

from helicone_otel import Settings
from view_seed import fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel._view.serve import View


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    why = MISSING if executable() is None else "" if find_spec("playwright") else "Playwright is not installed"
    if why:
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def running() -> Iterator[View]:
    """A view that nobody fills but the test."""
    from helicone_otel._view.serve import Places, viewing  # noqa: PLC0415  # needs the extra "view"

    with viewing(None, Settings(), Places(pages=0, grpc=0, http=0)) as view:
        yield view


@pytest.fixture
def empty() -> Iterator[View]:
    """A view to which nothing has come."""
    from helicone_otel._view.serve import Places, viewing  # noqa: PLC0415  # needs the extra "view"

    with viewing(None, Settings(), Places(pages=0, grpc=0, http=0)) as view:
        yield view


@pytest.fixture(scope="session")
def seeded() -> Iterator[View]:
    """A view of the recordings and of some code reviews."""
    from helicone_otel._view.serve import Places, viewing  # noqa: PLC0415  # needs the extra "view"

    with viewing(None, Settings(), Places(pages=0, grpc=0, http=0)) as view:
        fill(view)
        yield view


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The address of a view into which the real demo has run."""
    with demonstrated() as url:
        yield url


@pytest.fixture
def look(browser: Browser) -> Iterator[Looking]:
    """Opens pages, and fails the test that leaves behind an error, a blocked script or a request to elsewhere."""
    with Looking.at(browser) as looking:
        yield looking
