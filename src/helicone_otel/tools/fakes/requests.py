"""Requests and replies, and what can be made to go wrong between a client and Helicone."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .headers import as_utf8
from .rows import Row

# The APIs of Helicone: its gateway, its log APIs, its OTLP receivers, and the API that reads.
Door: TypeAlias = Literal["gateway", "log", "otlp", "api"]

JSON_TYPE: Final = "application/json"
STREAM_TYPE: Final = "text/event-stream"
# https://www.rfc-editor.org/rfc/rfc9112#section-5, without folded lines, which nobody may send any more.
HEADER_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*\r\n\Z", re.DOTALL)
# Headers of Helicone that do not belong to a session.
_NOT_OF_SESSIONS: Final = frozenset({"helicone-auth", "helicone-request-id"})
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

        def test_the_request_names_the_step(helicone):
            with session("Trip Planning"), step("research"):
                OpenAI().embeddings.create(model="text-embedding-3-small", input="Porto")
            assert helicone.requests[0].helicone_headers["Helicone-Session-Path"] == "/research"

    Attributes:
        head: The request line and the headers with the empty line after them, byte for byte.
        body: The body, byte for byte.
        method: Such as `POST`.
        path: The path with the query.
        headers: Names and values, in the order and the case in which they were sent. Values have one character for each
            byte; `header` and `helicone_headers` read them as UTF-8, as Helicone's worker does.
        request_id: The id of its row, as the answer named it: the `helicone.request.id` on the span of the call.
            `None` if the answer named none.
    """

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    request_id: str | None = None

    @property
    def helicone_headers(self) -> dict[str, str]:
        """The `Helicone-*` headers in the case in which they were sent.

        `Helicone-Auth`, which holds a key, and `Helicone-Request-Id`, which a caller makes anew each time, are left
        out.
        """
        return {
            name: as_utf8(value)
            for name, value in self.headers
            if name.lower() not in _NOT_OF_SESSIONS and _is_helicones(name)
        }

    @property
    def json(self) -> Any:
        """The body, decoded from JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the value of a header by its name in any case, or `None`."""
        return next((as_utf8(value) for sent, value in self.headers if sent.lower() == name.lower()), None)


class Reply(NamedTuple):
    """An HTTP answer.

    Attributes:
        seconds: How long it takes until all of it is sent.
        events: Parts that are sent one by one instead of the body.
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    events: tuple[bytes, ...] = ()


class ApiResult(NamedTuple):
    """What an API makes of a request: a reply, and rows to store."""

    reply: Reply
    rows: tuple[Row, ...] = ()


def in_json(status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> Reply:
    """Return a reply in JSON."""
    return Reply(status, json.dumps(body).encode(), JSON_TYPE, headers)


def in_text(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Return a reply in plain text."""
    return Reply(status, text.encode(), "text/plain;charset=UTF-8", headers)


def refused(status: int, error: str) -> ApiResult:
    """Return the reply to a request that is not accepted, in JSON."""
    return ApiResult(in_json(status, {"error": error}))


def _is_helicones(name: str) -> bool:
    return name.lower().startswith("helicone-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong with a request. Unless `stored` is set, no row is made of the request.

    A trouble with `seconds` or `trickle` alone only delays the reply, and the row is made.

        def test_a_rate_limit_is_passed_on(helicone):
            helicone.fake.troubles.next(Trouble(status=429), door="gateway")
            with pytest.raises(RateLimitError):
                OpenAI(max_retries=0).embeddings.create(model="text-embedding-3-small", input="Porto")

    Attributes:
        status: The status of another reply; 200 if only `text` is given.
        text: The body of another reply.
        error: Logging failed: the reply is 200 with `{"error": …}`.
        headers: The headers of the other reply, such as `Retry-After`.
        seconds: How long the client waits before anything else happens.
        reset: The connection is reset instead of a reply.
        trickle: Seconds between two bytes of the reply.
        cut: How many bytes of the reply are sent before the connection ends; negative: all but so many.
        drop: The reply is the usual one, but no row is made, as beyond a rate limit of Helicone.
        stored: The row is made although the reply does not say so.
    """

    status: int | None = None
    text: str | None = None
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reset: bool = False
    trickle: float = 0.0
    cut: int | None = None
    drop: bool = False
    stored: bool = False

    @property
    def reply(self) -> Reply | None:
        """The other reply, or `None` if the usual one is sent."""
        if self.error is not None:
            return in_json(_OK, {"error": self.error}, *self.headers.items())
        if self.status is not None or self.text is not None:
            return in_text(self.status or _OK, self.text or "", *self.headers.items())
        return None

    @property
    def makes_rows(self) -> bool:
        """Whether a row is made of the request."""
        return self.stored or not (self.drop or self.reset or self.reply or self.cut is not None)


_NO_TROUBLE: Final = Trouble()


class Troubles:
    """What will go wrong at each API: with the next requests, or with all."""

    def __init__(self) -> None:
        self._next: defaultdict[str, deque[Trouble]] = defaultdict(deque)
        self._from_now_on: dict[str, Trouble] = {}
        self._chosen: dict[str, Callable[[Request], Trouble | None]] = {}
        self._lock = threading.Lock()

    def next(self, *troubles: Trouble, door: Door = "log") -> None:
        """Let the next requests to an API fail: one for each trouble, in this order."""
        with self._lock:
            self._next[door].extend(troubles)

    def from_now_on(self, trouble: Trouble, door: Door = "log") -> None:
        """Let every request to an API fail, after those of `next`."""
        with self._lock:
            self._from_now_on[door] = trouble

    def choose(self, trouble_of: Callable[[Request], Trouble | None], door: Door = "log") -> None:
        """Let a function choose what goes wrong with each request to an API, as a rate limit does; `None`: nothing.

        It is called for one request at a time, after those of `next`.
        """
        with self._lock:
            self._chosen[door] = trouble_of

    def end(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._next.clear()
            self._from_now_on.clear()
            self._chosen.clear()

    def take(self, door: str, request: Request) -> Trouble:
        """Return what goes wrong with a request that has come now."""
        with self._lock:
            if waiting := self._next[door]:
                return waiting.popleft()
            chosen = self._chosen[door](request) if door in self._chosen else None
            return chosen or self._from_now_on.get(door, _NO_TROUBLE)


class RateLimit:
    """A limit of requests a second for each key, which `Troubles.choose` takes.

    Args:
        rate: How many requests a second.
        burst: How many at once, after a while without any.
        trouble: What happens to a request beyond that.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, rate: float, burst: float, trouble: Trouble, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._trouble, self._clock = rate, burst, trouble, clock
        self._left: dict[str | None, tuple[float, float]] = {}

    def __call__(self, request: Request) -> Trouble | None:
        """Return what happens to a request."""
        now, key = self._clock(), request.header("Authorization")
        left, since = self._left.get(key, (1.0, now))
        left = min(left + (now - since) * self._rate, self._burst)
        self._left[key] = (left - (left >= 1), now)
        return None if left >= 1 else self._trouble
