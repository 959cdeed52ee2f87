"""Apps in several processes: labels and headers are right, nothing is sent twice, and every process ends."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.deployed import APPS, Deployment, sessions, wait_until

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


def post(url: str, conversation: str) -> int:
    response = httpx.post(f"{url}/search", headers={"X-Conversation-Id": conversation}, timeout=60)
    return int(response.raise_for_status().json()["pid"])


def calls(deployment: Deployment) -> list[tuple[str | None, str | None]]:
    """Return session and path of each LLM span that was exported."""
    return sorted(
        (span.attributes.get("helicone.session.id"), span.attributes.get("helicone.session.path"))
        for span in deployment.inbox.spans
        if span.name.startswith("chat ")
    )


@pytest.mark.parametrize("server", SERVERS)
def test_each_worker_of_a_server_labels_its_own_requests_once(deployment: Deployment, server: str) -> None:
    _, url = deployment.serve("opentelemetry-instrument", *SERVERS[server], **CHAT)
    pids = {post(url, "c-0")}
    wanted = [f"c-{number}" for number in range(1, COUNT)]
    with ThreadPoolExecutor(8) as pool:
        pids |= set(pool.map(post, [url] * len(wanted), wanted))
    expected = sorted((f"c-{number}", "/rank", "Trips") for number in range(COUNT))

    assert sorted(sessions(deployment.requests(COUNT))) == expected
    wait_until(lambda: len(calls(deployment)) >= COUNT)
    for _ in range(500):  # the operating system decides which worker gets a request
        if len(pids) == 2:
            break
        pids.add(post(url, "c-more"))
    deployment.stop()
    assert [call for call in calls(deployment) if call[0] != "c-more"] == [call[:2] for call in expected]
    assert len(pids) == 2


def test_an_app_that_uvicorn_reloads_is_labelled_as_before(deployment: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    for name in ("search.py", "model.py"):
        shutil.copy(APPS / name, folder)
    command = ("uvicorn", "search:app", "--app-dir", str(folder), "--reload", "--reload-dir", str(folder))
    process, url = deployment.serve(
        "opentelemetry-instrument", *command, "--fd", "{fd}", PYTHONPATH=str(folder), **CHAT
    )
    first = post(url, "c-1")
    (folder / "search.py").write_text((APPS / "search.py").read_text().replace('"rank"', '"sort"'))
    wait_until(lambda: process.output.count("Application startup complete") == 2)
    second = post(url, "c-2")

    assert first != second
    assert sessions(deployment.requests(2)) == [("c-1", "/rank", "Trips"), ("c-2", "/sort", "Trips")]
    wait_until(lambda: len(calls(deployment)) >= 2)
    deployment.stop()
    assert calls(deployment) == [("c-1", "/rank"), ("c-2", "/sort")]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_session_continues_in_a_forked_child_but_not_in_a_spawned_one(deployment: Deployment, method: str) -> None:
    process = deployment.start("opentelemetry-instrument", "python", "processes.py", method)

    assert process.wait() == 0, process.output
    before, child, after = sessions(deployment.requests(3))
    assert (before, after) == (("s-1", "/plan/before", "Trips"), ("s-1", "/plan/after", "Trips"))
    if method == "fork":
        assert child == ("s-1", "/plan/child", "Trips")
    else:
        trace_id = next(span.trace_id for span in deployment.spans("child") if span.name == "child")
        assert child == (str(uuid.UUID(hex=trace_id)), "/child", "Trips")
    assert calls(deployment) == sorted([before[:2], child[:2], after[:2]])


def test_a_lambda_handler_has_flushed_when_it_returns(deployment: Deployment) -> None:
    settings = {
        "AWS_LAMBDA_FUNCTION_NAME": "answer",
        "_HANDLER": "lambda_app.handler",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    command = ("opentelemetry-instrument", "python", "lambda_runtime.py")
    process = deployment.start(*command, HELICONE_ACCEPT_INBOUND="true", **settings)

    assert process.wait() == 0, process.output
    first, second = sessions(deployment.requests(2))
    assert (first[1:], second) == (("/answer", "Trips"), ("s-1", "/plan/answer", "Trips"))
    assert calls(deployment) == sorted([first[:2], second[:2]])


def test_the_cells_of_a_notebook_can_be_run_several_times(deployment: Deployment) -> None:
    process = deployment.start("python", "notebook.py", OTEL_PYTHON_LOG_LEVEL="error")

    assert process.wait() == 0, process.output
    assert process.output.splitlines()[-1] == "printed: OK OK OK OK"
    plan, later = ("s-1", "/plan", "Trips"), ("s-2", "/later", "Trips")
    assert sessions(deployment.requests(4)) == [plan, plan, later, plan]
    assert calls(deployment) == sorted([plan[:2], plan[:2], later[:2], plan[:2]])


def test_tasks_of_celery_are_labelled_in_children_that_live_for_one_task(
    deployment: Deployment, tmp_path: Path
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = {"BROKER_URL": "filesystem://", "BROKER_FOLDER": str(folder)}
    command = ("celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2", "--max-tasks-per-child", "1")
    deployment.start("opentelemetry-instrument", *command, "-l", "WARNING", HELICONE_ACCEPT_INBOUND="true", **broker)
    _, url = deployment.uvicorn("trips:app", HELICONE_PROPAGATE_MESSAGING="true", **CHAT, **broker)
    for number in range(4):
        headers = {"X-Conversation-Id": f"c-{number}"}
        httpx.post(f"{url}/trips/{number}/later", headers=headers, timeout=60).raise_for_status()

    expected = sorted((f"c-{n}", path, "Trips") for n in range(4) for path in ("/research", "/research/hotel/choose"))
    assert sorted(sessions(deployment.requests(8))) == expected
    deployment.stop()


@pytest.mark.parametrize("options", [("--max-tasks-per-child", "1"), ()], ids=["recycled", "stopped"])
def test_a_child_of_celery_sends_its_rows_before_it_ends(
    deployment: Deployment, fake_helicone: FakeHelicone, tmp_path: Path, options: Sequence[str]
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = {"BROKER_URL": "filesystem://", "BROKER_FOLDER": str(folder)}
    log = {"HELICONE_LOG": "true", "HELICONE_API_KEY": KEY, "HELICONE_LOG_ENDPOINT": fake_helicone.url}
    command = ("celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "1", "-l", "INFO", *options)
    # Their wrappers never end, so the rows would wait for ten minutes.
    worker = deployment.start("opentelemetry-instrument", *command, OTEL_BSP_SCHEDULE_DELAY="600000", **log, **broker)
    trips = ["t-0", "t-1", "t-2"]
    for trip in trips:
        assert deployment.start("python", "-c", f"import tasks; tasks.look_up.delay({trip!r})", **broker).wait() == 0
    wait_until(lambda: worker.output.count(" succeeded in ") == len(trips))
    deployment.stop()

    assert sorted((row.session_id, row.model) for row in fake_helicone.rows) == [
        (trip, "tool:look_up") for trip in trips
    ]
