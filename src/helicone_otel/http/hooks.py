"""The transport hook: writes headers where a propagator cannot, and reads the row's id from the answer.

An app without HTTP instrumentation calls no propagator. A bare carrier hides what the caller wrote. A span that is
sampled out does not say where its request goes. A redirect carries headers to whatever host it names. The hook is
called where a request leaves, with the headers as they will be sent, and where its answer's headers have come. It
makes no span.

Each attempt at a gateway is a row, and the answer names the row's id in `helicone-id`. The hook sends no id of its
own: where one request becomes several rows, as in the AI gateway's fail-over or with moderation, Helicone gives an id
that the client sent to all of them, and shows them as one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from .. import wire
from ..destinations import Destination, call_kind
from ..failures import swallow
from .headers import adopt_caller_headers, write_headers

if TYPE_CHECKING:
    from ..tracking.records import Record
    from ..tracking.registry import Registry

# How log lines name the code that failed.
HOOK: Final = "transport hook"


def is_enabled(registry: Registry) -> bool:
    """Tell whether requests get headers at all.

    A hook that somebody has wrapped with a function of their own remains after an uninstall. And OpenTelemetry has a
    switch by which instrumentations are suppressed.
    """
    return registry.active and _is_instrumentation_enabled()()


def put_headers(
    registry: Registry,
    destination: Destination,
    path: str,
    carrier: MutableMapping[str, str] | list[tuple[bytes, bytes]],
    write: Callable[[str, str], None],
    reads_utf8: Callable[[], bool],
) -> Record | None:
    """Write the session headers of a request that is about to leave.

    Args:
        registry: Finds the session and path.
        destination: Where the request goes: a gateway or an own service.
        path: The path of its URL, or the whole URL.
        carrier: Its headers, as they are now.
        write: Writes one header: the name and the text.
        reads_utf8: Tells whether the host reads values as UTF-8.

    Returns:
        The record of the call, if the answer may name the id of its row: pass it to `note_answer`.
    """
    if registry.injected.noted:
        registry.injected.note_carried(carrier if isinstance(carrier, list) else carrier.items())
    if destination is Destination.GATEWAY:
        location = registry.locator.locate_gateway_call(call_kind(path))
    else:
        location = registry.locator.locate()
    record = location.sender if location is not None else None
    if record is None:
        record = registry.record_of(trace.get_current_span())
    if location is None:
        return None if record is None else adopt_caller_headers(registry, record, destination, carrier)
    return write_headers(registry, location, record, destination, carrier, write, reads_utf8)[1]


def note_answer(call: Record, answer: Any, ids_in: Callable[[Any], Sequence[object]]) -> None:
    """Give a call the id of its row, if the answer names one. Never raises.

    An answer that names none, several or something that is no row's id changes nothing. Nothing else of it is read.

    Args:
        call: What `put_headers` returned.
        answer: The client's response, as soon as its headers have come.
        ids_in: Returns the values of `helicone-id` among them.
    """
    try:
        ids = ids_in(answer)
        # `http.client` leaves the blanks that follow a value.
        if len(ids) == 1 and wire.is_row_id(row_id := wire.header_text(ids[0]).strip()):
            call.row_id = row_id.lower()
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(HOOK, error)


@functools.cache
def _is_instrumentation_enabled() -> Callable[[], bool]:
    # Not imported above: it imports `opentelemetry.propagate`, see the package's docstring.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return is_instrumentation_enabled
