"""The documentation is a promise: its code runs, its commands exist, and its tables are those of the code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import helicone_otel
from helicone_otel import Session, settings
from helicone_otel.__main__ import parsed
from helicone_otel.collector.config import VARIABLES
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.log.rows.content import Where
from helicone_otel.notebooks import keep_spans
from helicone_otel.settings import SETTINGS
from helicone_otel.testing import Helicone
from helicone_otel.tools import diagnostics
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.generated import PARTS, filled
from tests.support.documents import BLOCKS, DOCS, PAGES, README, Block, block, blocks, lines
from tests.support.launching import instrumented_only, needs_a_configurator
from tests.support.programs import environment, launched, output_of

# The files that have the doctor's texts.
SAYING = [*Path(diagnostics.__file__).parent.glob("checks/*.py"), Path(settings.__file__)]
PLAIN = blocks("python")
DOCSTRINGS = blocks("python", "docstring")
TESTS = [*blocks("python", "test"), *(each for each in DOCSTRINGS if each.code.startswith("def test_"))]
# The blocks of Python that another test runs, by the start of their marks.
ELSEWHERE = ("auth: ", "docstring", "example: ", "guide: ", "logfire", "notebook", "test")
# Names that begin as our settings do and are none.
OTHER_VARIABLES = {"HELICONE_OTEL_TEST_ENVIRONMENTS"}
IMPORTS = (
    "import pytest\nfrom openai import OpenAI, RateLimitError\nfrom helicone_otel import *\n"
    "from helicone_otel.testing import FakeHelicone, Helicone, Trouble\n"
)

HELLO = [{"role": "user", "content": "Hello"}]
CALLS = {
    "openai": f"import openai; openai.OpenAI().chat.completions.create(model='gpt-5.4-mini', messages={HELLO})",
    "anthropic": (
        "import anthropic; "
        f"anthropic.Anthropic().messages.create(model='claude-sonnet-5', max_tokens=9, messages={HELLO})"
    ),
}


def named(each: Block) -> str:
    return each.name


def run(code: str, names: dict[str, Any] | None = None) -> None:
    exec(compile(code, "the documentation", "exec"), names if names is not None else {})  # it is our own


@pytest.mark.parametrize("shown", PLAIN, ids=named)
def test_a_block_of_python_runs(shown: Block, helicone: Helicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", urlsplit(helicone.gateway_url).netloc)

    run(shown.code)


def test_a_block_of_python_is_run_here_or_by_the_test_that_its_mark_names() -> None:
    marks = {each.mark for each in BLOCKS if each.language == "python" and each.mark}

    assert [mark for mark in sorted(marks) if not mark.startswith(ELSEWHERE)] == []


def test_the_ten_lines_send_the_headers_that_their_comments_name(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", urlsplit(helicone.gateway_url).netloc)
    (shown,) = [each for each in PLAIN if each.page == "README.md"]
    run(shown.code)

    (request,) = helicone.requests
    assert request.header("Helicone-Auth") == f"Bearer {KEY}"
    assert {name: value for name, value in request.helicone_headers.items() if name != "Helicone-Session-Id"} == {
        "Helicone-Session-Path": "/research",
        "Helicone-Session-Name": "Trip Planning",
    }


@pytest.mark.parametrize("sdk", CALLS)
def test_the_key_is_in_the_header_of_each_request(helicone: Helicone, sdk: str) -> None:
    run(block("python", f"auth: {sdk}"))

    assert [request.header("Helicone-Auth") for request in helicone.requests] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("sdk", CALLS)
def test_an_sdk_takes_the_key_from_the_variable_that_the_text_names(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch, sdk: str
) -> None:
    line = lines(f"export {sdk.upper()}_CUSTOM_HEADERS=", "docs/authentication.md")[0]
    name, _, value = shlex.split(line.replace("$HELICONE_API_KEY", KEY))[1].partition("=")
    monkeypatch.setenv(name, value)
    run(CALLS[sdk])

    assert [request.header("Helicone-Auth") for request in helicone.requests] == [f"Bearer {KEY}"]


def test_the_ai_gateway_gets_the_helicone_key_as_the_api_key(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = lines("export OPENAI_API_KEY=$", "docs/authentication.md")
    name, _, value = shlex.split(line.replace("$HELICONE_API_KEY", KEY))[1].partition("=")
    monkeypatch.setenv(name, value)
    run(CALLS["openai"])

    assert [request.header("Authorization") for request in helicone.requests] == [f"Bearer {KEY}"]


@needs_a_configurator
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_zero_code_sends_the_key_and_a_session_with_the_variables_that_are_shown(page: str, tmp_path: Any) -> None:
    (shown,) = [each for each in blocks("sh") if each.page == page and "opentelemetry-instrument python" in each.code]
    words = [word for line in shown.code.splitlines() if line.startswith("export ") for word in _words(line)]
    variables = dict(word.replace("$HELICONE_API_KEY", KEY).split("=", 1) for word in words)
    (tmp_path / "app.py").write_text(CALLS["openai"])
    with serving(FakeHelicone()) as gateway:
        kept = {name: text for name, text in environment(gateway.url).items() if not name.startswith("OTEL_")}
        environ = {**kept, **variables, **instrumented_only("helicone", "openai", "httpx", "httpx2")}
        output_of(launched(["python", "app.py"]), environ, tmp_path)

    (request,) = gateway.requests("gateway")
    assert request.header("Helicone-Auth") == f"Bearer {KEY}"
    assert request.header("Helicone-Session-Name") == "Trip Planning"
    assert request.header("Helicone-Session-Path") == "/chat"


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def test_what_is_recorded_by_hand_is_at_the_paths_that_the_text_names(helicone: Helicone) -> None:
    (shown,) = [each for each in PLAIN if "vector_query(" in each.code]
    run(shown.code)

    assert helicone.tree() == {"/get_weather": ["tool"], "/search": ["vector_db"], "/shorten": ["data"]}
    assert [span.name for span in helicone.spans] == ["execute_tool get_weather", "search guides", "shorten"]


@pytest.mark.usefixtures("helicone")
def test_the_hooks_of_the_log_do_what_the_text_says() -> None:
    (shown,) = [each for each in PLAIN if "key_for" in each.code]
    names: dict[str, Any] = {}
    run(shown.code, names)

    assert names["key_for"](Session("s", user_id="ann")) == "sk-helicone-..."
    assert names["key_for"](Session("s", user_id="eve")) is None
    assert names["redact"]("1234", Where("tool", "inputs", "password")) == "[hidden]"
    assert names["redact"]("Porto", Where("tool", "inputs", "city")) == "Porto"
    assert INSTALLATION.exporter is not None


async def test_the_cell_of_a_notebook_runs_twice(helicone: Helicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", urlsplit(helicone.gateway_url).netloc)
    # A kernel compiles cells so.
    cell = compile(block("python", "notebook"), "a cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for _ in range(2):
        await eval(cell, {})

    sent = [request.helicone_headers for request in helicone.requests]
    assert [(one["Helicone-Session-Name"], one["Helicone-Session-Path"]) for one in sent] == [
        ("Trip Planning", "/plan")
    ] * 2
    assert len({one["Helicone-Session-Id"] for one in sent}) == 2


def test_the_tests_that_are_shown_to_users_pass_and_have_ten_lines_at_most(pytester: pytest.Pytester) -> None:
    bodies = [each.code.partition("def test_")[2].splitlines() for each in TESTS]
    assert [body[0] for body in bodies if len([line for line in body if line.strip()]) > 10] == []

    for number, each in enumerate(TESTS):
        pytester.makepyfile(**{f"test_{number}": IMPORTS * (each.mark == "docstring") + each.code})
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=len(TESTS))


def test_every_public_name_has_an_example_in_its_docstring() -> None:
    page = PAGES["docs/reference/api.md"]
    entries = re.split(r"^### ", page, flags=re.MULTILINE)[1:]

    assert len(entries) >= len(helicone_otel.__all__) + 8
    assert [entry.splitlines()[0] for entry in entries if "<!-- docstring -->" not in entry] == []


class _Agent:
    def run(self, question: str) -> None:
        """Do nothing."""


@pytest.mark.parametrize("shown", [each for each in DOCSTRINGS if each not in TESTS], ids=named)
def test_an_example_in_a_docstring_runs(shown: Block, helicone: Helicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_SESSION_NAME", "Trips")
    # `feedback()` needs an API, and a session that it knows.
    monkeypatch.setattr(helicone_otel, "feedback", lambda *_, **__: None)
    names: dict[str, Any] = {name: getattr(helicone_otel, name) for name in helicone_otel.__all__}
    names["keep_spans"] = keep_spans
    provider = TracerProvider(shutdown_on_exit=False)
    names |= {
        "agent": _Agent(),
        "conversation_id": "c-1",
        "question": "Where to?",
        "search": str,
        "provider": provider,
        "exporter": OTLPSpanExporter(endpoint=f"{helicone.gateway_url}/v1/traces"),
        "BatchSpanProcessor": BatchSpanProcessor,
        "CompositePropagator": CompositePropagator,
        "OTLPSpanExporter": OTLPSpanExporter,
        "TracerProvider": TracerProvider,
        "get_global_textmap": get_global_textmap,
        "set_global_textmap": lambda _: None,
    }
    run(shown.code, names)

    provider.shutdown()
    assert INSTALLATION.installed


def test_a_part_that_comes_from_the_code_is_the_codes() -> None:
    """`python -m tests.generated` writes all of them."""
    assert [page for page, text in PAGES.items() if filled(page) != text] == []
    assert [name for name in PARTS if not any(f"<!-- {name} -->" in text for text in PAGES.values())] == []


def test_the_doctor_says_what_the_page_on_troubleshooting_quotes() -> None:
    table = PAGES["docs/troubleshooting.md"].partition("## By symptom")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[2] for line in table.splitlines() if line.startswith("| ") and line.count(" | ") == 3]
    quotes = [piece for cell in cells for quote in re.findall(r"`([^`]+)`", cell) for piece in quote.split("…")]
    said = "\n".join(text for path in SAYING for text in _texts(path))

    assert len(quotes) > 10
    assert [quote for quote in quotes if _without_names(quote) not in said] == []


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts in the code of a file, with nothing in the place of what is put into them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant):
            yield str(node.value)


def _without_names(quote: str) -> str:
    """Return a quote without the name of the variable, or of the exporter, that the doctor puts into it."""
    return re.sub(r"^[A-Z_]+(?= )| OTLPSpanExporter$", "", quote).strip(" ")


def test_every_command_of_ours_that_is_shown_is_understood() -> None:
    commands = lines("helicone-otel ")

    assert len(commands) > 10
    for command in commands:
        parsed(shlex.split(command)[1:])


def test_opentelemetrys_bootstrap_suggests_for_openai_what_the_page_says() -> None:
    suggested = pytest.importorskip("opentelemetry.instrumentation.bootstrap_gen").libraries

    (found,) = [row["instrumentation"] for row in suggested if row["library"].split()[0] == "openai"]
    assert re.split("[=<>~]", found)[0] == "opentelemetry-instrumentation-openai-v2"
    assert f"`{re.split('[=<>~]', found)[0]}`, and none" in PAGES["docs/sdks.md"]


def test_every_variable_of_ours_that_is_shown_exists() -> None:
    known = {setting.variable for setting in SETTINGS} | {variable.name for variable in VARIABLES} | OTHER_VARIABLES
    named = {name for text in PAGES.values() for name in re.findall(r"\bHELICONE_[A-Z0-9_]*[A-Z0-9]\b", text)}

    assert named - known == set()


def test_the_readme_is_short_and_its_first_screen_has_the_two_commands() -> None:
    first_screen = README.splitlines()[:30]

    assert 'pip install -e ".[demo]" && helicone-otel demo' in first_screen
    assert 'pip install -e ".[dev]" && pytest' in first_screen
    assert len(README.splitlines()) <= 280
    assert len(README.split()) <= 2600


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}

    assert {page for page in pages if not re.search(rf": {re.escape(page)}$", navigation, re.MULTILINE)} == set()
