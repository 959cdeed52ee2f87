"""The propagator: writes session headers into requests to listed hosts, and into nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.trace import ReadableSpan

from .. import wire
from ..destinations import Destination
from ..failures import swallow
from ..http.headers import SESSION_HEADERS, write_headers
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from ..tracking.locate import Location
    from ..tracking.records import Record
    from .messaging import MessageHeaders


class HeliconePropagator(TextMapPropagator):
    """Writes `Helicone-Session-Id`, `-Path` and `-Name` if the request goes to a listed host.

    The destination is that of the HTTP client span that is current, or the carrier's `Host` if that span does
    not record. The span of a gRPC client names no host, but its service. If the destination is unknown, nothing
    is written. Messages get headers only if the settings say so.

        set_global_textmap(CompositePropagator([get_global_textmap(), HeliconePropagator()]))

    Args:
        registry: Where spans are remembered; the process's own if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry or REGISTRY
        self._messages: MessageHeaders | None = None
        self.enabled = True

    @property
    def fields(self) -> set[str]:
        """The headers that may be written; those of properties are written besides."""
        return {*SESSION_HEADERS, wire.USER_ID_HEADER}

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the session's headers into a carrier, if its request goes to a listed host.

        What the caller wrote itself is left: if it wrote a session id, the whole set is the caller's; if it wrote
        only a path or a name, the rest is filled in.
        """
        try:
            registry = self._registry
            if not (self.enabled and registry.active):
                return
            messages = self._message_headers() if registry.settings.propagate_messaging else None
            if messages is not None:
                messages.remove_stale(carrier, context)  # also if nothing is to be written
            location = registry.locator.locate(context)
            if location is None:
                return
            if messages is not None and _kind_of_current(context) is trace.SpanKind.PRODUCER:
                messages.write(registry, location, carrier, setter)
            else:
                self._write_request(location, carrier, context, setter)
        except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
            swallow("inject", error)

    def _message_headers(self) -> MessageHeaders:
        if self._messages is None:
            from .messaging import MessageHeaders  # noqa: PLC0415  # few apps need it

            self._messages = MessageHeaders()
        return self._messages

    def _write_request(
        self, location: Location, carrier: CarrierT, context: Context | None, setter: Setter[CarrierT]
    ) -> None:
        registry, sender = self._registry, location.sender
        destination = self._destination(sender, carrier)
        if destination is Destination.UNKNOWN and registry.settings.propagate_hosts:
            destination = self._rpc_destination(context)
        if destination is Destination.UNKNOWN:
            return
        if sender is None and destination is Destination.GATEWAY:
            # The span does not record, so the path of the URL is unknown; nearly all such calls are chats.
            location = registry.locator.locate(context, "llm") or location
        # The default setter does no more than this.
        set_item = getattr(carrier, "__setitem__", None) if setter is default_setter else None
        write = set_item or partial(setter.set, carrier)
        ours, _ = write_headers(registry, location, sender, destination, carrier, write)
        if ours and registry.is_hooking:
            registry.injected.note(ours)

    def _destination(self, record: Record | None, carrier: object) -> Destination:
        """Return where a request goes, unless the transport hook writes its headers."""
        hooked = self._registry.hooked
        if hooked and type(carrier).__module__ in hooked:
            return Destination.UNKNOWN
        if record is None or record.span is None:
            host = carrier.get("host") if isinstance(carrier, Mapping) else None
            return self._registry.destinations.of_authority(host) if isinstance(host, str) else Destination.UNKNOWN
        scope = record.scope
        if scope is not None and (scope.bare_carriers or (hooked and scope.name in hooked)):
            return Destination.UNKNOWN
        return record.destination

    def _rpc_destination(self, context: Context | None) -> Destination:
        span = trace.get_current_span(context)
        attributes = span.attributes if isinstance(span, ReadableSpan) else None
        return self._registry.destinations.of_rpc(attributes or {})

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Continue a caller's session, if the settings accept it; otherwise return the Context as it is.

        Callers may send anything, so their values are bounded and brought into wire form.
        """
        context = Context() if context is None else context
        registry = self._registry
        if not (self.enabled and registry.active and registry.settings.accept_inbound):
            return context
        try:
            from ..sessions.inbound import inbound_frame  # noqa: PLC0415  # it reads dialects, and few apps accept

            frame = inbound_frame(carrier, context, getter, registry.root_path)
            return context if frame is None else frame.within(context)
        except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
            swallow("extract", error)
            return context


def _kind_of_current(context: Context | None) -> trace.SpanKind | None:
    span = trace.get_current_span(context)
    return span.kind if isinstance(span, ReadableSpan) else None
