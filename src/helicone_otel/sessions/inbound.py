"""The session that a caller names in headers or baggage: it is continued, or its baggage is not believed.

All of it is text that somebody else wrote, so it is bounded and brought into wire form. A caller that runs this library
has percent-encoded it; others may have sent UTF-8 or Latin-1.
"""

from __future__ import annotations

import sys
from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Getter

from .. import wire
from ..caches import Generations, Recent
from ..spans.dialects import CALLERS_BAGGAGE
from ..spans.reader import SpanReader
from ..wire import SESSION_HEADERS, first_text
from .context import ContextFrame, current_frame
from .model import Session, SessionPath, path_segments

_HEADERS: Final = (*SESSION_HEADERS, wire.USER_ID_HEADER)
_MAX_TRACES: Final = 1024
_MAX_TAINTED: Final = 2**13
# One trace may have many inbound requests, each with another text.
_MAX_TEXTS: Final = 64
_PROPERTY_PREFIX: Final = wire.PROPERTY_HEADER_PREFIX.lower()


class CallersFrame(ContextFrame):
    """A context frame in which the session of a caller continues."""

    __slots__ = ()


def inbound_frame(
    carrier: CarrierT, context: Context, getter: Getter[CarrierT], path: SessionPath
) -> ContextFrame | None:
    """Return the context frame in which a caller's session continues, or `None` if the caller names no session.

    The caller's `Helicone-Session-*` headers win over its baggage.

    Args:
        carrier: The headers of the inbound request or message.
        context: The Context that was extracted from the carrier so far.
        getter: Reads the carrier.
        path: The path of a session that comes in baggage, which has no path.
    """
    session = _session_in_headers(carrier, getter) or _session_in_baggage(carrier, getter, path)
    return None if session is None else CallersFrame(session, context=context)


def is_callers_frame(session_id: str, path: str, context: Context | None) -> bool:
    """Tell whether a Context is inside a caller's session that continues here with this id and path."""
    frame = current_frame(context)
    while frame is not None:
        session = frame.session if isinstance(frame, CallersFrame) else None
        if session is not None and (session.wire_id, str(session.path)) == (session_id, path):
            return True
        frame = frame.outer
    return False


def _session_in_headers(carrier: CarrierT, getter: Getter[CarrierT]) -> Session | None:
    headers = {name: _first_value(carrier, getter, name) for name in _HEADERS}
    if not (session_id := wire.wire_text(headers[wire.SESSION_ID_HEADER])):
        return None
    return Session(
        session_id,
        wire.wire_text(headers[wire.SESSION_NAME_HEADER]) or None,
        SessionPath.of(path_segments(headers[wire.SESSION_PATH_HEADER])),
        wire.wire_text(headers[wire.USER_ID_HEADER]) or None,
        _properties(carrier, getter),
    )


def _first_value(carrier: CarrierT, getter: Getter[CarrierT], name: str) -> str:
    # gRPC's metadata is a dict with names in lower case.
    values = getter.get(carrier, name) or getter.get(carrier, name.lower())
    return _read(values[0]) if values else ""


def _read(value: object) -> str:
    return wire.percent_decoded(wire.header_text(value))


def _properties(carrier: CarrierT, getter: Getter[CarrierT]) -> dict[str, str]:
    # Celery's getter returns no names. Its carrier, a task's request, has the headers as attributes.
    keys = getter.keys(carrier) or list(getattr(carrier, "__dict__", ()))
    # Names of HTTP headers have no case, and servers give them in lower case.
    names = ((key, key[len(_PROPERTY_PREFIX) :]) for key in keys if key.lower().startswith(_PROPERTY_PREFIX))
    return {name: _read(values[0]) for key, name in names if (values := getter.get(carrier, key))}


def _session_in_baggage(carrier: CarrierT, getter: Getter[CarrierT], path: SessionPath) -> Session | None:
    if not getter.get(carrier, "baggage"):
        return None
    # Read from the carrier, because the app's own baggage propagator may run after this one.
    from opentelemetry import baggage  # noqa: PLC0415  # it takes a millisecond to load, and few apps need it
    from opentelemetry.baggage.propagation import W3CBaggagePropagator  # noqa: PLC0415  # the same

    entries = baggage.get_all(W3CBaggagePropagator().extract(carrier, Context(), getter))
    session_id = wire.valid_text(first_text(entries, CALLERS_BAGGAGE.session_ids) or "")
    if not wire.wire_text(session_id):
        return None
    user_id = wire.valid_text(first_text(entries, CALLERS_BAGGAGE.user_ids) or "")
    return Session(session_id, path=path, user_id=user_id or None)


class UntrustedBaggage:
    """Remembers callers' baggage, so that an attribute copied from it is not taken for the app's own.

    OpenTelemetry's default propagators accept any caller's baggage, and many apps copy baggage onto spans
    (`BaggageSpanProcessor`, Langfuse, Logfire). So a caller could choose the session. Attributes that the user
    configured are believed anyway: the user asked for them by name.

    Memory is bounded. When the texts of a trace are forgotten, the trace's id is kept, as long as no 8,192 others are
    forgotten as well. In such a trace, only attributes that the user configured are believed.

    Args:
        reader: Says which attributes hold ids of sessions and users.
        trusted: Whether callers are accepted. Then nothing needs to be remembered.

    Attributes:
        is_used: Whether anything is remembered.
    """

    def __init__(self, reader: SpanReader, trusted: bool) -> None:
        self._trusted = trusted
        self.is_used = False
        self._claims = reader.claims
        self._keys = self._claims.union(*CALLERS_BAGGAGE)
        # By trace id. Hashes, because a caller may send many long texts.
        self._texts: Recent[int, frozenset[int]] = Recent(_MAX_TRACES)
        # The ids of traces whose texts are forgotten.
        self._tainted: Generations[int, bool] = Generations(_MAX_TAINTED)

    def note(self, trace_id: int, context: Context | None) -> None:
        """Remember the baggage of a Context in which a SERVER or CONSUMER span starts."""
        # While nobody has loaded the module, no Context holds baggage. Loading it would take a millisecond.
        baggage = sys.modules.get("opentelemetry.baggage")
        if self._trusted or baggage is None or not (entries := baggage.get_all(context)):
            return
        texts = frozenset(hash(text) for key in self._keys if (text := first_text(entries, (key,))))
        if not texts:
            return
        self.is_used = True
        texts |= self._texts.get(trace_id, frozenset())
        if len(texts) > _MAX_TEXTS:
            self._texts.pop(trace_id, None)
            self._tainted.put(trace_id, True)
        elif (forgotten := self._texts.put(trace_id, texts)) is not None:
            self._tainted.put(forgotten, True)

    def removed_from(self, facts: dict[str, object], trace_id: int) -> dict[str, object]:
        """Return the attributes of a span without those that may be copies of a caller's baggage."""
        if self._tainted.get(trace_id):
            return {key: value for key, value in facts.items() if key not in self._claims}
        texts = self._texts.get(trace_id) if self._texts else None
        if texts is None:
            return facts
        return {
            key: value
            for key, value in facts.items()
            if key not in self._claims or hash(first_text(facts, (key,))) not in texts
        }
