"""Makes the rows of what HELICONE_LOG switches on, for all providers of a process, in one thread.

OpenTelemetry's own processor queues every span. Here the registry decides what a span is when it ends, and
hands over only spans that may become rows. The thread does all further work.
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
from ..tracking.records import Leaf, SpanRecord
from ..tracking.registry import Registry
from .delivery.client import suppressed
from .grouping import CallGroup, CallGrouper

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from .exporter import HeliconeSpanExporter

_T = TypeVar("_T")
_getpid = os.getpid


class LogWorker:
    """Queues spans that may become rows, and makes the rows in a thread.

    The queue is as long as the exporter's queue of rows. When it is full, new spans are dropped and counted. A call
    whose wrapper has not ended waits for it, at most for the schedule delay.

    Args:
        registry: Hands over the spans.

    Attributes:
        exporter: Sends the rows; `None` if nothing is logged.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.exporter: HeliconeSpanExporter | None = None
        self._limit = self._batch = 0
        self._delay = 0.0
        self._waiting: deque[tuple[ReadableSpan, SpanRecord | Leaf]] = deque()
        self._ready: deque[CallGroup] = deque()
        # Exporters that were replaced and still have rows, which are sent when the app ends, too.
        self._replaced: list[HeliconeSpanExporter] = []
        # The process in which `multiprocessing` calls us at its end.
        self._finalizer_pid: int | None = None
        self._reset()
        weak = weakref.WeakMethod(self._log_at_exit)
        atexit.register(lambda: (method := weak()) and method())
        if hasattr(os, "register_at_fork"):
            weak_reset = weakref.WeakMethod(self._reset)
            os.register_at_fork(after_in_child=lambda: (method := weak_reset()) and method())

    def _reset(self) -> None:
        """Start with empty queues: at first, and in a forked child, because the parent logs what it had."""
        self._pid = _getpid()
        self._waiting.clear()
        self._ready.clear()
        self._grouper = CallGrouper(self._registry, self._batch)
        self._wake = threading.Event()
        # Reentrant, because the garbage collector may end a span in the thread that holds it.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def switch(self, exporter: HeliconeSpanExporter | None) -> None:
        """Log with another exporter from now on, or with none. The one before sends its rows in the background."""
        before = self.exporter
        if before is exporter:
            return
        if before is not None:
            self._log_all(before)
            self._replaced = [*self._replaced_with_rows(), before]
        if exporter is not None:
            limits = exporter.limits
            self._limit, self._batch, self._delay = limits.queue, limits.batch, limits.delay / 1000
            self._grouper.limit = self._batch
        self.exporter = exporter
        self._registry.log = self._put if exporter is not None else None
        self._registry.flush_log = self.flush if exporter is not None else None
        if self._thread is not None:
            self._wake.set()  # the delay may have changed

    def flush(self, milliseconds: int | None) -> bool:
        """Make and send all rows; return whether each was sent, or refused for good, in time.

        Args:
            milliseconds: The time; `None`: what is left of the time that an app waits at its end.
        """
        exporter = self.exporter
        if exporter is None:
            return True
        end = time.monotonic() + (milliseconds or 0) / 1000
        self._log_all(exporter)
        done = True
        for each in (exporter, *self._replaced_with_rows()):
            left = int(max(end - time.monotonic(), 0) * 1000)
            done = (each.finish() if milliseconds is None else each.force_flush(left)) and done
        return done

    def _put(self, entry: SpanRecord | Leaf, span: ReadableSpan) -> None:
        if self._pid != _getpid():
            self._reset()  # the process was forked without Python's fork hooks, as uWSGI does
        waiting = self._waiting
        if len(waiting) >= self._limit:
            warn_once("A span was not logged to Helicone: too many wait (OTEL_BSP_MAX_QUEUE_SIZE).")
            return
        waiting.append((span, entry))
        if self._thread is None:
            self._start()
        if len(waiting) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def _replaced_with_rows(self) -> list[HeliconeSpanExporter]:
        return [exporter for exporter in self._replaced if exporter.waiting]

    # --- the thread ---------------------------------------------------------------------------

    def _start(self) -> None:
        # No thread can start while the interpreter ends, or when there are too many. The next span tries again.
        with self._lock, contextlib.suppress(RuntimeError):
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="helicone-otel-rows", daemon=True)
                thread.start()
                self._thread = thread
                self._register_with_multiprocessing()

    def _register_with_multiprocessing(self) -> None:
        """Log at the end of a child of `multiprocessing`, which ends without calling `atexit` functions."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and self._finalizer_pid != self._pid:
            self._finalizer_pid = self._pid
            weak = weakref.WeakMethod(self._log_at_exit)
            # Without a priority it does not run when the process ends.
            util.Finalize(None, lambda: (method := weak()) and method(), exitpriority=0)

    def _work(self) -> None:
        wake = self._wake
        try:
            while wake is self._wake:
                with self._lock:
                    seconds = self._grouper.seconds_to_next(self._delay)
                wake.wait(seconds)
                wake.clear()
                if (exporter := self.exporter) is None:
                    break
                self._log_due(exporter, self._delay)
        finally:  # a hook of the user may end the thread
            with self._lock:
                if wake is self._wake:
                    self._thread = None
        if self.exporter is not None and (self._waiting or self._grouper):  # logging was switched on again just now
            self._start()

    def _log_all(self, exporter: HeliconeSpanExporter) -> None:
        """Make rows of all spans that wait."""
        self._log_due(exporter, 0)

    def _log_due(self, exporter: HeliconeSpanExporter, max_wait: float) -> None:
        """Make rows of the calls that wait for no wrapper, or have waited for `max_wait` seconds."""
        try:
            with self._lock:
                ended = (pair for pair in _popped(self._waiting) if _is_sampled(pair[0]))
                self._ready.extend(self._grouper.take(ended, max_wait))
        except Exception as error:  # noqa: BLE001  # the thread must live on
            swallow("log", error)
        if self._ready:
            with suppressed():  # calls that hooks make must not become rows, for which the hooks would be called again
                for group in _popped(self._ready):
                    exporter.log(group, self._registry)

    def _log_at_exit(self) -> None:
        """Log what waits when the interpreter or a worker ends, also where no provider is shut down."""
        if (exporter := self.exporter) is not None:
            self._log_all(exporter)
            if exporter.waiting:
                exporter.finish()


def _is_sampled(span: ReadableSpan) -> bool:
    """Tell whether exporters may have a span. OpenTelemetry's own processors ask this, too."""
    ids = span.get_span_context()
    return ids is not None and ids.trace_flags.sampled


def _popped(waiting: deque[_T]) -> Iterator[_T]:
    """Yield and remove the items that are in a queue now. Other threads may do the same."""
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:
            return
