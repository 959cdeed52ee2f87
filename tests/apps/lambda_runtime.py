"""Call the handler as the runtime of AWS Lambda does, and exit without flushing anything, like a frozen runtime."""

from __future__ import annotations

import os
from types import SimpleNamespace

import lambda_app

CONTEXT = SimpleNamespace(
    function_name="answer",
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:answer",
    aws_request_id="1",
)
for body, headers in (("first", {}), ("second", {"Helicone-Session-Id": "s-1", "Helicone-Session-Path": "/plan"})):
    lambda_app.handler({"httpMethod": "POST", "path": "/answer", "headers": headers, "body": body}, CONTEXT)
os._exit(0)
