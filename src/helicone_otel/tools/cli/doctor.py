"""`helicone-otel doctor`: check which headers and spans an app would send if it started in this environment."""

from __future__ import annotations

import json
import os
import sys

from ..diagnostics.examine import examine_environment, with_sent_session
from ..diagnostics.report import print_report


def doctor(*, as_json: bool, sends: bool = False) -> int:
    """Print a report about this environment.

    Args:
        as_json: Print the report as JSON.
        sends: Also log a session to Helicone, and read it back.

    Returns:
        The exit code: 0 without problems, 1 with problems, 2 if a check could not be made.
    """
    report = examine_environment(os.environ)
    if sends:
        report = with_sent_session(report, os.environ)
    if as_json:
        print(json.dumps(report.as_data(), indent=2))
    else:
        print_report(report, sys.stdout)
    return report.exit_code
