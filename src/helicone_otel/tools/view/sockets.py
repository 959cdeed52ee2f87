"""The addresses that a view listens on, and the sockets for them."""

from __future__ import annotations

import errno
import socket
from argparse import ArgumentTypeError
from dataclasses import dataclass
from typing import Final

PAGES_PORT: Final = 4316
GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318
_MAX_PORT: Final = 65_535
_MAX_DIGITS: Final = 5
_BACKLOG: Final = 128
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


class UsageError(Exception):
    """An argument cannot be used; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """Where a view listens.

    Attributes:
        host: The IP address or host name of this machine.
        pages: The port of the pages; 0 for a free port, as for the other ports.
        grpc: The port of OTLP/gRPC; `None` to receive nothing there.
        http: The port of OTLP/HTTP and Helicone's log API; `None` to receive nothing there.
        names: Other host names of this machine that requests may name.
    """

    host: str = "127.0.0.1"
    pages: int = PAGES_PORT
    grpc: int | None = GRPC_PORT
    http: int | None = HTTP_PORT
    names: tuple[str, ...] = ()


def port_of(text: str) -> int:
    """Return the port that an argument of a command names; 0 stands for a free one.

    Raises:
        ArgumentTypeError: It is no port.
    """
    # Python makes no number of thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) <= _MAX_PORT):
        raise ArgumentTypeError(f"a port is a number from 0 to {_MAX_PORT}, not {text!r:.40}")
    return int(text)


def host_of(text: str) -> str:
    """Return the address or host name that an argument of a command gives.

    Raises:
        ArgumentTypeError: It is none. Sockets would take an empty one for all addresses of the machine.
    """
    if not text.isprintable() or not text or " " in text:
        raise ArgumentTypeError(f"{text!r:.40} is no address and no host name")
    return text


def listening_socket(host: str, port: int, purpose: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for a free port.
        purpose: What the port is for, in error messages.

    Raises:
        UsageError: The port is in use, or the machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send parts of an answer at once. Otherwise each answer of several
    # parts waits some 40 ms, until the client has acknowledged the first one (Nagle's algorithm).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:  # the last: a host name that is too long
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise port_in_use(port, purpose) from error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}"
        ) from error
    return listening


def port_in_use(port: int, purpose: str) -> UsageError:
    """Return the error for a port that another process listens on."""
    return UsageError(
        f"port {port}, for {purpose}, is taken: stop what listens there (a collector?), or ask for free ports with "
        "--free-ports"
    )


def url_host(host: str) -> str:
    """Return an address as it is written in a URL that leads to this machine."""
    if host in _ALL_ADDRESSES:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
