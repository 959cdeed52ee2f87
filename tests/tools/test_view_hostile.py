"""Every address of the pages and of their API answers without a failure, whatever is asked and whatever has arrived."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helicone_otel import Settings
from helicone_otel.tools.view import html_export
from helicone_otel.tools.view.database import Database
from helicone_otel.tools.view.events import ChangeFeed
from helicone_otel.tools.view.intake import Intake
from helicone_otel.tools.view.labelling import TraceLabeller
from helicone_otel.tools.view.log_rows import read_row
from helicone_otel.tools.view.pages import Pages
from helicone_otel.tools.view.queries.session import StoredRequest, tree
from helicone_otel.tools.view.worker import LabelWorker
from tests.support.examples import examples
from tests.support.view_seed import span
from tests.support.viewing import ViewClient, ask, posted_row

PAGES = ("/", "/session", "/compare")
QUERIES = ("names", "sessions", "session", "request", "compare", "status", "export")
PARAMETERS = (
    "id",
    "name",
    "search",
    "contains",
    "from",
    "to",
    "errors",
    "sort",
    "page",
    "size",
    "limit",
    "request",
    "format",
)
UNUSUAL = st.sampled_from(
    [
        *("", " ", "/", "//", "..", "\0", "\ud800", "\U0001f4a5", "\xe9" * 3000, "x" * 9000, "%", "%00", "\uff05"),
        *("'", '"', "<!--", "{{7*7}}", "NULL; DROP TABLE spans", "\x1f", "a\nb", "a\rb", "\u2028", "\ufeff", "\u202e"),
        *("nan", "inf", "-inf", "1e400", "-0", "0x10", "\u0661", "1_000", "9" * 5000, "-9223372036854775809", "1e15"),
        *("-last", "--last", "-", "true", "null", "csv", "json", "otlp"),
    ]
)
TEXTS = UNUSUAL | st.text(st.characters(), max_size=12)
SEGMENTS = st.sampled_from(["", "a", "b", "/", "a/b", "..", "\u202e", "\0", "x" * 300]) | st.text(max_size=4)
PATHS = st.lists(SEGMENTS, max_size=5).map("/".join)


class Site:
    """The pages of a database, asked without a network."""

    def __init__(self) -> None:
        self.database = Database()
        feed = ChangeFeed(self.database)
        worker = LabelWorker(self.database, TraceLabeller(Settings()), feed.publish)
        self._intake = Intake(self.database, worker, feed.publish)
        self._pages = Pages(self.database, feed, Settings(), dict)
        self._app = self._pages.app(frozenset())

    def keep(self, row: dict[str, Any]) -> None:
        body = json.dumps(row).encode()
        self._intake.accept_row(read_row(body, {}, "custom")).result(10)

    def status(self, path: bytes, query: bytes = b"") -> int:
        return asyncio.run(self._status(path, query))

    async def _status(self, path: bytes, query: bytes) -> int:
        answer: list[int] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.append(message["status"])

        text = path.decode("utf-8", "replace")
        scope = {
            "type": "http",
            "method": "GET",
            "path": text,
            "raw_path": path,
            "query_string": query,
            "headers": [(b"host", b"localhost")],
            "root_path": "",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }
        await self._app(scope, receive, send)
        return answer[0]

    def close(self) -> None:
        self._pages.close()
        self.database.close()


@pytest.fixture(scope="module")
def site() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        # The page around an exported session is always the same, and takes longer to make than all else.
        patched.setattr(html_export, "_self_contained", cache(html_export._self_contained))
        one = Site()
        yield one
        one.close()


def encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def query_of(pairs: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{encode(key)}={encode(value)}" for key, value in pairs).encode()


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*PAGES, *(f"/api/{query}" for query in QUERIES)]),
    st.lists(st.tuples(st.sampled_from(PARAMETERS) | TEXTS, TEXTS), max_size=5).map(query_of) | st.binary(max_size=40),
)
def test_no_query_makes_an_address_fail(site: Site, path: str, query: bytes) -> None:
    site.keep(posted_row("s", "/a", "Rows"))

    assert site.status(path.encode(), query) in (200, 400, 404)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(["/", "/static/", "/parts/", "/parts/echarts/", "/api/", "/session/"]),
    TEXTS,
    st.sampled_from(["", ".js", ".css"]),
)
def test_no_path_makes_an_address_fail(site: Site, start: str, text: str, end: str) -> None:
    path = f"{start}{text}{end}".encode("utf-8", "surrogatepass")

    assert site.status(path) in (200, 404)


@settings(max_examples=examples(25), deadline=None)
@given(
    TEXTS,
    TEXTS,
    st.lists(
        st.tuples(PATHS | st.none(), st.sampled_from(["llm", "tool", "vector_db", "data"]), TEXTS),
        min_size=1,
        max_size=4,
    ),
)
def test_every_session_that_was_kept_opens(
    site: Site, id_: str, name: str, rows: list[tuple[str | None, str, str]]
) -> None:
    for path, kind, user in rows:
        asked = {"_type": kind, "toolName": name, "operation": name} if kind != "llm" else None
        row = posted_row(id_, path or "", name, user=user, asked_for=asked)
        if path is None:
            del row["providerRequest"]["meta"]["Helicone-Session-Path"]
        site.keep(row)

    with site.database.reading() as connection:
        sessions = [tuple(row) for row in connection.execute("SELECT session_id, name FROM sessions")]
        requests = [row[0] for row in connection.execute("SELECT id FROM requests ORDER BY rowid DESC LIMIT 4")]
    for key, title in sessions[-2:]:
        query = query_of([("id", key), ("name", title)])
        for address in ("/session", "/api/session", "/api/export", "/api/compare"):
            assert (address, site.status(address.encode(), query)) == (address, 200)
    for one in requests:
        assert site.status(b"/api/request", query_of([("id", one)])) == 200
    assert site.status(b"/api/sessions") == 200


STARTS, ENDS = st.integers(0, 9), st.integers(10, 20)
ERRORS = st.none() | st.just("e")
STEPS = st.tuples(PATHS, st.sampled_from(["task", "tool"]), STARTS, ENDS, ERRORS, st.booleans(), st.booleans())


@given(st.lists(st.tuples(PATHS, STARTS, ENDS), max_size=6), st.lists(STEPS, max_size=6))
def test_a_tree_has_every_level_once_and_parents_first(asked: list[tuple[str, int, int]], steps: list[Any]) -> None:
    requests = [
        StoredRequest(str(number), path, "llm", "m", None, start, end, None, None, None, None, "LLM")
        for number, (path, start, end) in enumerate(asked)
    ]
    levels = list(tree(requests, steps))
    seen: set[str] = set()
    for level in levels:
        assert level["path"] not in seen
        assert level["parent"] is None or level["parent"] in seen
        seen.add(level["path"])

    assert sum(level["requests"] for level in levels) == len(requests)


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_a_session_with_a_request_at_the_root_and_others_below_it_opens(view: ViewClient) -> None:
    row = posted_row("s", "/", "Rows")
    del row["providerRequest"]["meta"]["Helicone-Session-Path"]
    view.log(row)
    label = {"helicone.session.id": "s", "helicone.session.name": "Rows", "helicone.session.path": "/plan"}
    view.take(span(1, 1, name="x", scope="app", attributes={**label, "helicone.span.kind": "task"}))
    view.log(posted_row("s", "/plan/a", "Rows"))

    assert [(level["path"], level["requests"]) for level in view.session("s")["tree"]] == [
        ("/", 1),
        ("/plan", 0),
        ("/plan/a", 1),
    ]
    assert ask(f"{view.view.url}/session?id=s&name=Rows").status == 200
    assert ask(f"{view.view.url}/api/export?id=s").status == 200


@pytest.mark.parametrize("address", ["/session?id=nobody", "/session?id=nobody&name=x", "/session"])
def test_the_page_of_an_unknown_session_says_so_and_what_to_do(view: ViewClient, address: str) -> None:
    answer = ask(view.view.url + address)
    text = " ".join(answer.body.decode().split())

    assert answer.status == 404
    assert "has arrived. If its app still runs, the session is shown here as soon as its first spans arrive." in text
    assert "started without <code>--db</code> forgets all sessions when it ends." in text


def test_the_page_of_an_unknown_session_names_the_sessions_of_its_id(view: ViewClient) -> None:
    nasty = "<b>\u202e"
    view.log(posted_row("s", "/a", nasty))
    text = ask(f"{view.view.url}/session?id=s&name=x{quote('<i>')}").body.decode()

    assert "&lt;b&gt;\\u202e</bdi></a>" in text
    assert f'href="/session?id=s&amp;name={quote(nasty)}"' in text
    assert not any(one in text for one in ("<b>", "<i>", nasty[-1]))
    assert ask(f"{view.view.url}/session?{urlencode({'id': 's', 'name': nasty})}").status == 200


def test_the_page_of_a_session_says_nothing_of_unknown_ones(view: ViewClient) -> None:
    view.log(posted_row("s", "/a", "Rows"))
    answer = ask(f"{view.view.url}/session?id=s")

    assert (answer.status, b'id="missing"' in answer.body) == (200, False)


@pytest.mark.parametrize("length", [256, 5000, 60_000])
@pytest.mark.parametrize("start", ["/", "/static/", "/parts/echarts/", "/parts/", "/api/"])
def test_an_address_that_is_too_long_is_not_found(view: ViewClient, start: str, length: int) -> None:
    for end in ("", ".js", "/x.css"):
        assert ask(f"{view.view.url}{start}{'x' * length}{end}").status == 404


@pytest.mark.parametrize("parameter", ["id", "name"])
def test_a_parameter_that_is_too_long_names_no_session(view: ViewClient, parameter: str) -> None:
    query = urlencode({"id": "s", parameter: "x" * 50_000})
    for address in ("/session", "/api/session", "/api/export"):
        assert ask(f"{view.view.url}{address}?{query}").status == 404
