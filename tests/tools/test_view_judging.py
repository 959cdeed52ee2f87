"""What people and evaluators think of a session: feedback, and the scores that spans carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import opentelemetry.instrumentation.utils  # noqa: F401  # the client loads it late, and these tests have short time limits
import pytest

from helicone_otel import Settings
from helicone_otel.testing import FakeHelicone
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.view.judging import Score, scores_of
from tests.support.view_seed import any_value, otlp_span, request_of, span
from tests.support.viewing import JSON, Answer, ViewClient, ask, posted_row, view_client

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}


def judge(view: ViewClient, **fields: Any) -> Answer:
    body = {"id": "s", "name": "n", "good": None, "note": "", **fields}
    return ask(f"{view.view.url}/api/feedback", "POST", json.dumps(body).encode(), JSON)


def feedback(view: ViewClient, id_: str = "s") -> Any:
    found = view.session(id_)["feedback"]
    return (found["good"], found["note"]) if found else None


# --- feedback -----------------------------------------------------------------------------------------


def test_thumbs_and_a_note_are_kept_changed_and_removed(view: ViewClient) -> None:
    view.log(posted_row("s", "/a", "n"))
    assert feedback(view) is None

    assert judge(view, good=True, note="fine \u202e").data == {"helicone": "no key"}
    assert feedback(view) == (True, "fine \u202e")
    judge(view, good=False, note="")
    assert feedback(view) == (False, "")
    judge(view, note="only words")
    assert feedback(view) == (None, "only words")
    judge(view)
    assert feedback(view) is None


def test_sessions_of_one_id_are_judged_by_their_names(view: ViewClient) -> None:
    for name in ("n", "m"):
        view.log(posted_row("s", "/a", name))

    judge(view, name="m", good=False)

    assert [view.session("s", name)["feedback"] is None for name in ("n", "m")] == [True, False]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "the body is not a JSON object"),
        (b"[" * 10_000, 400, "the body is not a JSON object"),
        (b'{"id": 1, "name": "n", "good": null, "note": ""}', 400, "id and name: not texts"),
        (b'{"id": "s", "name": "n", "good": 1, "note": ""}', 400, "good: true, false or null"),
        (b'{"id": "s", "name": "n", "good": true}', 400, "note: a text of at most 4000 characters"),
        (
            json.dumps({"id": "s", "name": "n", "good": True, "note": "x" * 4001}).encode(),
            400,
            "note: a text of at most 4000 characters",
        ),
        (b'{"id": "none\\ud800", "name": "n", "good": true, "note": ""}', 404, "there is no such session"),
        (b" " * 70_000, 413, "the body has more than 65536 bytes"),
    ],
)
def test_what_is_no_feedback_is_refused(view: ViewClient, body: bytes, status: int, error: str) -> None:
    view.log(posted_row("s", "/a", "n"))

    answer = ask(f"{view.view.url}/api/feedback", "POST", body, JSON)

    assert (answer.status, answer.data) == (status, {"error": error})
    assert feedback(view) is None


def test_another_site_cannot_judge(view: ViewClient) -> None:
    view.log(posted_row("s", "/a", "n"))
    body = json.dumps({"id": "s", "name": "n", "good": False, "note": "evil"}).encode()

    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}):
        assert ask(f"{view.view.url}/api/feedback", "POST", body, headers).status == 403

    assert feedback(view) is None


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeHelicone]:
    with serving(FakeHelicone()) as one:
        yield one


def test_thumbs_are_sent_to_helicone_where_there_is_a_key(fake: FakeHelicone) -> None:
    row = posted_row("s", "/a", "n")
    assert ask(f"{fake.url}/custom/v1/log", "POST", json.dumps(row).encode(), JSON | bearer(fake)).status == 200
    with view_client(Settings(api_key=fake.key, log_endpoint=fake.url)) as view:
        view.log(row)

        assert judge(view, good=True, note="for us").data == {"helicone": "sent"}
        assert judge(view, good=True, note="for all of us").data == {"helicone": "nothing to send"}
        assert judge(view, note="for us").data == {"helicone": "nothing to send"}

    (shown,) = fake.rows
    assert shown.properties["Helicone-Session-Feedback"] == "1"


def bearer(fake: FakeHelicone) -> dict[str, str]:
    return {"Authorization": f"Bearer {fake.key}"}


def test_thumbs_that_helicone_does_not_take_are_kept_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helicone_otel.tools.view.judging._SEND_SECONDS", 0.1)
    with view_client(
        Settings(api_key="sk-helicone-unknown-unknown-unknown", log_endpoint="http://127.0.0.1:9")
    ) as view:
        view.log(posted_row("s", "/a", "n"))

        answer = judge(view, good=True)

        assert answer.status == 200
        assert "127.0.0.1:9" in answer.data["helicone"]
        assert "sk-helicone" not in answer.data["helicone"]
        assert feedback(view) == (True, "")


# --- scores -------------------------------------------------------------------------------------------

AT = 1_760_000_000_001_000_000


def scores(**attributes: Any) -> list[Score]:
    return scores_of(otlp_span(span(1, 1, attributes=attributes)).SerializeToString())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 4.0},
            [Score("Relevance", 4.0, None, None, "otel", AT)],
        ),
        (
            {
                "gen_ai.evaluation.name": "Toxic",
                "gen_ai.evaluation.score.label": "pass",
                "gen_ai.evaluation.explanation": "polite",
            },
            [Score("Toxic", None, "pass", "polite", "otel", AT)],
        ),
        (
            {
                "annotations.0.annotation.name": "tone",
                "annotations.0.annotation.score": 1,
                "evaluations.0.evaluation.name": "facts",
                "evaluations.0.evaluation.label": "wrong",
                "session.annotations.0.annotation.name": "all",
                "session.annotations.0.annotation.score": 0.5,
                "trace.evaluations.3.evaluation.name": "trace",
                "trace.evaluations.3.evaluation.score": 0,
                "trace.evaluations.3.evaluation.explanation": "why",
            },
            [
                Score("tone", 1.0, None, None, "openinference", AT),
                Score("facts", None, "wrong", None, "openinference", AT),
                Score("all", 0.5, None, None, "openinference", AT, whole=True),
                Score("trace", 0.0, None, "why", "openinference", AT, whole=True),
            ],
        ),
        (
            {"langfuse.score.helpful": 0.75, "langfuse.score.kind": "good"},
            [
                Score("helpful", 0.75, None, None, "langfuse", AT),
                Score("kind", None, "good", None, "langfuse", AT),
            ],
        ),
        ({"gen_ai.evaluation.name": "no result"}, []),
        ({"gen_ai.evaluation.score.value": 1.0}, []),
        ({"gen_ai.evaluation.name": "endless", "gen_ai.evaluation.score.value": float("inf")}, []),
        ({"annotations.x.annotation.name": "a", "annotations.99999.annotation.score": 1}, []),
    ],
)
def test_scores_of_each_convention_are_read(attributes: dict[str, Any], expected: list[Score]) -> None:
    assert scores(**attributes) == expected


def with_event(**attributes: Any) -> Any:
    """Return an export request of a call with an evaluation as an event."""
    request = request_of("shop", [span(1, 1, attributes=CHAT)])
    made = request.resource_spans[0].scope_spans[0].spans[0]
    event = made.events.add(name="gen_ai.evaluation.result", time_unix_nano=AT)
    for key, value in attributes.items():
        event.attributes.add(key=key, value=any_value(value))
    return request


def test_an_evaluation_event_is_a_score_of_its_request(view: ViewClient) -> None:
    key = "sk-12345678901234567890"
    name, value = {"gen_ai.evaluation.name": "Relevance"}, {"gen_ai.evaluation.score.value": 0.9}
    view.send(with_event(**name, **value, **{"gen_ai.evaluation.explanation": f"saw {key}"}))

    session = view.session("c")

    assert session["scores"] == [
        {
            "request": session["requests"][0]["id"],
            "name": "Relevance",
            "value": 0.9,
            "label": None,
            "reason": "saw ***",
            "source": "otel",
            "at_ms": 1760000000001.0,
        }
    ]


def test_a_span_that_only_carries_an_evaluation_judges_the_request_above_it(view: ViewClient) -> None:
    result = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.label": "pass"}
    view.take(
        span(1, 1, attributes=CHAT, length=10),
        span(1, 2, 1, name="gen_ai.evaluation.result", scope="evals", attributes=result, start=5),
    )

    session = view.session("c")

    assert [(one["name"], one["label"], one["request"]) for one in session["scores"]] == [
        ("Relevance", "pass", session["requests"][0]["id"])
    ]


def test_scores_stay_single_when_a_trace_is_labelled_again(view: ViewClient) -> None:
    view.send(with_event(**{"gen_ai.evaluation.name": "a", "gen_ai.evaluation.score.value": 1}))
    view.take(span(1, 2, 1, attributes=CHAT))

    assert [one["name"] for one in view.session("c")["scores"]] == ["a"]


def test_of_very_many_scores_the_first_are_kept(view: ViewClient) -> None:
    view.take(span(1, 1, attributes={**CHAT, **{f"langfuse.score.s{number}": number for number in range(500)}}))

    assert len(view.session("c")["scores"]) == 64
