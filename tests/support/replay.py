"""Replays recordings of real libraries, and collects the labels of their spans."""

from __future__ import annotations

import json
from typing import Any

from helicone_otel import Settings
from helicone_otel.tools.replay.files import recording_of
from helicone_otel.tools.replay.reasons import Outcome, outcomes
from helicone_otel.tracking.registry import Registry
from tests.support.paths import TESTS

RECORDINGS = TESTS / "data" / "recordings"


def load(name: str) -> dict[str, Any]:
    """Return a recording with its gold labels under `labels`."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def replay(recording: dict[str, Any], settings: Settings | None = None) -> dict[str, Outcome]:
    """Replay all spans of a recording, and return their outcomes by span id."""
    found = outcomes(recording_of(recording), Registry(settings or Settings()))
    return {outcome.recorded.span_id: outcome for outcome in found}
