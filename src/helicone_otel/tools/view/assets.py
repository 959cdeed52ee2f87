"""Finds the scripts and styles of the pages: our own files, and those that other packages bring along."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Final, NamedTuple


class PackagedFiles(NamedTuple):
    """The files in some folders of a package."""

    package: str
    folders: tuple[str, ...]


# By the name under `/parts/` in an address. The packages are found without importing them.
PARTS: Final[Mapping[str, PackagedFiles]] = {
    "echarts": PackagedFiles("xlsx2echarts", ("static",)),
    "tabulator": PackagedFiles("js_lib_tabulator", ("static/tabulator/js", "static/tabulator/css")),
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


def find_packaged(part: str, name: str) -> Path | None:
    """Return a file of another package by the part and its name; `None` if there is none."""
    return next((path for folder in _folders(part) if (path := _file_in(folder, name)) is not None), None)


def find_static(name: str) -> Path | None:
    """Return one of our own files by its name; `None` if there is none."""
    return _file_in(STATIC, name)


def read_asset(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a file that one of these functions found, and its entity tag: another one if it changes."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=128)
def _read(path: Path, _changed: int, _size: int) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@lru_cache(maxsize=8)
def _folders(part: str) -> list[Path]:
    files = PARTS.get(part)
    spec = find_spec(files.package) if files else None
    if files is None or spec is None or not spec.submodule_search_locations:
        return []
    return [Path(location, folder) for location in spec.submodule_search_locations for folder in files.folders]


def _file_in(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
        is_ours = path.suffix in TYPES and path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a file cannot have that name
        return None
    return path if is_ours else None


# --- modules and what they import ---------------------------------------------------------------------

SCRIPT: Final = re.compile(r"""<script type="module" src="(/[^"]+)"></script>""")
# Also `import("./x.js")`, by which a module loads another one later, but not `import("./x.js").Type` of a comment.
IMPORT: Final = re.compile(
    r"""((?:^|[;}\s([])(?:import|export)\s*(?:\(|[\w*$\s{},]*?\bfrom\s*)?)(["'])((?:\.{1,2})?/[^"']+)\2(?!\)\.)"""
)
# Larger modules are bundles, which import nothing.
_BUNDLE_SIZE: Final = 64 * 1024


def file_at(address: str) -> Path | None:
    """Return the file that the server sends for an address; `None` if there is none."""
    _, first, rest = [*address.split("/", 2), "", ""][:3]
    if first == "parts":
        part, _, name = rest.partition("/")
        return find_packaged(part, name)
    return find_static(rest) if first == "static" else None


def absolute(importer: str, imported: str) -> str:
    """Return the address of an imported module.

    Args:
        importer: The address of the module that imports.
        imported: The text after `from`, which may be relative.
    """
    return imported if imported.startswith("/") else normpath(join(dirname(importer), imported))


def with_preloads(html: str) -> str:
    """Return a page with its modules in its head, so that the browser requests them at the same time.

    Otherwise a browser finds a module only when it has read the module that imports it. Modules that load later are not
    in the head.
    https://developer.mozilla.org/docs/Web/HTML/Reference/Attributes/rel/modulepreload
    """
    links = "".join(f'<link rel="modulepreload" href="{address}">' for address in _modules(SCRIPT.findall(html)))
    return html.replace("</head>", f"{links}</head>", 1)


def _modules(addresses: list[str]) -> list[str]:
    """Return the addresses of modules and of all modules that they import at once."""
    modules: list[str] = []
    for address in (waiting := list(addresses)):
        path = file_at(address) if address not in modules else None
        if path is None:
            continue
        modules.append(address)
        stat = path.stat()
        if stat.st_size < _BUNDLE_SIZE:
            waiting += [absolute(address, imported) for imported in _imports(path, stat.st_mtime_ns, stat.st_size)]
    return modules


@lru_cache(maxsize=128)
def _imports(path: Path, _changed: int, _size: int) -> list[str]:
    found = IMPORT.findall(path.read_text(encoding="utf-8"))
    return [imported for before, _, imported in found if not before.endswith("(")]
