"""Session headers on messages: Celery, Kafka, SQS, RabbitMQ, whatever calls `inject` under a PRODUCER span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Setter

from .. import wire
from ..caches import Recent
from ..destinations import Destination
from ..sessions.inbound import is_callers_frame
from ..tracking.locate import Location
from ..tracking.registry import Registry

_MAX_WRITTEN: Final = 1024
_ID: Final = wire.SESSION_ID_HEADER.lower()
_PATH: Final = wire.SESSION_PATH_HEADER.lower()


class MessageHeaders:
    """Writes a session's headers into the carriers of messages.

    A message that names a session already is left as it is: its sender said so, or it is a task that
    is tried again and belongs where it was. But instrumentations write into the very dict or list that
    the app passed, and apps pass the same one again and again: what we wrote into it the last time is
    replaced.
    """

    def __init__(self) -> None:
        # By the carrier's id, the values that we left in it. They are kept, and not the carrier, which may
        # be large. Another carrier that comes to have the same id does not hold these very objects.
        self._written: Recent[int, dict[str, object]] = Recent(_MAX_WRITTEN)

    def take_back(self, carrier: object, context: Context | None) -> None:
        """Remove what an earlier message left in a carrier, unless it is the one now being worked on."""
        written = self._written.get(id(carrier))
        if written is None:
            return
        present = _present(carrier)
        if is_callers_frame(_text(present.get(_ID, "")), _text(present.get(_PATH, "")), context):
            return
        self._written.pop(id(carrier), None)
        if isinstance(carrier, MutableMapping):
            for name in [name for name, value in carrier.items() if _is_among(written, name, value)]:
                del carrier[name]
        elif isinstance(carrier, list):
            carrier[:] = [pair for pair in carrier if not (_is_header(pair) and _is_among(written, *pair))]

    def write(self, registry: Registry, location: Location, carrier: CarrierT, setter: Setter[CarrierT]) -> None:
        """Write the headers of a message that is sent from a location, but for those that it has already."""
        theirs = _present(carrier)
        if _ID in theirs:
            return
        # SQS allows ten attributes, and of all headers the id is needed most.
        wanted = sorted(location.headers, key=lambda header: header[0] != wire.SESSION_ID_HEADER)
        ours = tuple(header for header in wanted if header[0].lower() not in theirs)
        for name, value in ours:
            setter.set(carrier, name, value)
        names = {name.lower() for name, _ in ours}
        if written := {name: value for name, value in _present(carrier).items() if name in names}:
            self._written.put(id(carrier), written)
        registry.locator.sent(location.sender or location.record, ours, Destination.SERVICE)


def _present(carrier: object) -> dict[str, object]:
    """Return what a carrier holds, by names in lower case; of most setters it is a dict or a list."""
    return {str(name).lower(): value for name, value in _pairs(carrier)}


def _pairs(carrier: object) -> Iterator[tuple[Any, Any]]:
    pairs = carrier.items() if isinstance(carrier, Mapping) else carrier if isinstance(carrier, list) else ()
    return ((pair[0], pair[1]) for pair in pairs if _is_header(pair))


def _is_header(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2  # noqa: PLR2004  # name and value


def _is_among(written: Mapping[str, object], name: object, value: object) -> bool:
    lower = str(name).lower()
    return lower in written and written[lower] is value


def _text(value: object) -> str:
    if isinstance(value, bytes):  # Kafka's
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):  # the attributes of SQS and SNS
        return str(value.get("StringValue", ""))
    return str(value)
