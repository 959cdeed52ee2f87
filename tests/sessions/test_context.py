"""`session()` and `step()` as blocks: which spans and headers belong to them, and which do not."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider

from helicone_otel import Session, SessionPath, Settings, current_session, session, step
from helicone_otel.sessions.context import OPEN_FRAMES, ContextFrame, current_frame
from tests.support.small_app import (
    GATEWAY_URL,
    UNTOUCHED,
    App,
    Label,
    current_id,
    helicone_attributes,
    inside,
    label_of,
    trace_session,
)


@pytest.fixture
def app() -> App:
    return App(Settings(propagate_hosts=(SERVICE,)))


SERVICE = "stock.shop.test"
SERVICE_URL = f"https://{SERVICE}/items"


# --- a session ------------------------------------------------------------------------------------


def test_every_span_in_a_session_belongs_to_it(app: App) -> None:
    with session("Trip Planning", id="trip-7"), app.work("plan"):
        app.chat("ask")
        with app.work("book"):
            pass

    assert app.labels() == {
        "ask": Label("trip-7", "Trip Planning", "/plan", "llm"),
        "book": Label("trip-7", "Trip Planning", "/plan/book", "task"),
        "plan": Label("trip-7", "Trip Planning", "/plan", "task"),
    }


def test_nothing_before_and_after_a_session_belongs_to_it(app: App) -> None:
    with app.work("before"):
        pass
    with session("Trips", id="s1"):
        pass
    with app.work("after"):
        pass

    assert app.labels() == {"before": UNTOUCHED, "after": UNTOUCHED}
    assert current_session() is None


def test_spans_around_a_session_do_not_belong_to_it(app: App) -> None:
    with app.work("outside"):
        with session("Trips", id="s1"), app.work("inside"):
            pass
        with app.work("beside"):
            pass

    assert app.labels() == {
        "inside": Label("s1", "Trips", "/inside", "task"),
        "beside": UNTOUCHED,
        "outside": UNTOUCHED,
    }


def test_the_block_gives_the_session_and_makes_it_the_current_one() -> None:
    with session("Trips", id="s1", path="/plan", user_id="ann", properties={"Plan": "pro"}) as opened:
        assert opened == Session("s1", "Trips", SessionPath("/plan"), "ann", {"Plan": "pro"})
        assert current_session() == opened
    assert current_session() is None


def test_each_block_without_an_id_gets_a_new_id() -> None:
    trips = session("Trips")
    ids = []
    for _ in range(2):
        with trips as opened:
            assert opened is not None
            assert current_session() == opened
            ids.append(opened.id)

    assert ids[0] != ids[1]
    assert {uuid.UUID(text).version for text in ids} == {4}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("trip-7", "trip-7"),
        ("  trip-7\n", "trip-7"),
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ],
)
def test_an_id_may_be_a_str_an_int_or_a_uuid(app: App, given: str | int | uuid.UUID, expected: str) -> None:
    with session("Trips", id=given), app.work("plan"):
        assert current_id() == expected

    assert app.label("plan").id == expected


@pytest.mark.parametrize("nothing", [None, "", "  \n", "\0 \x9f"])
def test_an_empty_id_is_replaced_by_a_new_one(nothing: str | None) -> None:
    with session("Trips", id=nothing) as opened:
        assert opened is not None
        assert uuid.UUID(opened.id).version == 4


@pytest.mark.parametrize(
    ("settings", "service", "expected"),
    [
        (Settings(session_name="Nightly"), None, "Nightly"),
        (Settings(session_name="Nightly"), "shop", "Nightly"),
        (Settings(), "shop", "shop"),
        (Settings(), "unknown_service:python", None),
        (Settings(), None, None),
    ],
)
@pytest.mark.parametrize("nothing", ["", " \n"])
def test_a_session_with_an_empty_name_gets_the_name_of_the_settings(
    settings: Settings, service: str | None, expected: str | None, nothing: str
) -> None:
    app = App(settings, service=service)

    with session(nothing, id="s1"), app.work("plan"):
        pass

    assert app.label("plan") == Label("s1", expected, "/plan", "task")


def test_a_name_given_in_code_wins_over_the_settings() -> None:
    app = App(Settings(session_name="Nightly", session_id="job", session_path="/jobs"), service="shop")

    with session("  Trips ", id="s1"), app.work("plan"):
        pass

    assert app.label("plan") == Label("s1", "Trips", "/plan", "task")


def test_a_session_begins_at_its_path(app: App) -> None:
    with session("Trips", id="s1", path="/abstract/outline"):
        app.chat("ask")
        with app.work("lesson"):
            pass
    with session("Trips", id="s2", path=SessionPath("/review") / "code"):
        app.chat("review")

    assert app.labels() == {
        "ask": Label("s1", "Trips", "/abstract/outline", "llm"),
        "lesson": Label("s1", "Trips", "/abstract/outline/lesson", "task"),
        "review": Label("s2", "Trips", "/review/code", "llm"),
    }


def test_a_call_without_a_step_has_the_path_chat(app: App) -> None:
    with session("Trips", id="s1"):
        app.chat("ask")

    assert app.labels() == {"ask": Label("s1", "Trips", "/chat", "llm")}


def test_the_user_and_the_properties_are_on_every_span_and_in_the_headers(app: App) -> None:
    with session("Trips", id="café", user_id="zoë", properties={"Plan": "pro", "Stadt": "Köln", "not a header": "x"}):
        with app.work("plan"):
            headers = app.headers()
        app.chat("ask")

    common = {
        "helicone.session.id": "café",
        "helicone.session.name": "Trips",
        "session.id": "café",
        "user.id": "zoë",
        "helicone.property.Plan": "pro",
        "helicone.property.Stadt": "Köln",
    }
    ask = helicone_attributes(app.spans()["ask"])
    assert helicone_attributes(app.spans()["plan"]) == {
        **common,
        "helicone.session.path": "/plan",
        "helicone.span.kind": "task",
    }
    assert ask == {
        **common,
        "helicone.session.path": "/chat",
        "helicone.span.kind": "llm",
        "gen_ai.conversation.id": "café",
        "helicone.request.id": ask["helicone.request.id"],
    }
    assert headers == {
        "Helicone-Session-Id": "caf%C3%A9",
        "Helicone-Session-Path": "/plan",
        "Helicone-Session-Name": "Trips",
        "Helicone-User-Id": "zo%C3%AB",
        "Helicone-Property-Plan": "pro",
        "Helicone-Property-Stadt": "K%C3%B6ln",
    }


def test_properties_are_copied_when_the_session_is_made(app: App) -> None:
    properties = {"Plan": "pro"}
    trips = session("Trips", id="s1", properties=properties)
    properties["Plan"] = "free"

    with trips:
        properties["Plan"] = "none"
        assert app.headers()["Helicone-Property-Plan"] == "pro"


def test_the_headers_of_a_session_leave_without_any_span(app: App) -> None:
    with session("Trips", id="s1", path="/plan"):
        expected = {
            "Helicone-Session-Id": "s1",
            "Helicone-Session-Path": "/plan",
            "Helicone-Session-Name": "Trips",
        }
        assert app.headers(GATEWAY_URL) == app.headers(SERVICE_URL) == expected
        assert app.headers("https://api.openai.com/v1/chat/completions") == {}
    assert app.headers(SERVICE_URL) == {}


def test_an_error_passes_through_a_session_and_a_step_and_closes_both() -> None:
    error = KeyError("seat")

    with pytest.raises(KeyError) as raised, session("Trips", id="s1"), step("book"):
        raise error

    assert raised.value is error
    assert current_session() is None


# --- sessions in sessions -------------------------------------------------------------------------


def test_the_inner_session_is_current_until_it_ends_then_the_outer_one_again(app: App) -> None:
    with session("Trips", id="outer"), app.work("plan"):
        with session("Reviews", id="inner", path="/review"), app.work("check"):
            app.chat("first")
        app.chat("second")

    assert app.labels() == {
        "first": Label("inner", "Reviews", "/review/check", "llm"),
        "check": Label("inner", "Reviews", "/review/check", "task"),
        "second": Label("outer", "Trips", "/plan", "llm"),
        "plan": Label("outer", "Trips", "/plan", "task"),
    }


def test_a_session_in_a_session_inherits_nothing(app: App) -> None:
    outer = session("Trips", id="outer", path="/plan", user_id="ann", properties={"Plan": "pro"})
    with outer, step("book"), session("Reviews", id="inner") as inner:
        assert current_session() == inner == Session("inner", "Reviews")
        assert app.headers(SERVICE_URL) == {
            "Helicone-Session-Id": "inner",
            "Helicone-Session-Path": "/",
            "Helicone-Session-Name": "Reviews",
        }


def test_a_session_may_be_opened_inside_itself(app: App) -> None:
    trips = session("Trips", id="s1")

    with trips, app.work("plan"):
        with trips, app.work("book"):
            pass
        with app.work("pay"):
            pass

    assert app.labels() == {
        "book": Label("s1", "Trips", "/book", "task"),
        "pay": Label("s1", "Trips", "/plan/pay", "task"),
        "plan": Label("s1", "Trips", "/plan", "task"),
    }
    assert current_session() is None


def test_detached_spans_belong_to_no_session_opened_outside(app: App) -> None:
    with session("Trips", id="outer"), step("plan"), app.work("book"):
        with session(None) as nothing:
            assert nothing is None
            assert current_session() is None
            with app.work("clean up"):
                assert current_session() is None
                assert app.headers(SERVICE_URL) == {}
            with session("Reviews", id="inner"), app.work("check"):
                pass
        assert current_id() == "outer"

    assert app.labels() == {
        "clean up": UNTOUCHED,
        "check": Label("inner", "Reviews", "/check", "task"),
        "book": Label("outer", "Trips", "/plan/book", "task"),
    }


def test_a_detached_call_belongs_to_its_trace_and_to_no_step_opened_outside(app: App) -> None:
    with session("Trips", id="outer"), step("plan"), app.work("book"), session(None), step("audit"):
        app.chat("ask")

    assert app.label("ask") == Label(trace_session(app.spans()["ask"]), None, "/audit", "llm")
    assert app.label("book") == Label("outer", "Trips", "/plan/book", "task")


# --- steps ----------------------------------------------------------------------------------------


def test_steps_and_spans_are_levels_of_the_path_outermost_first(app: App) -> None:
    with session("Trips", id="s1"), step("research"), app.work("search"), step("web"):
        app.chat("ask")
        with app.work("fetch"):
            pass

    assert app.labels() == {
        "ask": Label("s1", "Trips", "/research/search/web", "llm"),
        "fetch": Label("s1", "Trips", "/research/search/web/fetch", "task"),
        "search": Label("s1", "Trips", "/research/search", "task"),
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("research", "/research"),
        ("research/web", "/research/web"),
        ("/research/web/", "/research/web"),
        ("deep research", "/deep_research"),
        ("question_1", "/question_1"),
        ("gpt-4o", "/gpt-4o"),
        ("123e4567-e89b-12d3-a456-426614174000", "/123e4567-e89b-12d3-a456-426614174000"),
        ("café", "/café"),
        ("", "/chat"),
        ("/", "/chat"),
        (" \n", "/chat"),
    ],
)
def test_the_name_of_a_step_is_not_cleaned_and_may_have_several_levels(app: App, name: str, path: str) -> None:
    with session("Trips", id="s1"), step(name):
        app.chat("ask")

    assert app.label("ask") == Label("s1", "Trips", path, "llm")


def test_a_step_gives_none_and_ends_with_its_block(app: App) -> None:
    with session("Trips", id="s1"):
        with step("research") as given:
            assert given is None
            assert app.headers(SERVICE_URL)["Helicone-Session-Path"] == "/research"
            assert current_id() == "s1"
        assert app.headers(SERVICE_URL)["Helicone-Session-Path"] == "/"


def test_a_step_and_a_span_with_the_same_name_are_one_level(app: App) -> None:
    with session("Trips", id="s1"):
        with step("research"), app.work("research"):
            app.chat("span in step")
        with app.work("research"), step("research"):
            app.chat("step in span")
        with step("research"), step("research"):
            app.chat("step in step")
        with app.work("research"), app.work("plan"), app.work("research"):
            app.chat("not adjacent")

    assert {name: label.path for name, label in app.labels().items() if label.kind == "llm"} == {
        "span in step": "/research",
        "step in span": "/research",
        "step in step": "/research",
        "not adjacent": "/research/plan/research",
    }


def test_a_path_keeps_its_sixteen_outermost_levels(app: App) -> None:
    with session("Trips", id="s1", path="/a"), step("b/c/d/e/f/g/h"), step("i/j/k/l/m/n"), step("o/p/q/r"):
        app.chat("ask")

    assert app.label("ask").path == "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"


def test_a_step_without_a_session_is_a_level_in_each_trace_inside_it(app: App) -> None:
    with step("research"):
        assert current_session() is None
        assert app.headers(SERVICE_URL) == {}
        with app.work("plain"):
            pass
        app.chat("first")
        app.chat("second")
        with app.work("search"):
            app.chat("third")

    spans = app.spans()
    assert app.labels() == {
        "plain": UNTOUCHED,
        "first": Label(trace_session(spans["first"]), None, "/research", "llm"),
        "second": Label(trace_session(spans["second"]), None, "/research", "llm"),
        "third": Label(trace_session(spans["third"]), None, "/research/search", "llm"),
        "search": Label(trace_session(spans["third"]), None, "/research/search", "task"),
    }
    assert len({label.id for label in app.labels().values()}) == 4


@pytest.mark.parametrize("detached", [False, True])
def test_equal_traces_in_a_step_without_a_session_have_sessions_of_their_own(app: App, detached: bool) -> None:
    with ExitStack() as stack:
        if detached:
            stack.enter_context(session(None))
        stack.enter_context(step("research"))
        for _ in range(3):
            app.chat("the same")

    assert [label_of(span) for span in app.all_spans()] == [
        Label(trace_session(span), None, "/research", "llm") for span in app.all_spans()
    ]


def test_a_call_in_a_detached_step_has_headers_after_a_trace_without_calls(app: App) -> None:
    with session(None), step("research"):
        with app.work("plain"):
            pass
        with app.calling("ask") as span:
            headers = app.headers()

    assert headers == {"Helicone-Session-Id": trace_session(span), "Helicone-Session-Path": "/research"}


def test_a_detached_call_in_a_session_in_a_span_logs_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with app.work("outside"), session("Trips", id="s1"), session(None):
        app.chat("ask")

    assert caplog.record_tuples == []


def test_a_session_in_a_step_begins_at_its_own_path(app: App) -> None:
    with step("research"), session("Trips", id="s1"), step("plan"):
        app.chat("ask")

    assert app.label("ask") == Label("s1", "Trips", "/plan", "llm")


# --- contexts passed explicitly -------------------------------------------------------------------


def test_a_span_started_in_an_empty_context_belongs_to_no_session(app: App) -> None:
    with session("Trips", id="s1"):
        app.tracer.start_span("alone", context=Context()).end()

    assert app.labels() == {"alone": UNTOUCHED}


def test_a_span_started_in_a_stored_context_belongs_to_its_session(app: App) -> None:
    with session("Trips", id="s1"), step("plan"):
        kept = get_current()

    app.tracer.start_span("late", context=kept).end()

    assert app.labels() == {"late": Label("s1", "Trips", "/plan/late", "task")}


def test_a_span_that_ends_after_its_session_keeps_it_and_so_do_calls_below(app: App) -> None:
    with session("Trips", id="s1"), step("stream"):
        streaming = app.tracer.start_span("answer")
    with session("Others", id="s2"), app.work("other"):
        streaming.set_attribute("tokens", 9)
    token = attach(inside(streaming))
    app.chat("ask")
    detach(token)
    streaming.end()

    assert app.labels() == {
        "other": Label("s2", "Others", "/other", "task"),
        "ask": Label("s1", "Trips", "/stream/answer", "llm"),
        "answer": Label("s1", "Trips", "/stream/answer", "task"),
    }


def test_a_span_below_a_labelled_one_is_labelled_without_a_context_frame(app: App) -> None:
    with session("Trips", id="s1"):
        above = app.tracer.start_span("above")
    app.tracer.start_span("below", context=inside(above)).end()
    above.end()

    assert app.label("below") == Label("s1", "Trips", "/above/below", "task")


# --- blocks that end in another order -------------------------------------------------------------


@pytest.fixture
def _no_trace_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that nothing is logged, and remove the Context that a test leaves attached on purpose."""
    before = get_current()
    yield
    attach(before)
    assert caplog.get_records("call") == []


@pytest.mark.usefixtures("_no_trace_left")
def test_no_session_remains_after_blocks_end_in_the_wrong_order(app: App) -> None:
    first, second = session("Trips", id="first"), session("Trips", id="second")
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    assert current_id() == "second"
    second.__exit__(None, None, None)

    assert current_session() is None
    with app.work("after"):
        app.chat("ask")
    assert app.label("ask") == Label(trace_session(app.spans()["ask"]), None, "/after", "llm")


@pytest.mark.usefixtures("_no_trace_left")
def test_no_session_remains_after_a_step_ends_later_than_its_session(app: App) -> None:
    trips, plan = session("Trips", id="s1"), step("plan")
    trips.__enter__()
    plan.__enter__()

    trips.__exit__(None, None, None)
    plan.__exit__(None, None, None)

    assert current_session() is None
    app.chat("ask")
    assert app.label("ask") == Label(trace_session(app.spans()["ask"]), None, "/chat", "llm")


@pytest.mark.usefixtures("_no_trace_left")
def test_detaching_a_context_after_the_session_does_not_restore_the_session(app: App) -> None:
    with session("Trips", id="s1"):
        late = app.work("late")
        late.__enter__()
    late.__exit__(None, None, None)

    assert current_session() is None
    app.chat("ask")
    with session("Others", id="s2"):
        assert current_id() == "s2"
    assert current_session() is None
    assert app.labels() == {
        "late": Label("s1", "Trips", "/late", "task"),
        "ask": Label(trace_session(app.spans()["ask"]), None, "/chat", "llm"),
    }


@pytest.mark.usefixtures("_no_trace_left")
def test_a_context_attached_in_a_session_and_never_detached_stays_without_the_session() -> None:
    with session("Outer", id="s0"):
        with session("Trips", id="s1"):
            attach(set_value("theirs", 5))
            assert current_id() == "s1"
        assert get_current().get("theirs") == 5
        assert current_id() == "s0"
    assert get_current().get("theirs") == 5
    assert current_session() is None


@pytest.mark.usefixtures("_no_trace_left")
def test_a_context_that_other_code_replaced_is_not_restored() -> None:
    token = attach(set_value("theirs", 5))
    with session("Trips", id="s1"):
        attach(Context())
        assert current_session() is None

    assert current_session() is None
    assert get_current().get("theirs") is None
    detach(token)


def test_blocks_in_an_exit_stack_end_with_the_stack(app: App) -> None:
    with ExitStack() as stack:
        stack.enter_context(session("Trips", id="s1"))
        stack.enter_context(step("plan"))
        app.chat("ask")

    assert app.label("ask") == Label("s1", "Trips", "/plan", "llm")
    assert current_session() is None


async def test_sessions_and_steps_work_with_async_with(app: App) -> None:
    async with session("Trips", id="s1") as opened, step("plan") as nothing:
        assert opened == current_session()
        assert nothing is None
        app.chat("ask")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(session(None))

    assert app.label("ask") == Label("s1", "Trips", "/plan", "llm")
    assert current_session() is None


# --- errors for wrong arguments -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 5}, "session(name) must be a str or None, not int"),
        ({"name": b"Trips"}, "session(name) must be a str or None, not bytes"),
        ({"id": True}, "session(id=…) must be a str, an int or a UUID, not bool"),
        ({"id": 1.5}, "session(id=…) must be a str, an int or a UUID, not float"),
        ({"id": ["a"]}, "session(id=…) must be a str, an int or a UUID, not list"),
        ({"path": None}, "a session path must be a str such as '/review', not NoneType"),
        ({"user_id": 5}, "session(user_id=…) must be a str, not int"),
        ({"properties": ["Plan"]}, "session(properties=…) must be a mapping, not list"),
        ({"properties": "Plan"}, "session(properties=…) must be a mapping, not str"),
    ],
)
def test_the_error_for_an_argument_of_the_wrong_type_names_it(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        session(**{"name": "Trips", **arguments})  # type: ignore[arg-type]

    assert str(refused.value) == message


def test_a_path_without_a_leading_slash_raises_an_error() -> None:
    with pytest.raises(ValueError, match="a session path must start with '/': write '/plan', not 'plan'"):
        session("Trips", path="plan")


@pytest.mark.parametrize("name", [None, 5, b"plan", ["plan"]])
def test_a_step_name_that_is_no_text_raises_an_error(name: object) -> None:
    with pytest.raises(TypeError) as refused:
        step(name)  # type: ignore[arg-type]

    assert str(refused.value) == f"step(name) must be a str, not {type(name).__name__}"


# --- copies of Contexts ---------------------------------------------------------------------------


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda frame: pickle.loads(pickle.dumps(frame))])
def test_a_copied_frame_does_not_end_the_session_that_it_was_copied_from(made: Callable[[Any], Any]) -> None:
    with session("Trip", id="trip-42", user_id="ann", properties={"Plan": "pro"}), step("plan"):
        copied = made(current_frame())
        token = attach(copied.within(Context()))
        inside = current_session()
        detach(token)
        del copied
        gc.collect()
        assert current_session() == inside
        assert inside is not None
        assert (inside.id, inside.user_id, dict(inside.properties)) == ("trip-42", "ann", {"Plan": "pro"})

    gc.collect()
    assert len(OPEN_FRAMES) == sum(isinstance(each, ContextFrame) for each in gc.get_objects())


def test_an_attempt_to_copy_a_context_with_a_span_does_not_end_the_session() -> None:
    with session("Trip", id="trip-42"), TracerProvider().get_tracer("shop").start_as_current_span("plan"):
        for attempt in (copy.deepcopy, pickle.dumps):
            with contextlib.suppress(ValueError, TypeError, AttributeError, pickle.PicklingError):
                attempt({"context": get_current()})
        gc.collect()
        found = current_session()

    assert found is not None
    assert found.id == "trip-42"
