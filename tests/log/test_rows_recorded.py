"""Recordings of real libraries, as rows of Helicone."""

from __future__ import annotations

import pytest

from helicone_otel.failures import swallowed
from helicone_otel.log.rows.content import Content
from helicone_otel.log.rows.row import row_of
from tests.support import logged, replay

NAMES = sorted(path.stem for path in replay.RECORDINGS.glob("*.json"))
REVIEWED = sorted(path.stem for path in logged.EXPECTED.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_request_becomes_a_row_that_helicone_accepts(name: str) -> None:
    before = swallowed()
    spans = list(logged.recorded(name))
    rows = [row_of(span, Content()) for _, span in spans]

    assert None not in rows
    for row in rows:
        logged.check(row)
    assert len({row.id for row in rows}) == len(spans)
    assert swallowed() == before


@pytest.mark.parametrize("name", REVIEWED)
def test_rows_of_recorded_requests_are_those_that_a_person_approved(name: str) -> None:
    expected = logged.expected(name)
    rows = {span_id: row_of(span, Content()) for span_id, span in logged.recorded(name) if span_id in expected}

    assert {span_id: logged.expected_form(row) for span_id, row in rows.items()} == {
        span_id: {name: value for name, value in row.items() if name != "span"} for span_id, row in expected.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_content_has_no_text_of_a_message(name: str) -> None:
    nothing = Content(inputs=frozenset(), outputs=frozenset())
    sent = "".join(str(row_of(span, nothing).body) for _, span in logged.recorded(name))

    for text in (
        "Say hi",
        "terse",
        "Hello from fake",
        "Paris",
        "beta doc",
        "alpha",
        "Weather.",
        "a city",
        "fake failure",
    ):
        assert text not in sent
