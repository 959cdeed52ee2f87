"""The registry: the one home of the process's state, and the one place to ask about spans.

It answers three questions: a span starts (`starts`), headers leave (`locate`), a span ended (`ends`, `outcome`).
What answers them, the *engine*, is built when the first question is asked: an app that starts up, and a process
that never makes a span, pay nothing for it. `configure()` builds it at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..failures import LoggedError, log_that_library_is_off, swallow
from ..sessions.foreign import find_imported_sdks
from ..settings import Settings
from .state import ProcessState

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from ..sessions.model import Session
    from ..spans.reader import SpanReader
    from ..spans.schema import Dialect
    from .locate import Location, Locator
    from .on_end import Outcome, SpanEnds
    from .on_start import SpanStarts
    from .records import SpanRecord
    from .resolver import Resolver


class _Part:
    """An attribute that builds the engine when it is read first.

    Afterwards the attribute of the instance comes first, because this descriptor does not define `__set__`. A
    `__getattr__` of the registry would make each attribute of it slower to read, on every span.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, registry: Registry | None, owner: type) -> object:
        return self if registry is None else registry.build()[self._name]


def _part() -> Any:
    return _Part()


class Registry(ProcessState):
    """Remembers spans and answers for them.

    Args:
        settings: What to do; the defaults if not given.
        dialects: The tables by which spans are read; the library's own if not given.

    Attributes:
        on_start: `on_start(span, parent_context)` labels a span that starts: the method of `starts`, once that is
            built. Each span reads it, and nothing is faster to read than an attribute of the instance.
        starts: Labels spans that start.
        ends: Decides about spans that end.
        resolver: Finds the session and path of spans.
        locator: Finds the session and path of headers.
    """

    _is_broken = False
    _is_building = False
    starts: SpanStarts = _part()
    ends: SpanEnds = _part()
    resolver: Resolver = _part()
    locator: Locator = _part()

    def __init__(self, settings: Settings | None = None, dialects: Sequence[Dialect] | None = None) -> None:
        self._dialects = dialects
        self._parts: Mapping[str, object] = {}
        super().__init__(settings or Settings())
        self.on_start: Callable[[Span, Context | None], None] = self._build_and_start

    def configure(self, settings: Settings) -> None:
        """Put other settings in force and forget what was remembered."""
        with _building.lock:
            self.use(settings)
            self.on_start = self._build_and_start
            if self._is_broken:  # what could not be built may be built now
                self._is_broken, self.active = False, True
            for name in self._parts:
                delattr(self, name)
            self._parts = {}

    def build(self) -> Mapping[str, object]:
        """Build the engine, if it is not built yet.

        Returns:
            Its parts, by their names here.

        Raises:
            LoggedError: It cannot be built, and the library is off from then on. Or this was called while the same
                thread builds: by a signal handler, or by a `__del__` that starts a span.
        """
        if self._is_broken:
            raise LoggedError
        try:
            with _building.lock:
                return self._build()
        except LoggedError:
            raise
        except Exception as error:
            self._is_broken, self.active = True, False
            log_that_library_is_off(error)  # without the lock, because handlers of logs have locks as well
            raise LoggedError from error

    def _build(self) -> Mapping[str, object]:
        if self._parts:  # another thread came first
            return self._parts
        if self._is_building:
            raise LoggedError
        self._is_building = True
        try:
            from .engine import parts_of  # noqa: PLC0415  # 10 ms that an app's start should not pay

            parts = parts_of(self, self._dialects)
        finally:
            self._is_building = False
        # Not through `vars(self)`: that would make each attribute slower to read.
        for name, part in parts.items():
            setattr(self, name, part)
        self._parts = parts
        self.on_start = self.starts.on_start
        return parts

    def _build_and_start(self, span: Span, parent_context: Context | None) -> None:
        self.starts.on_start(span, parent_context)

    @property
    def reader(self) -> SpanReader:
        """What reads spans by the dialects."""
        return self.resolver.reader

    def locate(self, context: Context | None = None, call: str | None = None) -> Location | None:
        """Return the session and path that hold in a Context, or `None` where there is no session.

        Args:
            context: The current one if not given.
            call: `llm` or `embedding` if such a call is about to be made here without a span.
        """
        return self.locator.locate(context, call)

    def record_of(self, span: trace.Span | ReadableSpan) -> SpanRecord | None:
        """Return what is remembered of a span."""
        ids = span.get_span_context()
        return self.resolver.span_store.known(ids, span) if ids is not None else None

    def predicted_session_id(
        self,
        trace_id: int,
        kind: trace.SpanKind | None = None,
        attributes: Mapping[str, object] | None = None,
        context: Context | None = None,
    ) -> str:
        """Return the session id, in wire form, that a root span will get; see `prediction`."""
        from .prediction import predicted_session_id  # noqa: PLC0415  # only samplers ask

        return predicted_session_id(self.resolver, trace_id, kind, attributes, context)

    def outcome(self, span: ReadableSpan) -> Outcome | None:
        """Return what was decided for a span that has ended; `None`: it leaves as it is."""
        return self.ends.outcome(span)


class _BuildLock:
    """The lock under which engines are built.

    A fork waits until no thread builds: in a child, modules that another thread was importing stay locked for ever.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal handler may ask while its thread builds
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._acquire, after_in_parent=self._release, after_in_child=self._renew)

    def _acquire(self) -> None:
        self.lock.acquire()

    def _release(self) -> None:
        self.lock.release()

    def _renew(self) -> None:
        self.lock = threading.RLock()


_building = _BuildLock()

# The registry of the process. Entry points construct processors and propagators without arguments, and those
# must share its state.
REGISTRY = Registry()
# A session that code opens before the first span may be inside of one that another SDK claims.
find_imported_sdks()


def current_session() -> Session | None:
    """Return the session that holds here, whoever opened it.

        with session("Trip Planning"):
            current_session().name  # "Trip Planning"

    Returns:
        The session, or `None` if there is none.
    """
    try:
        location = REGISTRY.locate()
    except Exception as error:  # noqa: BLE001  # asking must not fail the user's work
        swallow("current_session", error)
        return None
    return location.session if location else None
