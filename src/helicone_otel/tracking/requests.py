"""Which span stands for a real call? The innermost: one call, one row in Helicone."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..spans.providers import providers_in
from ..spans.reader import SpanReader
from ..spans.schema import CALL_KINDS, REQUEST_KINDS, Classification
from ..wire import NAMESPACE
from .records import MAX_DEPTH, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# A tool that runs an agent whose tools run is a run of its own.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})
_NOTHING: Final[Mapping[str, int]] = {}


def tell_wrappers(made: Mapping[str, int], teller: int, above: SpanRecord | None) -> None:
    """Tell what encloses a span which calls were made in it.

    A span hands on what it was told when it ends: only then is it known for sure what it is.

    Args:
        made: By kind, the id of the one call's span; 0: there were several.
        teller: The span's id.
        above: What encloses it.
    """
    for _ in range(MAX_DEPTH):
        if above is None or not above.hear(made, teller):
            return
        if above.scope is not None and not above.ended:
            return
        # Its end is past, or it is a place, which has none.
        if is_boundary(above):
            return
        above = above.parent


def calls_made(record: SpanRecord, span_id: int) -> Mapping[str, int]:
    """Return which calls a span that has ended stands for or encloses."""
    inside = _NOTHING if is_boundary(record) else record.inside
    kind = call_of(record.classification)
    return inside if kind is None or kind in inside else {**inside, kind: record.matched or span_id}


def call_of(classification: Classification) -> str | None:
    """Return the kind of call that a span which is read like this can stand for."""
    return classification.kind if may_be_request(classification) else None


def is_boundary(record: SpanRecord) -> bool:
    """Tell whether calls inside of a span are no calls of what encloses it."""
    return record.classification.kind in _BOUNDARIES


def may_be_request(classification: Classification) -> bool:
    """Tell whether a span that is read like this can stand for a real call."""
    row = classification.row
    return classification.kind in REQUEST_KINDS and (row is None or (row.request and not row.duplicate))


def stands_alone(record: SpanRecord) -> bool:
    """Tell whether a span that only tells once more of a call stands for it: the one it would repeat is not there."""
    row, above = record.classification.row, record.parent
    return row is not None and row.duplicate and (above is None or above.scope is not record.scope)


def new_row_id() -> str:
    """Return a random id for the row that a gateway is about to make: a UUIDv4."""
    # `uuid.uuid4` takes twice as long, for the sake of two more random bits.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def request_id(span: ReadableSpan) -> str:
    """Return the id of the row that a span becomes: the same whenever it is asked for."""
    context = span.get_span_context()
    name = f"{context.trace_id:032x}{context.span_id:016x}" if context else ""
    return str(uuid.uuid5(NAMESPACE, name))


_MAX_CALLS: Final = 256
_MAX_TEXT: Final = 1024
_RESPONSE, _PROVIDER, _MODEL, _STATEMENT = "response", "provider", "model", "statement"
_NO_ATTRIBUTES: Final[dict[str, object]] = {}
# What may follow a model's name in the name of one of its versions: `-2024-07-18`, `-001`, `@latest`, `:v2`.
_VERSION: Final = r"(?:[-@:]v?[0-9][0-9a-z.:-]*|[-@:]latest)\Z"
# What may follow a query in the text that reaches the driver: a comment, the final semicolon.
_COMMENT: Final = r"[\s;]*(?:/\*|\Z)"


class _Call(NamedTuple):
    """A call of the recent past, and what its span says about it."""

    record: SpanRecord
    span_id: int
    begin: int
    end: int
    response_id: str | None
    providers: tuple[str, ...]
    texts: tuple[str, ...]
    """Models of an LLM call or embedding; the query of anything else."""


class Calls:
    """Decides which of the spans of a call stands for it."""

    def __init__(self, reader: SpanReader) -> None:
        self._roles = {
            **dict.fromkeys(reader.response_ids, _RESPONSE),
            **dict.fromkeys(reader.providers, _PROVIDER),
            **dict.fromkeys(reader.models, _MODEL),
            **dict.fromkeys(reader.statements, _STATEMENT),
        }
        self._telling = frozenset(self._roles)
        self._recent: deque[_Call] = deque(maxlen=_MAX_CALLS)

    def finalize(self, record: SpanRecord, span: ReadableSpan) -> None:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        ids = span.get_span_context()
        span_id = ids.span_id if ids is not None else 0
        if may_be_request(record.classification) or stands_alone(record):
            row = record.classification.row
            if not record.wraps:
                call = self._describe(record, span_id, span)
                claimed = self._claim(call) if row is not None and row.not_current else None
                if claimed is None:
                    self._recent.append(call)
                elif claimed.record.scope is not None:
                    record.matched = claimed.span_id
                else:  # no other span tells of that call
                    record.by_gateway, record.row_id = True, claimed.record.row_id
            record.request = not record.wraps
        made = calls_made(record, span_id)
        if made:
            tell_wrappers(made, span_id, record.parent)

    def note_without_span(self, above: SpanRecord, row_id: str | None) -> None:
        """Note a call that left for a gateway from below a span, without one of its own."""
        call, now = SpanRecord(None, above, None, None, above.trace_id), time.time_ns()
        call.classification = Classification("llm", recognised=True)
        call.by_gateway, call.row_id = True, row_id
        self._recent.append(_Call(call, 0, now, now, None, (), ()))

    def _describe(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> _Call:
        attributes = span.attributes or _NO_ATTRIBUTES
        said: dict[str, list[str]] = {}
        for key in self._telling.intersection(attributes):
            value = attributes[key]
            if isinstance(value, str) and value:
                said.setdefault(self._roles[key], []).append(value[:_MAX_TEXT].strip())
        texts = said.get(_MODEL if record.classification.kind in CALL_KINDS else _STATEMENT, ())
        (response_id,) = said.get(_RESPONSE, (None,))[:1]
        begin, end = span.start_time or 0, span.end_time or 0
        return _Call(record, span_id, begin, end, response_id, tuple(said.get(_PROVIDER, ())), tuple(texts))

    def _claim(self, wrapper: _Call) -> _Call | None:
        fitting = self._fitting(wrapper)
        if not fitting:
            return None
        # Calls run in parallel under the same instrumentations: each wrapper takes one, if not its own.
        call = fitting[0]
        with contextlib.suppress(ValueError):
            self._recent.remove(call)
        if len(fitting) > 1:
            for one in fitting:
                one.record.ambiguous = True
        wrapper.record.ambiguous = call.record.ambiguous and not _share_an_answer(wrapper, call)
        return call

    def _fitting(self, wrapper: _Call) -> list[_Call]:
        """Return the calls that a wrapper may tell of, the last first; only one where the answer's id says which."""
        found: list[_Call] = []
        for call in reversed(tuple(self._recent)):
            if found and call.end < wrapper.begin:
                break  # and so did those before it
            if _is_same(wrapper, call):
                if _share_an_answer(wrapper, call):
                    return [call]
                found.append(call)
        return found


def _is_same(wrapper: _Call, call: _Call) -> bool:
    if (
        call.record.classification.kind != wrapper.record.classification.kind
        or call.record.scope is wrapper.record.scope
    ):
        return False
    if wrapper.response_id is not None and call.response_id is not None:
        return wrapper.response_id == call.response_id
    return _encloses(wrapper, call) and _says_the_same(wrapper, call)


def _share_an_answer(wrapper: _Call, call: _Call) -> bool:
    return wrapper.response_id is not None and wrapper.response_id == call.response_id


def _encloses(wrapper: _Call, call: _Call) -> bool:
    if not (wrapper.begin <= call.begin and call.end <= wrapper.end):
        return False
    # The call stands below something that encloses the wrapper as well, or below nothing at all.
    above = call.record.parent
    return above is None or any(above is foreign_sessions for foreign_sessions in wrapper.record.line())


def _says_the_same(wrapper: _Call, call: _Call) -> bool:
    if call.record.classification.row is None:
        return True  # the span of a request to a gateway: it knows nothing but where it goes
    theirs, ours = providers_in(wrapper.providers), providers_in(call.providers)
    if theirs and ours and theirs.isdisjoint(ours):
        return False
    return any(_agree(_bare(one), _bare(other)) for one in wrapper.texts for other in call.texts)


def _agree(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if not longer.startswith(shorter):
        return False
    rest = longer[len(shorter) :]
    return not rest or re.match(_VERSION, rest) is not None or re.match(_COMMENT, rest) is not None


def _bare(text: str) -> str:
    # Routers put a provider before the model: `openai/gpt-4o`.
    return text.lower() if " " in text else text.lower().rpartition("/")[2]
