"""What an app may want gevent or eventlet to patch is imported by others, or at the first row."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

from helicone_otel.tools.fakes.server import FakeHelicone

# The modules that these libraries patch, and those that keep what they import from them.
PATCHED = {
    *("_ssl", "http.client", "multiprocessing", "queue", "select", "selectors", "signal", "socket", "ssl"),
    *("subprocess", "threading", "urllib.request", "concurrent.futures.thread", "asyncio"),
    *("urllib3", "urllib3.connection", "requests", "httpx", "certifi"),
}
SDK = "import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export, opentelemetry.propagate"
CONFIGURED = f"{SDK}; import helicone_otel; installation = helicone_otel.configure({{}})"
INSTRUMENTED = (
    f"{SDK}; from opentelemetry.instrumentation.instrumentor import BaseInstrumentor\n"
    "from helicone_otel.install.instrumentor import HeliconeInstrumentor; HeliconeInstrumentor().instrument()"
)
ROW = """
from opentelemetry import trace
provider = opentelemetry.sdk.trace.TracerProvider()
trace.set_tracer_provider(provider)
with helicone_otel.session("Shop"), helicone_otel.tool("look"):
    pass
provider.force_flush(5000)
"""
KEY = "sk-helicone-aaaaaaa-aaaaaaa-aaaaaaa-aaaaaaa"


@functools.cache
def before_ours(code: str) -> set[str]:
    """Return which of the modules are loaded after code without the library; its tests share them."""
    return loaded(code)


def loaded(code: str, **environ: str) -> set[str]:
    """Return which of the modules are loaded after some code, in a new interpreter."""
    show = "import sys; print('loaded', *sys.modules)"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    variables = {"HELICONE_API_KEY": KEY, **environ}
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, env={**kept, **variables}, capture_output=True, text=True, check=True)
    return PATCHED & {*done.stdout.rpartition("loaded")[2].split()}


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        pytest.param(CONFIGURED.format("log=True"), {}, id="configure"),
        pytest.param(CONFIGURED.format(""), {"HELICONE_LOG": "true"}, id="configure and the environment"),
        pytest.param(f"{SDK}; from helicone_otel import *; HeliconeSpanExporter()", {}, id="an exporter"),
        pytest.param(
            f"{SDK}; from helicone_otel.install.exporter_entry import NamedExporter; NamedExporter()",
            {},
            id="an exporter by its name",
        ),
    ],
)
def test_nothing_that_an_app_may_want_to_patch_is_imported_before_the_first_row(
    code: str, environ: dict[str, str]
) -> None:
    assert loaded(code, **environ) == before_ours(SDK)


def test_the_instrumentor_imports_nothing_to_patch_that_opentelemetrys_own_does_not() -> None:
    base = f"{SDK}; from opentelemetry.instrumentation.instrumentor import BaseInstrumentor"

    assert loaded(INSTRUMENTED, HELICONE_LOG="true") == before_ours(base)


def test_what_sends_rows_is_imported_for_the_first_one(fake: FakeHelicone) -> None:
    code = CONFIGURED.format("log=True") + ROW
    log = {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url}

    assert {"ssl", "urllib3", "urllib3.connection"} <= loaded(code, **log)
    assert [row.session_name for row in fake.rows] == ["Shop"]


# The app's import of urllib3 stops at one of its modules until our thread, which loads the sender, waits for it.
IMPORTING = """
import sys, threading, time
from importlib import _bootstrap
from helicone_otel.log.delivery.client import load_sender

def stop(event, arguments):
    if event == "import" and arguments[0] == sys.argv[1] and ours.ident is None:
        ours.start()
        while ours.is_alive() and ours.ident not in _bootstrap._blocking_on:
            time.sleep(0.01)

ours = threading.Thread(target=load_sender)
sys.addaudithook(stop)
import urllib3
ours.join()
print(sorted(name for name in ("urllib3", "helicone_otel.log.delivery.sender") if name in sys.modules))
"""


@pytest.mark.parametrize("module", ["_base_connection", "connectionpool", "response"])
def test_the_app_may_import_what_our_thread_imports_at_the_same_time(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, f"urllib3.{module}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("['helicone_otel.log.delivery.sender', 'urllib3']\n", "")
