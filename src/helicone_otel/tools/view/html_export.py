"""Writes one session as one HTML file that needs no other file and no server.

It is the page that the server sends, with its modules and styles inside. An import map leads the addresses of modules
to `data:` URLs. The page's content security policy allows its scripts by their hashes, and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment

from ..terminal import visible
from .assets import IMPORT, SCRIPT, absolute, file_at
from .database import Database
from .markdown import MarkdownReader
from .queries.request import TraceReader, requests_in, span_data
from .queries.session import session as find_session
from .queries.sessions import find_session as find_row
from .responses import encoded, safe_json
from .sockets import UsageError

# Browsers open a file of this size easily. Requests beyond it are drawn, but without their content.
MAX_CONTENT: Final = 96 * 1024 * 1024
# The number of spans around each request. Few, because requests of one trace repeat the same spans.
_MAX_SPANS: Final = 20
# Reading Markdown takes some µs for each character. Texts beyond these are shown as they are.
_MAX_MARKDOWN: Final = 250_000
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
    parts = session_html(database, templates, *matching[0])
    if parts is None:
        raise UsageError("there is no such session")
    try:
        with out.open("wb") as file:
            file.writelines(parts)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or type(error).__name__}") from error


def _listed(sessions: list[tuple[str, str]]) -> str:
    listed = ", ".join(f"{visible(id_)!r} of {visible(name) or 'no name'!r}" for id_, name in sessions[:_MAX_LISTED])
    return f"there are {listed}{', …' if len(sessions) > _MAX_LISTED else ''}"


def session_html(database: Database, templates: Environment, id_: str, name: str | None) -> Iterator[bytes] | None:
    """Return the parts of a session as one HTML file; `None` if there is no such session.

    The parts are made one after the other, because a session can be much larger than its page.
    """
    with database.reading() as connection:
        if find_row(connection, id_, name) is None:
            return None
    before, after = _self_contained(templates.get_template("session.html").render(query={}, exported=True))
    data = _session_data(database, id_, name)
    return (encoded(part) for part in chain((before,), data, (after,)))


def _session_data(database: Database, id_: str, name: str | None) -> Iterator[str]:
    """Yield the JSON of a session and of its requests."""
    with database.reading() as connection:
        row, session = find_row(connection, id_, name), find_session(connection, id_, name)
        if row is None or session is None:  # it went while the page was made
            yield "null"
            return
        yield f'{{"session":{safe_json({**session, "same_name": [], "revision": database.revision})},"requests":{{'
        del session
        size, comma = 0, ""
        spans, texts = _SpansOnce(connection), MarkdownReader(_MAX_MARKDOWN)
        for request in requests_in(spans, row[0], texts):
            text = safe_json(request)
            size += len(text)
            if size > MAX_CONTENT:
                break
            yield f"{comma}{safe_json(request['id'])}:{text}"
            comma = ","
        yield f'}},"spans":{safe_json(spans.all)}}}'


class _SpansOnce(TraceReader):
    """Reads the spans around requests for a file that has each of them once: neighbours have mostly the same ones.

    Attributes:
        all: The spans so far. A request has their places in this list.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, _MAX_SPANS)
        self.all: list[dict[str, Any]] = []
        self._numbers: dict[int, int] = {}

    def shown(self, rows: Iterable[sqlite3.Row], this: str) -> list[Any]:  # noqa: ARG002  # the page finds it by its id
        """Return the places of the spans."""
        numbers = self._numbers
        return [numbers[row["id"]] if row["id"] in numbers else self._add(row) for row in rows]

    def _add(self, row: sqlite3.Row) -> int:
        self._numbers[row["id"]] = len(self.all)
        self.all.append(span_data(row))
        return len(self.all) - 1


def _self_contained(html: str) -> tuple[str, str]:
    """Return a page with its modules and its styles inside, in two parts: the session's data belongs between them."""
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
    html = _STYLE.sub("", SCRIPT.sub("", html))
    html = _CHARSET.sub(lambda match: match[1] + head, html, count=1)
    before, _, after = html.rpartition("</body>")
    return (
        f'{before}<script type="application/json" id="exported">',
        f'</script><script type="module">{start}</script></body>{after}',
    )


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
