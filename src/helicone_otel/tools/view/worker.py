"""Labels the traces that have new spans, in a thread of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from ...failures import swallow
from .database import BusyError, Database, DatabaseError
from .labelling import SessionSpan, StoredSpan, TraceLabeller
from .prices import price_list
from .writes import (
    keep_labels,
    price_again,
    prices_in_use,
    spans_within,
    stored_spans,
    unlabelled_traces,
    use_prices,
    wrappers_elsewhere,
)

# Of a longer trace, the spans after these belong to no session: labelling takes 4 KB of memory for a span.
MAX_TRACE: Final = 20_000
_MAX_NEIGHBOURS: Final = 64
# Labels of this many spans are written in one transaction.
_SPANS_PER_WRITE: Final = 1000
# The worker labels this many traces before it looks for others that are due.
_TRACES_PER_ROUND: Final = 500
# A trace is labelled when no span of it has arrived for so many seconds. While a trace grows it is labelled again, but
# never so often that this takes more than a small share of the time.
_QUIET: Final = 0.25
_WAIT_FACTOR: Final = 10
_MAX_WAIT: Final = 30.0
# Costs of this many requests are made again in one transaction.
_PRICES_PER_WRITE: Final = 500
_RETRY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 3.0


class LabelWorker:
    """Labels spans soon after they have arrived.

    Args:
        database: Has the spans, and keeps the labels.
        labeller: Finds the labels.
        changed: Is called with the numbers of the sessions that have changed.
    """

    def __init__(self, database: Database, labeller: TraceLabeller, changed: Callable[[Iterable[int]], None]) -> None:
        self._database = database
        self._labeller = labeller
        self._changed = changed
        self._due: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._idle = True
        self._thread = threading.Thread(target=self._run, name="view-worker", daemon=True)
        self._pricing = threading.Thread(target=self._price, name="view-prices", daemon=True)

    def start(self) -> None:
        """Start the thread, with the traces that an earlier process left unlabelled."""
        self.spans_arrived(unlabelled_traces(self._database.reader))
        self._thread.start()
        self._pricing.start()

    def stop(self) -> None:
        """Stop the thread. Traces that are still unlabelled are labelled when the file is opened again."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in (self._thread, self._pricing):
            if thread.is_alive():
                thread.join(_STOP_SECONDS)

    def spans_arrived(self, traces: Iterable[str]) -> None:
        """Label these traces soon, because new spans of them have been kept."""
        now = time.monotonic()
        with self._wake:
            for trace in traces:
                self._due.setdefault(trace, max(now + _QUIET, self._not_before.get(trace, 0.0)))
            self._wake.notify_all()

    @property
    def waiting(self) -> int:
        """The number of traces that have unlabelled spans."""
        with self._wake:
            return len(self._due) + (not self._idle)

    def _price(self) -> None:
        try:
            update_costs(self._database, lambda: self._stopping)
        except (DatabaseError, BusyError, sqlite3.Error) as error:  # tried again when the file is opened again
            swallow("the view's prices", error)

    def _run(self) -> None:
        while (traces := self._next_traces()) is not None:
            try:
                self._label(traces)
            except (DatabaseError, BusyError, sqlite3.Error):
                self._retry(traces)
            except Exception as error:  # noqa: BLE001  # the view must go on with the next traces
                swallow("the view's worker", error)

    def _next_traces(self) -> list[str] | None:
        """Wait for traces that are due; return `None` when the worker stops."""
        with self._wake:
            self._idle = True
            while not self._stopping:
                now = time.monotonic()
                due = [trace for trace, at in self._due.items() if at <= now][:_TRACES_PER_ROUND]
                if due:
                    for trace in due:
                        del self._due[trace]
                    self._idle = False
                    return due
                next_at = min(self._due.values(), default=now + _MAX_WAIT)
                self._wake.wait(max(next_at - now, 0.01))
        return None

    def _retry(self, traces: Iterable[str]) -> None:
        with self._wake:
            for trace in traces:
                self._due.setdefault(trace, time.monotonic() + _RETRY_SECONDS)

    def _label(self, traces: list[str]) -> None:
        began = time.monotonic()
        for labelled, changed in label_traces(self._database, self._labeller, self._while_running(traces)):
            self._changed(changed)
            self._postpone(labelled, time.monotonic() - began)
            began = time.monotonic()

    def _while_running(self, traces: Iterable[str]) -> Iterator[str]:
        for trace in traces:
            if self._stopping:
                return
            yield trace

    def _postpone(self, traces: list[str], seconds: float) -> None:
        """Do not label these traces again before a time that is long compared with what labelling them took."""
        now = time.monotonic()
        wait = min(seconds / len(traces) * _WAIT_FACTOR, _MAX_WAIT)
        with self._wake:
            self._not_before = {trace: at for trace, at in self._not_before.items() if at > now}
            if wait > _QUIET:
                self._not_before.update(dict.fromkeys(traces, now + wait))


def update_costs(database: Database, stopping: Callable[[], bool]) -> None:
    """Make all costs again, if they were made with another list of prices than the installed one.

    Raises:
        DatabaseError: They cannot be written.
        BusyError: Too much data waits to be written.
    """
    prices = price_list()
    if prices is None or prices.name == prices_in_use(database.reader):
        return
    last: int | None = 0
    while last is not None and not stopping():
        last = database.write(partial(price_again, after=last, count=_PRICES_PER_WRITE)).result()
    if last is None:
        database.write(partial(use_prices, name=prices.name)).result()


def label_traces(
    database: Database, labeller: TraceLabeller, traces: Iterable[str]
) -> Iterator[tuple[list[str], list[int]]]:
    """Label traces; yield each group of traces that has been written, with the sessions that have changed.

    A trace of which a span in another one tells is labelled once more, after that span.

    Raises:
        DatabaseError: The labels cannot be written.
        BusyError: Too much data waits to be written.
    """
    told: dict[str, None] = {}
    yield from _label_each(database, labeller, traces, told)
    yield from _label_each(database, labeller, list(told), {})


def _label_each(
    database: Database, labeller: TraceLabeller, traces: Iterable[str], told: dict[str, None]
) -> Iterator[tuple[list[str], list[int]]]:
    """Label traces, each by itself, and add to `told` the traces of which their spans tell."""
    arrived: dict[str, int] = {}
    labelled: list[SessionSpan] = []
    for trace in traces:
        # The count is read before the spans: a span that arrives in between is labelled twice rather than never.
        row = database.reader.execute("SELECT seen FROM traces WHERE trace = ?", (trace,)).fetchone()
        arrived[trace] = row[0] if row is not None else 0
        spans = stored_spans(database.reader, trace, MAX_TRACE)
        try:
            labels = _label_trace(database, labeller, spans)
            labelled += labels
            told.update((one.told_trace, None) for one in labels if one.told_trace)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001  # one trace that fails must not stop the others
            swallow("the view's labelling", error)
        if len(labelled) >= _SPANS_PER_WRITE:
            yield list(arrived), _keep(database, arrived, labelled)
            arrived, labelled = {}, []
    if arrived:
        yield list(arrived), _keep(database, arrived, labelled)


def _label_trace(database: Database, labeller: TraceLabeller, spans: list[StoredSpan]) -> list[SessionSpan]:
    labelled = labeller.label(spans)
    # Another instrumentation may have made a span of the same call in another trace: OpenLLMetry wraps the Anthropic
    # SDK's own span like this. https://github.com/traceloop/openllmetry
    wrappers = [one.stored for one in labelled if one.may_wrap_other_trace]
    neighbours = {span.number: span for one in wrappers for span in spans_within(database.reader, one, _MAX_NEIGHBOURS)}
    if spans:
        requests = [one.request for one in labelled if one.request]
        elsewhere = wrappers_elsewhere(database.reader, spans[0].span.trace_id, requests)
        neighbours.update((span.number, span) for span in elsewhere)
    return labeller.label(spans, list(neighbours.values())) if neighbours else labelled


def _keep(database: Database, arrived: dict[str, int], labelled: list[SessionSpan]) -> list[int]:
    changed: list[int] = database.write(lambda connection: keep_labels(connection, arrived, labelled)).result()
    return changed
