"""OpenLLMetry (Traceloop), now and before: https://github.com/traceloop/openllmetry."""

from .._spans import Dialect, Row

_KIND = "traceloop.span.kind"
_NAME = "traceloop.entity.name"

TRACELOOP_OPENAI = Dialect(
    name="traceloop.openai",
    scopes=("opentelemetry.instrumentation.openai.*",),
    # `openai.response` starts with no attribute, once the call is over.
    rows=(
        Row(kind="llm", names=("openai.chat", "openai.completion", "openai.response")),
        Row(kind="embedding", names=("openai.embeddings",)),
    ),
)

TRACELOOP_ANTHROPIC = Dialect(
    name="traceloop.anthropic",
    scopes=("opentelemetry.instrumentation.anthropic",),
    rows=(Row(kind="llm", names=("anthropic.chat", "anthropic.completion"), detached=True),),
)

TRACELOOP_SDK = Dialect(
    name="traceloop.sdk",
    scopes=("traceloop.tracer",),
    # The SDK's decorators: the kind is in the name from the start, in attributes a moment later.
    rows=(
        Row(kind="workflow", names=("*.workflow",), named_by=(_NAME,), templates=("*.workflow",)),
        Row(kind="agent", names=("*.agent",), named_by=(_NAME,), templates=("*.agent",)),
        Row(kind="tool", names=("*.tool",), named_by=(_NAME,), templates=("*.tool",)),
        Row(kind="task", names=("*.task",), named_by=(_NAME,), templates=("*.task",)),
    ),
)

TRACELOOP_VECTORS = Dialect(
    name="traceloop.vectors",
    scopes=("opentelemetry.instrumentation.chromadb", "opentelemetry.instrumentation.qdrant"),
    rows=(
        Row(kind="vector_db", names=("chroma.*",), templates=("chroma.query.segment.*", "chroma.*")),
        Row(kind="vector_db", names=("qdrant.*",), templates=("qdrant.*",)),
    ),
)

TRACELOOP = Dialect(
    name="traceloop",
    rows=(
        Row(kind="llm", attribute="llm.request.type", values=frozenset({"chat", "completion"})),
        Row(kind="embedding", attribute="llm.request.type", values=frozenset({"embedding"})),
        Row(kind="rerank", attribute="llm.request.type", values=frozenset({"rerank"})),
        Row(
            kind="workflow",
            attribute=_KIND,
            values=frozenset({"workflow"}),
            named_by=(_NAME,),
            templates=("*.workflow",),
        ),
        Row(kind="agent", attribute=_KIND, values=frozenset({"agent"}), named_by=(_NAME,), templates=("*.agent",)),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), named_by=(_NAME,), templates=("*.tool",)),
        Row(
            kind="task",
            attribute=_KIND,
            values=frozenset({"task", "handoff"}),
            named_by=(_NAME,),
            templates=("*.task", "*.handoff"),
        ),
    ),
    session_ids=("traceloop.association.properties.session_id",),
    user_ids=("traceloop.association.properties.user_id",),
)
