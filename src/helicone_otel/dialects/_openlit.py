"""OpenLIT: https://docs.openlit.io. Spans of calls start with no attribute, under the convention's names."""

from .._spans import Dialect, Row
from ._gen_ai import AGENT_NAME, NAMED, OPERATION

OPENLIT_VECTORS = Dialect(
    name="openlit.vectors",
    scopes=(
        "openlit.instrumentation.astra",
        "openlit.instrumentation.chroma",
        "openlit.instrumentation.milvus",
        "openlit.instrumentation.pinecone",
        "openlit.instrumentation.qdrant",
    ),
    # `GET docs`: what is done and the collection.
    rows=(Row(kind="vector_db", operations=("db.operation.name",), verb=True),),
)

OPENLIT = Dialect(
    name="openlit",
    scopes=("openlit.instrumentation.*",),
    rows=(
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"vectordb"}), operations=("db.operation.name",)),
        Row(kind="guardrail", attribute=OPERATION, values=frozenset({"moderation"}), segment="moderation"),
        # Guardrails, handoffs and the runs around agents are all written as invocations of agents.
        Row(
            kind="guardrail",
            attribute="gen_ai.guardrail.triggered",
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *",),
        ),
        Row(kind="task", attribute="gen_ai.agent.source", named_by=(AGENT_NAME,), templates=("invoke_agent *",)),
        Row(kind="task", names=("invoke_agent",)),
    ),
    guesses=(Row(kind="guardrail", names=("moderation *",), segment="moderation"), *NAMED),
    user_ids=("gen_ai.request.user",),
)
