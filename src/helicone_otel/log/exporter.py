"""Exports spans to Helicone's log: a call that no gateway saw becomes a row."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from .. import wire
from ..endpoints import DEFAULT, check_transport, checked_endpoint, checked_key, is_api_server, takes_utf8
from ..failures import swallow, warn_once
from ..otel.exporter import finalized
from ..sessions.model import Session
from ..settings import Settings, SettingsError, content_of
from ..tracking.records import Entry, Leaf, LeafRecord, SpanRecord
from ..tracking.registry import REGISTRY, Registry
from ..wire import REQUEST_KINDS
from .delivery.client import Client, seconds_of
from .delivery.lane import PendingRow
from .delivery.memory import memory_of
from .grouping import CallGroup, CallGrouper
from .rows.content import Content
from .rows.encode import encoded
from .rows.row import row_of, session_of
from .rows.types import Event, FinishedSpan

KeyFor = Callable[[Session], str | None]

# By field of `Limits`: the variable of OpenTelemetry's BatchSpanProcessor, and its default.
# https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
_VARIABLES: Final = {
    "delay": ("OTEL_BSP_SCHEDULE_DELAY", 5000),
    "queue": ("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
    "batch": ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
    "timeout": ("OTEL_BSP_EXPORT_TIMEOUT", 30000),
}
# Seconds that an app waits at its end for a server that does not answer.
_AT_EXIT: Final = 10.0
# Seconds that a flush takes at most if nobody says how long it may take.
_FLUSH: Final = 30.0
# The route that Helicone's API server has, too.
_ROUTE: Final = "/custom/v1/log"
# The provider that each route of Helicone's worker stands for. The API server reads it from the body. The worker must
# not get it there, because Helicone would show it as a part of the request.
_PROVIDERS: Final = {
    _ROUTE: "CUSTOM",
    "/oai/v1/log": "OPENAI",
    "/anthropic/v1/log": "ANTHROPIC",
    "/googleapis/v1/log": "GOOGLE",
}
# No framework has more layers with a span each for one call.
_MAX_WRAPPERS: Final = 8


class HeliconeSpanExporter(SpanExporter):
    """Logs to Helicone the calls that no gateway saw: vector queries, tool calls, reranks, direct LLM calls.

        configure(log=HeliconeSpanExporter(kinds=("tool", "vector_db")))

    It ignores all other spans, so it can be given every span of an app. Rows are sent in threads of the exporter,
    and sent again where that can help. At most `OTEL_BSP_MAX_QUEUE_SIZE` rows, and 64 MiB of them, wait. An
    argument that is not given is read from the environment.

    Args:
        api_key: The key; not needed with `key_for`.
        endpoint: Where rows go, without `/custom/v1/log`. It ends with `/v1/trace` for an API server of Helicone's
            that has no worker.
        kinds: The kinds of calls to log; all if not given.
        content: Which content rows contain, and what redacts it.
        key_for: Returns the key for a session, for apps with tenants, or `None` to log nothing of it. It is
            called for each row, in a thread of the exporter.
        http_hosts: Hosts to which rows may go unencrypted.
        settings: Read instead of the environment for what is not given.
        registry: Where spans are remembered; the one of the process if not given.

    Raises:
        SettingsError: There is no key, or an argument cannot be used. No message shows a key.
    """

    _waited_at_exit: ClassVar[float] = 0.0
    """How many seconds all exporters have waited without success while the app ended."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        endpoint: str | None = None,
        kinds: Iterable[str] | None = None,
        content: Content | None = None,
        key_for: KeyFor | None = None,
        http_hosts: Iterable[str] | None = None,
        settings: Settings | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.settings = settings = settings or Settings.from_environment()
        self._key_for = key_for
        self._registry = registry or REGISTRY
        self.endpoint, self._key = row_address(settings, api_key, endpoint, http_hosts, needs_key=key_for is None)
        self._is_api_server = is_api_server(self.endpoint)
        self._utf8 = takes_utf8(self.endpoint, settings.utf8_hosts)
        chosen = Settings(log_kinds=tuple(settings.log_kinds if kinds is None else kinds)).log_kinds
        self._kinds = frozenset(chosen) or REQUEST_KINDS
        self._content = content if content is not None else _content(settings)
        self.limits = Limits.from_environment()
        self._client = Client(self.endpoint, self.limits.queue, seconds=self.limits.timeout / 1000)
        self._stopped = False
        weak = weakref.WeakMethod(self.finish)
        atexit.register(lambda: (method := weak()) and method())

    def __repr__(self) -> str:
        kinds = ", ".join(sorted(self._kinds))
        return f"HeliconeSpanExporter(endpoint={self.endpoint!r}, kinds={kinds!r}, waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        """How many rows have not been sent yet."""
        return self._client.rows

    @property
    def unmade_bytes(self) -> int:
        """How much memory the calls take of which no row has been made yet."""
        return self._client.maker.bytes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Have rows made of the calls among some spans, and sent. Never raises or blocks.

        Wrappers of a call are found among the same spans only. With HELICONE_LOG, `LogWorker` does the same, and
        waits for wrappers that end later.
        """
        if self._stopped:
            return SpanExportResult.FAILURE
        # All are decided first, because a wrapper is known as one only when its call has been decided.
        ended = [(finalized(span, self._registry), None, 0) for span in spans]
        for group in CallGrouper(self._registry, limit=len(ended)).take(ended, max_wait=0):
            self.log(group, self._registry)
        return SpanExportResult.SUCCESS

    def log(self, group: CallGroup, registry: Registry) -> None:
        """Have a row made of a call, if it is one that is logged, and queued. Never raises or blocks.

        The user's functions are called in a thread of the exporter, because they may take as long as they like.

        Args:
            group: The span of the call and its wrappers. What the span lacks is taken from them.
            registry: Decides whether the call is logged.
        """
        try:
            outcome = group.outcome(registry)
            if outcome is None or not outcome.logged or self._stopped:
                return
            attributes = outcome.exported_attributes(group.span)
            if attributes.get(wire.SPAN_KIND) in self._kinds:
                span = _finished_span(group.span, attributes, group.wrappers)
                size = sum(map(memory_of, (group.span, *group.wrappers)))
                self._client.put_later(partial(self._row, span), size, self.tenant_of(group.entry))
        except Exception as error:  # noqa: BLE001  # the next spans must be logged all the same
            swallow("log exporter", error)

    def tenant_of(self, entry: Entry | SpanRecord | Leaf | None) -> Hashable:
        """Return what stands for the tenant of a call, so that tenants share the room.

        Its key is not known yet, because `key_for` may take any time. So whoever has the same user, properties and
        session name counts as one; where sessions name neither a user nor properties, each session does.

        Args:
            entry: What the registry remembers of the call.
        """
        if self._key_for is None or entry is None:
            return None
        node = entry.node if isinstance(entry, SpanRecord) else LeafRecord._make(entry).template.node
        if node is None:
            return None
        session = node.session
        named = (session.user_id, *session.properties.items())
        return session.name, named if any(named) else session.id

    @property
    def has_tenants(self) -> bool:
        """Whether there is more than one key."""
        return self._key_for is not None

    def with_room(self, tenants: Iterable[Hashable]) -> list[Hashable]:
        """Return the first of some tenants of which a call can be logged without being dropped; none if none can."""
        return self._client.maker.with_room(tenants)

    def wait_for_room(self, until: float | None) -> bool:
        """Wait until a call can be logged without another being dropped, and return whether that is so.

        Args:
            until: How long to wait, by the monotonic clock; without end if `None`.
        """
        return self._client.maker.wait_for_room(until)

    def force_flush(self, timeout_millis: float = 30000) -> bool:
        """Send all rows.

        Args:
            timeout_millis: How long that may take, in milliseconds; none if it is negative.

        Returns:
            Whether all rows since the last flush were delivered in time. False if one is left, was dropped or refused.
        """
        return self._client.flush(seconds_of(timeout_millis, _FLUSH))

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Send all rows within the time, ten seconds if none is given, and accept no more."""
        if not self._stopped:
            self._stopped = True
            self._client.shutdown(seconds_of(timeout_millis, _AT_EXIT))

    def finish(self) -> bool:
        """Send all rows before the app, or a provider, ends; return the same as `force_flush`.

        All exporters together wait at most ten seconds for servers that do not answer, however often this is called.
        """
        began = time.monotonic()
        done = self._stopped or self._client.flush(max(_AT_EXIT - HeliconeSpanExporter._waited_at_exit, 0))
        waited = HeliconeSpanExporter._waited_at_exit + time.monotonic() - began
        HeliconeSpanExporter._waited_at_exit = waited if self.waiting else 0.0
        return done

    def _row(self, span: FinishedSpan) -> PendingRow | None:
        """Return the row of a call; `None` if there is none. It calls the user's functions."""
        key = self._key_of(span.attributes)
        # Asked before the row is made, to save that work.
        if key is None or not self._client.has_room_for(key):
            return None
        row = row_of(span, self._content, utf8=self._utf8)
        if row is None:
            self._client.count_loss("A span could not be made a row of Helicone's log.")
            return None
        route, provider = (_ROUTE, _PROVIDERS[row.route]) if self._is_api_server else (row.route, None)
        url = self.endpoint + route
        # Two exporters in one process make one row of a call. A hash is remembered, because the text contains the key.
        claim, logged = hash(f"{url} {key} {row.id}"), self._registry.logged_rows
        mine = object()
        if claim in logged.old or logged.young.setdefault(claim, mine) is not mine:
            return None
        if len(logged.young) >= logged.limit:
            logged.turn()
        return PendingRow(row.id, key, url, encoded(row, provider))

    def _key_of(self, attributes: Mapping[str, object]) -> str | None:
        if self._key_for is None:
            return self._key
        session = session_of(attributes)
        try:
            key = self._key_for(session)
        except Exception as error:  # noqa: BLE001  # the user's function may do anything
            # Without its message, which may quote a key.
            self._client.count_loss(f"A row was not logged to Helicone: key_for failed ({type(error).__name__})")
            return None
        try:
            return checked_key(key, self.endpoint) if key is not None else None
        except ValueError as error:
            self._client.count_loss(f"A row was not logged to Helicone: key_for: {error}")
            return None


class Limits(NamedTuple):
    """How many spans and rows wait, and for how long.

    Attributes:
        delay: How long a span waits at most before it becomes a row, in milliseconds.
        queue: How many spans, and how many rows, wait at most.
        batch: When this many spans wait, they become rows at once.
        timeout: How long a request, and a shutdown, may take, in milliseconds.
    """

    delay: int
    queue: int
    batch: int
    timeout: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Limits:
        """Read the limits. As in OpenTelemetry, the default replaces a value that cannot be used."""
        environ = os.environ if environ is None else environ
        values = {field: _positive(environ, *variable) for field, variable in _VARIABLES.items()}
        limits = cls(**values)
        return limits._replace(batch=min(limits.batch, limits.queue))


def _positive(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not int(text[:12]):
        warn_once(f"{variable} is not a positive number of at most twelve digits; the default {default} is used.")
        return default
    return int(text[:12])


def row_address(
    settings: Settings,
    key: str | None = None,
    endpoint: str | None = None,
    http_hosts: Iterable[str] | None = None,
    *,
    needs_key: bool = True,
) -> tuple[str, str]:
    """Return the address that rows go to, and the key; empty if there is none.

    Args:
        settings: Have what the other arguments do not give.
        key: The key.
        endpoint: The address.
        http_hosts: Hosts to which rows may go unencrypted.
        needs_key: Whether it is an error that there is no key.

    Raises:
        SettingsError: Rows cannot be sent with these.
    """
    key = key if key is not None else settings.api_key
    if key is None and needs_key:
        raise SettingsError("HELICONE_API_KEY is not set: rows cannot be logged to Helicone without a key")
    try:
        address = checked_endpoint(endpoint or settings.log_endpoint or DEFAULT)
        check_transport(address, tuple(settings.log_http_hosts if http_hosts is None else http_hosts))
    except ValueError as error:
        raise SettingsError(f"endpoint (HELICONE_LOG_ENDPOINT): {error}") from error
    try:
        return address, checked_key(key, address) if key is not None else ""
    except ValueError as error:
        raise SettingsError(f"api_key (HELICONE_API_KEY): {error}") from None


def _content(settings: Settings) -> Content:
    allowed = content_of(settings.log_content)
    return Content(inputs=allowed["inputs"], outputs=allowed["outputs"])


def _finished_span(
    span: ReadableSpan, attributes: Mapping[str, object], wrappers: Sequence[ReadableSpan] = ()
) -> FinishedSpan:
    scope = span.instrumentation_scope
    return FinishedSpan(
        name=span.name,
        scope=scope.name if scope is not None else "",
        attributes=attributes,
        events=tuple(Event(event.name, event.timestamp, event.attributes or {}) for event in span.events),
        start=span.start_time or 0,
        end=span.end_time or 0,
        failed=span.status.status_code is StatusCode.ERROR,
        reason=span.status.description or "",
        wrappers=tuple(_finished_span(wrapper, wrapper.attributes or {}) for wrapper in wrappers[:_MAX_WRAPPERS]),
    )
