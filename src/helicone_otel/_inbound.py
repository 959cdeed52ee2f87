"""What a caller says of its session, in headers or in baggage: text written by a stranger."""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Getter

from . import _wire
from ._carriers import SESSION_HEADERS
from ._context import Place, current_place
from ._session import Session, SessionPath, path_segments
from ._spans import first_text
from .dialects import CALLERS_BAGGAGE

_HEADERS: Final = (*SESSION_HEADERS, _wire.USER_ID_HEADER)
_PROPERTY_PREFIX: Final = _wire.PROPERTY_HEADER_PREFIX.lower()


class CallersPlace(Place):
    """Where a caller's session goes on."""

    __slots__ = ()


def inbound_place(carrier: CarrierT, context: Context, getter: Getter[CarrierT], path: SessionPath) -> Place | None:
    """Return the place at which a caller's session goes on here, or `None` if it names no session.

    The caller's `Helicone-Session-*` headers count before its baggage. All of it is bounded and brought
    into wire form.

    Args:
        carrier: What came in.
        context: What has been made of it so far.
        getter: Reads the carrier.
        path: Where a session begins of which the caller names no path.
    """
    session = _session_in_headers(carrier, getter) or _session_in_baggage(carrier, getter, path)
    return None if session is None else CallersPlace(session, context=context)


def is_callers_place(session_id: str, path: str, context: Context | None) -> bool:
    """Tell whether a Context lies inside of a caller's session that began here with this id and path."""
    place = current_place(context)
    while place is not None:
        session = place.session if isinstance(place, CallersPlace) else None
        if session is not None and (session.wire_id, str(session.path)) == (session_id, path):
            return True
        place = place.outer
    return False


def _session_in_headers(carrier: CarrierT, getter: Getter[CarrierT]) -> Session | None:
    said = {name: _first(carrier, getter, name) for name in _HEADERS}
    if not (session_id := _wire.wire_text(said[_wire.SESSION_ID_HEADER])):
        return None
    return Session(
        session_id,
        _wire.wire_text(said[_wire.SESSION_NAME_HEADER]) or None,
        SessionPath.of(path_segments(said[_wire.SESSION_PATH_HEADER])),
        _wire.wire_text(said[_wire.USER_ID_HEADER]) or None,
        _properties(carrier, getter),
    )


def _first(carrier: CarrierT, getter: Getter[CarrierT], name: str) -> str:
    # gRPC's metadata is a dict of lower-case names.
    values = getter.get(carrier, name) or getter.get(carrier, name.lower())
    return values[0] if values else ""


def _properties(carrier: CarrierT, getter: Getter[CarrierT]) -> dict[str, str]:
    # Celery's getter tells no names; its carrier has them as attributes.
    names = getter.keys(carrier) or list(getattr(carrier, "__dict__", ()))
    # HTTP headers have no case, and servers hand them on in lower case.
    named = ((key, key[len(_PROPERTY_PREFIX) :]) for key in names if key.lower().startswith(_PROPERTY_PREFIX))
    return {name: got[0] for key, name in named if (got := getter.get(carrier, key))}


def _session_in_baggage(carrier: CarrierT, getter: Getter[CarrierT], path: SessionPath) -> Session | None:
    if not getter.get(carrier, "baggage"):
        return None
    # Read from the carrier, because the app's own baggage propagator may come after this one.
    from opentelemetry import baggage  # noqa: PLC0415  # it takes a millisecond to load, and few apps come here
    from opentelemetry.baggage.propagation import W3CBaggagePropagator  # noqa: PLC0415  # the same

    said = baggage.get_all(W3CBaggagePropagator().extract(carrier, Context(), getter))
    session_id = _wire.valid_text(first_text(said, CALLERS_BAGGAGE.session_ids) or "")
    if not _wire.wire_text(session_id):
        return None
    user_id = _wire.valid_text(first_text(said, CALLERS_BAGGAGE.user_ids) or "")
    return Session(session_id, path=path, user_id=user_id or None)
