"""Runs the real demo with a view."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

from tests.support.viewing import with_requests

NAME: Final = "Trip Planner"
_END_SECONDS: Final = 20


@contextmanager
def demonstrated() -> Iterator[str]:
    """Yield the address of a view that shows the demo."""
    command = [sys.executable, "-m", "helicone_otel", "demo", "--view"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HELICONE_", "OTEL_"))}
    environment["PYTHONUNBUFFERED"] = "1"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "ends it" in line:
                break
        try:
            found = re.search(r"The view: (\S+)", said)
            assert found, said
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def ask(url: str, query: str, **parameters: Any) -> Any:
    """Return the API's answer to a query; of a session with a dictionary for each of its requests."""
    with urllib.request.urlopen(f"{url}/api/{query}?{urlencode(parameters)}", timeout=20) as answer:
        found = json.load(answer)
    return with_requests(found) if query == "session" else found
