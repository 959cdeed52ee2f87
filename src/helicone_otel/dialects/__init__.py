"""The families' conventions, one table each. A new family is rows here and a recording in the tests.

Attribute names stand as literals: the published constants are deprecated or move, and a test
compares these with the convention packages.
"""

from __future__ import annotations

from ._anthropic import ANTHROPIC
from ._entrances import CALLERS_BAGGAGE, ENTRANCES, Entrance
from ._gen_ai import GEN_AI
from ._libraries import LIBRARIES
from ._mcp import MCP
from ._openinference import OPENINFERENCE, OPENINFERENCE_ANTHROPIC, OPENINFERENCE_OPENAI
from ._traceloop import TRACELOOP, TRACELOOP_ANTHROPIC, TRACELOOP_OPENAI, TRACELOOP_SDK, TRACELOOP_VECTORS

# In order of precedence: where two families describe one span, the first that fits decides.
DIALECTS = (
    ANTHROPIC,
    MCP,
    OPENINFERENCE_OPENAI,
    OPENINFERENCE_ANTHROPIC,
    TRACELOOP_OPENAI,
    TRACELOOP_ANTHROPIC,
    TRACELOOP_SDK,
    TRACELOOP_VECTORS,
    OPENINFERENCE,
    TRACELOOP,
    GEN_AI,
)

__all__ = ["CALLERS_BAGGAGE", "DIALECTS", "ENTRANCES", "LIBRARIES", "Entrance"]
