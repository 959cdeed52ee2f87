"""The propagator: writes the session's headers onto requests to listed hosts, and onto nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from . import _wire
from ._carriers import SESSION_HEADERS, write_headers
from ._context import Place, with_place
from ._destinations import Destination
from ._guard import swallow
from ._registry import REGISTRY, Location, Registry
from ._session import Session, SessionPath, path_segments

if TYPE_CHECKING:
    from ._record import Record


class HeliconePropagator(TextMapPropagator):
    """Writes `Helicone-Session-Id`, `-Path` and `-Name` where the request goes to a listed host.

    The destination is that of the HTTP client span that is current, or the carrier's `Host` where
    that span does not record. An unknown destination gets nothing.

    Args:
        registry: Where spans are remembered; the process's own if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry or REGISTRY
        self.enabled = True

    @property
    def fields(self) -> set[str]:
        """The headers that may be written; users' properties come on top."""
        return {*SESSION_HEADERS, _wire.USER_ID_HEADER}

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the session's headers into a carrier, if its request goes to a listed host.

        What the caller set itself stays: with a session id of its own the set is the caller's;
        with only a path or name the rest is filled in.
        """
        try:
            location = self._registry.locate(context) if self.enabled and self._registry.active else None
            if location is not None:
                self._inject(location, carrier, context, setter)
        except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
            swallow("inject", error)

    def _inject(self, location: Location, carrier: CarrierT, context: Context | None, setter: Setter[CarrierT]) -> None:
        sender = location.sender
        destination = self._destination(sender, carrier)
        if destination is Destination.UNKNOWN:
            return
        if sender is None and destination is Destination.GATEWAY:
            # The span does not record, so the path of the URL is unknown; nearly all such calls are chats.
            location = self._registry.locate(context, call="llm") or location

        write_headers(self._registry, location, sender, destination, carrier, partial(setter.set, carrier))

    def _destination(self, record: Record | None, carrier: object) -> Destination:
        hooked = self._registry.hooked
        if type(carrier).__module__ in hooked:
            return Destination.UNKNOWN  # the transport hook writes
        if record is None or record.span is None:
            host = _text_in(carrier, "host")
            return self._registry.resolver.destinations.of_authority(host) if host else Destination.UNKNOWN
        scope = record.scope
        if scope is not None and (scope.bare_carriers or scope.name in hooked):
            return Destination.UNKNOWN
        return record.destination

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Continue a caller's session, if the settings accept it; else return the Context as it is.

        What a caller says is text written by a stranger: it is bounded and brought into wire form.
        """
        context = Context() if context is None else context
        registry = self._registry
        if not (self.enabled and registry.active and registry.settings.accept_inbound):
            return context
        try:
            place = _inbound_place(carrier, context, getter)
            return context if place is None else with_place(place, context)
        except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
            swallow("extract", error)
            return context


def _text_in(carrier: object, name: str) -> str:
    value = carrier.get(name) if isinstance(carrier, Mapping) else None
    return value if isinstance(value, str) else ""


def _inbound_place(carrier: CarrierT, context: Context, getter: Getter[CarrierT]) -> Place | None:
    names = (*SESSION_HEADERS, _wire.USER_ID_HEADER)
    values = {name: got[0] for name in names if (got := getter.get(carrier, name))}
    session_id = _wire.wire_text(values.get(_wire.SESSION_ID_HEADER, ""))
    if not session_id:
        return None
    path = SessionPath.of(path_segments(values.get(_wire.SESSION_PATH_HEADER, "/")))
    name = _wire.wire_text(values.get(_wire.SESSION_NAME_HEADER, "")) or None
    user_id = _wire.wire_text(values.get(_wire.USER_ID_HEADER, "")) or None
    session = Session(session_id, name, path, user_id, _inbound_properties(carrier, getter))
    return Place(session, context=context)


def _inbound_properties(carrier: CarrierT, getter: Getter[CarrierT]) -> dict[str, str]:
    prefix = _wire.PROPERTY_HEADER_PREFIX.lower()
    # HTTP headers have no case, and servers hand them on in lower case.
    named = ((key, key[len(prefix) :]) for key in getter.keys(carrier) if key.lower().startswith(prefix))
    return {name: got[0] for key, name in named if (got := getter.get(carrier, key))}
