"""Makes rows of Helicone's log from spans that have ended. Nothing here sends them.

https://docs.helicone.ai/getting-started/integration-method/custom: each row is one POST.

A row is made in four steps. `sources` is a table of the attributes and events that hold each fact. `facts` reads them,
with a reader from `forms` for each form. `call` makes of them one neutral call to a model. `openai`, `anthropic`,
`google` and `helicone` write the bodies.
"""

from __future__ import annotations

from .content import Content, Where
from .encode import encoded
from .row import row_of
from .types import Event, FinishedSpan, HeliconeRow

__all__ = ["Content", "Event", "FinishedSpan", "HeliconeRow", "Where", "encoded", "row_of"]
