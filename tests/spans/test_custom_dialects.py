"""Users add conventions of their own: as tables in a file, or in code."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helicone_otel import Dialect, Row, Settings, SettingsError
from helicone_otel.__main__ import main
from helicone_otel.spans.custom import read_dialects
from tests.support.documents import block
from tests.support.spans import CHAT, GENAI, App

TABLE = block("toml", "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The table that the documentation shows."""
    (tmp_path / "dialects.toml").write_text(TABLE)
    return tmp_path / "dialects.toml"


def test_the_table_in_the_readme_is_read_into_rows(file: Path) -> None:
    tool = Row(kind="tool", attribute="acme.type", values=frozenset({"tool_call"}), named_by=("acme.tool",))
    agent = Row(kind="agent", names=("run agent *",), templates=("run agent *",))
    acme = Dialect("acme", scopes=("acme.agents",), rows=(tool, agent), session_ids=("acme.conversation",))

    assert Settings.from_environment({"HELICONE_DIALECTS": str(file)}).dialects == (acme,)


def test_json_files_work_too_and_several_files_are_read_in_order(file: Path, tmp_path: Path) -> None:
    rows = [{"kind": "none", "names": ["ping"], "span_kinds": ["CLIENT"], "request": False}]
    (tmp_path / "b.json").write_text(json.dumps({"dialect": [{"name": "b", "scopes": ["b*"], "rows": rows}]}))

    settings = Settings.from_environment({"HELICONE_DIALECTS": f"{file}, {tmp_path / 'b.json'}"})
    assert [dialect.name for dialect in settings.dialects] == ["acme", "b"]
    assert settings.dialects[1].rows == (Row(kind=None, names=("ping",), span_kinds=("CLIENT",), request=False),)


def test_files_with_former_names_of_columns_are_read(tmp_path: Path) -> None:
    rows = [{"kind": "llm", "attribute": "ask", "echo": True, "detached": True}]
    (tmp_path / "old.json").write_text(json.dumps({"dialect": [{"name": "old", "rows": rows}]}))

    (dialect,) = Settings.from_environment({"HELICONE_DIALECTS": str(tmp_path / "old.json")}).dialects
    assert dialect.rows == (Row(kind="llm", attribute="ask", duplicate=True, not_current=True),)


def test_spans_are_labelled_by_a_users_dialect(file: Path) -> None:
    app = App(Settings.from_environment({"HELICONE_DIALECTS": str(file)}))
    with app.span("run agent Planner", {"acme.conversation": "c-1"}, scope="acme.agents"):
        with app.span("x", {"acme.type": "tool_call", "acme.tool": "search_v2"}, scope="acme.agents"):
            pass
        with app.span("tick", scope="acme.agents"):
            pass

    assert {
        name: (label.get("helicone.span.kind"), label["helicone.session.path"]) for name, label in app.labels().items()
    } == {
        "run agent Planner": ("agent", "/Planner"),
        "x": ("tool", "/Planner/search_v2"),
        "tick": (None, "/Planner"),
    }
    assert {label["helicone.session.id"] for label in app.labels().values()} == {"c-1"}


@pytest.mark.parametrize("scopes", [(), (GENAI,)])
def test_a_users_dialect_comes_before_the_built_in_ones(scopes: tuple[str, ...]) -> None:
    mine = Dialect("mine", scopes, rows=(Row(kind="guardrail", attribute="gen_ai.operation.name", segment="check"),))
    app = App(Settings(dialects=(mine,)))
    with app.span("chat", CHAT, scope=GENAI):
        pass
    with app.span("anthropic.messages.create", CHAT, scope="com.anthropic.sdk.python"):
        pass

    kinds = {name: label["helicone.span.kind"] for name, label in app.labels().items()}
    assert kinds == {"chat": "guardrail", "anthropic.messages.create": "llm" if scopes else "guardrail"}


def test_a_users_dialect_without_scopes_keeps_the_applications_own_steps() -> None:
    mine = Dialect("mine", rows=(Row(kind="tool", attribute="acme.tool", templates=("tool *",)),))
    app = App(Settings(dialects=(mine,)))
    with app.span("plan"):
        with app.span("tool search", {"acme.tool": True}):
            pass

    assert {name: where[1] for name, where in app.where().items()} == {"plan": "/plan", "tool search": "/plan/search"}


def test_explain_shows_which_row_of_a_users_dialect_decided(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "run agent Planner",
        "attributes": [{"key": "acme.conversation", "value": {"stringValue": "c-1"}}],
    }
    scoped = {"scope": {"name": "acme.agents"}, "spans": [span]}
    (tmp_path / "spans.json").write_text(json.dumps({"resourceSpans": [{"scopeSpans": [scoped]}]}))
    monkeypatch.setenv("HELICONE_DIALECTS", str(file))

    assert main(["explain", str(tmp_path / "spans.json")]) == 0
    _, head, why, *_ = capsys.readouterr().out.splitlines()
    assert (head.strip(), why.strip()) == (
        "run agent Planner  agent  /Planner",
        "acme, row 2: its name fits run agent *",
    )


ROW = '[[dialect]]\nname = "a"\nscopes = ["s"]\n[[dialect.rows]]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "Invalid value"),
        ("x = 1", "unknown key 'x'; the file may only hold [[dialect]] tables"),
        ("", "expected [[dialect]] tables"),
        ("dialect = 3", "expected [[dialect]] tables"),
        ("dialect = [3]", "dialect 1: expected a table, got 3"),
        ('[[dialect]]\nscopes = ["s"]', "dialect 1: name is missing"),
        ('[[dialect]]\nname = "a"\nscopes = "s"', "dialect 1 (a): scopes: expected a list of texts, got 's'"),
        ('[[dialect]]\nname = "a"\neveryday = "yes"', "dialect 1 (a): everyday: expected true or false, got 'yes'"),
        ("[[dialect]]\nname = 3", "dialect 1: name: expected a text, got 3"),
        ('[[dialect]]\nname = "a"\nrows = 3', "dialect 1 (a): rows: expected [[dialect.rows]] tables"),
        ('[[dialect]]\nname = "a"\nscope = ["s"]', "dialect 1 (a): unknown key 'scope'; did you mean 'scopes'?"),
        (ROW + 'kind = "tol"', "dialect 1 (a): rows: row 1: kind: expected one of workflow, agent, task, tool, "),
        (ROW + 'attribute = "x"', "rows: row 1: kind is missing"),
        (ROW + 'kind = "tool"\nzebra = 1', "rows: row 1: unknown key 'zebra'; the keys are kind, attribute, values, "),
        (ROW + 'kind = "tool"\nnames = ["*a*"]', "a name may contain one *, not several: '*a*'"),
        (
            ROW + 'kind = "tool"\nspan_kinds = ["client"]',
            "expected some of INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER",
        ),
        (ROW + 'kind = "tool"\nattribute = "x"\nmatching = "("', "matching: '(' is no regular expression"),
        (
            ROW.replace('scopes = ["s"]', "") + 'kind = "tool"',
            "a, row 1: the row needs an attribute, or the dialect scopes",
        ),
        ('[[dialect]]\nname = "a"\nscopes = ["s"]\nplumbing = "("', "a: plumbing: '(' is no regular expression"),
        ('[[dialect]]\nname = "a"\nscopes = ["s"]\nclass_names = "["', "a: class_names: '[' is no regular expression"),
        ('[[dialect]]\nname = "a"\nplumbing = "x"', "a: plumbing: the dialect needs scopes"),
        ('[[dialect]]\nname = "a"\nmade_up_ids = ["x"]', "a: made_up_ids: the dialect needs scopes"),
        ('[[dialect]]\nname = "gen_ai"', "'gen_ai' is blank or already taken"),
        ('[[dialect]]\nname = "a"\n[[dialect]]\nname = "a"', "'a' is blank or already taken"),
    ],
)
def test_an_error_names_the_variable_and_the_position_in_the_file(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "dialects.toml"
    file.write_text(text)

    with pytest.raises(SettingsError) as error:
        Settings.from_environment({"HELICONE_DIALECTS": str(file)})
    assert message in str(error.value)
    assert "HELICONE_DIALECTS" in str(error.value)


def test_a_missing_file_and_a_file_without_an_object_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.toml: No such file or directory"):
        read_dialects(tmp_path / "nothing.toml")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"list\.json: expected an object"):
        read_dialects(tmp_path / "list.json")


@pytest.mark.parametrize("wrong", ["acme.toml", ("acme.toml",), [Dialect("a")]])
def test_code_must_pass_a_tuple_of_dialects(wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"dialects \(HELICONE_DIALECTS\): expected a tuple of Dialect"):
        Settings(dialects=wrong)


def test_an_error_in_a_file_that_the_environment_names_is_logged_as_one_line(tmp_path: Path) -> None:
    (tmp_path / "dialects.toml").write_text(ROW + 'kind = "tol"')
    code = (
        "import logging; logging.basicConfig(format='%(message)s')\n"
        "from helicone_otel.install.instrumentor import HeliconeInstrumentor\n"
        "HeliconeInstrumentor().instrument(); print('runs on')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"HELICONE_DIALECTS": str(tmp_path / "dialects.toml")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.stdout, run.returncode) == ("runs on\n", 0)
    (line,) = run.stderr.splitlines()
    assert line.startswith(
        f"helicone-otel is off: HELICONE_DIALECTS: {tmp_path / 'dialects.toml'}: dialect 1 (a): rows: "
    )
    assert logging.getLogger("helicone_otel").handlers == []


def test_a_dialect_of_a_user_names_its_plumbing_and_its_made_up_ids(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[dialect]]\nname = "a"\nscopes = ["acme"]\nplumbing = "Base\\\\w+"\nclass_names = "Chain"\n'
        'given_names = ["acme.name"]\nmade_up_ids = ["session.id"]\n[[dialect.rows]]\nkind = "task"\n'
    )
    app = App(Settings(dialects=read_dialects(tmp_path / "a.toml"), session_id="nightly"))
    made_up = {"session.id": "01a203b9-0094-77c0-aeb2-55a55d033584"}
    with app.span("Chain", {"acme.name": "Chain", **made_up}, scope="acme"), app.span("BaseRun", scope="acme"):
        with app.chat():
            pass
    with app.span("Chain", scope="acme"), app.span("work", scope="acme"):
        pass

    assert app.where()["chat gpt-4o"] == ("nightly", "/Chain")
    assert app.where()["work"] == ("nightly", "/work")
