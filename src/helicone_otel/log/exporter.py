"""The exporter to Helicone's log: spans of calls that no gateway saw become rows."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from .. import wire
from ..caches import Generations
from ..endpoints import check_transport, checked_endpoint, checked_key, default_endpoint
from ..failures import swallow, warn_once
from ..otel.exporter import FinalizedSpan, finalized, finalized_attributes
from ..sessions.model import Session
from ..settings import Settings, SettingsError, content_of
from ..spans.schema import REQUEST_KINDS
from ..tracking.on_end import Outcome
from ..tracking.registry import REGISTRY, Registry
from .delivery.client import Client
from .delivery.queue import PendingRow
from .grouping import wrappers_among
from .rows.content import Content
from .rows.encode import encoded
from .rows.row import row_of
from .rows.types import Event, FinishedSpan

_VARIABLES: Final = {
    "delay": ("OTEL_BSP_SCHEDULE_DELAY", 5000),
    "queue": ("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
    "batch": ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
    "timeout": ("OTEL_BSP_EXPORT_TIMEOUT", 30000),
}


class Limits(NamedTuple):
    """How much is held back and for how long.

    Attributes:
        delay: How long a span waits at most before it becomes a row, in milliseconds.
        queue: How many spans, and how many rows, wait at most.
        batch: As soon as so many spans wait, they become rows.
        timeout: How long a request may take, and a shutdown, in milliseconds.
    """

    delay: int
    queue: int
    batch: int
    timeout: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Limits:
        """Read the limits; a value that cannot be used counts as unset, as it does for OpenTelemetry."""
        environ = os.environ if environ is None else environ
        values = {field: _positive(environ, *variable) for field, variable in _VARIABLES.items()}
        limits = cls(**values)
        return limits._replace(batch=min(limits.batch, limits.queue))


def _positive(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not int(text[:12]):
        warn_once(f"{variable} is no positive number of at most twelve digits; {default} it is.")
        return default
    return int(text[:12])


_FULL: Final = "A row was not logged to Helicone: the queue is full (OTEL_BSP_MAX_QUEUE_SIZE, or 64 MiB)"
# An app that ends does not wait longer than this for a server that does not answer.
_AT_EXIT: Final = 10.0
# Of so many rows it is remembered that they were logged.
_MAX_LOGGED: Final = 16_384
# No framework has so many layers that tell of one call.
_MAX_WRAPPERS: Final = 8

KeyFor = Callable[[Session], str | None]


class HeliconeSpanExporter(SpanExporter):
    """Logs to Helicone what no gateway saw: vector queries, tool calls, reranks, LLM calls that went elsewhere.

    Spans that are no such calls are passed over, so it may be given all there are. Rows are sent by threads of
    its own, again where that helps; at most `OTEL_BSP_MAX_QUEUE_SIZE` rows, and 64 MiB of them, wait. Whatever
    is not given is read from the environment.

    Args:
        api_key: The key; not needed where `key_for` is given.
        endpoint: Where rows go, without `/custom/v1/log`.
        kinds: Which kinds are logged; all if not given.
        content: Which content stands in rows, and what redacts it.
        key_for: Returns the key for a session, for apps with tenants; `None` if it is not to be logged. It is
            called in a thread of the exporter's own for each row.
        http_hosts: Hosts to which rows may go unencrypted.
        settings: Where to look for what is not given, instead of the environment.
        registry: Where spans are remembered; the process's own if not given.

    Raises:
        SettingsError: There is no key, or it or something else cannot be used; no message shows a key.
    """

    _waited: ClassVar[float] = 0.0
    """How many seconds have been waited in vain while things ended."""

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
        self.endpoint, self._key = _address(settings, api_key, endpoint, http_hosts, needs_key=key_for is None)
        # Else each key says where its rows go.
        self._is_fixed = bool(endpoint or settings.log_endpoint)
        chosen = Settings(log_kinds=tuple(settings.log_kinds if kinds is None else kinds)).log_kinds
        self._kinds = frozenset(chosen) or REQUEST_KINDS
        self._content = content if content is not None else _content(settings)
        self.limits = Limits.from_environment()
        self._client = Client(self.endpoint, self.limits.queue, seconds=self.limits.timeout / 1000)
        self._stopped = False
        weak = weakref.WeakMethod(self.finish)
        atexit.register(lambda: (leave := weak()) and leave())

    def __repr__(self) -> str:
        kinds = ", ".join(sorted(self._kinds))
        return f"HeliconeSpanExporter(endpoint={self.endpoint!r}, kinds={kinds!r}, waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        """How many rows are to be sent yet."""
        return self._client.rows

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take the spans that are calls which no gateway saw; they are sent soon. Never raises."""
        if self._stopped:
            return SpanExportResult.FAILURE
        ended = [finalized(span, self._registry) for span in spans]
        logged = [span for span in ended if isinstance(span, FinalizedSpan) and span.logged]
        wrappers = wrappers_among(self._registry, ended) if logged else {}
        for span in logged:
            try:
                self._log(span, dict(span.attributes or {}), wrappers.get(span.context.span_id, ()))
            except Exception as error:  # noqa: BLE001  # the spans after it are to be logged all the same
                swallow("log exporter", error)
        return SpanExportResult.SUCCESS

    def log(self, span: ReadableSpan, outcome: Outcome | None, wrappers: Sequence[ReadableSpan] = ()) -> None:
        """Take a span of which it is known what became of it, if a row is to be made of it. Never raises.

        Args:
            span: The span.
            outcome: What became of it.
            wrappers: Spans that tell of the same call; what the span lacks is taken from them.
        """
        try:
            if outcome is not None and outcome.logged and not self._stopped:
                self._log(span, finalized_attributes(span, outcome), wrappers)
        except Exception as error:  # noqa: BLE001  # the spans after it are to be logged all the same
            swallow("log exporter", error)

    def _log(self, span: ReadableSpan, attributes: dict[str, object], wrappers: Sequence[ReadableSpan]) -> None:
        if attributes.get(wire.SPAN_KIND) not in self._kinds:
            return
        if self._client.is_full:  # before the work of making a row
            warn_once(_FULL)
            return
        row = row_of(_facts(span, attributes, wrappers), self._content)
        if row is None:
            warn_once("A span could not be made a row of Helicone's log.")
            return
        key = self._key_of(row.session)
        if key is None:
            return
        url = (self.endpoint if self._is_fixed else default_endpoint(key)) + row.route
        if _LOGGED.claim(f"{url} {key} {row.id}") and not self._client.put(
            PendingRow(row.id, key, url, encoded(row), row.headers)
        ):
            warn_once(_FULL)

    def _key_of(self, session: Session) -> str | None:
        if self._key_for is None:
            return self._key
        try:
            key = self._key_for(session)
        except Exception as error:  # noqa: BLE001  # the user's function may do anything
            # Without its traceback: what it says may quote a key.
            warn_once(f"A row was not logged to Helicone: key_for failed ({type(error).__name__})")
            return None
        try:
            return checked_key(key, self.endpoint) if key is not None else None
        except ValueError as error:
            warn_once(f"A row was not logged to Helicone: key_for: {error}")
            return None

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is there; tell whether all of it was sent, or refused for good, within the time."""
        return self._client.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: int | None = None) -> None:
        """Send what is there within the time, ten seconds if none is given, and take nothing more."""
        if not self._stopped:
            self._stopped = True
            self._client.shutdown(_AT_EXIT if timeout_millis is None else timeout_millis / 1000)

    def finish(self) -> bool:
        """Send what is there before the app ends, or a provider does.

        Whoever asks, and of however many exporters, a server that does not answer is waited for ten seconds at most.
        """
        began = time.monotonic()
        done = self._stopped or self._client.flush(max(_AT_EXIT - HeliconeSpanExporter._waited, 0))
        HeliconeSpanExporter._waited = 0.0 if done else HeliconeSpanExporter._waited + time.monotonic() - began
        return done


class _Logged:
    """Remembers which rows were logged, so that two exporters in one process make one row."""

    def __init__(self) -> None:
        # Hashes, because what a row is claimed for contains the key.
        self._claims: Generations[int, bool] = Generations(_MAX_LOGGED)

    def claim(self, what: str) -> bool:
        mark = hash(what)
        if self._claims.get(mark):
            return False
        self._claims.put(mark, True)
        return True


_LOGGED: Final = _Logged()


def _address(
    settings: Settings,
    key: str | None,
    endpoint: str | None,
    http_hosts: Iterable[str] | None,
    needs_key: bool,
) -> tuple[str, str]:
    """Return where rows go, and with which key."""
    key = key if key is not None else settings.api_key
    if key is None and needs_key:
        raise SettingsError("HELICONE_API_KEY is not set: rows cannot be logged to Helicone without a key")
    try:
        address = checked_endpoint(endpoint or settings.log_endpoint or default_endpoint(key))
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


def _facts(span: ReadableSpan, attributes: Mapping[str, object], wrappers: Sequence[ReadableSpan] = ()) -> FinishedSpan:
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
        wrappers=tuple(_facts(wrapper, wrapper.attributes or {}) for wrapper in wrappers[:_MAX_WRAPPERS]),
    )
