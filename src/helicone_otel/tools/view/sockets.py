"""Where a view listens."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

PAGES_PORT: Final = 4316
GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318
_BACKLOG: Final = 128
_ALL: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


class UsageError(Exception):
    """The view cannot begin; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a view listens.

    Attributes:
        host: The address of this machine.
        pages: The port of the pages; 0: a free one, as for the others.
        grpc: That of OTLP/gRPC; `None`: nothing is received there.
        http: That of OTLP/HTTP and Helicone's log API; `None`: nothing is received there.
        names: Host names by which others call this machine.
    """

    host: str = "127.0.0.1"
    pages: int = PAGES_PORT
    grpc: int | None = GRPC_PORT
    http: int | None = HTTP_PORT
    names: tuple[str, ...] = ()


def bound(host: str, port: int, what: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: The address.
        port: 0: a free one.
        what: What it is for, in messages.

    Raises:
        UsageError: Somebody else listens there, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UsageError(taken(port, what)) from error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}"
        ) from error
    return listening


def taken(port: int, what: str) -> str:
    """Return what to say where a port is taken."""
    return (
        f"port {port}, for {what}, is taken: stop what listens there (a collector?), or ask for free ports with "
        "--free-ports"
    )


def shown(host: str) -> str:
    """Return an address as it stands in a URL that leads to this machine."""
    if host in _ALL:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
