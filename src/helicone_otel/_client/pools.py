"""Connections to Helicone: which certificates are trusted, and by which proxy they go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3

from .._endpoint import is_loopback

_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def pools(address: str, connections: int) -> urllib3.PoolManager:
    """Return pools of connections to an address.

    Args:
        address: Where to, for which the environment may name a proxy.
        connections: How many are kept open at most.
    """
    options: dict[str, Any] = {
        "num_pools": 2,
        "maxsize": connections,
        "ca_certs": next((path for name in _CERTIFICATES if (path := os.environ.get(name))), certifi.where()),
    }
    proxy = _proxy(address)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy(address: str) -> str | None:
    """Return the proxy that the environment names for an address, as all HTTP clients take it."""
    url = urlsplit(address)
    # What is on this machine no proxy can reach.
    if is_loopback(url.hostname or "") or proxy_bypass(url.hostname or ""):
        return None
    proxies: Mapping[str, str] = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy and proxy.startswith("http") else None
