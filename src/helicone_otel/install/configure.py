"""Puts the pieces into an app: the one installer that both doors use, and the only one that wraps.

Wrapped are the provider's constructor (so that every provider gets the processor, whenever and by
whomever it is made), `set_global_textmap`, `on_end` of the two stock processors (so that the settled
copy reaches the user's own exporter), the methods of the SDK's pipelines of processors (`_prefix`) and
the send of HTTP clients (`_clients`). `uninstall` takes all of it out again; what a Python program has
imported by name before is beyond anyone's reach.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from .. import wire
from ..failures import log_that_library_is_off, log_that_log_is_off, swallow, warn_once
from ..otel.exporter import finalized
from ..otel.processor import HeliconeSpanProcessor
from ..otel.propagator import HeliconePropagator
from ..settings import Settings
from ..tracking.registry import REGISTRY
from .patches import Patches
from .pipeline import PIPELINES, PipelinePrefix

if TYPE_CHECKING:
    from ..log.exporter import HeliconeSpanExporter
    from ..log.worker import LogWorker

_Maker = Callable[[], SpanProcessor]


class Installation:
    """The pieces in a process: one processor, one propagator, and the wraps that bring them in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._installed = False
        self._patches = Patches()
        self._processor = HeliconeSpanProcessor()
        self._propagator = HeliconePropagator()
        self._prefix = PipelinePrefix(self._processor, REGISTRY)
        self._log: LogWorker | None = None
        self._flushes = False
        self._providers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._makers: list[_Maker] = []
        # The SDK takes no processor out again: what a provider was given once, it has for good.
        self._given: weakref.WeakKeyDictionary[Any, list[_Maker]] = weakref.WeakKeyDictionary()

    def install(self, settings: Settings, provider: trace.TracerProvider | None = None, build: bool = False) -> None:
        """Bring the pieces in, or only their new settings if they are in already.

        Does not raise: where they do not fit what they find, all of it is taken out again, which is
        one line in the log.

        Args:
            settings: What to do.
            provider: Gets the processor now; the global one if not given. Providers made later get
                it when they are made.
            build: Build the tracking engine now, not at the first span or header.
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
                    self._wrap()
                self._attach(provider if provider is not None else _global_provider())
                self._compose_global_textmap()
                if build:
                    REGISTRY.build()
            except Exception as error:  # noqa: BLE001  # the app must run as if we were not there
                self._take_out()
                log_that_library_is_off(error)

    @property
    def installed(self) -> bool:
        """Whether the pieces are in."""
        return self._installed

    def attends(self, provider: object) -> bool:
        """Tell whether the spans of a provider come to our processor."""
        return self._installed and sdk_provider(provider) in self._providers

    def log(self, exporter: HeliconeSpanExporter | None) -> None:
        """Have an exporter log what no gateway saw, of every provider; with `None`, log nothing any more."""
        if self._log is None:
            if exporter is None:
                return
            from ..log.worker import LogWorker  # noqa: PLC0415  # an app that logs nothing should not load it

            self._log = LogWorker(REGISTRY)
        self._log.switch(exporter)
        if exporter is not None and not self._flushes:
            self._flushes = True
            for pipeline in PIPELINES:
                self._patches.wrap(pipeline, "force_flush", self._prefix.flushing)
                self._patches.wrap(pipeline, "shutdown", self._prefix.shutting)

    @property
    def exporter(self) -> HeliconeSpanExporter | None:
        """The exporter that logs what no gateway saw, if one does."""
        return self._log.exporter if self._log is not None else None

    def add_to_all(self, make: _Maker) -> None:
        """Give every provider, those to come included, one more processor of its own; only once the same."""
        with self._lock:
            self._makers.append(make)
            for provider in self._providers:
                self._give(provider, make)

    def uninstall(self) -> None:
        """Take the wraps out, and make idle what OpenTelemetry does not let go: the processor, the propagator."""
        with self._lock:
            if self._installed:
                self._take_out()

    def _take_out(self) -> None:
        self._installed = False
        self._patches.undo()
        self._flushes = False
        self._restore_global_textmap()
        self._propagator.enabled = REGISTRY.active = REGISTRY.decides_at_end = False
        self._processor.disarm()
        self.log(None)
        REGISTRY.configure(REGISTRY.settings)
        REGISTRY.injected.clear()
        self._providers.clear()
        self._makers.clear()

    def _attach(self, provider: object) -> None:
        """Give a provider what all are given. A provider of whatever kind must not fail because of us."""
        try:
            provider = sdk_provider(provider)
            if provider is None or provider in self._providers:
                return
            self._providers.add(provider)
            for make in (self._the_processor, *self._makers):
                self._give(provider, make)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the app's TracerProvider()
            warn_once(
                f"helicone-otel cannot add its processor to a {type(provider).__name__}, whose spans get no "
                f"session: {type(error).__name__}: {error}"
            )

    def _the_processor(self) -> SpanProcessor:
        return self._processor

    def _give(self, provider: TracerProvider, make: _Maker) -> None:
        given = self._given.setdefault(provider, [])
        if make not in given:
            given.append(make)
            # The base's own method: Phoenix overrides it, to *replace* its exporter by what is added.
            TracerProvider.add_span_processor(provider, make())

    def _wrap(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415  # see the package's docstring

        self._patches.wrap(TracerProvider, "__init__", self._attaching)
        self._patches.wrap(propagate, "set_global_textmap", self._composing)
        for stock in (BatchSpanProcessor, SimpleSpanProcessor):
            self._patches.wrap(stock, "on_end", _finalizing)
        for pipeline in PIPELINES:
            self._patches.wrap(pipeline, "add_span_processor", self._prefix.adding)
            self._patches.wrap(pipeline, "on_start", self._prefix.starting)
            self._patches.wrap(pipeline, "on_end", self._prefix.ending)
        self._prefix.look_again()
        self._patches.hook_transports(REGISTRY)
        self._patches.watch_for_others()

    def _attaching(self, init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def __init__(provider: TracerProvider, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            init(provider, *args, **kwargs)
            if self._installed:
                self._attach(provider)

        return __init__

    def _composing(self, set_textmap: Callable[[TextMapPropagator], None]) -> Callable[[TextMapPropagator], None]:
        @functools.wraps(set_textmap)
        def set_global_textmap(http_text_format: TextMapPropagator) -> None:
            set_textmap(self._composed(http_text_format) if self._installed else http_text_format)

        return set_global_textmap

    def _composed(self, textmap: TextMapPropagator) -> TextMapPropagator:
        try:
            return textmap if wire.SESSION_ID_HEADER in textmap.fields else _Composed(textmap, self._propagator)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the app's set_global_textmap
            swallow("set_global_textmap", error)
            return textmap

    def _compose_global_textmap(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415  # see the package's docstring

        propagate.set_global_textmap(propagate.get_global_textmap())

    def _restore_global_textmap(self) -> None:
        propagate = sys.modules.get("opentelemetry.propagate")
        textmap = propagate.get_global_textmap() if propagate is not None else None
        if propagate is not None and isinstance(textmap, _Composed):
            propagate.set_global_textmap(textmap.inner)


class _Composed(CompositePropagator):
    """The app's own propagator, and ours after it."""

    def __init__(self, inner: TextMapPropagator, ours: HeliconePropagator) -> None:
        super().__init__([inner, ours])
        self.inner = inner


def sdk_provider(provider: object) -> TracerProvider | None:
    """Return a provider of the SDK as it is, or from behind a stand-in that holds it as Logfire's does."""
    if not isinstance(provider, TracerProvider):
        provider = getattr(provider, "provider", None)
    return provider if isinstance(provider, TracerProvider) else None


def _global_provider() -> object:
    if OTEL_PYTHON_TRACER_PROVIDER in os.environ:
        # To ask for the provider is to make it then, and to lock out one that the app is about to set.
        return getattr(trace, "_TRACER_PROVIDER", None)
    return trace.get_tracer_provider()


def _finalizing(on_end: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(on_end)
    def settling_on_end(processor: Any, span: ReadableSpan) -> None:
        on_end(processor, finalized(span) if REGISTRY.active else span)

    return settling_on_end


INSTALLATION = Installation()


def configure(
    settings: Settings | None = None,
    *,
    provider: trace.TracerProvider | None = None,
    log: bool | HeliconeSpanExporter | None = None,
) -> Installation:
    """Add Helicone Sessions to the app's tracer provider and propagator.

    May be called before or after the provider is made, and again with other settings; what is
    there already is not added twice.

    Args:
        settings: What to do; read from the environment if not given.
        provider: The provider to add the processor to; the global one if not given. One that was made
            before and is not the global one needs a call of its own; all that are made later are found.
        log: Whether what no gateway saw is logged to Helicone, or the exporter that does it, with hooks of your
            own; as the settings say if not given.

    Returns:
        A handle whose `uninstall()` takes everything out again.

    Raises:
        SettingsError: An environment variable has a value that cannot be used, or `log=True` and there is no key.
        TypeError: `provider` is no provider of the OpenTelemetry SDK.
    """
    if provider is not None and sdk_provider(provider) is None:
        raise TypeError(f"configure(provider=…) takes a TracerProvider of the SDK, not {type(provider).__name__}")
    settings = settings or Settings.from_environment()
    exporter = log if log is not None and not isinstance(log, bool) else None
    if log is True:
        exporter = _exporter(replace(settings, log=True))
    INSTALLATION.install(settings, provider, build=True)
    if log is None:
        log_as_set(settings)
    elif INSTALLATION.installed:
        INSTALLATION.log(exporter)
    return INSTALLATION


def log_as_set(settings: Settings) -> None:
    """Log what no gateway saw if the settings say so; where that cannot be, it is one line in the log."""
    if not settings.log or not INSTALLATION.installed:
        return
    try:
        INSTALLATION.log(_exporter(settings))
    except Exception as error:  # noqa: BLE001  # the app must run as if nothing were to be logged
        log_that_log_is_off(error)


def _exporter(settings: Settings) -> HeliconeSpanExporter:
    """Return an exporter that does what the settings say: the one that logs already, if it does."""
    from ..log.exporter import HeliconeSpanExporter  # noqa: PLC0415  # it takes time to load

    before = INSTALLATION.exporter
    if before is not None and replace(before.settings, log=True) == replace(settings, log=True):
        return before
    return HeliconeSpanExporter(settings=settings)
