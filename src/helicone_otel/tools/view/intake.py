"""Takes in spans and rows, from receivers and from files: keeps them, and has the spans labelled.

Files are OTLP JSON, one export request a line, as the Collector writes it:
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from ...settings import Settings
from ..replay.otlp import RESOURCE_SPANS, MalformedError, SpanBatch, batch_of, decode_document
from ..replay.spans import NotReadable
from .database import Database
from .labelling import TraceLabeller
from .log_rows import PostedRow, keep_row
from .worker import LabelWorker, label_traces
from .writes import keep_spans, unlabelled_traces

# --- from receivers -----------------------------------------------------------------------------------

# The memory of a span or row beside its encoded bytes.
_OVERHEAD: Final = 512


class Intake:
    """The one way into the database for spans and rows that arrive.

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


# --- from files ---------------------------------------------------------------------------------------

# A request that the Collector accepted is not longer than this.
_MAX_LINE: Final = 64 * 1024 * 1024


def load_files(database: Database, settings: Settings, files: Sequence[Path]) -> int:
    """Keep the spans of files and label them.

    Returns:
        The number of lines and spans that were left out, because they are not OTLP.

    Raises:
        NotReadable: There is no such file, or no span in it.
        DatabaseError: The spans cannot be kept.
    """
    skipped = 0
    for file in files:
        skipped += _load(database, file)
    for _ in label_traces(database, TraceLabeller(settings), unlabelled_traces(database.reader)):
        pass
    return skipped


def check_readable(files: Sequence[Path]) -> None:
    """Raise if a file cannot be opened.

    Raises:
        NotReadable: There is no such file, or it may not be read.
    """
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            raise _not_readable(file, error) from error


def _not_readable(file: Path, error: OSError) -> NotReadable:
    return NotReadable(f"{file}: {error.strerror or type(error).__name__}")


def _load(database: Database, file: Path) -> int:
    skipped = count = 0
    try:
        for document in _documents(file):
            try:
                batch = batch_of(decode_document(document))
            except MalformedError:
                skipped += 1
                continue
            skipped += batch.refused
            count += len(batch.spans)
            database.write(lambda connection, spans=batch.spans: keep_spans(connection, spans)).result()  # type: ignore[misc]
    except OSError as error:
        raise _not_readable(file, error) from error
    if not count:
        raise NotReadable(f"{file}: there is no span of OTLP JSON in it")
    return skipped


def _documents(file: Path) -> Iterator[Any]:
    """Yield the JSON object of each line, or of the whole file if it is one object; `None` for a line without one."""
    with file.open("rb") as lines:
        first = lines.readline(_MAX_LINE)
        if (document := _json_object(first)) is None:
            whole = _json_object(first + lines.read(_MAX_LINE))
            if whole is not None:
                yield whole
                return
            # The first line may have been cut; the other lines can still be whole.
            lines.seek(len(first))
        yield from _spans_only(document)
        while line := lines.readline(_MAX_LINE):
            if line.strip():
                yield from _spans_only(_json_object(line))


def _spans_only(document: Any) -> Iterator[Any]:
    # The Collector writes metrics and logs into the same kind of file.
    if document is None or RESOURCE_SPANS in document or not any(key.startswith("resource") for key in document):
        yield document


def _json_object(text: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
