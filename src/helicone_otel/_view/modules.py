"""The scripts of a page: ES modules, which import each other."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Final

from .parts import find_part, find_static

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
