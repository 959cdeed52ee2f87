"""The fake gateway: it refuses bad headers, lets a provider answer all else, and makes a row of what it answered."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from . import bodies
from .headers import DEFAULT, Keys, from_http, helicone_headers, key_of
from .log_api import parsed
from .requests import HEADER_LINE, STREAM_TYPE, ApiResult, Reply, Request
from .rows import Row
from .usage import bill_of

_REFUSED: Final = re.compile(r"[\0-\x1f\x7f]|\A\Z")


class Provider(Protocol):
    """What answers the requests that the gateway accepts."""

    def answer(self, request: Request) -> Reply:
        """Answer a request."""

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""


def forward(request: Request, provider: Provider, keys: Keys) -> ApiResult:
    """Let the provider answer a request, and make a row of it. A request with bad headers makes none."""
    if fault := _fault(request.head.splitlines(keepends=True)[1:-1]):
        return ApiResult(provider.refusal(request.path, 400, fault)._replace(headers=(("Connection", "close"),)))
    started = time.time_ns() // 1_000_000
    reply = provider.answer(request)
    row = _row(request, reply, started, keys)
    return ApiResult(reply._replace(headers=(*reply.headers, ("helicone-id", row.id))), (row,))


def _row(request: Request, reply: Reply, started: int, keys: Keys) -> Row:
    headers, asked = from_http(request.headers), parsed(request.body)
    text = b"".join([reply.body, *reply.events]).decode()
    if reply.content_type != STREAM_TYPE and isinstance(asked, Mapping):
        answered = bodies.response_of({**asked, "stream": False}, text, None)
    else:
        answered = bodies.response_of(asked, text, None)
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
