"""An app under a mixed load, beside a server that fails now and then, loses no row and does not grow."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest

from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.requests import Request, Trouble
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.paths import TESTS

# In seconds. During the outage every request fails.
_WARM_UP = 10
_OUTAGE = 3
# What may happen to a request, and how often of a thousand.
_TROUBLES = (
    (20, Trouble(status=503)),
    (10, Trouble(status=429, headers={"Retry-After": "0.1"})),
    (10, Trouble(reset=True)),
    (10, Trouble(cut=40)),
    (10, Trouble(cut=-1, stored=True)),
    (5, Trouble(seconds=0.5)),
)
# In MiB: what the memory may grow by after the warm-up. A leak of a hundred bytes for each row would be more.
_GROWTH = 32


class _Weather:
    """Chooses what goes wrong with each request."""

    def __init__(self, seconds: float) -> None:
        self._chance = random.Random(7)
        self._outage = time.monotonic() + seconds / 2

    def __call__(self, _: Request) -> Trouble | None:
        if self._outage <= time.monotonic() < self._outage + _OUTAGE:
            return Trouble(status=503)
        at = self._chance.randrange(1000)
        for share, trouble in _TROUBLES:
            if at < share:
                return trouble
            at -= share
        return None


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory with /proc")
@pytest.mark.parametrize(
    "seconds", [pytest.param(30, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.soak)]
)
def test_an_app_under_a_mixed_load_loses_no_row_and_does_not_grow(fake_helicone: FakeHelicone, seconds: int) -> None:
    fake_helicone.troubles.choose(_Weather(seconds))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    environ = {
        **kept,
        "HELICONE_LOG": "true",
        "HELICONE_API_KEY": KEY,
        "HELICONE_LOG_ENDPOINT": fake_helicone.url,
        "HELICONE_GATEWAY_HOSTS": fake_helicone.url.removeprefix("http://"),
        "GATEWAY": f"{fake_helicone.url}/v1",
        # A probe that fails by chance makes the pause after the outage long, and what comes meanwhile must have room.
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
    }
    command = [sys.executable, "-W", "error", TESTS / "apps" / "soak.py", str(seconds)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=seconds + 400, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    rows = [row for row in fake_helicone.rows if row.door == "log"]
    arrived = (told["flushed"], len(rows), len({row.id for row in rows}))
    assert arrived == (True, told["made"], told["made"]), done.stderr
    assert "Traceback" not in done.stderr
    after = told["memory"][2 * _WARM_UP :]
    quarter = len(after) // 4
    assert max(after[-quarter:]) - max(after[:quarter]) < _GROWTH, told["memory"]
