"""Logs one tiny session to Helicone, reads it back, and says what arrived."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ... import wire
from ...failures import logger
from ...log.exporter import HeliconeSpanExporter
from ...log.rest import Api, HeliconeError, KeyRefusedError, LaterError
from ...otel.processor import HeliconeSpanProcessor
from ...sessions.context import session
from ...settings import Settings, SettingsError
from ...tracking.registry import Registry
from .report import Finding, ok, problem, unknown

NAME: Final = "helicone-otel doctor"
STEP: Final = "hello"
# What Helicone has to show: one row, and what stands in it.
_EXPECTED: Final = {
    "model": f"data:{STEP}",
    "response_status": 200,
    wire.SESSION_NAME_HEADER: NAME,
    wire.SESSION_PATH_HEADER: f"/{STEP}",
}
_LONGEST_FLUSH: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_KEYS: Final = "https://us.helicone.ai/settings/api-keys, or eu.helicone.ai for Europe"
_REMEDIES: Final = (
    ("refused the key", f"check HELICONE_API_KEY ({_KEYS})"),
    ("without saying ok", f"check HELICONE_API_KEY ({_KEYS}): Helicone says so where it does not know a key"),
    ("at this address", "check HELICONE_LOG_ENDPOINT"),
    ("a redirect", "check HELICONE_LOG_ENDPOINT"),
    ("switched off", "unset OTEL_SDK_DISABLED"),
    ("encrypted", "check the certificates (SSL_CERT_FILE) and HELICONE_LOG_ENDPOINT"),
)
# Other complaints are of what was tried again.
_NOT_LOGGED: Final = "not logged"
_NETWORK: Final = "check the network, HTTPS_PROXY and HELICONE_LOG_ENDPOINT"


def send(environ: Mapping[str, str], seconds: float = 30.0) -> Iterator[Finding]:
    """Yield what came of a session that was logged and read back.

    Args:
        environ: The environment that says with which key, and where to.
        seconds: How long to wait for it to show.
    """
    try:
        settings = Settings.from_environment(environ)
        if settings.api_key is None:
            # A sample that looks like a key would be masked like one.
            yield problem(
                "HELICONE_API_KEY is not set: nothing can be logged.", f"export HELICONE_API_KEY=…, a key from {_KEYS}"
            )
            return
        # All else is as it would be in the app; but what is sent here is sent.
        registry = Registry()
        exporter = HeliconeSpanExporter(settings=replace(settings, log_kinds=()), registry=registry)
        api = Api(settings)
    except SettingsError as error:
        yield problem(f"Nothing is sent: {error}", "correct it; helicone-otel env lists the settings")
        return
    session_id = str(uuid.uuid4())
    if reason := _log(exporter, registry, session_id, min(seconds, _LONGEST_FLUSH)):
        remedy = next((remedy for words, remedy in _REMEDIES if words in reason), _NETWORK)
        yield problem(f"{exporter.endpoint} took no row: {reason}.", remedy)
        return
    yield ok(f"{exporter.endpoint} took a row.")
    yield _found(api, session_id, seconds, settings)


def _log(exporter: HeliconeSpanExporter, registry: Registry, session_id: str, seconds: float) -> str:
    """Log a session with one row; return why that failed, or nothing."""
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    provider.add_span_processor(HeliconeSpanProcessor(registry))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    token = attach(Context())
    try:
        with _listening() as complaints:
            with session(NAME, id=session_id):
                span = provider.get_tracer(wire.SCOPE).start_span(STEP, attributes={wire.DATA_NAME: STEP})
                span.end()
            done = exporter.force_flush(int(seconds * 1000))
            exporter.shutdown(0)
    finally:
        detach(token)
    if not span.get_span_context().trace_flags.sampled:
        return "OpenTelemetry is switched off"
    if done and not any(_NOT_LOGGED in complaint for complaint in complaints):
        return ""
    # What is said last is that there was no time left; the cause stands before it.
    return complaints[0].partition(": ")[2] if complaints else "it did not arrive in time"


def _found(api: Api, session_id: str, seconds: float, settings: Settings) -> Finding:
    """Look for a session until it is there."""
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            if rows := api.sessions(session_id) and api.requests(session_id):
                return _compared(api, session_id, rows)
            last = unknown(
                f"{api.address} does not show it within {seconds:g} s.",
                f"look for session {session_id} in the dashboard later; beyond its rate limit Helicone says ok and "
                "keeps nothing",
            )
        except KeyRefusedError as error:
            return _unreadable(error, settings)
        except LaterError as error:
            last = _no_answer(error)
        except HeliconeError as error:
            return _no_answer(error)
        if time.monotonic() + pause > until:
            return last
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _compared(api: Api, session_id: str, rows: list[Mapping[str, Any]]) -> Finding:
    properties = rows[0].get("request_properties") or rows[0].get("properties") or {}
    seen = {name: rows[0].get(name, properties.get(name)) for name in _EXPECTED}
    others = [f"{name} {seen[name]!r} instead of {value!r}" for name, value in _EXPECTED.items() if seen[name] != value]
    if len(rows) != 1:
        others.append(f"{len(rows)} rows instead of one")
    if others:
        return problem(f"{api.address} shows session {session_id} with {', '.join(others)}.", "please report it")
    return ok(f"{api.address} shows session {session_id} ({NAME}): one row, data:{STEP}, at /{STEP}.")


def _no_answer(error: HeliconeError) -> Finding:
    return unknown(f"It could not be read back: {error}.", "check the network, HTTPS_PROXY and HELICONE_API_ENDPOINT")


def _unreadable(error: KeyRefusedError, settings: Settings) -> Finding:
    if (settings.api_key or "").startswith("pk-"):
        return unknown(
            "It cannot be read back: a key that begins with pk- only writes.",
            "look into the dashboard, or try once with a key that begins with sk-",
        )
    return unknown(
        f"It cannot be read back: {error}. Keys are known in their own region only.",
        "export HELICONE_API_ENDPOINT=https://eu.api.helicone.ai (Europe) or https://api.helicone.ai (US)",
    )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what the library logs meanwhile, and keep it off the terminal."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener, propagates = Listener(logging.WARNING), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates
