"""The checks: small functions from facts to findings, and the table that puts them in order."""

from __future__ import annotations

from typing import Final

from ..report import Check
from . import instrumentation, requests, sessions, spans, start_up

# Causes stand before what comes of them: the first of the worst findings is what one should see to first.
CHECKS: Final = (
    Check("propagators", "Start-up", start_up.propagators),
    Check("sdk", "Start-up", start_up.sdk_disabled),
    Check("settings", "Start-up", start_up.settings),
    Check("switched_off", "Start-up", start_up.switched_off),
    Check("exporters", "Start-up", start_up.exporters),
    Check("versions", "Start-up", start_up.versions),
    Check("copies", "Start-up", start_up.copies),
    Check("probe", "Start-up", start_up.probe_ran),
    Check("pieces", "Start-up", start_up.pieces),
    Check("log", "Start-up", start_up.log),
    Check("requests", "Requests", requests.calls),
    Check("own_id", "Requests", requests.own_id),
    Check("base_urls", "Requests", requests.base_urls),
    Check("hosts", "Requests", requests.hosts),
    Check("sdk_instrumentations", "Instrumentations", instrumentation.sdks),
    Check("library_instrumentations", "Instrumentations", instrumentation.libraries),
    Check("sampling", "Spans", spans.sampling),
    Check("scrubbing", "Spans", spans.scrubbing),
    Check("recorded_key", "Spans", spans.recorded_key),
    Check("destination", "Spans", spans.destination),
    Check("session_id", "Sessions", sessions.fixed_id),
    Check("session_name", "Sessions", sessions.name),
    Check("here", "Sessions", sessions.here),
    Check("swallowed", "Sessions", sessions.swallowed),
)
