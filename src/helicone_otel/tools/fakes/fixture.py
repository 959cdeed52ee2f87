"""What the fixture `helicone` does: install the library and a fake Helicone for one test, and remove them again."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, get_args

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ... import wire
from ...destinations import HELICONE_DOMAINS
from ...install.configure import INSTALLATION
from ...log.exporter import HeliconeSpanExporter
from ...otel.exporter import finalized
from ...settings import SETTINGS, Settings
from ...tracking.registry import REGISTRY
from ...wire import Kind
from .headers import KEY
from .loopback import serving
from .provider import ScriptedProvider, endpoint_of
from .requests import Request
from .server import FakeHelicone

_FLUSH_MILLIS: Final = 5000


class FixtureParts(NamedTuple):
    """The parts of which `testing.Helicone` is made."""

    server: FakeHelicone
    script: deque[str | int | Mapping[str, object]]
    provider: TracerProvider
    spans: list[ReadableSpan]
    configure: Callable[[Mapping[str, object]], None]


class _EndedSpans(SpanProcessor):
    """Keeps the spans that end while a test runs. There is one for all tests: a provider cannot remove a processor."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.spans is not None:
            self.spans.append(finalized(span))


_ENDED_SPANS: Final = _EndedSpans()


def _ended_spans() -> SpanProcessor:
    return _ENDED_SPANS


@contextmanager
def installed(environment: pytest.MonkeyPatch) -> Iterator[FixtureParts]:
    """Install the library while the block runs, with the default settings and a fake Helicone.

    Args:
        environment: Sets the variables that lead the SDKs to the fake gateway, and restores them.
    """
    for name in [name for name in os.environ if name.startswith("HELICONE_")]:
        environment.delenv(name)
    environment.delenv("OTEL_SDK_DISABLED", raising=False)
    spans: list[ReadableSpan] = []
    models = ScriptedProvider()
    with serving(FakeHelicone(models)) as server:
        _direct_clients(environment, server)
        with _installed_with(environment, server, spans) as (provider, configure):
            yield FixtureParts(server, models.script, provider, spans, configure)


@contextmanager
def _installed_with(
    environment: pytest.MonkeyPatch, server: FakeHelicone, spans: list[ReadableSpan]
) -> Iterator[tuple[TracerProvider, Callable[[Mapping[str, object]], None]]]:
    was_installed, settings_before = INSTALLATION.installed, REGISTRY.settings
    logged_before = INSTALLATION.exporter
    provider = _provider()

    def configure(changes: Mapping[str, Any]) -> None:
        settings = _settings(server, changes)
        _write(environment, settings)
        INSTALLATION.install(settings, provider)
        _log_with(HeliconeSpanExporter(settings=settings) if settings.log else None)

    configure({})
    INSTALLATION.take_unknown_providers(True)
    INSTALLATION.add_processor_to_all(_ended_spans)
    _ENDED_SPANS.spans = spans
    token = attach(Context())
    try:
        yield provider, configure
    finally:
        detach(token)
        _ENDED_SPANS.spans = None
        INSTALLATION.take_unknown_providers(False)
        _log_with(logged_before)
        if not was_installed:
            INSTALLATION.uninstall()
        REGISTRY.configure(settings_before)


def _provider() -> TracerProvider:
    """Return the global provider, and set one if there is none.

    OpenTelemetry lets it be set only once in a process, and tracers that modules got at import keep it. So all tests
    share it.
    """
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider):
        return current
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    if isinstance(current, trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    return provider


def _log_with(exporter: HeliconeSpanExporter | None) -> None:
    """Log with another exporter, and shut the one before down: its server is gone when Python ends."""
    before = INSTALLATION.exporter
    INSTALLATION.log(exporter)
    if before is not None and before is not exporter:
        before.shutdown(_FLUSH_MILLIS)


def _direct_clients(environment: pytest.MonkeyPatch, server: FakeHelicone) -> None:
    """Set the variables that lead the providers' SDKs to the gateway, past any proxy of the machine."""
    for provider, base_url in (("OPENAI", f"{server.url}/v1"), ("ANTHROPIC", server.url)):
        environment.setenv(f"{provider}_BASE_URL", base_url)
        environment.setenv(f"{provider}_API_KEY", KEY)
    for name in ("NO_PROXY", "no_proxy"):
        environment.setenv(name, ",".join(filter(None, ("127.0.0.1", os.environ.get(name)))))


def _settings(server: FakeHelicone, changes: Mapping[str, Any]) -> Settings:
    host = server.url.removeprefix("http://")
    # The fake reads headers as Helicone's own gateways do.
    log = {"api_key": server.key, "log_endpoint": server.url, "utf8_hosts": (*HELICONE_DOMAINS, host)}
    return Settings(**{**log, **changes, "gateway_hosts": (host, *changes.get("gateway_hosts", ()))})


def _write(environment: pytest.MonkeyPatch, settings: Settings) -> None:
    """Write the settings to the environment, so that an app which calls `configure()` gets the same settings."""
    defaults = Settings()
    for row in SETTINGS:
        value = getattr(settings, row.field)
        # In the environment dialects are files, here they are values.
        if value == getattr(defaults, row.field) or row.field == "dialects":
            environment.delenv(row.variable, raising=False)
        elif isinstance(value, tuple):
            environment.setenv(row.variable, ",".join(value))
        else:
            environment.setenv(row.variable, str(value).lower() if isinstance(value, bool) else value)


_KIND_ORDER: Final = {kind: index for index, kind in enumerate(get_args(Kind))}


class _PathEntry(NamedTuple):
    """A span or a request, with its session and path.

    Attributes:
        is_call: Whether it counts each time. Other spans count once at their path.
    """

    session: str
    name: str | None
    path: str
    kind: str | None
    is_call: bool


def names_by_id(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> dict[str, str | None]:
    """Return the name of each session by its id: those of requests first, then those of spans that ended."""
    return {entry.session: entry.name for entry in _entries(spans, requests)}


def kinds_by_path(
    spans: Iterable[ReadableSpan], requests: Iterable[Request], session: str | None
) -> dict[str, list[str]]:
    """Return the kinds at each path of a session: that of each call, and those of steps once.

    Args:
        spans: The spans that ended.
        requests: The requests that arrived at the gateway.
        session: Its id or name; `None` if there is only one.

    Raises:
        AssertionError: There is more than one session, or none with that id or name.
    """
    entries = list(_entries(spans, requests))
    chosen = {entry.session for entry in entries if session is None or session in (entry.session, entry.name)}
    if len(chosen) > 1 or (session is not None and not chosen):
        names = {entry.session: entry.name for entry in entries}
        which = "tree(): give the id or name of a session"
        fault = which if session is None else f"tree({session!r}) fits {len(chosen)} sessions"
        raise AssertionError(f"{fault}; the sessions, by id: {names}")
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    # Calls first: a wrapper of the same kind as a call at its path adds nothing.
    for entry in sorted(entries, key=lambda entry: not entry.is_call):
        if entry.session in chosen and entry.kind and (entry.is_call or entry.kind not in kinds[entry.path]):
            kinds[entry.path].append(entry.kind)
    return {path: sorted(kinds[path], key=_KIND_ORDER.__getitem__) for path in sorted(kinds) if kinds[path]}


def _entries(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> Iterator[_PathEntry]:
    arrived: set[str | None] = set()
    for request in requests:
        arrived.add(request.request_id)
        if session := request.header(wire.SESSION_ID_HEADER):
            path = request.header(wire.SESSION_PATH_HEADER) or "/"
            endpoint = endpoint_of(request.path)
            kind = endpoint.kind if endpoint else "llm"
            yield _PathEntry(session, request.header(wire.SESSION_NAME_HEADER), path, kind, is_call=True)
    for span in spans:
        attributes = span.attributes or {}
        if wire.SESSION_ID in attributes:
            texts = {key: str(value) for key, value in attributes.items()}
            yield _PathEntry(
                texts[wire.SESSION_ID],
                texts.get(wire.SESSION_NAME),
                texts.get(wire.SESSION_PATH, "/"),
                texts.get(wire.SPAN_KIND),
                # A call that reached the gateway is counted by its request.
                is_call=wire.REQUEST_ID in attributes and texts[wire.REQUEST_ID] not in arrived,
            )
