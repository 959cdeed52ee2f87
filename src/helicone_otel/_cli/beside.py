"""A view beside a command that makes spans of its own: `run --view`, `demo --view`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from helicone_otel._settings import Settings

_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Beside:
    """A view, or none.

    Attributes:
        forward: Takes an export request in protobuf; `None` where there is no view.
        wait: Shows what arrived until Ctrl-C; returns at once where there is no view.
    """

    forward: Callable[[bytes], None] | None
    wait: Callable[[], None]


@contextmanager
def beside(wanted: bool) -> Iterator[Beside]:
    """Yield a view that runs while the block does, on a free port, if one is wanted."""
    if not wanted:
        yield Beside(None, lambda: None)
        return
    from helicone_otel._view.arrived import from_protobuf  # noqa: PLC0415  # an extra, loaded where it is asked for
    from helicone_otel._view.serve import Places, viewing  # noqa: PLC0415

    from .view import until_told  # noqa: PLC0415

    with viewing(None, Settings.from_environment(), Places(pages=0, grpc=None, http=None)) as view:
        print(f"The view: {view.url}", file=sys.stderr, flush=True)

        def forward(request: bytes) -> None:
            view.intake.spans(from_protobuf(request)).result(_SECONDS)

        def wait() -> None:
            print(f"The view: {view.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            until_told()

        yield Beside(forward, wait)
