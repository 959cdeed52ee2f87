"""OpenTelemetry's own conventions, now and before: GenAI, databases that search vectors, MCP.

https://github.com/open-telemetry/semantic-conventions-genai
https://opentelemetry.io/docs/specs/semconv/database/
"""

from __future__ import annotations

from ..schema import Dialect, Row

OPERATION = "gen_ai.operation.name"
TOOL_NAME = "gen_ai.tool.name"
AGENT_NAME = "gen_ai.agent.name"
# A template for spans whose name is the one that people gave to a function, a node of a graph, a tool or an agent.
WHOLE_NAME = ("*",)

GEN_AI = Dialect(
    name="gen_ai",
    rows=(
        Row(
            kind="llm",
            attribute=OPERATION,
            values=frozenset(
                {
                    *("chat", "generate_content", "text_completion", "realtime_inference"),
                    *("chat.completions", "text.completions"),  # Semantic Kernel in .NET
                }
            ),
        ),
        Row(kind="embedding", attribute=OPERATION, values=frozenset({"embeddings", "embedding"})),
        Row(
            kind="tool",
            attribute=OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=(TOOL_NAME,),
            templates=("execute_tool *",),
        ),
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"invoke_agent", "create_agent"}),
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *", "create_agent *"),
        ),
        # A run of a hosted agent of Azure: https://learn.microsoft.com/azure/ai-foundry
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"start_thread_run", "process_thread_run"}),
            named_by=(AGENT_NAME,),
            segment="thread_run",
        ),
        Row(
            kind="workflow",
            attribute=OPERATION,
            values=frozenset({"invoke_workflow"}),
            named_by=("gen_ai.workflow.name",),
            templates=("invoke_workflow *",),
        ),
        # No operation of the convention: OpenLLMetry and OpenLIT write it.
        Row(kind="rerank", attribute=OPERATION, values=frozenset({"rerank"}), segment="rerank"),
        # The convention's span name ends in the data source. The step is the retrieval, whatever the source.
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"retrieval"}), segment="retrieve"),
        Row(kind="task", attribute=OPERATION, values=frozenset({"plan"}), templates=("plan *",)),
    ),
    session_ids=("gen_ai.conversation.id", "gen_ai.thread.id"),
    user_ids=("user.id", "enduser.id"),
    response_ids=("gen_ai.response.id",),
    providers=("gen_ai.provider.name", "gen_ai.system"),
    models=("gen_ai.request.model", "gen_ai.response.model"),
)

# Rows by the conventions' span names, for families that set the attributes only after a span has started.
NAMED = (
    Row(kind="llm", names=("chat", "chat *", "text_completion *", "generate_content *")),
    Row(kind="embedding", names=("embeddings", "embeddings *")),
    Row(kind="tool", names=("execute_tool *",), named_by=(TOOL_NAME,), templates=("execute_tool *",)),
    Row(
        kind="agent",
        names=("invoke_agent", "invoke_agent *", "create_agent *"),
        named_by=(AGENT_NAME,),
        templates=("invoke_agent *", "create_agent *"),
    ),
    Row(kind="workflow", names=("invoke_workflow", "invoke_workflow *"), templates=("invoke_workflow *",)),
    Row(kind="vector_db", names=("retrieval", "retrieval *"), segment="retrieve"),
    Row(kind="rerank", names=("rerank", "rerank *"), segment="rerank"),
)


_SYSTEMS = ("db.system.name", "db.system")
_STATEMENTS = ("db.query.text", "db.statement")
_OPERATIONS = ("db.operation.name", "db.operation")

_STORES = frozenset(
    {
        "astra",
        "chroma",
        "chromadb",
        "lancedb",
        "marqo",
        "milvus",
        "pinecone",
        "qdrant",
        "turbopuffer",
        "vespa",
        "weaviate",
    }
)

VECTOR_STORES = Dialect(
    name="vector_stores",
    rows=tuple(
        Row(kind="vector_db", attribute=system, values=_STORES, operations=_OPERATIONS, verb=True)
        for system in _SYSTEMS
    ),
    statements=_STATEMENTS,
)

# pgvector's operators where they order rows, but not inside a text (`to_tsquery('a <-> b')`); and the functions of
# pgvector, MariaDB and Oracle.
_SQL = (
    r"(?is)\border\s+by\b[^']*?(?:<->|<=>|<#>|<\+>|<~>|<%>)"
    # The order may be that of an alias: `SELECT (embedding <#> %s) * -1 AS score … ORDER BY score`. Atomic groups keep
    # the search linear.
    r"|(?:<->|<=>|<#>|<\+>|<~>|<%>)(?>[^',;]{0,200}?\bas\s+)\"?(\w+)\b(?>.*\border\s+by\b)[^']{0,200}?\b\1\b"
    r"|\b(?:cosine_distance|l1_distance|l2_distance|inner_product|vec_distance\w*|vector_distance)\s*\("
)
_SQL_PARTS = ("<->", "<=>", "<#>", "<+>", "<~>", "<%>", "_distance", "inner_product")
_CYPHER = r"(?i)\bdb\.index\.vector\.query"


def _searches(
    matching: str, containing: tuple[str, ...], segment: str = "", not_current: bool = False
) -> tuple[Row, ...]:
    return tuple(
        Row(
            kind="vector_db",
            attribute=statement,
            matching=matching,
            containing=containing,
            segment=segment,
            operations=_OPERATIONS,
            verb=True,
            not_current=not_current,
        )
        for statement in _STATEMENTS
    )


SQL = Dialect(
    name="db.sql",
    scopes=(
        "opentelemetry.instrumentation.aiopg",
        "opentelemetry.instrumentation.asyncpg",
        "opentelemetry.instrumentation.dbapi",
        "opentelemetry.instrumentation.mysql*",
        "opentelemetry.instrumentation.psycopg*",
        "opentelemetry.instrumentation.pymysql",
        "opentelemetry.instrumentation.sqlite3",
    ),
    rows=_searches(_SQL, _SQL_PARTS),
    everyday=True,
)

# The instrumentation never makes its span current, so the driver's span is a sibling of it.
SQLALCHEMY = Dialect(
    name="db.sqlalchemy",
    scopes=("opentelemetry.instrumentation.sqlalchemy",),
    rows=_searches(_SQL, _SQL_PARTS, not_current=True),
    everyday=True,
)

# https://redis.io/docs/latest/commands/: vector sets by their commands, indexes by the query unless it is masked.
REDIS = Dialect(
    name="db.redis",
    scopes=("opentelemetry.instrumentation.redis",),
    rows=(
        Row(
            kind="vector_db",
            names=tuple(
                f"V{command}"
                for command in (
                    *("ADD", "CARD", "DIM", "EMB", "GETATTR", "INFO", "ISMEMBER", "LINKS"),
                    *("RANDMEMBER", "RANGE", "REM", "SETATTR", "SIM"),
                )
            ),
            verb=True,
        ),
        *_searches(
            r"(?is)\bft\.(?:search|aggregate|hybrid)\b.*(?:\bknn\b|\bvector_range\b|\bvsim\b)", ("ft.",), "search"
        ),
    ),
    everyday=True,
)

# Bedrock's clients do not tell an embedding from other uses of a model (`InvokeModel`), but the model's name does.
EMBEDDING_MODEL = r"(?i)embed(?:[^d]|d[^e]|d?\Z)"  # and no "embedded"

# https://docs.aws.amazon.com/bedrock/latest/APIReference: spans are named after the service and its operation. Those of
# calls to models follow OpenTelemetry's convention.
AWS = Dialect(
    name="aws",
    scopes=("opentelemetry.instrumentation.botocore*", "opentelemetry.instrumentation.bedrock"),
    rows=(
        Row(kind="embedding", attribute="gen_ai.request.model", matching=EMBEDDING_MODEL),
        Row(kind="vector_db", names=("Bedrock Agent Runtime.Retrieve",), segment="retrieve"),
        Row(
            kind="vector_db",
            names=tuple(f"S3Vectors.{verb}Vectors" for verb in ("Query", "Get", "Put", "List", "Delete")),
            templates=("S3Vectors.*",),
        ),
        Row(kind="rerank", names=("Bedrock Agent Runtime.Rerank",), segment="rerank"),
        Row(kind="guardrail", names=("Bedrock Runtime.ApplyGuardrail",), segment="apply_guardrail"),
        Row(
            kind="agent",
            names=(
                *("Bedrock Agent Runtime.InvokeAgent", "Bedrock Agent Runtime.InvokeInlineAgent"),
                "Bedrock AgentCore.InvokeAgentRuntime",
            ),
            segment="invoke_agent",
        ),
        Row(kind="workflow", names=("Bedrock Agent Runtime.InvokeFlow",), segment="invoke_flow"),
        Row(kind="llm", names=("Bedrock Agent Runtime.RetrieveAndGenerate*",)),
    ),
    guesses=(Row(kind="llm", names=("Bedrock Runtime.Converse*", "Bedrock Runtime.InvokeModel*")),),
    everyday=True,
)

_KNN = ("knn", "text_expansion", "sparse_vector", "neural")

ELASTICSEARCH = Dialect(
    name="db.elasticsearch",
    scopes=("elasticsearch-api", "opentelemetry.instrumentation.elasticsearch", "opensearch*"),
    rows=(
        Row(kind="vector_db", names=("knn_search",), segment="search"),
        *_searches(r"(?i)[\"'](?:knn|text_expansion|sparse_vector|neural)[\"']\s*:", _KNN, "search"),
    ),
    everyday=True,
)

MONGODB = Dialect(
    name="db.mongodb",
    scopes=("opentelemetry.instrumentation.pymongo",),
    rows=_searches(r"\$(?:vectorSearch|rankFusion)\b", ("$vectorsearch", "$rankfusion"), "aggregate"),
    everyday=True,
)

NEO4J = Dialect(
    name="db.neo4j",
    scopes=("opentelemetry.instrumentation.neo4j", "neo4j*"),
    rows=_searches(_CYPHER, ("db.index.vector.query",), "search"),
    everyday=True,
)


MCP = Dialect(
    name="mcp",
    scopes=("mcp-python-sdk", "fastmcp"),
    rows=(
        # The client's span is the request. The server's span is the same call, unless the client makes no span.
        Row(
            kind="tool",
            attribute="mcp.method.name",
            values=frozenset({"tools/call"}),
            span_kinds=("SERVER",),
            named_by=(TOOL_NAME,),
            templates=("tools/call *",),
            served=True,
        ),
        Row(
            kind="tool",
            attribute="mcp.method.name",
            values=frozenset({"tools/call"}),
            named_by=(TOOL_NAME,),
            templates=("MCP send tools/call *", "tools/call *"),
        ),
        # Only agents are clients of MCP. A server may be asked for its list of tools by anybody.
        Row(kind=None, attribute="mcp.method.name", span_kinds=("CLIENT",), app=True),
        Row(kind=None, attribute="mcp.method.name"),
        Row(kind="tool", span_kinds=("SERVER",), names=("tools/call *",), templates=("tools/call *",), served=True),
        Row(kind="tool", names=("tools/call *",), templates=("tools/call *",)),
    ),
    # Carriers are `_meta`, which goes to third-party servers. They must not learn about the session.
    takes_headers=False,
)
