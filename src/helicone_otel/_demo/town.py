"""The rest of the demo's world on loopback: a weather report, a timetable, and a witness for the vector store.

None of it is a Helicone gateway, so no `Helicone-*` header may arrive here.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from helicone_otel._cli.loopback import LoopbackServer, QuietHandler

WITNESS_PATH: Final = "/witness"
_REPORTS: Final = {
    "/weather": "Sun on both days, 19 degrees; wind from the sea.",
    "/departures": "17:39 from platform 2",
}


class Town(LoopbackServer):
    """Answers, and counts what it was asked."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._leaked: set[str] = set()
        self._lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def asked(self) -> dict[str, int]:
        """How often each path was asked for; `/witness/upsert` is one upsert that reached the store."""
        with self._lock:
            return dict(self._asked)

    @property
    def leaked(self) -> set[str]:
        """The `Helicone-*` headers that arrived and should not have."""
        with self._lock:
            return set(self._leaked)

    def record(self, path: str, leaked: set[str]) -> None:
        with self._lock:
            self._asked[path] += 1
            self._leaked |= leaked


class _Handler(QuietHandler):
    server: Town

    def do_GET(self) -> None:  # noqa: N802  # as http.server calls it
        self._answer(_REPORTS.get(self._recorded()))

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        self._answer("" if self._recorded().startswith(f"{WITNESS_PATH}/") else None)

    def _recorded(self) -> str:
        path = self.path.partition("?")[0]
        self.server.record(path, {name for name in self.headers if name.lower().startswith("helicone-")})
        return path

    def _answer(self, text: str | None) -> None:
        body = (text or "").encode()
        self.send_response(200 if text is not None else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
