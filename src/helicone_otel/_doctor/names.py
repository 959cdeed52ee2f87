"""Variables of OpenTelemetry that several checks speak of, and values of theirs."""

from __future__ import annotations

from typing import Final

DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
BY_SESSION: Final = "helicone_session"
RATIOS: Final = ("traceidratio", "parentbased_traceidratio", BY_SESSION)
OFF: Final = ("always_off", "parentbased_always_off")
