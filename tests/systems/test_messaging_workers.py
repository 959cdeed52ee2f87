"""One session across real brokers: FastAPI in front, a Celery worker or a Kafka consumer behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.support.deployed import Deployment, sessions, wait_until

pytestmark = pytest.mark.slow

SENDING = {"HELICONE_PROPAGATE_MESSAGING": "true"}
ACCEPTING = {"HELICONE_ACCEPT_INBOUND": "true"}


@pytest.fixture(params=["filesystem", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("broker")
    if request.param == "filesystem":
        yield {"BROKER_URL": "filesystem://", "BROKER_FOLDER": str(folder)}
        return
    if (redis := shutil.which("redis-server")) is None:
        pytest.skip("there is no redis-server here")
    unix = folder / "redis.sock"
    command = [redis, "--port", "0", "--unixsocket", unix, "--dir", folder, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(unix.exists)
            yield {"BROKER_URL": f"redis+socket://{unix}"}
        finally:
            server.terminate()


def celery(deployment: Deployment, broker: dict[str, str], **settings: str) -> None:
    """Start a worker with two forked processes."""
    command = ("celery", "-A", "tasks", "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING")
    deployment.start("opentelemetry-instrument", *command, **broker, **settings)


def post(url: str) -> None:
    httpx.post(url, timeout=60).raise_for_status()


def test_the_work_of_a_task_is_part_of_the_session_that_sent_it(deployment: Deployment, broker: dict[str, str]) -> None:
    celery(deployment, broker, **ACCEPTING)
    _, front = deployment.uvicorn("trips:app", **broker, **SENDING)
    post(f"{front}/trips/7/later")

    (first, second) = sessions(deployment.requests(2))
    assert (first[1:], second) == (("/research", "Trips"), (first[0], "/research/hotel/choose", "Trips"))
    spans = deployment.spans("choose", "run/tasks.book", "apply_async/tasks.book")
    assert {span.attributes.get("helicone.session.id") for span in spans if span.name == "choose"} == {first[0]}
    deployment.stop()


def test_a_task_that_is_retried_keeps_its_path(deployment: Deployment, broker: dict[str, str]) -> None:
    celery(deployment, broker, **ACCEPTING, **SENDING)
    _, front = deployment.uvicorn("trips:app", **broker, **SENDING)
    post(f"{front}/trips/retry/later")

    first, second = sessions(deployment.requests(2))
    assert second == (first[0], "/research/hotel/choose", "Trips")


def test_a_worker_without_a_session_in_its_message_has_a_session_of_its_own(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("broker")
    broker = {"BROKER_URL": "filesystem://", "BROKER_FOLDER": str(folder)}
    _, front = deployment.uvicorn("trips:app", **broker)
    post(f"{front}/trips/7/later")
    (message,) = folder.iterdir()
    headers = json.loads(message.read_text())["headers"]
    celery(deployment, broker, **ACCEPTING)

    assert [name for name in headers if "helicone" in name.lower()] == []
    assert [path for _, path, _ in sessions(deployment.requests(2))] == ["/research", "/hotel/choose"]


def kafka(deployment: Deployment, client: str, **settings: str) -> list[tuple[str, str]]:
    """Send a message, process it in another process, and return its headers."""
    script = ("opentelemetry-instrument", "python", "kafka_client.py", client)
    sender = deployment.start(*script, "send", **settings)
    wait_until(lambda: "broker=" in sender.output)
    broker = sender.output.rpartition("broker=")[2].strip()
    consumer = deployment.start(*script, "receive", broker, **ACCEPTING)

    assert consumer.wait() == 0, consumer.output
    deployment.stop()
    return [(name, value) for name, value in json.loads(consumer.output.splitlines()[-1])]


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
def test_a_kafka_message_carries_its_session_to_its_consumer(deployment: Deployment, client: str) -> None:
    headers = kafka(deployment, client, **SENDING)

    assert sessions(deployment.requests(1)) == [("s-1", "/plan/book", "Trips")]
    assert headers[1:] == [
        ("Helicone-Session-Id", "s-1"),
        ("Helicone-Session-Path", "/plan"),
        ("Helicone-Session-Name", "Trips"),
    ]


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
def test_a_kafka_message_carries_no_session_by_default(deployment: Deployment, client: str) -> None:
    headers = kafka(deployment, client)

    assert [name for name, _ in headers] == ["traceparent"]
    assert [path for _, path, _ in sessions(deployment.requests(1))] == ["/book"]
