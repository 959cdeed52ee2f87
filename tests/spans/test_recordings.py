"""Spans that were recorded from real libraries get the labels that a person gave them.

`labels` in a recording are the expected ones. Fields about which engineers could disagree are marked as ambiguous,
and are not scored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from helicone_otel.tools.cli.explain import FIELDS, Score, score
from helicone_otel.tools.replay.reasons import Outcome
from tests.support import replay
from tests.support.paths import REPOSITORY

NAMES = sorted(path.stem for path in replay.RECORDINGS.glob("*.json"))
# The least share of right fields over all recordings, without the ambiguous fields.
TARGETS = {
    "kind at start": 0.99,
    "kind at end": 1.0,
    "path when headers leave": 0.99,
    "path at end": 0.99,
    "requests": 1.0,
}


class Exceptions(NamedTuple):
    """Spans whose labels are right and cannot be known, with the reason."""

    reason: str
    spans: frozenset[str]


_LATE = "the application's span is exported before another thread writes the LLM spans inside"
_UNTOUCHED = "nothing in the trace is part of an LLM app, so the library does not change it"
# Recordings in which not every field is right.
IMPERFECT: Mapping[str, Exceptions] = {
    "langsmith_otel": Exceptions(_LATE, frozenset({"plan trip"})),
    "native_litellm": Exceptions(
        "`raw_gen_ai_request` has no sign of an embedding",
        frozenset({"raw_gen_ai_request"}),
    ),
    "mixed_fastapi_genai": Exceptions(_UNTOUCHED, frozenset({"load user", "connect", "SELECT postgres", "SELECT"})),
    "oi_bedrock": Exceptions(_UNTOUCHED, frozenset({"load claim"})),
    "otel_vector_stores_new": Exceptions(
        f"{_UNTOUCHED}; the spans that open a connection are exported before the vector query after them is known",
        frozenset(
            {
                *("load items", "orm load", "cache", "connect", "select", "show"),
                *("SELECT", "SELECT postgres", "UPDATE", "SET", "GET", "HSET"),
            }
        ),
    ),
}


class ReplayedRecording(NamedTuple):
    """A recording with the expected and the actual labels of its spans."""

    spans: dict[str, dict[str, Any]]
    labels: dict[str, dict[str, Any]]
    outcomes: dict[str, Outcome]

    def sessions(self, by: str) -> dict[str | None, set[str | None]]:
        """Return the sessions of the spans by their traces or scenarios."""
        found: dict[str | None, set[str | None]] = {}
        for key, outcome in self.outcomes.items():
            found.setdefault(self.spans[key][by], set()).add(outcome.session_id)
        return found

    @property
    def score(self) -> Score:
        """How many fields are right."""
        return score(self.outcomes.values(), self.labels)

    @property
    def wrong(self) -> list[str]:
        """The fields that are not right."""
        return [str(miss) for miss in self.score.misses]


@pytest.fixture(scope="module")
def replayed() -> dict[str, ReplayedRecording]:
    recordings = {name: replay.load(name) for name in NAMES}
    return {
        name: ReplayedRecording(
            {span["span_id"]: span for span in recording["spans"]}, recording["labels"], replay.replay(recording)
        )
        for name, recording in recordings.items()
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IMPERFECT])
def test_every_span_of_a_recording_gets_the_label_that_a_person_gave_it(
    name: str, replayed: dict[str, ReplayedRecording]
) -> None:
    assert replayed[name].wrong == []
    assert replayed[name].score.unlabelled == 0


@pytest.mark.parametrize("name", IMPERFECT)
def test_only_fields_that_cannot_be_known_are_wrong(name: str, replayed: dict[str, ReplayedRecording]) -> None:
    misses = replayed[name].score.misses

    assert {miss.span.name for miss in misses} == IMPERFECT[name].spans
    assert {miss.field for miss in misses} <= {"kind at end", "path at end", "path when headers leave"}


def test_the_documentation_has_the_scores_and_every_recording_that_is_not_all_right(
    replayed: dict[str, ReplayedRecording],
) -> None:
    scores = [one.score for one in replayed.values()]
    section = (REPOSITORY / "docs" / "families.md").read_text().partition("## How often")[2]
    figures = re.findall(r"\| (\d+) of (\d+)", section)

    assert [(int(right), int(scored)) for right, scored in figures] == [
        (sum(one.right(field) for one in scores), sum(one.scored[field] for one in scores)) for field in FIELDS
    ]
    assert set(re.findall(r"`([a-z0-9]+_[a-z0-9_]+)`", section)) & set(NAMES) == set(IMPERFECT)


# The web service has answered, and its spans have ended, when a worker or a background task calls a model.
ANSWERED_BEFORE = {"mixed_flask_celery_tl", "native_fastapi"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {*IMPERFECT, *ANSWERED_BEFORE}])
def test_every_trace_of_a_recording_is_one_session_or_none(name: str, replayed: dict[str, ReplayedRecording]) -> None:
    assert {trace: ids for trace, ids in replayed[name].sessions("trace_id").items() if len(ids) != 1} == {}


# The sessions that the recorded programs named, by scenario, and when the library says so.
CHOSEN = {
    "langfuse": {"propagate_attributes": "sess-1", "propagate_as_baggage": "sess-2", "langchain_callback": "sess-3"},
    "logfire": {"baggage": "conv-1"},
    "langsmith_otel": {"thread": "sess-1"},
    "native_strands": {"session": "sess-1"},
    "native_pydantic_ai": {"run_conversation_metadata": "conv-1"},
    "oi_decorators": {"using_session": "sess-1"},
    "oi_langchain": {"langgraph_graph": "thread-8"},  # at the end of each run
    "tl_langchain": {"rag_chain": "sess-1", "langgraph_graph": "thread-8"},  # once a run has begun
    "oi_adk_multi": {"tool_agent": "sess-adk-1"},
    "vendor_lmnr": {"observe": "lm-1"},
    "tl_sdk_decorators": {"workflow": "sess-1", "conversation_id": "conv-1"},
}


@pytest.mark.parametrize("name", CHOSEN)
def test_spans_are_in_the_session_that_the_program_named(name: str, replayed: dict[str, ReplayedRecording]) -> None:
    sessions = replayed[name].sessions("scenario")

    assert {scenario: sessions[scenario] - {None} for scenario in CHOSEN[name]} == {
        scenario: {session_id} for scenario, session_id in CHOSEN[name].items()
    }


def test_enough_fields_of_all_recordings_are_right(replayed: dict[str, ReplayedRecording]) -> None:
    scores = [one.score for name, one in replayed.items() if name not in IMPERFECT]
    scored = {field: sum(one.scored[field] for one in scores) for field in FIELDS}
    wrong = {field: sum(one.missed(field) for one in scores) for field in FIELDS}

    assert len(replayed) == 76
    assert min(scored.values()) > 200
    assert {field for field in TARGETS if 1 - wrong[field] / scored[field] < TARGETS[field]} == set()
