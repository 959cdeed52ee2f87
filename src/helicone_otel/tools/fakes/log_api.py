"""The log API of Helicone's worker, and how Helicone reads the bodies of logs: as JavaScript does."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from . import bodies
from .headers import (
    HeadersError,
    HeliconeHeaders,
    Keys,
    from_http,
    from_meta,
    has_any_key,
    helicone_headers,
    is_well_formed,
    key_of,
)
from .requests import JSON_TYPE, ApiResult, Reply, Request, in_json, in_text, refused
from .rows import Row
from .usage import bill_of, is_number

PROVIDERS: Final = {
    "/custom/v1/log": "CUSTOM",
    "/oai/v1/log": "OPENAI",
    "/anthropic/v1/log": "ANTHROPIC",
    "/googleapis/v1/log": "GOOGLE",
}
# Both servers have this path. The worker answers without a body, jawn with one.
HEALTH: Final = "/healthcheck"
# The limit of a body as JavaScript writes it again, in UTF-16 units.
MAX_UNITS: Final = 10 * 1024 * 1024
_LAST_OF_BMP: Final = 0xFFFF
# The last moment of JavaScript's dates.
_LAST_MS: Final = 8_640_000_000_000_000
# The value of a missing member in JavaScript; JSON has none.
UNDEFINED: Final = object()


def answer(request: Request, keys: Keys) -> ApiResult:
    """Answer a request to the host of the worker's log, and make a row of it if it is a log that is accepted.

    Args:
        request: The request.
        keys: The keys that exist.
    """
    path = request.path.partition("?")[0]
    if path == HEALTH and request.method == "GET":
        return ApiResult(Reply(200, b"", JSON_TYPE))
    if path not in PROVIDERS or request.method != "POST":
        return ApiResult(in_text(404, "invalid path"))
    try:
        return _log(request, path, keys)
    except (UncaughtError, HeadersError) as error:
        return ApiResult(_uncaught(str(error)))


def _log(request: Request, path: str, keys: Keys) -> ApiResult:
    body, headers = parsed(request.body), from_http(request.headers)
    if _is_too_large(request.body, body):
        return ApiResult(in_text(400, "Payload too large"))
    if not has_any_key(headers):
        return ApiResult(in_text(401, "Unauthorized"))
    if fault := next(_faults(body), None):
        return refused(400, fault)
    merged = from_meta(body["providerRequest"]["meta"]) | headers
    from_meta(body["providerResponse"]["headers"])
    key = key_of(headers)
    if not is_well_formed(key):
        return refused(401, "API key is not valid")
    if (owner := keys.owner(key)) is None:
        return refused(200, "the key was not found, so nothing was logged")
    started, ended, first_token = _times(body.get("timing"))
    # Helicone reads this header of the request only, not of `meta`.
    override = headers.get("helicone-model-override", "")
    row = row_of(
        body,
        helicone_headers(merged),
        provider=PROVIDERS[path],
        path=body["providerRequest"]["url"],
        # The worker stores the body that it was sent, and not the request in it.
        stored_request=body,
        started=started,
        ended=ended,
        organization=owner.organization,
        override=override,
        time_to_first_token=first_token,
    )
    return ApiResult(in_text(200, "ok", ("helicone-id", row.id)), (row,))


def _is_too_large(sent: bytes, body: Any) -> bool:
    # A text has at most as many UTF-16 units as bytes of UTF-8, and does not grow when it is written without blanks.
    if len(sent) <= MAX_UNITS:
        return False
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return len(text) + sum(ord(letter) > _LAST_OF_BMP for letter in text) > MAX_UNITS


def _faults(body: Any) -> Iterator[str]:
    """Yield what is wrong with a log, in the order in which Helicone checks it."""
    asked, answered = member(body, "providerRequest"), member(body, "providerResponse")
    if not _is_true(asked) or not _is_true(answered):
        yield "One of the required fields is missing: providerRequest or providerResponse"
    if not isinstance(member(asked, "url"), str):
        yield "Invalid providerRequest: 'url' is not a string"
    if not is_object(member(asked, "meta")):
        yield "Invalid providerRequest: 'meta' is not an object"
    if member(asked, "json") is UNDEFINED:
        yield "Invalid providerRequest: 'json' is missing"
    if member(answered, "json") is UNDEFINED:
        yield "Invalid providerResponse: 'json' is missing"
    if not is_number(member(answered, "status")):
        yield "Invalid providerResponse: 'status' is not a number"
    if not is_object(member(answered, "headers")):
        yield "Invalid providerResponse: 'headers' is not an object"
    if _is_true(timing := member(body, "timing")):
        yield from _faults_in_time(timing)


def _faults_in_time(timing: Any) -> Iterator[str]:
    for end in ("startTime", "endTime"):
        for unit in ("seconds", "milliseconds"):
            if not is_number(member(member(timing, end), unit)):
                yield f"Invalid timing: '{end}.{unit}' is not a number"
    started, ended = _milliseconds(timing["startTime"]), _milliseconds(timing["endTime"])
    if not -_LAST_MS <= started <= _LAST_MS or not -_LAST_MS <= ended <= _LAST_MS:
        yield "Invalid timing: no such date"
    if started > ended:
        yield "startTime is later than endTime"
    if started < 0 or ended < 0:
        yield "startTime and endTime cannot be negative"


def _times(timing: Mapping[str, Any] | None) -> tuple[int, int, float | None]:
    if not timing:
        now = time.time_ns() // 1_000_000
        return now, now, None
    started, ended = int(_milliseconds(timing["startTime"])), int(_milliseconds(timing["endTime"]))
    return started, ended, _first_token(timing.get("timeToFirstToken", UNDEFINED))


def _first_token(value: Any) -> float | None:
    """Return a time as JavaScript's `Number` makes it of any value; `None` where that is not a number."""
    if value is None or isinstance(value, bool):
        return float(value or 0)
    try:
        number = float(value.strip() or 0) if isinstance(value, str) else value
        return number if is_number(number) and math.isfinite(number) else None
    except ValueError:
        return None


def _milliseconds(moment: Mapping[str, Any]) -> float:
    value: float = moment["seconds"] * 1000 + moment["milliseconds"]
    return value


def _is_true(value: Any) -> bool:
    """Return whether `if (value)` is taken in JavaScript, where an empty object is true."""
    return value is not UNDEFINED and (isinstance(value, Mapping | list) or bool(value))


def _uncaught(message: str) -> Reply:
    body = {"helicone-message": "Helicone ran into an error servicing your request", "helicone-error": message}
    return in_json(500, {**body, "support": "https://www.helicone.ai/contact"}, ("helicone-error", "true"))


class UncaughtError(Exception):
    """Helicone does not expect the request, and answers 500."""


def parsed(body: bytes) -> Any:
    """Return a body as `JSON.parse` does, and `{}` if it is not JSON.

    Raises:
        UncaughtError: It is nested too deeply.
    """
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return {}
    except RecursionError as error:
        raise UncaughtError("the body is nested too deeply") from error


def member(value: Any, name: str) -> Any:
    """Return what `value.name` is in JavaScript.

    Raises:
        UncaughtError: The value is null or undefined, which have no members.
    """
    if value is None or value is UNDEFINED:
        raise UncaughtError(f"Cannot read properties of null or undefined (reading '{name}')")
    return value.get(name, UNDEFINED) if isinstance(value, Mapping) else UNDEFINED


def is_object(value: Any) -> bool:
    """Return what `typeof value === "object"` is in JavaScript: true for `null` and arrays, too."""
    return value is None or isinstance(value, Mapping | list)


def row_of(
    log: Mapping[str, Any],
    headers: HeliconeHeaders,
    *,
    provider: str,
    path: str,
    stored_request: Any,
    started: int,
    ended: int,
    organization: str,
    override: str = "",
    time_to_first_token: float | None = None,
) -> Row:
    """Return the row of a log that was accepted.

    Args:
        log: The body of the log.
        headers: The Helicone headers of the request and of the log's `meta`.
        provider: Such as `OPENAI`.
        path: The path, or the URL that the log gives.
        stored_request: What is stored as the body of the request.
        started: Milliseconds since the epoch, as is `ended`.
        ended: As above.
        organization: The owner of the key.
        override: The header `Helicone-Model-Override`.
        time_to_first_token: Milliseconds, if known.
    """
    asked, answered = log["providerRequest"], log["providerResponse"]
    text = answered.get("textBody")
    response = bodies.response_of(
        _is_streamed(stored_request, asked), text if isinstance(text, str) else None, answered.get("json")
    )
    model = bodies.model_of(path, stored_request, response, override)
    status = answered.get("status")
    return Row(
        id=headers.request_id,
        door="log",
        provider=provider,
        model=model,
        status=int(status) if is_number(status) else 0,
        path=path,
        started=started,
        ended=ended,
        user_id=headers.user_id,
        properties=headers.properties,
        request={"model": model} if "request" in headers.omits else stored_request,
        response={"model": model} if "response" in headers.omits else response,
        time_to_first_token=time_to_first_token,
        organization=organization,
        **bill_of(provider, model, response)._asdict(),
    )


def _is_streamed(stored_request: Any, asked: Mapping[str, Any]) -> bool:
    """Tell whether the response is a stream, by either of the places that Helicone looks at."""
    places = [one for one in (stored_request, asked.get("json")) if isinstance(one, Mapping)]
    return any(one.get("stream") is True for one in places)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float | None:
    # JavaScript reads 1e999 as Infinity, and writes that as null.
    value = float(text)
    return value if math.isfinite(value) else None
