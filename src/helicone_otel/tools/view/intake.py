"""Accepts spans and rows from every receiver: keeps them, and then has the spans labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final

from ..replay.otlp import SpanBatch
from .database import Database
from .log_rows import PostedRow, keep_row
from .worker import LabelWorker
from .writes import keep_spans

# The memory of a span or row beside its encoded bytes.
_OVERHEAD: Final = 512


class Intake:
    """The one way into the database for spans and rows.

    Args:
        database: Keeps them.
        worker: Labels the spans.
        changed: Is called with the numbers of the sessions that a row has changed.

    Attributes:
        refused: The number of spans that had no valid ids.
    """

    def __init__(self, database: Database, worker: LabelWorker, changed: Callable[[Iterable[int]], None]) -> None:
        self._database = database
        self._worker = worker
        self._changed = changed
        self.refused = 0

    def accept_spans(self, batch: SpanBatch) -> Future[None]:
        """Keep spans; the future is done when they have been committed.

        Raises:
            BusyError: Too much data waits to be written.
        """
        self.refused += batch.refused
        size = sum(len(span.data) + _OVERHEAD for span in batch.spans)
        done = self._database.write(lambda connection: keep_spans(connection, batch.spans), size)
        traces = {span.trace_id for span in batch.spans}
        done.add_done_callback(lambda future: None if future.exception() else self._worker.spans_arrived(traces))
        return done

    def accept_row(self, row: PostedRow) -> Future[list[int]]:
        """Keep a row of the log API; the future is done when it has been committed.

        Raises:
            BusyError: Too much data waits to be written.
        """
        done = self._database.write(lambda connection: keep_row(connection, row), len(row.data) + _OVERHEAD)
        done.add_done_callback(lambda future: None if future.exception() else self._changed(future.result()))
        return done
