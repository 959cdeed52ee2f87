"""A row of Helicone's log from a span that ended: what is sent, and nothing of how.

https://docs.helicone.ai/getting-started/integration-method/custom: one POST for each row.
"""

from __future__ import annotations

from ._row import Content, Event, Facts, Row, Where, encoded, row_of

__all__ = ["Content", "Event", "Facts", "Row", "Where", "encoded", "row_of"]
