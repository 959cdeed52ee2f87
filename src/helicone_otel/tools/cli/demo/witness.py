"""Run a script and report each operation that reaches the embedded vector store, which keeps no log.

    python witness.py agent.py

It wraps the engine, below every client and instrumentation, and posts each operation to WITNESS_URL.
"""

import functools
import os
import runpy
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

from qdrant_client.local.qdrant_local import QdrantLocal

OPERATIONS = ("upsert", "query_points")


def report(operation: str) -> None:
    """Report one operation by an HTTP client that no instrumentation wraps."""
    url = urlsplit(os.environ["WITNESS_URL"])
    connection = HTTPConnection(url.netloc, timeout=5)
    connection.request("POST", f"{url.path}/{operation}", headers={"Content-Length": "0"})
    connection.getresponse().read()
    connection.close()


def watch(operation: str) -> None:
    """Report each call of a method of the engine."""
    method = getattr(QdrantLocal, operation)

    @functools.wraps(method)
    def watched(*args: object, **kwargs: object) -> object:
        report(operation)
        return method(*args, **kwargs)

    setattr(QdrantLocal, operation, watched)


if __name__ == "__main__":
    for name in OPERATIONS:
        watch(name)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
