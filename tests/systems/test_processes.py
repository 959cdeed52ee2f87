"""Apps in as many processes as their servers like: labels and headers right, nothing doubled, nothing hanging."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.deployed import APPS, Town, sessions, town, wait_until

pytestmark = pytest.mark.slow

CHAT = {
    "HELICONE_SESSION_ID_ATTRIBUTES": "http.request.header.x_conversation_id",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-conversation-id",
}
COUNT = 24
ASGI = ("-k", "uvicorn_worker.UvicornWorker")
SERVERS = {
    "gunicorn": ("gunicorn", "search_flask:app", "-w", "2", "--bind", "fd://{fd}"),
    "gunicorn, preloaded": ("gunicorn", "search_flask:app", "-w", "2", "--preload", "--bind", "fd://{fd}"),
    "gunicorn with threads": ("gunicorn", "search_flask:app", "-w", "2", "--threads", "4", "--bind", "fd://{fd}"),
    "gunicorn with uvicorn's workers": ("gunicorn", "search:app", "-w", "2", *ASGI, "--bind", "fd://{fd}"),
    "gunicorn with uvicorn's workers, preloaded": (
        *("gunicorn", "search:app", "-w", "2", *ASGI, "--preload", "--bind", "fd://{fd}"),
    ),
    "uvicorn with workers": ("uvicorn", "search:app", "--workers", "2", "--fd", "{fd}"),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path) as place:
        yield place


def post(url: str, conversation: str) -> int:
    response = httpx.post(f"{url}/search", headers={"X-Conversation-Id": conversation}, timeout=60)
    return int(response.raise_for_status().json()["pid"])


def calls(place: Town) -> list[tuple[str | None, str | None]]:
    """Return session and path of each LLM span that was exported."""
    return sorted(
        (span.attributes.get("helicone.session.id"), span.attributes.get("helicone.session.path"))
        for span in place.inbox.spans
        if span.name.startswith("chat ")
    )


@pytest.mark.parametrize("server", SERVERS)
def test_each_worker_of_a_server_labels_its_own_requests_once(place: Town, server: str) -> None:
    _, url = place.serve("opentelemetry-instrument", *SERVERS[server], **CHAT)
    pids = {post(url, "c-0")}
    wanted = [f"c-{number}" for number in range(1, COUNT)]
    with ThreadPoolExecutor(8) as pool:
        pids |= set(pool.map(post, [url] * len(wanted), wanted))
    expected = sorted((f"c-{number}", "/rank", "Trips") for number in range(COUNT))

    assert sorted(sessions(place.requests(COUNT))) == expected
    wait_until(lambda: len(calls(place)) >= COUNT)
    for _ in range(500):  # who gets a request is for the system to say
        if len(pids) == 2:
            break
        pids.add(post(url, "c-more"))
    place.stop()
    assert [call for call in calls(place) if call[0] != "c-more"] == [call[:2] for call in expected]
    assert len(pids) == 2


def test_what_uvicorn_loads_again_is_labelled_as_before(place: Town, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    for name in ("search.py", "model.py"):
        shutil.copy(APPS / name, folder)
    command = ("uvicorn", "search:app", "--app-dir", str(folder), "--reload", "--reload-dir", str(folder))
    process, url = place.serve("opentelemetry-instrument", *command, "--fd", "{fd}", PYTHONPATH=str(folder), **CHAT)
    first = post(url, "c-1")
    (folder / "search.py").write_text((APPS / "search.py").read_text().replace('"rank"', '"sort"'))
    wait_until(lambda: process.output.count("Application startup complete") == 2)
    second = post(url, "c-2")

    assert first != second
    assert sessions(place.requests(2)) == [("c-1", "/rank", "Trips"), ("c-2", "/sort", "Trips")]
    wait_until(lambda: len(calls(place)) >= 2)
    place.stop()
    assert calls(place) == [("c-1", "/rank"), ("c-2", "/sort")]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_session_goes_on_in_a_forked_child_and_not_in_a_spawned_one(place: Town, method: str) -> None:
    process = place.start("opentelemetry-instrument", "python", "processes.py", method)

    assert process.wait() == 0, process.output
    before, child, after = sessions(place.requests(3))
    assert (before, after) == (("s-1", "/plan/before", "Trips"), ("s-1", "/plan/after", "Trips"))
    if method == "fork":
        assert child == ("s-1", "/plan/child", "Trips")
    else:
        trace_id = next(span.trace_id for span in place.spans("child") if span.name == "child")
        assert child == (str(uuid.UUID(hex=trace_id)), "/child", "Trips")
    assert calls(place) == sorted([before[:2], child[:2], after[:2]])


def test_a_lambda_handler_has_flushed_when_it_returns(place: Town) -> None:
    settings = {
        "AWS_LAMBDA_FUNCTION_NAME": "answer",
        "_HANDLER": "lambda_app.handler",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    command = ("opentelemetry-instrument", "python", "lambda_runtime.py")
    process = place.start(*command, HELICONE_ACCEPT_INBOUND="true", **settings)

    assert process.wait() == 0, process.output
    first, second = sessions(place.requests(2))
    assert (first[1:], second) == (("/answer", "Trips"), ("s-1", "/plan/answer", "Trips"))
    assert calls(place) == sorted([first[:2], second[:2]])


def test_the_cells_of_a_notebook_may_be_run_again_and_again(place: Town) -> None:
    process = place.start("python", "notebook.py", OTEL_PYTHON_LOG_LEVEL="error")

    assert process.wait() == 0, process.output
    assert process.output.splitlines()[-1] == "printed: OK OK OK OK"
    plan, later = ("s-1", "/plan", "Trips"), ("s-2", "/later", "Trips")
    assert sessions(place.requests(4)) == [plan, plan, later, plan]
    assert calls(place) == sorted([plan[:2], plan[:2], later[:2], plan[:2]])


def test_tasks_of_celery_are_labelled_in_children_that_live_for_one_task(place: Town, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = {"BROKER_URL": "filesystem://", "BROKER_FOLDER": str(folder)}
    command = ("celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2", "--max-tasks-per-child", "1")
    place.start("opentelemetry-instrument", *command, "-l", "WARNING", HELICONE_ACCEPT_INBOUND="true", **broker)
    _, url = place.uvicorn("trips:app", HELICONE_PROPAGATE_MESSAGING="true", **CHAT, **broker)
    for number in range(4):
        headers = {"X-Conversation-Id": f"c-{number}"}
        httpx.post(f"{url}/trips/{number}/later", headers=headers, timeout=60).raise_for_status()

    expected = sorted((f"c-{n}", path, "Trips") for n in range(4) for path in ("/research", "/research/hotel/choose"))
    assert sorted(sessions(place.requests(8))) == expected
    place.stop()
