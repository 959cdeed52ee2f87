"""The doctor's checks: functions from facts to findings, the table of their order, and what runs them on facts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from ....settings import SettingsError
from ...redaction import Redaction
from ...terminal import visible
from ..facts import Facts
from ..gather import find_endpoint, gather_installed, inspect_process, options_of_file
from ..probe import run_probe
from ..report import Check, Finding, Line, Report, unknown
from . import requests, spans, startup

# A cause comes before its effects, because the first of the worst findings is the one to fix first.
CHECKS: Final = (
    Check("propagators", "Start-up", startup.propagators),
    Check("sdk", "Start-up", startup.sdk_disabled),
    Check("settings", "Start-up", startup.settings),
    Check("log_settings", "Start-up", startup.log_settings),
    Check("switched_off", "Start-up", startup.switched_off),
    Check("exporters", "Start-up", startup.exporters),
    Check("versions", "Start-up", startup.versions),
    Check("copies", "Start-up", startup.copies),
    Check("probe", "Start-up", startup.probe_ran),
    Check("pieces", "Start-up", startup.pieces),
    Check("log", "Start-up", startup.log),
    Check("requests", "Requests", requests.calls),
    Check("own_id", "Requests", requests.own_id),
    Check("base_urls", "Requests", requests.base_urls),
    Check("keys", "Requests", requests.keys),
    Check("hosts", "Requests", requests.hosts),
    Check("sdk_instrumentations", "Instrumentations", spans.sdk_instrumentations),
    Check("library_instrumentations", "Instrumentations", spans.library_instrumentations),
    Check("content", "Instrumentations", spans.content),
    Check("sampling", "Spans", spans.sampling),
    Check("scrubbing", "Spans", spans.scrubbing),
    Check("recorded_key", "Spans", spans.recorded_key),
    Check("destination", "Spans", spans.destination),
    Check("endpoint", "Spans", spans.endpoint),
    Check("providers", "Spans", spans.providers),
    Check("session_id", "Sessions", spans.fixed_id),
    Check("session_name", "Sessions", spans.name),
    Check("stale_contexts", "Sessions", spans.stale_contexts),
    Check("here", "Sessions", spans.here),
    Check("swallowed", "Sessions", spans.swallowed),
)


def examine_environment(environ: Mapping[str, str]) -> Report:
    """Return the findings about an app that `opentelemetry-instrument` would start in this environment."""

    def gather() -> Facts:
        with ThreadPoolExecutor(1) as pool:
            gathering = pool.submit(gather_installed)
            # In the main thread, so that Ctrl-C ends the probe as well.
            probe = run_probe(environ)
            try:
                options, error = options_of_file(environ), ""
            except SettingsError as wrong:
                options, error = {}, str(wrong)
            installed = gathering.result()
        endpoint = find_endpoint(environ, probe)
        return Facts(environ, installed, probe=probe, endpoint=endpoint, options=options, options_error=error)

    return _examine_gathered(gather, environ)


def examine_process() -> Report:
    """Return the findings about the app that runs in this process."""
    return _examine_gathered(lambda: Facts(os.environ, gather_installed(), process=inspect_process()), os.environ)


def with_sent_session(report: Report, environ: Mapping[str, str]) -> Report:
    """Log a session to Helicone, read it back, and return the report with the findings about that."""
    from ..send import send  # noqa: PLC0415  # it loads an exporter and an HTTP client, which only `--send` needs

    sent = examine(Facts(environ), (Check("send", "Log", lambda facts: send(facts.environ)),))
    return replace(report, lines=(*report.lines, *sent.lines))


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> Report:
    """Return the findings of the checks. A check that raises does not stop the others."""
    redaction = Redaction(facts.environ)
    return Report(
        tuple(
            Line(check.name, check.group, _printable(finding, redaction))
            for check in checks
            for finding in _findings(check, facts)
        )
    )


def _examine_gathered(gather: Callable[[], Facts], environ: Mapping[str, str]) -> Report:
    """Gather facts and return the findings. If gathering fails, the report has that as its only finding."""
    try:
        facts = gather()
    except Exception as error:  # noqa: BLE001  # an app that calls doctor() must not fail because of it
        finding = unknown(f"Cannot inspect the installation: {type(error).__name__}: {error}", "please report it")
        return Report((Line("facts", "Start-up", _printable(finding, Redaction(environ))),))
    return examine(facts)


def _findings(check: Check, facts: Facts) -> Iterable[Finding]:
    try:
        return list(check.run(facts))
    except Exception as error:  # noqa: BLE001  # the other checks still have findings
        return [unknown(f"The check {check.name} failed: {type(error).__name__}: {error}", "please report it")]


def _printable(finding: Finding, redaction: Redaction) -> Finding:
    # Texts of findings contain values from the environment and lines from logs of other libraries.
    return replace(finding, text=visible(redaction(finding.text)), remedy=visible(redaction(finding.remedy)))
