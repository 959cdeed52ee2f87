"""The pages and the API behind them, as described in `API.md`."""

from __future__ import annotations

import functools
import math
import sqlite3
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, TemplateNotFound
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from .assets import TEMPLATES, TYPES, find_part, find_static, with_preloads
from .database import Store
from .events import Changes, EventStream
from .html_export import exported
from .queries.compare import compare
from .queries.request import Traces
from .queries.request import request as find_request
from .queries.session import session as find_one
from .queries.sessions import SORTS, Filter, names, sessions
from .responses import Json
from .security import Guard

_MAX_TEXT: Final = 2048
_MAX_SIZE: Final = 500
_MAX_PAGE: Final = 10**6
_MAX_IDS: Final = 500
_LEAST_COMPARED: Final = 2


class _BadParameter(ValueError):  # noqa: N818  # its message is the answer
    pass


class _NotFound(LookupError):  # noqa: N818  # its message is the answer
    pass


def templates() -> Environment:
    """Return the pages' templates. One that changes beside a running view is loaded anew."""
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, auto_reload=True)


class Pages:
    """Answers for one store.

    Args:
        store: What is shown.
        changes: Tells of what has changed.
        status: Returns what `/api/status` says beside counts.
    """

    def __init__(self, store: Store, changes: Changes, status: Callable[[], dict[str, Any]]) -> None:
        self._store = store
        self._changes = changes
        self._status = status
        self._templates = templates()

    def app(self, hosts: frozenset[str]) -> Guard:
        """Return the ASGI application.

        Args:
            hosts: Names by which it may be called.
        """
        pages = {"/": "sessions", "/session": "session", "/compare": "compare"}
        queries = {
            "names": self._names,
            "sessions": self._sessions,
            "session": self._session,
            "request": self._request,
            "compare": self._compare,
            "status": self._counts,
        }
        routes = [Route(path, self._page(template)) for path, template in pages.items()]
        routes += [Route(f"/api/{name}", _answering(query)) for name, query in queries.items()]
        routes += [
            Route("/api/events", self._events),
            Route("/api/export", self._export),
            Route("/static/{name:path}", _file),
            Route("/parts/{part}/{name:path}", _file),
        ]
        return Guard(Starlette(routes=routes), hosts)

    def _page(self, template: str) -> Callable[[Request], Response]:
        def page(request: Request) -> Response:
            try:
                html = self._templates.get_template(f"{template}.html").render(query=request.query_params)
            except TemplateNotFound:
                return PlainTextResponse("There is no such page.\n", 404)
            return HTMLResponse(with_preloads(html), headers={"Cache-Control": "no-store"})

        return page

    # --- queries ------------------------------------------------------------------------------

    def _names(self, request: Request) -> dict[str, Any]:
        with self._store.classification() as connection:
            return names(connection, _filter(request)._replace(name=None), _text(request, "contains") or "")

    def _sessions(self, request: Request) -> dict[str, Any]:
        sort = _text(request, "sort") or "-last"
        if sort.removeprefix("-") not in SORTS:
            raise _BadParameter(f"sort: one of {', '.join(SORTS)}, with '-' before it or not")
        page, size = _number(request, "page", 1, 1, _MAX_PAGE), _number(request, "size", 50, 1, _MAX_SIZE)
        with self._store.classification() as connection:
            found = sessions(connection, _filter(request), sort, int(page), int(size))
        return {**found, "revision": self._store.revision}

    def _session(self, request: Request) -> dict[str, Any]:
        with self._store.classification() as connection:
            found = find_one(connection, _needed(request, "id"), _text(request, "name"))
        if found is None:
            raise _NotFound("there is no such session")
        return {**found, "revision": self._store.revision}

    def _request(self, request: Request) -> dict[str, Any]:
        with self._store.classification() as connection:
            found = find_request(Traces(connection), _needed(request, "id"))
        if found is None:
            raise _NotFound("there is no such request")
        return found

    def _compare(self, request: Request) -> dict[str, Any]:
        chosen = _filter(request)
        if chosen.name is None:
            raise _BadParameter("name: missing")
        ids = [id_[:_MAX_TEXT] for id_ in request.query_params.getlist("id")[:_MAX_IDS]]
        limit = int(_number(request, "limit", 50, _LEAST_COMPARED, _MAX_IDS))
        with self._store.classification() as connection:
            found = compare(connection, chosen, ids, max(limit, len(ids)))
        return {**found, "revision": self._store.revision}

    def _counts(self, _request: Request) -> dict[str, Any]:
        with self._store.classification() as connection:
            tables = ("spans", "requests", "sessions")
            counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        store = {"revision": self._store.revision, "kept": self._store.kept, "problem": self._store.problem}
        return {**counts, **store, **self._status()}

    # --- the rest -----------------------------------------------------------------------------

    async def _events(self, _request: Request) -> Response:
        return EventStream(self._changes)

    def _export(self, request: Request) -> Response:
        try:
            id_, name = _needed(request, "id"), _text(request, "name")
        except _BadParameter as error:
            return Json({"error": str(error)}, 400)
        html = exported(self._store, self._templates, id_, name)
        if html is None:
            return Json({"error": "there is no such session"}, 404)
        disposition = f"attachment; filename*=utf-8''{quote(f'session {id_}'[:80], safe='')}.html"
        return HTMLResponse(html, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"})


def _answering(query: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Response]:
    @functools.wraps(query)
    def answer(request: Request) -> Response:
        try:
            return Json(query(request))
        except _BadParameter as error:
            return Json({"error": str(error)}, 400)
        except _NotFound as error:
            return Json({"error": str(error)}, 404)
        except sqlite3.Error:
            return Json({"error": "the database fails; try again"}, 503)

    return answer


def _file(request: Request) -> Response:
    name, part = request.path_params["name"], request.path_params.get("part")
    path = find_part(part, name) if part else find_static(name)
    if path is None:
        return PlainTextResponse("There is no such file.\n", 404)
    # Asked for anew each time, and answered with "not modified".
    return FileResponse(path, media_type=TYPES[path.suffix], headers={"Cache-Control": "no-cache"})


# --- parameters -----------------------------------------------------------------------------------


def _filter(request: Request) -> Filter:
    return Filter(
        name=_text(request, "name"),
        search=_text(request, "search") or "",
        since=_moment(request, "from"),
        until=_moment(request, "to"),
        errors=_text(request, "errors") in ("1", "true"),
    )


def _text(request: Request, name: str) -> str | None:
    value = request.query_params.get(name)
    return value[:_MAX_TEXT] if value is not None else None


def _needed(request: Request, name: str) -> str:
    value = _text(request, name)
    if value is None:
        raise _BadParameter(f"{name}: missing")
    return value


def _moment(request: Request, name: str) -> float | None:
    # Empty as a form sends what was not filled in.
    return _number(request, name, 0, -1e15, 1e15) if _text(request, name) else None


def _number(request: Request, name: str, otherwise: float, least: float, most: float) -> float:
    text = _text(request, name)
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise _BadParameter(f"{name}: not a number")
    if not least <= value <= most:
        raise _BadParameter(f"{name}: between {least:g} and {most:g}")
    return value
