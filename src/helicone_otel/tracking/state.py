"""What holds for the whole process, whatever is remembered of its spans: settings, switches and callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..caches import Generations, Recent
from ..destinations import Destinations
from ..injected import InjectedHeaders
from ..sessions.model import SessionPath
from ..settings import Settings
from .left_alone import SpansLeftAlone

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from .records import Leaf, SpanRecord

# Spans of an LLM app that live: beyond this many, which are ones that never end, the oldest are forgotten.
MAX_LIVE: Final = 8192
# How many rows are remembered as logged.
_MAX_LOGGED: Final = 16_384


class ProcessState:
    """The switches of the process, which every part of the tracking engine reads.

    Attributes:
        settings: The settings in force.
        destinations: Which hosts get headers, by those settings.
        root_path: The path at which sessions begin that name none.
        live: The records of spans that have started and are not decided yet, by span id.
        ending: While rows are logged, the records of spans whose end is just being handed from one processor to
            the next, by span id; `None` for a span without a record. Processors of the app may still change them.
        left_alone: The spans that are not the app's.
        vendors_services: The `service.name` of vendors' providers: no session has such a name.
        active: False once everything was uninstalled: propagators and hooks then do nothing.
        decides_at_end: Processors are installed that may hand on spans with other attributes than they have.
            What a span is must then be decided when it ends; otherwise that can wait until an exporter asks.
        are_ends_unseen: Nothing tells when all processors of some provider have had a span that has ended. So rows wait
            for a schedule delay.
        forked_at: When this process was forked, in nanoseconds since the epoch: what was open then ends elsewhere.
        hooked: Where the transport hook writes headers instead of the propagator: names of instrumentation
            scopes, and packages of carriers.
        is_hooking: Hooks are installed, or will be when the app imports a client.
        injected: The headers that the propagator injected last.
        logged_rows: Hashes of the rows that were logged last, whichever exporter did it.
        log: `log(entry, span)` takes a span that has ended and may become a row of Helicone's log, with what is
            remembered of it. `None`: nothing is logged.
        flush_log: `flush_log(milliseconds)` sends what `log` took and returns whether all of it was sent in time.
            `flush_log(None)` does so when the app, or a provider, shuts down.
    """

    def __init__(self, settings: Settings) -> None:
        self.active = True
        self.decides_at_end = False
        self.are_ends_unseen = False
        self.forked_at = 0
        self.hooked: set[str] = set()
        self.is_hooking = False
        self.vendors_services: set[str] = set()
        self.injected = InjectedHeaders()
        self.logged_rows: Generations[int, object] = Generations(_MAX_LOGGED)
        self.log: Callable[[SpanRecord | Leaf, ReadableSpan], None] | None = None
        self.flush_log: Callable[[int | None], bool] | None = None
        self.ending: dict[int, SpanRecord | None] = {}
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Put settings in force, and forget the spans that have started."""
        self.settings = settings
        self.destinations = Destinations(settings.gateway_hosts, settings.propagate_hosts, settings.utf8_hosts)
        self.root_path = SessionPath(settings.session_path)
        self.live: Recent[int, SpanRecord] = Recent(MAX_LIVE)
        self.ending.clear()
        self.left_alone = SpansLeftAlone()
