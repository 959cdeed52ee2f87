"""tool(), vector_query() and data(): spans for what nobody instruments."""
