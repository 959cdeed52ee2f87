"""Takes what arrives by any of the doors: keeps it, and then has it placed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final

from ..replay.otlp import SpanBatch
from .database import Store
from .log_rows import Row, keep_row
from .worker import Worker
from .writes import keep_spans

# What a span takes in memory beside its bytes.
_OVERHEAD: Final = 512


class Intake:
    """One for all doors.

    Args:
        store: Where it is kept.
        worker: Places it.
        changed: Called with the numbers of the sessions that a row has changed.
    """

    def __init__(self, store: Store, worker: Worker, changed: Callable[[Iterable[int]], None]) -> None:
        self._store = store
        self._worker = worker
        self._changed = changed
        self.refused = 0

    def spans(self, batch: SpanBatch) -> Future[None]:
        """Keep spans; they are kept when the future is done.

        Raises:
            BusyError: Too much is waiting to be written.
        """
        self.refused += batch.refused
        size = sum(len(span.data) + _OVERHEAD for span in batch.spans)
        done = self._store.write(lambda connection: keep_spans(connection, batch.spans), size)
        traces = {span.trace_id for span in batch.spans}
        done.add_done_callback(lambda future: None if future.exception() else self._worker.arrived(traces))
        return done

    def row(self, row: Row) -> Future[list[int]]:
        """Keep a row of the log API; it is kept when the future is done.

        Raises:
            BusyError: Too much is waiting to be written.
        """
        done = self._store.write(lambda connection: keep_row(connection, row), len(row.data) + _OVERHEAD)
        done.add_done_callback(lambda future: None if future.exception() else self._changed(future.result()))
        return done
