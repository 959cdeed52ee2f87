"""The README is a promise: its code runs, and its tables are those of the code."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from helicone_otel import Session
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.log.rows.content import Where
from helicone_otel.settings import render_table
from helicone_otel.testing import Helicone
from tests.support.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
TESTS = re.findall(r"^```python test\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_python_runs(block: str, helicone: Helicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", urlsplit(helicone.gateway_url).netloc)

    exec(compile(block, "README.md", "exec"), {})  # it is our own


def test_the_ten_lines_send_the_headers_that_their_comments_name(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", urlsplit(helicone.gateway_url).netloc)
    exec(compile(BLOCKS[0], "README.md", "exec"), {})  # it is our own

    (request,) = helicone.requests
    assert {name: value for name, value in request.helicone_headers.items() if name != "Helicone-Session-Id"} == {
        "Helicone-Session-Path": "/research",
        "Helicone-Session-Name": "Trip Planning",
    }


def test_what_is_made_known_by_hand_stands_where_the_text_says(helicone: Helicone) -> None:
    (block,) = [block for block in BLOCKS if "vector_query(" in block]
    exec(compile(block, "README.md", "exec"), {})  # it is our own

    assert helicone.tree() == {"/get_weather": ["tool"], "/search": ["vector_db"], "/shorten": ["data"]}
    assert [span.name for span in helicone.spans] == ["execute_tool get_weather", "search guides", "shorten"]


@pytest.mark.usefixtures("helicone")
def test_the_hooks_of_the_log_do_what_the_text_says() -> None:
    (block,) = [block for block in BLOCKS if "key_for" in block]
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)  # it is our own

    assert names["key_for"](Session("s", user_id="ann")) == "sk-helicone-..."
    assert names["key_for"](Session("s", user_id="eve")) is None
    assert names["redact"]("1234", Where("tool", "inputs", "password")) == "[hidden]"
    assert names["redact"]("Porto", Where("tool", "inputs", "city")) == "Porto"
    assert INSTALLATION.exporter is not None


@pytest.mark.parametrize("block", TESTS)
def test_a_test_shown_to_users_passes_in_ten_lines(block: str, pytester: pytest.Pytester) -> None:
    body = block.partition("def test_")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10

    pytester.makepyfile(block)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_table_of_settings_is_the_codes() -> None:
    shown = README.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]

    assert shown.strip() == render_table()


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:45])

    assert 'pip install -e ".[demo]" && helicone-otel demo' in first_screen
    assert 'pip install -e ".[dev]" && pytest' in first_screen
