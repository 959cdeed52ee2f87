"""The programs of the guides make the sessions that their text promises; with the real frameworks."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.provider import ModelAnswer, ScriptedProvider, chat
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.documents import BLOCKS, PAGES, block, lines
from tests.support.environments import Environments
from tests.support.programs import environment, launched, output_of

pytestmark = pytest.mark.slow

ANSWER = "Take an umbrella."
WEATHER = "Sunny in Porto, 24 degrees"


def asks_for(tool: str) -> Mapping[str, object]:
    """Return the answer of a model that asks for a tool."""
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": '{"city": "Porto"}'}}
    return chat({"model": "gpt-5.4-mini"}, ModelAnswer(tool_calls=(call,)))


class Guide(NamedTuple):
    """What a guide's program does.

    Attributes:
        answers: The answers of the model.
        session: The name and the id of its session; the id is `None` if it is a new one.
        paths: The path of each request that the gateway got.
        rows: The path and model of each row that was logged.
        prints: What it prints.
    """

    answers: tuple[str | Mapping[str, object], ...]
    session: tuple[str | None, str | None]
    paths: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()
    prints: str = ANSWER


GUIDES = {
    "crewai": Guide(
        answers=(ANSWER,),
        session=("Trip Planning", None),
        paths=("/Crew/Guide",),
    ),
    "openai-agents": Guide(
        answers=(asks_for("get_weather"), ANSWER),
        session=("Trip Planning", "trip-42"),
        paths=("/Agent_workflow/Weather_agent/turn",) * 2,
    ),
    "pydantic-ai": Guide(
        answers=(asks_for("get_weather"), ANSWER),
        session=("Trip Planning", "trip-42"),
        paths=("/weather_agent", "/weather_agent"),
    ),
    "llamaindex": Guide(
        answers=(ANSWER,), session=("City Guide", None), paths=("/chat",), rows=(("/retrieve", "vector_db"),)
    ),
    "mcp": Guide(
        answers=(),
        session=("Trip Planning", "trip-42"),
        paths=(),
        rows=(("/get_weather", "tool:get_weather"),),
        prints=WEATHER,
    ),
}


def requirements(page: str) -> list[str]:
    """Return the packages that a guide installs, without our own."""
    (line,) = re.findall(r"^pip install (.+)$", PAGES[page].replace("\\\n ", ""), flags=re.MULTILINE)
    words = [word.strip('"') for word in line.split()]
    return [*(word for word in words if not word.startswith("helicone-otel")), "opentelemetry-distro>=0.65b0"]


def exports(page: str, base_url: str) -> dict[str, str]:
    """Return the variables that a guide sets."""
    words = [word for line in lines("export ", page) for word in shlex.split(line)[1:]]
    return dict(word.replace("$OPENAI_BASE_URL", base_url).split("=", 1) for word in words)


def followed(name: str, environments: Environments) -> tuple[str, FakeHelicone]:
    """Run the program of a guide; return what it printed, and what it called."""
    python = environments.python(f"guide-{name}", requirements(f"docs/guides/{name}.md"))
    provider = ScriptedProvider()
    provider.script.extend(GUIDES[name].answers)
    with tempfile.TemporaryDirectory() as folder, serving(FakeHelicone(provider)) as helicone:
        Path(folder, "app.py").write_text(block("python", f"guide: {name}"))
        for each in BLOCKS:
            if each.mark.startswith(f"guide: {name}, "):
                Path(folder, each.mark.rpartition(" ")[2]).write_text(each.code)
        environ = environment(helicone.url, **exports(f"docs/guides/{name}.md", f"{helicone.url}/v1"))
        return output_of(launched(["python", "app.py"], python), environ, Path(folder)), helicone


@pytest.mark.ahead(work=followed)
@pytest.mark.parametrize("name", GUIDES)
def test_the_program_of_a_guide_makes_the_session_that_it_promises(
    name: str, outcome: tuple[str, FakeHelicone]
) -> None:
    guide = GUIDES[name]
    printed, helicone = outcome
    requests = helicone.requests("gateway")
    rows = [row for row in helicone.rows if row.door == "log"]
    sent = [request.helicone_headers for request in requests]
    placed = [row.properties for row in rows]
    of_session = {"Name": guide.session[0], "Id": guide.session[1]}
    for values in (*sent, *placed):
        of_session["Id"] = of_session["Id"] or values["Helicone-Session-Id"]
        assert {part: values[f"Helicone-Session-{part}"] for part in of_session} == of_session
    assert printed.strip().splitlines()[-1] == guide.prints
    assert {request.header("Helicone-Auth") for request in requests} <= {f"Bearer {KEY}"}
    assert [values["Helicone-Session-Path"] for values in sent] == list(guide.paths)
    assert [(row.properties["Helicone-Session-Path"], row.model) for row in rows] == list(guide.rows)
