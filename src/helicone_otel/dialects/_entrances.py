"""How work comes into a service, and what its route or task is called.

An LLM call that no step encloses stands at this name (`POST /trips/{id}/plan` is `/trips/plan`).
"""

from __future__ import annotations

from typing import NamedTuple


class Entrance(NamedTuple):
    """For a span kind: the attributes that name the work, and templates of span names."""

    span_kind: str
    named_by: tuple[str, ...]
    templates: tuple[str, ...]


# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, .../messaging/messaging-spans/
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

ENTRANCES = (
    Entrance("SERVER", ("http.route", "rpc.method"), tuple(f"{method} /*" for method in _METHODS)),
    # Celery's worker span is `run/<task>`; the convention's is `process <queue>` or `<queue> process`.
    Entrance("CONSUMER", ("celery.task_name",), ("run/*", "process *", "* process", "receive *", "* receive", "*")),
)
