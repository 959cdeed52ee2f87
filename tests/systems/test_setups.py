"""Labels and headers are the same whatever creates the provider and when, and nothing else changes.

Every case runs in a new interpreter, with a real exporter to a backend and a real request to a gateway. It is compared
with the same app without us.
"""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support.ahead import once
from tests.support.launching import AppRun, Case, labels, run, without_ours
from tests.support.raw_http import expected

PROPAGATORS = "tracecontext,baggage,helicone"
METHODS = ("configure first", "configure last", "instrument")
NAMED = """
instrumentation/development: {python: {helicone: {}}}
"""


_NO_CONFIGURATOR = (("OTEL_PYTHON_CONFIGURATOR", "off"), ("OTEL_PYTHON_DISTRO", "off"))
CASES = {
    "configurator": Case("made_by_configurator", launched=True),
    "configuration file": Case("made_by_configurator", launched=True, file="\n"),
    "configuration file that names us": Case("made_by_configurator", launched=True, file=NAMED),
    "own provider": Case("own_provider", environ=_NO_CONFIGURATOR),
    "own provider beside the configurator's": Case("provider_kept_to_itself"),
    "tracers before the provider": Case("tracers_before_provider", environ=_NO_CONFIGURATOR),
    "several providers": Case("several_providers", environ=_NO_CONFIGURATOR),
    "processors in a pool": Case("processors_in_a_pool", environ=_NO_CONFIGURATOR),
}


@once
def bare(case: Case, launched: bool) -> AppRun:
    """Return what the app does without us."""
    return run(case, "launched without" if launched else "none")


def label(kind: str | None, path: str, **session: str) -> dict[str, str]:
    shown = {"helicone.session.path": path} | ({"helicone.span.kind": kind} if kind else {})
    return {**shown, **{f"helicone.session.{part}": value for part, value in session.items()}}


def planned(name: str, session_id: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the labels of one trip, all in one session."""
    session = {"id": session_id or "<trace>", "name": name}
    shared = {"session.id": session_id} if session_id else {}
    gen_ai = {"gen_ai.conversation.id": session_id} if session_id else {}
    return [
        ("plan trip", {**label("task", "/plan_trip", **session), **shared}),
        ("chat gpt-5.4-mini", {**label("llm", "/plan_trip", **session), **shared, **gen_ai}),
        ("POST", {**label(None, "/plan_trip", **session), **shared}),
        ("look up", {**label("tool", "/plan_trip/web_search", **session), **shared, **gen_ai}),
    ]


LABELS = [*planned("shop", None), *planned("Trip Planning", "trip-42")]


# The other cases run with the slow tests.
FAST = {
    ("configurator", "instrument", ""),
    ("configuration file", "instrument", ""),
    ("own provider", "configure first", ""),
    ("own provider", "configure last", PROPAGATORS),
    ("own provider", "instrument", PROPAGATORS),
    ("own provider beside the configurator's", "configure last", ""),
    ("tracers before the provider", "configure first", PROPAGATORS),
    ("several providers", "configure last", ""),
    ("processors in a pool", "configure first", ""),
}
# Here a provider is not the global one. Only where `configure()` comes last it is given.
NOT_GLOBAL = ("own provider beside the configurator's", "several providers")
EVERY = [
    pytest.param(*one, marks=[] if one in FAST else pytest.mark.slow)
    for one in itertools.product(CASES, METHODS, ("", PROPAGATORS))
    if one[0] not in NOT_GLOBAL or one[1] == "configure last"
]


def without_and_with_us(name: str, method: str, propagators: str) -> tuple[AppRun, AppRun]:
    """Return what an app does without and with us."""
    case = CASES[name]
    if case.launched and find_spec("opentelemetry.distro") is None:
        pytest.skip("the launcher's configurator is not installed")
    if case.file and find_spec("opentelemetry.configuration") is None:
        pytest.skip("configuration files need opentelemetry-configuration")
    before = bare(case, launched=case.launched or method == "instrument")
    return before, run(case, method, **({"OTEL_PROPAGATORS": propagators} if propagators else {}))


@pytest.mark.ahead(work=without_and_with_us)
@pytest.mark.parametrize(("name", "method", "propagators"), EVERY)
def test_labels_and_headers_are_the_same_whatever_makes_the_provider(
    name: str, method: str, propagators: str, outcome: tuple[AppRun, AppRun]
) -> None:
    case = CASES[name]
    before, after = outcome

    assert without_ours(after.spans) == before.spans
    exported = {span.name for span in before.spans}
    assert labels(after.spans) == [(name, label) for name, label in LABELS if name in exported]
    assert after.headers == [
        expected(id=after.spans[0].trace, path="/plan_trip", name="shop"),
        expected(id="trip-42", path="/plan_trip", name="Trip Planning"),
    ]
    # Is logged for every instrumentation that the file names and the launcher finds as well.
    twice = "Attempting to instrument while already instrumented\n"
    output = after.output.removesuffix(twice) if case.file == NAMED else after.output
    assert (before.headers, output) == ([[], []], before.output)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_GLOBAL)
@pytest.mark.parametrize("method", ["configure first", "instrument"])
def test_a_provider_that_is_neither_global_nor_given_is_left_alone(name: str, method: str) -> None:
    case = CASES[name]
    before = bare(case, launched=method == "instrument")

    after = run(case, method)

    assert without_ours(after.spans) == before.spans
    # With several providers, the app's own spans come from the global one.
    alone = {"chat gpt-5.4-mini"} if name == "several providers" else {"plan trip", "chat gpt-5.4-mini", "look up"}
    labelled = [(span, set(label)) for span, label in labels(after.spans)]
    assert [span for span, label in labelled if label] == [span for span, _ in labelled if span not in alone]
    assert after.headers[1] == expected(
        id="trip-42", path="/plan_trip" if name == "several providers" else "/chat", name="Trip Planning"
    )
    assert (before.headers, after.output) == ([[], []], before.output)
