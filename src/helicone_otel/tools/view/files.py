"""Spans from files: OTLP JSON, one request a line, as the Collector's file exporter writes them.

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
from .database import Store
from .labelling import TraceLabeller
from .worker import place_traces
from .writes import keep_spans, waiting_traces

# One line: a request that the Collector took is no longer than this.
_MAX_LINE: Final = 64 * 1024 * 1024


def fill(store: Store, settings: Settings, files: Sequence[Path]) -> int:
    """Keep the spans of files and place them; return how many lines and spans were none.

    Raises:
        NotReadable: There is no such file, or no span in it.
        StoreError: They cannot be kept.
    """
    skipped = 0
    for file in files:
        skipped += _fill_from(store, file)
    for _ in place_traces(store, TraceLabeller(settings), waiting_traces(store.reader)):
        pass
    return skipped


def _fill_from(store: Store, file: Path) -> int:
    skipped = found = 0
    try:
        for document in _documents(file):
            try:
                batch = batch_of(decode_document(document))
            except MalformedError:
                skipped += 1
                continue
            skipped += batch.refused
            found += len(batch.spans)
            store.write(lambda connection, spans=batch.spans: keep_spans(connection, spans)).result()  # type: ignore[misc]
    except OSError as error:
        raise NotReadable(f"{file}: {error.strerror or type(error).__name__}") from error
    if not found:
        raise NotReadable(f"{file}: there is no span of OTLP JSON in it")
    return skipped


def _documents(file: Path) -> Iterator[Any]:
    """Yield the JSON of each line, or of the whole file if that is one document; `None` where there is none."""
    with file.open("rb") as lines:
        first = lines.readline(_MAX_LINE)
        if (document := _read(first)) is None:
            whole = _read(first + lines.read(_MAX_LINE))
            if whole is not None:
                yield whole
                return
            # A line that was cut is no reason to leave out the others.
            lines.seek(len(first))
        yield from _of_spans(document)
        while line := lines.readline(_MAX_LINE):
            if line.strip():
                yield from _of_spans(_read(line))


def _of_spans(document: Any) -> Iterator[Any]:
    # The Collector writes metrics and logs into the same kind of file.
    if document is None or RESOURCE_SPANS in document or not any(key.startswith("resource") for key in document):
        yield document


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
