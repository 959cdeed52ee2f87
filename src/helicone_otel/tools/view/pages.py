"""Serves the pages and the API that they use, which `API.md` describes."""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, TemplateNotFound
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ...settings import Settings
from ..terminal import visible
from .assets import TEMPLATES, TYPES, find_packaged, find_static, read_asset, with_preloads
from .database import BusyError, Database, DatabaseError
from .events import ChangeFeed, EventStream
from .exports import FORMATS, HTML, Exports, Selected, TooManyRequestsError
from .judging import (
    MAX_FEEDBACK,
    Feedback,
    InvalidFeedbackError,
    feedback_on,
    keep_feedback,
    read_feedback,
    send_feedback,
)
from .limits import BodyError, BodyReader
from .queries.compare import Split, compare
from .queries.filters import MEASURES, Limits, SessionFilter, filter_values
from .queries.request import TraceReader
from .queries.request import request as find_request
from .queries.session import session as find_session
from .queries.sessions import SHARES, SORTS, ShownRange, names, names_of, sessions
from .queries.sessions import find_session as find_row
from .responses import JsonResponse, Spool, SpooledResponse, json_answer
from .security import SecurityMiddleware
from .text_index import requests_found

_MAX_TEXT: Final = 2048
_MAX_SIZE: Final = 500
_MAX_PAGE: Final = 10**6
_MAX_IDS: Final = 500
_MIN_COMPARED: Final = 2
_MAX_FILTERS: Final = 32
# At least one of two numbers.
_RANGE: Final = re.compile(r"(?=.*\d)(\d{1,15}(?:\.\d{1,9})?)?\.\.(\d{1,15}(?:\.\d{1,9})?)?", re.ASCII)
# An answer takes a multiple of its length in memory while it is made.
_THREADS: Final = 2


class _BadParameterError(ValueError):
    """A query parameter is missing or invalid; the message is the answer."""


class _NotFoundError(LookupError):
    """What was asked for does not exist; the message is the answer."""


def templates() -> Environment:
    """Return the templates of the pages. A template that changes while the view runs is loaded again."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, auto_reload=True)
    made.filters["visible"] = visible
    return made


class Pages:
    """The pages and the API for one database.

    Args:
        database: Has the sessions.
        changes: Sends the pages the sessions that have changed.
        settings: The key and the addresses for feedback that goes to Helicone.
        status: Returns what `/api/status` answers beside the counts.
    """

    def __init__(
        self, database: Database, changes: ChangeFeed, settings: Settings, status: Callable[[], dict[str, Any]]
    ) -> None:
        self._database = database
        self._changes = changes
        self._settings = settings
        self._status = status
        self._bodies = BodyReader(MAX_FEEDBACK)
        self._templates = templates()
        self._spool = Spool()
        self._exports = Exports(database, self._templates, self._spool)
        self._threads = ThreadPoolExecutor(_THREADS, "view-pages")
        self._changing = ThreadPoolExecutor(1, "view-changing")

    def close(self) -> None:
        """Answer nothing more."""
        self._exports.close()
        for threads in (self._threads, self._changing):
            threads.shutdown(wait=False, cancel_futures=True)

    def app(self, hosts: frozenset[str]) -> SecurityMiddleware:
        """Return the ASGI application.

        Args:
            hosts: The host names that requests may name.
        """
        pages = {"/": "sessions", "/session": "session", "/compare": "compare"}
        queries = {
            "names": self._names,
            "sessions": self._sessions,
            "session": self._session,
            "request": self._request,
            "compare": self._compare,
            "find": self._find,
            "values": self._values,
        }
        routes = [Route(path, self._page(template)) for path, template in pages.items()]
        routes += [Route(f"/api/{name}", self._api(query, self._threads)) for name, query in queries.items()]
        routes += [
            # With a thread of its own: it must not wait for long answers.
            Route("/api/status", self._api(self._counts, None)),
            Route("/api/feedback", self._feedback, methods=["POST"]),
            Route("/api/compact", self._api(self._compact, self._changing), methods=["POST"]),
            Route("/api/events", self._events),
            Route("/api/export", self._export),
            Route("/static/{name:path}", _file),
            Route("/parts/{part}/{name:path}", _file),
        ]
        app = Starlette(routes=routes)
        # An address that leads nowhere is not found, instead of redirected to one that is not found.
        app.router.redirect_slashes = False
        return SecurityMiddleware(app, hosts)

    def _page(self, template: str) -> Callable[[Request], Response]:
        def page(request: Request) -> Response:
            missing = self._missing(request) if template == "session" else None
            # The names of parameters that the page of a session passes on to the API.
            shown = {name: value for name in ("id", "name") if (value := _text(request, name)) is not None}
            try:
                html = self._templates.get_template(f"{template}.html").render(
                    query=request.query_params, shown=shown, missing=missing
                )
            except TemplateNotFound:
                return PlainTextResponse("There is no such page.\n", 404)
            return HTMLResponse(with_preloads(html), 404 if missing else 200, headers={"Cache-Control": "no-store"})

        return page

    def _missing(self, request: Request) -> dict[str, Any] | None:
        """Return what the page of an unknown session shows; `None` if there is a session to show."""
        id_ = _text(request, "id") or ""
        try:
            with self._database.reading() as connection:
                if find_row(connection, id_, _text(request, "name")) is not None:
                    return None
                return {"id": id_, "names": names_of(connection, id_), "kept": self._database.kept}
        except sqlite3.Error:  # the page will say so
            return None

    # --- queries ------------------------------------------------------------------------------

    def _names(self, request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            return names(connection, _filter(request)._replace(name=None), _text(request, "contains") or "")

    def _sessions(self, request: Request) -> dict[str, Any]:
        sort = _text(request, "sort") or "-last"
        if sort.removeprefix("-") not in SORTS:
            raise _BadParameterError(f"sort: one of {', '.join(SORTS)}, with '-' before it or not")
        page, size = _number(request, "page", 1, 1, _MAX_PAGE), _number(request, "size", 50, 1, _MAX_SIZE)
        with self._database.reading() as connection:
            listed = sessions(connection, _filter(request), sort, int(page), int(size), _shown_range(request))
        return {**listed, "revision": self._database.revision}

    def _session(self, request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            session = find_session(connection, _required(request, "id"), _text(request, "name"))
        if session is None:
            raise _NotFoundError("there is no such session")
        return {**session, "revision": self._database.revision}

    def _request(self, request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            found = find_request(TraceReader(connection), _required(request, "id"))
        if found is None:
            raise _NotFoundError("there is no such request")
        return found

    def _compare(self, request: Request) -> dict[str, Any]:
        selected = _filter(request)
        if selected.name is None:
            raise _BadParameterError("name: missing")
        ids = [id_[:_MAX_TEXT] for id_ in request.query_params.getlist("id")[:_MAX_IDS]]
        limit = int(_number(request, "limit", 50, _MIN_COMPARED, _MAX_IDS))
        with self._database.reading() as connection:
            compared = compare(connection, selected, ids, max(limit, len(ids)), _split(request))
        return {**compared, "revision": self._database.revision}

    def _find(self, request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            session = find_row(connection, _required(request, "id"), _text(request, "name"))
            if session is None:
                raise _NotFoundError("there is no such session")
            found = requests_found(connection, session["id"], _required(request, "search"))
        return {"requests": found, "revision": self._database.revision}

    def _values(self, _request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            return filter_values(connection)

    def _counts(self, _request: Request) -> dict[str, Any]:
        with self._database.reading() as connection:
            tables = ("spans", "requests", "sessions")
            counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
            counts["unindexed"] = connection.execute("SELECT count(*) FROM unindexed").fetchone()[0]
        fields = ("revision", "kept", "size", "problem")
        database = {field: getattr(self._database, field) for field in fields}
        return {**counts, **database, **self._status()}

    async def _feedback(self, request: Request) -> Response:
        try:
            async with self._bodies.read(request) as body:
                given = read_feedback(body)
        except BodyError as error:
            return JsonResponse({"error": error.message}, error.status)
        except InvalidFeedbackError as error:
            return JsonResponse({"error": str(error)}, 400)
        return await asyncio.get_running_loop().run_in_executor(
            self._changing, self._answer, lambda _: self._keep_feedback(given), request
        )

    def _keep_feedback(self, given: Feedback) -> dict[str, Any]:
        def keep(connection: sqlite3.Connection) -> tuple[dict[str, Any] | None, int | None]:
            return feedback_on(connection, given.id, given.name), keep_feedback(connection, given)

        before, session = self._database.write(keep).result()
        if session is None:
            raise _NotFoundError("there is no such session")
        self._changes.publish([session])
        if before is not None and before["good"] == given.good and before["note"] != given.note:  # the note stays here
            return {"helicone": "nothing to send"}
        return {"helicone": send_feedback(given, self._settings)}

    def _compact(self, _request: Request) -> dict[str, Any]:
        return {"size": self._database.compact().result()}

    # --- events and export ----------------------------------------------------------------------

    async def _events(self, _request: Request) -> Response:
        return EventStream(self._changes)

    async def _export(self, request: Request) -> Response:
        try:
            form, selected = _exported(request)
            exported = await self._exports.get(form, selected)
        except (_BadParameterError, TooManyRequestsError) as error:
            return JsonResponse({"error": str(error)}, 400)
        except sqlite3.Error:
            return JsonResponse({"error": "the database fails; try again"}, 503)
        except OSError as error:  # for instance, the disk is full
            return JsonResponse({"error": error.strerror or str(error)}, 503)
        if exported is None:
            return JsonResponse({"error": "there is no such session"}, 404)
        media_type, suffix = FORMATS[form][1:3] if form in FORMATS else ("text/html; charset=utf-8", HTML)
        name = f"session {selected.id}" if selected.id is not None else "sessions"
        disposition = f"attachment; filename*=utf-8''{quote(name[:80], safe='')}.{suffix}"
        return SpooledResponse(exported, media_type, {"Content-Disposition": disposition})

    def _api(
        self, query: Callable[[Request], dict[str, Any]], threads: ThreadPoolExecutor | None
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await asyncio.get_running_loop().run_in_executor(threads, self._answer, query, request)

        return answer

    def _answer(self, query: Callable[[Request], dict[str, Any]], request: Request) -> Response:
        try:
            return json_answer(query(request), self._spool)
        except _BadParameterError as error:
            return JsonResponse({"error": str(error)}, 400)
        except _NotFoundError as error:
            return JsonResponse({"error": str(error)}, 404)
        except BusyError:
            return JsonResponse({"error": "too much waits to be written; try again"}, 503)
        except DatabaseError as error:
            return JsonResponse({"error": str(error)}, 503)
        except sqlite3.Error:
            return JsonResponse({"error": "the database fails; try again"}, 503)


async def _file(request: Request) -> Response:
    """Answer with a file of the pages: they ask for dozens at once, so that each is read once, in this thread."""
    name, part = request.path_params["name"], request.path_params.get("part")
    path = find_packaged(part, name) if part else find_static(name)
    if path is None:
        return PlainTextResponse("There is no such file.\n", 404)
    content, tag = read_asset(path)
    # Browsers ask again each time, and get "not modified".
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[path.suffix])


# --- query parameters -------------------------------------------------------------------------------


def _filter(request: Request) -> SessionFilter:
    errors = _text(request, "errors")
    return SessionFilter(
        name=_text(request, "name"),
        search=_text(request, "search") or "",
        since=_time(request, "from"),
        until=_time(request, "to"),
        errors=errors in ("1", "true") if errors else None,
        kinds=tuple(_texts(request, "kind")),
        facts=tuple(_facts(request)),
        limits=tuple(_limits(request)),
    )


def _exported(request: Request) -> tuple[str, Selected]:
    """Return the form of an export, and what is exported."""
    form = _text(request, "format") or HTML
    if form != HTML and form not in FORMATS:
        raise _BadParameterError(f"format: one of {', '.join((HTML, *FORMATS))}")
    return form, Selected(_filter(request), _required(request, "id") if form == HTML else _text(request, "id"))


def _split(request: Request) -> Split | None:
    """Return what divides the compared sessions into two sets; `None` if nothing does."""
    if name := _text(request, "split"):
        return Split(name=name, values=(_required(request, "a"), _required(request, "b")))
    at = _time(request, "at")
    return Split(at) if at is not None else None


def _shown_range(request: Request) -> ShownRange:
    name = _text(request, "range")
    if name and name not in SHARES:
        raise _BadParameterError(f"range: one of {', '.join(SHARES)}")
    return ShownRange(SHARES[name] if name else 1.0, _text(request, "inner") in ("1", "true"))


def _facts(request: Request) -> Iterator[tuple[str, str, str]]:
    for what in ("user", "model"):
        yield from ((what, "", value) for value in _texts(request, what))
    for text in _texts(request, "property"):
        name, colon, value = text.partition(":")
        if not colon:
            raise _BadParameterError("property: NAME:VALUE")
        yield "property", name, value


def _limits(request: Request) -> Iterator[Limits]:
    for measure in MEASURES:
        for text in _texts(request, measure):
            match = _RANGE.fullmatch(text)
            if match is None:
                raise _BadParameterError(f"{measure}: LEAST..MOST, of which one may be missing")
            yield Limits(measure, *(float(end) if end else None for end in match.groups()))


def _texts(request: Request, name: str) -> list[str]:
    return [value[:_MAX_TEXT] for value in request.query_params.getlist(name)[:_MAX_FILTERS]]


def _text(request: Request, name: str) -> str | None:
    value = request.query_params.get(name)
    return value[:_MAX_TEXT] if value is not None else None


def _required(request: Request, name: str) -> str:
    value = _text(request, name)
    if value is None:
        raise _BadParameterError(f"{name}: missing")
    return value


def _time(request: Request, name: str) -> float | None:
    # A form sends an empty text for a field that was not filled in.
    return _number(request, name, 0, -1e15, 1e15) if _text(request, name) else None


def _number(request: Request, name: str, default: float, least: float, most: float) -> float:
    text = _text(request, name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise _BadParameterError(f"{name}: not a number")
    if not least <= value <= most:
        raise _BadParameterError(f"{name}: between {least:g} and {most:g}")
    return value
