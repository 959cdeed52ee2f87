"""collector-config.yaml is the output of the command, and the documentation describes it correctly."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from helicone_otel import Settings
from helicone_otel.__main__ import main
from helicone_otel.collector.config import VARIABLES, full_config, render_variables, session_processors
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.reader import SpanReader
from helicone_otel.wire import KINDS, first_text
from tests.support import otelcol as bench
from tests.support.documents import PAGES, block, part
from tests.support.otelcol import CONFIG, request, running, span
from tests.support.paths import REPOSITORY
from tests.support.sink import http_sink

TEXT = CONFIG.read_text()
MANIFEST = yaml.safe_load((REPOSITORY / "tests" / "collector" / "builder.yaml").read_text())
COMMANDS = [
    command
    for page in PAGES.values()
    for command in re.findall(r"^(?:[A-Z_]+=\S+ )*otelcol-contrib --config .*$", page, re.MULTILINE)
]
USED = r"\$\{env:(\w+)(?::-([^}]*))?\}"


def test_the_file_is_the_output_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collector-config"]) == 0

    assert capsys.readouterr().out == TEXT == full_config(Settings())


def test_the_file_names_every_attribute_of_every_dialect_in_the_librarys_order() -> None:
    reader = SpanReader(DIALECTS)
    first = r'set\(span\.cache\["{}"\], span\.attributes\["([^"]+)"\]\)'

    assert re.findall(first.format("id"), TEXT) == ["helicone.session.id", *reader.session_ids]
    assert re.findall(first.format("user"), TEXT) == list(reader.user_ids)
    assert re.findall(first.format("model"), TEXT) == 2 * list(reader.models)
    assert set(re.findall(r'set\(span\.cache\["kind"\], "(\w+)"\)', TEXT)) <= KINDS | {"none"}


def test_settings_add_the_users_attributes_and_dialects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = '[[dialect.rows]]\nkind = "tool"\nattribute = "acme.t"\n'
    (tmp_path / "acme.toml").write_text(f'[[dialect]]\nname = "acme"\nsession_ids = ["acme.talk"]\n{rows}')
    monkeypatch.setenv("HELICONE_DIALECTS", str(tmp_path / "acme.toml"))
    monkeypatch.setenv("HELICONE_SESSION_ID_ATTRIBUTES", "http.request.header.x_conversation_id")
    assert main(["collector-config", "--processors"]) == 0

    printed = capsys.readouterr().out
    ids = re.findall(r'set\(span\.cache\["id"\], span\.attributes\["([^"]+)"\]', printed)
    assert list(dict.fromkeys(ids))[:3] == ["helicone.session.id", "http.request.header.x_conversation_id", "acme.talk"]
    assert re.findall(r'set\(span\.cache\["kind"\], "tool"\).*', printed)[0].endswith(
        'span.attributes["acme.t"] != nil'
    )


def test_an_attribute_name_with_special_characters_of_yaml_ottl_or_the_collector_is_escaped() -> None:
    name = """a: 'b' #c "d" \\e ${env:F}"""
    printed = yaml.safe_load(session_processors(Settings(session_id_attributes=(name,))))
    (statement,) = [
        line
        for group in printed["processors"]["transform/session"]["trace_statements"]
        for line in group["statements"]
        if "a: " in line and "Len" not in line
    ]

    path = r"""span.attributes["a: 'b' #c \"d\" \\e $${env:F}"]"""
    assert statement.startswith(f'set(span.cache["id"], {path}) where {path} != nil and span.cache["id"] == nil')


def test_a_setting_that_cannot_be_used_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_SESSION_FALLBACK", "perhaps")

    assert main(["collector-config"]) == 2
    assert "HELICONE_SESSION_FALLBACK" in capsys.readouterr().err


def test_the_table_lists_every_variable_with_its_default() -> None:
    used = dict(re.findall(USED, TEXT))

    assert used == {variable.name: variable.default for variable in VARIABLES}
    assert part("collector variables") == render_variables()


def test_no_variable_has_two_defaults() -> None:
    assert len(set(re.findall(USED, TEXT))) == len(VARIABLES)


def test_the_documentation_names_the_version_that_the_tests_build() -> None:
    (version,) = set(re.findall(r"opentelemetry-collector-contrib:(\d+\.\d+\.\d+)", "".join(PAGES.values())))

    assert version == MANIFEST["dist"]["version"]
    assert f"tested with {version}" in TEXT
    assert {part["gomod"].rpartition(" v")[2] for part in MANIFEST["processors"]} == {version}


def test_the_block_to_paste_is_the_output_of_the_command() -> None:
    assert block("yaml", "processors") == session_processors(Settings())


def _kubernetes(folder: Path) -> Path:
    """Return the configuration of the shown resource with the block pasted where it says."""
    config = yaml.safe_load(block("yaml", "kubernetes"))["spec"]["config"]
    config["processors"] |= yaml.safe_load(block("yaml", "processors"))["processors"]
    path = folder / "kubernetes.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def test_the_processors_alone_work_in_an_existing_collector(otelcol: str, tmp_path: Path) -> None:
    config = _kubernetes(tmp_path)
    done = subprocess.run(
        [otelcol, "validate", "--config", config], capture_output=True, text=True, check=False, env={}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    with http_sink() as sink:
        changes = {"exporters": {"otlp_http": {"endpoint": sink.url}}}
        with running(otelcol, tmp_path, {}, changes, config) as collector:
            collector.send(request([span("a", {"langfuse.session.id": "\u00e9", "gen_ai.headers": "x"})]))
            sink.received.wait_for(1)

    assert sink.received.attributes()["a"] == {
        "langfuse.session.id": "\u00e9",
        "session.id": "\u00e9",
        "helicone.session.id": "é",
        "helicone.session.name": "shop",
        "gen_ai.headers": "****",
    }


def test_without_a_collector_tests_are_skipped_and_in_ci_they_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OTELCOL_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bench, "_BUILT", tmp_path / "built")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"python tests/collector/build\.py"):
        bench.found_or_skipped()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="there is no collector"):
        bench.found_or_skipped()

    (tmp_path / "built").touch()
    assert bench.found_or_skipped() == str(tmp_path / "built")
    (tmp_path / "otelcol").touch(mode=0o755)
    assert bench.found_or_skipped() == str(tmp_path / "otelcol")
    monkeypatch.setenv("OTELCOL_BIN", "/opt/otelcol")
    assert bench.found_or_skipped() == "/opt/otelcol"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_that_is_shown_without_a_container_is_valid(command: str, otelcol: str, tmp_path: Path) -> None:
    (tmp_path / "otelcol-contrib").symlink_to(otelcol)
    command = command.replace("otelcol-contrib", "otelcol-contrib validate")
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(command, shell=True, cwd=REPOSITORY, env={"PATH": path}, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_users_attribute_that_is_a_list_of_one_value_names_the_session_as_in_the_library(
    otelcol: str, tmp_path: Path
) -> None:
    header = "http.request.header.x_conversation_id"
    config = tmp_path / "own.yaml"
    config.write_text(yaml.safe_dump(_with_own(header)))
    values: list[object] = [["c-1"], ["a", "b"], [], [7], [" "], [True], "c-2"]
    with http_sink() as sink:
        changes = {"exporters": {"otlp_http": {"endpoint": sink.url}}}
        with running(otelcol, tmp_path, {}, changes, config) as collector:
            spans = [span(str(n), {header: value, "session.id": "s-1"}) for n, value in enumerate(values)]
            collector.send(request(spans))
            sink.received.wait_for(len(values))
            assert collector.warnings() == []

    arrived = sink.received.attributes()
    assert [arrived[str(n)]["helicone.session.id"] for n in range(len(values))] == [
        first_text({header: value, "session.id": "s-1"}, (header, "session.id")) for value in values
    ]


def _with_own(header: str) -> dict[str, object]:
    config = yaml.safe_load(block("yaml", "kubernetes"))["spec"]["config"]
    own = Settings(session_id_attributes=(header,), session_name_attributes=(header,), user_id_attributes=(header,))
    config["processors"] |= yaml.safe_load(session_processors(own))["processors"]
    return dict(config)
