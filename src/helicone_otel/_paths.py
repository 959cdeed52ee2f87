"""Which path? From the records of a span and of what encloses it to the text on the wire."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

from ._memory import Record
from ._names import clean_route, fit_template
from ._session import bounded
from ._spans import CALL_KINDS, first_text
from .dialects import ENTRANCES

_ENTRANCES: Final = {entrance.span_kind: entrance for entrance in ENTRANCES}


def path_text(record: Record, root: tuple[str, ...], age: int) -> str:
    """Return the path of a span.

    An LLM call or embedding stands at the path of the step it serves; with no step at all, at the
    route or task name through which the work came in, else at `/chat` or `/embeddings`: a request
    at a bare `/` draws an unnamed folder. What is below such a call stands where the call does.

    Args:
        record: The span's record.
        root: The path at which sessions begin that were not opened in code.
        age: Grows when a span shows itself late; paths remembered from before are then stale.
    """
    if record.fixed is not None:
        return record.fixed
    _compute(record, root, age)
    if record.path:
        return record.text
    call = next((above.reading.kind for above in record.line() if above.reading.kind in CALL_KINDS), None)
    return place_of_call(record, call) if call else "/"


def call_text(record: Record, kind: str, root: tuple[str, ...], age: int) -> str:
    """Return the path of a call of this kind that has no span of its own, made at this record."""
    _compute(record, root, age)
    return record.text if record.path else place_of_call(record, kind)


def place_of_call(record: Record | None, kind: str) -> str:
    """Return where a call stands that no step encloses."""
    for above in record.line() if record else ():
        if entrance := above.entrance or entrance_of(above):
            return "/" + "/".join(entrance)
    return "/" + CALL_KINDS[kind]


def entrance_of(record: Record) -> tuple[str, ...]:
    """Return the segments of the route or task name of a SERVER or CONSUMER span; else nothing."""
    if record.span is None:
        return ()
    entrance = _ENTRANCES.get(record.span.kind.name)
    if entrance is None:
        return ()
    attributes: Mapping[str, object] = record.span.attributes or {}
    named = first_text(attributes, entrance.named_by)
    if named is None:
        rests = (fit_template(template, record.span.name) for template in entrance.templates)
        named = next((rest for rest in rests if rest), "")
    return bounded(clean_route(named))


def _compute(record: Record, root: tuple[str, ...], age: int) -> None:
    if record.path_age == age:
        return
    stale = list(itertools.takewhile(lambda above: above.path_age != age, record.line()))
    for above in reversed(stale):
        parent = above.parent
        path, text = (parent.path, parent.text) if parent is not None else (root, _joined(root))
        above.path, above.text = _extended(above, path, text)
        above.path_age = age


def _extended(record: Record, path: tuple[str, ...], text: str) -> tuple[tuple[str, ...], str]:
    if record.begins is not None:
        return record.begins, _joined(record.begins)
    segments = record.steps
    if not segments:
        segment = record.reading.segment
        # Adjacent equal segments are one step seen twice (`invoke_agent X` around `X.agent`).
        if segment is None or (path and path[-1] == segment):
            return path, text
        segments = (segment,)
    extended = bounded(path + segments)
    return extended, _joined(extended)


def _joined(path: tuple[str, ...]) -> str:
    return "/" + "/".join(path)
