"""Puts our propagator behind the app's own, in an object that is still of the type of the app's propagator.

Libraries look for their propagators by type: Logfire unwraps the global one if it is Logfire's, before it hands a
context to a thread.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from .. import wire
from ..failures import swallow

# Where the class of an extended propagator keeps the app's own.
_ORIGINAL: Final = "_helicone_otel_original"


def extended(original: TextMapPropagator, ours: TextMapPropagator) -> TextMapPropagator:
    """Return a propagator that has ours as well: the original itself, if it writes the session's id already.

    Never raises.

    Args:
        original: The app's propagator.
        ours: What extracts and injects after it.
    """
    try:
        if wire.SESSION_ID_HEADER in original.fields:
            return original
        return _of_same_type(original, ours) or CompositePropagator([original, ours])
    except Exception as error:  # noqa: BLE001  # an exception here would come out of the app's set_global_textmap
        swallow("set_global_textmap", error)
        return original


def original_of(textmap: TextMapPropagator) -> TextMapPropagator | None:
    """Return the app's propagator, if this is one that `extended` has returned for it."""
    return getattr(type(textmap), _ORIGINAL, None)


def _of_same_type(original: TextMapPropagator, ours: TextMapPropagator) -> TextMapPropagator | None:
    """Return an object of a subclass of the original's class, with the original's attributes; `None`: impossible."""
    if not hasattr(original, "__dict__"):
        return None

    def extract(
        _: Any, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return ours.extract(carrier, original.extract(carrier, context, getter), getter)

    def inject(
        _: Any, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        original.inject(carrier, context, setter)
        ours.inject(carrier, context, setter)

    members = {
        "__doc__": "The app's own propagator, and ours after it.",
        "extract": extract,
        "inject": inject,
        "fields": property(lambda _: {*original.fields, *ours.fields}),
        _ORIGINAL: original,
    }
    kind: Any = type(original)
    try:
        both: TextMapPropagator = object.__new__(type(kind)(kind.__name__, (kind,), members))
        # One dict for both, so that what one of them notes in it is there for the other, too.
        object.__setattr__(both, "__dict__", original.__dict__)
    except (TypeError, AttributeError):  # its class cannot have subclasses, or its objects have slots
        return None
    return both
