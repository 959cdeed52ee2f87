"""Rows as Helicone stores them, and the store."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeAlias

from . import bodies

MAX_ROWS: Final = 100_000
# Of their bodies, as they were sent.
MAX_BYTES: Final = 256 * 2**20
_SUCCESS: Final = 200

_Place: TypeAlias = tuple[str, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One request as Helicone stores it.

    Attributes:
        id: The `Helicone-Request-Id` that was sent if it is a UUID of version 1 to 5, else a random one.
        door: By which it came: `gateway`, `log` or `otlp`.
        provider: Such as `OPENAI`; `CUSTOM` for what came by `/custom/v1/log`.
        model: As Helicone derives it: `vector_db`, `tool:<name>` and `data:<name>` for what is no model's.
        path: The path of the request, or the URL that a log gives.
        started: Milliseconds since the epoch, as is `ended`.
        user_id: Empty if there is none.
        properties: Session id, path and name under Helicone's own names, others under theirs in lower case.
        request: The body of the request.
        response: The body of the response.
        time_to_first_token: Milliseconds; `None` where Helicone does not keep it.
        organization: Whose key it came with.
        sends: How often it was sent.
    """

    id: str
    door: str
    provider: str
    model: str
    status: int
    path: str
    started: int
    ended: int
    user_id: str
    properties: Mapping[str, str]
    request: Any = field(repr=False)
    response: Any = field(repr=False)
    time_to_first_token: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    organization: str = "default"
    sends: int = 1

    @property
    def session_id(self) -> str | None:
        return self.properties.get("Helicone-Session-Id")

    @property
    def session_path(self) -> str:
        """Where it stands in the session; without a path, at the root."""
        return self.properties.get("Helicone-Session-Path", "/")

    @property
    def session_name(self) -> str:
        """The session's name; empty for one that has none."""
        return self.properties.get("Helicone-Session-Name", "")

    @property
    def badge(self) -> str:
        """What Helicone shows it as: `LLM`, `Tool`, `VectorDB` or `Data`."""
        return bodies.badge(self.model, self.response)

    @property
    def failed(self) -> bool:
        """Whether Helicone shows it as an error; 0 is one that still runs."""
        return self.status not in (_SUCCESS, 0) or bodies.error_message(self.response) is not None

    @property
    def flaws(self) -> list[str]:
        """What Helicone would draw otherwise than it was meant, as sentences."""
        return bodies.flaws(self.model, self.request, self.response)


class _Entry(NamedTuple):
    row: Row
    since: float
    size: int


class Store:
    """The rows, the oldest first: bounded, and safe to use from many threads.

    A row that is sent again replaces the first one only if provider, model, user and start are the same
    too: ClickHouse takes these for the row's key.

    Attributes:
        lag: Seconds until a query sees what was stored; Helicone's queue takes its time, too.
        forgotten: How many rows were pushed out by newer ones.
        tags: Of sessions, by organisation and id.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.lag = 0.0
        self.forgotten = 0
        self.tags: dict[tuple[str, str], str] = {}
        self._max_rows = max_rows
        self._rows: OrderedDict[_Place, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row], size: int = 0) -> None:
        """Store rows, each in the place of the one that it is sent again for.

        Args:
            rows: The rows.
            size: How long the request was that brought them.
        """
        with self._lock:
            for row in rows:
                before = self._rows.get(_place(row))
                since = before.since if before else time.monotonic()
                sends = before.row.sends + 1 if before else 1
                self._bytes += size - (before.size if before else 0)
                self._rows[_place(row)] = _Entry(replace(row, sends=sends), since, size)
            while len(self._rows) > self._max_rows or self._bytes > MAX_BYTES:
                self._bytes -= self._rows.popitem(last=False)[1].size
                self.forgotten += 1

    def forget(self) -> None:
        """Forget all rows and tags, and be as quick as at first."""
        with self._lock:
            self._rows.clear()
            self.tags.clear()
            self._bytes, self.forgotten, self.lag = 0, 0, 0.0

    def rows(self, organization: str | None = None) -> list[Row]:
        """Return what is stored, of all organisations or of one."""
        with self._lock:
            return [entry.row for entry in self._rows.values() if organization in (None, entry.row.organization)]

    def ingested(self, organization: str) -> list[Row]:
        """Return what a query of an organisation sees by now."""
        latest = time.monotonic() - self.lag
        with self._lock:
            return [
                entry.row
                for entry in self._rows.values()
                if entry.since <= latest and entry.row.organization == organization
            ]

    def change(self, organization: str, request_id: str, name: str, value: str) -> bool:
        """Set a property of all rows of an id; tell whether there is one."""
        with self._lock:
            places = [place for place in self._rows if place[:2] == (organization, request_id)]
            for place in places:
                entry = self._rows[place]
                row = replace(entry.row, properties={**entry.row.properties, name: value})
                self._rows[place] = entry._replace(row=row)
        return bool(places)


def _place(row: Row) -> _Place:
    return row.organization, row.id, row.provider, row.model, row.user_id, row.started
