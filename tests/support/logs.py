"""A fake Helicone, a client that sends requests to it, valid or not, and log bodies to send."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest

from helicone_otel.testing import FakeHelicone
from helicone_otel.tools.fakes.loopback import serving

ID = "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44"
START = 1_760_000_000_125
SESSION = {
    "Helicone-Session-Id": "s-1",
    "Helicone-Session-Path": "/plan/draft",
    "Helicone-Session-Name": "Trip planner",
}
TIMING = {
    "startTime": {"seconds": 1_760_000_000, "milliseconds": 125},
    "endTime": {"seconds": 1_760_000_001, "milliseconds": 640},
}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWERED = {"model": "gpt-4o-mini-2024", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
CUSTOM = "/custom/v1/log"


def a_log(
    asked: Any = ASKED, answered: Any = ANSWERED, *, meta: Any = None, timing: Any = TIMING, url: Any = "no-path"
) -> dict[str, Any]:
    """Return the body of a valid request to Helicone's log, with copies of the request where its pages look for it."""
    meta = {**SESSION, "Helicone-Request-Id": ID} if meta is None else meta
    copies = {key: value for key, value in asked.items() if key != "stream"} if isinstance(asked, dict) else {}
    return {
        **copies,
        "providerRequest": {"url": url, "json": asked, "meta": meta},
        "providerResponse": {"json": answered, "status": 200, "headers": {}},
        "timing": timing,
    }


def changed(log: Mapping[str, Any], path: str, value: Any = ...) -> dict[str, Any]:
    """Return the same body with another value at a path such as `providerRequest.url`, or without one."""
    copy: dict[str, Any] = json.loads(json.dumps(log))
    *above, last = path.split(".")
    part = copy
    for name in above:
        part = part[name]
    del part[last]
    if value is not ...:
        part[last] = value
    return copy


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """A client whose connection stays open, as that of an exporter does."""

    def __init__(self, fake: FakeHelicone) -> None:
        self.fake = fake
        self.connection = HTTPConnection("127.0.0.1", fake.server_port, timeout=5)

    def send(self, method: str, path: str, body: object = b"", **headers: str | None) -> Answer:
        given = {"Authorization": f"Bearer {self.fake.key}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, str | bytes) else json.dumps(body)
        self.connection.request(method, path, sent, {name: value for name, value in given.items() if value is not None})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        return Answer(answer.status, _data(text), {name.lower(): value for name, value in answer.getheaders()})

    def post(self, path: str, body: object, **headers: str | None) -> Answer:
        return self.send("POST", path, body, **headers)

    def log(self, body: object, path: str = CUSTOM, **headers: str | None) -> tuple[int, Any]:
        return self.post(path, body, **headers)[:2]


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, and fail after five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def fake(fake_helicone: FakeHelicone) -> FakeHelicone:
    """Return a fake Helicone of this test alone."""
    return fake_helicone


@pytest.fixture(scope="module")
def one_client() -> Iterator[Client]:
    with serving(FakeHelicone()) as fake:
        client = Client(fake)
        yield client
        client.connection.close()


@pytest.fixture
def client(one_client: Client) -> Iterator[Client]:
    """Yield a client of a fake Helicone that has no requests yet."""
    yield one_client
    one_client.fake.forget()
