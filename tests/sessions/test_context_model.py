"""Compare random nestings of sessions, steps and spans with a small model of the design's rules.

The model knows three things. The nearest session or `session(None)` around a span bounds its
*region*: nothing outside of it counts inside. The path is the session's root path, then steps and the
application's spans from the outside in, equal neighbours once; a call without any step is at
`/chat`. Without a session a call belongs to its trace, and so do the application's spans above and
below it; an application's span in a trace without calls is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.context import get_current

from helicone_otel import Settings, current_session, session, step
from tests.support.small_app import GATEWAY_URL, UNTOUCHED, App, Label, label_of, trace_session

# --- programs -------------------------------------------------------------------------------------

Manner = Literal["block", "function", "generator"]


class Opened(NamedTuple):
    """`session(name, id=…, path=…)`"""

    id: str
    name: str
    path: str


class Detached(NamedTuple):
    """`session(None)`"""


class Step(NamedTuple):
    """`step(name)`, and the levels it adds."""

    name: str
    levels: tuple[str, ...]


class Work(NamedTuple):
    """A span of the application's own, and the level it adds."""

    name: str
    level: str


class Chat(NamedTuple):
    """A call of an LLM."""


@dataclass(frozen=True)
class Node:
    """One block of a program."""

    act: Opened | Detached | Step | Work | Chat
    inside: tuple[Node, ...] = ()
    manner: Manner = "block"
    together: bool = False
    """Asynchronous programs run what is inside as tasks at the same time."""


acts = st.one_of(
    st.builds(
        Opened, st.sampled_from(["s1", "s2"]), st.sampled_from(["Trips", "Reviews", ""]), st.sampled_from(["/", "/a"])
    ),
    st.just(Detached()),
    st.sampled_from(
        [Step("a", ("a",)), Step("web search/deep", ("web_search", "deep")), Step("q_1", ("q_1",)), Step("", ())]
    ),
    st.sampled_from(
        [Work("a", "a"), Work("plan", "plan"), Work("fetch order 17", "fetch_order"), Work("q v2", "q_v2")]
    ),
    st.just(Chat()),
    st.just(Chat()),
)
nodes = st.recursive(
    st.builds(Node, acts),
    lambda inner: st.builds(
        Node,
        acts,
        st.lists(inner, max_size=3).map(tuple),
        st.sampled_from(["block", "function", "generator"]),
        st.booleans(),
    ),
    max_leaves=8,
)
programs = st.lists(nodes, min_size=1, max_size=3).map(tuple)


# --- the model ------------------------------------------------------------------------------------

TRACE = "the trace"
SHOP = "Shop"  # the name in the settings
UNSAID = Label("unsaid", "unsaid", "unsaid", "unsaid")


@dataclass
class Seen:
    """A span, as the model sees it."""

    parent: Seen | None
    """The span above it in the same region."""
    work: bool
    label: Label
    labelled: bool = False
    in_trace: list[Seen] = field(default_factory=list)
    """All spans of its trace."""


class ContextFrame(NamedTuple):
    """The position of the model: the session, the path, and the spans above."""

    session: tuple[str, str] | None = None
    path: tuple[str, ...] = ()
    above: Seen | None = None
    trace: list[Seen] | None = None

    def at(self, levels: tuple[str, ...]) -> ContextFrame:
        path = self.path
        for level in levels:
            path = path if path[-1:] == (level,) else (*path, level)
        return self._replace(path=path[:16])


def predict(program: tuple[Node, ...], in_turn: bool) -> dict[str, Label]:
    """Return the label of each span, by its position.

    Args:
        program: The blocks that run.
        in_turn: Whether the blocks run one after another, so that the order of starts is known.
    """
    spans: dict[str, Seen] = {}
    _predict_all(program, "", ContextFrame(), spans)
    return {position: _final(seen, in_turn) for position, seen in spans.items()}


def _predict_all(program: tuple[Node, ...], position: str, frame: ContextFrame, spans: dict[str, Seen]) -> None:
    for number, node in enumerate(program):
        here = f"{position}.{number}"
        _predict_all(node.inside, here, _enter(node, here, frame, spans), spans)


def _enter(node: Node, position: str, frame: ContextFrame, spans: dict[str, Seen]) -> ContextFrame:
    act = node.act
    if isinstance(act, Opened):
        path = tuple(level for level in act.path.split("/") if level)
        return ContextFrame((act.id, act.name or SHOP), path, None, frame.trace)
    if isinstance(act, Detached):
        return ContextFrame(None, (), None, frame.trace)
    if isinstance(act, Step):
        return frame.at(act.levels)
    if isinstance(act, Work):
        frame = frame.at((act.level,))
    owner, name = frame.session or (TRACE, SHOP)
    text = "/" + "/".join(frame.path)
    work = isinstance(act, Work)
    label = Label(owner, name, text, "task") if work else Label(owner, name, "/chat" if text == "/" else text, "llm")
    seen = spans[position] = Seen(frame.above, work, label, in_trace=[] if frame.trace is None else frame.trace)
    seen.in_trace.append(seen)
    # A span has the label of the spans above it, and a call gives its label to all spans around it.
    seen.labelled = frame.session is not None or not work or (frame.above is not None and frame.above.labelled)
    above = seen.parent if not work else None
    while above is not None:
        above.labelled, above = True, above.parent
    return frame._replace(above=seen, trace=seen.in_trace)


def _final(seen: Seen, in_turn: bool) -> Label:
    if seen.label.id != TRACE or not seen.work:
        return seen.label
    if all(other.work for other in seen.in_trace):
        return UNTOUCHED
    related = seen.labelled if in_turn else _is_related_to_a_call(seen)
    return seen.label if related else UNSAID


def _is_related_to_a_call(seen: Seen) -> bool:
    def lies_above(other: Seen | None, below: Seen | None) -> bool:
        while below is not None and below is not other:
            below = below.parent
        return below is not None

    calls = [other for other in seen.in_trace if not other.work]
    return any(lies_above(seen, call) or lies_above(call, seen) for call in calls)


# --- running a program ----------------------------------------------------------------------------


def opening_of(act: Opened | Detached | Step) -> session:  # type: ignore[valid-type]
    """Return the block that a user would write."""
    if isinstance(act, Opened):
        return session(act.name, id=act.id, path=act.path)
    return session(None) if isinstance(act, Detached) else step(act.name)


class Run:
    """Runs a program, and notes sessions and headers while it runs."""

    def __init__(self) -> None:
        self.app = App(Settings(session_name=SHOP))
        self.headers: dict[str, tuple[str, ...]] = {}

    def in_turn(self, program: tuple[Node, ...], position: str = "") -> None:
        for number, node in enumerate(program):
            self._one(node, f"{position}.{number}")

    def _one(self, node: Node, position: str) -> None:
        if isinstance(node.act, Work):
            with self.app.work(node.act.name, node=position):
                self.in_turn(node.inside, position)
        elif isinstance(node.act, Chat):
            with self.app.calling(node=position):
                self._note_headers(position)
                self.in_turn(node.inside, position)
        else:
            self._open(node, opening_of(node.act), position)

    def _open(self, node: Node, opening: session, position: str) -> None:  # type: ignore[valid-type]
        before = get_current()
        if node.manner == "block":
            with opening:
                self.in_turn(node.inside, position)
        elif node.manner == "function":
            opening(self.in_turn)(node.inside, position)
        else:

            @opening
            def generator() -> Iterator[None]:
                for number, inner in enumerate(node.inside):
                    yield
                    self._one(inner, f"{position}.{number}")

            for _ in generator():
                assert get_current() is before
        assert get_current() is before

    async def at_once(self, program: tuple[Node, ...], position: str = "", together: bool = False) -> None:
        work = (self._one_async(node, f"{position}.{number}") for number, node in enumerate(program))
        if together:
            await asyncio.gather(*work)
        else:
            for one in work:
                await one

    async def _one_async(self, node: Node, position: str) -> None:
        await asyncio.sleep(0)
        if isinstance(node.act, Work):
            with self.app.work(node.act.name, node=position):
                await self.at_once(node.inside, position, node.together)
        elif isinstance(node.act, Chat):
            with self.app.calling(node=position):
                self._note_headers(position)
                await self.at_once(node.inside, position, node.together)
        else:
            await self._open_async(node, opening_of(node.act), position)

    async def _open_async(self, node: Node, opening: session, position: str) -> None:  # type: ignore[valid-type]
        before = get_current()
        if node.manner == "block":
            async with opening:
                await self.at_once(node.inside, position, node.together)
        elif node.manner == "function":
            await opening(self.at_once)(node.inside, position, node.together)
        else:

            @opening
            async def generator() -> AsyncIterator[None]:
                for number, inner in enumerate(node.inside):
                    yield
                    await self._one_async(inner, f"{position}.{number}")

            async for _ in generator():
                assert get_current() is before
        assert get_current() is before

    def _note_headers(self, position: str) -> None:
        headers = self.app.headers(GATEWAY_URL)
        self.headers[position] = tuple(headers[f"Helicone-Session-{part}"] for part in ("Id", "Name", "Path"))

    def check(self, expected: dict[str, Label]) -> None:
        """Compare the exported labels and the headers with those of the model."""
        spans = {
            str(span.attributes["node"]): span for span in self.app.all_spans() if "node" in (span.attributes or {})
        }
        labels = {position: label_of(span) for position, span in spans.items()}
        for position, label in expected.items():
            if label.id == TRACE:
                expected[position] = label._replace(id=trace_session(spans[position]))
        unsaid = {position for position, label in expected.items() if label == UNSAID}
        assert {position: label for position, label in labels.items() if position not in unsaid} == {
            position: label for position, label in expected.items() if position not in unsaid
        }
        assert self.headers == {
            position: (label.id, label.name, label.path) for position, label in expected.items() if label.kind == "llm"
        }
        assert current_session() is None


# All examples share one log, which must stay empty anyway.
quiet = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@quiet
@given(program=programs)
@example(program=(Node(Opened("s1", "Trips", "/a"), (Node(Work("a", "a"), (Node(Chat()),)),), "generator"),))
@example(program=(Node(Step("a", ("a",)), (Node(Chat()), Node(Chat()))),))
@example(program=(Node(Detached(), (Node(Step("a", ("a",)), (Node(Work("a", "a")), Node(Chat()))),)),))
@example(program=(Node(Work("plan", "plan"), (Node(Opened("s1", "", "/"), (Node(Detached(), (Node(Chat()),)),)),)),))
def test_spans_that_run_one_after_another_have_the_labels_of_the_model(
    program: tuple[Node, ...], caplog: pytest.LogCaptureFixture
) -> None:
    run = Run()

    run.in_turn(program)

    run.check(predict(program, in_turn=True))
    assert caplog.record_tuples == []


@quiet
@given(program=programs, together=st.booleans())
@example(program=(Node(Step("a", ("a",)), (Node(Chat()), Node(Chat()))),), together=False)
@example(program=(Node(Work("a", "a"), (Node(Detached()), Node(Detached(), (Node(Chat()),)))),), together=False)
def test_spans_that_run_concurrently_have_the_labels_of_the_model(
    program: tuple[Node, ...], together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run()

    asyncio.run(run.at_once(program, together=together))

    run.check(predict(program, in_turn=False))
    assert caplog.record_tuples == []
