"""Decides which hosts get session headers: gateways and own services.

At a *gateway*, Helicone makes the row of the request. In an *own service* of the user, the session continues. Ids and
names of conversations are data, so all other hosts get no headers.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

# Helicone's own domains. All hosts that end with one of them are gateways, except the API, dashboard and website.
HELICONE_DOMAINS = (".helicone.ai", ".hconeai.com")
# The entry of a list that stands for no hosts, where an empty list is the default.
NO_HOSTS = "none"
# The hosts of the log and the API have a label `api`: api.worker, eu.api, api.hconeai.com, api.eu.hconeai.com.
_API_LABEL = "api"
# The hosts of the dashboard, its regions and the website, by their first label.
_WEBSITE_LABELS = frozenset({"www", "docs", "us", "eu", "app", "status", "mcp", "cdn"})

# scheme://authority: what follows the last "@" before the path is the host (RFC 3986, 3.2). Browsers read a
# backslash as a slash, and other clients do not. So a URL with one matches nothing.
_AUTHORITY = r"(?i)https?://(?:[^/?#\\]*@)?([^/?#@\\]*)(?:[/?#]|\Z)"
_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_HOST_AND_PORT = rf"(\[[0-9a-f:.]+\]|{_LABELS})\.?(?::([0-9]{{1,5}}))?\Z"
_SUFFIX = rf"\*?(\.{_LABELS})\.?\Z"
_PORTS = range(1, 65536)

# Longer than any real one: a host name has at most 253 characters (RFC 1035, 2.3.4).
_MAX_ORIGIN = 512


class Destination(enum.Enum):
    """Whether a request's host is a gateway, an own service, or on no list."""

    GATEWAY = "gateway"
    SERVICE = "service"
    UNKNOWN = "unknown"


class HostList:
    """A user's list of hosts. `(host, port) in hosts` tells whether an entry matches.

    Args:
        entries: Each is `host`, `host:port`, or `.suffix` for all hosts that end with it.

    Raises:
        ValueError: An entry is none of these.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        canonical = [_canonical(entry) for entry in entries]
        self._hosts = frozenset(entry for entry in canonical if not entry.startswith("."))
        self._suffixes = tuple(entry for entry in canonical if entry.startswith("."))

    def __contains__(self, authority: tuple[str, str]) -> bool:
        host, port = authority
        return host in self._hosts or f"{host}:{port}" in self._hosts or host.endswith(self._suffixes)


def _canonical(entry: str) -> str:
    if entry in HELICONE_DOMAINS:  # the default, for which an app's start should compile no pattern
        return entry
    text = entry.strip()
    if text.isascii() and (match := re.match(_SUFFIX, text.lower())):
        return match[1]
    parts = _host_and_port(text)
    if parts is None:
        # The part before an "@" may be a password, so the message does not show it.
        printable = re.sub(r".*@", "…@", entry)
        raise ValueError(f"{printable!r:.80} is not a host, host:port or .suffix (no scheme, no path)")
    host, port = parts
    return f"{host}:{port}" if port else host


def _host_and_port(authority: str) -> tuple[str, str | None] | None:
    # `lower` makes some other characters ASCII, the Kelvin sign for instance. So `isascii` is asked first.
    match = re.match(_HOST_AND_PORT, authority.lower()) if authority.isascii() else None
    if match is None or (match[2] and int(match[2]) not in _PORTS):
        return None
    return match[1], str(int(match[2])) if match[2] else None


class Destinations:
    """Classifies hosts, and remembers the answers, because apps talk to few hosts.

    Args:
        gateways: The user's gateways, beside Helicone's own.
        services: The user's own services.
        utf8: The hosts that read the values of headers as UTF-8.

    Raises:
        ValueError: An entry is no host, `host:port` or `.suffix`.
    """

    def __init__(
        self, gateways: Iterable[str] = (), services: Iterable[str] = (), utf8: Iterable[str] = HELICONE_DOMAINS
    ) -> None:
        self._gateways = HostList(gateways)
        self._services = HostList(services)
        self._utf8 = HostList(entry for entry in utf8 if entry != NO_HOSTS)
        self.of_origin = lru_cache(maxsize=256)(self._of_origin)
        self.of_authority = lru_cache(maxsize=256)(self._of_authority)
        self.of_host = lru_cache(maxsize=256)(self._of_host)
        self.of_raw_host = lru_cache(maxsize=256)(self._of_raw_host)

    def of_url(self, url: str) -> Destination:
        """Classify the host of an absolute URL. Other text is `UNKNOWN`."""
        # The path is cut off, so that one answer is remembered for each origin, not for each request.
        end = url.find("/", 8)
        return self.of_origin(url if end < 0 else url[: end + 1])

    def _of_origin(self, origin: str) -> Destination:
        match = re.match(_AUTHORITY, origin) if len(origin) <= _MAX_ORIGIN else None
        if match is None:
            return Destination.UNKNOWN
        return self._classify(match[1], _default_port(origin.partition(":")[0]))

    def _of_authority(self, authority: str) -> Destination:
        """Classify the value of a `Host` header: `host` or `host:port`."""
        # Without a port, the scheme would decide, and the header does not have it. Then no `host:port` entry matches.
        return self._classify(authority, "")

    def _of_host(self, host: str, port: int | None, scheme: str) -> Destination:
        """Classify the parts of a URL. The host may be an IPv6 address without brackets."""
        return self._classify(f"[{host}]" if ":" in host else host, str(port) if port else _default_port(scheme))

    def _of_raw_host(self, host: bytes, port: int | None, scheme: bytes) -> Destination:
        """Do the same for parts in bytes."""
        return self._of_host(host.decode("ascii", "replace"), port, scheme.decode("ascii", "replace"))

    def of_rpc(self, attributes: Mapping[str, object]) -> Destination:
        """Classify the service that a gRPC client's span calls, by its name: the span has no host.

        Args:
            attributes: The attributes of the span.
        """
        # https://opentelemetry.io/docs/specs/semconv/rpc/grpc/, the earlier and the present names
        if attributes.get("rpc.system") == "grpc":
            name = attributes.get("rpc.service")
        elif attributes.get("rpc.system.name") == "grpc":
            name = str(attributes.get("rpc.method")).rpartition("/")[0]
        else:
            return Destination.UNKNOWN
        is_listed = isinstance(name, str) and (name.lower(), "") in self._services
        return Destination.SERVICE if is_listed else Destination.UNKNOWN

    def reads_utf8(self, host: str | bytes, port: int | None, scheme: str | bytes) -> bool:
        """Tell whether a host reads the values of headers as UTF-8. It may be an IPv6 address without brackets."""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if isinstance(scheme, bytes):
            scheme = scheme.decode("ascii", "replace")
        parts = _host_and_port(f"[{host}]" if ":" in host else host)
        return parts is not None and (parts[0], str(port) if port else _default_port(scheme)) in self._utf8

    def url_reads_utf8(self, url: str) -> bool:
        """Tell whether the host of an absolute URL does so."""
        parts = urlsplit(url)
        return self.reads_utf8(parts.hostname or "", parts.port, parts.scheme)

    def _classify(self, authority: str, default_port: str) -> Destination:
        # Non-ASCII look-alikes, and all other text that is no plain host name, are unknown.
        parts = _host_and_port(authority)
        if parts is None:
            return Destination.UNKNOWN
        host, port = parts[0], parts[1] or default_port
        if _is_helicone_gateway(host) or (host, port) in self._gateways:
            return Destination.GATEWAY
        return Destination.SERVICE if (host, port) in self._services else Destination.UNKNOWN


def _default_port(scheme: str) -> str:
    return "80" if scheme.lower() == "http" else "443"


def _is_helicone_gateway(host: str) -> bool:
    if not host.endswith(HELICONE_DOMAINS):
        return False
    labels = host.split(".")[:-2]
    return _API_LABEL not in labels and not (len(labels) == 1 and labels[0] in _WEBSITE_LABELS)


# How the URLs end by which models are called directly: the APIs of OpenAI and those like it, Anthropic and Google.
_MODEL_ENDPOINTS = (
    *("/chat/completions", "/v1/completions", "/v1/responses", "/embeddings", "api.anthropic.com/v1/messages"),
    *(":generateContent", ":streamGenerateContent", ":embedContent", ":batchEmbedContents"),
)
# Where PostgREST has tables, one of which may be called `embeddings`.
_TABLES = "/rest/v1/"


def calls_model(url: str) -> bool:
    """Return whether a URL is that of a call to a model, whatever its host is."""
    address = _without_query(url)
    return address.endswith(_MODEL_ENDPOINTS) and _TABLES not in address


def call_kind(url: str) -> Literal["llm", "embedding"]:
    """Return the kind of a request to a gateway, from its URL or the path of the URL."""
    return "embedding" if _without_query(url).endswith("/embeddings") else "llm"


def _without_query(url: str) -> str:
    return url.partition("?")[0].rstrip("/")
