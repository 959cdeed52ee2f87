"""The ids of the rows that the fake gateway makes, and which of its answers name them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.support.logs import Answer, Client

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Where to?"}]}
OURS = "0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"
AI_GATEWAY = "ai-gateway.helicone.ai"


@pytest.fixture
def scripted(client: Client) -> Any:
    """Return the next answers of the provider; one that is left over would be for another test."""
    script = client.fake._gateway._provider.script  # type: ignore[attr-defined]
    yield script
    script.clear()


def stored(client: Client) -> list[tuple[str, int]]:
    return [(row.id, row.status) for row in client.fake.rows]


def named(answer: Answer) -> str:
    return answer.headers["helicone-id"]


@pytest.mark.parametrize("answered", ["OK", 429, 500], ids=["whole", "refused", "failed"])
def test_each_answer_of_the_provider_names_a_new_row(client: Client, scripted: Any, answered: str | int) -> None:
    scripted.extend([answered, answered])
    answers = [client.post(CHAT, ASKED) for _ in range(2)]

    assert stored(client) == [(named(answer), answer.status) for answer in answers]
    assert [uuid.UUID(id_).version for id_ in {named(answer) for answer in answers}] == [4, 4]
    assert [request.request_id for request in client.fake.requests("gateway")] == [named(one) for one in answers]


def test_a_stream_names_its_row_before_it_begins(client: Client) -> None:
    answer = client.post(CHAT, {**ASKED, "stream": True})

    assert answer.body.startswith("data: ")
    assert stored(client) == [(named(answer), 200)]


def test_what_the_provider_says_of_an_id_is_replaced(client: Client) -> None:
    reply = client.fake._gateway._provider.answer
    provider: Any = client.fake._gateway._provider
    provider.answer = lambda request: reply(request)._replace(headers=(("Helicone-Id", "the provider's"),))
    try:
        answer = client.post(CHAT, ASKED)
    finally:
        del provider.answer

    assert stored(client) == [(named(answer), 200)]


def test_a_cached_answer_is_a_row_of_its_own(client: Client, scripted: Any) -> None:
    scripted.extend(["Lisbon", "Porto"])
    cached = {"Helicone_Cache_Enabled": "true"}
    first, second = client.post(CHAT, ASKED, **cached), client.post(CHAT, ASKED, **cached)
    other = client.post(CHAT, {**ASKED, "model": "m"}, **cached)

    assert [answer.headers["helicone-cache"] for answer in (first, second, other)] == ["MISS", "HIT", "MISS"]
    assert first.body == second.body != other.body
    assert [id_ for id_, _ in stored(client)] == [named(first), named(second), named(other)]
    assert len({named(first), named(second)}) == 2


def test_an_answer_to_a_request_that_reaches_no_provider_names_no_row(client: Client) -> None:
    answers = [
        client.post("/v1/nonsense", {}, helicone_session_name=""),
        client.post(CHAT, {}, Host=AI_GATEWAY),
    ]

    assert [(answer.status, answer.headers.get("helicone-id")) for answer in answers] == [(400, None), (400, None)]
    assert (stored(client), [request.request_id for request in client.fake.requests("gateway")]) == ([], [None, None])


# --- one request, several rows --------------------------------------------------------------------

TWO: dict[str, Any] = {**ASKED, "model": "gpt-5.4-mini/openai,claude-haiku-4-5/anthropic"}


def test_the_ai_gateway_makes_a_row_of_each_attempt_and_names_the_last(client: Client, scripted: Any) -> None:
    scripted.extend([500, "Lisbon"])
    answer = client.post(CHAT, TWO, Host=AI_GATEWAY)

    (first, failed), (last, status) = stored(client)
    assert (failed, status, last) == (500, 200, named(answer))
    assert first != last
    assert [row.model for row in client.fake.rows] == ["gpt-5.4-mini", "claude-haiku-4-5"]


def test_the_ai_gateway_merges_attempts_that_have_the_callers_id(client: Client, scripted: Any) -> None:
    scripted.extend([500, "Lisbon"])
    answer = client.post(CHAT, TWO, Host=AI_GATEWAY, Helicone_Request_Id=OURS)

    (row,) = client.fake.rows
    assert (answer.status, named(answer)) == (200, OURS)
    # It looks like an error, although the call succeeded.
    assert (row.id, row.status, row.model) == (OURS, 500, "gpt-5.4-mini")
    assert row.response["choices"][0]["message"]["content"] == "Lisbon"


def test_an_answer_of_the_ai_gateway_after_all_attempts_failed_names_no_row(client: Client, scripted: Any) -> None:
    scripted.extend([429, 500])
    answer = client.post(CHAT, TWO, Host=AI_GATEWAY)

    assert (answer.status, answer.headers.get("helicone-id")) == (500, None)
    assert [status for _, status in stored(client)] == [429, 500]


@pytest.mark.parametrize("given", [None, OURS], ids=["no id", "the caller's id"])
def test_a_moderated_prompt_is_two_rows_unless_the_caller_sends_an_id(client: Client, given: str | None) -> None:
    answer = client.post(CHAT, ASKED, Helicone_Moderations_Enabled="true", Helicone_Request_Id=given)

    rows = client.fake.rows
    paths = ["/v1/moderations", CHAT] if given is None else ["/v1/moderations"]
    assert [row.path for row in rows] == paths
    assert rows[-1].id == named(answer) == (given or rows[-1].id)
