"""Threads and locks of the operating system, also in an app in which gevent or eventlet replaces them.

Such an app calls `monkey.patch_all()` at any time: before it imports us, after `configure()`, after the first row. Then
`threading` makes greenlets, which run only while the thread that made them waits for others, and locks that only
greenlets of one thread may share. What was made before stays as it was, and an old lock stops all greenlets. So nothing
here is made by `threading` and its functions, and all of it is alike at any time. Functions of the app that wait for
one of our threads let its greenlets run meanwhile (`Condition.wait_beside`).
"""

from __future__ import annotations

import _thread
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import BuiltinFunctionType
from typing import Any, Final

# How long greenlets run between two looks whether a wait is over, in seconds.
_LOOK: Final = 0.005


def is_patched(function: object) -> bool:
    """Tell whether a function of the standard library's own, which is written in C, was replaced by another."""
    return not isinstance(function, BuiltinFunctionType)


def may_be_patched() -> bool:
    """Tell whether the app may let gevent patch it at any moment, its locks of imports included."""
    return "gevent" in sys.modules or find_spec("gevent") is not None


def _system(name: str) -> Any:
    """Return a function of `_thread` as it was before the app let it be replaced."""
    function = getattr(_thread, name)
    if is_patched(function) and (gevent := sys.modules.get("gevent.monkey")) is not None:
        function = gevent.get_original("_thread", name)
    if is_patched(function) and (eventlet := sys.modules.get("eventlet.patcher")) is not None:
        function = getattr(eventlet.original("_thread"), name)
    return function


_allocate_lock: Final = _system("allocate_lock")
_start_new_thread: Final = _system("start_new_thread")
get_ident: Final[Callable[[], int]] = _system("get_ident")


def start(work: Callable[[], None], name: str) -> None:
    """Start a daemon thread. Hold no lock meanwhile.

    Raises:
        RuntimeError: No thread can be started: there are too many, or the interpreter ends.
    """
    if is_patched(_thread.start_new_thread):
        _start_new_thread(_working, (work,))
    else:
        threading.Thread(target=work, name=name, daemon=True).start()


def _working(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        # gevent keeps a loop with its file descriptors for each thread that waited for a socket.
        if (gevent := sys.modules.get("gevent")) is not None:
            with suppress(Exception):
                gevent.get_hub().destroy(destroy_loop=True)


class Lock:
    """A reentrant lock: while a thread holds it, the garbage collector or a signal handler may end a span there.

    It is made when it is used first, and hidden in a slot: eventlet replaces all reentrant locks that it finds.
    """

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    @property
    def made(self) -> Any:
        """The lock of the system."""
        # `setdefault` is atomic.
        return self._made.get("lock") or self._made.setdefault("lock", _thread.RLock())

    def acquire(self, seconds: float | None = None) -> bool:
        """Acquire it, and return whether that could be done in so many seconds."""
        lock = self.made
        if lock.acquire(blocking=False):
            return True
        if not is_patched(_thread.start_new_thread):
            return bool(lock.acquire(timeout=-1 if seconds is None else max(seconds, 0)))
        # The thread that has it may wait for a greenlet that runs only if this one lets it: both may import or log.
        end = math.inf if seconds is None else time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(_LOOK)
            if lock.acquire(blocking=False):
                return True
        return False

    def release(self) -> None:
        """Release it."""
        self.made.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """What `threading.Condition` is, for our threads and for the app's.

    Args:
        lock: The lock to hold while one waits or notifies.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._waiters: deque[Any] = deque()

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(self, *_: object) -> None:
        self._lock.__exit__()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until this is notified, and return whether it was. Only our own threads call it."""
        waiter = _allocate_lock()
        waiter.acquire()
        self._waiters.append(waiter)
        lock = self._lock.made
        state = lock._release_save()  # noqa: SLF001  # as the standard library's `Condition` does
        try:
            return bool(waiter.acquire(True, -1 if seconds is None else max(seconds, 0)))
        finally:
            lock._acquire_restore(state)  # noqa: SLF001
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def wait_beside(self, is_done: Callable[[], bool], seconds: float) -> None:
        """Wait until this is notified, or for a shorter time in which the app's greenlets run. Do not hold the lock.

        Args:
            is_done: Tells whether there is nothing to wait for. The lock is held when it is asked.
            seconds: How long to wait.
        """
        with self:
            if is_done():
                return
            if not is_patched(_thread.start_new_thread):
                self.wait(seconds)
                return
        time.sleep(max(min(seconds, _LOOK), 0))

    def notify(self) -> None:
        """Wake up one thread that waits."""
        with suppress(IndexError):
            self._waiters.popleft().release()

    def notify_all(self) -> None:
        """Wake up all threads that wait."""
        while self._waiters:
            self.notify()


class Event:
    """What `threading.Event` is, for our threads."""

    def __init__(self) -> None:
        self._changed = Condition(Lock())
        self._is_set = False

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake up the threads that wait for it."""
        with self._changed:
            self._is_set = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Take it back."""
        self._is_set = False

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, and return whether it is."""
        with self._changed:
            return self._is_set or self._changed.wait(seconds)


# --- imports in our threads -------------------------------------------------------------------------------


class _ForkWaits:
    """Makes a fork wait while one of our threads imports: in the child, these modules would stay locked for ever."""

    # In seconds. A module may wait for another that a greenlet of the forking thread imports.
    _LONGEST: Final = 5.0

    def __init__(self) -> None:
        self.lock = Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._acquire, after_in_parent=self._release, after_in_child=self._renew)

    def _acquire(self) -> None:
        self.lock.acquire(self._LONGEST)

    def _release(self) -> None:
        with suppress(RuntimeError):  # it was not acquired
            self.lock.release()

    def _renew(self) -> None:
        self.lock = Lock()


_fork_waits: Final = _ForkWaits()


@contextmanager
def importing() -> Iterator[None]:
    """Import modules in one of our threads: no fork comes meanwhile."""
    with _fork_waits.lock:
        yield
