"""`view FILE --html OUT`: a session as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .._cli.text import visible
from .export import exported
from .listening import UsageError
from .pages import templates
from .store import Store

_SHOWN: Final = 10


def write_html(store: Store, out: Path, id_: str | None, name: str | None) -> None:
    """Write one session as one HTML file.

    Args:
        store: Holds it.
        out: Where to.
        id_: Which session; the only one there is, if not given.
        name: Which of several that have that id.

    Raises:
        UsageError: There is no such session, there are several, or the file cannot be written.
    """
    found = store.reader.execute("SELECT session_id, name FROM sessions ORDER BY last DESC").fetchall()
    fitting = [(row[0], row[1]) for row in found if id_ in (None, row[0]) and name in (None, row[1])]
    if not fitting:
        raise UsageError("there is no session in it" if not found else f"there is no such session; {_listed(found)}")
    if len(fitting) > 1:
        raise UsageError(f"which session? --session ID, and --name if several have it; {_listed(fitting)}")
    html = exported(store, templates(), *fitting[0])
    if html is None:
        raise UsageError("there is no such session")
    try:
        out.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or type(error).__name__}") from error


def _listed(sessions: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{visible(id_)!r} of {visible(name) or 'no name'!r}" for id_, name in sessions[:_SHOWN])
    return f"there are {shown}{', …' if len(sessions) > _SHOWN else ''}"
