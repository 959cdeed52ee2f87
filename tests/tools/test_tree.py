"""From labelled spans to a session tree, and how it is drawn and printed."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helicone_otel.destinations import Destinations
from helicone_otel.tools.cli.advice import RunFacts, advise
from helicone_otel.tools.cli.draw import draw, terminal
from helicone_otel.tools.cli.receiver import ReceivedSpan as Span
from helicone_otel.tools.cli.tree import GatewayCall, LoggedRow, RequestNode, SessionTree, as_data, build_sessions
from helicone_otel.tools.terminal import format_duration, visible
from tests.support.examples import examples

MS = 1_000_000
HOUR = 1_800_000_000_000_000_000  # as large as real start times
GATEWAYS = Destinations(gateways=["gw.test"], services=["mine.test"])
CHAT = {"gen_ai.request.model": "m-1"}
_ids = itertools.count(1)


def span(
    path: str | None,
    kind: str | None = None,
    at: tuple[int, int] = (0, 1),
    parent: Span | None = None,
    *,
    session: tuple[str, str] = ("s1", "Trips"),
    error: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Span:
    """Return a span with a label; without one if it has no path. Times are milliseconds."""
    label = {}
    if path is not None:
        label = {"helicone.session.id": session[0], "helicone.session.path": path}
        label |= {"helicone.session.name": session[1]} if session[1] else {}
        label |= {"helicone.span.kind": kind} if kind else {}
    return Span(
        trace_id=parent.trace_id if parent else f"t{next(_ids)}",
        span_id=str(next(_ids)),
        parent_id=parent.span_id if parent else "",
        name="a span",
        scope="a scope",
        start=HOUR + at[0] * MS,
        end=HOUR + at[1] * MS,
        error=error,
        attributes={**label, **(attributes or {})},
    )


def sent(
    parent: Span,
    path: str,
    at: tuple[int, int] = (0, 1),
    *,
    status: int = 200,
    host: str = "gw.test",
    label: str | None = None,
    more: Mapping[str, str] | None = None,
) -> Span:
    """Return the HTTP client span of a request with Helicone headers."""
    headers = {
        "helicone-session-id": "s1",
        "helicone-session-path": path,
        "helicone-session-name": "Trips",
        **(more or {}),
    }
    return span(
        path if label is None else label,
        None,
        at,
        parent,
        error="error" if status >= 400 else None,
        attributes={
            "http.url": f"https://{host}/sk-secret/v1/chat?key=secret",
            "http.status_code": str(status),
            **{f"http.request.header.{name}": value for name, value in headers.items()},
        },
    )


def logged(path: str, kind: str, at: tuple[int, int] = (0, 1), parent: Span | None = None) -> Span:
    """Return the span of a request that did not pass a gateway."""
    return span(path, kind, at, parent, attributes={"helicone.request.id": "r"})


def outline(session: SessionTree) -> dict[str, tuple[object, ...]]:
    """Return path -> kind, runs and the kinds of its requests."""
    return {
        step.path: (step.kind, step.runs, *(request.kind for request in step.requests)) for step in session.root.walk()
    }


def drawn(sessions: Sequence[SessionTree], width: int = 80, encoding: str = "utf-8", notes: Sequence[str] = ()) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    screen = terminal(file)
    screen.width = width
    draw(screen, sessions, notes)
    file.flush()
    return "\n".join(line.rstrip() for line in raw.getvalue().decode(encoding).splitlines())


def a_trip() -> list[Span]:
    plan = span("/plan", "task", (0, 1000))
    understand = span("/plan/understand", "task", (10, 210), plan)
    chat = span(
        "/plan/understand", "llm", (12, 208), understand, attributes={**CHAT, "helicone.request.id": "answered"}
    )
    guides = span("/plan/guides", "task", (210, 990), plan)
    return [
        sent(chat, "/plan/understand", (13, 40), status=429),
        sent(chat, "/plan/understand", (60, 207)),
        chat,
        understand,
        logged("/plan/guides/query", "vector_db", (300, 340), guides),
        guides,
        plan,
    ]


def test_a_session_is_a_tree_by_path_with_its_requests_at_their_steps() -> None:
    [session] = build_sessions(a_trip(), GATEWAYS)

    assert (session.id, session.name) == ("s1", "Trips")
    assert outline(session) == {
        "/": (None, 0),
        "/plan": ("task", 1),
        "/plan/understand": ("task", 1, "llm", "llm"),
        "/plan/guides": ("task", 1),
        "/plan/guides/query": ("vector_db", 1, "vector_db"),
    }


def test_each_attempt_of_a_call_at_a_gateway_is_a_request_as_it_is_for_helicone() -> None:
    [session] = build_sessions(a_trip(), GATEWAYS)
    headers = (
        ("Helicone-Session-Id", "s1"),
        ("Helicone-Session-Path", "/plan/understand"),
        ("Helicone-Session-Name", "Trips"),
    )

    refused, answered = session.requests[:2]
    assert refused == RequestNode(
        kind="llm",
        name="m-1",
        path="/plan/understand",
        start=HOUR + 13 * MS,
        end=HOUR + 40 * MS,
        error="status 429",
        call=GatewayCall("gw.test", 429, HOUR + 13 * MS, HOUR + 40 * MS, "error", headers),
    )
    assert answered == replace(
        refused,
        start=HOUR + 60 * MS,
        end=HOUR + 208 * MS,
        error=None,
        call=GatewayCall("gw.test", 200, HOUR + 60 * MS, HOUR + 207 * MS, None, headers),
        row_id="answered",
    )


def test_a_call_that_succeeds_at_once_is_as_long_as_its_span() -> None:
    chat = span("/a", "llm", (0, 9))

    [session] = build_sessions([chat, sent(chat, "/a", (2, 5))], GATEWAYS)

    assert [(one.start - HOUR, one.end - HOUR) for one in session.requests] == [(0, 9 * MS)]


def test_an_answer_that_the_sdk_did_not_call_an_error_is_one_by_its_status() -> None:
    chat = span("/a", "llm")

    [session] = build_sessions([chat, sent(chat, "/a", status=400)], GATEWAYS)

    assert [request.error for request in session.requests] == ["status 400"]


def test_a_logged_request_fails_as_its_row_does() -> None:
    row = LoggedRow("LLM", "m", 400, ())

    [session] = build_sessions([logged("/a", "llm")], GATEWAYS, {"r": (row,)})

    assert [request.error for request in session.requests] == ["status 400"]


def test_there_are_levels_only_where_requests_are() -> None:
    plan = span("/plan", "task", (0, 9))
    weather = span("/plan/weather", "task", (1, 2), plan)

    [session] = build_sessions([logged("/plan/find/in", "tool", (3, 4), plan), weather, plan], GATEWAYS)

    assert list(outline(session)) == ["/", "/plan", "/plan/find", "/plan/find/in"]


def test_a_row_that_only_the_run_has_seen_would_be_logged() -> None:
    rows = {"r": (LoggedRow("VectorDB", "vector_db", 200, ("it lacks a text",), logged=False),)}
    sessions = build_sessions([logged("/guides", "vector_db")], GATEWAYS, rows)

    assert "→ would be logged as VectorDB vector_db\n" in drawn(sessions)
    rows = {"r": (replace(rows["r"][0], logged=True),)}
    assert "→ 200 logged as VectorDB vector_db\n" in drawn(build_sessions([logged("/g", "vector_db")], GATEWAYS, rows))


def test_a_session_without_any_request_has_all_its_levels() -> None:
    [session] = build_sessions([span("/plan", "task"), span("/plan/weather", "task")], GATEWAYS)

    assert list(outline(session)) == ["/", "/plan", "/plan/weather"]


def test_levels_are_in_the_order_of_their_first_requests() -> None:
    early, late = span("/early", "task", (0, 9)), span("/late", "task", (1, 9))

    [session] = build_sessions(
        [early, late, logged("/early", "tool", (5, 6), early), logged("/late", "tool", (3, 4), late)], GATEWAYS
    )

    assert [step.segment for step in session.root.steps] == ["late", "early"]
    assert drawn([session]).index("late") < drawn([session]).index("early")


def test_the_order_in_which_spans_arrive_makes_no_difference() -> None:
    spans = a_trip()

    assert build_sessions(spans[::-1], GATEWAYS) == build_sessions(spans, GATEWAYS)


def test_headers_on_the_sdks_span_and_on_the_http_span_below_are_one_call() -> None:
    native = span(
        "/write",
        "llm",
        attributes={
            "http.request.header.helicone-session-id": "s1",
            "http.request.header.helicone-session-path": "/write",
        },
    )

    [session] = build_sessions([native, sent(native, "/write")], GATEWAYS)

    assert [request.call is not None for request in session.requests] == [True]


def test_a_wrapper_and_both_ends_of_an_mcp_call_are_one_run_and_one_request() -> None:
    wrapper = span("/add", "tool", (0, 9))
    client = logged("/add", "tool", (1, 8), wrapper)
    server = span("/add", "tool", (2, 7), client)

    [session] = build_sessions([server, client, wrapper], GATEWAYS)

    assert outline(session)["/add"] == ("tool", 1, "tool")


def test_the_same_step_twice_is_one_step_with_two_runs() -> None:
    [session] = build_sessions([logged("/find", "tool", (0, 1)), logged("/find", "tool", (1, 2))], GATEWAYS)

    assert outline(session)["/find"] == ("tool", 2, "tool", "tool")


def test_a_call_to_a_gateway_without_an_llm_span_is_a_request_itself() -> None:
    task = span("/plan", "task")

    [session] = build_sessions([task, sent(task, "/plan")], GATEWAYS)

    assert outline(session)["/plan"] == ("task", 1, "http")


def test_headers_for_a_service_of_the_users_own_make_no_request() -> None:
    task = span("/plan", "task")

    [session] = build_sessions([task, sent(task, "/plan", host="mine.test")], GATEWAYS)

    assert session.requests == []


def test_a_header_with_another_path_than_its_span_is_shown_unchanged() -> None:
    chat = span("/plan", "llm")

    [session] = build_sessions([chat, sent(chat, "/wrong", label="/plan")], GATEWAYS)

    [request] = session.requests
    assert request.call is not None
    assert (request.path, dict(request.call.headers)["Helicone-Session-Path"]) == ("/plan", "/wrong")


def test_one_id_under_two_names_is_two_sessions_as_it_is_for_helicone() -> None:
    spans = [span("/a", "task", (5, 6)), span("/a", "task", (1, 2), session=("s1", ""))]

    assert [(session.id, session.name) for session in build_sessions(spans, GATEWAYS)] == [("s1", ""), ("s1", "Trips")]


def test_spans_without_a_label_make_no_session() -> None:
    assert build_sessions([span(None), span(None)], GATEWAYS) == []


def test_spans_that_are_each_others_parents_do_no_harm() -> None:
    one = Span("t", "1", "2", "one", "", 0, 1, None, dict(span("/a", "task").attributes))
    two = Span(
        "t",
        "2",
        "1",
        "two",
        "",
        0,
        1,
        None,
        dict(span("/a", "llm", attributes={"helicone.request.id": "r"}).attributes),
    )

    [session] = build_sessions([one, two], GATEWAYS)

    assert outline(session)["/a"] == ("task", 1, "llm")


def test_data_of_a_session_have_times_from_its_start_and_no_secret() -> None:
    text = json.dumps(as_data(build_sessions(a_trip(), GATEWAYS)))

    assert "secret" not in text
    [session] = json.loads(text)
    assert {key: session[key] for key in session if key != "tree"} == {
        "id": "s1",
        "name": "Trips",
        "started_at": "2027-01-15T08:00:00.000+00:00",
        "duration_ms": 1000.0,
        "request_count": 3,
    }
    [plan] = session["tree"]["steps"]
    assert plan["steps"][1] == {
        "segment": "guides",
        "path": "/plan/guides",
        "kind": "task",
        "runs": 1,
        "start_ms": 210.0,
        "duration_ms": 780.0,
        "error": None,
        "requests": [],
        "steps": [
            {
                "segment": "query",
                "path": "/plan/guides/query",
                "kind": "vector_db",
                "runs": 1,
                "start_ms": 300.0,
                "duration_ms": 40.0,
                "error": None,
                "requests": [
                    {
                        "kind": "vector_db",
                        "name": None,
                        "path": "/plan/guides/query",
                        "row_id": "r",
                        "start_ms": 300.0,
                        "duration_ms": 40.0,
                        "error": None,
                        "gateway_call": None,
                        "rows": [],
                    }
                ],
                "steps": [],
            }
        ],
    }


def test_a_session_is_drawn_with_kinds_durations_bars_and_the_headers_that_left() -> None:
    assert (
        drawn(build_sessions(a_trip(), GATEWAYS), notes=["mind this"])
        == """
Trips  3 requests, 1 error                           1.00 s
on every gateway call (gw.test):
  Helicone-Session-Id: s1
  Helicone-Session-Name: Trips
└── plan  task                                       1.00 s
    ├── understand  task                             200 ms
    │   ├── llm  m-1                                  27 ms █
    │   │   ✗ status 429
    │   │   → 429 Helicone-Session-Path: /plan/understand
    │   └── llm  m-1                                 148 ms  ███
    │       → 200 Helicone-Session-Path: /plan/understand
    └── guides  task                                 780 ms
        └── query  vector_db                          40 ms       █

mind this"""
    )


def test_without_unicode_the_drawing_is_ascii() -> None:
    text = drawn(build_sessions(a_trip(), GATEWAYS), encoding="ascii")

    assert "`-- query  vector_db" in text
    assert "-> 429 Helicone-Session-Path: /plan/understand" in text


def test_headers_that_differ_between_calls_are_shown_at_each() -> None:
    chat, other = span("/a", "llm"), span("/b", "llm", (1, 2))
    calls = [sent(chat, "/a", more={"helicone-session-id": "s2"}), sent(other, "/b", (1, 2), host="other.helicone.ai")]

    text = drawn(build_sessions([chat, other, *calls], GATEWAYS))

    assert "→ 200 gw.test Helicone-Session-Id: s2" in text
    assert "→ 200 other.helicone.ai Helicone-Session-Id: s1" in text


def test_an_error_is_drawn_once_where_it_happened() -> None:
    failed = logged("/find", "tool")
    failed = replace(failed, error="no such station")

    assert drawn(build_sessions([failed, logged("/find", "tool")], GATEWAYS)).count("✗ no such station") == 1


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_text_of_models_and_tools_cannot_write_over_the_drawing(width: int) -> None:
    nasty = "[red]x[/red] \x1b[2J\r\n\u202e:warning:"
    chat = span("/a", "llm", session=("s1", nasty), error=nasty, attributes={"gen_ai.request.model": nasty})
    call = sent(chat, "/a", more={"helicone-user-id": nasty})

    text = drawn(build_sessions([chat, call], GATEWAYS), width, notes=[nasty])

    assert not set("\x1b\r\u202e") & set(text)
    assert "[red]x[/red] \\x1b[2J\\r\\n\\u202e:warning:" in drawn(
        build_sessions([chat, call], GATEWAYS), 200, notes=[nasty]
    )


def test_no_line_is_wider_than_the_terminal_however_deep_the_path() -> None:
    deep = "/" + "/".join(f"level_{number}" for number in range(16))
    chat = span(deep, "llm")

    lines = drawn(build_sessions([span(deep, "task"), chat, sent(chat, deep)], GATEWAYS)).splitlines()

    assert max(map(len, lines)) <= 80


def test_thousands_of_requests_do_not_flood_the_terminal() -> None:
    spans = [span("/a", "task", (0, 9999)), *(logged("/a/find", "tool", (n, n + 1)) for n in range(5000))]

    text = drawn(build_sessions(spans, GATEWAYS))

    assert "4950 more requests" in text
    assert text.count("\n") < 100


@given(st.text())
@settings(max_examples=examples(200), deadline=None)
def test_visible_text_is_printable_and_ascii_where_it_must_be(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text, ascii_only=True).isascii()
    assert visible(visible(text)) == visible(text) or len(text) > 500


@given(st.integers(0, 365 * 24 * 3600 * 10**9))
def test_a_duration_fits_its_column(nanoseconds: int) -> None:
    assert len(format_duration(nanoseconds)) <= 8


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.0 ms"),
        (9_940_000, "9.9 ms"),
        (9_950_000, "10 ms"),
        (999_400_000, "999 ms"),
        (999_600_000, "1.00 s"),
        (99_940_000_000, "99.94 s"),
        (119_700_000_000, "2m00s"),
        (7_500_000_000_000, "2h05m"),
    ],
)
def test_durations_read_well_at_the_borders(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


def notes(*spans: Span, dropped: int = 0, **environ: str) -> list[str]:
    return advise(RunFacts(environ, GATEWAYS, 1, dropped, spans, build_sessions(spans, GATEWAYS)))


def http(parent: Span, host: str) -> Span:
    """Return an HTTP client span without captured headers."""
    return span("/a", None, parent=parent, attributes={"http.url": f"http://{host}/v1?key=secret"})


@pytest.mark.parametrize(
    ("greetings", "signalled", "start"),
    [
        (0, False, "No process of the application loaded helicone-otel."),
        (1, False, "The application was instrumented but made no span: it used no instrumented library, or ended"),
        (0, True, "A signal reached the application before it made a span."),
        (1, True, "A signal reached the application before it made a span."),
    ],
)
def test_the_reason_for_no_span_is_not_guessed_after_a_signal(greetings: int, signalled: bool, start: str) -> None:
    (note,) = advise(RunFacts({}, GATEWAYS, greetings, 0, [], [], signalled))

    assert note[: len(start)] == start


def test_a_run_in_which_all_went_to_the_gateway_needs_no_advice() -> None:
    assert notes(*a_trip()) == []


def test_an_sdks_own_span_with_a_url_is_not_taken_for_a_call_without_headers() -> None:
    native = span("/a", "llm", attributes={"url.full": "http://gw.test/v1/messages"})

    assert notes(native, sent(native, "/a")) == []


def test_headers_captured_on_the_sdks_span_cover_the_http_span_below() -> None:
    native = span("/a", "llm", attributes={"http.request.header.helicone-session-id": "s1"})

    assert notes(native, http(native, "gw.test")) == []


@pytest.mark.parametrize(
    ("host", "beginning"),
    [
        ("api.test", "1 HTTP request of LLM calls went to api.test, which is not a Helicone gateway"),
        ("gw.test", "1 HTTP request of LLM calls reached the gateway gw.test without Helicone headers"),
    ],
)
def test_a_call_without_headers_is_explained_by_its_host(host: str, beginning: str) -> None:
    chat = span("/a", "llm")

    [note] = notes(chat, http(chat, host))

    assert note.startswith(beginning)
    assert "secret" not in note


def test_a_call_that_the_sdk_and_the_http_client_both_have_a_span_of_is_counted_once() -> None:
    native = span("/a", "llm", attributes={"url.full": "http://api.test/v1/messages"})

    [note] = notes(native, http(native, "api.test"))

    assert note.startswith("1 HTTP request of LLM calls went to api.test")


def alone(number: int, session_id: str | None = None) -> list[Span]:
    """Return the call of an application that makes nothing else of its trace, in the trace's own session."""
    chat = span("/chat", "llm", session=(session_id or f"{number:08x}-0000-0000-0000-000000000000", ""))
    chat = replace(chat, trace_id=f"{number:08x}{0:024x}")
    return [chat, sent(chat, "/chat", label="/chat", more={"helicone-session-id": "x"})]


def test_many_sessions_of_one_request_each_are_explained_with_what_to_do() -> None:
    [note] = notes(*alone(1), *alone(2), *a_trip())

    assert note == (
        "2 of 3 sessions have one request each: nothing says which requests belong together, so each trace is a "
        'session. Make the process one session with helicone-otel run --session "My Task" …, or open with '
        'session("My Task"): around the work. In a server, HELICONE_SESSION_ID_ATTRIBUTES names the attribute that '
        "holds a conversation's id."
    )
    assert notes(*alone(1), *a_trip()) == []
    # Somebody chose these ids.
    assert notes(*alone(1, "chat-1"), *alone(2, "chat-2")) == []


def test_llm_calls_without_an_http_span_are_explained() -> None:
    assert notes(logged("/a", "llm")) == [
        "No LLM call carried Helicone headers: none of them went through httpx or httpx2."
    ]


def test_spans_that_nothing_recognises_are_listed_by_scope() -> None:
    [note] = notes(span(None), span(None))

    assert note.startswith("2 spans arrived, from a scope (2), but helicone-otel recognises none")


def test_sampling_and_dropped_spans_are_noted() -> None:
    assert notes(*a_trip(), dropped=3, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.1") == [
        "OTEL_TRACES_SAMPLER=traceidratio (OTEL_TRACES_SAMPLER_ARG=0.1): spans that are sampled out are not shown.",
        "3 spans came after the first 7 and are not shown.",
    ]


_SPANS = st.lists(
    st.builds(
        Span,
        trace_id=st.sampled_from(["t1", "t2"]),
        span_id=st.sampled_from("123456"),
        parent_id=st.sampled_from(["", *"123456"]),
        name=st.just("n"),
        scope=st.just(""),
        start=st.integers(0, 10),
        end=st.integers(10, 20),
        error=st.none() | st.text(max_size=5),
        attributes=st.dictionaries(
            st.sampled_from(
                [
                    "helicone.session.id",
                    "helicone.session.path",
                    "helicone.session.name",
                    "helicone.span.kind",
                    "helicone.request.id",
                    "http.url",
                    "http.status_code",
                    "http.request.header.helicone-session-id",
                    "http.request.header.helicone-session-path",
                    "http.request.header.helicone-property-x",
                ]
            ),
            st.sampled_from(["/", "/a/b", "a//b", "tool", "llm", "http://[", "https://gw.test/x", "", "429"])
            | st.text(max_size=6),
        ),
    ),
    max_size=8,
)


@given(_SPANS)
@settings(max_examples=examples(300), deadline=None)
def test_any_spans_are_drawn_and_printed(spans: list[Span]) -> None:
    sessions = build_sessions(spans, GATEWAYS)

    json.dumps(as_data(sessions))
    assert all(line.isprintable() for line in drawn(sessions).split("\n"))
    requests = sum(len(session.requests) for session in sessions)
    assert requests <= len({(one.trace_id, one.span_id) for one in spans})
