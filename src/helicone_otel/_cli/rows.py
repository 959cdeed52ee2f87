"""What stands in Helicone's log, for the tree of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from helicone_otel._testing.fake.rows import Row

from .tree import LoggedRow


def logged(rows: Iterable[Row]) -> Mapping[str, tuple[LoggedRow, ...]]:
    """Return the rows that were logged by their ids; those that a gateway made stand with its calls."""
    found: defaultdict[str, tuple[LoggedRow, ...]] = defaultdict(tuple)
    for row in rows:
        if row.door == "log":
            found[row.id] += (LoggedRow(row.badge, row.model, row.status, tuple(row.flaws)),)
    return found
