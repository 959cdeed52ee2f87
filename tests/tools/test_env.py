"""`helicone-otel env`: the settings in force, and where each comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from helicone_otel.__main__ import main
from helicone_otel.settings import SETTINGS, render_table

FILE = """
file_format: "1.0"
instrumentation/development:
  python: {helicone: {session_name: From file, gateway_hosts: [a.test, b.test], api_key: "${THE_KEY}", log: true}}
"""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in SETTINGS:
        monkeypatch.delenv(row.variable, raising=False)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, tuple[str, str]], str]:
    """Return what was printed: source and value of each setting, and the text after the settings."""
    table, _, rest = capsys.readouterr().out.partition("\n\n")
    rows = [[part for part in line.split("  ") if part] for line in table.splitlines()]
    return {name: (source.strip(), value.strip()) for name, source, value in rows}, rest


def test_each_setting_has_its_value_and_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_SESSION_NAME", "Trip  Planning ")
    monkeypatch.setenv("HELICONE_LOG", "Yes")
    monkeypatch.setenv("HELICONE_API_KEY", "sk-helicone-1234567-1234567-1234567-1234567")

    assert main(["env"]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert [line.split()[0] for line in lines] == [row.variable for row in SETTINGS]
    assert lines[0].endswith("  environment  Trip  Planning")
    by_name = {line.split()[0]: line.split()[1:] for line in lines}
    assert by_name["HELICONE_SESSION_ID"] == ["default", "(not", "set)"]
    assert by_name["HELICONE_SESSION_FALLBACK"] == ["default", "trace"]
    assert by_name["HELICONE_LOG"] == ["environment", "true"]
    assert by_name["HELICONE_API_KEY"] == ["environment", "***"]
    assert "1234567" not in output


def test_the_name_of_sessions_comes_from_the_service_if_it_has_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")

    assert main(["env"]) == 0
    assert printed(capsys)[0]["HELICONE_SESSION_NAME"] == ("default", "shop (service.name)")


def test_a_configuration_file_is_a_source_of_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="nothing reads configuration files")
    (tmp_path / "otel.yaml").write_text(FILE)
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(tmp_path / "otel.yaml"))
    monkeypatch.setenv("THE_KEY", "sk-helicone-7654321")
    monkeypatch.setenv("HELICONE_LOG", "false")

    assert main(["env"]) == 0
    rows, _ = printed(capsys)
    assert {name: row for name, row in rows.items() if row[0] != "default"} == {
        "HELICONE_SESSION_NAME": ("configuration file", "From file"),
        "HELICONE_GATEWAY_HOSTS": ("configuration file", "a.test,b.test"),
        "HELICONE_API_KEY": ("configuration file", "***"),
        "HELICONE_LOG": ("environment", "false"),
    }


def test_a_configuration_file_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="nothing reads configuration files")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(tmp_path / "none.yaml"))

    assert main(["env"]) == 2
    output, errors = capsys.readouterr()
    assert len(output.splitlines()) == len(SETTINGS)
    (line,) = errors.splitlines()
    assert line.startswith("helicone-otel env: OTEL_CONFIG_FILE: none.yaml cannot be read: ")


def test_names_that_look_like_settings_follow_with_what_is_probably_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_SESION_NAME", "Trip")
    monkeypatch.setenv("HELICONE_LOG_COLOUR", "red")

    assert main(["env"]) == 0
    assert printed(capsys)[1] == (
        "HELICONE_LOG_COLOUR is not a setting: nothing reads it.\n"
        "HELICONE_SESION_NAME is not a setting: nothing reads it. Did you mean HELICONE_SESSION_NAME?\n"
    )


def test_all_values_that_cannot_be_used_are_named_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HELICONE_LOG", "maybe")
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", "https://me:secret@gw.test/")
    monkeypatch.setenv("HELICONE_DIALECTS", str(tmp_path / "none.toml"))

    assert main(["env"]) == 2
    output, errors = capsys.readouterr()
    assert output.count("(cannot be used)") == 3
    assert [line.split(": ")[1] for line in errors.splitlines()] == [
        "HELICONE_GATEWAY_HOSTS",
        "HELICONE_DIALECTS",
        "HELICONE_LOG",
    ]
    assert "secret" not in errors


def test_the_table_of_the_documentation_is_printed_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--markdown"]) == 0
    assert capsys.readouterr().out == render_table() + "\n"
