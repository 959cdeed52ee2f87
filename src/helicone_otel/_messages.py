"""Session headers on messages: Celery, Kafka, SQS, RabbitMQ, whatever calls `inject` under a PRODUCER span."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Final

from opentelemetry.propagators.textmap import CarrierT, Setter

from . import _wire
from ._destinations import Destination
from ._memory import Recent
from ._registry import Location, Registry

_MAX_WRITTEN: Final = 1024
_ID: Final = _wire.SESSION_ID_HEADER
_PATH: Final = _wire.SESSION_PATH_HEADER
_PREFIXES: Final = (
    "helicone-session-",
    _wire.USER_ID_HEADER.lower(),
    _wire.PROPERTY_HEADER_PREFIX.lower(),
)


class Messages:
    """Writes a session's headers into the carriers of messages.

    A message that names a session already is left as it is: its sender said so, or it is a task that
    is tried again and belongs where it was. But instrumentations write into the very dict or list that
    the app passed, and apps pass the same one again and again: what we wrote into it the last time is
    replaced.
    """

    def __init__(self) -> None:
        self._written: Recent[tuple[str, str], None] = Recent(_MAX_WRITTEN)

    def write(self, registry: Registry, location: Location, carrier: CarrierT, setter: Setter[CarrierT]) -> None:
        """Write the headers of a message that is sent from a location."""
        present = _present(carrier)
        if _ID in present and (present[_ID], present.get(_PATH, "")) not in self._written:
            return
        if present:
            _take_out(carrier)
        for name, value in location.headers:
            setter.set(carrier, name, value)
        self._written.put((location.session.wire_id, location.path), None)
        registry.sent(location.sender or location.record, location.headers, Destination.SERVICE)


def _present(carrier: object) -> dict[str, str]:
    """Return the id and path that a carrier names already, by our spelling of their names."""
    pairs = carrier.items() if isinstance(carrier, Mapping) else carrier if isinstance(carrier, list) else ()
    spelled = {_ID.lower(): _ID, _PATH.lower(): _PATH}
    found = ((spelled.get(str(pair[0]).lower()), pair[1]) for pair in pairs if _is_header(pair))
    return {name: _text(value) for name, value in found if name}


def _text(value: object) -> str:
    if isinstance(value, bytes):  # Kafka's
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):  # the attributes of SQS and SNS
        return str(value.get("StringValue", ""))
    return str(value)


def _take_out(carrier: object) -> None:
    if isinstance(carrier, MutableMapping):
        for name in [name for name in carrier if _is_ours(name)]:
            del carrier[name]
    elif isinstance(carrier, list):
        carrier[:] = [pair for pair in carrier if not (_is_header(pair) and _is_ours(pair[0]))]


def _is_header(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2  # noqa: PLR2004  # name and value


def _is_ours(name: object) -> bool:
    return str(name).lower().startswith(_PREFIXES)
