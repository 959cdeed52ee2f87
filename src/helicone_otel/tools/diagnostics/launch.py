"""Starts the probe with a fake of Helicone's gateway, and returns what both saw."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ... import wire
from ...install.entry_points import ENDPOINT, LOG
from ..fakes.headers import is_well_formed
from ..fakes.loopback import serving
from ..fakes.requests import Request
from ..fakes.server import FakeHelicone
from .facts import RATIOS, SAMPLER, Probe, ProbeCall, Process
from .probe import AS_CONFIGURED, CALL_HEADER, OWN_ID

_SECONDS: Final = 20.0
_GATEWAYS: Final = "HELICONE_GATEWAY_HOSTS"
# The code of the command `opentelemetry-instrument`.
_LAUNCHER: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"


def run_probe(environ: Mapping[str, str]) -> Probe:
    """Start a process as `opentelemetry-instrument` starts an app, let it make calls, and return the result.

    Args:
        environ: The user's environment variables.
    """
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
    arrived = {request.header(CALL_HEADER): request for request in gateway.requests("gateway")}
    calls = tuple(_call(call, arrived) for call in seen["calls"])
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


def _call(call: Mapping[str, Any], arrived: Mapping[str | None, Request]) -> ProbeCall:
    plain, own, configured = (arrived.get(f"{call['sdk']}/{name}") for name in ("plain", "own", AS_CONFIGURED))
    return ProbeCall(
        **call,
        headers=plain.helicone_headers if plain else None,
        own_id_kept=own.header(wire.SESSION_ID_HEADER) == OWN_ID if own else None,
        key=_key_in(configured) if configured else None,
    )


def _key_in(request: Request) -> str:
    """Return how a request carries a key of Helicone's; empty if it carries none. The key itself is not kept."""
    if request.header("Helicone-Auth"):
        return "Helicone-Auth"
    api_key = request.header("X-Api-Key") or (request.header("Authorization") or "").removeprefix("Bearer ")
    return "API key" if is_well_formed(api_key) else ""
