"""Apps that gevent or eventlet patches, at any time: rows arrive, a flush returns, and the process ends.

They run in an environment of their own. No OpenAI SDK takes part, because it starts a process from each greenlet, at
which gevent and OpenTelemetry's SDK alone fork without end.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
import trustme

from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.deployed import wait_until
from tests.support.environments import Environments
from tests.support.launching import base_environ
from tests.support.paths import TESTS

pytestmark = pytest.mark.slow

APP = TESTS / "apps" / "greenlets.py"
REQUIREMENTS = ("gevent", "eventlet", "gunicorn>=23", "requests>=2.32", "opentelemetry-distro>=0.65b0")
LIBRARIES = ("gevent", "eventlet")
EXPECTED = sorted(f"s-{number}" for number in range(-1, 31) for _ in range(2))
EXPORTED = {"OTEL_TRACES_EXPORTER": "helicone", "OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture
def python(environments: Environments) -> Path:
    return environments.python("greenlets", REQUIREMENTS)


def environ(fake: FakeHelicone, python: Path, **more: str) -> dict[str, str]:
    exporters = dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none")
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    ours = {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url, "PYTHONFAULTHANDLER": "1", "PATH": path}
    return {**base_environ("none"), **exporters, **ours, **more}


def run(command: Sequence[str | Path], environ: Mapping[str, str]) -> str:
    """Run an app to its end, and return what it printed."""
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler prints the stacks of all threads
            output, _ = process.communicate(timeout=10)
            pytest.fail(f"the process does not end:\n{output}")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    return output


@contextmanager
def secure(folder: Path) -> Iterator[dict[str, str]]:
    """Serve HTTPS, and yield the variables that tell the app of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {"HTTPS_URL": f"https://127.0.0.1:{server.server_port}/", "HTTPS_CA": str(folder / "ca.pem")}
        finally:  # or a test that fails would keep the whole run from ending
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("when", ["first", "imported", "configured", "logged"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_all_rows_of_greenlets_arrive_whenever_the_app_is_patched(
    library: str, when: str, python: Path, fake: FakeHelicone, tmp_path: Path
) -> None:
    with secure(tmp_path) as variables:
        output = run([python, APP, library, when], environ(fake, python, **variables))

    assert sorted(row.session_id for row in fake.rows) == EXPECTED
    assert "flushed True" in output
    assert "answered 204" in output or when == "logged"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("how", [{"HELICONE_LOG": "true"}, EXPORTED, {"HELICONE_LOG": "true", **EXPORTED}])
def test_the_launcher_may_load_the_library_before_the_app_is_patched(
    library: str, how: dict[str, str], python: Path, fake: FakeHelicone, tmp_path: Path
) -> None:
    with secure(tmp_path) as variables:
        command = [python.parent / "opentelemetry-instrument", python, APP, library, "launched"]
        output = run(command, environ(fake, python, **how, **variables))

    assert sorted(row.session_id for row in fake.rows) == EXPECTED
    assert "flushed True" in output
    assert "answered 204" in output


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preloaded"])
@pytest.mark.parametrize("how", [{"HELICONE_LOG": "true"}, EXPORTED])
def test_gunicorns_gevent_workers_deliver_all_rows_and_stop(
    how: dict[str, str], preload: Sequence[str], python: Path, fake: FakeHelicone, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *("opentelemetry-instrument", "gunicorn", "-k", "gevent", "-w", "2", *preload),
                *("--bind", f"fd://{listening.fileno()}", "greenlets_web:application"),
            ],
            env=environ(fake, python, **how),
            cwd=APP.parent,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[listening.fileno()],
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        wait_until(lambda: (tmp_path / "log").read_text().count("Booting worker") == 2)
        for number in range(20):
            assert httpx.get(f"{url}/w-{number}", timeout=20).text == "ok"
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)

    assert code == 0, (tmp_path / "log").read_text()
    assert sorted(row.session_id for row in fake.rows) == sorted(f"w-{number}" for number in range(20))
