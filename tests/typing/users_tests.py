"""Tests of a user: the fixtures of `helicone_otel.testing`."""

from __future__ import annotations

from typing import assert_type

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from helicone_otel import session, step
from helicone_otel.testing import FakeHelicone, Helicone, Request, Row, Trouble


def test_research_is_part_of_the_trip(helicone: Helicone) -> None:
    helicone.configure(log=True)
    helicone.answer_with("Porto", 429, {"choices": []})
    with session("Trip Planning", id="trip-42"), step("research"), helicone.tracer.start_as_current_span("plan"):
        pass

    assert_type(helicone.tree(), dict[str, list[str]])
    assert_type(helicone.requests, list[Request])
    assert_type(helicone.requests[0].helicone_headers, dict[str, str])
    assert_type(helicone.requests[0].header("Helicone-Session-Id"), str | None)
    assert_type(helicone.rows("trip-42"), list[Row])
    assert_type(helicone.rows()[0].model, str)
    assert_type(helicone.rows()[0].flaws, list[str])
    assert_type(helicone.spans, list[ReadableSpan])
    assert_type(helicone.sessions, dict[str, str | None])
    assert_type(helicone.provider, TracerProvider)
    assert_type(helicone.openai_url, str)
    assert_type(helicone.fake, FakeHelicone)


def test_a_503_is_tried_again(fake_helicone: FakeHelicone) -> None:
    fake_helicone.troubles.next(Trouble(status=503, headers={"Retry-After": "1"}))
    fake_helicone.troubles.from_now_on(Trouble(error="no", seconds=0.5), door="log")

    assert_type(fake_helicone.rows, list[Row])
    assert_type(fake_helicone.requests("gateway"), list[Request])
    assert_type(fake_helicone.url, str)
    assert_type(fake_helicone.key, str)


def refused(fake_helicone: FakeHelicone) -> None:
    fake_helicone.requests("window")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Trouble(503)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
