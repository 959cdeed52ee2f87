"""Sessions and steps: what a `with` block gives, and what a decorator keeps.

These files are users' code. `mypy --strict` and `pyright` in strict mode check them, and nobody runs them. Each
`assert_type` names the type that both must infer. Where a call must be refused, a comment ignores the error, and both
report a comment that ignores nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from typing import assert_type

from helicone_otel import Session, SessionPath, current_session, session, step


def blocks(name: str | None) -> str:
    with session("Trip Planning") as opened:
        assert_type(opened, Session)
    with session("Trip Planning", id=uuid.uuid4(), path=SessionPath("/trips") / "porto", user_id="ann") as opened:
        assert_type(opened.path, SessionPath)
        assert_type(opened.properties, Mapping[str, str])
    with session("Trip Planning", id=42, path="/trips", properties={"Plan": "pro"}):
        pass
    with session(None) as detached:
        assert_type(detached, None)
    with session(name) as perhaps:
        assert_type(perhaps, Session | None)
    with step("research") as around:
        assert_type(around, Session | None)
    with session("Trip Planning") as outer, step("research"):
        return outer.id  # a block that swallows no error needs no `return` after it


async def async_blocks() -> None:
    async with session("Trip Planning") as opened:
        assert_type(opened, Session)
    async with session(None) as detached:
        assert_type(detached, None)
    async with step("research") as around:
        assert_type(around, Session | None)


@session("Trip Planning")
def plan(city: str, *, days: int = 2) -> list[str]:
    return [city] * days


@session("Trip Planning")
@step("research")
async def research(city: str) -> str:
    return city


@step("stream")
def stream(count: int) -> Generator[int, str, bool]:
    answer = yield count
    return bool(answer)


@step("stream")
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@session("Trip Planning", id="trip-42")
async def stream_later(count: int) -> AsyncGenerator[int, None]:
    yield count


@step("stream")
async def lines_later(text: str) -> AsyncIterator[str]:
    for line in text.splitlines():
        yield line


class Agent:
    @step("run")
    def run(self, task: str) -> int:
        return len(task)

    @staticmethod
    @step("check")
    def check(task: str) -> bool:
        return bool(task)

    @property
    @step("name")
    def name(self) -> str:
        return "agent"


async def decorated(agent: Agent) -> None:
    assert_type(plan("Porto", days=3), list[str])
    assert_type(await research("Porto"), str)
    assert_type(stream(1), Generator[int, str, bool])
    assert_type(lines("a"), Iterator[str])
    assert_type(stream_later(1), AsyncGenerator[int, None])
    async for line in lines_later("a"):
        assert_type(line, str)
    assert_type(agent.run("Porto"), int)
    assert_type(Agent.check("Porto"), bool)
    assert_type(agent.name, str)


def values() -> None:
    assert_type(current_session(), Session | None)
    made = Session("trip-42", "Trip Planning", SessionPath("/trips"), "ann", {"Plan": "pro"})
    assert_type(made.id, str)
    assert_type(made.name, str | None)
    assert_type(made.user_id, str | None)
    assert_type(made.provisional, bool)
    assert_type(made.wire_id, str)
    assert_type(SessionPath("/trips").segments, tuple[str, ...])
    assert_type(SessionPath.of(["trips", "porto"]) / "plan", SessionPath)


def refused(opened: Session) -> None:
    session()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    session(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    session("Trip Planning", "trip-42")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    step(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    opened.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    plan(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plan("Porto", weeks=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
