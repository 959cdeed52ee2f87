"""Every row of the table of settings, from the environment and from code."""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

import pytest

from helicone_otel import Settings, SettingsError
from helicone_otel.settings import SETTINGS, Setting, content_of, misspelt_variables, render_table
from helicone_otel.wire import REQUEST_KINDS


class Case(NamedTuple):
    """The values that a setting accepts and refuses."""

    default: object
    good: dict[str, object]
    """Texts in the environment, and their values."""
    bad: dict[str, str]
    """Texts in the environment, and a part of the error message."""
    wrong: dict[str, object]
    """Parts of the error message, and values in code."""


FLAG_GOOD: dict[str, object] = {
    "true": True,
    "1": True,
    "YES": True,
    " on ": True,
    "false": False,
    "0": False,
    "No": False,
}
FLAG_BAD = {"maybe": "'maybe' is neither true nor false", "2": "'2' is neither", "truefalse": "'truefalse' is neither"}
FLAG_WRONG: dict[str, object] = {"expected True or False, got 1": 1, "got 'true'": "true", "got None": None}
NAMES_GOOD: dict[str, object] = {"a": ("a",), "a.b, c_d ,, e": ("a.b", "c_d", "e"), ",": ()}
NAMES_WRONG: dict[str, object] = {
    "expected a tuple of names, got 'a'": "a",
    "got ['a']": ["a"],
    "got (5,)": (5,),
    "got ('a', ' ')": ("a", " "),
    "got None": None,
}
HOSTS_GOOD: dict[str, object] = {
    "gw.test": ("gw.test",),
    "gw.test:8080, .inside.test,*.wide.test": ("gw.test:8080", ".inside.test", "*.wide.test"),
    "LOCALHOST": ("LOCALHOST",),
    "[::1]:80": ("[::1]:80",),
}
HOSTS_BAD = {
    "https://gw.test": "'https://gw.test' is not a host, host:port or .suffix (no scheme, no path)",
    "gw.test/v1": "'gw.test/v1' is not a host",
    "*": "'*' is not a host",
    ".": "is not a host",
    "gw.test, me@gw.test": "'…@gw.test' is not a host",
    "gẃ.test": "'gẃ.test' is not a host",
}
TEXT_WRONG: dict[str, object] = {
    "expected a text that is not blank, got 5": 5,
    "got ''": "",
    "got ' '": " ",
    "got b'a'": b"a",
}

CASES = {
    "session_name": Case(None, {"Trip Planning": "Trip Planning", " x ": "x", "é🚀": "é🚀"}, {}, TEXT_WRONG),
    "session_id": Case(None, {"job-7": "job-7", "7": "7"}, {}, TEXT_WRONG),
    "session_path": Case(
        "/",
        {"/": "/", "/jobs/nightly": "/jobs/nightly"},
        {"jobs": "a session path must start with '/': write '/jobs', not 'jobs'"},
        {
            "a session path must be a str such as '/review', not NoneType": None,
            "a session path must start with '/': write '/', not ''": "",
        },
    ),
    "session_id_attributes": Case((), NAMES_GOOD, {}, NAMES_WRONG),
    "session_name_attributes": Case((), NAMES_GOOD, {}, NAMES_WRONG),
    "session_fallback": Case(
        "trace",
        {"trace": "trace", "None": "none", " NONE ": "none"},
        {"session": "expected one of trace, none, got 'session'", "true": "got 'true'"},
        {"expected one of trace, none, got None": None, "got 'TRACE'": "TRACE", "got True": True},
    ),
    "session_sampling_ratio": Case(
        1.0,
        {"0.25": 0.25, "0": 0.0, " 1 ": 1.0, "1e-3": 0.001},
        {"a quarter": "'a quarter' is not a number", "2": "expected a number from 0 to 1, got 2.0", "nan": "got nan"},
        {"expected a number from 0 to 1, got True": True, "got '0.5'": "0.5", "got -0.5": -0.5, "got None": None},
    ),
    "user_id_attributes": Case((), NAMES_GOOD, {}, NAMES_WRONG),
    "property_attributes": Case(
        (),
        {"Plan=app.plan": ("Plan=app.plan",), "a=b, c = d": ("a=b", "c = d")},
        {
            "app.plan": "'app.plan' is not <property>=<attribute>, as in 'Plan=app.plan'",
            "Plan=": "'Plan=' is not",
            "My Plan=app.plan": "'My Plan=app.plan' is not",
            ",".join(f"p{number}=a" for number in range(17)): "expected at most 16 properties, got 17",
        },
        {**NAMES_WRONG, "'plan' is not <property>=<attribute>": ("plan",)},
    ),
    "gateway_hosts": Case((), HOSTS_GOOD, HOSTS_BAD, {**NAMES_WRONG, "'a b' is not a host": ("a b",)}),
    "propagate_hosts": Case((), HOSTS_GOOD, HOSTS_BAD, {**NAMES_WRONG, "'a b' is not a host": ("a b",)}),
    "utf8_hosts": Case(
        (".helicone.ai", ".hconeai.com"),
        {**HOSTS_GOOD, "none": ("none",)},
        HOSTS_BAD,
        {**NAMES_WRONG, "'a b' is not a host": ("a b",)},
    ),
    "propagate_messaging": Case(False, FLAG_GOOD, FLAG_BAD, FLAG_WRONG),
    "accept_inbound": Case(False, FLAG_GOOD, FLAG_BAD, FLAG_WRONG),
    "application_spans": Case(True, FLAG_GOOD, FLAG_BAD, FLAG_WRONG),
    "plumbing": Case(
        "skip",
        {"skip": "skip", " KEEP ": "keep"},
        {"none": "expected one of skip, keep, got 'none'"},
        {"expected one of skip, keep, got None": None, "got True": True},
    ),
    "attributes": Case(
        ("session", "gen_ai", "user", "sdk"),
        {"session": ("session",), "user, session": ("user", "session"), "none": ("none",)},
        {"session,openinference": "expected some of session, gen_ai, user, sdk or none, got 'openinference'"},
        {**NAMES_WRONG, "got 'all'": ("all",)},
    ),
    "capture_headers": Case(False, FLAG_GOOD, FLAG_BAD, FLAG_WRONG),
    # What a file may hold is tested in `test_custom_dialects`.
    "dialects": Case(
        (),
        {",": ()},
        {"/no/such.toml": "/no/such.toml: No such file or directory"},
        {"expected a tuple of Dialect, got 'a.toml'": "a.toml", "got ('a.toml',)": ("a.toml",), "got None": None},
    ),
    "log": Case(False, FLAG_GOOD, FLAG_BAD, FLAG_WRONG),
    # The form of the key is checked when the log is switched on.
    "api_key": Case(
        None,
        {"sk-helicone-x": "sk-helicone-x"},
        {},
        {"expected a text that is not blank": 5, "is not blank": " "},
    ),
    "log_kinds": Case(
        (),
        {"tool": ("tool",), "llm, vector_db": ("llm", "vector_db")},
        {
            "agent": "expected some of data, embedding, guardrail, llm, rerank, tool, vector_db, got 'agent'",
            "tool,Tool": "got 'Tool'",
        },
        {**NAMES_WRONG, "got 'workflow'": ("workflow",)},
    ),
    "log_content": Case(
        ("all",),
        {"all": ("all",), "none": ("none",), "inputs, tool.outputs": ("inputs", "tool.outputs")},
        {
            "some": "expected all, none, inputs, outputs, or kinds such as tool or tool.inputs, got 'some'",
            "agent": "got 'agent'",
            "agent.inputs": "got 'agent.inputs'",
            "tool.input": "got 'tool.input'",
            "inputs.tool": "got 'inputs.tool'",
        },
        {**NAMES_WRONG, "got 'everything'": ("everything",)},
    ),
    "log_endpoint": Case(
        None,
        {"https://log.test": "https://log.test", "http://localhost:8788/": "http://localhost:8788/"},
        {
            "log.test": "'log.test' is not an address such as 'https://api.worker.helicone.ai'",
            "ftp://log.test": "is not an address",
            "https://": "is not an address",
            "https://log.test:port": "is not an address",
            "https://me:secret@log.test": "'https://…@log.test' may have no user",
            "https://log.test/?a=b": "may have no user, query or fragment",
            "https://log test": "expected an address",
            "https://lög.test": "expected an address",
        },
        {"expected an address": 5, "is not an address": ""},
    ),
    "api_endpoint": Case(
        None,
        {"https://api.test": "https://api.test"},
        {"api.test": "'api.test' is not an address"},
        {"expected an address": 5},
    ),
    "log_http_hosts": Case((), HOSTS_GOOD, HOSTS_BAD, {**NAMES_WRONG, "'a b' is not a host": ("a b",)}),
}

by_field = {row.field: row for row in SETTINGS}
good = [(field, text, value) for field, case in CASES.items() for text, value in case.good.items()]
bad = [(field, text, message) for field, case in CASES.items() for text, message in case.bad.items()]
wrong = [(field, message, value) for field, case in CASES.items() for message, value in case.wrong.items()]


def test_the_table_has_a_row_for_each_field_in_order_and_so_do_these_tests() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]

    assert [row.field for row in SETTINGS] == fields
    assert list(CASES) == fields


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.field)
def test_a_variable_is_named_like_its_field_and_has_a_meaning(row: Setting) -> None:
    assert row.variable == "HELICONE_" + row.field.upper()
    assert row.meaning.endswith(".")


def test_without_any_variable_everything_is_as_documented() -> None:
    defaults = {field: case.default for field, case in CASES.items()}

    assert dataclasses.asdict(Settings()) == defaults
    assert Settings.from_environment({}) == Settings.from_environment() == Settings()
    assert Settings.from_environment({row.variable: " " for row in SETTINGS}) == Settings()


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.field)
def test_the_default_that_is_documented_is_the_default(row: Setting) -> None:
    default = CASES[row.field].default
    code = re.fullmatch(r"`([^`]*)`", row.default)

    if code is not None:
        assert row.parse(code[1]) == default
    else:
        assert default in {None, ()}


@pytest.mark.parametrize(("field", "text", "value"), good)
def test_a_good_value_means_what_is_documented(field: str, text: str, value: object) -> None:
    settings = Settings.from_environment({by_field[field].variable: text, "HELICONE_OTHER": "x"})

    assert settings == Settings(**{field: value})  # type: ignore[arg-type]
    assert getattr(settings, field) == value


@pytest.mark.parametrize(("field", "text", "message"), bad)
def test_the_error_for_a_bad_value_names_its_variable_and_the_values_that_fit(
    field: str, text: str, message: str
) -> None:
    variable = by_field[field].variable

    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({variable: text})

    assert variable in str(refused.value)
    assert message in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(("field", "message", "value"), wrong)
def test_the_error_for_a_wrong_value_in_code_names_its_field(field: str, message: str, value: object) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(**{field: value})  # type: ignore[arg-type]

    assert str(refused.value).startswith(f"{field} ({by_field[field].variable}): ")
    assert message in str(refused.value)


@pytest.mark.parametrize("field", ["session_path", "session_fallback", "accept_inbound", "attributes"])
def test_a_huge_wrong_value_does_not_flood_the_log(field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({by_field[field].variable: "x" * 100_000})

    assert len(str(refused.value)) < 300


def test_settings_are_read_from_the_process_when_nothing_else_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_SESSION_NAME", "Nightly")

    assert Settings.from_environment() == Settings(session_name="Nightly")


def test_the_first_bad_value_of_several_is_named() -> None:
    with pytest.raises(SettingsError, match="HELICONE_ACCEPT_INBOUND"):
        Settings.from_environment({"HELICONE_CAPTURE_HEADERS": "perhaps", "HELICONE_ACCEPT_INBOUND": "perhaps"})


def test_options_of_a_configuration_file_are_values_unless_a_variable_is_set() -> None:
    options = {
        "session_name": "From file",
        "session_path": None,
        "gateway_hosts": ["a.test", "b.test"],
        "session_sampling_ratio": 0.5,
        "accept_inbound": True,
        "skip_dep_check": True,
    }

    assert Settings.from_environment({"HELICONE_SESSION_NAME": "Nightly"}, options) == Settings(
        session_name="Nightly", gateway_hosts=("a.test", "b.test"), session_sampling_ratio=0.5, accept_inbound=True
    )


def test_a_bad_setting_of_the_log_does_no_harm_where_the_log_is_not_wanted() -> None:
    environ = {"HELICONE_LOG": "maybe", "HELICONE_LOG_KINDS": "lmm", "HELICONE_SESSION_NAME": "Nightly"}

    assert Settings.from_environment(environ, log=False) == Settings(session_name="Nightly")
    with pytest.raises(SettingsError, match="HELICONE_SESSION_FALLBACK"):
        Settings.from_environment({**environ, "HELICONE_SESSION_FALLBACK": "maybe"}, log=False)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HELICONE_SESION_NAME", "HELICONE_SESSION_NAME"),
        ("HELCIONE_API_KEY", "HELICONE_API_KEY"),
        ("helicone_log", "HELICONE_LOG"),
        ("HELICONE_GATEWAY_HOST", "HELICONE_GATEWAY_HOSTS"),
        ("HELICONE_KEY", "HELICONE_API_KEY"),
        ("HELICONE_SESSION_COLOUR", ""),
    ],
)
def test_a_name_that_looks_like_a_setting_and_is_none_is_found(name: str, meant: str) -> None:
    environ = ["PATH", "HELP", "HELICONE_LOG", name]

    assert list(misspelt_variables(environ)) == [(name, meant)]


@pytest.mark.parametrize(
    "name", ["HELICONE_API_BASE", "HELICONE_API_URL", "HELICONE_SERVICE_HOST", "HELM_HOME", "HELICONE_RUN_LOG"]
)
def test_a_name_of_other_software_is_not_taken_for_a_misspelt_setting(name: str) -> None:
    assert list(misspelt_variables([name])) == []


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.variable)
def test_no_setting_is_taken_for_a_misspelt_one(row: Setting) -> None:
    assert list(misspelt_variables([row.variable])) == []


def test_what_is_not_the_default_is_told_without_the_key() -> None:
    settings = Settings(
        session_name="Nightly", api_key="sk-helicone-1", log=True, log_kinds=("tool", "llm"), session_sampling_ratio=0.5
    )

    assert Settings().changed() == ""
    assert settings.changed() == (
        "HELICONE_SESSION_NAME=Nightly, HELICONE_SESSION_SAMPLING_RATIO=0.5, HELICONE_LOG=true, HELICONE_API_KEY=***, "
        "HELICONE_LOG_KINDS=tool,llm"
    )


def test_settings_are_a_value_and_are_given_by_name() -> None:
    settings = Settings(session_name="Nightly")

    assert settings == Settings(session_name="Nightly")
    assert hash(settings) == hash(Settings(session_name="Nightly"))
    assert dataclasses.replace(settings, session_name=None) == Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.session_name = "Daily"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del settings.session_name
    with pytest.raises(TypeError):
        Settings("Nightly")  # type: ignore[misc]


def test_the_table_is_rendered_as_markdown_with_a_line_for_each_setting() -> None:
    first, second, *lines = render_table().splitlines()

    assert first == "| variable | default | meaning |"
    assert second == "|---|---|---|"
    assert lines == [f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in SETTINGS]
    assert {line.count("|") for line in lines} == {4}


def test_the_repr_hides_the_key_and_without_log_removes_the_settings_of_the_log() -> None:
    settings = Settings(
        api_key="sk-helicone-secrets-arenice-tokeepp-forever", log=True, log_kinds=("tool",), session_name="Nightly"
    )

    assert "secret" not in repr(settings)
    assert settings.without_log() == Settings(session_name="Nightly")


@pytest.mark.parametrize(
    ("entries", "inputs", "outputs"),
    [
        ("all", REQUEST_KINDS, REQUEST_KINDS),
        ("none", frozenset(), frozenset()),
        ("outputs", frozenset(), REQUEST_KINDS),
        ("inputs,tool", REQUEST_KINDS, frozenset({"tool"})),
        ("llm,tool.inputs", frozenset({"llm", "tool"}), frozenset({"llm"})),
        ("vector_db.outputs", frozenset(), frozenset({"vector_db"})),
    ],
)
def test_content_is_allowed_by_side_and_by_kind(entries: str, inputs: frozenset[str], outputs: frozenset[str]) -> None:
    assert content_of(entries.split(",")) == {"inputs": inputs, "outputs": outputs}


def test_every_default_passes_its_own_check() -> None:
    defaults = Settings()

    for setting in SETTINGS:
        setting.check(getattr(defaults, setting.field))
