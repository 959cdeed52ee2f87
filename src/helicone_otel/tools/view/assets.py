"""The packages that bring scripts and styles of the pages with them, found without importing them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from posixpath import dirname, join, normpath
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


SCRIPT: Final = re.compile(r"""<script type="module" src="(/[^"]+)"></script>""")
IMPORT: Final = re.compile(
    r"""((?:^|[;}\s])(?:import|export)\s*(?:[\w*$\s{},]*?\bfrom\s*)?)(["'])((?:\.{1,2})?/[^"']+)\2"""
)
# What is larger imports nothing more.
_LARGE: Final = 64 * 1024


def file_of(address: str) -> Path | None:
    """Return the file behind an address of the server."""
    _, first, rest = [*address.split("/", 2), "", ""][:3]
    if first == "parts":
        part, _, inner = rest.partition("/")
        return find_part(part, inner)
    return find_static(rest) if first == "static" else None


def absolute(at: str, to: str) -> str:
    """Return the address that a module at an address means by another."""
    return to if to.startswith("/") else normpath(join(dirname(at), to))


def with_preloads(html: str) -> str:
    """Return a page that names all of its modules in its head, so that the browser asks for them at once.

    Left to itself it learns of a module from the one that imports it, one after the other.
    https://developer.mozilla.org/docs/Web/HTML/Reference/Attributes/rel/modulepreload
    """
    links = "".join(f'<link rel="modulepreload" href="{address}">' for address in _all(SCRIPT.findall(html)))
    return html.replace("</head>", f"{links}</head>", 1)


def _all(addresses: list[str]) -> list[str]:
    found: list[str] = []
    for address in (waiting := list(addresses)):
        path = file_of(address)
        if address in found or path is None:
            continue
        found.append(address)
        if path.stat().st_size < _LARGE:
            waiting += [absolute(address, to) for _, _, to in IMPORT.findall(path.read_text(encoding="utf-8"))]
    return found
