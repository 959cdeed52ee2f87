"""The colour of each path: the same everywhere in a database, and another one than those of the paths beside it.

A colour is a hue from 0 to 359, of which `static/colour.js` makes a colour for light and for dark mode. Only the hues
below are used. People with any kind of colour blindness can tell each of them from all others, because they differ in
lightness as well: `tests/browser/test_pages_colours.py` simulates it.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

HUES: Final = (13, 40, 54, 104, 135, 152, 252, 278, 280, 307, 330, 350)
# Steps of this size come to each hue once, because the number of hues has no divisor in common with it.
_STEP: Final = 5
# A path shall differ from so many paths beside it, the latest ones: a timeline shows them next to each other.
_BESIDE: Final = 8
_MAX_VALUES: Final = 500
_NEPHEWS: Final = """
SELECT b.colour FROM paths a JOIN paths b ON b.parent = a.path WHERE a.parent = ? ORDER BY a.id DESC, b.id DESC LIMIT ?
"""


def keep_colours(connection: sqlite3.Connection, paths: Iterable[str]) -> None:
    """Choose a colour for each path that has none yet, and for the paths above it."""
    wanted = sorted({above for path in set(paths) for above in _line(path)}, key=lambda path: (path.count("/"), path))
    known = {row[0] for row in _rows(connection, wanted)}
    for path in wanted:
        if path not in known:
            values = (path, _parent(path), _choose(connection, path))
            connection.execute("INSERT INTO paths (path, parent, colour) VALUES (?, ?, ?)", values)


def add_colours(connection: sqlite3.Connection, *lists: Sequence[dict[str, Any]]) -> None:
    """Set `colour` in each dictionary to the colour of its `path`."""
    colours = dict(_rows(connection, sorted({one["path"] for items in lists for one in items})))
    for one in (one for items in lists for one in items):
        one["colour"] = colours[one["path"]] if one["path"] in colours else _preferred(one["path"])[0]


def _rows(connection: sqlite3.Connection, paths: Sequence[str]) -> Iterator[tuple[str, int]]:
    for first in range(0, len(paths), _MAX_VALUES):
        some = paths[first : first + _MAX_VALUES]
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"SELECT path, colour FROM paths WHERE path IN ({marks})", some):
            yield row[0], row[1]


def _choose(connection: sqlite3.Connection, path: str) -> int:
    """Return the first hue in the order of a path that no path near it has."""
    parent = _parent(path)
    siblings = _below(connection, parent)
    nearest = {*siblings, *_below(connection, path), *_own(connection, parent)}
    grandparent = _parent(parent)
    near = {*nearest, *_below(connection, grandparent), *_own(connection, grandparent), *_nephews(connection, parent)}
    order = _preferred(path)
    for avoided in (near, nearest, set(siblings[: _BESIDE // 2])):
        found = next((hue for hue in order if hue not in avoided), None)
        if found is not None:
            return found
    return order[0]


def _preferred(path: str) -> list[int]:
    """Return all hues in the order in which a path takes them. It depends only on the path."""
    first = zlib.crc32(path.encode("utf-8", "replace"))
    return [HUES[(first + _STEP * place) % len(HUES)] for place in range(len(HUES))]


def _below(connection: sqlite3.Connection, parent: str) -> list[int]:
    """Return the hues of the paths below one, the latest first."""
    sql = "SELECT colour FROM paths WHERE parent = ? ORDER BY id DESC LIMIT ?"
    return [row[0] for row in connection.execute(sql, (parent, _BESIDE))] if parent else []


def _nephews(connection: sqlite3.Connection, parent: str) -> list[int]:
    return [row[0] for row in connection.execute(_NEPHEWS, (parent, _BESIDE))]


def _own(connection: sqlite3.Connection, path: str) -> list[int]:
    return [row[0] for row in connection.execute("SELECT colour FROM paths WHERE path = ?", (path,))]


def _line(path: str) -> Iterator[str]:
    """Yield a path and all paths above it, except for the root."""
    yield path
    while (path := _parent(path)) not in ("", "/"):
        yield path


def _parent(path: str) -> str:
    """Return the path above one; `/` for a path of one segment, and an empty text for the root."""
    return (path.rpartition("/")[0] or "/") if path not in ("", "/") else ""
