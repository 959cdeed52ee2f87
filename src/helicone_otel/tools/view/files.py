"""Loads spans from files into the database: OTLP JSON, one export request a line, as the Collector writes it.

https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ...settings import Settings
from ..replay.otlp import RESOURCE_SPANS, MalformedError, batch_of, decode_document
from ..replay.spans import NotReadable
from .database import Database
from .labelling import TraceLabeller
from .worker import label_traces
from .writes import keep_spans, unlabelled_traces

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
