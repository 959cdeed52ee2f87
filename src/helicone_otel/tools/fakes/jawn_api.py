"""Jawn, Helicone's API server: what all its APIs check first, and its log, with and without checks of the fields.

People who host Helicone themselves often run it without the worker.
https://github.com/Helicone/helicone/tree/main/valhalla/jawn
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from .headers import HeadersError, Keys, from_http, from_meta, helicone_headers
from .log_api import UNDEFINED, UncaughtError, is_object, member, parsed, row_of
from .requests import JSON_TYPE, ApiResult, Reply, Request, in_json
from .usage import is_number

PATHS: Final = ("/v1/trace/custom/log", "/v1/trace/custom/v1/log")
TYPED_PATH: Final = "/v1/trace/custom/log/typed"
# Helicone's path of requests that did not pass its gateway.
UNKNOWN_PATH: Final = "async-unknown-path"
# A number below this is seconds, one above milliseconds.
_YEAR_2100: Final = 4_102_444_800
# The limit of a body in bytes.
MAX_BYTES: Final = 10 * 1024 * 1024
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Error</title>
</head>
<body>
<pre>Cannot {method} {path}</pre>
</body>
</html>
"""


def health() -> ApiResult:
    """Answer `GET /healthcheck`, for which no key is needed."""
    return ApiResult(in_json(200, {"status": "healthy :)"}))


def with_key(request: Request, api: Callable[[Request, str], ApiResult], keys: Keys) -> ApiResult:
    """Answer a request after the checks that all APIs share: first the body, then the key.

    Args:
        request: The request.
        api: Answers it for the organization that owns the key.
        keys: The keys that exist.
    """
    if fault := _fault_in_body(request):
        return ApiResult(in_json(500, {"message": "Internal Server Error", "details": fault}))
    key = from_http(request.headers).get("authorization", "").removeprefix("Bearer ").strip()
    owner = keys.owner(key)
    if owner is None:
        return _unauthorized("No API key found")
    # Whatever has a body counts as writing, so a key that may only write may query.
    if request.method == "GET" and not owner.reads:
        return _unauthorized(None)
    return api(request, owner.organization)


def not_found(request: Request, _: str = "") -> ApiResult:
    """Answer a request to a path that does not exist."""
    page = _PAGE.format(method=request.method, path=request.path.partition("?")[0])
    return ApiResult(Reply(404, page.encode(), "text/html; charset=utf-8"))


def _unauthorized(error: str | None) -> ApiResult:
    return ApiResult(in_json(401, {"error": error, "trace": "isAuthenticated.error"}))


def _fault_in_body(request: Request) -> str:
    if len(request.body) > MAX_BYTES:
        return "request entity too large"
    is_json = (request.header("Content-Type") or "").partition(";")[0].strip() == JSON_TYPE
    if not is_json or not request.body or request.header("Content-Encoding"):
        return ""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    return "" if isinstance(body, dict | list) else "the body is not JSON"


def log(request: Request, organization: str) -> ApiResult:
    """Answer a log whose fields are not checked. What cannot be read is an error with an empty body."""
    return _answered(request, organization, _logged)


def log_typed(request: Request, organization: str) -> ApiResult:
    """Answer a log whose fields are checked."""
    return _answered(request, organization, _logged_if_valid)


def _answered(request: Request, organization: str, answer: Callable[[Request, Any, str], ApiResult]) -> ApiResult:
    try:
        return answer(request, parsed(request.body), organization)
    except (UncaughtError, HeadersError, ValueError, OverflowError):
        return ApiResult(Reply(500))


def _logged_if_valid(request: Request, body: Any, organization: str) -> ApiResult:
    errors = [{"field": field, "message": message} for field, message in _faults(body)]
    if errors:
        return ApiResult(in_json(400, {"isValid": False, "errors": errors}))
    return _logged(request, body, organization)


def _logged(request: Request, body: Any, organization: str) -> ApiResult:
    asked, answered = member(body, "providerRequest"), member(body, "providerResponse")
    if not isinstance(asked, Mapping) or not isinstance(answered, Mapping):
        raise UncaughtError("providerRequest or providerResponse is not an object")
    # It asks for the length of each body as JSON.
    if "json" not in asked or not ("json" in answered or answered.get("textBody")):
        raise UncaughtError("a body is missing")
    headers = from_meta(asked.get("meta", {}), node=True) | from_http(request.headers, node=True)
    timing = body.get("timing")
    started, ended = _times(timing)
    provider = body.get("provider")
    first_token = member(timing, "timeToFirstToken") if timing else None
    row = row_of(
        body,
        helicone_headers(headers),
        provider=provider if isinstance(provider, str) and provider else "OPENAI",
        path=UNKNOWN_PATH,
        stored_request=asked["json"],
        started=started,
        ended=ended,
        organization=organization,
        time_to_first_token=first_token if is_number(first_token) else None,
    )
    return ApiResult(Reply(200), (row,))


def _times(timing: Any) -> tuple[int, int]:
    if not timing:
        now = time.time_ns() // 1_000_000
        return now, now
    return _moment(member(timing, "startTime")), _moment(member(timing, "endTime"))


def _moment(value: Any) -> int:
    """Return milliseconds since the epoch.

    Raises:
        ValueError: It is not a date.
    """
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            return int(value) * 1000 if int(value) < _YEAR_2100 else int(value)
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    seconds, milliseconds = member(value, "seconds"), member(value, "milliseconds")
    if not is_number(seconds) or not is_number(milliseconds):
        raise ValueError("this is not a date")
    return int(seconds * 1000 + milliseconds)


def _faults(body: Any) -> Iterator[tuple[str, str]]:
    body = body if isinstance(body, dict) else {}
    asked, answered, timing = (body.get(name) for name in ("providerRequest", "providerResponse", "timing"))
    if not asked:
        yield "providerRequest", "is missing"
    else:
        yield from _faults_in_request(asked)
    if not answered:
        yield "providerResponse", "is missing"
    else:
        yield from _faults_in_response(answered)
    if timing:
        yield from ((f"timing.{end}", "is missing") for end in ("startTime", "endTime") if _member(timing, end) is None)
        first_token = member(timing, "timeToFirstToken")
        if first_token is not UNDEFINED and not is_number(first_token):
            yield "timing.timeToFirstToken", "is not a number"


def _faults_in_request(asked: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(_member(asked, "url"), str) or not asked["url"]:
        yield "providerRequest.url", "is not a string, or is empty"
    for name in ("json", "meta"):
        if not _is_an_object(_member(asked, name)):
            yield f"providerRequest.{name}", "is not an object"


def _faults_in_response(answered: Any) -> Iterator[tuple[str, str]]:
    if not is_number(_member(answered, "status")):
        yield "providerResponse.status", "is not a number"
    if _member(answered, "json") in (None, "", 0, False) and not _member(answered, "textBody"):
        yield "providerResponse", "needs json or textBody"
    if not _is_an_object(_member(answered, "headers")):
        yield "providerResponse.headers", "is not an object"


def _member(value: Any, name: str) -> Any:
    found = member(value, name)
    return None if found is UNDEFINED else found


def _is_an_object(value: Any) -> bool:
    return value is not None and is_object(value)
