"""The kinds of spans, and which of them are requests.

They stand apart from the schema of the dialects, which an app's start does not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Kind = Literal["workflow", "agent", "task", "tool", "llm", "embedding", "vector_db", "rerank", "guardrail", "data"]
SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
# Spans of these kinds have the path of the step that they serve; spans of every other kind add a segment. The value is
# the path's only segment if there is no step.
CALL_KINDS: Final[Mapping[str, str]] = {"llm": "chat", "embedding": "embeddings"}
# Spans of these kinds serve a call to a model. Without a step they are below the entry route, where that call is.
LOOKUP_KINDS: Final[frozenset[str]] = frozenset({"vector_db", "rerank"})
# One span of these kinds is one row in Helicone.
REQUEST_KINDS: Final[frozenset[str]] = KINDS - {"workflow", "agent", "task"}
