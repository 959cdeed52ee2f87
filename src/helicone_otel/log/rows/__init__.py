"""A row of Helicone's log from a span that ended: what is sent, and nothing of how.

https://docs.helicone.ai/getting-started/integration-method/custom: one POST for each row.
"""

from __future__ import annotations

from .content import Content, Where
from .encode import encoded
from .row import row_of
from .types import Event, FinishedSpan, HeliconeRow

__all__ = ["Content", "Event", "FinishedSpan", "HeliconeRow", "Where", "encoded", "row_of"]
