"""Builds what answers the registry's questions, once it is known with which settings."""

from __future__ import annotations

from collections.abc import Sequence

from ..sessions.foreign import find_imported_sdks
from ..spans.dialects import DIALECTS
from ..spans.schema import Dialect
from .labels import LabelWriter
from .locate import Locator
from .on_end import SpanEnds
from .on_start import SpanStarts
from .requests import Calls
from .resolver import Resolver
from .state import ProcessState


def parts_of(state: ProcessState, dialects: Sequence[Dialect] | None) -> dict[str, object]:
    """Return the parts of an engine by the names that the registry has for them.

    Args:
        state: The settings in force.
        dialects: The tables by which spans are read; the library's own if not given.
    """
    resolver = Resolver(state, DIALECTS if dialects is None else dialects)
    label_writer = LabelWriter(resolver)
    calls = Calls(resolver.reader)
    find_imported_sdks()
    return {
        "resolver": resolver,
        "starts": SpanStarts(resolver, label_writer),
        "ends": SpanEnds(state, resolver, label_writer, calls),
        "locator": Locator(state, resolver, label_writer, calls),
    }
