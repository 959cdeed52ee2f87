"""Collects what is to be logged to Helicone: what HELICONE_LOG switches on, for all providers of a process.

OpenTelemetry's own processor queues every span. Here the registry, which decides what a span is when it ends,
hands over those that may become rows, and all further work is a thread's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ..failures import swallow, warn_once
from ..tracking.records import Entry
from ..tracking.registry import Registry
from .delivery.client import suppressed
from .grouping import CallGroup, CallGrouper

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from .exporter import HeliconeSpanExporter

_T = TypeVar("_T")
_pid = os.getpid


class LogWorker:
    """Collects the spans of which rows are to be made.

    As many spans as rows wait at most; those that come then are counted and dropped. One whose wrapper has not
    ended is held back, for as long as spans wait anyway.

    Args:
        registry: Hands them over.

    Attributes:
        exporter: Makes the rows; `None`: nothing is logged.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.exporter: HeliconeSpanExporter | None = None
        self._limit = self._batch = 0
        self._delay = 0.0
        self._waiting: deque[tuple[ReadableSpan, Entry]] = deque()
        self._ready: deque[CallGroup] = deque()
        # Those that were replaced and still have rows: kept, because as the app ends theirs are sent, too.
        self._leaving: list[HeliconeSpanExporter] = []
        # In which process `multiprocessing` knows of us.
        self._worker: int | None = None
        self._begin()
        weak = weakref.WeakMethod(self._leave)
        atexit.register(lambda: (leave := weak()) and leave())
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (anew := begin()) and anew())

    def _begin(self) -> None:
        """Begin with nothing: at first, and in a child that was forked, whose parent logs what it had."""
        self._pid = _pid()
        self._waiting.clear()
        self._ready.clear()
        self._joining = CallGrouper(self._registry, self._batch)
        self._awake = threading.Event()
        # An object that is collected meanwhile may end a span.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def switch(self, exporter: HeliconeSpanExporter | None) -> None:
        """Log with another exporter from here on, or with none; what the one before has is sent in the background."""
        before = self.exporter
        if before is exporter:
            return
        if before is not None:
            self._take_all(before)
            self._leaving = [*self._still_leaving(), before]
        if exporter is not None:
            limits = exporter.limits
            self._limit, self._batch, self._delay = limits.queue, limits.batch, limits.delay / 1000
            self._joining.limit = self._batch
        self.exporter = exporter
        self._registry.log = self._put if exporter is not None else None
        self._registry.flush_log = self.flush if exporter is not None else None
        if self._thread is not None:
            self._awake.set()  # how long it waits may be another time now

    def _put(self, entry: Entry, span: ReadableSpan) -> None:
        if self._pid != _pid():
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

    def _still_leaving(self) -> list[HeliconeSpanExporter]:
        return [exporter for exporter in self._leaving if exporter.waiting]

    def _start(self) -> None:
        # Where the interpreter ends no thread can be started, and where there are too many not now.
        with self._lock, contextlib.suppress(RuntimeError):
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="helicone-otel-rows", daemon=True)
                thread.start()
                self._thread = thread
                self._heed_end_of_worker()

    def _heed_end_of_worker(self) -> None:
        """Have what is there sent where a child of `multiprocessing` ends: it does so without calling `atexit`."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and self._worker != self._pid:
            self._worker = self._pid
            leave = weakref.WeakMethod(self._leave)
            # A priority is what makes it run at all as the process ends.
            util.Finalize(None, lambda: (last := leave()) and last(), exitpriority=0)

    def _work(self) -> None:
        awake = self._awake
        try:
            while awake is self._awake:
                with self._lock:
                    patience = self._joining.wait(self._delay)
                awake.wait(patience)
                awake.clear()
                if (exporter := self.exporter) is None:
                    break
                self._take(exporter, self._delay)
        finally:  # a hook of the user's may end a thread
            with self._lock:
                if awake is self._awake:
                    self._thread = None
        if self.exporter is not None and (self._waiting or self._joining):  # something is logged again, just now
            self._start()

    def _take_all(self, exporter: HeliconeSpanExporter) -> None:
        """Make rows of all that is there now."""
        self._take(exporter, 0)

    def _take(self, exporter: HeliconeSpanExporter, patience: float) -> None:
        """Make rows of what waits now, but for what has wrappers and has not been held so long (in seconds)."""
        try:
            with self._lock:
                self._ready.extend(self._joining.take(_popped(self._waiting), patience))
        except Exception as error:  # noqa: BLE001  # the thread must live on
            swallow("log", error)
        if self._ready:
            with suppressed():  # or what hooks call would become rows, for which they are called again
                for group in _popped(self._ready):
                    self._make_row(exporter, group)

    def _make_row(self, exporter: HeliconeSpanExporter, group: CallGroup) -> None:
        span, entry, wrappers = group
        try:
            exporter.log(span, self._registry.outcome_later(entry, span), wrappers)
        except Exception as error:  # noqa: BLE001  # the spans after it are to be logged all the same
            swallow("log", error)

    def flush(self, milliseconds: int | None) -> bool:
        """Log what is there; tell whether all of it arrived, or was refused for good, within a time.

        Args:
            milliseconds: The time; that which is left to an app that ends if not given.
        """
        exporter = self.exporter
        if exporter is None:
            return True
        end = time.monotonic() + (milliseconds or 0) / 1000
        self._take_all(exporter)
        done = True
        for each in (exporter, *self._still_leaving()):
            left = int(max(end - time.monotonic(), 0) * 1000)
            done = (each.finish() if milliseconds is None else each.force_flush(left)) and done
        return done

    def _leave(self) -> None:
        """Log what is there as the interpreter or a worker ends, also where no provider is shut down."""
        if (exporter := self.exporter) is not None:
            self._take_all(exporter)
            if exporter.waiting:
                exporter.finish()


def _popped(waiting: deque[_T]) -> Iterator[_T]:
    """Yield what is there now; another thread may be at it as well."""
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:
            return
