"""Places the traces of a store, some at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from .._guard import swallow
from .keeping import held_spans, keep_places, spans_within
from .placing import Held, Placed, Placing
from .store import Store

# So many spans are written together.
_TOGETHER: Final = 1000
_BESIDE: Final = 64
# Longer traces are cut: what lies beyond stands in no session.
MAX_TRACE: Final = 50_000


def place_traces(store: Store, placing: Placing, traces: Iterable[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Place traces, and yield those that have been placed with the sessions that have changed.

    Raises:
        StoreError: It cannot be written.
        BusyError: Too much is waiting to be written.
    """
    seen: dict[str, int] = {}
    placed: list[Placed] = []
    for trace in traces:
        # How many have arrived is read first: what comes in between is read twice rather than never.
        row = store.reader.execute("SELECT seen FROM traces WHERE trace = ?", (trace,)).fetchone()
        seen[trace] = row[0] if row is not None else 0
        spans = held_spans(store.reader, trace, MAX_TRACE)
        try:
            placed += _place(store, placing, spans)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001  # a trace that cannot be read must not keep the others from being
            swallow("the view's placing", error)
        if len(placed) >= _TOGETHER:
            yield list(seen), _keep(store, seen, placed)
            seen, placed = {}, []
    if seen:
        yield list(seen), _keep(store, seen, placed)


def _place(store: Store, placing: Placing, spans: list[Held]) -> list[Placed]:
    placed = placing.place(spans)
    alone = [one.held for one in placed if one.alone]
    if not alone:
        return placed
    # What another instrumentation saw of the same call: https://github.com/traceloop/openllmetry wraps the
    # Anthropic SDK's own span like this.
    beside = {span.id: span for one in alone for span in spans_within(store.reader, one, _BESIDE)}
    return placing.place(spans, list(beside.values()))


def _keep(store: Store, seen: dict[str, int], placed: list[Placed]) -> list[int]:
    changed: list[int] = store.write(lambda connection: keep_places(connection, seen, placed)).result()
    return changed
