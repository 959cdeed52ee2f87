"""Starts the probe, stands in for Helicone's gateway while it runs, and puts together what both saw."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from helicone_otel import _wire
from helicone_otel._by_name import ENDPOINT, LOG
from helicone_otel._cli.loopback import serving
from helicone_otel._testing.fake.requests import Request
from helicone_otel._testing.fake.server import FakeHelicone

from .facts import Call, Probe, Process
from .names import RATIOS, SAMPLER
from .probe import CALL_HEADER, OWN_ID

_SECONDS: Final = 20.0
_GATEWAYS: Final = "HELICONE_GATEWAY_HOSTS"
_LAUNCH: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"


def probe(environ: Mapping[str, str]) -> Probe:
    """Start a process as `opentelemetry-instrument` starts an app, have it call, and return what came of it."""
    gateway = FakeHelicone()
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
    arrived = {request.header(CALL_HEADER): request for request in gateway.requests("gateway")}
    calls = tuple(_call(call, arrived) for call in seen["calls"])
    return Probe(Process(**seen["process"]), calls, tuple(seen["recorded"]), log)


def _child_environment(environ: Mapping[str, str], stand_in: str) -> dict[str, str]:
    """Return the user's environment, with the stand-in as a gateway and nothing that leaves the machine."""
    child = {name: value for name, value in environ.items() if name not in (ENDPOINT, LOG)}
    child[_GATEWAYS] = ",".join(filter(None, [environ.get(_GATEWAYS, "").strip(), stand_in]))
    child["OTEL_METRICS_EXPORTER"] = child["OTEL_LOGS_EXPORTER"] = "none"
    for name in ("NO_PROXY", "no_proxy"):
        child[name] = ",".join(filter(None, [environ.get(name, ""), "127.0.0.1"]))
    if environ.get(SAMPLER, "").strip() in RATIOS:
        # The call is to be one that is sampled: what a ratio means is said elsewhere.
        child[SAMPLER] = "always_on"
    child["PYTHONWARNINGS"] = "ignore"
    return child


def _call(call: Mapping[str, Any], arrived: Mapping[str | None, Request]) -> Call:
    plain, own = arrived.get(f"{call['sdk']}/plain"), arrived.get(f"{call['sdk']}/own")
    return Call(
        **call,
        headers=plain.helicone_headers if plain else None,
        own_id_kept=own is None or own.header(_wire.SESSION_ID_HEADER) == OWN_ID,
    )
