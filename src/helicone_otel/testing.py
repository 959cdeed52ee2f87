"""Pytest fixtures for your own tests: which sessions, paths and headers does my code make?

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

The fixture installs the library and starts a fake Helicone on loopback. The SDKs of OpenAI and Anthropic send
their requests to its gateway by themselves. After the test everything is removed again. Requests that bypass the
gateway are logged to the same Helicone if the test switches the log on:

    def test_the_weather_is_asked_once(helicone):
        helicone.configure(log=True)
        plan_a_trip()
        assert [row.model for row in helicone.rows() if row.badge == "Tool"] == ["tool:get_weather"]

The fixture `fake_helicone` is the server alone: its gateway, its log APIs, its OTLP receivers and its read API.
They check requests as the real ones do, and `troubles` makes them fail. `FakeHelicone(worker=False)` is a Helicone that
people host themselves: without the worker's gateway and log.

pytest loads this module in every run, with or without a test that uses a fixture. So everything that takes time is
imported by the fixtures.
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
    """The sessions of a test: their spans, requests and rows.

        def test_research(helicone: Helicone) -> None:
            with session("Trip Planning"), step("research"):
                OpenAI().embeddings.create(model="text-embedding-3-small", input="Porto")
            assert helicone.tree() == {"/research": ["embedding"]}

    Attributes:
        gateway_url: The address of the fake gateway, without a path.
        openai_url: The `base_url` for `OpenAI(…)`. The fixture sets `OPENAI_BASE_URL` to it.
        anthropic_url: The `base_url` for `Anthropic(…)`. The fixture sets `ANTHROPIC_BASE_URL` to it.
        fake: The fake Helicone: its address, keys and rows, and `troubles`, which makes it fail.
        provider: The tracer provider whose spans the fixture records. It is the global one, unless your
            tests have set a global one that is not of OpenTelemetry's SDK.
        tracer: A tracer with the scope of an application, for spans of your tests.
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
        """The requests that arrived at the gateway, the oldest first, with head and body byte for byte."""
        return self.fake.requests("gateway")

    def rows(self, session: str | None = None) -> list[Row]:
        """Return the rows that Helicone has, of the gateway and of the log, sorted by start.

        It waits up to 5 s until everything that is being logged has arrived.

        Args:
            session: The id or name of a session; by default the rows of all.
        """
        self.provider.force_flush(_FLUSH_MILLIS)
        rows = sorted(self.fake.rows, key=lambda row: row.started)
        return [row for row in rows if session is None or session in (row.session_id, row.session_name)]

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, as an exporter gets them, in the order in which they ended."""
        return list(self._spans)

    @property
    def sessions(self) -> dict[str, str | None]:
        """The name of each session by its id, from the spans and from the requests."""
        from .tools.fakes.fixture import names_by_id  # noqa: PLC0415  # only if a test uses it

        return names_by_id(self._spans, self.requests)

    def tree(self, session: str | None = None) -> dict[str, list[str]]:
        """Return the kinds at each path of a session, in a fixed order.

        Each call is listed: `["agent", "llm", "llm"]` is an agent that called a model twice. A step is listed
        once, however often it ran. A path at which nothing happened is left out.
        Requests that reached the gateway count even if no instrumentation made a span.

        Args:
            session: Its id or name; not needed if there is only one session.

        Raises:
            AssertionError: There is more than one session, or none with that id or name.
        """
        from .tools.fakes.fixture import kinds_by_path  # noqa: PLC0415  # only if a test uses it

        return kinds_by_path(self._spans, self.requests, session)

    def answer_with(self, *answers: str | int | Mapping[str, object]) -> None:
        """Set the gateway's next answers, one for each request. Afterwards it answers `OK` again.

        Args:
            answers: The text of a model, a whole JSON body (with tool calls, for instance), or the
                status of an error.
        """
        self._script.extend(answers)

    def configure(self, **settings: object) -> None:
        """Use other settings for the rest of the test.

        All other settings have their defaults, whatever the environment says. Spans that have started before are
        forgotten. With `log=True`, requests that bypass the gateway are logged to the fake Helicone.

        Args:
            settings: The fields of `Settings` to change.

        Raises:
            SettingsError: A value is not valid.
            TypeError: There is no such setting.
        """
        self._configure(settings)


@pytest.fixture
def helicone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helicone]:
    """Install helicone-otel for one test, with a fake Helicone that records requests.

        def test_nothing_is_sent_without_a_call(helicone):
            with session("Trip Planning"):
                pass
            assert helicone.requests == []

    The parameter `helicone` of a test is a `Helicone`.
    """
    from .tools.fakes.fixture import installed  # noqa: PLC0415  # only if a test uses it

    with installed(monkeypatch) as parts:
        yield Helicone(*parts)


@pytest.fixture
def fake_helicone() -> Iterator[FakeHelicone]:
    """Start a fake Helicone on loopback, for any client or exporter. The library is not installed.

        def test_the_exporter_has_nothing_to_send(fake_helicone):
            exporter = HeliconeSpanExporter(fake_helicone.key, endpoint=fake_helicone.url)
            assert exporter.force_flush()
            exporter.shutdown()
            assert fake_helicone.rows == []

    The parameter `fake_helicone` of a test is a `FakeHelicone`.
    """
    from .tools.fakes.loopback import serving  # noqa: PLC0415  # only if a test uses it
    from .tools.fakes.server import FakeHelicone  # noqa: PLC0415

    with serving(FakeHelicone()) as server:
        yield server
