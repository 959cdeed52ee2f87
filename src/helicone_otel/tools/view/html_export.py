"""One session as one HTML file that needs nothing else.

The page that the server shows, with its modules and styles inside: an import map leads their addresses to
`data:` URLs. Its policy allows the scripts that stand in it by their hashes, and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final, NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from .assets import IMPORT, SCRIPT, absolute, file_of
from .database import Store
from .queries.request import Traces
from .queries.request import request as find_request
from .queries.session import session as find_session
from .responses import safe_json

# A file that a browser still opens at ease; of the requests beyond it, only the bars are in it.
MAX_CONTENT: Final = 48 * 1024 * 1024
# So many spans around each request: they are the same ones, time and again.
_AROUND: Final = 20
_STYLE: Final = re.compile(r"""<link rel="stylesheet" href="(/[^"]+)">""")
_INSIDE: Final = "inside"
_SOURCE_MAP: Final = re.compile(r"^(?://|/\*)# sourceMappingURL=.*$", re.MULTILINE)
_HEAD: Final = re.compile(r"""(<meta charset="utf-8">)""")


class _Inside(NamedTuple):
    """What stands in the page: module scripts by their addresses, and hashes for its policy."""

    modules: dict[str, str]
    hashes: list[str]


def exported(store: Store, templates: Environment, id_: str, name: str | None) -> str | None:
    """Return the file; `None` if there is no such session."""
    with store.classification() as connection:
        found = find_session(connection, id_, name)
        if found is None:
            return None
        requests: dict[str, Any] = {}
        size = 0
        traces = Traces(connection, _AROUND)
        for one in found["requests"]:
            content = find_request(traces, one["id"])
            size += len(safe_json(content))
            if size > MAX_CONTENT:
                break
            requests[one["id"]] = content
    data = safe_json({"session": {**found, "same_name": [], "revision": store.revision}, "requests": requests})
    html = templates.get_template("session.html").render(query={}, exported=Markup(data))  # noqa: S704  # escaped by safe_json
    return _enclosed(html, data)


def _enclosed(html: str, data: str) -> str:
    inside = _Inside({}, [])
    scripts = SCRIPT.findall(html)
    for address in scripts:
        _gather(address, inside.modules)
    imports = {address: _data_url(code) for address, code in inside.modules.items()}
    map_text = safe_json({"imports": imports})
    start = "\n".join(f'import "{_INSIDE}{address}";' for address in scripts)
    styles = [_style(address) for address in _STYLE.findall(html)]
    policy = _policy([map_text, start], styles)
    head = "".join(
        [
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f'<script type="importmap">{map_text}</script>',
            *(f"<style>{style}</style>" for style in styles),
        ]
    )
    tail = f'<script type="application/json" id="exported">{data}</script><script type="module">{start}</script>'
    html = _STYLE.sub("", SCRIPT.sub("", html))
    html = _HEAD.sub(lambda found: found[1] + head, html, count=1)
    before, _, after = html.rpartition("</body>")
    return f"{before}{tail}</body>{after}"


def _policy(scripts: list[str], styles: list[str]) -> str:
    hashed_scripts, hashed_styles = (" ".join(_hash(text) for text in texts) or "'none'" for texts in (scripts, styles))
    return (
        f"default-src 'none'; script-src {hashed_scripts} data:; style-src {hashed_styles}; "
        "img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _gather(address: str, modules: dict[str, str]) -> None:
    """Add a module and all that it imports, with names for the import map: in a `data:` URL, an address is none."""
    waiting = [address]
    while waiting:
        at = waiting.pop()
        path = file_of(at)
        if _INSIDE + at in modules or path is None:
            continue
        code = _SOURCE_MAP.sub("", path.read_text(encoding="utf-8"))
        modules[_INSIDE + at] = _renamed(code, at)
        waiting += [absolute(at, found[2]) for found in IMPORT.findall(code)]


def _renamed(code: str, at: str) -> str:
    return IMPORT.sub(lambda found: f"{found[1]}{found[2]}{_INSIDE}{absolute(at, found[3])}{found[2]}", code)


def _data_url(code: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(code.encode()).decode()}"


def _style(address: str) -> str:
    path = file_of(address)
    text = _SOURCE_MAP.sub("", path.read_text(encoding="utf-8")) if path is not None else ""
    # What would end the element early is no CSS.
    return text.replace("</", "<\\/")
