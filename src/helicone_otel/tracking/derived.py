"""Sessions that no code opened: ids and names from attributes of spans, settings and traces."""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from .. import wire
from ..caches import Recent
from ..sessions.model import Session, SessionDetails, SessionPath
from ..settings import Settings, named_attributes
from ..wire import first_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_MAX_SESSIONS: Final = 1024
SET_BY_HAND: Final = (wire.SESSION_ID, wire.SESSION_PATH, wire.SESSION_NAME)
# The SDK's name for a service without a name. Sessions of unrelated services must not share it.
# https://opentelemetry.io/docs/specs/semconv/resource/#service
_UNNAMED: Final = "unknown_service"


class SessionFactory:
    """Makes sessions from ids and names.

    A session's name never changes while the session is remembered: Helicone would list it twice. A session without
    a name is not remembered until a span asks for it, because the span may have a name for it.

    Args:
        settings: The settings in force.
        id_attributes: Attributes that hold a conversation's id, the best first.
        user_attributes: Attributes that hold the user's id, the best first.
        vendors_services: Names of services that are not the app's.
    """

    def __init__(
        self,
        settings: Settings,
        id_attributes: tuple[str, ...],
        user_attributes: tuple[str, ...],
        vendors_services: Container[str] = (),
    ) -> None:
        self._settings = settings
        self._ids = id_attributes
        self._users = user_attributes
        self._vendors_services = vendors_services
        self._properties = tuple(named_attributes(settings.property_attributes))
        self.path = SessionPath(settings.session_path)
        self._known: Recent[tuple[str, str | None], Session] = Recent(_MAX_SESSIONS)

    def id_on(self, attributes: Mapping[str, object]) -> str | None:
        """Return the conversation's id that a span bears; configured attributes come first."""
        return first_text(attributes, self._ids)

    def details_on(self, attributes: Mapping[str, object]) -> SessionDetails | None:
        """Return the user and the properties that a span names; configured attributes come first."""
        user_id = first_text(attributes, self._users)
        properties = {name: text for name, key in self._properties if (text := first_text(attributes, (key,)))}
        if user_id is None and not properties:
            return None
        return SessionDetails(wire.valid_text(user_id) if user_id else None, properties)

    def chosen(self, session_id: str, span: ReadableSpan | None, name: str | None = None) -> Session:
        """Return the session with an id that a person or a framework chose."""
        return self._remembered(wire.valid_text(session_id), span, name)

    def of_process(self, span: ReadableSpan | None) -> Session | None:
        """Return the session of the whole process, if `HELICONE_SESSION_ID` names one."""
        return self._remembered(self._settings.session_id, span) if self._settings.session_id else None

    def provisional(self, trace_id: int, span: ReadableSpan | None) -> Session | None:
        """Return the provisional session of a trace, or `None` if `HELICONE_SESSION_FALLBACK` is `none`."""
        if self._settings.session_fallback == "none":
            return None
        trace_uuid = str(uuid.UUID(int=trace_id))
        return Session(trace_uuid, self.name_for(span), self.path, provisional=True)

    def made_up(self, session_id: str, span: ReadableSpan | None) -> Session | None:
        """Return the session with an id that a framework made up, or `None` where traces have no sessions."""
        if self._settings.session_fallback == "none":
            return None
        return Session(wire.valid_text(session_id), self.name_for(span), self.path, provisional=True)

    def _remembered(self, session_id: str, span: ReadableSpan | None, name: str | None = None) -> Session:
        key = (session_id, name)
        session = self._known.get(key)
        if session is None:
            session = Session(session_id, name or self.name_for(span), self.path)
            if session.wire_name or span is not None:  # else the next span may have a name for it
                self._known.put(key, session)
        return session

    def named(self, session: Session, span: ReadableSpan | None) -> Session:
        """Return a session that code opened, with a name from the settings if it has none."""
        if session.wire_name:
            return session
        name = self.name_for(span)
        return replace(session, name=name) if name else session

    def name_for(self, span: ReadableSpan | None) -> str | None:
        """Return the name that configured attributes, settings or the resource give, or `None`.

        Args:
            span: Whose attributes and resource count. `None`: headers leave before there is any span, so the
                resource is that of the global provider.
        """
        attributes = (span.attributes or {}) if span else {}
        resource = getattr(getattr(span or trace.get_tracer_provider(), "resource", None), "attributes", {})
        service = first_text(resource, ("service.namespace", "service.name"))
        if service in self._vendors_services:
            service = None
        return (
            first_text(attributes, self._settings.session_name_attributes)
            or self._settings.session_name
            or (service if service and not service.startswith(_UNNAMED) else None)
        )


def by_hand(facts: Mapping[str, object]) -> dict[str, str]:
    """Return the session attributes that the user set on a span by hand."""
    return {key: text for key in SET_BY_HAND if key in facts and (text := first_text(facts, (key,)))}
