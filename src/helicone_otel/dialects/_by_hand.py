"""The spans that `tool()`, `vector_query()` and `data()` make: OpenTelemetry's GenAI and DB conventions, and a name.

https://github.com/open-telemetry/semantic-conventions-genai, https://opentelemetry.io/docs/specs/semconv/db/
"""

from .. import _wire
from .._spans import Dialect, Row

BY_HAND = Dialect(
    name="helicone",
    scopes=(_wire.SCOPE,),
    rows=(
        # The collection is what is searched; the step is the searching.
        Row(kind="vector_db", attribute="db.operation.name", operations=("db.operation.name",)),
        Row(kind="data", attribute=_wire.DATA_NAME, named_by=(_wire.DATA_NAME,)),
        Row(
            kind="tool",
            attribute="gen_ai.operation.name",
            values=frozenset({"execute_tool"}),
            named_by=("gen_ai.tool.name",),
        ),
    ),
)
