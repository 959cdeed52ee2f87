"""What a caller says of its session, in headers or in baggage: text written by a stranger."""

from __future__ import annotations

import sys
from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Getter

from .. import wire
from ..caches import Recent
from ..spans.dialects import CALLERS_BAGGAGE
from ..spans.reader import SpanReader
from ..spans.schema import first_text
from ..wire import SESSION_HEADERS
from .context import ContextFrame, current_frame
from .model import Session, SessionPath, path_segments

_HEADERS: Final = (*SESSION_HEADERS, wire.USER_ID_HEADER)
_MAX_TRACES: Final = 1024
_MAX_TAINTED: Final = 2**14
# In one trace callers may come in again and again, each time with another text.
_MAX_TEXTS: Final = 64
_PROPERTY_PREFIX: Final = wire.PROPERTY_HEADER_PREFIX.lower()


class CallersFrame(ContextFrame):
    """Where a caller's session goes on."""

    __slots__ = ()


def inbound_frame(
    carrier: CarrierT, context: Context, getter: Getter[CarrierT], path: SessionPath
) -> ContextFrame | None:
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
    return None if session is None else CallersFrame(session, context=context)


def is_callers_frame(session_id: str, path: str, context: Context | None) -> bool:
    """Tell whether a Context lies inside of a caller's session that began here with this id and path."""
    frame = current_frame(context)
    while frame is not None:
        session = frame.session if isinstance(frame, CallersFrame) else None
        if session is not None and (session.wire_id, str(session.path)) == (session_id, path):
            return True
        frame = frame.outer
    return False


def _session_in_headers(carrier: CarrierT, getter: Getter[CarrierT]) -> Session | None:
    said = {name: _first(carrier, getter, name) for name in _HEADERS}
    if not (session_id := wire.wire_text(said[wire.SESSION_ID_HEADER])):
        return None
    return Session(
        session_id,
        wire.wire_text(said[wire.SESSION_NAME_HEADER]) or None,
        SessionPath.of(path_segments(said[wire.SESSION_PATH_HEADER])),
        wire.wire_text(said[wire.USER_ID_HEADER]) or None,
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
    session_id = wire.valid_text(first_text(said, CALLERS_BAGGAGE.session_ids) or "")
    if not wire.wire_text(session_id):
        return None
    user_id = wire.valid_text(first_text(said, CALLERS_BAGGAGE.user_ids) or "")
    return Session(session_id, path=path, user_id=user_id or None)


class UntrustedBaggage:
    """Remembers the baggage that came in with SERVER and CONSUMER spans, so that it is not taken for the app's own word.

    OpenTelemetry's default propagators accept any caller's baggage, and many set-ups copy baggage onto spans
    (`BaggageSpanProcessor`, Langfuse, Logfire). Attributes that the user configured are believed all the same:
    that is what configuring them means.

    Memory is bounded. Of a trace whose texts are forgotten it is remembered that there were some: in such a
    trace no attribute is believed that the user did not configure.

    Args:
        reader: Tells which attributes name sessions and users.
        trusted: Callers are accepted, so there is nothing to remember.

    Attributes:
        is_used: Something is remembered.
    """

    def __init__(self, reader: SpanReader, trusted: bool) -> None:
        self._trusted = trusted
        self.is_used = False
        self._claims = reader.claims
        self._keys = self._claims.union(*CALLERS_BAGGAGE)
        # By trace id. Hashes, because a caller may send long texts, and many.
        self._texts: Recent[int, frozenset[int]] = Recent(_MAX_TRACES)
        # The ids of traces whose texts are forgotten.
        self._tainted: Recent[int, None] = Recent(_MAX_TAINTED)

    def note(self, trace_id: int, context: Context | None) -> None:
        """Remember the baggage of a Context in which work came in."""
        # Where nobody has loaded the module yet, nobody has put any baggage in. Loading it takes a millisecond.
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
            self._tainted.put(trace_id, None)
        elif (forgotten := self._texts.put(trace_id, texts)) is not None:
            self._tainted.put(forgotten, None)

    def removed_from(self, facts: dict[str, object], trace_id: int) -> dict[str, object]:
        """Return the attributes of a span without those that a caller's baggage may have brought."""
        if trace_id in self._tainted:
            return {key: value for key, value in facts.items() if key not in self._claims}
        texts = self._texts.get(trace_id) if self._texts else None
        if texts is None:
            return facts
        return {
            key: value
            for key, value in facts.items()
            if key not in self._claims or hash(first_text(facts, (key,))) not in texts
        }
