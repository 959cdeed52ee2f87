"""`session()` and `step()` as decorators: on functions, coroutines, generators and async generators."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from functools import partial

import pytest
from opentelemetry.context import get_current

from helicone_otel import current_session, session, step, tool, vector_query
from tests.support.small_app import App, Label, current_id


@pytest.fixture
def app() -> App:
    return App()


# --- functions ------------------------------------------------------------------------------------


def test_a_decorated_function_runs_in_its_session_and_step(app: App) -> None:
    @session("Trips", id="s1")
    @step("plan")
    def plan(city: str, *, days: int) -> str:
        app.chat("ask")
        return f"{days} days in {city}"

    assert plan("Rome", days=2) == "2 days in Rome"
    assert current_session() is None
    assert app.labels() == {"ask": Label("s1", "Trips", "/plan", "llm")}


def test_a_decorated_function_opens_a_new_session_for_each_call() -> None:
    @session("Trips")
    def plan() -> str | None:
        return current_id()

    first, second = plan(), plan()
    assert first is not None
    assert second is not None
    assert first != second


def test_a_decorated_function_keeps_its_name_its_docstring_and_its_signature() -> None:
    @step("plan")
    def plan(city: str, days: int = 2) -> str:
        """Plan a trip."""
        return city * days

    assert (plan.__name__, plan.__doc__) == ("plan", "Plan a trip.")
    assert list(inspect.signature(plan).parameters) == ["city", "days"]
    assert not inspect.iscoroutinefunction(plan)


def test_an_error_of_a_decorated_function_reaches_its_caller() -> None:
    error = KeyError("seat")

    @session("Trips")
    def book() -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        book()
    assert raised.value is error
    assert current_session() is None


def test_a_decorated_function_that_calls_itself_is_one_level(app: App) -> None:
    @step("plan")
    def plan(depth: int) -> None:
        if depth:
            plan(depth - 1)
        else:
            app.chat("ask")

    with session("Trips", id="s1"):
        plan(3)

    assert app.label("ask").path == "/plan"


def test_a_method_can_be_decorated(app: App) -> None:
    class Planner:
        @step("plan")
        def plan(self) -> None:
            app.chat("method")

        @classmethod
        @step("book")
        def book(cls) -> None:
            app.chat("class method")

        @staticmethod
        @step("pay")
        def pay() -> None:
            app.chat("static method")

    with session("Trips", id="s1"):
        Planner().plan()
        Planner.book()
        Planner.pay()

    assert {name: label.path for name, label in app.labels().items()} == {
        "method": "/plan",
        "class method": "/book",
        "static method": "/pay",
    }


def test_the_decorators_of_a_method_may_stand_in_any_order(app: App) -> None:
    class Planner:
        @step("book")
        @classmethod
        def book(cls, name: str) -> str:
            app.chat(name)
            return cls.__name__

        @step("pay")
        @staticmethod
        def pay(name: str) -> str:
            app.chat(name)
            return name

    with session("Trips", id="s1"):
        assert (Planner.book("a"), Planner().book("b")) == ("Planner", "Planner")
        assert (Planner.pay("c"), Planner().pay("d")) == ("c", "d")

    paths = {name: label.path for name, label in app.labels().items()}
    assert paths == {"a": "/book", "b": "/book", "c": "/pay", "d": "/pay"}


def test_one_session_object_is_a_decorator_and_a_block_at_the_same_time(app: App) -> None:
    trips = session("Trips", id="s1")

    @trips
    def plan() -> None:
        app.chat("in the function")

    with trips:
        plan()
        app.chat("in the block")

    assert {label.id for label in app.labels().values()} == {"s1"}
    assert current_session() is None


def test_a_decorated_function_can_detach() -> None:
    @session(None)
    def work() -> str | None:
        return current_id()

    with session("Trips", id="s1"):
        assert work() is None
        assert current_id() == "s1"


# --- coroutines -----------------------------------------------------------------------------------


async def test_a_decorated_coroutine_runs_in_its_session_and_step_until_it_returns(app: App) -> None:
    @session("Trips", id="s1")
    @step("plan")
    async def plan() -> str:
        app.chat("before")
        await asyncio.sleep(0)
        app.chat("after")
        return "done"

    assert inspect.iscoroutinefunction(plan)
    assert await plan() == "done"
    assert current_session() is None
    assert app.labels() == {
        "before": Label("s1", "Trips", "/plan", "llm"),
        "after": Label("s1", "Trips", "/plan", "llm"),
    }


async def test_a_session_begins_when_the_coroutine_runs_not_when_it_is_made() -> None:
    @step("plan")
    async def plan() -> str | None:
        return current_id()

    with session("Trips", id="made here"):
        coroutine = plan()
    with session("Trips", id="run here"):
        assert await coroutine == "run here"


async def test_concurrent_coroutines_have_sessions_of_their_own(app: App) -> None:
    @session("Trips")
    async def plan(number: int) -> str | None:
        before = current_id()
        for _ in range(3):
            await asyncio.sleep(0)
            app.chat(f"ask {number}")
        assert current_id() == before
        return before

    ids = await asyncio.gather(*(plan(number) for number in range(5)))

    assert len(set(ids)) == 5
    assert [app.label(f"ask {number}").id for number in range(5)] == ids
    assert current_session() is None


async def test_a_cancelled_coroutine_leaves_its_session() -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(current_id())

    async def outside() -> None:
        try:
            await wait()
        finally:
            seen.append(current_id())

    task = asyncio.create_task(outside())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert seen == ["s1", None]


async def test_a_partial_of_a_coroutine_function_can_be_decorated() -> None:
    async def plan(city: str) -> str:
        return f"{city} in {current_id()}"

    assert await session("Trips", id="s1")(partial(plan, "Rome"))() == "Rome in s1"


# --- generators -----------------------------------------------------------------------------------


def test_a_decorated_generator_runs_in_its_session_and_its_consumer_does_not(app: App) -> None:
    @session("Trips", id="s1")
    @step("plan")
    def stream() -> Iterator[int]:
        for number in range(2):
            app.chat(f"inside {number}")
            yield number
        app.chat("last")

    assert inspect.isgeneratorfunction(stream)
    before = get_current()
    for number in stream():
        assert current_session() is None
        assert get_current() is before
        with app.work(f"outside {number}"):
            pass

    assert {name: label.id for name, label in app.labels().items()} == {
        "inside 0": "s1",
        "outside 0": None,
        "inside 1": "s1",
        "outside 1": None,
        "last": "s1",
    }
    assert {label.path for label in app.labels().values()} == {"/plan", None}


def test_a_generator_has_one_session_from_its_first_item_to_its_last() -> None:
    @session("Trips")
    def stream() -> Iterator[str | None]:
        yield current_id()
        yield current_id()

    first, second = list(stream()), list(stream())

    assert first[0] == first[1] is not None
    assert second[0] == second[1] not in {None, first[0]}


def test_values_and_errors_pass_between_a_generator_and_its_consumer() -> None:
    seen: list[object] = []

    @session("Trips", id="s1")
    def talk() -> Generator[str, str, str]:
        seen.append((yield "first"))
        try:
            yield "second"
        except KeyError as error:
            seen.append((error.args, current_id()))
        seen.append((yield "third"))
        return "result"

    talking = talk()
    assert next(talking) == "first"
    assert talking.send("hello") == "second"
    assert talking.throw(KeyError("seat")) == "third"
    with pytest.raises(StopIteration) as stop:
        talking.send("goodbye")
    assert stop.value.value == "result"
    assert seen == ["hello", (("seat",), "s1"), "goodbye"]
    assert current_session() is None


def test_yield_from_a_decorated_generator_gives_its_result() -> None:
    @step("inner")
    def inner() -> Generator[int, None, str]:
        yield 1
        return "result"

    def outer() -> Generator[int, None, str]:
        return (yield from inner())

    outside = outer()
    assert next(outside) == 1
    with pytest.raises(StopIteration, match="result"):
        next(outside)


def test_an_error_thrown_in_that_a_generator_does_not_catch_reaches_the_consumer() -> None:
    @session("Trips")
    def stream() -> Iterator[int]:
        yield 1

    streaming = stream()
    next(streaming)
    error = KeyError("seat")
    with pytest.raises(KeyError) as raised:
        streaming.throw(error)  # type: ignore[attr-defined]
    assert raised.value is error
    assert list(streaming) == []
    assert current_session() is None


def test_an_error_of_the_generator_itself_reaches_the_consumer() -> None:
    @session("Trips")
    def stream() -> Iterator[int]:
        yield 1
        raise KeyError("seat")

    streaming = stream()
    assert next(streaming) == 1
    with pytest.raises(KeyError, match="seat"):
        next(streaming)
    assert current_session() is None


def test_a_stop_iteration_raised_or_thrown_in_is_a_runtime_error() -> None:
    @session("Trips")
    def stream() -> Iterator[int]:
        yield 1
        raise StopIteration  # noqa: PLR1708  # what is tested

    streaming = stream()
    next(streaming)
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        next(streaming)
    thrown = stream()
    next(thrown)
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        thrown.throw(StopIteration())  # type: ignore[attr-defined]


def test_a_closed_generator_cleans_up_in_its_session() -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    def stream() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(current_id())

    streaming = stream()
    next(streaming)
    with session("Others", id="s2"):
        streaming.close()  # type: ignore[attr-defined]
        assert current_id() == "s2"

    assert seen == ["s1"]
    assert current_session() is None


def test_a_generator_that_was_never_started_can_be_closed_and_collected(caplog: pytest.LogCaptureFixture) -> None:
    @session("Trips")
    def stream() -> Iterator[int]:
        yield 1

    stream().close()  # type: ignore[attr-defined]
    del stream
    gc.collect()

    assert caplog.record_tuples == []


def test_an_abandoned_generator_cleans_up_in_its_session_when_it_is_collected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    def stream() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(current_id())

    streaming = stream()
    next(streaming)
    with session("Others", id="s2"):
        del streaming
        gc.collect()
        assert current_id() == "s2"

    assert seen == ["s1"]
    assert current_session() is None
    assert caplog.record_tuples == []


def test_two_interleaved_generators_do_not_mix_their_sessions(app: App) -> None:
    @session("Trips")
    def stream(number: int) -> Iterator[str | None]:
        for turn in range(3):
            app.chat(f"{number}.{turn}")
            yield current_id()

    turns = list(zip(stream(1), stream(2), strict=True))

    assert len({first for first, _ in turns}) == len({second for _, second in turns}) == 1
    assert turns[0][0] != turns[0][1]
    assert [app.label(f"1.{turn}").id for turn in range(3)] == [first for first, _ in turns]
    assert [app.label(f"2.{turn}").id for turn in range(3)] == [second for _, second in turns]
    assert current_session() is None


def test_a_generator_made_in_a_session_belongs_to_it(app: App) -> None:
    @step("stream")
    def stream() -> Iterator[None]:
        app.chat("ask")
        yield

    with session("Trips", id="s1"), step("plan"):
        list(stream())

    assert app.label("ask") == Label("s1", "Trips", "/plan/stream", "llm")


@pytest.mark.parametrize("decorate", [session("Trip"), step("plan"), tool("plan"), vector_query("trips")])
def test_a_class_cannot_be_decorated(decorate: Callable[[type], object]) -> None:
    class Trip:
        pass

    with pytest.raises(TypeError, match=r"Trip is a class: decorate its methods, or a function"):
        decorate(Trip)


def test_a_generator_may_open_other_sessions_between_its_items(app: App) -> None:
    @session("Trips", id="s1")
    def stream() -> Iterator[str | None]:
        with session("Reviews", id="s2"):
            app.chat("ask")
        yield current_id()

    assert list(stream()) == ["s1"]
    assert app.label("ask").id == "s2"


def test_each_item_of_a_generator_may_be_asked_for_in_another_thread(app: App) -> None:
    @session("Trips", id="s1")
    @step("stream")
    def stream() -> Iterator[str | None]:
        for turn in range(3):
            app.chat(f"ask {turn}")
            yield current_id()

    streaming, seen, left_behind = stream(), [], []

    def take_one() -> None:
        seen.append(next(streaming))
        left_behind.append(current_id())

    for _ in range(3):
        worker = threading.Thread(target=take_one)
        worker.start()
        worker.join()
    assert list(streaming) == []

    assert (seen, left_behind) == (["s1"] * 3, [None] * 3)
    assert set(app.labels().values()) == {Label("s1", "Trips", "/stream", "llm")}


def test_a_generator_may_be_closed_in_another_context(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    def stream() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(current_id())

    streaming = stream()
    contextvars.copy_context().run(next, streaming)
    contextvars.copy_context().run(streaming.close)  # type: ignore[attr-defined]

    assert seen == ["s1"]
    assert current_session() is None
    assert caplog.record_tuples == []


# --- asynchronous generators ----------------------------------------------------------------------


async def test_a_decorated_async_generator_runs_in_its_session_and_its_consumer_does_not(app: App) -> None:
    @session("Trips", id="s1")
    @step("plan")
    async def stream() -> AsyncIterator[int]:
        for number in range(2):
            app.chat(f"inside {number}")
            await asyncio.sleep(0)
            app.chat(f"after waiting {number}")
            yield number

    assert inspect.isasyncgenfunction(stream)
    before = get_current()
    async for number in stream():
        assert current_session() is None
        assert get_current() is before
        with app.work(f"outside {number}"):
            await asyncio.sleep(0)

    assert {name: label.id for name, label in app.labels().items()} == {
        "inside 0": "s1",
        "after waiting 0": "s1",
        "outside 0": None,
        "inside 1": "s1",
        "after waiting 1": "s1",
        "outside 1": None,
    }
    assert {label.path for label in app.labels().values()} == {"/plan", None}


async def test_values_and_errors_pass_between_an_async_generator_and_its_consumer() -> None:
    seen: list[object] = []

    @session("Trips", id="s1")
    async def talk() -> AsyncGenerator[str, str]:
        seen.append((yield "first"))
        try:
            yield "second"
        except KeyError as error:
            seen.append((error.args, current_id()))
        seen.append((yield "third"))

    talking = talk()
    assert await anext(talking) == "first"
    assert await talking.asend("hello") == "second"
    assert await talking.athrow(KeyError("seat")) == "third"
    with pytest.raises(StopAsyncIteration):
        await talking.asend("goodbye")
    assert seen == ["hello", (("seat",), "s1"), "goodbye"]
    assert current_session() is None


async def test_an_error_thrown_in_that_an_async_generator_does_not_catch_reaches_the_consumer() -> None:
    @session("Trips")
    async def stream() -> AsyncGenerator[int, None]:
        yield 1

    streaming = stream()
    await anext(streaming)
    error = KeyError("seat")
    with pytest.raises(KeyError) as raised:
        await streaming.athrow(error)
    assert raised.value is error
    with pytest.raises(StopAsyncIteration):
        await anext(streaming)
    assert current_session() is None


async def test_a_closed_async_generator_cleans_up_in_its_session() -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    async def stream() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(current_id())

    async with aclosing(stream()) as streaming:
        await anext(streaming)
        with session("Others", id="s2"):
            await streaming.aclose()
            assert current_id() == "s2"

    assert seen == ["s1"]
    assert current_session() is None


async def test_each_item_of_an_async_generator_may_be_asked_for_in_another_task(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    @step("stream")
    async def stream() -> AsyncGenerator[str | None, None]:
        try:
            for turn in range(9):
                app.chat(f"ask {turn}")
                await asyncio.sleep(0)
                yield current_id()
        finally:
            seen.append(current_id())

    streaming = stream()

    async def take_one() -> str | None:
        seen.append(await anext(streaming))
        return current_id()

    left_behind = [await asyncio.create_task(take_one()) for _ in range(2)]
    await asyncio.create_task(streaming.aclose())

    assert (seen, left_behind) == (["s1"] * 3, [None] * 2)
    assert set(app.labels().values()) == {Label("s1", "Trips", "/stream", "llm")}
    assert caplog.record_tuples == []


def test_an_abandoned_async_generator_cleans_up_in_its_session_when_the_loop_closes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    async def stream() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(current_id())

    async def abandon() -> AsyncGenerator[int, None]:
        streaming = stream()
        await anext(streaming)
        return streaming

    kept = asyncio.run(abandon())

    assert seen == ["s1"]
    assert current_session() is None
    assert caplog.record_tuples == []
    del kept


async def test_concurrent_async_generators_do_not_mix_their_sessions(app: App) -> None:
    @session("Trips")
    async def stream(number: int) -> AsyncIterator[str | None]:
        for turn in range(3):
            await asyncio.sleep(0)
            app.chat(f"{number}.{turn}")
            yield current_id()

    async def consume(number: int) -> list[str | None]:
        seen = [item async for item in stream(number)]
        assert current_session() is None
        return seen

    all_seen = await asyncio.gather(*(consume(number) for number in range(4)))

    assert [len(set(seen)) for seen in all_seen] == [1] * 4
    assert len({seen[0] for seen in all_seen}) == 4
    assert [app.label(f"{number}.{turn}").id for number in range(4) for turn in range(3)] == [
        item for seen in all_seen for item in seen
    ]


async def test_cancelling_the_consumer_closes_the_session_of_its_async_generator() -> None:
    seen: list[str | None] = []

    @session("Trips", id="s1")
    async def stream() -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            seen.append(current_id())

    async def consume() -> None:
        try:
            async for _ in stream():
                pass
        finally:
            seen.append(current_id())

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert seen == ["s1", None]


def test_an_open_step_in_a_generator_is_not_current_in_its_consumer() -> None:
    seen = []

    @session("Trips", id="s1")
    def plan() -> Iterator[int]:
        with step("a"):
            yield seen.append(current_session()) or 1
            yield seen.append(current_session()) or 2
        yield seen.append(current_session()) or 3

    assert [(item, current_session()) for item in plan()] == [(1, None), (2, None), (3, None)]
    assert [opened and opened.id for opened in seen] == ["s1", "s1", "s1"]


async def test_an_open_step_in_an_async_generator_is_not_current_in_its_consumer() -> None:
    seen = []

    @session("Trips", id="s1")
    async def plan() -> AsyncIterator[int]:
        with step("a"):
            yield seen.append(current_session()) or 1
            yield seen.append(current_session()) or 2
        yield seen.append(current_session()) or 3

    assert [(item, current_session()) async for item in plan()] == [(1, None), (2, None), (3, None)]
    assert [opened and opened.id for opened in seen] == ["s1", "s1", "s1"]
