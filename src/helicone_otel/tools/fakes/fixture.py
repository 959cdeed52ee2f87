"""Puts the library and a stand-in gateway in place for one test, and takes everything out again."""

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
from ...install.configure import INSTALLATION
from ...log.exporter import HeliconeSpanExporter
from ...otel.exporter import finalized
from ...settings import SETTINGS, Settings
from ...spans.schema import Kind
from ...tracking.registry import REGISTRY
from .headers import KEY
from .loopback import serving
from .provider import ScriptedProvider, endpoint_of
from .requests import Request
from .server import FakeHelicone

_FLUSH_MILLIS: Final = 5000


class Bench(NamedTuple):
    """What the fixture works with."""

    server: FakeHelicone
    script: deque[str | int | Mapping[str, object]]
    provider: TracerProvider
    spans: list[ReadableSpan]
    configure: Callable[[Mapping[str, object]], None]


class _Listener(SpanProcessor):
    """Notes the spans that end while a test runs. There is one: providers give back no processor."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.spans is not None:
            self.spans.append(finalized(span))


_LISTENER: Final = _Listener()


def _listener() -> SpanProcessor:
    return _LISTENER


@contextmanager
def installed(environment: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Install the library for as long as the block runs."""
    for name in [name for name in os.environ if name.startswith("HELICONE_")]:
        environment.delenv(name)
    environment.delenv("OTEL_SDK_DISABLED", raising=False)
    spans: list[ReadableSpan] = []
    models = ScriptedProvider()
    with serving(FakeHelicone(models)) as server:
        _direct_clients(environment, server)
        with _put_in_place(environment, server, spans) as (provider, configure):
            yield Bench(server, models.script, provider, spans, configure)


@contextmanager
def _put_in_place(
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
    INSTALLATION.add_processor_to_all(_listener)
    _LISTENER.spans = spans
    token = attach(Context())
    try:
        yield provider, configure
    finally:
        detach(token)
        _LISTENER.spans = None
        _log_with(logged_before)
        if not was_installed:
            INSTALLATION.uninstall()
        REGISTRY.configure(settings_before)


def _provider() -> TracerProvider:
    """Return the global provider, and set one if there is none.

    OpenTelemetry lets it be set once in a process, and tracers that modules got from it at import
    stay with it. So all tests share it; between them it is idle.
    """
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        return found
    made = TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    if isinstance(found, trace.ProxyTracerProvider):
        trace.set_tracer_provider(made)
    return made


def _log_with(exporter: HeliconeSpanExporter | None) -> None:
    """Log with another exporter; the one before is not to look for a server that is gone when Python ends."""
    before = INSTALLATION.exporter
    INSTALLATION.log(exporter)
    if before is not None and before is not exporter:
        before.shutdown(_FLUSH_MILLIS)


def _direct_clients(environment: pytest.MonkeyPatch, server: FakeHelicone) -> None:
    """Lead the providers' SDKs to the gateway, and past whatever proxy the machine has."""
    for provider, base_url in (("OPENAI", f"{server.url}/v1"), ("ANTHROPIC", server.url)):
        environment.setenv(f"{provider}_BASE_URL", base_url)
        environment.setenv(f"{provider}_API_KEY", KEY)
    for name in ("NO_PROXY", "no_proxy"):
        environment.setenv(name, ",".join(filter(None, ("127.0.0.1", os.environ.get(name)))))


def _settings(server: FakeHelicone, changes: Mapping[str, Any]) -> Settings:
    others = tuple(changes.get("gateway_hosts", ()))
    log = {"api_key": server.key, "log_endpoint": server.url}
    return Settings(**{**log, **changes, "gateway_hosts": (server.url.removeprefix("http://"), *others)})


def _write(environment: pytest.MonkeyPatch, settings: Settings) -> None:
    """Say in the environment what holds, so that an app which configures the library itself changes nothing."""
    defaults = Settings()
    for row in SETTINGS:
        value = getattr(settings, row.field)
        # Dialects are files there, and values here.
        if value == getattr(defaults, row.field) or row.field == "dialects":
            environment.delenv(row.variable, raising=False)
        elif isinstance(value, tuple):
            environment.setenv(row.variable, ",".join(value))
        else:
            environment.setenv(row.variable, str(value).lower() if isinstance(value, bool) else value)


_ORDER: Final = {kind: place for place, kind in enumerate(get_args(Kind))}


class _Sight(NamedTuple):
    session: str
    name: str | None
    path: str
    kind: str | None
    is_call: bool


def sessions(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> dict[str, str | None]:
    """Return the name of each session by its id, in the order in which they were seen."""
    return {sight.session: sight.name for sight in _sights(spans, requests)}


def tree(spans: Iterable[ReadableSpan], requests: Iterable[Request], session: str | None) -> dict[str, list[str]]:
    """Return the kinds that stand at each path of a session: calls one by one, steps once."""
    sights = list(_sights(spans, requests))
    chosen = {sight.session for sight in sights if session is None or session in (sight.session, sight.name)}
    if len(chosen) > 1 or (session is not None and not chosen):
        seen = {sight.session: sight.name for sight in sights}
        wanted = (
            "tree() needs to know which one" if session is None else f"tree({session!r}) fits {len(chosen)} of them"
        )
        raise AssertionError(f"{wanted}; the sessions seen, by id: {seen}")
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    # Calls first: a wrapper around a call says nothing new about its path.
    for sight in sorted(sights, key=lambda sight: not sight.is_call):
        if sight.session in chosen and sight.kind and (sight.is_call or sight.kind not in kinds[sight.path]):
            kinds[sight.path].append(sight.kind)
    return {path: sorted(kinds[path], key=_ORDER.__getitem__) for path in sorted(kinds) if kinds[path]}


def _sights(spans: Iterable[ReadableSpan], requests: Iterable[Request]) -> Iterator[_Sight]:
    arrived: set[str | None] = set()
    for request in requests:
        arrived.add(request.request_id)
        if session := request.header(wire.SESSION_ID_HEADER):
            path = request.header(wire.SESSION_PATH_HEADER) or "/"
            endpoint = endpoint_of(request.path)
            kind = endpoint.kind if endpoint else "llm"
            yield _Sight(session, request.header(wire.SESSION_NAME_HEADER), path, kind, is_call=True)
    for span in spans:
        attributes = span.attributes or {}
        if wire.SESSION_ID in attributes:
            texts = {key: str(value) for key, value in attributes.items()}
            yield _Sight(
                texts[wire.SESSION_ID],
                texts.get(wire.SESSION_NAME),
                texts.get(wire.SESSION_PATH, "/"),
                texts.get(wire.SPAN_KIND),
                # Of a call that a gateway saw, the request that arrived counts.
                is_call=wire.REQUEST_ID in attributes and texts[wire.REQUEST_ID] not in arrived,
            )
