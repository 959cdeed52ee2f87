"""`doctor --send`: log a session with one row to Helicone, read it back, and compare."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import urllib3
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ... import wire
from ...endpoints import API_SERVER_LOG, server_of
from ...failures import logger
from ...log.delivery.client import suppressed
from ...log.delivery.connections import pools
from ...log.delivery.verdict import is_success
from ...log.exporter import HeliconeSpanExporter
from ...log.rest import Api, HeliconeError, KeyRefusedError, LaterError
from ...otel.processor import HeliconeSpanProcessor
from ...sessions.context import session
from ...settings import Settings, SettingsError
from ...tracking.registry import Registry
from .checks.startup import KEYS, SET_KEY
from .report import Finding, ok, problem, unknown

NAME: Final = "helicone-otel doctor"
STEP: Final = "hello"
# The fields of the row that Helicone must show.
_EXPECTED: Final = {
    "model": f"data:{STEP}",
    "response_status": 200,
    wire.SESSION_NAME_HEADER: NAME,
    wire.SESSION_PATH_HEADER: f"/{STEP}",
}
# Helicone's servers, for people.
_WORKER: Final = "Helicone's worker"
_API_SERVER: Final = "Helicone's API server, without the worker"
_MAX_HEALTH_BYTES: Final = 4096
# In seconds.
_MAX_HEALTH: Final = 5.0
_MAX_FLUSH: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_MAX_PAUSE: Final = 5.0
# Remedies by words in the messages of the log.
_REMEDIES: Final = (
    ("refused the key", f"check HELICONE_API_KEY ({KEYS})"),
    ("without saying ok", f"check HELICONE_API_KEY ({KEYS}): Helicone answers so if it does not know a key"),
    ("with a body", "check HELICONE_LOG_ENDPOINT"),
    ("at this address", "check HELICONE_LOG_ENDPOINT"),
    ("a redirect", "check HELICONE_LOG_ENDPOINT"),
    ("switched off", "unset OTEL_SDK_DISABLED"),
    ("encrypted", "check the certificates (SSL_CERT_FILE) and HELICONE_LOG_ENDPOINT"),
)
# Warnings without these words are about rows that were sent again.
_NOT_LOGGED: Final = "not logged"
_NETWORK: Final = "check the network, HTTPS_PROXY and HELICONE_LOG_ENDPOINT"


def send(environ: Mapping[str, str], seconds: float = 30.0) -> Iterator[Finding]:
    """Log a session, read it back, and yield the findings.

    Args:
        environ: The environment variables, with the key and the endpoints.
        seconds: The maximum time to wait until Helicone shows the session, in seconds.
    """
    try:
        settings = Settings.from_environment(environ)
        if settings.api_key is None:
            yield problem("HELICONE_API_KEY is not set: nothing can be logged.", SET_KEY)
            return
        # The settings are those of the app, except that HELICONE_LOG_KINDS must not leave out this row.
        registry = Registry()
        exporter = HeliconeSpanExporter(settings=replace(settings, log_kinds=()), registry=registry)
        api = Api(settings)
    except SettingsError as error:
        yield problem(f"Nothing was sent: {error}", "correct it; helicone-otel env lists the settings")
        return
    session_id = str(uuid.uuid4())
    reason = _log(exporter, registry, session_id, min(seconds, _MAX_FLUSH))
    server = _server_at(exporter.endpoint)
    if reason:
        yield _refused(exporter.endpoint, server, reason)
        return
    yield ok(f"{exporter.endpoint} took a row." + (f" It is {server}." if server else ""))
    yield _read_back(api, session_id, seconds, settings)


def _refused(endpoint: str, server: str, reason: str) -> Finding:
    address = server_of(endpoint) + (API_SERVER_LOG if server == _API_SERVER else "")
    if server and address != endpoint and "at this address" in reason:
        return problem(
            f"{endpoint} took no row: there is no log at this address (404), but {server}.",
            f"export HELICONE_LOG_ENDPOINT={address}",
        )
    remedy = next((remedy for words, remedy in _REMEDIES if words in reason), _NETWORK)
    return problem(f"{endpoint} took no row: {reason}.", remedy)


def _server_at(endpoint: str) -> str:
    """Return which of Helicone's servers is at the address of a log; empty if it does not show that.

    Both say without a key that they are healthy: the worker without a body, the API server with one.
    """
    address = server_of(endpoint)
    try:
        with suppressed():
            answer = pools(address, connections=1).request(
                "GET",
                f"{address}/healthcheck",
                headers={"User-Agent": "helicone-otel"},
                timeout=urllib3.Timeout(total=_MAX_HEALTH),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            body = answer.read(_MAX_HEALTH_BYTES)
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError):
        return ""
    if not is_success(answer.status):
        return ""
    try:
        return _API_SERVER if "status" in json.loads(body or b"[]") else _WORKER if not body else ""
    except (ValueError, TypeError):
        return ""


def _log(exporter: HeliconeSpanExporter, registry: Registry, session_id: str, seconds: float) -> str:
    """Log a session with one row, and return why that failed; empty if it did not."""
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    provider.add_span_processor(HeliconeSpanProcessor(registry))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    token = attach(Context())
    try:
        with _captured_warnings() as warnings:
            with session(NAME, id=session_id):
                span = provider.get_tracer(wire.SCOPE).start_span(STEP, attributes={wire.DATA_NAME: STEP})
                span.end()
            done = exporter.force_flush(int(seconds * 1000))
            exporter.shutdown(0)
    finally:
        detach(token)
    if not span.get_span_context().trace_flags.sampled:
        return "OpenTelemetry is switched off"
    if done and not any(_NOT_LOGGED in text for text in warnings):
        return ""
    # The last warning may only say that there was no time left. The first one is the cause.
    return warnings[0].partition(": ")[2] if warnings else "it did not arrive in time"


def _read_back(api: Api, session_id: str, seconds: float, settings: Settings) -> Finding:
    """Ask Helicone for a session until it shows the row or the time is over."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            if rows := api.sessions(session_id) and api.requests(session_id):
                return _compared(api, session_id, rows)
            last = unknown(
                f"{api.address} does not show it within {seconds:g} s.",
                f"look for session {session_id} in the dashboard later; above its rate limit Helicone answers ok and "
                "stores nothing",
            )
        except KeyRefusedError as error:
            return _unreadable(error, settings)
        except LaterError as error:
            last = _no_answer(error)
        except HeliconeError as error:
            return _no_answer(error)
        if time.monotonic() + pause > deadline:
            return last
        time.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE)


def _compared(api: Api, session_id: str, rows: list[Mapping[str, Any]]) -> Finding:
    properties = rows[0].get("request_properties") or rows[0].get("properties") or {}
    seen = {name: rows[0].get(name, properties.get(name)) for name in _EXPECTED}
    wrong = [f"{name} {seen[name]!r} instead of {value!r}" for name, value in _EXPECTED.items() if seen[name] != value]
    if len(rows) != 1:
        wrong.append(f"{len(rows)} rows instead of one")
    if wrong:
        return problem(f"{api.address} shows session {session_id} with {', '.join(wrong)}.", "please report it")
    return ok(f"{api.address} shows session {session_id} ({NAME}): one row, data:{STEP}, at /{STEP}.")


def _no_answer(error: HeliconeError) -> Finding:
    return unknown(
        f"The session could not be read back: {error}.", "check the network, HTTPS_PROXY and HELICONE_API_ENDPOINT"
    )


def _unreadable(error: KeyRefusedError, settings: Settings) -> Finding:
    if (settings.api_key or "").startswith("pk-"):
        return unknown(
            f"The session cannot be read back: {error}. Some servers let no key read that begins with pk-.",
            "look into the dashboard, or try once with a key that begins with sk-",
        )
    return unknown(
        f"The session cannot be read back: {error}. A key works in its own region only.",
        "export HELICONE_API_ENDPOINT=https://eu.api.helicone.ai (Europe) or https://api.helicone.ai (US)",
    )


@contextmanager
def _captured_warnings() -> Iterator[list[str]]:
    """Collect the library's warnings while the block runs, and do not print them."""
    messages: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, propagate = Capture(logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
