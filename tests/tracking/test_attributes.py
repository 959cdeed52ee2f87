"""Attributes read from the SDK's private field are those of its public property, which is the fallback."""

from __future__ import annotations

import subprocess
import sys

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from helicone_otel.tracking.records import attributes_of, size_of

WITHOUT = """
from opentelemetry.sdk import trace

class Renamed(trace.ReadableSpan):
    def __init__(self, name, attributes=None, resource=None):
        self._elsewhere = attributes
    attributes = property(lambda self: self._elsewhere)

trace.ReadableSpan = Renamed
from helicone_otel.tracking.records import attributes_of, size_of
span = Renamed("work", {"a": 1})
print(attributes_of(span), size_of(span), size_of(Renamed("work")))
"""


def test_the_attributes_read_are_those_that_the_sdk_shows() -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("app").start_span("work", attributes={"a": 1, "b": "x"})
    span.set_attribute("c", (1, 2))
    assert isinstance(span, ReadableSpan)

    assert dict(attributes_of(span) or {}) == dict(span.attributes or {}) == {"a": 1, "b": "x", "c": (1, 2)}
    assert size_of(span) == 3
    span.end()
    assert dict(attributes_of(span) or {}) == {"a": 1, "b": "x", "c": (1, 2)}
    assert size_of(ReadableSpan("made by hand")) == 0


def test_with_an_sdk_that_keeps_attributes_elsewhere_its_public_property_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)

    assert done.stdout == "{'a': 1} 1 0\n"
