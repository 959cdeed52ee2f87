"""The probe: a process that is started as `opentelemetry-instrument` starts an app, and makes calls.

    python -m helicone_otel.tools.diagnostics.probe URL RESULT

`URL` is a fake of Helicone's gateway on the loopback interface, which records the requests. The probe writes the state
of its process, its calls and secrets that its spans recorded to the file `RESULT`. No span and no row leaves the
process: the probe keeps the spans, and ends without flushing its exporters.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ... import wire
from ...install.configure import INSTALLATION
from .facts import Package
from .gather import INSTRUMENTORS, inspect_process, name_of, package_of
from .libraries import SDKS, Sdk

KEY: Final = "sk-doctor"
_MODEL: Final = "doctor"
_MESSAGES: Final[Any] = [{"role": "user", "content": "Would my headers leave?"}]
_PATH: Final = "/v1/chat/completions"
_BODY: Final[Any] = {"model": _MODEL, "messages": _MESSAGES}
_TIMEOUT: Final = 5.0

# Called with the address of the gateway, more headers, and an API key; with `None`, the SDK finds a key itself.
Caller = Callable[[str, Mapping[str, str], str | None], None]


def _openai(url: str, headers: Mapping[str, str], key: str | None) -> None:
    from openai import OpenAI  # noqa: PLC0415

    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=_TIMEOUT) as client:
        client.chat.completions.create(model=_MODEL, messages=_MESSAGES, extra_headers=headers)


def _anthropic(url: str, headers: Mapping[str, str], key: str | None) -> None:
    from anthropic import Anthropic  # noqa: PLC0415

    with Anthropic(base_url=url, api_key=key, max_retries=0, timeout=_TIMEOUT) as client:
        client.messages.create(model=_MODEL, max_tokens=16, messages=_MESSAGES, extra_headers=headers)


def _httpx(url: str, headers: Mapping[str, str], _: str | None) -> None:
    import httpx  # noqa: PLC0415

    httpx.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _httpx2(url: str, headers: Mapping[str, str], _: str | None) -> None:
    import httpx2  # noqa: PLC0415

    httpx2.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _requests(url: str, headers: Mapping[str, str], _: str | None) -> None:
    import requests  # noqa: PLC0415

    requests.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _aiohttp(url: str, headers: Mapping[str, str], _: str | None) -> None:
    import aiohttp  # noqa: PLC0415

    async def post() -> None:
        timeout = aiohttp.ClientTimeout(_TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.post(url + _PATH, json=_BODY, headers=headers),
        ):
            pass

    asyncio.run(post())


# By distribution. For an SDK that is not listed, the probe sends a plain request with the SDK's HTTP client.
SDK_CALLERS: Final[Mapping[str, Caller]] = {"openai": _openai, "anthropic": _anthropic}
CLIENT_CALLERS: Final[Mapping[str, Caller]] = {
    "httpx": _httpx,
    "httpx2": _httpx2,
    "requests": _requests,
    "aiohttp": _aiohttp,
}


# Names the call that a request belongs to: `<sdk>/plain`, `<sdk>/own` or `<sdk>/as configured`.
CALL_HEADER: Final = "X-Helicone-Otel-Doctor"
AS_CONFIGURED: Final = "as configured"
OWN_ID: Final = "an-id-of-the-callers-own"
# Sent as a key, and then searched for on the spans.
_SECRET: Final = "helicone-otel-doctor-looks-for-this"  # noqa: S105  # not a real secret
_AUTH: Final = "Helicone-Auth"


def main(url: str, result: str) -> None:
    """Make the calls, and write the result to a file.

    Args:
        url: The address of the fake gateway.
        result: The path of the file.
    """
    spans: list[ReadableSpan] = []
    for processor in (BatchSpanProcessor, SimpleSpanProcessor):
        # Keep the spans instead of exporting them.
        processor.on_end = lambda _, span: spans.append(span)  # type: ignore[method-assign]
    INSTALLATION.log(None)
    calls = [_call(sdk, package, url) for sdk in SDKS if (package := _package(sdk)) is not None]
    seen = {
        "process": dataclasses.asdict(inspect_process()),
        "calls": calls,
        "recorded": sorted(set(_recorded(spans))),
    }
    Path(result).write_text(json.dumps(seen))


def _package(sdk: Sdk) -> Package | None:
    try:
        found = distribution(sdk.library.distribution)
    except PackageNotFoundError:
        return None
    return package_of(found) if name_of(found) else None


def _call(sdk: Sdk, package: Package, url: str) -> dict[str, str | bool]:
    """Make three calls with an SDK: one with a session id of the caller's own, one as the environment configures it.

    Returns:
        The fields of `ProbeCall` that the probe knows: `sdk`, `via`, `bare`, `error` and `slow`.
    """
    name = sdk.library.distribution
    via = next((client for client in sdk.transports if client in package.requires), sdk.transports[-1])
    by_sdk = SDK_CALLERS.get(name)
    plain = {CALL_HEADER: f"{name}/plain", _AUTH: f"Bearer {_SECRET}"}
    own = {CALL_HEADER: f"{name}/own", wire.SESSION_ID_HEADER: OWN_ID}
    with contextlib.nullcontext() if by_sdk else _span_as_instrumented(sdk):
        call = by_sdk or CLIENT_CALLERS[via]
        error = _error_of(call, url, plain) or _error_of(call, url, own)
    if by_sdk and error is None:
        # Without a key in the environment it fails, and nothing arrives.
        _error_of(call, url, {CALL_HEADER: f"{name}/{AS_CONFIGURED}"}, key=None)
    text = f"{type(error).__name__}: {error}" if error else ""
    return {"sdk": name, "via": via, "bare": by_sdk is None, "error": text, "slow": _is_timeout(error)}


def _error_of(call: Caller, url: str, headers: dict[str, str], key: str | None = KEY) -> Exception | None:
    """Make a call, and return why it failed; `None` if it did not."""
    try:
        call(url, headers, key)
    except Exception as error:  # noqa: BLE001  # the report shows it
        return error
    return None


def _is_timeout(error: BaseException | None) -> bool:
    """Tell whether an error, or one that caused it, says that something took too long."""
    while error is not None:
        if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def _span_as_instrumented(sdk: Sdk) -> AbstractContextManager[object]:
    """Return a span as an SDK's instrumentation would make it for a call; no span if no instrumentation is active."""
    active = set(inspect_process().active)
    made_by = {point.name: name_of(point.dist) for point in entry_points(group=INSTRUMENTORS) if point.dist}
    if {made_by[name] for name in active & made_by.keys()}.isdisjoint(sdk.library.instrumentations):
        return contextlib.nullcontext()
    tracer = trace.get_tracer("opentelemetry.util.genai")
    return tracer.start_as_current_span(
        "chat", kind=trace.SpanKind.CLIENT, attributes={"gen_ai.operation.name": "chat"}
    )


def _recorded(spans: list[ReadableSpan]) -> Iterator[str]:
    """Yield the span attributes that contain the secret, each with its scope."""
    for span in spans:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        for name, value in (span.attributes or {}).items():
            if _SECRET in str(value):
                yield f"{name} ({scope})"


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stderr.flush()
    # A normal end would let the exporters flush; the probe must not export anything.
    os._exit(0)
