"""`helicone-otel doctor`: check which headers and spans an app would send if it started in this environment."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace

from ..diagnostics.checks import examine_environment, with_sent_session
from ..diagnostics.report import print_report


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel doctor`."""
    parser.description = (
        "Start a process as opentelemetry-instrument would start your app here, have the LLM SDKs that are "
        "installed call a stand-in for a gateway on loopback, and say what left, what did not, and what to do next. "
        "Nothing is sent elsewhere, unless --send says so; to the OTLP endpoint, a connection is opened and closed."
    )
    parser.epilog = (
        "Exit code: 0 if all is well or there are only warnings, 1 if there are problems, 2 if a check could "
        "not be made."
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--send",
        action="store_true",
        help="also log one tiny session to Helicone with HELICONE_API_KEY, and read it back",
    )
    parser.set_defaults(main=doctor)


def doctor(given: Namespace) -> int:
    """Print a report about this environment.

    Args:
        given: The parsed arguments.

    Returns:
        The exit code: 0 without problems, 1 with problems, 2 if a check could not be made.
    """
    report = examine_environment(os.environ)
    if given.send:
        report = with_sent_session(report, os.environ)
    if given.json:
        print(json.dumps(report.as_data(), indent=2))
    else:
        print_report(report, sys.stdout)
    return report.exit_code
