"""The app's propagator has ours behind it, and is for everybody who looks still what the app has set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider

from helicone_otel import HeliconePropagator, Settings, configure
from helicone_otel.install.textmap import extended, original_of

FIELDS = {"Helicone-Session-Id", "Helicone-Session-Path", "Helicone-Session-Name"}


@dataclass
class Wrapper(TextMapPropagator):
    """Counts, as Logfire's notes that it has warned."""

    wrapped: TextMapPropagator
    extracted: int = 0

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:  # noqa: ARG002
        self.extracted += 1
        return context or Context()

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:  # noqa: ARG002
        carrier["wrapper"] = "yes"

    @property
    def fields(self) -> set[str]:
        return {"wrapper"}


class Slots(TextMapPropagator):
    __slots__ = ("name",)

    extract = Wrapper.extract
    inject = Wrapper.inject
    fields = Wrapper.fields


@pytest.fixture
def _restored() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_global_propagator_stays_of_its_type(when: str) -> None:
    mine = Wrapper(W3CBaggagePropagator())
    if when == "before":
        propagate.set_global_textmap(mine)
    handle = configure(Settings(session_name="Shop"), provider=TracerProvider())
    try:
        if when == "after":
            propagate.set_global_textmap(mine)
        textmap = propagate.get_global_textmap()
        assert isinstance(textmap, Wrapper)
        assert textmap.wrapped is mine.wrapped
        assert textmap.fields >= FIELDS | {"wrapper"}
        textmap.extract({})
        assert (textmap.extracted, mine.extracted) == (1, 1)
    finally:
        handle.uninstall()
    assert propagate.get_global_textmap() is mine


def test_both_propagators_inject_and_extract() -> None:
    mine = Wrapper(W3CBaggagePropagator())
    both = extended(mine, W3CBaggagePropagator())
    carrier: dict[str, str] = {}
    both.inject(carrier, baggage.set_baggage("a", "1", Context()))

    assert carrier == {"wrapper": "yes", "baggage": "a=1"}
    assert baggage.get_all(both.extract(carrier, Context())) == {"a": "1"}
    assert mine.extracted == 1


@pytest.mark.parametrize(
    "original", [CompositePropagator([]), W3CBaggagePropagator(), Slots()], ids=lambda o: type(o).__name__
)
def test_every_propagator_can_have_ours_behind_it(original: TextMapPropagator) -> None:
    both = extended(original, HeliconePropagator())

    assert both.fields >= FIELDS | original.fields
    if not isinstance(original, Slots):
        assert isinstance(both, type(original))
        assert original_of(both) is original


def test_a_propagator_that_has_ours_already_stays_as_it_is() -> None:
    both = extended(W3CBaggagePropagator(), HeliconePropagator())

    assert extended(both, HeliconePropagator()) is both
    assert original_of(W3CBaggagePropagator()) is None
