"""The sampler keeps or drops all traces of a session together."""

from __future__ import annotations

import itertools
import math
import sys
import types
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor, SessionSampler, Settings, session, step
from helicone_otel.otel.sampler import _RootSampler, is_kept
from helicone_otel.tracking.registry import Registry
from tests.sessions.test_foreign import OI, claiming, langgraph, load, running
from tests.support.examples import examples
from tests.support.launching import Case, needs_a_configurator, run
from tests.support.spans import CHAT, GENAI, App
from tests.tracking.test_enclosing import Framework, put_in

__all__ = ["langgraph", "load"]  # fixtures

SESSION_ID = "helicone.session.id"


class Sampled(App):
    """An application whose provider samples by session."""

    def __init__(self, ratio: float, settings: Settings | None = None) -> None:
        self.registry = Registry(settings or Settings())
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=SessionSampler(ratio, self.registry), shutdown_on_exit=False)
        self.provider.add_span_processor(HeliconeSpanProcessor(self.registry))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def turn(self, **attributes: Any) -> None:
        """Make one trace of two spans."""
        tracer = self.provider.get_tracer(GENAI)
        with (
            tracer.start_as_current_span("turn", attributes=attributes),
            tracer.start_as_current_span("chat gpt-4o", attributes=CHAT),
        ):
            pass

    def traces_by_session(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for span in self.exporter.get_finished_spans():
            found[str((span.attributes or {})[SESSION_ID])].add(span.context.trace_id)
        return found


def within(kept: int, of: int, ratio: float) -> bool:
    """Tell whether a count is within five standard deviations of the expected one."""
    return abs(kept - of * ratio) <= 5 * math.sqrt(of * ratio * (1 - ratio))


def a_session_that_is(kept: bool, ratio: float = 0.5) -> str:
    return next(name for name in map("session-{}".format, range(1000)) if is_kept(name, ratio) is kept)


KEPT, DROPPED = a_session_that_is(kept=True), a_session_that_is(kept=False)


def test_a_quarter_of_a_thousand_sessions_is_kept_and_each_completely() -> None:
    app = Sampled(0.25)
    ids = [str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(1000)]

    for turn in range(3):
        for session_id in ids:
            with session("Trips", id=session_id):
                app.turn(turn=turn)

    traces = app.traces_by_session()
    assert {len(found) for found in traces.values()} == {3}
    assert len(app.exporter.get_finished_spans()) == len(traces) * 3 * 2
    assert set(traces) == {session_id for session_id in ids if is_kept(session_id, 0.25)}
    assert within(len(traces), len(ids), 0.25)


def test_a_session_kept_at_a_ratio_is_kept_at_every_higher_one() -> None:
    ids = [f"s-{number}" for number in range(2000)]
    kept = [{name for name in ids if is_kept(name, ratio)} for ratio in (0, 0.01, 0.1, 0.5, 0.9, 1)]

    assert all(lower <= higher for lower, higher in itertools.pairwise(kept))
    assert kept[0] == set()
    assert kept[-1] == set(ids)


@pytest.mark.parametrize("session_id", ["trip-42", "", "%C3%BC 1"])
def test_the_first_52_bits_of_the_sha_256_of_a_sessions_id_decide(session_id: str) -> None:
    frame = (int.from_bytes(sha256(session_id.encode()).digest()) >> 204) / 2**52

    assert not is_kept(session_id, frame)
    assert is_kept(session_id, math.nextafter(frame, 1))


@contextmanager
def opened() -> Iterator[dict[str, Any]]:
    with session("Trips", id=DROPPED):
        yield {}


@contextmanager
def opened_inside_a_kept_one_and_a_step() -> Iterator[dict[str, Any]]:
    with session("Trips", id=KEPT), session("Trips", id=DROPPED), step("research"):
        yield {}


@contextmanager
def named_by_a_framework() -> Iterator[dict[str, Any]]:
    yield {"gen_ai.conversation.id": DROPPED}


@contextmanager
def named_by_hand_inside_of_another() -> Iterator[dict[str, Any]]:
    with session("Trips", id=KEPT):
        yield {SESSION_ID: DROPPED}


@contextmanager
def accepted_from_a_caller() -> Iterator[dict[str, Any]]:
    propagator = HeliconePropagator(Registry(Settings(accept_inbound=True)))
    token = attach(propagator.extract({"Helicone-Session-Id": DROPPED}))
    yield {}
    detach(token)


@pytest.mark.parametrize(
    "known",
    [
        opened,
        opened_inside_a_kept_one_and_a_step,
        named_by_a_framework,
        named_by_hand_inside_of_another,
        accepted_from_a_caller,
    ],
)
def test_a_session_that_is_known_when_a_trace_starts_decides(
    known: Callable[[], AbstractContextManager[dict[str, Any]]],
) -> None:
    app = Sampled(0.5)

    with known() as attributes:
        for _ in range(8):
            app.turn(**attributes)

    assert app.exporter.get_finished_spans() == ()


def test_the_session_of_the_process_decides_if_there_is_no_nearer_one() -> None:
    app = Sampled(0.5, Settings(session_id=DROPPED))

    app.turn()
    app.turn(**{"gen_ai.conversation.id": KEPT})

    assert set(app.traces_by_session()) == {KEPT}


def test_without_a_session_the_trace_decides_by_its_provisional_id() -> None:
    app = Sampled(0.5)

    for _ in range(1000):
        app.turn()

    made_up = set(app.traces_by_session())
    assert within(len(made_up), 1000, 0.5)
    assert all(is_kept(session_id, 0.5) for session_id in made_up)


def test_an_id_that_is_set_late_does_not_change_the_decision() -> None:
    app = Sampled(0.5)
    tracer = app.provider.get_tracer(GENAI)

    kept = 0
    for _ in range(200):
        with (
            tracer.start_as_current_span("turn"),
            tracer.start_as_current_span("chat gpt-4o", attributes={**CHAT, "gen_ai.conversation.id": DROPPED}) as chat,
        ):
            kept += chat.is_recording()

    assert within(kept, 200, 0.5)
    assert set(app.traces_by_session()) == {DROPPED}


def remote(sampled: bool) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    parent = SpanContext(0xA, 0xB, is_remote=True, trace_flags=flags, trace_state=TraceState([("vendor", "x")]))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


@pytest.mark.parametrize("sampled", [True, False])
def test_a_child_span_has_the_decision_and_the_tracestate_of_its_parent(sampled: bool) -> None:
    app = Sampled(0.5)
    token = attach(remote(sampled))
    with session("Trips", id=DROPPED if sampled else KEPT):
        span = app.provider.get_tracer(GENAI).start_span("turn")
    detach(token)

    assert span.is_recording() is sampled
    assert span.get_span_context().trace_state.get("vendor") == "x"


def test_a_sampled_span_keeps_its_start_attributes() -> None:
    app = Sampled(1)

    with session("Trips", id=KEPT):
        app.turn(plan="pro", stops=3)

    turn = app.exporter.get_finished_spans()[-1]
    assert {key: (turn.attributes or {})[key] for key in ("plan", "stops", SESSION_ID)} == {
        "plan": "pro",
        "stops": 3,
        SESSION_ID: KEPT,
    }


def test_a_callers_baggage_copied_onto_the_first_span_does_not_decide() -> None:
    app = Sampled(0.5)
    token = attach(baggage.set_baggage("session.id", DROPPED))
    tracer = app.provider.get_tracer("opentelemetry.instrumentation.fastapi")
    spans = [tracer.start_span("GET /", kind=SpanKind.SERVER, attributes={"session.id": DROPPED}) for _ in range(200)]
    detach(token)

    assert within(sum(span.is_recording() for span in spans), 200, 0.5)


class Watching(_RootSampler):
    """Keeps all traces, and notes the predicted session id of each."""

    def __init__(self, app: App) -> None:
        super().__init__(1, app.registry)
        self.predicted: dict[int, str] = {}
        app.provider.sampler = self

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *rest: Any, **named: Any) -> Any:
        kind, attributes = rest[:2]
        session_id = self._registry.predicted_session_id(trace_id, kind, attributes, parent_context)
        self.predicted.setdefault(trace_id, session_id)
        return super().should_sample(parent_context, trace_id, name, *rest, **named)


def borne(app: App) -> dict[int, str]:
    """Return the session of each trace's chats."""
    spans = [span for span in app.exporter.get_finished_spans() if span.name.startswith("chat")]
    return {span.context.trace_id: str((span.attributes or {})[SESSION_ID]) for span in spans}


IDS = st.none() | st.sampled_from(["a", "b", "ü 1", "x" * 300])


@given(frame=IDS, steps=st.booleans(), detached=st.booleans(), hand=IDS, own=IDS, process=IDS)
@settings(max_examples=examples(150))
def test_the_predicted_session_id_is_the_one_on_the_span(
    frame: str | None, steps: bool, detached: bool, hand: str | None, own: str | None, process: str | None
) -> None:
    app = App(Settings(session_id=process))
    watching = Watching(app)
    attributes: dict[str, str] = dict(CHAT)
    attributes |= {SESSION_ID: hand} if hand else {}
    attributes |= {"session.id": own} if own else {}

    with ExitStack() as around:
        if frame:
            around.enter_context(session("Trips", id=f" {frame} "))
        if detached:
            around.enter_context(session(None))
        if steps:
            around.enter_context(step("research"))
        with app.span("chat gpt-4o", attributes, scope=GENAI):
            pass

    assert watching.predicted == borne(app)


def test_a_trace_begun_in_a_step_of_another_trace_is_predicted_in_that_traces_session() -> None:
    app = App()
    watching = Watching(app)

    with app.chat(gen_ai__conversation__id="a"), step("research"):
        elsewhere = trace.set_span_in_context(trace.INVALID_SPAN)
        with app.span("chat gpt-4o", CHAT, scope=GENAI, context=elsewhere):
            pass

    assert watching.predicted == borne(app)
    assert set(watching.predicted.values()) == {"a"}


def test_a_trace_begun_in_a_frameworks_run_is_predicted_in_the_session_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()
    framework = Framework(app)
    put_in(monkeypatch, lambda: framework.current)
    watching = Watching(app)

    with framework.run("agent", "AGENT"), app.chat():
        pass

    (run, call) = watching.predicted.values()
    assert run == call
    assert set(borne(app).values()) == {call}


def in_a_scope(session_id: str) -> Any:
    return claiming(session__id=session_id)


def in_a_session(session_id: str | None) -> Any:
    return session("Trips", id=session_id) if session_id else session(None)


def in_a_run(session_id: str) -> Any:
    return running(session_id)


@pytest.mark.usefixtures("langgraph")
@pytest.mark.parametrize(
    ("around", "own"),
    [
        ([(in_a_scope, "ü 1")], None),
        ([(in_a_scope, "a")], "own"),
        ([(in_a_session, "b"), (in_a_scope, "a")], None),
        ([(in_a_scope, "a"), (in_a_session, "b")], None),
        ([(in_a_scope, "a"), (in_a_session, "b"), (in_a_scope, "c")], None),
        ([(in_a_scope, "a"), (in_a_session, None)], None),
        ([(in_a_run, "r")], None),
        ([(in_a_run, "r")], "own"),
        ([(in_a_scope, "a"), (in_a_run, "r")], None),
        ([(in_a_session, "b"), (in_a_run, "r")], None),
        ([(lambda _: step("research"), ""), (in_a_scope, "a")], None),
        ([(in_a_scope, "a"), (lambda _: step("research"), "")], None),
    ],
)
def test_a_trace_begun_in_a_claim_of_another_sdk_is_predicted_in_the_claimed_session(
    load: Any, around: list[tuple[Any, str | None]], own: str | None
) -> None:
    load(OI)
    app = App(Settings(session_id="process"))
    watching = Watching(app)

    with ExitStack() as stack:
        for enter, session_id in around:
            stack.enter_context(enter(session_id))
        with app.span("chat gpt-4o", {**CHAT, "session.id": own} if own else CHAT, scope=GENAI):
            pass

    assert watching.predicted == borne(app)


@pytest.mark.usefixtures("load")
def test_an_sdk_imported_before_the_first_span_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    watching = Watching(app)
    monkeypatch.setitem(sys.modules, OI, types.ModuleType(OI))

    with in_a_scope("a"), app.chat():
        pass

    assert set(watching.predicted.values()) == {"a"}
    assert watching.predicted == borne(app)


@pytest.mark.failures
def test_a_failing_sampler_decides_by_the_trace_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Sampled(0.5)
    monkeypatch.setattr("helicone_otel.tracking.prediction.predicted_session_id", lambda *_: 1 / 0)

    spans = [app.provider.get_tracer("a").start_span("x") for _ in range(200)]

    assert within(sum(span.is_recording() for span in spans), 200, 0.5)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_the_constructor_refuses_a_ratio_outside_0_to_1(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio must be a number from 0 to 1"):
        SessionSampler(ratio)


def test_the_description_has_the_form_of_opentelemetrys_samplers() -> None:
    assert SessionSampler(0.25).get_description().startswith("ParentBased{root:SessionSampler{0.25},")
    decision = SessionSampler(0).should_sample(None, 1, "x")
    assert (decision.decision, dict(decision.attributes)) == (Decision.DROP, {})


NAMED = """
  sampler: {helicone_session: {}}
"""
BY_VARIABLE = {"OTEL_TRACES_SAMPLER": "helicone_session"}


def sessions_of_app(file: str = "", **environ: str) -> tuple[set[str | None], str]:
    """Run an app that opens the session trip-42; return the sessions that arrived, and its output."""
    case = Case("made_by_configurator", launched=True, file=file, environ=tuple(environ.items()))
    outcome = run(case, "instrument")
    return {span.attributes.get(SESSION_ID) for span in outcome.spans}, outcome.output


def around(session_id: str) -> tuple[str, str]:
    """Return a ratio at which a session is just dropped, and one at which it is just kept."""
    kept = next(number for number in range(1001) if is_kept(session_id, number / 1000))
    return f"{(kept - 1) / 1000}", f"{kept / 1000}"


BELOW, ABOVE = around("trip-42")


@needs_a_configurator
def test_the_sampler_is_loaded_by_its_name_with_opentelemetrys_variables() -> None:
    dropped, _ = sessions_of_app(**BY_VARIABLE, OTEL_TRACES_SAMPLER_ARG=BELOW)

    assert "trip-42" not in dropped


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "environ"),
    [
        ("", {**BY_VARIABLE, "OTEL_TRACES_SAMPLER_ARG": ABOVE, "HELICONE_SESSION_SAMPLING_RATIO": BELOW}),
        ("", {**BY_VARIABLE, "HELICONE_SESSION_SAMPLING_RATIO": ABOVE}),
        (NAMED, {"HELICONE_SESSION_SAMPLING_RATIO": ABOVE}),
    ],
)
def test_the_ratio_comes_from_the_samplers_argument_or_else_from_our_variable(
    file: str, environ: dict[str, str]
) -> None:
    kept, _ = sessions_of_app(file, **environ)
    name = "OTEL_TRACES_SAMPLER_ARG" if "OTEL_TRACES_SAMPLER_ARG" in environ else "HELICONE_SESSION_SAMPLING_RATIO"
    dropped, _ = sessions_of_app(file, **{**environ, name: BELOW})

    assert "trip-42" in kept
    assert "trip-42" not in dropped


@pytest.mark.slow
def test_an_invalid_ratio_keeps_all_sessions_and_logs_one_line() -> None:
    kept, output = sessions_of_app(**BY_VARIABLE, OTEL_TRACES_SAMPLER_ARG="a quarter")

    assert len(kept) == 2
    assert [line for line in output.splitlines() if "helicone-otel" in line] == [
        "helicone-otel keeps all sessions: OTEL_TRACES_SAMPLER_ARG='a quarter' is not a number from 0 to 1"
    ]


@pytest.mark.slow
def test_an_invalid_ratio_in_a_configuration_file_does_not_lose_the_sdk() -> None:
    kept, output = sessions_of_app(NAMED, HELICONE_SESSION_SAMPLING_RATIO="a quarter")

    assert kept == {None}  # as with any setting that cannot be used, we are off
    assert "keeps all sessions: HELICONE_SESSION_SAMPLING_RATIO='a quarter' is not a number from 0 to 1" in output
    assert "Traceback" not in output
