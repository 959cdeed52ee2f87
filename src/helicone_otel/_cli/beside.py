"""A view beside a command that makes spans of its own: `run --view`, `demo --view`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from helicone_otel._settings import Settings

from .told import NOT_FOR_US, until_told

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
def beside(wanted: bool, settings: Callable[[], Settings]) -> Iterator[Beside]:
    """Yield a view that runs while the block does, on a free port, if one is wanted.

    Args:
        wanted: Whether one is.
        settings: With which it reads spans; asked for only then.
    """
    if not wanted:
        yield Beside(None, lambda: None)
        return
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    from helicone_otel._view.arrived import from_protobuf  # noqa: PLC0415  # an extra, loaded where it is asked for
    from helicone_otel._view.listening import Places  # noqa: PLC0415
    from helicone_otel._view.opening import StoreError  # noqa: PLC0415
    from helicone_otel._view.serve import viewing  # noqa: PLC0415
    from helicone_otel._view.store import BusyError  # noqa: PLC0415

    with viewing(None, settings(), Places(pages=0, grpc=None, http=None)) as view:
        print(f"The view: {view.url}", file=sys.stderr, flush=True)

        def forward(request: bytes) -> None:
            # The drawing at the end has it all the same.
            with suppress(BusyError, StoreError, FutureTimeoutError):
                view.intake.spans(from_protobuf(request)).result(_SECONDS)

        def wait() -> None:
            print(f"The view: {view.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            until_told()

        yield Beside(forward, wait)
