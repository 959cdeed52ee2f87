"""The command line as a whole: help, errors, streams that fail, and extras that are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import helicone_otel
from helicone_otel.__main__ import _COMMANDS, main, parsed

WITHOUT_EXTRAS = """
import sys

EXTRAS = {
    "rich", "starlette", "uvicorn", "jinja2", "genai_prices", "xlsx2echarts", "js_lib_tabulator",
    "openai", "mcp", "qdrant_client",
}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from helicone_otel.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def without_extras(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["env", "collector-config"])
def test_a_command_that_needs_no_extra_works_without_one(command: str) -> None:
    code, output, errors = without_extras(command)

    assert (code, bool(output), errors) == (0, True, "")


@pytest.mark.parametrize("command", ["run", "demo", "doctor", "explain", "view", "fake"])
def test_help_needs_no_extra(command: str) -> None:
    code, output, errors = without_extras(command, "--help")

    assert (code, output.startswith(f"usage: helicone-otel {command}"), errors) == (0, True, "")


@pytest.mark.parametrize("arguments", [["run", "--", "python"], ["demo"], ["view"]])
def test_the_packages_that_are_missing_are_named(arguments: list[str]) -> None:
    code, output, errors = without_extras(*arguments)

    assert (code, output) == (2, "")
    assert f'pip install "helicone-otel[{arguments[0]}]"' in errors


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"helicone-otel {version('helicone-otel')}\n"
    assert helicone_otel.__version__ == version("helicone-otel")


def test_the_bare_command_prints_help_with_what_people_want_and_every_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == bare

    wanted = ["demo", "run python app.py", "view", "doctor", "fake"]
    examples = bare.partition("what people want:\n")[2].partition("\n\n")[0]
    assert [line.partition("  helicone-otel ")[2] for line in examples.splitlines()] == wanted
    listed = bare.partition("commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == list(_COMMANDS)


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_error_for_a_wrong_option_shows_the_usage_of_its_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    required = ["spans.json"] if command == "explain" else []

    assert main([command, *required, "--colour"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"usage: helicone-otel {command} ")
    assert errors.splitlines()[-1].startswith(f"helicone-otel {command}: error: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["view", "--prot", "4318"], "--prot (did you mean --port?)"),
        (["run", "--sesion=Trip", "python", "app.py"], "--sesion=Trip (did you mean --session?)"),
        (["env", "--colour"], "--colour"),
    ],
)
def test_an_option_that_does_not_exist_is_met_with_a_similar_one(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"helicone-otel {arguments[0]}: error: unrecognized arguments: {complaint}"
    )


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (["explain", ""], "file"),
        (["explain", "spans.json", "--score", ""], "--score"),
        (["view", ""], "FILE"),
        (["view", "--db", ""], "--db"),
        (["view", "spans.json", "--html", ""], "--html"),
    ],
)
def test_a_variable_that_is_not_set_is_no_file(
    arguments: list[str], argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(arguments)
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"helicone-otel {arguments[0]}: error: argument {argument}: the name of the file is empty"
    )


@pytest.mark.parametrize("option", ["--host", "--allow-host"])
@pytest.mark.parametrize("value", ["", " ", "\udcff", "a b"])
def test_what_is_no_host_is_an_error(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["view", option, value])
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"helicone-otel view: error: argument {option}: {value!r} is no address and no host name"
    )


def test_a_command_that_does_not_exist_is_met_with_a_similar_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docter"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "helicone-otel: error: there is no command 'docter' (did you mean doctor?). helicone-otel --help lists them"
    )
    assert main(["--colour"]) == 2
    assert capsys.readouterr().err.startswith("usage: helicone-otel [--help]")


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["python", "app.py"], ["python", "app.py"]),
        (["--", "python", "app.py"], ["python", "app.py"]),
        (["python", "app.py", "--json", "--", "-x"], ["python", "app.py", "--json", "--", "-x"]),
        (["--json", "--", "python", "-c", "--", "--view"], ["python", "-c", "--", "--view"]),
        (["--json", "--", "--", "x"], ["--", "x"]),
    ],
)
def test_what_follows_the_first_word_of_a_run_belongs_to_the_application(
    arguments: list[str], program: list[str]
) -> None:
    given = parsed(["run", *arguments])

    assert given.program == program
    assert (given.json, given.view) == (arguments[0] == "--json", False)


@pytest.mark.parametrize("arguments", [[], ["--"], ["--json"], ["--json", "--"], [""], ["--", " "]])
def test_a_run_of_nothing_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments]) == 2
    assert capsys.readouterr().err == (
        "usage: helicone-otel run [options] [--] command ...\n"
        "helicone-otel run: error: what should be run? For instance: helicone-otel run python app.py\n"
    )


@pytest.mark.parametrize("arguments", [["collector-config"], ["explain", "none.json"], ["view", "none.json"]])
def test_a_command_that_reads_settings_names_those_that_are_none(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_SESION_ID_ATTRIBUTES", "chat.id")
    if arguments[0] == "view":
        arguments = [*arguments, "--html", "none.html"]

    main(arguments)

    assert capsys.readouterr().err.splitlines()[0] == (
        f"helicone-otel {arguments[0]}: HELICONE_SESION_ID_ATTRIBUTES is not a setting: nothing reads it. "
        "Did you mean HELICONE_SESSION_ID_ATTRIBUTES?"
    )


# --- streams that fail ------------------------------------------------------------------------------


def in_a_shell(script: str, **environ: str) -> tuple[int, str, str]:
    """Run a line of shell, in which `h` is the command."""
    done = subprocess.run(
        ["sh", "-c", f'h() {{ "{sys.executable}" -m helicone_otel "$@"; }}; {script}'],
        capture_output=True,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    assert in_a_shell("h env > /dev/full") == (1, "", "helicone-otel: No space left on device\n")


@pytest.mark.parametrize("command", ["collector-config", "--help"])
def test_a_pipe_whose_reader_is_gone_is_no_error(command: str) -> None:
    code, output, errors = in_a_shell(f"(h {command}; echo $? >&2) | true")

    # A reader that leaves late has read everything.
    assert (code, output) == (0, "")
    assert errors in {"0\n", "1\n"}


def test_closed_streams_are_no_error() -> None:
    assert in_a_shell("h env >&- 2>&- <&-") == (0, "", "")


def test_a_terminal_that_has_no_unicode_gets_escapes() -> None:
    code, output, errors = in_a_shell("h env --markdown", PYTHONIOENCODING="ascii")

    assert (code, errors) == (0, "")
    assert "(Celery, Kafka, \\u2026)" in output


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("helicone_otel.tools.cli.env.render_table", interrupted)

    assert main(["env", "--markdown"]) == 130
