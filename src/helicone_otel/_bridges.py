"""Spans that are never current: where a framework keeps the truth in its own context, it is asked there.

OpenInference's LangChain spans are made in callbacks, so what is called inside a run would be a root of its
own trace. The framework is not imported for it: if the app has not loaded it, there is nothing to ask.
"""

from __future__ import annotations

import sys
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from ._guard import swallow
from ._lineage import Lineage
from ._record import Record
from ._vocabulary import Vocabulary

_SEPARATOR: Final = ":"


class Bridges:
    """Finds the span inside which something is going on, where the Context does not know."""

    def __init__(self, vocabulary: Vocabulary, lineage: Lineage) -> None:
        self._vocabulary = vocabulary
        self._lineage = lineage

    def innermost(self, record: Record | None) -> Record | None:
        """Return the record of the span of a framework that is current to it, if the Context's is around that.

        Args:
            record: The record of the Context's current span, if it is remembered.

        Returns:
            Else what was given.
        """
        for place in self._vocabulary.bridges:
            found = self._ask(place)
            if found is not None and (record is None or any(above is record for above in found.line())):
                return found
        return record

    def _ask(self, place: str) -> Record | None:
        module, _, function = place.partition(_SEPARATOR)
        ask = getattr(sys.modules.get(module), function, None)
        if ask is None:
            return None
        try:
            span = ask()
        except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
            swallow(place, error)
            return None
        # A run that is over encloses nothing.
        if not isinstance(span, ReadableSpan) or span.end_time is not None:
            return None
        return self._lineage.record_at(span)  # type: ignore[arg-type]  # the SDK's spans are both
