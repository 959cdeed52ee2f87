"""Looks around in the process that it runs in: the app's, or one started like it.

The SDK tells neither its processors nor its exporters by public names. What cannot be read is left
out; nothing is written.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider

from helicone_otel import _guard, _wire
from helicone_otel._bootstrap import INSTALLATION, sdk_provider
from helicone_otel._processor import HeliconeSpanProcessor
from helicone_otel._registry import REGISTRY

from .facts import Process
from .installed import INSTRUMENTORS
from .libraries import SERVING_MODULES


def look_inside() -> Process:
    """Return what this process is like."""
    # Not imported above: see the package's docstring.
    from opentelemetry.propagate import get_global_textmap  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    provider = sdk_provider(provider) or provider
    processors = list(_processors(getattr(provider, "_active_span_processor", None)))
    location = REGISTRY.locate()
    return Process(
        provider=_name_of(provider),
        # With `OTEL_SDK_DISABLED=true` the SDK's provider hands out tracers that do nothing.
        records=isinstance(provider, TracerProvider) and not getattr(provider, "_disabled", False),
        labels=INSTALLATION.attends(provider) or any(isinstance(each, HeliconeSpanProcessor) for each in processors),
        injects=_injects(get_global_textmap()),
        installed=INSTALLATION.installed and REGISTRY.active,
        exporters=tuple(_name_of(exporter) for each in processors if (exporter := _exporter_of(each)) is not None),
        sampler=_described(getattr(provider, "sampler", None)),
        active=tuple(_active_instrumentations()),
        scrubs=_logfire_scrubs(),
        serves=next((name.partition(".")[0] for name in SERVING_MODULES if name in sys.modules), ""),
        swallowed=_guard.swallowed(),
        session=location.session.wire_id if location else "",
        path=str(location.path) if location else "",
    )


def _injects(textmap: TextMapPropagator) -> bool:
    with contextlib.suppress(Exception):  # the app's own may not know its fields
        return _wire.SESSION_ID_HEADER in textmap.fields
    return False


def _processors(processor: Any) -> Iterator[Any]:
    if processor is None:
        return
    yield processor
    # One that holds several; and vendors' wrappers around one.
    held = getattr(processor, "_span_processors", None) or (getattr(processor, "processor", None),)
    for each in held:
        yield from _processors(each)


def _exporter_of(processor: Any) -> Any:
    batch = getattr(processor, "_batch_processor", None)
    return getattr(processor, "span_exporter", None) or getattr(batch, "_exporter", None)


def _described(sampler: Any) -> str:
    return str(sampler.get_description()) if sampler is not None else ""


def _active_instrumentations() -> Iterator[str]:
    for point in entry_points(group=INSTRUMENTORS):
        # One that is active has been imported; importing the others would change the app.
        module = sys.modules.get(point.module)
        instance = getattr(getattr(module, point.attr, None), "_instance", None)
        if getattr(instance, "is_instrumented_by_opentelemetry", False):
            yield point.name


def _logfire_scrubs() -> bool:
    logfire = sys.modules.get("logfire")
    if logfire is None:
        return False
    config = getattr(getattr(logfire, "DEFAULT_LOGFIRE_INSTANCE", None), "config", None)
    return bool(getattr(config, "_initialized", False)) and getattr(config, "scrubbing", None) is not False


def _name_of(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
