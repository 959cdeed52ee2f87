"""The packages that bring scripts and styles of the pages with them, found without importing them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple


class Part(NamedTuple):
    """Some files of a package: those with these names in one of these folders."""

    package: str
    folders: tuple[str, ...]


PARTS: Final[Mapping[str, Part]] = {
    "echarts": Part("nicegui", ("elements/echart/dist",)),
    "tabulator": Part("js_lib_tabulator", ("static/tabulator/js", "static/tabulator/css")),
}
TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".png": "image/png",
}
STATIC: Final = Path(__file__).parent / "static"
TEMPLATES: Final = Path(__file__).parent / "templates"


def find_part(part: str, name: str) -> Path | None:
    """Return a file of a part; `None` if there is none of that name."""
    return next((path for folder in _folders(part) if (path := _inside(folder, name)) is not None), None)


def find_static(name: str) -> Path | None:
    """Return a file of the pages' own; `None` if there is none of that name."""
    return _inside(STATIC, name)


def _folders(part: str) -> list[Path]:
    wanted = PARTS.get(part)
    spec = find_spec(wanted.package) if wanted else None
    if wanted is None or spec is None or not spec.submodule_search_locations:
        return []
    return [Path(place, folder) for place in spec.submodule_search_locations for folder in wanted.folders]


def _inside(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError):  # no file can have that name
        return None
    if path.suffix in TYPES and path.is_relative_to(folder.resolve()) and path.is_file():
        return path
    return None
