"""The log API of Helicone's worker: `POST /custom/v1/log` and its siblings, with its checks in its order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .doors import UNDEFINED, UncaughtError, is_number, is_object, member, parsed, row_of
from .headers import HeadersError, from_http, from_meta, said
from .keys import Keys, is_well_formed, key_of, shows_any
from .requests import Outcome, Reply, Request, in_json, in_text, refused

PROVIDERS: Final = {
    "/custom/v1/log": "CUSTOM",
    "/oai/v1/log": "OPENAI",
    "/anthropic/v1/log": "ANTHROPIC",
    "/googleapis/v1/log": "GOOGLE",
}
# Of the body as JavaScript writes it again, in UTF-16 units.
MAX_UNITS: Final = 10 * 1024 * 1024
_LAST_OF_BMP: Final = 0xFFFF
# What JavaScript's dates can hold.
_LAST_MS: Final = 8_640_000_000_000_000


def log(request: Request, path: str, keys: Keys) -> Outcome:
    """Answer a log, and make a row of it if it is accepted."""
    try:
        return _log(request, path, keys)
    except (UncaughtError, HeadersError) as error:
        return Outcome(_uncaught(str(error)))


def _log(request: Request, path: str, keys: Keys) -> Outcome:
    body, headers = parsed(request.body), from_http(request.headers)
    if _is_too_large(request.body, body):
        return Outcome(in_text(400, "Payload too large"))
    if not shows_any(headers):
        return Outcome(in_text(401, "Unauthorized"))
    if fault := next(_faults(body), None):
        return refused(400, fault)
    merged = from_meta(body["providerRequest"]["meta"]) | headers
    from_meta(body["providerResponse"]["headers"])
    key = key_of(headers)
    if not is_well_formed(key):
        return refused(401, "API key is not valid")
    if (owner := keys.owner(key)) is None:
        return refused(200, "the key was not found, so nothing was logged")
    started, ended, first_token = _times(body.get("timing"), body["providerRequest"]["json"])
    # Helicone takes this one from the request's own headers only.
    override = headers.get("helicone-model-override", "")
    row = row_of(
        body,
        said(merged),
        provider=PROVIDERS[path],
        path=body["providerRequest"]["url"],
        started=started,
        ended=ended,
        organization=owner.organization,
        override=override,
        time_to_first_token=first_token,
    )
    return Outcome(in_text(200, "ok", ("helicone-id", row.id)), (row,))


def _is_too_large(sent: bytes, body: Any) -> bool:
    # No text has more UTF-16 units than bytes of UTF-8, and none grows by being written again without blanks.
    if len(sent) <= MAX_UNITS:
        return False
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return len(text) + sum(ord(letter) > _LAST_OF_BMP for letter in text) > MAX_UNITS


def _faults(body: Any) -> Iterator[str]:
    """Yield what is wrong with a log, in the order in which Helicone looks."""
    asked, answered = member(body, "providerRequest"), member(body, "providerResponse")
    if not _is_true(asked) or not _is_true(answered):
        yield "One of the required fields is missing: providerRequest or providerResponse"
    if not isinstance(member(asked, "url"), str):
        yield "Invalid providerRequest: 'url' is no string"
    if not is_object(member(asked, "meta")):
        yield "Invalid providerRequest: 'meta' is no object"
    if member(asked, "json") is UNDEFINED:
        yield "Invalid providerRequest: 'json' is missing"
    if member(answered, "json") is UNDEFINED:
        yield "Invalid providerResponse: 'json' is missing"
    if not is_number(member(answered, "status")):
        yield "Invalid providerResponse: 'status' is no number"
    if not is_object(member(answered, "headers")):
        yield "Invalid providerResponse: 'headers' is no object"
    if _is_true(timing := member(body, "timing")):
        yield from _faults_in_time(timing)


def _faults_in_time(timing: Any) -> Iterator[str]:
    for end in ("startTime", "endTime"):
        for unit in ("seconds", "milliseconds"):
            if not is_number(member(member(timing, end), unit)):
                yield f"Invalid timing: '{end}.{unit}' is no number"
    started, ended = _milliseconds(timing["startTime"]), _milliseconds(timing["endTime"])
    if not -_LAST_MS <= started <= _LAST_MS or not -_LAST_MS <= ended <= _LAST_MS:
        yield "Invalid timing: no such date"
    if started > ended:
        yield "startTime is later than endTime"
    if started < 0 or ended < 0:
        yield "startTime and endTime cannot be negative"


def _times(timing: Mapping[str, Any] | None, request: Any) -> tuple[int, int, float | None]:
    if not timing:
        now = time.time_ns() // 1_000_000
        return now, now, None
    # The time to the first token is kept only of what says that it is streamed.
    streamed = isinstance(request, Mapping) and request.get("stream") is True
    first_token = timing.get("timeToFirstToken")
    kept = first_token if streamed and is_number(first_token) else None
    return int(_milliseconds(timing["startTime"])), int(_milliseconds(timing["endTime"])), kept


def _milliseconds(moment: Mapping[str, Any]) -> float:
    value: float = moment["seconds"] * 1000 + moment["milliseconds"]
    return value


def _is_true(value: Any) -> bool:
    """Tell what `if (value)` does in JavaScript, where an empty object is true."""
    return value is not UNDEFINED and (isinstance(value, Mapping | list) or bool(value))


def _uncaught(message: str) -> Reply:
    body = {"helicone-message": "Helicone ran into an error servicing your request", "helicone-error": message}
    return in_json(500, {**body, "support": "https://www.helicone.ai/contact"}, ("helicone-error", "true"))
