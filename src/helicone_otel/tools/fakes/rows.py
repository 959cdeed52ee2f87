"""The rows that the fake Helicone stores, and the store of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeAlias

from . import bodies
from .mappers import Shown

MAX_ROWS: Final = 100_000
# Of the requests that brought the rows.
MAX_BYTES: Final = 256 * 2**20
_SUCCESS: Final = 200

# What ClickHouse takes for the key of a row: organization, id, provider, model, user and start.
_RowKey: TypeAlias = tuple[str, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One request as Helicone stores it.

        def test_the_row_has_the_model(helicone):
            with session("Trip Planning", id="trip-42"):
                OpenAI().embeddings.create(model="text-embedding-3-small", input="Porto")
            assert [row.model for row in helicone.rows("trip-42")] == ["text-embedding-3-small"]

    Attributes:
        id: The `Helicone-Request-Id` that was sent if it is a UUID of version 1 to 5, else a random one.
        door: The API by which it came: `gateway`, `log` or `otlp`.
        provider: Such as `OPENAI`; `CUSTOM` for a row of `/custom/v1/log`.
        model: As Helicone derives it. Rows without a model have `vector_db`, `tool:<name>` or `data:<name>`.
        path: The path of the request, or the URL that a log gives.
        started: Milliseconds since the epoch, as is `ended`.
        user_id: Empty if there is none.
        properties: Session id, path and name under Helicone's own names, others under theirs in lower case.
        request: The body of the request as Helicone stores it. Of a row of the worker's log API that is the whole log.
        response: The body of the response.
        time_to_first_token: Milliseconds; `None` where Helicone does not keep it.
        prompt_tokens: Without those of the cache.
        completion_tokens: Without those of the reasoning.
        cache_read_tokens: Tokens that were read from the provider's cache.
        cache_write_tokens: Tokens that were written to it.
        reasoning_tokens: Tokens of the reasoning.
        cost: Dollars; 0 for a model without a price. The fake knows the prices of a few models.
        organization: The owner of the key that it came with.
        sends: How many times it was sent.
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
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    organization: str = "default"
    sends: int = 1

    @property
    def session_id(self) -> str | None:
        """The session's id; `None` for a row without a session."""
        return self.properties.get("Helicone-Session-Id")

    @property
    def session_path(self) -> str:
        """The path in the session; `/` if none was sent."""
        return self.properties.get("Helicone-Session-Path", "/")

    @property
    def session_name(self) -> str:
        """The session's name; empty if it has none."""
        return self.properties.get("Helicone-Session-Name", "")

    @property
    def badge(self) -> str:
        """The badge with which Helicone shows it: `LLM`, `Tool`, `VectorDB` or `Data`."""
        return bodies.badge(self.model, self.shown)

    @property
    def shown_provider(self) -> str:
        """The provider that Helicone's lists name: `AZURE` for rows of `OPENAI` whose URL is Azure's."""
        return bodies.provider_shown(self.provider, self.path)

    @property
    def shown(self) -> Shown:
        """What a person sees of it on Helicone's pages."""
        return bodies.shown_of(self.provider, self.model, self.path, self.status, self.request, self.response)

    @property
    def failed(self) -> bool:
        """Whether Helicone shows it as an error. A request that still runs has status 0."""
        return self.status not in (_SUCCESS, 0) or bodies.error_message(self.response) is not None

    @property
    def flaws(self) -> list[str]:
        """What Helicone would show otherwise than the sender meant, as sentences."""
        return bodies.flaws(self.model, self.request, self.response, self.shown)


class _Entry(NamedTuple):
    row: Row
    since: float
    size: int


class RowStore:
    """The rows, the oldest first. Its size is bounded, and many threads may use it.

    A row that is sent again replaces the first one only if provider, model, user and start are the same
    too, because ClickHouse takes these for the row's key.

    Attributes:
        lag: Seconds until a query sees a stored row; Helicone's queue takes some time, too.
        forgotten: How many rows were dropped for newer ones.
        tags: The tags of sessions, by organization and session id.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.lag = 0.0
        self.forgotten = 0
        self.tags: dict[tuple[str, str], str] = {}
        self._max_rows = max_rows
        self._rows: OrderedDict[_RowKey, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row], size: int = 0) -> None:
        """Store rows. A row that is sent again replaces the earlier one.

        Args:
            rows: The rows.
            size: The length in bytes of the request that brought them.
        """
        with self._lock:
            for row in rows:
                before = self._rows.get(_key(row))
                since = before.since if before else time.monotonic()
                sends = before.row.sends + 1 if before else 1
                self._bytes += size - (before.size if before else 0)
                self._rows[_key(row)] = _Entry(replace(row, sends=sends), since, size)
            while len(self._rows) > self._max_rows or self._bytes > MAX_BYTES:
                self._bytes -= self._rows.popitem(last=False)[1].size
                self.forgotten += 1

    def forget(self) -> None:
        """Remove all rows and tags, and set the lag to 0."""
        with self._lock:
            self._rows.clear()
            self.tags.clear()
            self._bytes, self.forgotten, self.lag = 0, 0, 0.0

    def rows(self, organization: str | None = None) -> list[Row]:
        """Return the stored rows of all organizations, or of one."""
        with self._lock:
            return [entry.row for entry in self._rows.values() if organization in (None, entry.row.organization)]

    def ingested(self, organization: str) -> list[Row]:
        """Return the rows of an organization that a query sees by now."""
        latest = time.monotonic() - self.lag
        with self._lock:
            return [
                entry.row
                for entry in self._rows.values()
                if entry.since <= latest and entry.row.organization == organization
            ]

    def change(self, organization: str, request_id: str, name: str, value: str) -> None:
        """Set a property of all rows with an id."""
        with self._lock:
            keys = [key for key in self._rows if key[:2] == (organization, request_id)]
            for key in keys:
                entry = self._rows[key]
                row = replace(entry.row, properties={**entry.row.properties, name: value})
                self._rows[key] = entry._replace(row=row)


def _key(row: Row) -> _RowKey:
    return row.organization, row.id, row.provider, row.model, row.user_id, row.started
