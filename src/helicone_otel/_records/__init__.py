"""A row of Helicone's log from a span that ended: what is sent, and nothing of how.

https://docs.helicone.ai/getting-started/integration-method/custom: one POST for each row.
"""

from __future__ import annotations

from ._content import Content, Where
from ._encode import encoded
from ._row import row_of
from ._types import Event, Facts, Row

__all__ = ["Content", "Event", "Facts", "Row", "Where", "encoded", "row_of"]
