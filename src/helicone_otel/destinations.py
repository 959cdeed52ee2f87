"""Which hosts get which headers.

Two lists: *gateways*, where Helicone makes the row, and the user's own *services*, where the
session goes on. Ids and names of conversations are data, so any other host gets nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

# Helicone's own hosts: those below these two domains, on a label boundary. All are gateways ...
HELICONE_DOMAINS = (".helicone.ai", ".hconeai.com")
# ... but for the API, the dashboard and the site. The API's hosts are those with a label `api`
# (api.worker, api.us, eu.api, api.hconeai.com); the rest are names of the dashboard and its regions.
_NO_GATEWAY_LABEL = "api"
_NO_GATEWAY_HOSTS = frozenset({"www", "docs", "us", "eu", "app", "status", "mcp", "cdn"})

# scheme://authority: whatever follows the last "@" before the path is the host (RFC 3986, 3.2).
# A backslash is a slash to browsers and to no one else; a URL with one is nobody's.
_AUTHORITY = r"(?i)https?://(?:[^/?#\\]*@)?([^/?#@\\]*)(?:[/?#]|\Z)"
_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_HOST_AND_PORT = rf"(\[[0-9a-f:.]+\]|{_LABELS})\.?(?::([0-9]{{1,5}}))?\Z"
_SUFFIX = rf"\*?(\.{_LABELS})\.?\Z"
_PORTS = range(1, 65536)

# Longer than any real one: a host name has at most 253 characters (RFC 1035, 2.3.4).
_MAX_ORIGIN = 512


class Destination(enum.Enum):
    """What a request's host is to us."""

    GATEWAY = "gateway"
    SERVICE = "service"
    UNKNOWN = "unknown"


class HostList:
    """A user's list of hosts: `host`, `host:port`, or `.suffix` for every host below it.

    Raises:
        ValueError: An entry is none of these.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        normalised = [_normalised(entry) for entry in entries]
        self._hosts = frozenset(entry for entry in normalised if not entry.startswith("."))
        self._suffixes = tuple(entry for entry in normalised if entry.startswith("."))

    def __contains__(self, authority: tuple[str, str]) -> bool:
        host, port = authority
        return host in self._hosts or f"{host}:{port}" in self._hosts or host.endswith(self._suffixes)


def _normalised(entry: str) -> str:
    text = entry.strip()
    if text.isascii() and (match := re.match(_SUFFIX, text.lower())):
        return match[1]
    found = _host_and_port(text)
    if found is None:
        # What stands before an "@" may be a password.
        shown = re.sub(r".*@", "…@", entry)
        raise ValueError(f"{shown!r:.80} is not a host, host:port or .suffix (no scheme, no path)")
    host, port = found
    return f"{host}:{port}" if port else host


def _host_and_port(authority: str) -> tuple[str, str | None] | None:
    # Not everything that `lower` turns into ASCII is ASCII (the Kelvin sign), so that comes first.
    match = re.match(_HOST_AND_PORT, authority.lower()) if authority.isascii() else None
    if match is None or (match[2] and int(match[2]) not in _PORTS):
        return None
    return match[1], str(int(match[2])) if match[2] else None


class Destinations:
    """Decides what a host is. Answers are remembered: apps speak to few hosts."""

    def __init__(self, gateways: Iterable[str] = (), services: Iterable[str] = ()) -> None:
        self._gateways = HostList(gateways)
        self._services = HostList(services)
        self.of_origin = lru_cache(maxsize=256)(self._of_origin)
        self.of_authority = lru_cache(maxsize=256)(self._of_authority)
        self.of_host = lru_cache(maxsize=256)(self._of_host)
        self.of_raw_host = lru_cache(maxsize=256)(self._of_raw_host)

    def of_url(self, url: str) -> Destination:
        """Tell what the host of an absolute URL is; `UNKNOWN` for anything that is no such URL."""
        # The path is cut off first, so that the memory is of origins and not of requests.
        end = url.find("/", 8)
        return self.of_origin(url if end < 0 else url[: end + 1])

    def _of_origin(self, origin: str) -> Destination:
        match = re.match(_AUTHORITY, origin) if len(origin) <= _MAX_ORIGIN else None
        if match is None:
            return Destination.UNKNOWN
        return self._classify(match[1], _default_port(origin.partition(":")[0]))

    def _of_authority(self, authority: str) -> Destination:
        """Tell what a `Host` header (`host` or `host:port`) names."""
        # Without a port it is the scheme's, which the header does not tell: it fits no `host:port`.
        return self._classify(authority, "")

    def _of_host(self, host: str, port: int | None, scheme: str) -> Destination:
        """Tell what a host is whose URL has been taken apart already; it may be a bare IPv6 address."""
        return self._classify(f"[{host}]" if ":" in host else host, str(port) if port else _default_port(scheme))

    def _of_raw_host(self, host: bytes, port: int | None, scheme: bytes) -> Destination:
        """Tell the same of a host in bytes."""
        return self._of_host(host.decode("ascii", "replace"), port, scheme.decode("ascii", "replace"))

    def of_rpc(self, attributes: Mapping[str, object]) -> Destination:
        """Tell what a gRPC client's span calls: its service is listed by name, because it names no host.

        Args:
            attributes: The span's.
        """
        # https://opentelemetry.io/docs/specs/semconv/rpc/grpc/, before and now
        if attributes.get("rpc.system") == "grpc":
            name = attributes.get("rpc.service")
        elif attributes.get("rpc.system.name") == "grpc":
            name = str(attributes.get("rpc.method")).rpartition("/")[0]
        else:
            return Destination.UNKNOWN
        listed = isinstance(name, str) and (name.lower(), "") in self._services
        return Destination.SERVICE if listed else Destination.UNKNOWN

    def _classify(self, authority: str, default_port: str) -> Destination:
        # Non-ASCII look-alikes and anything else that is no plain host name match nothing here.
        found = _host_and_port(authority)
        if found is None:
            return Destination.UNKNOWN
        host, port = found[0], found[1] or default_port
        if _is_helicone_gateway(host) or (host, port) in self._gateways:
            return Destination.GATEWAY
        return Destination.SERVICE if (host, port) in self._services else Destination.UNKNOWN


def _default_port(scheme: str) -> str:
    return "80" if scheme.lower() == "http" else "443"


def _is_helicone_gateway(host: str) -> bool:
    if not host.endswith(HELICONE_DOMAINS):
        return False
    labels = host.split(".")[:-2]
    return _NO_GATEWAY_LABEL not in labels and not (len(labels) == 1 and labels[0] in _NO_GATEWAY_HOSTS)


def call_kind(url: str) -> Literal["llm", "embedding"]:
    """Return the kind of call that a request to a gateway is, by its URL or the path of it."""
    path = url.partition("?")[0].rstrip("/")
    return "embedding" if path.endswith("/embeddings") else "llm"
