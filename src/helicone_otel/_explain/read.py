"""Which format a file has, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .otlp import RESOURCE_SPANS, spans_of
from .recorded import NotReadable, Recording, in_order
from .recordings import recording_of

_MAX_BYTES: Final = 512 * 1024 * 1024
# The Collector writes metrics and logs into the same kind of file.
_OTHER_SIGNALS: Final = ("resourceMetrics", "resourceLogs", "resourceProfiles")


def read(path: Path) -> Recording:
    """Return what a file holds: OTLP JSON, whole or one request a line, or one of this project's recordings.

    Raises:
        NotReadable: There is no such file, or it holds something else.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise NotReadable(f"it is larger than {_MAX_BYTES // 1024**2} MiB; explain a part of it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotReadable(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise NotReadable("it is no text in UTF-8") from error
    documents = list(_documents(text))
    if len(documents) == 1 and isinstance(documents[0][1].get("spans"), list):
        return recording_of(documents[0][1])
    spans = [span for where, document in documents for span in spans_of(document, where)]
    if not spans:
        raise NotReadable("there is no span in it")
    return Recording(in_order(spans))


def _documents(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON objects of a file with where they stand: the one that it is, or one a line."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        # One object a line looks like one object with something after it.
        if error.msg != "Extra data":
            raise NotReadable(_told(error, error.lineno)) from error
    except RecursionError as error:
        raise NotReadable("it is nested too deeply") from error
    else:
        yield from _checked("line 1", whole)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                document = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise NotReadable(_told(error, number)) from error
            yield from _checked(f"line {number}", document)


def _checked(where: str, document: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(document, dict):
        raise NotReadable(f"{where} is no JSON object")
    if RESOURCE_SPANS in document or isinstance(document.get("spans"), list):
        yield where, document
    elif not any(signal in document for signal in _OTHER_SIGNALS):
        raise NotReadable(
            f"{where} is neither OTLP JSON (there is no {RESOURCE_SPANS} in it) nor a recording (no list of spans)"
        )


def _told(error: json.JSONDecodeError | RecursionError, line: int) -> str:
    if isinstance(error, RecursionError):
        return f"line {line} is nested too deeply"
    return f"it is no JSON: {error.msg} at line {line}, column {error.colno}"
