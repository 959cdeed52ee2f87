"""From facts to a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from helicone_otel._cli.text import visible

from .checks import CHECKS
from .facts import Facts
from .inside import look_inside
from .installed import look
from .redact import Redaction
from .report import Check, Finding, Line, Report, unknown


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
    from .child import probe  # noqa: PLC0415  # it starts a process and a server, which an app that asks does not

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
