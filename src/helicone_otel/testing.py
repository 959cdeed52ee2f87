"""A pytest fixture for your own tests: which sessions, paths and headers does my code make?

    from helicone_otel import session, step
    from openai import OpenAI

    def test_research_is_part_of_the_trip(helicone):
        with session("Trip Planning", id="trip-42"), step("research"):
            OpenAI().chat.completions.create(model="gpt-5.4-mini", messages=[{"role": "user", "content": "Where to?"}])
        assert helicone.tree() == {"/research": ["llm"]}
        assert helicone.requests[0].helicone_headers == {
            "Helicone-Session-Id": "trip-42",
            "Helicone-Session-Path": "/research",
            "Helicone-Session-Name": "Trip Planning",
        }

The fixture installs the library, and a fake Helicone on loopback to whose gateway the SDKs of OpenAI and
Anthropic speak by themselves; afterwards it takes everything out again. What no gateway sees is logged
to the same Helicone if the test says so:

    def test_the_weather_is_asked_once(helicone):
        helicone.configure(log=True)
        plan_a_trip()
        assert [row.model for row in helicone.rows() if row.badge == "Tool"] == ["tool:get_weather"]

The fixture `fake_helicone` is the server alone: its gateway, its log API, its OTLP doors and the API by which
it is read, with the checks of the real one, and `troubles` to choose from.

pytest loads this module in every run, whether a test wants the fixture or not: whatever costs time
is imported when the fixture is asked for.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Tracer

    from .tools.fakes.requests import Request, Trouble
    from .tools.fakes.rows import Row
    from .tools.fakes.server import FakeHelicone

__all__ = ["FakeHelicone", "Helicone", "Request", "Row", "Trouble", "fake_helicone", "helicone"]

_HOMES: Final = {"FakeHelicone": "server", "Request": "requests", "Row": "rows", "Trouble": "requests"}
_FLUSH_MILLIS: Final = 5000


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".tools.fakes.{_HOMES[name]}", __package__), name)


class Helicone:
    """What a test sees of its sessions.

    Attributes:
        gateway_url: Where the stand-in for Helicone's gateway is, without a path.
        openai_url: What `OpenAI(base_url=…)` takes; `OPENAI_BASE_URL` says the same.
        anthropic_url: What `Anthropic(base_url=…)` takes; `ANTHROPIC_BASE_URL` says the same.
        fake: All of the fake Helicone: its address, its keys, its rows, and what can be made to go wrong.
        provider: Makes spans that the fixture sees. It is the global one, unless your tests have set
            one that is not OpenTelemetry's own.
        tracer: A tracer of an application, for spans of your tests.
    """

    def __init__(
        self,
        server: FakeHelicone,
        script: deque[str | int | Mapping[str, object]],
        provider: TracerProvider,
        spans: list[ReadableSpan],
        configure: Callable[[Mapping[str, object]], None],
    ) -> None:
        self.fake = server
        self._script = script
        self._spans = spans
        self._configure = configure
        self.gateway_url = server.url
        self.openai_url = f"{server.url}/v1"
        self.anthropic_url = server.url
        self.provider: TracerProvider = provider
        self.tracer: Tracer = provider.get_tracer("application")

    @property
    def requests(self) -> list[Request]:
        """What has arrived at the gateway, the oldest first: head and body byte for byte."""
        return self.fake.requests("gateway")

    def rows(self, session: str | None = None) -> list[Row]:
        """Return what Helicone has a row of, once what is to be logged has arrived: gateway and log in one list.

        Args:
            session: Id or name; all rows if not given.
        """
        self.provider.force_flush(_FLUSH_MILLIS)
        rows = sorted(self.fake.rows, key=lambda row: row.started)
        return [row for row in rows if session is None or session in (row.session_id, row.session_name)]

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, as an exporter gets them, the first to end first."""
        return list(self._spans)

    @property
    def sessions(self) -> dict[str, str | None]:
        """The name of each session by its id, from the spans and from the requests."""
        from .tools.fakes.fixture import sessions  # noqa: PLC0415  # see the module's docstring

        return sessions(self._spans, self.requests)

    def tree(self, session: str | None = None) -> dict[str, list[str]]:
        """Return what stands at each path of a session: its kinds, in a fixed order.

        Calls are listed as often as they were made (`["agent", "llm", "llm"]` is an agent that asked
        twice), steps once however often they ran; a level at which nothing happened is left out.
        Requests that reached the gateway count even if no instrumentation saw them.

        Args:
            session: Its id or name; not needed while there is only one.

        Raises:
            AssertionError: There is more than one session, or none of that id or name.
        """
        from .tools.fakes.fixture import tree  # noqa: PLC0415  # see the module's docstring

        return tree(self._spans, self.requests, session)

    def answer_with(self, *answers: str | int | Mapping[str, object]) -> None:
        """Say what the gateway answers next, one answer a request; afterwards it answers as before.

        Args:
            answers: A text for the model to say, a whole JSON body (with tool calls, say), or the
                status of an error.
        """
        self._script.extend(answers)

    def configure(self, **settings: object) -> None:
        """Use other settings for the rest of the test, by the names of the fields of `Settings`.

        The fixture starts from the defaults, whatever the environment says. What was remembered of
        spans is forgotten. With `log=True`, what no gateway saw goes to the log of the fixture's own Helicone.

        Raises:
            SettingsError: A value cannot be used.
            TypeError: There is no such setting.
        """
        self._configure(settings)


@pytest.fixture
def helicone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helicone]:
    """Helicone Sessions switched on for one test, with a stand-in for the gateway that remembers requests."""
    from .tools.fakes.fixture import installed  # noqa: PLC0415  # see the module's docstring

    with installed(monkeypatch) as bench:
        yield Helicone(*bench)


@pytest.fixture
def fake_helicone() -> Iterator[FakeHelicone]:
    """A fake Helicone on loopback, for clients and exporters of whatever kind; nothing is installed."""
    from .tools.fakes.loopback import serving  # noqa: PLC0415  # see the module's docstring
    from .tools.fakes.server import FakeHelicone  # noqa: PLC0415

    with serving(FakeHelicone()) as server:
        yield server
