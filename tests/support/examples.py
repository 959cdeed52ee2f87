"""How many examples the tests of properties try: all of them in CI, and a part in a run by hand."""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """Return how many of so many examples this run tries: a third, or all if `CI` is set."""
    return count if os.environ.get("CI") else max(count // 3, 10)
