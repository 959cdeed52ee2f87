"""Looks whether anything listens where an app would send its spans by OTLP."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from .facts import Endpoint, Probe

_DEFAULTS: Final = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
_PORTS: Final = {"http": 80, "https": 443}
_SECONDS: Final = 2.0


def find_endpoint(environ: Mapping[str, str], probe: Probe) -> Endpoint | None:
    """Return where spans would go by OTLP, and whether anything listens there. It is connected to, and sent nothing.

    Args:
        environ: The environment variables.
        probe: The result of the probe, which knows the exporters.
    """
    exporters = probe.process.exporters if probe.process else ()
    # A configuration file has endpoints of its own.
    if environ.get("OTEL_CONFIG_FILE") or not any(name.endswith(".OTLPSpanExporter") for name in exporters):
        return None
    _, protocol = _variable(environ, "PROTOCOL")
    protocol = protocol or "grpc"
    variable, named = _variable(environ, "ENDPOINT")
    if named and not _is_address(named, protocol):
        return Endpoint(named, protocol, is_default=False, listens=None, no_url=variable)
    url = urlsplit(named if "://" in named else f"http://{named}") if named else urlsplit(_DEFAULTS.get(protocol, ""))
    try:
        host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 0)
    except ValueError:  # the port is no number; the exporter says so
        return None
    if not host or not port or _has_proxy(host, url.scheme):
        return None
    listens, error = _connect(host, port)
    return Endpoint(f"{host}:{port}", protocol, is_default=not named, listens=listens, error=error)


def _variable(environ: Mapping[str, str], end: str) -> tuple[str, str]:
    """Return the name and the value of the variable that counts; empty texts if there is none."""
    names = (f"OTEL_EXPORTER_OTLP_TRACES_{end}", f"OTEL_EXPORTER_OTLP_{end}")
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), ("", ""))


def _is_address(named: str, protocol: str) -> bool:
    # gRPC takes `host:port` as well.
    return "://" in named or (protocol == "grpc" and ":" in named)


def _has_proxy(host: str, scheme: str) -> bool:
    # Behind a proxy, a connection of ours proves nothing. These functions read the process's own environment, as the
    # exporters do.
    return scheme in getproxies() and not proxy_bypass(host)


def _connect(host: str, port: int) -> tuple[bool | None, str]:
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except TimeoutError:
        return None, f"no answer within {_SECONDS:g} s"
    except OSError as error:
        return False, error.strerror or str(error)
    return True, ""
