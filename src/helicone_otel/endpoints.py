"""Checks the addresses and keys of Helicone's log and API.

Rows contain what users and models write, and each is sent with a key. So they are sent encrypted, to one address.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from .destinations import HELICONE_DOMAINS, Destinations, HostList

# The log, for all regions: Helicone's worker reads the region from the key. Of its hosts with a label `eu`, only
# `api.eu.hconeai.com` is on a route (https://github.com/Helicone/helicone/blob/main/worker/wrangler.toml).
# https://docs.helicone.ai/getting-started/integration-method/custom
DEFAULT: Final = "https://api.worker.helicone.ai"
# The API that sessions are read from. Each host knows only the keys of its own region.
# https://docs.helicone.ai/rest/session/post-v1sessionquery
API: Final = "https://api.helicone.ai"
EUROPEAN_API: Final = "https://eu.api.helicone.ai"
# Where Helicone's API server has a log of its own. The image that people host has this server, and no worker.
# https://github.com/Helicone/helicone/blob/main/valhalla/jawn/src/controllers/public/traceController.ts
API_SERVER_LOG: Final = "/v1/trace"
# By this text in a key Helicone's worker recognises one of the European region.
_EUROPEAN: Final = "helicone-eu"

# People copy the address from the documentation with its route, which is different for each kind of row.
_ROUTES: Final = re.compile(r"/(?:(?:custom|oai|anthropic|googleapis)/v1/log|custom/log(?:/typed)?)\Z")
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")
# The format of the keys that Helicone's worker accepts.
_KEY: Final = re.compile(r"[sp]k(?:-[a-z]+)*(?:-\w{7}){4}", re.ASCII)
# One word that a header can carry. HTTP libraries quote any other value in their errors.
_WORD: Final = re.compile(r"[!-~]{8,256}")


def default_api(key: str | None, log_endpoint: str | None) -> str:
    """Return the default address of the API: in the region of the log and the key, or on the host of another log."""
    endpoint = checked_endpoint(log_endpoint or DEFAULT)
    url = urlsplit(endpoint)
    host = url.hostname or ""
    if not host.endswith(HELICONE_DOMAINS):
        return server_of(endpoint) if is_api_server(endpoint) else f"{url.scheme}://{url.netloc}"
    is_european = "eu" in host.split(".") or _EUROPEAN in (key or "")
    return EUROPEAN_API if is_european else API


def is_api_server(endpoint: str) -> bool:
    """Tell whether the address of a log is that of Helicone's API server, and not of its worker."""
    return endpoint.endswith(API_SERVER_LOG)


def server_of(endpoint: str) -> str:
    """Return the address of the server that has a log: without the path of the API server's log."""
    return endpoint.removesuffix(API_SERVER_LOG)


def checked_endpoint(text: object) -> str:
    """Return the address of a log, without the route.

    Raises:
        ValueError: The text is no such address.
    """
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected an address such as 'https://api.worker.helicone.ai'")
    shown = re.sub(r"//[^/]*@", "//…@", text)[:80]  # the text before an "@" may be a password
    url = urlsplit(text)
    try:
        complete = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:  # the port is not a number from 0 to 65535
        complete = False
    if not complete:
        raise ValueError(f"{shown!r} is not an address such as 'https://api.worker.helicone.ai'")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError(f"{shown!r} may have no user, query or fragment; the key is HELICONE_API_KEY")
    return _ROUTES.sub("", text.rstrip("/")).rstrip("/")


def takes_utf8(endpoint: str, utf8_hosts: tuple[str, ...]) -> bool:
    """Tell whether the session headers in a row may be text in any language, as in the headers of a request.

    Args:
        endpoint: The address of the log.
        utf8_hosts: The hosts that read headers as UTF-8 (HELICONE_UTF8_HOSTS).
    """
    # Node makes headers of them, which hold no character above U+00FF.
    return not is_api_server(endpoint) and Destinations(utf8=utf8_hosts).url_reads_utf8(endpoint)


def check_transport(endpoint: str, http_hosts: tuple[str, ...]) -> None:
    """Raise if a key would be sent unencrypted to an address.

    Args:
        endpoint: The address.
        http_hosts: Hosts for which the user allows it (HELICONE_LOG_HTTP_HOSTS).

    Raises:
        ValueError: The address is neither `https://` nor on this machine nor allowed.
    """
    url = urlsplit(endpoint)
    host = url.hostname or ""
    if url.scheme == "https" or is_loopback(host):
        return
    bracketed = f"[{host}]" if ":" in host else host
    if (bracketed, str(url.port or 80)) not in HostList(http_hosts):
        raise ValueError(
            f"key and content would go to {host!r:.80} unencrypted: use https://, or name the host in "
            "HELICONE_LOG_HTTP_HOSTS if the network is your own"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def checked_key(key: object, endpoint: str) -> str:
    """Return a key if it can be sent to an address.

    Raises:
        ValueError: It cannot be sent there. The message does not show it.
    """
    if not isinstance(key, str) or not _WORD.fullmatch(key):
        raise ValueError("expected a key such as sk-helicone-…: one word of ASCII, without 'Bearer'")
    host = urlsplit(endpoint).hostname or ""
    if host.endswith(HELICONE_DOMAINS) and not _KEY.fullmatch(key):
        # It may be the key of another provider, which must not be sent to Helicone.
        raise ValueError("this is no key of Helicone's: those look like sk-helicone-xxxxxxx-xxxxxxx-xxxxxxx-xxxxxxx")
    return key
