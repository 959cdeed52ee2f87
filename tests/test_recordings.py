"""Spans recorded from real libraries get the labels that a person gave them by hand.

`labels` in a recording are gold; fields that a reasonable engineer might decide otherwise are marked
ambiguous there and not scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import replay

NAMES = sorted(path.stem for path in replay.RECORDINGS.glob("*.json"))


def _strict(recording: dict[str, Any], field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, label in recording["labels"].items():
        if not {"kind", field} & set(label.get("ambiguous_on", ())):
            yield key, label


@pytest.fixture(scope="module", params=NAMES)
def replayed(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, replay.Outcome]]:
    recording = replay.load(request.param)
    return recording, replay.replay(recording)


Replayed = tuple[dict[str, Any], dict[str, replay.Outcome]]


def test_every_span_has_the_right_kind_in_the_end(replayed: Replayed) -> None:
    recording, outcomes = replayed
    expected = {key: label["kind"] for key, label in _strict(recording, "kind")}

    assert {key: outcomes[key].kind for key in expected} == expected


def test_every_span_whose_kind_shows_at_its_start_is_known_then(replayed: Replayed) -> None:
    recording, outcomes = replayed
    expected = {key: label["kind"] for key, label in _strict(recording, "kind") if label["kind_knowable_at_start"]}

    assert {key: outcomes[key].kind_at_start for key in expected} == expected


def test_every_span_has_the_right_path_in_the_end(replayed: Replayed) -> None:
    recording, outcomes = replayed
    expected = {key: label["path"] for key, label in recording["labels"].items() if not label.get("path_ambiguous")}

    assert {key: outcomes[key].path for key in expected} == expected


def test_headers_that_leave_carry_the_path_of_their_span(replayed: Replayed) -> None:
    recording, outcomes = replayed
    leaving = {key for key, outcome in outcomes.items() if outcome.path_at_injection is not None}
    expected = {
        key: label["path"]
        for key, label in recording["labels"].items()
        if key in leaving and not label.get("path_ambiguous")
    }

    assert {key: outcomes[key].path_at_injection for key in expected} == expected


def test_exactly_the_innermost_span_of_a_call_is_its_request(replayed: Replayed) -> None:
    recording, outcomes = replayed
    expected = {key for key, label in _strict(recording, "request") if label["request"]}
    scored = {key for key, _ in _strict(recording, "request")}

    assert {key for key in scored if outcomes[key].request} == expected
