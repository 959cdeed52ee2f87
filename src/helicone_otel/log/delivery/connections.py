"""Opens connections to Helicone, with the certificates and the proxy that the environment names, and keeps them open.

The connections are urllib3's, which knows proxies and certificates. What is said over them is in `http_call.py`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.util import Url, parse_url
from urllib3.util.connection import is_connection_dropped
from urllib3.util.ssl_ import create_urllib3_context

from ...endpoints import is_loopback
from ...failures import warn_once
from .threads import get_ident

if TYPE_CHECKING:
    from ssl import SSLContext

_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_PORTS: Final = {"http": 80, "https": 443}
_CONNECT_WITHIN: Final = 5.0
# A connection that was not used for longer may be gone: load balancers drop it, and a process that was frozen
# meanwhile did not see the end of it.
_MAX_IDLE: Final = 20.0
# The modules of sockets that any thread can use.
_SHARED: Final = ("socket", "ssl")
# Longer bodies are not copied to leave together with their head.
_MAX_COPIED: Final = 65536


class Address(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


@lru_cache(256)
def address_of(url: str) -> Address:
    """Return the address that a URL leads to."""
    parts = urlsplit(url)
    return Address(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])


class Connection:
    """An open connection, for one request at a time.

    Args:
        opened: The connection of urllib3, connected.
        proxy_headers: If it leads to a proxy that is told whole URLs: the headers for the proxy.

    Attributes:
        proxy_headers: The same.
        thread: The thread that alone can use it, because gevent's and eventlet's sockets belong to one; else 0.
    """

    def __init__(self, opened: HTTPConnection, proxy_headers: Mapping[str, str] | None) -> None:
        self._opened = opened
        self._socket: Any = opened.sock
        self.proxy_headers = proxy_headers
        self.thread = 0 if type(self._socket).__module__ in _SHARED else get_ident()
        # Not by the monotonic clock, which may stop while a process is frozen.
        self._used = time.time()

    @property
    def is_usable(self) -> bool:
        """Whether it is still open, and nothing has come that nobody asked for."""
        return time.time() - self._used <= _MAX_IDLE and not is_connection_dropped(self._opened)

    def send(self, head: bytes, body: bytes, until: float) -> None:
        """Send a request.

        Args:
            head: The request line and the headers.
            body: The body.
            until: By when, by the monotonic clock.

        Raises:
            OSError: The connection is gone, or the time is over.
        """
        for data in (head + body,) if len(body) <= _MAX_COPIED else (head, body):
            view = memoryview(data)
            while view:
                self._set_timeout(until)
                view = view[self._socket.send(view) :]

    def receiver(self, until: float) -> Callable[[int], bytes]:
        """Return a function like `socket.recv`, which raises `OSError` when the connection is gone or the time over."""

        def receive(size: int) -> bytes:
            self._set_timeout(until)
            received: bytes = self._socket.recv(size)
            return received

        return receive

    def rest(self) -> None:
        """Take note that it is not used from now on."""
        self._used = time.time()

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(Exception):  # it may be in any state
            self._opened.close()

    def _set_timeout(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(min(left, threading.TIMEOUT_MAX))


# By address, and by the thread that alone can use them.
_Resting = dict[tuple[Address, int], deque[Connection]]


class Connections:
    """Opens connections, and keeps those that rest.

    Args:
        keep: How many rest at most.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._resting: _Resting = {}
        self._proxies: dict[Address, Url | None] = {}
        self._trusted: SSLContext | None = None
        self._is_closed = False
        weakref.finalize(self, _close_all, self._resting)

    def proxy_of(self, address: Address) -> Url | None:
        """Return the proxy that the environment names for an address; `None` if there is none."""
        if address not in self._proxies:
            self._proxies[address] = _proxy(address.scheme, address.host)
        return self._proxies[address]

    def resting(self, address: Address) -> Connection | None:
        """Take a connection to an address that rests; `None` if there is none."""
        for thread in (0, get_ident()):
            waiting = self._resting.get((address, thread))
            while waiting:
                try:
                    connection = waiting.pop()
                except IndexError:  # another thread took it
                    break
                if connection.is_usable:
                    return connection
                connection.close()
        return None

    def opened(self, address: Address, until: float) -> Connection:
        """Open a connection.

        Args:
            address: Where it leads.
            until: By when, by the monotonic clock. The system's look-up of a name may take longer.

        Raises:
            Exception: Of any kind; it cannot be opened.
        """
        proxy = self.proxy_of(address)
        connection = self._unopened(address, proxy, max(min(_CONNECT_WITHIN, until - time.monotonic()), 0.001))
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return Connection(connection, _credentials(proxy) if proxy and address.scheme == "http" else None)

    def keep(self, address: Address, connection: Connection) -> None:
        """Keep a connection for the next request."""
        waiting = self._resting.setdefault((address, connection.thread), deque())
        connection.rest()
        waiting.append(connection)
        if self._is_closed or len(waiting) > self._keep:
            with contextlib.suppress(IndexError):
                waiting.popleft().close()

    def leave(self) -> None:
        """Close those that only this thread can use."""
        mine = get_ident()
        _close_all({key: self._resting.pop(key) for key in list(self._resting) if key[1] == mine})

    def close(self) -> None:
        """Close all that rest, and keep none from now on."""
        self._is_closed = True
        _close_all(self._resting)

    def _unopened(self, address: Address, proxy: Url | None, seconds: float) -> HTTPConnection:
        scheme, host, port = address
        if proxy is None:
            return self._of_urllib3(scheme, host, port, timeout=seconds)
        config = ProxyConfig(self._context(), False, None, None) if proxy.scheme == "https" else None
        way = {"timeout": seconds, "proxy": proxy, "proxy_config": config}
        proxy_host, proxy_port = proxy.host or "", proxy.port or _PORTS[proxy.scheme or "http"]
        if scheme == "http":
            return self._of_urllib3(proxy.scheme or "http", proxy_host, proxy_port, **way)
        connection = self._of_urllib3("https", proxy_host, proxy_port, **way)
        connection.set_tunnel(host, port, headers=_credentials(proxy), scheme=proxy.scheme or "http")
        return connection

    def _of_urllib3(self, scheme: str, host: str, port: int, **options: Any) -> HTTPConnection:
        if scheme == "http":
            return HTTPConnection(host, port, **options)
        return HTTPSConnection(host, port, ssl_context=self._context(), **options)

    def _context(self) -> SSLContext:
        """Return the certificates that are trusted. They are read once, which takes longer than a connection."""
        if self._trusted is None:
            context = create_urllib3_context()
            context.load_verify_locations(**_certificates())
            self._trusted = context
        return self._trusted


def pools(address: str, connections: int) -> urllib3.PoolManager:
    """Return urllib3's own pools of connections to an address, for requests that are few.

    Args:
        address: The address. The environment may name a proxy for it.
        connections: How many connections stay open at most.
    """
    files = {{"cafile": "ca_certs", "capath": "ca_cert_dir"}[name]: path for name, path in _certificates().items()}
    options: dict[str, Any] = {"num_pools": 2, "maxsize": connections, **files}
    url = urlsplit(address)
    proxy = _proxy(url.scheme, url.hostname or "")
    if proxy is None:
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(proxy._replace(auth=None).url, proxy_headers=_credentials(proxy), **options)


def _certificates() -> dict[str, str]:
    """Return the certificates that the environment names, as `SSLContext.load_verify_locations` takes them."""
    path = next((path for name in _CERTIFICATES if (path := os.environ.get(name))), certifi.where())
    return {"capath" if Path(path).is_dir() else "cafile": path}


def _credentials(proxy: Url) -> dict[str, str]:
    return urllib3.make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else {}


def _proxy(scheme: str, host: str) -> Url | None:
    """Return the proxy that the environment names for a host, as HTTP clients read it; `None` if there is none."""
    # A proxy cannot reach this machine.
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies: Mapping[str, str] = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy:
        return None
    try:
        found = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError:
        found = Url()
    if found.scheme in {"http", "https"}:
        return found
    # Without its text, which may contain a password.
    warn_once(
        "The proxy that the environment names is not used for Helicone: its URL must begin with http:// or https://."
    )
    return None


def _close_all(resting: _Resting) -> None:
    """Close those that this thread can use. To close another thread's would crash the process: see `leave`."""
    mine = (0, get_ident())
    for waiting in [waiting for (_, thread), waiting in list(resting.items()) if thread in mine]:
        while waiting:
            with contextlib.suppress(IndexError):
                waiting.pop().close()
