"""The fake gateway: it refuses bad headers, lets a provider answer all else, and makes rows of what it answered.

The answer names the row's id in `helicone-id`: a whole one, a stream, an error of the provider, one from the cache,
whose row is a new one. What is refused before a provider is asked has no row, and its answer no id.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

from . import bodies
from .headers import DEFAULT, Keys, from_http, helicone_headers, key_of
from .log_api import parsed
from .requests import HEADER_LINE, STREAM_TYPE, ApiResult, Reply, Request, in_json
from .rows import Row
from .usage import bill_of

ROW_ID: Final = "helicone-id"

_REFUSED: Final = re.compile(r"[\0-\x1f\x7f]|\A\Z")
_MAX_CACHED: Final = 1000
# The headers on which, beside path and body, the answer in the cache depends.
_KEYED: Final = ("authorization", "helicone-auth", "helicone-cache")
_MODERATIONS: Final = "/v1/moderations"
_Headers: TypeAlias = Mapping[str, str]


class Provider(Protocol):
    """What answers the requests that the gateway accepts."""

    def answer(self, request: Request) -> Reply:
        """Answer a request."""

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""


class Gateway:
    """Forwards requests to a provider.

    Args:
        provider: Answers the requests.
        keys: Say to whom the rows belong.
        needs_key: Whether a request without a key that exists makes no row. It is answered all the same.

    Attributes:
        without_row: How many requests were answered and made no row, because they had no such key.
    """

    def __init__(self, provider: Provider, keys: Keys, *, needs_key: bool = False) -> None:
        self._provider = provider
        self._keys = keys
        self._needs_key = needs_key
        self.without_row = 0
        self._cache: OrderedDict[object, Reply] = OrderedDict()

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def answer(self, request: Request) -> ApiResult:
        """Let the provider answer a request, and make its rows."""
        if fault := _fault(request.head.splitlines(keepends=True)[1:-1]):
            refusal = self._provider.refusal(request.path, 400, fault)
            return ApiResult(refusal._replace(headers=(("Connection", "close"),)))
        result = self._answered(request)
        if not self._needs_key or self._keys.owner(key_of(from_http(request.headers))):
            return result
        self.without_row += 1
        return ApiResult(result.reply)

    def _answered(self, request: Request) -> ApiResult:
        headers = from_http(request.headers)
        if "ai-gateway" in headers.get("host", "").partition(".")[0]:
            return self._failed_over(request)
        moderations = (self._moderation(request),) if _is_moderated(request, headers) else ()
        reply, row = self._forwarded(request, self._cache_key(request, headers))
        return _named(reply, row, (*moderations, row))

    def _forwarded(self, request: Request, key: object = None) -> tuple[Reply, Row]:
        started = time.time_ns() // 1_000_000
        cached = self._cache.get(key)  # never one for `None`
        reply = cached or self._provider.answer(request)
        if key is not None:
            if cached is None and reply.status == HTTPStatus.OK:
                self._cache[key] = reply
                while len(self._cache) > _MAX_CACHED:
                    self._cache.popitem(last=False)
            reply = reply._replace(headers=(*reply.headers, ("Helicone-Cache", "HIT" if cached else "MISS")))
        return reply, _row(request, reply, started, self._keys)

    def _cache_key(self, request: Request, headers: _Headers) -> object:
        if headers.get("helicone-cache-enabled", "").lower() != "true":
            return None
        return request.path, request.body, *(line for line in sorted(headers.items()) if line[0].startswith(_KEYED))

    def _moderation(self, request: Request) -> Row:
        """Return the row of the request that asks OpenAI whether a prompt may be sent: it has the same headers."""
        asked: Any = parsed(request.body)
        body = json.dumps({"model": "omni-moderation-latest", "input": asked["messages"][-1].get("content")}).encode()
        reply = in_json(HTTPStatus.OK, {"model": "omni-moderation-latest", "results": [{"flagged": False}]})
        return _row(replace(request, path=_MODERATIONS, body=body), reply, time.time_ns() // 1_000_000, self._keys)

    def _failed_over(self, request: Request) -> ApiResult:
        """Try one model after the other, as the AI gateway does; each attempt is a row."""
        asked, rows = parsed(request.body), []
        if not isinstance(asked, Mapping) or not isinstance(asked.get("model"), str) or not asked["model"]:
            return ApiResult(self._provider.refusal(request.path, 400, "Invalid body or missing model."))
        for model in asked["model"].split(","):
            body = json.dumps({**asked, "model": model.strip().partition("/")[0]}).encode()
            reply, row = self._forwarded(replace(request, body=body))
            rows.append(row)
            if reply.status < HTTPStatus.BAD_REQUEST:
                return _named(reply, row, rows)
        error = {"code": "request_failed", "message": "All attempts have failed.", "param": None}
        return ApiResult(in_json(500, {"success": False, "error": error}), _merged(rows))


def _named(reply: Reply, row: Row, rows: Iterable[Row]) -> ApiResult:
    others = [line for line in reply.headers if line[0].lower() != ROW_ID]
    return ApiResult(reply._replace(headers=(*others, (ROW_ID, row.id))), _merged(rows))


def _merged(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows of one request. Those with one id are one: with the first's status and the last's bodies."""
    merged: dict[str, Row] = {}
    for row in rows:
        first = merged.get(row.id, row)
        merged[row.id] = replace(first, request=row.request, response=row.response)
    return tuple(merged.values())


def _is_moderated(request: Request, headers: _Headers) -> bool:
    if headers.get("helicone-moderations-enabled") != "true":
        return False
    asked = parsed(request.body)
    if not isinstance(asked, Mapping):
        return False
    last = (asked.get("messages") or [None])[-1]
    return "chat/completions" in request.path and isinstance(last, Mapping) and last.get("role") == "user"


def _row(request: Request, reply: Reply, started: int, keys: Keys) -> Row:
    headers, asked = from_http(request.headers), parsed(request.body)
    text = b"".join([reply.body, *reply.events]).decode()
    streamed = reply.content_type == STREAM_TYPE and isinstance(asked, Mapping) and asked.get("stream") is True
    answered = bodies.response_of(streamed, text, None)
    path = request.path.partition("?")[0]
    provider = "ANTHROPIC" if path.endswith("/messages") else "OPENAI"
    ours = helicone_headers(headers)
    model = bodies.model_of(path, asked, answered, headers.get("helicone-model-override", ""))
    owner = keys.owner(key_of(headers))
    return Row(
        id=ours.request_id,
        door="gateway",
        provider=provider,
        model=model,
        status=reply.status,
        path=path,
        started=started,
        ended=started + int(reply.seconds * 1000),
        user_id=ours.user_id or _user(asked),
        properties=ours.properties,
        request=asked,
        response=answered,
        organization=owner.organization if owner else DEFAULT,
        **bill_of(provider, model, answered)._asdict(),
    )


def _user(asked: Any) -> str:
    user = asked.get("user") if isinstance(asked, Mapping) else None
    return user if isinstance(user, str) else ""


def _fault(lines: Iterable[bytes]) -> str | None:
    """Return why Helicone, or a server before it, refuses a header, or `None`."""
    names: Counter[str] = Counter()
    for line in lines:
        match = HEADER_LINE.match(line)
        if match is None:
            return f"This is not a header line: {line!r}"
        name, value = match[1].decode("latin-1").lower(), match[2].decode("latin-1")
        if name.startswith("helicone-") and _REFUSED.search(value):
            return f"The header {match[1].decode()} is empty or has control characters: {value!r}"
        names[name] += 1
    twice = [name for name, count in names.items() if count > 1 and name.startswith("helicone-")]
    return f"These headers were sent more than once: {', '.join(twice)}" if twice else None
