"""Starts the probe, stands in for Helicone's gateway while it runs, and puts together what both saw."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from helicone_otel import _wire
from helicone_otel._cli.environment import ENDPOINT
from helicone_otel._cli.loopback import serving
from helicone_otel._testing.gateway import Gateway, Request

from .calls import SDK_CALLERS
from .facts import Call, Installed, Probe, Process
from .libraries import SDKS
from .probe import CALL_HEADER, OWN_ID, transport_of

_SECONDS: Final = 20.0
_GATEWAYS: Final = "HELICONE_GATEWAY_HOSTS"
_LAUNCH: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
_RATIOS: Final = ("traceidratio", "parentbased_traceidratio")


def probe(environ: Mapping[str, str], installed: Installed) -> Probe:
    """Start a process as `opentelemetry-instrument` starts an app, have it call, and return what came of it."""
    gateway = Gateway()
    with serving(gateway), tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        # `-P`: a file of the user's that is named like a module of ours must not be imported.
        module = [sys.executable, "-P", "-m", "helicone_otel._doctor.probe", gateway.url, str(result)]
        try:
            done = subprocess.run(  # noqa: S603  # our own interpreter
                [sys.executable, "-P", "-c", _LAUNCH, *module],
                env=_child_environment(environ, gateway.url.removeprefix("http://")),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Probe(failure=f"it did not come to an end within {_SECONDS:.0f} s")
        log = tuple(done.stderr.decode(errors="replace").splitlines())
        if not result.exists():
            return Probe(log=log, failure=f"it ended with exit code {done.returncode}")
        seen = json.loads(result.read_text())
    calls = tuple(_calls(gateway.requests, seen["errors"], installed))
    return Probe(Process(**seen["process"]), calls, tuple(seen["recorded"]), log)


def _child_environment(environ: Mapping[str, str], stand_in: str) -> dict[str, str]:
    """Return the user's environment, with the stand-in as a gateway and nothing that leaves the machine."""
    child = {name: value for name, value in environ.items() if name != ENDPOINT}
    child[_GATEWAYS] = ",".join(filter(None, [environ.get(_GATEWAYS, "").strip(), stand_in]))
    child["OTEL_METRICS_EXPORTER"] = child["OTEL_LOGS_EXPORTER"] = "none"
    for name in ("NO_PROXY", "no_proxy"):
        child[name] = ",".join(filter(None, [environ.get(name, ""), "127.0.0.1"]))
    if environ.get("OTEL_TRACES_SAMPLER", "").strip() in _RATIOS:
        # The call is to be one that is sampled: what a ratio means is said elsewhere.
        child["OTEL_TRACES_SAMPLER"] = "always_on"
    child["PYTHONWARNINGS"] = "ignore"
    return child


def _calls(requests: list[Request], errors: Mapping[str, str], installed: Installed) -> Iterator[Call]:
    arrived = {request.header(CALL_HEADER): request for request in requests}
    for sdk in SDKS:
        name = sdk.library.distribution
        if name not in errors:
            continue
        plain, own = arrived.get(f"{name}/plain"), arrived.get(f"{name}/own")
        yield Call(
            sdk=name,
            via=transport_of(sdk, installed),
            bare=name not in SDK_CALLERS,
            headers=plain.helicone_headers if plain else None,
            own_id_kept=own is None or own.header(_wire.SESSION_ID_HEADER) == OWN_ID,
            error=errors[name],
        )
