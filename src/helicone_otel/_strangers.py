"""What callers said of sessions in baggage, where nobody accepts what callers say.

OpenTelemetry's default propagators take in any caller's baggage, and many set-ups copy baggage onto
spans (`BaggageSpanProcessor`, Langfuse, Logfire). There it looks like the app's own word.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context

from ._memory import Recent
from ._spans import first_text
from ._vocabulary import Vocabulary
from .dialects import CALLERS_BAGGAGE

_MAX_TRACES: Final = 1024
# In one trace a stranger may come in again and again, each time with another text.
_MAX_TEXTS: Final = 64
# A MiB of them, once there are any.
_MARKS: Final = 2**23


class Strangers:
    """Remembers what came in as baggage with a SERVER or CONSUMER span, and takes it off what spans show.

    Attributes the user configured are believed all the same: that is what configuring them means.

    Memory is bounded, so what a stranger said long ago is forgotten, but not that it was there: in such a
    trace nothing unconfigured is believed any more. Of each only a mark is left, which other traces may
    happen to share: one in eighty after 100,000.

    Args:
        vocabulary: Tells which attributes speak of sessions and users.
        trusted: Callers are believed, so there is nothing to remember.
    """

    def __init__(self, vocabulary: Vocabulary, trusted: bool) -> None:
        self._trusted = trusted
        self._claims = vocabulary.claims
        self._keys = self._claims.union(*CALLERS_BAGGAGE)
        # Hashes, because a stranger may send long texts, and many.
        self._said: Recent[int, frozenset[int]] = Recent(_MAX_TRACES)
        self._marks = bytearray()

    def hear(self, trace_id: int, context: Context | None) -> None:
        """Take note of the baggage in whose presence work came in."""
        # Where nobody has loaded it yet, nobody has put any in. To load it takes a millisecond.
        baggage = sys.modules.get("opentelemetry.baggage")
        if self._trusted or baggage is None or not (entries := baggage.get_all(context)):
            return
        said = frozenset(hash(text) for key in self._keys if (text := first_text(entries, (key,))))
        if not said:
            return
        said |= self._said.get(trace_id, frozenset())
        if len(said) > _MAX_TEXTS:
            self._said.pop(trace_id, None)
            self._mark(trace_id)
        elif (forgotten := self._said.put(trace_id, said)) is not None:
            self._mark(forgotten)

    def without(self, trace_id: int, facts: dict[str, object]) -> dict[str, object]:
        """Return what a span shows without what is a stranger's word."""
        if self._marks and self._is_marked(trace_id):
            return {key: value for key, value in facts.items() if key not in self._claims}
        said = self._said.get(trace_id) if self._said else None
        if said is None:
            return facts
        return {key: value for key, value in facts.items() if key not in self._claims or not _is_said(facts, key, said)}

    def _mark(self, trace_id: int) -> None:
        if not self._marks:
            self._marks.extend(bytes(_MARKS // 8))  # two threads that do it at once lose nothing
        byte, bit = divmod(trace_id % _MARKS, 8)
        self._marks[byte] |= 1 << bit

    def _is_marked(self, trace_id: int) -> bool:
        byte, bit = divmod(trace_id % _MARKS, 8)
        return bool(self._marks[byte] & 1 << bit)


def _is_said(facts: Mapping[str, object], key: str, said: frozenset[int]) -> bool:
    return hash(first_text(facts, (key,))) in said
