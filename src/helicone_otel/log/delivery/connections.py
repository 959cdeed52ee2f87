"""Opens connections to Helicone, with the certificates and the proxy that the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.util import Url, parse_url

from ...endpoints import is_loopback
from ...failures import warn_once

_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def pools(address: str, connections: int) -> urllib3.PoolManager:
    """Return pools of connections to an address.

    Args:
        address: The address. The environment may name a proxy for it.
        connections: How many connections stay open at most.
    """
    path = next((path for name in _CERTIFICATES if (path := os.environ.get(name))), certifi.where())
    options: dict[str, Any] = {
        "num_pools": 2,
        "maxsize": connections,
        "ca_cert_dir" if Path(path).is_dir() else "ca_certs": path,
    }
    proxy = _proxy(address)
    if proxy is None:
        return urllib3.PoolManager(**options)
    user = urllib3.make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else None
    return urllib3.ProxyManager(proxy._replace(auth=None).url, proxy_headers=user, **options)


def _proxy(address: str) -> Url | None:
    """Return the proxy that the environment names for an address, as HTTP clients read it; `None` if there is none."""
    url = urlsplit(address)
    # A proxy cannot reach this machine.
    if is_loopback(url.hostname or "") or proxy_bypass(url.hostname or ""):
        return None
    proxies: Mapping[str, str] = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
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
