"""Sessions across tasks, threads and contexts: each has its own and never gets another's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from opentelemetry.context import attach, detach, get_current

from helicone_otel import Settings, current_session, session, step
from tests.support.small_app import UNTOUCHED, App, Label, current_id


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(autouse=True)
def _nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert caplog.get_records("call") == []


# --- tasks ----------------------------------------------------------------------------------------


async def test_concurrent_tasks_have_sessions_of_their_own(app: App) -> None:
    async def plan(number: int) -> None:
        with session("Trips", id=f"s{number}"):
            for level in ("research", "book"):
                with step(level):
                    await asyncio.sleep(0)
                    with app.work(f"{level} {'abc'[number]}"):
                        await asyncio.sleep(0)
        assert current_session() is None

    await asyncio.gather(*(plan(number) for number in range(3)))

    assert app.labels() == {
        f"{level} {letter}": Label(f"s{number}", "Trips", f"/{level}/{level}_{letter}", "task")
        for number, letter in enumerate("abc")
        for level in ("research", "book")
    }


async def test_tasks_started_in_a_session_belong_to_it_and_have_steps_of_their_own(app: App) -> None:
    async def research(topic: str) -> None:
        with step(topic):
            await asyncio.sleep(0)
            app.chat(topic)

    with session("Trips", id="s1"), app.work("research"):
        await asyncio.gather(research("food"), research("trains"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(research("hotels"))
            tasks.create_task(research("museums"))
        app.chat("sum up")

    assert {name: label.path for name, label in app.labels().items() if label.kind == "llm"} == {
        "food": "/research/food",
        "trains": "/research/trains",
        "hotels": "/research/hotels",
        "museums": "/research/museums",
        "sum up": "/research",
    }
    assert {label.id for label in app.labels().values()} == {"s1"}


async def test_a_session_opened_in_a_task_is_not_seen_by_its_parent_or_siblings() -> None:
    opened, looked = asyncio.Event(), asyncio.Event()

    async def inner() -> None:
        with session("Reviews", id="inner"):
            opened.set()
            await looked.wait()

    with session("Trips", id="outer"):
        task = asyncio.create_task(inner())
        sibling = asyncio.create_task(asyncio.sleep(0, result=None))
        await opened.wait()
        assert current_id() == "outer"
        looked.set()
        await asyncio.gather(task, sibling)
        assert current_id() == "outer"


async def test_a_task_that_runs_longer_than_its_session_keeps_it(app: App) -> None:
    closed = asyncio.Event()

    async def tidy_up() -> str | None:
        await closed.wait()
        app.chat("late")
        with app.work("later"):
            await asyncio.sleep(0)
        return current_id()

    with session("Trips", id="s1"), step("book"):
        task = asyncio.create_task(tidy_up())
    with session("Others", id="s2"):
        closed.set()
        assert await task == "s1"
        assert current_id() == "s2"

    assert app.labels() == {
        "late": Label("s1", "Trips", "/book", "llm"),
        "later": Label("s1", "Trips", "/book/later", "task"),
    }


async def test_a_callback_belongs_to_the_session_in_which_it_was_scheduled() -> None:
    loop = asyncio.get_running_loop()
    seen: asyncio.Future[str | None] = loop.create_future()

    with session("Trips", id="s1"):
        loop.call_soon(lambda: seen.set_result(current_id()))
    assert current_session() is None

    assert await seen == "s1"


async def test_overlapping_tasks_may_share_one_session_object(app: App) -> None:
    trips, plan = session("Trips", id="s1"), step("plan")
    first_is_in, second_is_in, first_is_out = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first() -> str | None:
        with trips, plan:
            first_is_in.set()
            await second_is_in.wait()
        first_is_out.set()
        return current_id()

    async def second() -> str | None:
        await first_is_in.wait()
        async with trips, plan:
            second_is_in.set()
            await first_is_out.wait()
            app.chat("ask")
        return current_id()

    assert await asyncio.gather(first(), second()) == [None, None]

    assert app.label("ask") == Label("s1", "Trips", "/plan", "llm")


async def test_a_worker_started_in_a_session_can_detach_from_it(app: App) -> None:
    jobs: asyncio.Queue[str | None] = asyncio.Queue()

    async def worker() -> None:
        with session(None):
            while job := await jobs.get():
                with session("Jobs", id=job), app.work(f"run {job}"):
                    await asyncio.sleep(0)
                with app.work(f"file {job}"):
                    pass

    with session("Trips", id="first to come"), app.work("lead"):
        task = asyncio.create_task(worker())
        await jobs.put("alpha")
        await asyncio.sleep(0)
    with session("Trips", id="second to come"):
        await jobs.put("beta")
    await jobs.put(None)
    await task

    assert app.labels() == {
        "lead": Label("first to come", "Trips", "/lead", "task"),
        "run alpha": Label("alpha", "Jobs", "/run_alpha", "task"),
        "file alpha": UNTOUCHED,
        "run beta": Label("beta", "Jobs", "/run_beta", "task"),
        "file beta": UNTOUCHED,
    }


# --- contexts -------------------------------------------------------------------------------------


def test_a_copied_context_keeps_the_session_it_was_copied_in(app: App) -> None:
    with session("Trips", id="s1"), step("plan"):
        copied = contextvars.copy_context()
    empty = contextvars.Context()

    with session("Others", id="s2"):
        copied.run(app.chat, "in the copy")
        assert empty.run(current_id) is None
        assert current_id() == "s2"

    assert app.label("in the copy") == Label("s1", "Trips", "/plan", "llm")


def test_a_session_opened_in_a_copied_context_stays_there() -> None:
    copied = contextvars.copy_context()
    trips = session("Trips", id="s1")

    copied.run(trips.__enter__)
    assert current_session() is None
    assert copied.run(current_id) == "s1"
    copied.run(trips.__exit__, None, None, None)

    assert copied.run(current_id) is None


def test_a_session_that_ends_in_another_context_is_closed_in_both() -> None:
    elsewhere = contextvars.copy_context()
    trips = session("Trips", id="s1")

    elsewhere.run(trips.__enter__)
    with session("Others", id="s2"):
        trips.__exit__(None, None, None)
        assert current_id() == "s2"

    assert current_session() is None
    assert elsewhere.run(current_id) is None


def test_a_session_that_ends_in_another_thread_is_closed_in_both() -> None:
    trips = session("Trips", id="s1")
    before = get_current()
    seen: list[str | None] = []

    def leave() -> None:
        with session("Others", id="s2"):
            trips.__exit__(None, None, None)
            seen.append(current_id())
        seen.append(current_id())

    trips.__enter__()
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()

    assert seen == ["s2", None]
    assert current_session() is None
    attach(before)


# --- blocks in generators that are no decorators --------------------------------------------------


def stream(name: str) -> Iterator[str | None]:
    """Keep a session open across a `yield`."""
    with session("Trips", id=name), step("stream"):
        yield current_id()
        yield current_id()


@pytest.fixture
def _restored() -> Iterator[None]:
    """Restore the Context, because a generator that ends elsewhere leaves its own attached here."""
    before = get_current()
    yield
    attach(before)


def test_a_finished_generator_leaves_no_session_in_its_consumer() -> None:
    before = get_current()

    assert list(stream("s1")) == ["s1", "s1"]

    assert get_current() is before


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("drop", ["close", "forget"])
def test_closing_a_generator_in_another_session_does_not_end_that_session(app: App, drop: str) -> None:
    streaming = stream("s1")
    next(streaming)
    with session("Others", id="s2"):
        if drop == "close":
            streaming.close()  # type: ignore[attr-defined]
        else:
            del streaming
            gc.collect()
        assert current_id() == "s2"
        app.chat("ask")

    assert current_session() is None
    with app.work("after"):
        pass
    with session("Others", id="s3"):
        assert current_id() == "s3"
    assert current_session() is None
    assert app.labels() == {"ask": Label("s2", "Others", "/chat", "llm"), "after": UNTOUCHED}


@pytest.mark.usefixtures("_restored")
def test_generators_closed_in_any_order_leave_no_session_behind() -> None:
    first, second, third = (stream(name) for name in ("s1", "s2", "s3"))
    assert [next(streaming) for streaming in (first, second, third)] == ["s1", "s2", "s3"]

    for streaming in (second, first, third):
        streaming.close()  # type: ignore[attr-defined]

    assert current_session() is None


def test_a_generator_closed_in_another_context_leaves_no_session_in_either_context() -> None:
    here, there = contextvars.copy_context(), contextvars.copy_context()
    streaming = stream("s1")

    here.run(next, streaming)
    there.run(streaming.close)  # type: ignore[attr-defined]

    assert [context.run(current_id) for context in (here, there)] == [None, None]


async def test_an_async_generator_closed_in_another_task_leaves_no_session_in_either_task() -> None:
    async def talk() -> AsyncGenerator[str | None, None]:
        async with session("Trips", id="s1"), step("talk"):
            yield current_id()
            yield current_id()

    talking = talk()

    async def take_one() -> tuple[str | None, ...]:
        item = await anext(talking)
        await closed.wait()
        return item, current_id()

    async def close() -> str | None:
        with session("Others", id="s2"):
            await talking.aclose()
            return current_id()

    closed = asyncio.Event()
    taking = asyncio.create_task(take_one())
    await asyncio.sleep(0)
    assert await asyncio.create_task(close()) == "s2"
    closed.set()

    assert await taking == ("s1", None)
    assert current_session() is None


def test_an_abandoned_async_generator_leaves_no_session_when_the_loop_closes() -> None:
    async def talk() -> AsyncGenerator[str | None, None]:
        async with session("Trips", id="s1"):
            yield current_id()

    async def abandon() -> AsyncGenerator[str | None, None]:
        talking = talk()
        assert await anext(talking) == "s1"
        return talking

    kept = asyncio.run(abandon())

    assert current_session() is None
    del kept


# --- threads --------------------------------------------------------------------------------------


class CarryOver:
    """Does the same as the threading instrumentation, which cannot be installed beside ours everywhere."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start, run, submit = threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit

        def keeping_start(thread: threading.Thread) -> None:
            thread._kept = get_current()  # type: ignore[attr-defined]
            start(thread)

        def kept_run(thread: threading.Thread) -> None:
            token = attach(thread._kept)  # type: ignore[attr-defined]
            try:
                run(thread)
            finally:
                detach(token)

        def keeping_submit(pool: ThreadPoolExecutor, work: Callable[..., object], *args: object) -> Future[object]:
            kept = get_current()

            def kept_work() -> object:
                token = attach(kept)
                try:
                    return work(*args)
                finally:
                    detach(token)

            return submit(pool, kept_work)

        monkeypatch.setattr(threading.Thread, "start", keeping_start)
        monkeypatch.setattr(threading.Thread, "run", kept_run)
        monkeypatch.setattr(ThreadPoolExecutor, "submit", keeping_submit)


@pytest.fixture(params=["the published instrumentation", "a stand-in"])
def _threads_carry_context(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "a stand-in":
        CarryOver(monkeypatch)
        yield
        return
    # It pins the other instrumentations by `==` and is often released without them, so that it
    # cannot be a dependency of the tests.
    threading_instrumentation = pytest.importorskip("opentelemetry.instrumentation.threading")
    instrumentor = threading_instrumentation.ThreadingInstrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


def in_thread(work: Callable[[], object]) -> None:
    """Do some work in a new thread and wait for it."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_thread_without_the_context_belongs_to_no_session() -> None:
    seen: list[str | None] = []

    with session("Trips", id="s1"):
        in_thread(lambda: seen.append(current_id()))

    assert seen == [None]


async def test_work_passed_to_a_thread_with_to_thread_belongs_to_its_session(app: App) -> None:
    with session("Trips", id="s1"), step("plan"):
        await asyncio.to_thread(app.chat, "ask")

    assert app.label("ask") == Label("s1", "Trips", "/plan", "llm")


@pytest.mark.usefixtures("_threads_carry_context")
async def test_instrumented_threads_belong_to_the_session_they_were_started_in(app: App) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool, session("Trips", id="s1"), step("plan"):
        in_thread(lambda: app.chat("thread"))
        pool.submit(app.chat, "pool").result()
        assert list(pool.map(lambda _: current_id(), range(2))) == ["s1", "s1"]
        await loop.run_in_executor(pool, app.chat, "executor")
        with app.work("search"):
            in_thread(lambda: app.chat("thread below a span"))

    assert {name: label.path for name, label in app.labels().items()} == {
        "thread": "/plan",
        "pool": "/plan",
        "executor": "/plan",
        "search": "/plan/search",
        "thread below a span": "/plan/search",
    }
    assert {label.id for label in app.labels().values()} == {"s1"}


@pytest.mark.usefixtures("_threads_carry_context")
def test_a_pool_runs_each_task_in_the_session_in_which_it_was_submitted() -> None:
    with ThreadPoolExecutor(1) as pool:
        with session("Trips", id="s1"):
            assert pool.submit(current_id).result() == "s1"
        with session("Trips", id="s2"):
            assert pool.submit(current_id).result() == "s2"
        assert pool.submit(current_id).result() is None


@pytest.mark.usefixtures("_threads_carry_context")
def test_a_session_opened_in_a_thread_is_not_seen_by_its_parent(app: App) -> None:
    def work() -> None:
        with session("Reviews", id="inner"), app.work("check"):
            pass
        app.chat("ask")

    with session("Trips", id="outer"):
        in_thread(work)
        assert current_id() == "outer"

    assert app.labels() == {
        "check": Label("inner", "Reviews", "/check", "task"),
        "ask": Label("outer", "Trips", "/chat", "llm"),
    }


@pytest.mark.usefixtures("_threads_carry_context")
def test_a_thread_keeps_a_session_whose_block_has_ended_unless_it_detaches() -> None:
    jobs: queue.Queue[str | None] = queue.Queue()
    seen: list[str | None] = []

    def work() -> None:
        seen.append(current_id())
        with session(None):
            while job := jobs.get():
                seen.append(current_id())
                with session("Jobs", id=job):
                    seen.append(current_id())
        seen.append(current_id())

    with session("Trips", id="s1"):
        worker = threading.Thread(target=work)
        worker.start()
    for job in ("alpha", "beta", None):
        jobs.put(job)
    worker.join()

    assert seen == ["s1", None, "alpha", None, "beta", "s1"]


def test_overlapping_threads_may_share_one_session_object() -> None:
    trips, plan = session("Trips", id="s1"), step("plan")
    all_in, one_out = threading.Barrier(4), threading.Barrier(4)
    seen: list[str | None] = []

    def work(number: int) -> None:
        with trips, plan:
            all_in.wait()
            if number:
                one_out.wait()
                seen.append(current_id())
        if not number:
            one_out.wait()
        seen.append(current_id())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen, key=str) == [None] * 4 + ["s1"] * 3


def test_many_concurrent_threads_do_not_mix_their_sessions() -> None:
    app = App(Settings())

    def work(number: int) -> None:
        for turn in range(20):
            with session("Trips", id=f"s{number}"), step(f"level_{turn % 3}"), app.work(f"work {number}.{turn}.x"):
                app.chat(f"ask {number}.{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    calls = {name: label for name, label in app.labels().items() if label.kind == "llm"}
    assert calls == {
        f"ask {number}.{turn}": Label(f"s{number}", "Trips", f"/level_{turn % 3}/work_x", "llm")
        for number in range(8)
        for turn in range(20)
    }
