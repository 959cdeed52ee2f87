"""The fake Helicone's log API: what it accepts, in which order it looks, and what it makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any

import pytest

from helicone_otel._cli.loopback import serving
from helicone_otel._testing.fake.server import FakeHelicone
from helicone_otel._testing.fake.troubles import Trouble

ID = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"
SESSION = {
    "Helicone-Session-Id": "s-1",
    "Helicone-Session-Path": "/plan/draft",
    "Helicone-Session-Name": "Trip planner",
}
TIMING = {
    "startTime": {"seconds": 1760000000, "milliseconds": 125},
    "endTime": {"seconds": 1760000001, "milliseconds": 640},
}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWERED = {"model": "gpt-4o-mini-2024", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}


def a_log(
    asked: Any = ASKED, answered: Any = ANSWERED, *, meta: Any = None, timing: Any = TIMING, status: Any = 200
) -> dict[str, Any]:
    meta = {**SESSION, "Helicone-Request-Id": ID} if meta is None else meta
    request = {"url": "custom-model-nopath", "json": asked, "meta": meta}
    return {
        "providerRequest": request,
        "providerResponse": {"json": answered, "status": status, "headers": {}},
        "timing": timing,
    }


class Client:
    """A connection that stays open, as an exporter's does."""

    def __init__(self, server: FakeHelicone) -> None:
        self.connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        self.key = server.key

    def post(self, path: str, body: object, **headers: str | None) -> tuple[int, Any, Mapping[str, str]]:
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, str | bytes) else json.dumps(body)
        self.connection.request("POST", path, sent, {name: value for name, value in given.items() if value is not None})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        return answer.status, _data(text), {name.lower(): value for name, value in answer.getheaders()}

    def log(self, body: object, path: str = "/custom/v1/log", **headers: str | None) -> tuple[int, Any]:
        return self.post(path, body, **headers)[:2]


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.fixture
def fake() -> Iterator[FakeHelicone]:
    with serving(FakeHelicone()) as server:
        yield server


@pytest.fixture
def client(fake: FakeHelicone) -> Iterator[Client]:
    client = Client(fake)
    yield client
    client.connection.close()


def test_a_log_becomes_a_row(fake: FakeHelicone, client: Client) -> None:
    answer = client.post("/custom/v1/log", a_log(meta={**SESSION, "Helicone-Request-Id": ID, "Helicone-User-Id": "u"}))

    (row,) = fake.rows
    assert (answer[0], answer[1], answer[2]["helicone-id"]) == (200, "ok", ID)
    assert (row.id, row.door, row.provider, row.model, row.status) == (ID, "log", "CUSTOM", "gpt-4o-mini-2024", 200)
    assert (row.session_id, row.session_path, row.session_name) == ("s-1", "/plan/draft", "Trip planner")
    assert (row.request, row.response, row.user_id, row.properties) == (ASKED, ANSWERED, "u", SESSION)
    assert (row.started, row.ended) == (1760000000125, 1760000001640)
    assert (row.prompt_tokens, row.completion_tokens, row.badge, row.failed, row.flaws) == (3, 1, "LLM", False, [])


def test_a_row_that_is_sent_again_is_the_same_row(fake: FakeHelicone, client: Client) -> None:
    for _ in range(2):
        assert client.log(a_log()) == (200, "ok")

    assert [(row.id, row.sends) for row in fake.rows] == [(ID, 2)]


def test_what_goes_wrong_can_be_chosen(fake: FakeHelicone, client: Client) -> None:
    fake.troubles.next(
        Trouble(status=503, headers={"Retry-After": "1"}),
        Trouble(error="queue down"),
        Trouble(drop=True),
        Trouble(status=500, stored=True),
    )

    status, _, headers = client.post("/custom/v1/log", a_log())
    assert (status, headers["retry-after"], fake.rows) == (503, "1", [])
    assert (client.log(a_log()), fake.rows) == ((200, {"error": "queue down"}), [])
    assert (client.log(a_log()), fake.rows) == ((200, "ok"), [])
    assert (client.log(a_log())[0], len(fake.rows)) == (500, 1)
    assert (client.log(a_log()), len(fake.rows)) == ((200, "ok"), 1)


def test_a_connection_can_be_reset_and_an_answer_trickle(fake: FakeHelicone, client: Client) -> None:
    fake.troubles.next(Trouble(reset=True), Trouble(trickle=0.0001))

    with pytest.raises(ConnectionResetError):
        client.log(a_log())
    assert fake.rows == []
    client.connection.close()
    assert client.log(a_log()) == (200, "ok")
