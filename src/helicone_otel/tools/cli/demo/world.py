"""The servers of the demo on loopback: a fake Helicone, and a town with a weather report and a timetable.

The town also counts the operations of the vector store. It is not a Helicone gateway, so no `Helicone-*` header may
arrive there.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from ...fakes.headers import new_key
from ...fakes.loopback import AnsweringServer
from ...fakes.requests import ApiResult, Request, Trouble, in_text
from ...fakes.server import FakeHelicone
from .models import DemoModels

WITNESS_PATH: Final = "/witness"
_REPORTS: Final = {
    "/weather": "Sun on both days, 19 degrees; wind from the sea.",
    "/departures": "17:39 from platform 2",
}


class Town(AnsweringServer):
    """Answers the requests of the agent and of `witness.py` that do not go to a model, and counts them."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._leaked: set[str] = set()
        self._lock = threading.Lock()
        super().__init__()

    @property
    def asked(self) -> dict[str, int]:
        """The number of requests by path. A request for `/witness/upsert` is one upsert that reached the store."""
        with self._lock:
            return dict(self._asked)

    @property
    def leaked(self) -> set[str]:
        """The `Helicone-*` headers that arrived and should not have."""
        with self._lock:
            return set(self._leaked)

    def answer(self, request: Request) -> tuple[ApiResult, Trouble]:
        """Count a request, and answer it."""
        path = request.path.partition("?")[0]
        with self._lock:
            self._asked[path] += 1
            self._leaked |= {name for name, _ in request.headers if name.lower().startswith("helicone-")}
        reports = {**_REPORTS, path: ""} if path.startswith(f"{WITNESS_PATH}/") else _REPORTS
        return ApiResult(in_text(200, reports[path]) if path in reports else in_text(404, "")), Trouble()


def demo_helicone() -> FakeHelicone:
    """Return a fake Helicone with the demo's models behind its gateway; all of them accept one key."""
    key = new_key()
    return FakeHelicone(DemoModels(key), key=key)
