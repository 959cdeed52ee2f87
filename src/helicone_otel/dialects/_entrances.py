"""How work comes into a service: what its route or task is called, and what callers say in baggage.

An LLM call that no step encloses stands at this name (`POST /trips/{id}/plan` is `/trips/plan`).
"""

from __future__ import annotations

from typing import NamedTuple


class Entrance(NamedTuple):
    """For a span kind: the attributes that name the work, and templates of span names."""

    span_kind: str
    named_by: tuple[str, ...]
    templates: tuple[str, ...]


class CallersBaggage(NamedTuple):
    """Under which keys of W3C baggage a caller keeps the ids of its session and its user, the best first."""

    session_ids: tuple[str, ...]
    user_ids: tuple[str, ...]


# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, .../messaging/messaging-spans/
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

ENTRANCES = (
    Entrance("SERVER", ("http.route", "rpc.method"), tuple(f"{method} /*" for method in _METHODS)),
    # Celery's worker span is `run/<task>`; the convention's is `process <queue>` or `<queue> process`.
    Entrance("CONSUMER", ("celery.task_name",), ("run/*", "process *", "* process", "receive *", "* receive", "*")),
)

# What OpenTelemetry, Logfire and Mistral, and Langfuse's `propagate_attributes(as_baggage=True)` write.
CALLERS_BAGGAGE = CallersBaggage(
    session_ids=("session.id", "gen_ai.conversation.id", "langfuse_session_id", "session_id"),
    user_ids=("user.id", "enduser.id", "langfuse_user_id", "user_id"),
)
