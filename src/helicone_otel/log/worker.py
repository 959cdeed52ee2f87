"""Groups the spans of what HELICONE_LOG switches on, for all providers of a process, in one thread.

OpenTelemetry's own processor queues every span. Here the registry decides what a span is when it ends, and
hands over only spans that may become rows. The thread groups them by calls, and the exporter makes the rows.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections import Counter, deque
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from ..failures import swallow, warn_once
from ..tracking.records import Leaf, SpanRecord
from ..tracking.registry import Registry
from .delivery.client import MAX_BYTES, load_sender, seconds_of
from .delivery.memory import memory_of
from .delivery.threads import Event, Lock, may_be_patched, start
from .grouping import CallGroup, CallGrouper, EndedSpan

if TYPE_CHECKING:
    from .exporter import HeliconeSpanExporter

_T = TypeVar("_T")
_getpid = os.getpid

# Seconds for which the thread gathers spans once it was woken, so that it is not woken for each one of many.
_GATHER: Final = 0.005
_GATHER_LOOKS: Final = 10
# Seconds that the thread waits at a time until the exporter has room.
_LONGEST_HANDING: Final = 0.1
# Seconds that spans may take to become rows when the app ends.
_LONGEST_AT_EXIT: Final = 10.0
# When spans of so many bytes wait, rows are made of them at once.
_MANY_BYTES: Final = MAX_BYTES // 4
# How much more there may be where several tenants share the room: see `_has_share`.
_CROWDED: Final = 1.25
# A `Process` of these calls finalizers when it ends. https://github.com/celery/billiard is Celery's `multiprocessing`.
_WITH_FINALIZERS: Final = ("multiprocessing.util", "billiard.util")
# A child of Celery's pool calls none of these, but sends a signal, to which we connect under this name.
# https://docs.celeryq.dev/en/stable/userguide/signals.html#worker-process-shutdown
_UID: Final = "helicone-otel"
_REPLACED: Final = "A call was not logged to Helicone: its exporter was replaced, and had no room for it."
_FULL: Final = "A span was not logged to Helicone: too many wait (OTEL_BSP_MAX_QUEUE_SIZE, or 64 MiB)."


class LogWorker:
    """Queues spans that may become rows, and hands the calls to the exporter in a thread.

    The queue is as long as the exporter's queue of rows, and bounded in bytes as well. When it is full, new spans are
    dropped and counted. A row leaves as soon as nothing can be added to it. A call of which an open span may still tell
    waits for that span, at most for the schedule delay, and not at all while half of the bytes are taken.

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
        # Each with how many bytes it takes.
        self._waiting: deque[EndedSpan] = deque()
        # How much memory is taken by the spans in `_waiting`, by those that have left it and have not been handed over,
        # and by those of which the exporter has not made rows yet, when that was read last. The app's threads change
        # the first without a lock, so our thread reckons it anew each time.
        self._bytes = self._held = self._unmade = self._ready_bytes = 0
        # How many spans were dropped, and how many of these a flush has reported.
        self._lost = self._reported = 0
        self._ready = _ReadyCalls()
        # How much each tenant has waiting, if that was counted since the thread took spans last.
        self._crowd: Counter[Hashable] | None = None
        # Exporters that were replaced and still have rows, which are sent when the app ends, too.
        self._replaced: list[HeliconeSpanExporter] = []
        self._pid = _getpid()
        # The process at whose end those libraries call us that end a process without `atexit` functions.
        self._pid_with_hooks: int | None = None
        self._reset()
        weak = weakref.WeakMethod(self._log_at_exit)
        atexit.register(lambda: (method := weak()) and method())
        if hasattr(os, "register_at_fork"):
            weak_reset = weakref.WeakMethod(self._reset)
            os.register_at_fork(after_in_child=lambda: (method := weak_reset()) and method())

    def _reset(self) -> None:
        """Start with empty queues: at first, and in a forked child, because the parent logs what it had."""
        if self._pid != _getpid():  # what was open at the fork ends in the parent
            self._pid = _getpid()
            self._registry.forked_at = time.time_ns()
            self._registry.ending.clear()
        self._bytes = self._held = self._unmade = self._ready_bytes = self._lost = self._reported = 0
        self._gather = _GATHER
        self._waiting.clear()
        self._ready = _ReadyCalls()
        self._crowd = None
        self._grouper = CallGrouper(self._registry, self._batch)
        self._wake = Event()
        # Whether the thread sleeps until it is woken. A span that finds it awake need not wake it.
        self._is_asleep = False
        self._lock = Lock()
        # Held while a call is handed over, so that a flush can wait for the call of another thread.
        self._handing = Lock()
        self._runs = False

    def switch(self, exporter: HeliconeSpanExporter | None) -> None:
        """Log with another exporter from now on, or with none. The one before sends its rows in the background."""
        before = self.exporter
        if before is exporter:
            return
        if before is not None:
            self._log_all(before, time.monotonic() + _LONGEST_AT_EXIT)
            self._drop_ready()
            self._replaced = [*self._replaced_with_rows(), before]
        if exporter is not None:
            limits = exporter.limits
            self._limit, self._batch, self._delay = limits.queue, limits.batch, limits.delay / 1000
            self._grouper.limit = self._batch
        self.exporter = exporter
        self._registry.log = self._put if exporter is not None else None
        self._registry.flush_log = self.flush if exporter is not None else None
        if self._runs:
            self._wake.set()  # the delay may have changed

    def _drop_ready(self) -> None:
        """Drop what the exporter did not take in time: the next one may have another key."""
        with self._lock:
            for group in self._ready.pop_all():
                self._ready_bytes -= group.size
                self._lost += 1
                warn_once(_REPLACED)

    def flush(self, milliseconds: float | None) -> bool:
        """Make and send all rows.

        Args:
            milliseconds: The time; `None`: what is left of the time that an app waits at its end.

        Returns:
            Whether all that ended since the last flush was delivered in time. False if a span or a row is left, was
            dropped or refused.
        """
        exporter = self.exporter
        if exporter is None:
            return True
        end = time.monotonic() + (_LONGEST_AT_EXIT if milliseconds is None else seconds_of(milliseconds, 0))
        done = self._log_all(exporter, end)
        for each in (exporter, *self._replaced_with_rows()):
            left = max(end - time.monotonic(), 0) * 1000
            done = (each.finish() if milliseconds is None else each.force_flush(left)) and done
        now = self._lost
        lost, self._reported = now - self._reported, now
        return done and not lost

    def _put(self, entry: SpanRecord | Leaf, span: ReadableSpan) -> None:
        if self._pid != _getpid():
            self._reset()  # the process was forked without Python's fork hooks, as uWSGI does
        waiting = self._waiting
        size = memory_of(span)
        taken = self._bytes + self._held + self._unmade + size
        is_full = len(waiting) + len(self._ready) >= self._limit or (taken > MAX_BYTES and self._is_full(size))
        if is_full and not self._has_share(entry, size):
            self._lost += 1
            warn_once(_FULL)
            return
        waiting.append((span, entry, size))
        self._bytes += size
        if not self._runs:
            self._start()
        if self._is_asleep:
            self._is_asleep = False
            self._wake.set()
        elif (len(waiting) >= self._batch or self._bytes > _MANY_BYTES) and not self._wake.is_set():
            self._wake.set()

    def _is_full(self, size: int) -> bool:
        """Tell whether a span has no room, when that is worth a closer look."""
        exporter = self.exporter
        self._unmade = exporter.unmade_bytes if exporter is not None else 0
        return self._bytes + self._held + self._unmade + size > MAX_BYTES

    def _has_share(self, entry: SpanRecord | Leaf, size: int) -> bool:
        """Tell whether a span is taken although there is no room, because its tenant has little waiting.

        All tenants together may have a quarter more for that. Otherwise one tenant could take all the room.
        """
        exporter = self.exporter
        if exporter is None or not exporter.has_tenants:
            return False
        places, taken = len(self._waiting) + len(self._ready), self._bytes + self._held + self._unmade + size
        if places >= self._limit * _CROWDED or taken > MAX_BYTES * _CROWDED:
            return False
        crowd = self._crowd
        if crowd is None:
            crowd = self._crowd = Counter(exporter.tenant_of(each) for _, each, _ in list(self._waiting))
            crowd.update(self._ready.lengths())
        tenant = exporter.tenant_of(entry)
        waiting, tenants = crowd[tenant] + 1, len(crowd) + (tenant not in crowd)
        if waiting * tenants > self._limit:
            return False
        crowd[tenant] = waiting
        return True

    def _replaced_with_rows(self) -> list[HeliconeSpanExporter]:
        return [exporter for exporter in self._replaced if exporter.waiting]

    # --- the thread ---------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._runs:
                return
            self._runs = True
        if may_be_patched():
            # If the app were patched while another thread imports this, both would wait for ever.
            try:
                load_sender()
            except Exception as error:  # noqa: BLE001  # the thread may still be able to
                swallow("log", error)
        try:
            start(self._work, "helicone-otel-rows")
        except RuntimeError:  # the interpreter ends, or there are too many threads: the next span tries again
            self._runs = False
        self._add_exit_hooks()

    def _add_exit_hooks(self) -> None:
        """Log at the end of a worker's process, which ends without calling `atexit` functions."""
        if self._pid_with_hooks == self._pid:
            return
        self._pid_with_hooks = self._pid
        weak = weakref.WeakMethod(self._log_at_exit)

        def at_exit(**_: object) -> None:
            if (method := weak()) is not None:
                method()

        for module in filter(None, map(sys.modules.get, _WITH_FINALIZERS)):
            module.Finalize(None, at_exit, exitpriority=0)  # without a priority it does not run at the end
        if (celery := sys.modules.get("celery.signals")) is not None:
            celery.worker_process_shutdown.connect(at_exit, weak=False, dispatch_uid=_UID)

    def _work(self) -> None:
        wake = self._wake
        try:
            while wake is self._wake:
                self._sleep(wake)
                if (exporter := self.exporter) is None:
                    break
                self._log_due(exporter, self._delay)
        finally:
            with self._lock:
                if wake is self._wake:
                    self._runs = False
        if self.exporter is not None and (self._waiting or self._grouper):  # logging was switched on again just now
            self._start()

    def _sleep(self, wake: Event) -> None:
        """Wait until spans have ended, or it is time to look again at those that wait."""
        with self._lock:
            seconds = self._grouper.seconds_to_next(self._delay)
        if self._ready:  # the exporter had no room for all
            seconds = _GATHER
        self._is_asleep = True
        if not self._waiting:  # none has come that found the thread awake
            wake.wait(seconds)
        self._is_asleep = False
        wake.clear()
        if self._waiting and len(self._waiting) < self._batch:
            wake.wait(min(self._gather, self._delay))
            wake.clear()

    def _log_all(self, exporter: HeliconeSpanExporter, end: float) -> bool:
        """Hand over all calls that wait, and return whether that was done by a time of the monotonic clock."""
        is_done = self._log_due(exporter, 0, end)
        # Another thread may be handing over the last call just now.
        if not is_done or not self._handing.acquire(max(end - time.monotonic(), 0)):
            self._wake.set()
            return False
        self._handing.release()
        return True

    def _log_due(self, exporter: HeliconeSpanExporter, max_wait: float, end: float | None = None) -> bool:
        """Hand over the calls that wait for no wrapper, or have waited for `max_wait` seconds.

        Args:
            exporter: Makes the rows, in a thread of its own, because it calls functions of the user.
            max_wait: How many seconds a call waits for its wrappers.
            end: When to stop, by the monotonic clock. The rest is handed over the next time.

        Returns:
            Whether all calls were handed over that had ended before.
        """
        began = time.monotonic()
        try:
            with self._lock:
                ended = self._ended()
                self._bytes = sum(size for _, _, size in list(self._waiting))
                is_crowded = self._held + self._unmade + sum(size for _, _, size in ended) > MAX_BYTES // 2
                groups = self._grouper.take(ended, 0 if is_crowded else max_wait, self._ended)
                if is_crowded:
                    self._grouper.drop_lone_wrappers()
                for group in groups:
                    self._ready.add(exporter.tenant_of(group.entry), group)
                self._ready_bytes += sum(group.size for group in groups)
                self._held = self._grouper.bytes + self._ready_bytes
        except Exception as error:  # noqa: BLE001  # the thread must live on
            swallow("log", error)
        # Where much waits, a look takes long, so there are fewer of them.
        self._gather = max(_GATHER, _GATHER_LOOKS * (time.monotonic() - began))
        # No more than there are now, because a thread may make spans all the time.
        return all(self._log_next(exporter, end) for _ in range(len(self._ready)))

    def _ended(self) -> list[EndedSpan]:
        self._crowd = None
        return [each for each in _popped(self._waiting) if _is_sampled(each[0])]

    def _log_next(self, exporter: HeliconeSpanExporter, end: float | None) -> bool:
        """Hand over the next call; return false if the time is over."""
        end = time.monotonic() + _LONGEST_HANDING if end is None else end
        left = end - time.monotonic()
        if left <= 0 or not self._handing.acquire(left):
            return False
        try:
            # Under the lock, so that no other thread takes the room.
            with self._lock:
                group = self._ready.pop(exporter)
            if group is None and self._ready:
                if not exporter.wait_for_room(end):
                    return False
                with self._lock:
                    group = self._ready.pop(exporter)
            if group is not None:
                exporter.log(group, self._registry)
                with self._lock:
                    self._ready_bytes -= group.size
                    self._held = self._grouper.bytes + self._ready_bytes
                    self._unmade = exporter.unmade_bytes
        finally:
            self._handing.release()
        return True

    def _log_at_exit(self) -> None:
        """Log what waits when the interpreter or a worker ends, also where no provider is shut down."""
        if (exporter := self.exporter) is not None:
            self._log_all(exporter, time.monotonic() + _LONGEST_AT_EXIT)
            if exporter.waiting:
                exporter.finish()


class _ReadyCalls:
    """The calls that can be handed over, by tenant: one whose rows are not made holds up no other."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[CallGroup]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, tenant: Hashable, group: CallGroup) -> None:
        """Add a call."""
        self._lanes.setdefault(tenant, deque()).append(group)
        self._count += 1

    def pop(self, exporter: HeliconeSpanExporter) -> CallGroup | None:
        """Remove and return the oldest call of the next tenant for whom the exporter has room; `None`: of none."""
        for tenant in exporter.with_room(self._lanes):
            lane = self._lanes.pop(tenant)
            group = lane.popleft()
            self._count -= 1
            if lane:  # at the end, so that the other tenants come next
                self._lanes[tenant] = lane
            return group
        return None

    def pop_all(self) -> Iterator[CallGroup]:
        """Remove and yield all calls."""
        lanes, self._lanes, self._count = self._lanes, {}, 0
        for lane in lanes.values():
            yield from lane

    def lengths(self) -> dict[Hashable, int]:
        """Return how many calls of each tenant there are."""
        return {tenant: len(lane) for tenant, lane in list(self._lanes.items())}


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
