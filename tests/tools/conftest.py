"""Fixtures: a running view, which the tests of a module share, and the same without data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.viewing import ViewClient


@pytest.fixture(scope="module")
def running() -> Iterator[ViewClient]:
    from tests.support.viewing import view_client  # noqa: PLC0415  # needs the extra "view"

    with view_client() as one:
        yield one


@pytest.fixture
def view(running: ViewClient) -> ViewClient:
    running.clear()
    return running
