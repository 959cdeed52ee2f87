"""The folders of the repository and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
REPOSITORY: Final = TESTS.parent
