"""The pictures of the documentation are drawn from the real demo, and none is missing or left over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import picture
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def drawn() -> set[str]:
    return {f"{name}-{scheme}.png" for name, one in picture.pictures("x").items() for scheme in one.schemes}


def test_the_pictures_can_be_drawn(
    demo: str, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "IMAGES", tmp_path)
    picture.draw(demo, browser)

    assert {file.name for file in tmp_path.iterdir()} == drawn()


def test_the_documentation_shows_each_picture_that_is_drawn() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w-]+\.png)", page.read_text(encoding="utf-8"))}

    assert drawn() <= shown
    assert {name for name in shown if not (REPOSITORY / "docs" / "images" / name).exists()} == set()
