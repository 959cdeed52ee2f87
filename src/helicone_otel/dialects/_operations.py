"""What the operations of vector databases are to Helicone: it knows four."""

from __future__ import annotations

from typing import Final

_SEARCH: Final = (
    *("search", "query", "retrieve", "retrieval", "vector_db_retrieve", "vectordb", "get", "fetch", "find", "select"),
    *("scroll", "peek", "knn_search", "similarity_search", "hybrid_search", "query_points", "query_batch_points"),
    *("query_batch", "query_points_groups", "search_batch", "search_groups", "search_matrix_pairs", "recommend"),
    *("recommend_batch", "recommend_groups", "discover", "discover_batch", "aggregate", "hybrid", "_query", "lookup"),
    *("vsim", "vrange", "ft.search", "ft.aggregate", "ft.hybrid", "graphql_raw", "near_vector", "near_text", "bm25"),
)
_INSERT: Final = (
    *("insert", "add", "upsert", "put", "index", "upload", "upload_points", "upload_collection", "upload_records"),
    *("vadd", "create", "batch_add", "insert_many", "add_documents", "add_texts"),
)
_UPDATE: Final = (
    *("update", "modify", "set_payload", "overwrite_payload", "update_vectors", "delete_payload", "clear_payload"),
    *("vsetattr", "replace", "merge", "merge_insert"),
)
_DELETE: Final = (
    "delete",
    "remove",
    "drop",
    "delete_many",
    "delete_points",
    "delete_vectors",
    "delete_documents",
    "vrem",
)

# https://docs.helicone.ai/integrations/vectordb/logger-sdk. Others go by their own name.
OPERATIONS: Final = {
    **dict.fromkeys(_SEARCH, "search"),
    **dict.fromkeys(_INSERT, "insert"),
    **dict.fromkeys(_UPDATE, "update"),
    **dict.fromkeys(_DELETE, "delete"),
}
