"""Writes session headers into messages: Celery, Kafka, SQS, RabbitMQ, and all that call `inject` in a PRODUCER span."""

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

_MAX_CARRIERS: Final = 1024
_ID_KEY: Final = wire.SESSION_ID_HEADER.lower()
_PATH_KEY: Final = wire.SESSION_PATH_HEADER.lower()


class MessageHeaders:
    """Writes a session's headers into the carriers of messages.

    A message that has a session id already keeps it. Either its sender chose the session, or a task is tried again
    and stays in the session of its first try. But instrumentations write into the dict or list that the app passed,
    and apps pass the same one again and again. So headers that we wrote for an earlier message are replaced.
    """

    def __init__(self) -> None:
        # By the carrier's id, the header values that we wrote into it. The values are kept, and not the carrier, which
        # may be large. If another carrier gets the same id later, it does not hold these very objects.
        self._written: Recent[int, dict[str, object]] = Recent(_MAX_CARRIERS)

    def remove_stale(self, carrier: object, context: Context | None) -> None:
        """Remove the headers that we wrote into a carrier for an earlier message.

        They stay if they belong to the message that is being processed now: its task is being tried again.
        """
        written = self._written.get(id(carrier))
        if written is None:
            return
        present = _present(carrier)
        if is_callers_frame(_text(present.get(_ID_KEY, "")), _text(present.get(_PATH_KEY, "")), context):
            return
        self._written.pop(id(carrier), None)
        if isinstance(carrier, MutableMapping):
            for name in [name for name, value in carrier.items() if _is_among(written, name, value)]:
                del carrier[name]
        elif isinstance(carrier, list):
            carrier[:] = [pair for pair in carrier if not (_is_header(pair) and _is_among(written, *pair))]

    def write(self, registry: Registry, location: Location, carrier: CarrierT, setter: Setter[CarrierT]) -> None:
        """Write the headers of a message that is sent now, except those that it has already.

        Args:
            registry: Notes what left.
            location: Where the message is sent.
            carrier: The message's headers, as they are now.
            setter: Writes one header into the carrier.
        """
        theirs = _present(carrier)
        if _ID_KEY in theirs:
            return
        # SQS allows ten attributes, and of all headers the id is the most important one.
        wanted = sorted(location.headers, key=lambda header: header[0] != wire.SESSION_ID_HEADER)
        ours = tuple(header for header in wanted if header[0].lower() not in theirs)
        for name, value in ours:
            setter.set(carrier, name, value if value.isascii() else wire.percent_encoded(value))
        names = {name.lower() for name, _ in ours}
        if written := {name: value for name, value in _present(carrier).items() if name in names}:
            self._written.put(id(carrier), written)
        registry.locator.sent(location.sender or location.record, ours, Destination.SERVICE)


def _present(carrier: object) -> dict[str, object]:
    """Return the headers that a carrier has, by names in lower case; for most setters it is a dict or a list."""
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
    if isinstance(value, Mapping):  # an attribute of SQS or SNS
        value = value.get("StringValue", "")
    return wire.percent_decoded(wire.header_text(value))
