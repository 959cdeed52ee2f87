"""A plugin of pytest that installs the library for a whole run, as an app does, with the log on.

It is loaded by `pytest -p library_on`, before the tests import anything. The environment says where the log goes. All
providers that the tests make are taken for the app's, so that their spans pass through the library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import helicone_otel
from helicone_otel import failures

helicone_otel.configure(log=True).take_unknown_providers(takes=True)
# Read now, because tests may clear the environment.
_FAILURES = Path(os.environ["LIBRARY_FAILURES"])


def pytest_unconfigure() -> None:
    """Write down what the library has swallowed."""
    _FAILURES.write_text(json.dumps(failures.swallowed()))
