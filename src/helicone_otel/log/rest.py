"""Calls Helicone's REST API: reads sessions and their rows, and records feedback.

https://docs.helicone.ai/rest/session/post-v1sessionquery,
https://docs.helicone.ai/rest/request/post-v1requestquery-clickhouse,
https://docs.helicone.ai/rest/request/put-v1request-property
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from .. import wire
from ..endpoints import check_transport, checked_endpoint, checked_key, default_api, takes_utf8
from ..sessions.model import Session
from ..settings import Settings, SettingsError
from .delivery.client import suppressed
from .delivery.quotes import error_text
from .delivery.verdict import is_success

if TYPE_CHECKING:
    from .delivery.connections import Connections

_MAX_ANSWER: Final = 16 * 2**20
_MAX_REQUESTS: Final = 500
# How far from now queries look, in milliseconds. They need a time window, and clocks differ.
_AROUND: Final = 86_400_000
# The pauses of `feedback` between two attempts, in seconds.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 2.0
# The property of a session's oldest row that holds the feedback. Helicone's own route for feedback
# (`POST /v1/session/{id}/feedback`) sets it too, but reads a table that no longer exists, and so always fails.
_FEEDBACK: Final = "Helicone-Session-Feedback"
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_LATER: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class HeliconeError(Exception):
    """A call of Helicone's API failed.

        try:
            feedback("trip-42", good=True)
        except HeliconeError as error:
            print(f"no feedback: {error}")

    The message says why. No message shows a key.
    """


class KeyRefusedError(HeliconeError):
    """Helicone does not know the key, or the key may not read."""


class LaterError(HeliconeError):
    """The same call may succeed later: Helicone is unreachable or overloaded, or does not know the session yet."""


def feedback(session_id: str | Session, *, good: bool, seconds: float = 10.0, settings: Settings | None = None) -> None:
    """Record in Helicone whether a session went well.

        feedback("trip-42", good=True)

    The session's oldest row gets the property `Helicone-Session-Feedback`, with `1` or `0`. This is tried at once, and
    again while Helicone does not know the session yet, because rows take a few seconds to get there. So this blocks; in
    a coroutine, use `await asyncio.to_thread(feedback, id, good=True)`. The last feedback on a session counts.

    Args:
        session_id: The id that was given to `session()`, or the `Session`.
        good: `True` for a thumbs up, `False` for a thumbs down.
        seconds: How long it may take at most, with all attempts.
        settings: The key and the addresses; read from the environment if not given.

    Raises:
        HeliconeError: Helicone could not be reached, refused the key, or did not know the session in time.
        SettingsError: There is no key, or a setting cannot be used.
        TypeError: `good` is not a `bool`, or `session_id` is not an id.
    """
    if not isinstance(good, bool):
        raise TypeError(f"feedback(good=…) takes True or False, not {type(good).__name__}")
    wire_id, api = _wire_id(session_id), Api(settings or Settings.from_environment())
    stored_id = wire_id if api.stores_utf8 else wire.percent_encoded(wire_id)
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            api.rate(stored_id, good=good, seconds=end - time.monotonic())
        except LaterError as error:
            if time.monotonic() + pause > end:
                raise HeliconeError(f"no feedback on session {wire_id!r} within {seconds:g} s: {error}") from error
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _wire_id(session_id: object) -> str:
    if isinstance(session_id, Session):
        return session_id.wire_id
    if not isinstance(session_id, str) or wire.is_blank(session_id):
        raise TypeError(f"feedback() takes the id of a session, not {session_id!r:.60}")
    return wire.wire_text(session_id)


class Api:
    """A client of Helicone's REST API.

    Args:
        settings: The key and the addresses.

    Attributes:
        address: The address, without a route.
        stores_utf8: Whether ids and names are stored in wire form; otherwise they are percent-encoded.

    Raises:
        SettingsError: There is no key, or the key or an address cannot be used. No message shows the key.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.api_key is None:
            raise SettingsError("HELICONE_API_KEY is not set: Helicone cannot be asked without a key")
        address = settings.api_endpoint or default_api(settings.api_key, settings.log_endpoint)
        try:
            self.address = checked_endpoint(address)
            check_transport(self.address, settings.log_http_hosts)
        except ValueError as error:
            raise SettingsError(f"api_endpoint (HELICONE_API_ENDPOINT): {error}") from error
        try:
            self._key = checked_key(settings.api_key, self.address)
        except ValueError as error:
            raise SettingsError(f"api_key (HELICONE_API_KEY): {error}") from None
        # The setting holds for gateways and logs, and so for what they have stored.
        self.stores_utf8 = takes_utf8(self.address, settings.utf8_hosts)
        self._host = urlsplit(self.address).netloc
        self._made_connections: Connections | None = None

    def __repr__(self) -> str:
        return f"Api({self.address!r})"

    def sessions(self, session_id: str, seconds: float = 10.0) -> list[Mapping[str, Any]]:
        """Return the sessions with an id, one for each name, as Helicone lists them.

        Args:
            session_id: The id as it is stored.
            seconds: How long the call may take.

        Raises:
            HeliconeError: The call failed.
        """
        now = int(time.time() * 1000)
        query = {
            "search": session_id,
            "timeFilter": {"startTimeUnixMs": now - _AROUND, "endTimeUnixMs": now + _AROUND},
            "timezoneDifference": 0,
            "filter": "all",
        }
        # The search also finds parts of ids and names.
        return [
            entry for entry in self._list("/v1/session/query", query, seconds) if entry.get("session_id") == session_id
        ]

    def requests(self, session_id: str, seconds: float = 10.0, limit: int = _MAX_REQUESTS) -> list[Mapping[str, Any]]:
        """Return the rows of a session, the oldest first.

        Args:
            session_id: The id as it is stored.
            seconds: How long the call may take.
            limit: How many rows are returned at most.

        Raises:
            HeliconeError: The call failed.
        """
        is_in_session = {"properties": {"Helicone-Session-Id": {"equals": session_id}}}
        query = {
            "filter": {"request_response_rmt": is_in_session},
            "sort": {"created_at": "asc"},
            "limit": limit,
            "offset": 0,
        }
        return self._list("/v1/request/query-clickhouse", query, seconds)

    def rate(self, session_id: str, *, good: bool, seconds: float = 10.0) -> None:
        """Record feedback on a session.

        Args:
            session_id: The id as it is stored.
            good: Whether the session went well.
            seconds: How long both calls may take together.

        Raises:
            LaterError: Helicone does not know the session yet, or the same call may succeed later for another reason.
            HeliconeError: A call failed.
        """
        end = time.monotonic() + seconds
        oldest = next((row.get("request_id") for row in self.requests(session_id, seconds, limit=1)), None)
        if not isinstance(oldest, str):
            raise LaterError(f"{self._host} knows no row of it")
        path = f"/v1/request/{quote(oldest, safe='')}/property"
        self._call("PUT", path, {"key": _FEEDBACK, "value": "1" if good else "0"}, end - time.monotonic())

    def _connections(self) -> Connections:
        # Loads urllib3 and ssl, which gevent or eventlet may patch before: see `delivery/client.py`.
        from .delivery.connections import Connections  # noqa: PLC0415

        self._made_connections = self._made_connections or Connections(keep=1)
        return self._made_connections

    def _list(self, path: str, query: Mapping[str, Any], seconds: float) -> list[Mapping[str, Any]]:
        """Make a query, and return the entries in its answer."""
        data = self._call("POST", path, query, seconds)
        if not isinstance(data, list):
            raise HeliconeError(f"{self._host} answered {path} without a list")
        return [entry for entry in data if isinstance(entry, dict)]

    def _call(self, method: str, path: str, body: Mapping[str, Any], seconds: float) -> Any:
        """Make a call, and return the data in its answer."""
        from .delivery.http_call import HttpCall, answer_to  # noqa: PLC0415  # see `_connections`

        call = HttpCall(method, self.address + path, self._key, json.dumps(body).encode(), _MAX_ANSWER)
        try:
            with suppressed():
                answer = answer_to(call, self._connections(), time.monotonic() + seconds)
        except Exception as error:
            raise self._failure(error) from error
        return self._data(answer.status, answer.body)

    def _failure(self, error: Exception) -> HeliconeError:
        from .delivery.http_call import NoConnectionError  # noqa: PLC0415  # see `_connections`
        from .delivery.sender import is_untrusted  # noqa: PLC0415

        cause = error.__cause__ if isinstance(error, NoConnectionError) else error
        if is_untrusted(cause):
            return HeliconeError(f"no encrypted connection to {self._host} can be trusted")
        if isinstance(cause, TimeoutError):
            return LaterError(f"{self._host} did not answer in time")
        return LaterError(f"{self._host} cannot be reached")

    def _data(self, status: int, answer: bytes) -> Any:
        """Return the data in an answer."""
        if status in _REFUSED:
            raise KeyRefusedError(f"{self._host} refuses the key ({status}): it is unknown there, or may not read")
        try:
            envelope = json.loads(answer)
        except ValueError:
            envelope = None
        if is_success(status) and isinstance(envelope, dict) and "data" in envelope and not envelope.get("error"):
            return envelope["data"]
        kind = LaterError if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR else HeliconeError
        raise kind(f"{self._host} answered {status}: {error_text(answer, self._key) or 'nothing'}")
