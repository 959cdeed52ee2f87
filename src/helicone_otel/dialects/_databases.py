"""Databases, by OpenTelemetry's conventions now and before.

https://opentelemetry.io/docs/specs/semconv/database/. A vector store's every operation counts. Databases
that can do other things too count only where the query shows that vectors are searched.
"""

from .._spans import Dialect, Row

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

# pgvector's operators, where they order rows, and not inside a text (`to_tsquery('a <-> b')`); functions
# of pgvector, MariaDB and Oracle.
_SQL = (
    r"(?is)\border\s+by\b[^']*?(?:<->|<=>|<#>|<\+>|<~>|<%>)"
    r"|\b(?:cosine_distance|l1_distance|l2_distance|inner_product|vec_distance\w*|vector_distance)\s*\("
)
_CYPHER = r"(?i)\bdb\.index\.vector\.query"


def _searches(matching: str, segment: str = "", detached: bool = False) -> tuple[Row, ...]:
    return tuple(
        Row(
            kind="vector_db",
            attribute=statement,
            matching=matching,
            segment=segment,
            operations=_OPERATIONS,
            verb=True,
            detached=detached,
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
    rows=_searches(_SQL),
    everyday=True,
)

# Its span is never current: the driver's is beside it.
SQLALCHEMY = Dialect(
    name="db.sqlalchemy",
    scopes=("opentelemetry.instrumentation.sqlalchemy",),
    rows=_searches(_SQL, detached=True),
    everyday=True,
)

# https://redis.io/docs/latest/commands/: vector sets by their commands, indexes by the query, if it is not masked.
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
        *_searches(r"(?is)\bft\.(?:search|aggregate|hybrid)\b.*(?:\bknn\b|\bvector_range\b|\bvsim\b)", "search"),
    ),
    everyday=True,
)

ELASTICSEARCH = Dialect(
    name="db.elasticsearch",
    scopes=("elasticsearch-api", "opentelemetry.instrumentation.elasticsearch", "opensearch*"),
    rows=(
        Row(kind="vector_db", names=("knn_search",), segment="search"),
        *_searches(r"(?i)[\"'](?:knn|text_expansion|sparse_vector|neural)[\"']\s*:", "search"),
    ),
    everyday=True,
)

MONGODB = Dialect(
    name="db.mongodb",
    scopes=("opentelemetry.instrumentation.pymongo",),
    rows=_searches(r"\$(?:vectorSearch|rankFusion)\b", "aggregate"),
    everyday=True,
)

NEO4J = Dialect(
    name="db.neo4j",
    scopes=("opentelemetry.instrumentation.neo4j", "neo4j*"),
    rows=_searches(_CYPHER, "search"),
    everyday=True,
)
