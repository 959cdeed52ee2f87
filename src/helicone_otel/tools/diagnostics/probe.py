"""The probe: a process that is started as `opentelemetry-instrument` starts an app, and makes calls.

`run_probe` starts it with a fake of Helicone's gateway on the loopback interface, and returns what both saw:

    python -m helicone_otel.tools.diagnostics.probe URL RESULT

`URL` is the fake, which records the requests. The probe writes the state of its process, its calls and secrets that its
spans recorded to the file `RESULT`. No span and no row leaves the process: the probe keeps the spans, and ends without
flushing its exporters.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ... import wire
from ...install.configure import INSTALLATION
from ...install.entry_points import ENDPOINT, LOG
from .facts import RATIOS, SAMPLER, Package, Probe, ProbeCall, Process
from .gather import INSTRUMENTORS, inspect_process, name_of, package_of
from .libraries import SDKS, Sdk

if TYPE_CHECKING:
    from ..fakes.requests import Request

_SECONDS: Final = 20.0
_GATEWAYS: Final = "HELICONE_GATEWAY_HOSTS"
# The code of the command `opentelemetry-instrument`.
_LAUNCHER: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
# Names the call that a request belongs to: `<sdk>/plain`, `<sdk>/own` or `<sdk>/as configured`.
_CALL_HEADER: Final = "X-Helicone-Otel-Doctor"
_AS_CONFIGURED: Final = "as configured"
_OWN_ID: Final = "an-id-of-the-callers-own"
# Sent as a key, and then searched for on the spans.
_SECRET: Final = "helicone-otel-doctor-looks-for-this"  # noqa: S105  # not a real secret
_AUTH: Final = "Helicone-Auth"
_KEY: Final = "sk-doctor"
_MODEL: Final = "doctor"
_MESSAGES: Final[Any] = [{"role": "user", "content": "Would my headers leave?"}]
_PATH: Final = "/v1/chat/completions"
_BODY: Final[Any] = {"model": _MODEL, "messages": _MESSAGES}
_TIMEOUT: Final = 5.0


# --- in the process of the doctor --------------------------------------------------------------------


def run_probe(environ: Mapping[str, str]) -> Probe:
    """Start a process as `opentelemetry-instrument` starts an app, let it make calls, and return the result.

    Args:
        environ: The user's environment variables.
    """
    # The probe imports this module as well, and must not load what an app does not.
    from ..fakes.loopback import serving  # noqa: PLC0415
    from ..fakes.server import FakeHelicone  # noqa: PLC0415

    gateway = FakeHelicone()
    with serving(gateway), tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        # `-P`, so that Python does not import a file in the user's folder that has the name of one of our modules.
        module = [sys.executable, "-P", "-m", "helicone_otel.tools.diagnostics.probe", gateway.url, str(result)]
        try:
            done = subprocess.run(  # noqa: S603  # our own interpreter
                [sys.executable, "-P", "-c", _LAUNCHER, *module],
                env=_probe_environment(environ, gateway.url.removeprefix("http://")),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Probe(failure=f"it did not end within {_SECONDS:.0f} s", slow=True)
        log = tuple(done.stderr.decode(errors="replace").splitlines())
        if not result.exists():
            return Probe(log=log, failure=f"it ended with exit code {done.returncode}")
        seen = json.loads(result.read_text())
    arrived = {request.header(_CALL_HEADER): request for request in gateway.requests("gateway")}
    calls = tuple(_probe_call(call, arrived) for call in seen["calls"])
    return Probe(Process(**seen["process"]), calls, tuple(seen["recorded"]), log)


def _probe_environment(environ: Mapping[str, str], fake_gateway: str) -> dict[str, str]:
    """Return the user's environment, changed so that the fake is a gateway and nothing leaves the machine."""
    changed = {name: value for name, value in environ.items() if name not in (ENDPOINT, LOG)}
    changed[_GATEWAYS] = ",".join(filter(None, [environ.get(_GATEWAYS, "").strip(), fake_gateway]))
    changed["OTEL_METRICS_EXPORTER"] = changed["OTEL_LOGS_EXPORTER"] = "none"
    for name in ("NO_PROXY", "no_proxy"):
        changed[name] = ",".join(filter(None, [environ.get(name, ""), "127.0.0.1"]))
    if environ.get(SAMPLER, "").strip() in RATIOS:
        # The probe's calls must be sampled. Another check judges the ratio.
        changed[SAMPLER] = "always_on"
    changed["PYTHONWARNINGS"] = "ignore"
    return changed


def _probe_call(call: Mapping[str, Any], arrived: Mapping[str | None, Request]) -> ProbeCall:
    plain, own, configured = (arrived.get(f"{call['sdk']}/{name}") for name in ("plain", "own", _AS_CONFIGURED))
    return ProbeCall(
        **call,
        headers=plain.helicone_headers if plain else None,
        own_id_kept=own.header(wire.SESSION_ID_HEADER) == _OWN_ID if own else None,
        key=_key_in(configured) if configured else None,
    )


def _key_in(request: Request) -> str:
    """Return how a request carries a key of Helicone's; empty if it carries none. The key itself is not kept."""
    from ..fakes.headers import is_well_formed  # noqa: PLC0415  # as in `run_probe`

    if request.header(_AUTH):
        return _AUTH
    api_key = request.header("X-Api-Key") or (request.header("Authorization") or "").removeprefix("Bearer ")
    return "API key" if is_well_formed(api_key) else ""


# --- in the probe ------------------------------------------------------------------------------------

# Called with the address of the gateway, more headers, and an API key; with `None`, the SDK finds a key itself.
_Caller = Callable[[str, Mapping[str, str], str | None], None]


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
_SDK_CALLERS: Final[Mapping[str, _Caller]] = {"openai": _openai, "anthropic": _anthropic}
_CLIENT_CALLERS: Final[Mapping[str, _Caller]] = {
    "httpx": _httpx,
    "httpx2": _httpx2,
    "requests": _requests,
    "aiohttp": _aiohttp,
}


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
    by_sdk = _SDK_CALLERS.get(name)
    plain = {_CALL_HEADER: f"{name}/plain", _AUTH: f"Bearer {_SECRET}"}
    own = {_CALL_HEADER: f"{name}/own", wire.SESSION_ID_HEADER: _OWN_ID}
    with contextlib.nullcontext() if by_sdk else _span_as_instrumented(sdk):
        call = by_sdk or _CLIENT_CALLERS[via]
        error = _error_of(call, url, plain) or _error_of(call, url, own)
    if by_sdk and error is None:
        # Without a key in the environment it fails, and nothing arrives.
        _error_of(call, url, {_CALL_HEADER: f"{name}/{_AS_CONFIGURED}"}, key=None)
    text = f"{type(error).__name__}: {error}" if error else ""
    return {"sdk": name, "via": via, "bare": by_sdk is None, "error": text, "slow": _is_timeout(error)}


def _error_of(call: _Caller, url: str, headers: dict[str, str], key: str | None = _KEY) -> Exception | None:
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
