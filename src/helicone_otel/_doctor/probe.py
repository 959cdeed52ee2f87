"""The probe: runs in a process of its own that was started as `opentelemetry-instrument` starts an app.

    python -m helicone_otel._doctor.probe URL RESULT

`URL` is a stand-in for Helicone's gateway on loopback, which notes what arrives; what this process
is like inside, and what its spans recorded, goes to the file `RESULT`. No span leaves the process:
what would be exported is kept here, and the process ends without a goodbye to its exporters.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from helicone_otel import _wire

from .calls import CLIENT_CALLERS, SDK_CALLERS, Caller
from .facts import Installed
from .inside import look_inside
from .installed import look
from .libraries import SDKS, Sdk

# Tells the stand-in which call a request belongs to: `<sdk>/plain` or `<sdk>/own`.
CALL_HEADER: Final = "X-Helicone-Otel-Doctor"
OWN_ID: Final = "an-id-of-the-callers-own"
_SECRET: Final = "helicone-otel-doctor-looks-for-this"  # noqa: S105  # it is none
_AUTH: Final = "Helicone-Auth"


def transport_of(sdk: Sdk, installed: Installed) -> str:
    """Return the HTTP client of an SDK: the first of those it has used that its installed version requires."""
    package = installed.get(sdk.library.distribution)
    required = package.requires if package else {}
    return next((client for client in sdk.transports if client in required), sdk.transports[-1])


def main(url: str, result: str) -> None:
    """Make the calls, and write down what was seen inside."""
    spans: list[ReadableSpan] = []
    for stock in (BatchSpanProcessor, SimpleSpanProcessor):
        stock.on_end = lambda _, span: spans.append(span)  # type: ignore[method-assign]  # see the module's docstring
    installed = look()
    errors = {
        sdk.library.distribution: _call(sdk, installed, url) for sdk in SDKS if installed.get(sdk.library.distribution)
    }
    seen = {
        "process": dataclasses.asdict(look_inside()),
        "errors": errors,
        "recorded": sorted(set(_recorded(spans))),
    }
    Path(result).write_text(json.dumps(seen))


def _call(sdk: Sdk, installed: Installed, url: str) -> str:
    """Call twice, without and with an id of the caller's own; return what went wrong, or nothing."""
    name = sdk.library.distribution
    call = SDK_CALLERS.get(name)
    stand_in = contextlib.nullcontext()
    if call is None:
        call = CLIENT_CALLERS[transport_of(sdk, installed)]
        stand_in = _span_of(sdk, installed)
    plain = {CALL_HEADER: f"{name}/plain", _AUTH: f"Bearer {_SECRET}"}
    own = {CALL_HEADER: f"{name}/own", _wire.SESSION_ID_HEADER: OWN_ID}
    with stand_in:
        return _tried(call, url, plain) or _tried(call, url, own)


def _tried(call: Caller, url: str, headers: dict[str, str]) -> str:
    try:
        call(url, headers)
    except Exception as error:  # noqa: BLE001  # a person is to read it
        return f"{type(error).__name__}: {error}"
    return ""


def _span_of(sdk: Sdk, installed: Installed) -> Any:
    """Return the span that an SDK's instrumentation would make around its request, if there is one that is active."""
    active = look_inside().active
    for distribution in sdk.library.instrumentations:
        if any(each.name in active for each in installed.made_by(distribution)):
            tracer = trace.get_tracer("opentelemetry.util.genai")
            attributes = {"gen_ai.operation.name": "chat"}
            return tracer.start_as_current_span("chat", kind=trace.SpanKind.CLIENT, attributes=attributes)
    return contextlib.nullcontext()


def _recorded(spans: list[ReadableSpan]) -> Iterator[str]:
    for span in spans:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        for name, value in (span.attributes or {}).items():
            if _SECRET in str(value):
                yield f"{name} ({scope})"


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stderr.flush()
    # Exporters flush when a process ends in the usual way; this one has nothing to say to them.
    os._exit(0)
