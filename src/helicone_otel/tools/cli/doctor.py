"""`helicone-otel doctor`: what would leave from an app started in this environment."""

from __future__ import annotations

import json
import os
import sys

from ..diagnostics.examine import examine_environment, with_what_arrives
from ..diagnostics.report import draw


def doctor(*, as_json: bool, sends: bool = False) -> int:
    """Print a report; return 0 if there is no problem, 1 if there are some, 2 if something could not be looked at.

    Args:
        as_json: As data.
        sends: Log a session to Helicone, and read it back.
    """
    report = examine_environment(os.environ)
    if sends:
        report = with_what_arrives(report, os.environ)
    if as_json:
        print(json.dumps(report.as_data(), indent=2))
    else:
        draw(report, sys.stdout)
    return report.exit_code
