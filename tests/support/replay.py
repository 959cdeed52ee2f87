"""Replays recordings of real libraries, and collects the labels of their spans."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from helicone_otel import Settings
from helicone_otel.tools.replay.files import recording_of
from helicone_otel.tools.replay.player import Replay
from helicone_otel.tools.replay.reasons import Reasons
from helicone_otel.tracking.registry import Registry
from tests.support.paths import TESTS

RECORDINGS = TESTS / "data" / "recordings"


@dataclass(frozen=True)
class Outcome:
    """The labels of one recorded span: at its start, when headers were sent, and at its end."""

    kind_at_start: str | None
    kind: str | None
    path: str
    path_at_injection: str | None
    request: bool
    injects: bool
    session_id: str | None


def load(name: str) -> dict[str, Any]:
    """Return a recording with its gold labels under `labels`."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def replay(recording: dict[str, Any], settings: Settings | None = None) -> dict[str, Outcome]:
    """Replay all spans of a recording, and return their outcomes by span id."""
    registry = Registry(settings or Settings())
    reasons = Reasons(registry.reader)
    injecting = {injection["current_span_id"] for injection in recording["injections"]}
    outcomes = {}
    for replayed in Replay(recording_of(recording), registry).run():
        key = replayed.recorded.span_id
        label = replayed.final.attributes or {}
        kind = label.get("helicone.span.kind")
        outcomes[key] = Outcome(
            kind_at_start=replayed.at_start.kind,
            # The kind on the span, not that of the classification.
            kind=str(kind) if kind else None,
            path=str(label.get("helicone.session.path", "/")),
            path_at_injection=replayed.path_at_injection,
            request=reasons.explain(replayed).request,
            session_id=str(label["helicone.session.id"]) if "helicone.session.id" in label else None,
            injects=key in injecting,
        )
    return outcomes
