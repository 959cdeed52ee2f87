"""Rejects requests for unknown host names or from other sites, and adds security headers to every answer.

A page of another site can make the browser send requests to this machine. The browser then names that site in `Origin`
and `Sec-Fetch-Site`. A site can also point a host name of its own at this machine (DNS rebinding), so that the browser
takes both for one site. Then `Host` has that name.
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
# Nobody can register these names, so no other site can use them. The second one is this machine as a container sees
# it.
_OWN_NAMES: Final = frozenset({"localhost", "host.docker.internal"})
_SAME: Final = frozenset({"same-origin", "none"})


class SecurityMiddleware:
    """Passes on only requests for this server, from its own pages or from no page, and adds headers to the answers.

    Args:
        app: The ASGI application that answers.
        names: Host names that requests may name, beside IP addresses and `localhost`.
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

        if self._is_allowed(scope["method"], headers):
            await self._app(scope, receive, with_headers)
        else:
            rejection = PlainTextResponse(
                "Requests for other host names and from other sites are rejected; see --allow-host.\n", status_code=403
            )
            await rejection(scope, receive, with_headers)

    def _is_allowed(self, method: str, headers: Headers) -> bool:
        host = headers.get("host", "")
        if not self._is_known_host(host):
            return False
        origin = headers.get("origin")
        # Only host and port are compared, because a proxy may add TLS.
        if origin is not None and origin.partition("://")[2] != host:
            return False
        # A link on another site may lead to a page, and so may the address bar. Everything else must come from a page
        # of this server.
        site = headers.get("sec-fetch-site", "none")
        return site in _SAME or (method == "GET" and headers.get("sec-fetch-mode") == "navigate")

    def _is_known_host(self, host: str) -> bool:
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
        return True  # no site can point an IP address at another machine
