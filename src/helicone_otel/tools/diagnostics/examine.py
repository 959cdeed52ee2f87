"""Starts the probe, stands in for Helicone's gateway while it runs, and puts together what both saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ... import wire
from ...install.entry_points import ENDPOINT, LOG
from ..fakes.loopback import serving
from ..fakes.requests import Request
from ..fakes.server import FakeHelicone
from ..redaction import Redaction
from ..terminal import visible
from .checks import CHECKS
from .facts import RATIOS, SAMPLER, Call, Facts, Probe, Process
from .gather import look, look_inside
from .probe import CALL_HEADER, OWN_ID
from .report import Check, Finding, Line, Report, unknown

_SECONDS: Final = 20.0
_GATEWAYS: Final = "HELICONE_GATEWAY_HOSTS"
_LAUNCH: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"


def probe(environ: Mapping[str, str]) -> Probe:
    """Start a process as `opentelemetry-instrument` starts an app, have it call, and return what came of it."""
    gateway = FakeHelicone()
    with serving(gateway), tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        # `-P`: a file of the user's that is named like a module of ours must not be imported.
        module = [sys.executable, "-P", "-m", "helicone_otel.tools.diagnostics.probe", gateway.url, str(result)]
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
        own_id_kept=own is None or own.header(wire.SESSION_ID_HEADER) == OWN_ID,
    )


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> Report:
    """Return what the checks find. None of them can fail the others."""
    redacted = Redaction(facts.environ)
    return Report(
        tuple(
            Line(check.name, check.group, _shown(finding, redacted))
            for check in checks
            for finding in _found(check, facts)
        )
    )


def _found(check: Check, facts: Facts) -> Iterable[Finding]:
    try:
        return list(check.look(facts))
    except Exception as error:  # noqa: BLE001  # the other checks still have something to say
        return [unknown(f"The check {check.name} failed: {type(error).__name__}: {error}", "please report it")]


def _shown(finding: Finding, redacted: Redaction) -> Finding:
    # Names and messages come from the environment and from others' logs.
    return replace(finding, text=visible(redacted(finding.text)), remedy=visible(redacted(finding.remedy)))


def examine_environment(environ: Mapping[str, str]) -> Report:
    """Return what would leave from an app started in this environment by `opentelemetry-instrument`."""

    def gather() -> Facts:
        with ThreadPoolExecutor(1) as beside:
            probing = beside.submit(probe, environ)
            installed = look()
            return Facts(environ, installed, probe=probing.result())

    return _examined(gather, environ)


def with_what_arrives(report: Report, environ: Mapping[str, str]) -> Report:
    """Return a report to which is added what came of a session that was logged and read back."""
    from .send import send  # noqa: PLC0415  # an exporter and a client, which few need

    sent = examine(Facts(environ), (Check("send", "Log", lambda facts: send(facts.environ)),))
    return replace(report, lines=(*report.lines, *sent.lines))


def examine_process() -> Report:
    """Return what leaves, and would leave, from this process."""
    return _examined(lambda: Facts(os.environ, look(), process=look_inside()), os.environ)


def _examined(gather: Callable[[], Facts], environ: Mapping[str, str]) -> Report:
    """Return what the checks find in the facts; where these cannot be had, no check has anything to judge by."""
    try:
        facts = gather()
    except Exception as error:  # noqa: BLE001  # an app may ask, and is not to fail because it did
        text = f"The installation could not be looked at: {type(error).__name__}: {error}"
        return Report((Line("facts", "Start-up", _shown(unknown(text, "please report it"), Redaction(environ))),))
    return examine(facts)
