"""A handler for AWS Lambda."""

from __future__ import annotations

from typing import Any

from model import ask
from opentelemetry import trace

tracer = trace.get_tracer("lambda_app")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one event."""
    with tracer.start_as_current_span("answer"):
        return {"statusCode": 200, "body": ask(event["body"])}
