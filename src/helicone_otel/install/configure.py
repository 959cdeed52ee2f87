"""Installs the library in an app: `configure()`, and the installer that the instrumentor uses as well.

Only this installer wraps functions of other libraries:

* the constructor of `TracerProvider`, so that it is known who made a provider, and each of the app gets our processor;
* `set_global_textmap`, so that our propagator stays beside the app's own;
* `on_end` of the SDK's two exporting processors, so that the app's own exporter gets finalized spans;
* the methods of the SDK's pipelines of processors (`pipeline.py`);
* the methods with which HTTP clients send requests (`http/clients.py`).

`uninstall` restores all of them. Where a program has imported such a function by its name, we cannot reach it.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ..failures import log_that_library_is_off, log_that_log_is_off, logger, notice, warn_once
from ..otel.exporter import finalized
from ..otel.processor import HeliconeSpanProcessor
from ..otel.propagator import HeliconePropagator
from ..settings import Settings, SettingsError, misspelt_text, misspelt_variables
from ..tracking.registry import REGISTRY
from .patches import Patches
from .pipeline import PIPELINES, Gate, PipelinePrefix
from .provider_owners import ProviderOwners, calling_module
from .textmap import extended, original_of

if TYPE_CHECKING:
    from ..log.exporter import HeliconeSpanExporter
    from ..log.worker import LogWorker

_ProcessorFactory = Callable[[], SpanProcessor]


class Installation:
    """The library in this process: one processor, one propagator, and the wrapped functions.

    `configure()` returns it as a handle, for its `uninstall()`.
    """

    def __init__(self) -> None:
        # Reentrant: a greenlet that waits while it holds a lock that is older than gevent's patch must stop no other.
        self._lock = threading.RLock()
        self._installed = False
        self._patches = Patches()
        self._processor = HeliconeSpanProcessor()
        self._propagator = HeliconePropagator()
        self._owners = ProviderOwners()
        self._prefix = PipelinePrefix(self._processor, REGISTRY, self._decide, _global_sdk_provider)
        self._log: LogWorker | None = None
        self._wraps_flush = False
        # Whether there was a provider of the app's: it may be gone at exit.
        self._met_provider = False
        self._factories: list[_ProcessorFactory] = []

    def install(self, settings: Settings, provider: trace.TracerProvider | None = None, build: bool = False) -> None:
        """Install the library, or only apply new settings if it is installed already.

        Never raises. If something fails, everything is removed again, and the log gets one line.

        Args:
            settings: The settings to apply.
            provider: A provider whose spans are the app's, besides the global one.
            build: Whether to build the tracking engine now, and not at the first span or header.
        """
        with self._lock:
            try:
                labelling = settings.without_log()
                if REGISTRY.settings != labelling:
                    REGISTRY.configure(labelling)
                if not self._installed:
                    self._installed = True
                    self._processor.arm(REGISTRY)
                    self._propagator.enabled = REGISTRY.active = True
                    self._wrap_functions()
                self._decide_again(sdk_provider(provider))
                self._extend_global_textmap()
                if build:
                    REGISTRY.build()
            except Exception as error:  # noqa: BLE001  # the app must run as if we were not there
                self._remove_everything()
                log_that_library_is_off(error)

    @property
    def installed(self) -> bool:
        """Whether the library is installed now."""
        return self._installed

    def take_unknown_providers(self, takes: bool) -> None:
        """Take providers for the app's of which nothing is known, or no longer do so."""
        self._owners.takes_unknown = takes
        self._prefix.forget_decisions()

    def has_processor(self, provider: object) -> bool:
        """Tell whether our processor gets the spans of a provider."""
        sdk = sdk_provider(provider)
        return self._installed and sdk is not None and self._prefix.is_open(self._prefix.gate_of(sdk))

    def providers(self) -> list[tuple[TracerProvider | None, bool, str]]:
        """Return the providers that were seen: each with whether its spans are labelled, and why."""
        if not self._installed:
            return []
        return [(gate.provider, self._prefix.is_open(gate), gate.reason) for gate in self._prefix.gates]

    def log(self, exporter: HeliconeSpanExporter | None) -> None:
        """Log the requests of all the app's providers that no gateway saw.

        Args:
            exporter: Makes and sends the rows. With `None`, nothing is logged from now on.
        """
        if self._log is None:
            if exporter is None:
                return
            from ..log.worker import LogWorker  # noqa: PLC0415  # an app that logs nothing should not load it
            from .greenlets import load_after_patch  # noqa: PLC0415

            load_after_patch()
            self._log = LogWorker(REGISTRY)
        self._log.switch(exporter)
        atexit.unregister(self._warn_if_nothing_made_spans)
        if exporter is not None:
            atexit.register(self._warn_if_nothing_made_spans)
        if exporter is not None and not self._wraps_flush:
            self._wraps_flush = True
            for pipeline in PIPELINES:
                self._patches.wrap(pipeline, "force_flush", self._prefix.wrapped_force_flush)
                self._patches.wrap(pipeline, "shutdown", self._prefix.wrapped_shutdown)

    @property
    def exporter(self) -> HeliconeSpanExporter | None:
        """The exporter that logs the requests that no gateway saw; `None` if none does."""
        return self._log.exporter if self._log is not None else None

    def _warn_if_nothing_made_spans(self) -> None:
        """Say at exit that no row could be made, which nothing else would say. Never raises."""
        if not self._met_provider and isinstance(_global_provider(), trace.ProxyTracerProvider):
            notice(
                "helicone-otel logs nothing to Helicone: nothing makes spans. Start the app with "
                "opentelemetry-instrument, or set a TracerProvider."
            )

    def add_processor_to_all(self, factory: _ProcessorFactory) -> None:
        """Add another processor to each provider of the app, now and when there is another one.

        Args:
            factory: Makes the processor. It is called once for each provider.
        """
        with self._lock:
            self._factories.append(factory)
            for gate in self._prefix.gates:
                if gate.is_open:  # the others get it when they are opened
                    gate.add(factory)

    def uninstall(self) -> None:
        """Restore the wrapped functions, and make the processor and the propagator idle.

        OpenTelemetry has no way to remove these two.
        """
        with self._lock:
            if self._installed:
                self._remove_everything()

    def _remove_everything(self) -> None:
        self._installed = False
        self._patches.undo()
        self._wraps_flush = self._met_provider = False
        self._restore_global_textmap()
        self._propagator.enabled = REGISTRY.active = REGISTRY.decides_at_end = REGISTRY.is_hooking = False
        self._processor.disarm()
        self.log(None)
        REGISTRY.configure(REGISTRY.settings)
        REGISTRY.injected.clear()
        self._prefix.close()
        self._owners.given.clear()
        self._factories.clear()

    # --- providers ----------------------------------------------------------------------------------

    def _decide_again(self, given: TracerProvider | None) -> None:
        """Decide again whose the providers are.

        Args:
            given: A provider that the app has given to `configure()`.
        """
        self._prefix.forget_decisions()
        provider = given if given is not None else _global_sdk_provider()
        if provider is None:
            return
        if given is not None:
            self._met_provider = True
            self._owners.given.add(given)
        try:
            gate = self._prefix.gate_of(provider)
        except Exception as error:  # noqa: BLE001  # the library is of use to other providers
            _warn_of_closed_provider(provider, error)
            return
        if given is not None and not self._prefix.is_open(gate):
            warn_once(f"helicone-otel labels no span of the provider that configure(provider=…) names: {gate.reason}.")

    def _decide(self, gate: Gate, resource: object) -> bool:
        """Decide whether a provider's spans are the app's; if so, add the processors for all providers to it."""
        if not self._installed:
            return False
        current = _global_sdk_provider()
        if current is not None:
            self._prefix.gate_of(current)  # the gate may not know yet that it stands for this one
        provider, pipeline = gate.provider, gate.pipeline
        resource = getattr(provider, "resource", resource)
        verdict = self._owners.verdict(provider, pipeline, resource, is_global=provider is current is not None)
        gate.reason = verdict.reason
        if verdict.vendors_service:
            REGISTRY.vendors_services.add(verdict.vendors_service)
        if verdict.is_apps:
            self._met_provider = True
            for factory in self._factories:
                gate.add(factory)
        return verdict.is_apps

    # --- wrapped functions --------------------------------------------------------------------------

    def _wrap_functions(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415  # see the docstring of `helicone_otel`

        self._patches.wrap(TracerProvider, "__init__", self._wrapped_provider_init)
        self._patches.wrap(propagate, "set_global_textmap", self._wrapped_set_global_textmap)
        for stock in (BatchSpanProcessor, SimpleSpanProcessor):
            self._patches.wrap(stock, "on_end", _wrapped_on_end)
        for pipeline in PIPELINES:
            self._patches.wrap(pipeline, "add_span_processor", self._prefix.wrapped_add_span_processor)
            self._patches.wrap(pipeline, "on_start", self._prefix.wrapped_on_start)
            self._patches.wrap(pipeline, "on_end", self._prefix.wrapped_on_end)
        self._prefix.check_pipelines()
        self._patches.hook_transports(REGISTRY)
        self._patches.watch_sdks()

    def _wrapped_provider_init(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return a constructor of `TracerProvider` that adds our processor at its end."""

        @functools.wraps(original)
        def __init__(provider: TracerProvider, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(provider, *args, **kwargs)
            if self._installed:
                try:
                    self._owners.note_maker(provider, calling_module(1))
                    self._prefix.gate_of(provider)
                except Exception as error:  # noqa: BLE001  # an exception here would come out of the app's code
                    _warn_of_closed_provider(provider, error)

        return __init__

    def _wrapped_set_global_textmap(
        self, original: Callable[[TextMapPropagator], None]
    ) -> Callable[[TextMapPropagator], None]:
        """Return a `set_global_textmap` that sets the app's propagator with ours after it."""

        @functools.wraps(original)
        def set_global_textmap(http_text_format: TextMapPropagator) -> None:
            original(extended(http_text_format, self._propagator) if self._installed else http_text_format)

        return set_global_textmap

    def _extend_global_textmap(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415  # see the docstring of `helicone_otel`

        propagate.set_global_textmap(propagate.get_global_textmap())

    def _restore_global_textmap(self) -> None:
        propagate = sys.modules.get("opentelemetry.propagate")
        textmap = propagate.get_global_textmap() if propagate is not None else None
        if propagate is not None and textmap is not None and (original := original_of(textmap)) is not None:
            propagate.set_global_textmap(original)


def _warn_of_closed_provider(provider: TracerProvider, error: Exception) -> None:
    warn_once(
        f"helicone-otel cannot add its processor to a {type(provider).__name__}, so the spans of this provider get no "
        f"session: {type(error).__name__}: {error}"
    )


def _wrapped_on_end(original: Callable[..., None]) -> Callable[..., None]:
    """Return an `on_end` that hands the finalized span on to the exporter."""

    @functools.wraps(original)
    def on_end(processor: Any, span: ReadableSpan) -> None:
        original(processor, finalized(span) if REGISTRY.active else span)

    return on_end


def sdk_provider(provider: object) -> TracerProvider | None:
    """Return the SDK's provider that this is, or that it has as `provider` (Logfire's has), or `None`."""
    if not isinstance(provider, TracerProvider):
        provider = getattr(provider, "provider", None)
    return provider if isinstance(provider, TracerProvider) else None


def _global_sdk_provider() -> TracerProvider | None:
    return sdk_provider(_global_provider())


def _global_provider() -> object:
    if OTEL_PYTHON_TRACER_PROVIDER in os.environ:
        # `get_tracer_provider()` would make the provider now, and the app could no longer set its own.
        return getattr(trace, "_TRACER_PROVIDER", None)
    return trace.get_tracer_provider()


INSTALLATION = Installation()


def configure(
    settings: Settings | None = None,
    *,
    provider: trace.TracerProvider | None = None,
    log: bool | HeliconeSpanExporter | None = None,
) -> Installation:
    """Add Helicone Sessions to the app's tracer provider and propagator.

    Call it before or after the app makes its provider. Calling it again applies other settings; nothing is added
    twice.

        configure()  # settings from the environment
        configure(Settings(session_name="Trip Planning"))
        configure(log=True)  # also logs what no gateway saw, with HELICONE_API_KEY

    Args:
        settings: The settings; read from the environment if not given.
        provider: A provider whose spans are the app's. The global one's are, and those of SDKs that are known, whenever
            they are made. Each other one needs a call of its own.
        log: Whether to log the requests that no gateway saw to Helicone. An exporter logs them as it was made to.
            If not given, the settings decide.

    Returns:
        A handle whose `uninstall()` removes everything again.

    Raises:
        SettingsError: An environment variable has a value that cannot be used, or `log=True` and there is no key.
        TypeError: `provider` is no provider of the OpenTelemetry SDK.
    """
    if provider is not None and sdk_provider(provider) is None:
        raise TypeError(
            f"configure(provider=…) must be a TracerProvider of the OpenTelemetry SDK, not {type(provider).__name__}"
        )
    if settings is None:
        settings = Settings.from_environment()
        _warn_of_misspelt_variables()
    exporter = log if log is not None and not isinstance(log, bool) else None
    if log is True:
        exporter = _exporter_for(replace(settings, log=True))
    INSTALLATION.install(settings, provider, build=True)
    if log is None:
        log_if_enabled(settings)
    elif INSTALLATION.installed:
        INSTALLATION.log(exporter)
    _log_start(settings)
    return INSTALLATION


def install_from_environment(options: Mapping[str, object]) -> None:
    """Install the library with the settings of the environment. A bad setting of the log switches only the log off.

    Args:
        options: What a configuration file of OpenTelemetry says of us, by the fields of `Settings`.

    Raises:
        SettingsError: Another setting has a value that cannot be used.
    """
    try:
        settings = Settings.from_environment(options=options)
    except SettingsError as error:
        settings = Settings.from_environment(options=options, log=False)
        log_that_log_is_off(error)
    INSTALLATION.install(settings)
    log_if_enabled(settings)
    _warn_of_misspelt_variables()
    _log_start(settings)


def _warn_of_misspelt_variables() -> None:
    for name, meant in misspelt_variables(os.environ):
        notice(misspelt_text(name, meant))


def _log_start(settings: Settings) -> None:
    if INSTALLATION.installed and logger.isEnabledFor(logging.INFO):
        logger.info("helicone-otel is on. Settings: %s", settings.changed() or "the defaults")


def log_if_enabled(settings: Settings) -> None:
    """Log the requests that no gateway saw, if the settings say so. Never raises; a failure is one line in the log."""
    if not settings.log or not INSTALLATION.installed:
        return
    try:
        INSTALLATION.log(_exporter_for(settings))
    except Exception as error:  # noqa: BLE001  # the app must run as if nothing were to be logged
        log_that_log_is_off(error)


def _exporter_for(settings: Settings) -> HeliconeSpanExporter:
    """Return an exporter with these settings: the present one, if it has the same."""
    from ..log.exporter import HeliconeSpanExporter  # noqa: PLC0415  # it takes time to load

    present = INSTALLATION.exporter
    if present is not None and replace(present.settings, log=True) == replace(settings, log=True):
        return present
    return HeliconeSpanExporter(settings=settings)
