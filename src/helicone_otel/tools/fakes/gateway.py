"""The gateway's door: strict about the head of a request, and for the rest it is the provider who answers."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from . import rows
from .headers import DEFAULT, Keys, from_http, key_of, said
from .log_api import parsed
from .requests import HEADER_LINE, STREAM_TYPE, Outcome, Reply, Request
from .rows import Row

_PRINTABLE: Final = re.compile(r"[ -~]+\Z")


class Provider(Protocol):
    """Whom the gateway passes requests on to."""

    def answer(self, request: Request) -> Reply:
        """Answer a request."""

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error in the form in which the provider at this path writes it."""


def passed_on(request: Request, provider: Provider, keys: Keys) -> Outcome:
    """Answer a request to the gateway, and make a row of it if it reached the provider."""
    if fault := _fault(request.head.splitlines(keepends=True)[1:-1]):
        return Outcome(provider.refusal(request.path, 400, fault)._replace(headers=(("Connection", "close"),)))
    started = time.time_ns() // 1_000_000
    reply = provider.answer(request)
    row = _row(request, reply, started, keys)
    return Outcome(reply._replace(headers=(*reply.headers, ("helicone-id", row.id))), (row,))


def _row(request: Request, reply: Reply, started: int, keys: Keys) -> Row:
    headers, asked = from_http(request.headers), parsed(request.body)
    text = b"".join([reply.body, *reply.events]).decode()
    if reply.content_type != STREAM_TYPE and isinstance(asked, Mapping):
        answered = rows.response_of({**asked, "stream": False}, text, None)
    else:
        answered = rows.response_of(asked, text, None)
    path = request.path.partition("?")[0]
    provider = "ANTHROPIC" if path.endswith("/messages") else "OPENAI"
    heard = said(headers)
    prompt, completion = rows.tokens_of(provider, answered)
    owner = keys.owner(key_of(headers))
    return Row(
        id=heard.request_id,
        door="gateway",
        provider=provider,
        model=rows.model_of(path, asked, answered, headers.get("helicone-model-override", "")),
        status=reply.status,
        path=path,
        started=started,
        ended=started + int(reply.seconds * 1000),
        user_id=heard.user_id or _user(asked),
        properties=heard.properties,
        request=asked,
        response=answered,
        prompt_tokens=prompt,
        completion_tokens=completion,
        organization=owner.organization if owner else DEFAULT,
    )


def _user(asked: Any) -> str:
    user = asked.get("user") if isinstance(asked, Mapping) else None
    return user if isinstance(user, str) else ""


def _fault(lines: Iterable[bytes]) -> str | None:
    """Say what Helicone, or a server on the way to it, would not take."""
    names: Counter[str] = Counter()
    for line in lines:
        match = HEADER_LINE.match(line)
        if match is None:
            return f"This is no header line: {line!r}"
        name, value = match[1].decode("latin-1").lower(), match[2].decode("latin-1")
        if name.startswith("helicone-") and not _PRINTABLE.match(value):
            return f"The header {match[1].decode()} is empty or holds what is no printable ASCII: {value!r}"
        names[name] += 1
    twice = [name for name, count in names.items() if count > 1 and name.startswith("helicone-")]
    return f"These headers were sent more than once: {', '.join(twice)}" if twice else None
