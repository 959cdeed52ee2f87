"""Hands the exporter to Helicone's log what it needs, and nothing else: the processor that HELICONE_LOG adds.

OpenTelemetry's own processor would queue every span; this one asks first what became of it, which the
registry knows by then, and leaves all further work to a thread. So it costs the app no more than that one.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from ._guard import swallow, warn_once
from ._lineage import Entry
from ._registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from ._exporter import HeliconeSpanExporter


class Log(SpanProcessor):
    """Collects the spans of which rows are to be made, one for all providers of a process.

    As many spans as rows wait at most; those that come then are counted and dropped.

    Args:
        registry: Where spans are remembered; the process's own if not given.

    Attributes:
        exporter: Makes the rows; `None`: nothing is logged.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry or REGISTRY
        self.exporter: HeliconeSpanExporter | None = None
        self._limit = self._batch = 0
        self._delay = 0.0
        self._waiting: deque[tuple[ReadableSpan, Entry]] = deque()
        self._begin()
        weak = weakref.WeakMethod(self.shutdown)
        atexit.register(lambda: (leave := weak()) and leave())
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (anew := begin()) and anew())

    def _begin(self) -> None:
        """Begin with nothing: at first, and in a child that was forked, whose parent logs what it had."""
        self._pid = os.getpid()
        self._waiting.clear()
        self._awake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def switch(self, exporter: HeliconeSpanExporter | None) -> None:
        """Log with another exporter from here on, or with none; what the one before has is sent in the background."""
        before = self.exporter
        if before is exporter:
            return
        if before is not None:
            self._take_all(before)
        if exporter is not None:
            limits = exporter.limits
            self._limit, self._batch, self._delay = limits.queue, limits.batch, limits.delay / 1000
        self.exporter = exporter
        self._awake.set()  # how long it waits may be another time now

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: what a span is shows at its end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take note of a span that has ended, if a row may be made of it."""
        if self.exporter is None:
            return
        try:
            entry = self._registry.candidate(span)
            if entry is not None:
                self._put(span, entry)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's span.end
            swallow("on_end", error)

    def _put(self, span: ReadableSpan, entry: Entry) -> None:
        if self._pid != os.getpid():
            self._begin()  # forked by something that tells Python nothing of it, such as uWSGI
        waiting = self._waiting
        if len(waiting) >= self._limit:
            warn_once("A span was not logged to Helicone: too many wait (OTEL_BSP_MAX_QUEUE_SIZE).")
            return
        waiting.append((span, entry))
        if self._thread is None:
            self._start()
        if len(waiting) >= self._batch and not self._awake.is_set():
            self._awake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="helicone-otel-rows", daemon=True)
                self._thread = thread
                thread.start()

    def _work(self) -> None:
        awake = self._awake
        while awake is self._awake:
            awake.wait(self._delay)
            awake.clear()
            if self.exporter is not None:
                self._take_all(self.exporter)

    def _take_all(self, exporter: HeliconeSpanExporter) -> None:
        """Make rows of what waits now."""
        for _ in range(len(self._waiting)):
            try:
                span, entry = self._waiting.popleft()
            except IndexError:
                return  # another thread is at it
            try:
                exporter.log(span, self._registry.outcome_later(entry, span))
            except Exception as error:  # noqa: BLE001  # the spans after it are to be logged all the same
                swallow("log", error)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Log what is there; tell whether all of it arrived, or was refused for good, within the time."""
        exporter = self.exporter
        if exporter is None:
            return True
        end = time.monotonic() + (30000 if timeout_millis is None else timeout_millis) / 1000
        self._take_all(exporter)
        return exporter.force_flush(int(max(end - time.monotonic(), 0) * 1000))

    def shutdown(self) -> None:
        """Log what is there; the exporter goes on, as other providers may."""
        exporter = self.exporter
        if exporter is not None:
            self._take_all(exporter)
            exporter.finish()
