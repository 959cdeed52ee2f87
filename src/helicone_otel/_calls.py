"""Two spans beside each other, one call: wrappers that were never current around what they wrap.

Frameworks tell of a call in a callback, SDKs from another thread, SQLAlchemy without making its span
current. Such a span is matched with the call by what both say about it; time alone proves nothing.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ._record import Record
from ._requests import calls_made, may_be_request, stands_alone, tell_wrappers
from ._spans import CALL_KINDS, Reading
from ._vocabulary import Vocabulary
from .dialects import providers_in

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

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

    record: Record
    span_id: int
    begin: int
    end: int
    response_id: str | None
    providers: tuple[str, ...]
    texts: tuple[str, ...]
    """Models of an LLM call or embedding; the query of anything else."""


class Calls:
    """Decides which of the spans of a call stands for it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._roles = {
            **dict.fromkeys(vocabulary.response_ids, _RESPONSE),
            **dict.fromkeys(vocabulary.providers, _PROVIDER),
            **dict.fromkeys(vocabulary.models, _MODEL),
            **dict.fromkeys(vocabulary.statements, _STATEMENT),
        }
        self._telling = frozenset(self._roles)
        self._recent: deque[_Call] = deque(maxlen=_MAX_CALLS)

    def settle(self, record: Record, span: ReadableSpan) -> None:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        ids = span.get_span_context()
        span_id = ids.span_id if ids is not None else 0
        if may_be_request(record.reading) or stands_alone(record):
            row = record.reading.row
            if not record.wraps:
                call = self._describe(record, span_id, span)
                claimed = self._claim(call) if row is not None and row.detached else None
                if claimed is None:
                    self._recent.append(call)
                elif claimed.record.scope is not None:
                    record.beside = claimed.span_id
                else:  # no other span tells of that call
                    record.by_gateway, record.row_id = True, claimed.record.row_id
            record.request = not record.wraps
        made = calls_made(record, span_id)
        if made:
            tell_wrappers(made, span_id, record.parent)

    def note_without_span(self, above: Record, row_id: str | None) -> None:
        """Note a call that left for a gateway from below a span, without one of its own."""
        call, now = Record(None, above, None, None, above.trace_id), time.time_ns()
        call.reading = Reading("llm", recognised=True)
        call.by_gateway, call.row_id = True, row_id
        self._recent.append(_Call(call, 0, now, now, None, (), ()))

    def _describe(self, record: Record, span_id: int, span: ReadableSpan) -> _Call:
        attributes = span.attributes or _NO_ATTRIBUTES
        said: dict[str, list[str]] = {}
        for key in self._telling.intersection(attributes):
            value = attributes[key]
            if isinstance(value, str) and value:
                said.setdefault(self._roles[key], []).append(value[:_MAX_TEXT].strip())
        texts = said.get(_MODEL if record.reading.kind in CALL_KINDS else _STATEMENT, ())
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
                one.record.doubtful = True
        wrapper.record.doubtful = call.record.doubtful and not _share_an_answer(wrapper, call)
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
    if call.record.reading.kind != wrapper.record.reading.kind or call.record.scope is wrapper.record.scope:
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
    return above is None or any(above is around for around in wrapper.record.line())


def _says_the_same(wrapper: _Call, call: _Call) -> bool:
    if call.record.reading.row is None:
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
