"""The doctor's checks: functions from facts to findings, and the table of their order."""

from __future__ import annotations

from typing import Final

from ..report import Check
from . import instrumentations, requests, spans, startup

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
    Check("sdk_instrumentations", "Instrumentations", instrumentations.sdks),
    Check("library_instrumentations", "Instrumentations", instrumentations.libraries),
    Check("content", "Instrumentations", instrumentations.content),
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
