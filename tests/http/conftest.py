"""A fixture: every host name is that of this machine."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def every_name_is_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every host name to this machine, so that a client can send requests to any host name."""
    resolve = socket.getaddrinfo
    loopback = lambda _, *rest, **more: resolve("127.0.0.1", *rest, **more)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", loopback)
