"""Writes one session as one HTML file that needs no other file and no server.

It is the page that the server sends, with its modules and styles inside. An import map leads the addresses of modules
to `data:` URLs. The page's content security policy allows its scripts by their hashes, and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup

from ..terminal import visible
from .assets import IMPORT, SCRIPT, absolute, file_at
from .database import Database
from .queries.request import TraceReader
from .queries.request import request as find_request
from .queries.session import session as find_session
from .responses import safe_json
from .sockets import UsageError

# Browsers open a file of this size easily. Requests beyond it are drawn, but without their content.
MAX_CONTENT: Final = 48 * 1024 * 1024
# The number of spans around each request. Few, because requests of one trace repeat the same spans.
_MAX_SPANS: Final = 20
_MAX_LISTED: Final = 10
# Modules get names with this prefix, because an address cannot be resolved in a `data:` URL.
_MODULE_PREFIX: Final = "inside"
_STYLE: Final = re.compile(r"""<link rel="stylesheet" href="(/[^"]+)">""")
_SOURCE_MAP: Final = re.compile(r"^(?://|/\*)# sourceMappingURL=.*$", re.MULTILINE)
_CHARSET: Final = re.compile(r"""(<meta charset="utf-8">)""")


def write_html(database: Database, templates: Environment, out: Path, id_: str | None, name: str | None) -> None:
    """Write one session as one HTML file.

    Args:
        database: Has the session.
        templates: The templates of the pages.
        out: The file to write.
        id_: The session's id; not needed if there is only one session.
        name: The session's name; not needed if only one session has that id.

    Raises:
        UsageError: There is no such session, there are several, or the file cannot be written.
    """
    sessions = database.reader.execute("SELECT session_id, name FROM sessions ORDER BY last DESC").fetchall()
    matching = [(row[0], row[1]) for row in sessions if id_ in (None, row[0]) and name in (None, row[1])]
    if not sessions:
        raise UsageError("there is no session in it")
    if not matching:
        raise UsageError(f"there is no such session; {_listed(sessions)}")
    if len(matching) > 1:
        raise UsageError(f"which session? --session ID, and --name if several have it; {_listed(matching)}")
    html = session_html(database, templates, *matching[0])
    if html is None:
        raise UsageError("there is no such session")
    try:
        out.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or type(error).__name__}") from error


def _listed(sessions: list[tuple[str, str]]) -> str:
    listed = ", ".join(f"{visible(id_)!r} of {visible(name) or 'no name'!r}" for id_, name in sessions[:_MAX_LISTED])
    return f"there are {listed}{', …' if len(sessions) > _MAX_LISTED else ''}"


def session_html(database: Database, templates: Environment, id_: str, name: str | None) -> str | None:
    """Return a session as one HTML file; `None` if there is no such session."""
    with database.reading() as connection:
        session = find_session(connection, id_, name)
        if session is None:
            return None
        requests: dict[str, Any] = {}
        size = 0
        traces = TraceReader(connection, _MAX_SPANS)
        for one in session["requests"]:
            request = find_request(traces, one["id"])
            size += len(safe_json(request))
            if size > MAX_CONTENT:
                break
            requests[one["id"]] = request
    data = safe_json({"session": {**session, "same_name": [], "revision": database.revision}, "requests": requests})
    html = templates.get_template("session.html").render(query={}, exported=Markup(data))  # noqa: S704  # escaped by safe_json
    return _self_contained(html, data)


def _self_contained(html: str, data: str) -> str:
    """Return a page with its modules, its styles and the session's data inside."""
    modules: dict[str, str] = {}
    scripts = SCRIPT.findall(html)
    for address in scripts:
        _add_modules(address, modules)
    imports = {name: _data_url(code) for name, code in modules.items()}
    import_map = safe_json({"imports": imports})
    start = "\n".join(f'import "{_MODULE_PREFIX}{address}";' for address in scripts)
    styles = [_style(address) for address in _STYLE.findall(html)]
    policy = _policy([import_map, start], styles)
    head = "".join(
        [
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f'<script type="importmap">{import_map}</script>',
            *(f"<style>{style}</style>" for style in styles),
        ]
    )
    tail = f'<script type="application/json" id="exported">{data}</script><script type="module">{start}</script>'
    html = _STYLE.sub("", SCRIPT.sub("", html))
    html = _CHARSET.sub(lambda match: match[1] + head, html, count=1)
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


def _add_modules(address: str, modules: dict[str, str]) -> None:
    """Add a module and all modules that it imports, by their names in the import map."""
    waiting = [address]
    while waiting:
        importer = waiting.pop()
        path = file_at(importer)
        if _MODULE_PREFIX + importer in modules or path is None:
            continue
        code = _SOURCE_MAP.sub("", path.read_text(encoding="utf-8"))
        modules[_MODULE_PREFIX + importer] = _with_module_names(code, importer)
        waiting += [absolute(importer, match[2]) for match in IMPORT.findall(code)]


def _with_module_names(code: str, importer: str) -> str:
    """Return a module that imports others by their names in the import map."""
    return IMPORT.sub(
        lambda match: f"{match[1]}{match[2]}{_MODULE_PREFIX}{absolute(importer, match[3])}{match[2]}", code
    )


def _data_url(code: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(code.encode()).decode()}"


def _style(address: str) -> str:
    path = file_at(address)
    text = _SOURCE_MAP.sub("", path.read_text(encoding="utf-8")) if path is not None else ""
    # `</` could end the element, and CSS does not need it.
    return text.replace("</", "<\\/")
