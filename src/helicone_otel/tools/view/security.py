"""Who may ask, and what a page may do: checks on every request, headers on every answer.

A page of a stranger can have a browser send requests to this machine. It cannot make it send them
without saying so (`Origin`, `Sec-Fetch-Site`), and to be taken for one of ours it would need a name that it
had led to this machine before (DNS rebinding), which `Host` tells.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# Names that nobody can register, so they never lead a stranger's page here. The last is this machine as a
# container sees it.
_OWN_NAMES: Final = frozenset({"localhost", "host.docker.internal"})
_SAME: Final = frozenset({"same-origin", "none"})


class Guard:
    """Lets through only what was meant for this server, and says what its answers may do.

    Args:
        app: What answers.
        names: Host names by which the server may be called, beside its addresses and `localhost`.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = _OWN_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS:
                    answer.setdefault(name, value)
            await send(message)

        if self._is_welcome(scope["method"], headers):
            await self._app(scope, receive, with_headers)
        else:
            refusal = PlainTextResponse("Another host or origin than this server's own.\n", status_code=403)
            await refusal(scope, receive, with_headers)

    def _is_welcome(self, method: str, headers: Headers) -> bool:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return False
        origin = headers.get("origin")
        # Whoever speaks TLS for us leaves host and port as they were.
        if origin is not None and origin.partition("://")[2] != host:
            return False
        # A link from elsewhere may lead to a page, as may the address bar; nothing else may be asked for from there.
        site = headers.get("sec-fetch-site", "none")
        return site in _SAME or (method == "GET" and headers.get("sec-fetch-mode") == "navigate")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # an address is no name, and cannot be led elsewhere
