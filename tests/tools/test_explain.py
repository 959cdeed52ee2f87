"""`helicone-otel explain`: the labels of the spans in a file, and the rows that decided them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from helicone_otel import Settings, data, session, step, tool, vector_query
from helicone_otel.__main__ import main
from helicone_otel.testing import Helicone
from tests.support import replay
from tests.support.documents import lines, part
from tests.support.paths import REPOSITORY, TESTS
from tests.support.spans import GENAI, App, with_hex_ids


class Explained:
    """The output of the command for a file."""

    def __init__(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "--json", str(file)]) == 0
        self.spans: list[dict[str, Any]] = json.loads(capsys.readouterr().out)

    def fields(self, *names: str) -> dict[str, Any]:
        """Return fields of the spans by the names of the spans; a single field without a tuple around it."""
        rows = {span["name"]: tuple(span[name] for name in names) for span in self.spans}
        return {name: row[0] if len(names) == 1 else row for name, row in rows.items()}


def collected(app: App) -> dict[str, Any]:
    """Return what an app exported as the Collector writes it: OTLP's JSON has its ids in hex."""
    return with_hex_ids(MessageToDict(encode_spans(app.exporter.get_finished_spans())))


def span(number: int, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span of OTLP's JSON; its attributes are texts."""
    attributes: Mapping[str, str] = fields.pop("attributes", {})
    parents = {} if parent is None else {"parentSpanId": f"{parent:016x}"}
    return {
        "traceId": f"{1:032x}",
        "spanId": f"{number:016x}",
        **parents,
        "name": f"step {chr(96 + number)}",
        "kind": 1,
        "startTimeUnixNano": str(number),
        "endTimeUnixNano": "1000",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        **fields,
    }


def request(*spans: dict[str, Any], scope: str = "my.app") -> dict[str, Any]:
    """Return an export request of OTLP's JSON."""
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]}


CHAT = {"gen_ai.operation.name": "chat"}


# --- labels -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["genai_openai_agents_plus_openai", "tl_sdk_decorators", "oi_langchain"])
def test_explain_agrees_with_the_replay_of_a_recording(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = {
        one["span_id"]: (one["kind"], one["path"] or "/", one["request"])
        for one in Explained(replay.RECORDINGS / f"{name}.json", capsys).spans
    }

    outcomes = replay.replay(replay.load(name))
    assert told == {key: (outcome.kind, outcome.path, outcome.request) for key, outcome in outcomes.items()}


def test_explain_names_the_dialect_and_row_that_decided_or_why_none_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App()
    with app.span("plan trip"):
        with app.span("chat gpt-4o", CHAT, scope=GENAI, kind=trace.SpanKind.CLIENT):
            with app.span(
                "POST", {"url.full": "https://oai.helicone.ai/v1/chat"}, scope="h", kind=trace.SpanKind.CLIENT
            ):
                pass
        with app.span("GET", {"url.full": "https://oai.helicone.ai/v1/x?key=1"}, scope="h", kind=trace.SpanKind.CLIENT):
            pass
    (tmp_path / "spans.json").write_text(json.dumps(collected(app)))

    told = Explained(tmp_path / "spans.json", capsys).fields("kind", "dialect", "why")
    unknown = "no row fits, and no dialect knows the scope 'h'; a CLIENT span is no step of the application's"
    gateway = "a request to a Helicone gateway with no LLM span above it: https://oai.helicone.ai/v1/x"
    own = "an INTERNAL span of the application: its scope is not an instrumentation library"
    assert told == {
        "plan trip": ("task", "application", own),
        "chat gpt-4o": ("llm", "gen_ai", "gen_ai.operation.name is chat"),
        "POST": (None, None, unknown),
        "GET": ("llm", "gateway", gateway),
    }
    rows = Explained(tmp_path / "spans.json", capsys).fields("row", "facts")
    assert rows["chat gpt-4o"][0] == 1
    assert rows["chat gpt-4o"][1]["attribute"] == "gen_ai.operation.name"
    assert rows["POST"] == (None, {})


def test_our_own_label_in_a_file_is_not_taken_for_one_that_the_user_set(
    helicone: Helicone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with session("Trip", id="s-1"), step("research"), tool("weather"), vector_query("docs"), data("check"):
        pass
    document = with_hex_ids(MessageToDict(encode_spans(helicone.spans)))
    (tmp_path / "spans.json").write_text(json.dumps(document))

    told = Explained(tmp_path / "spans.json", capsys).fields("kind", "path", "session_id", "request", "dialect")
    assert told == {
        "execute_tool weather": ("tool", "/weather", "s-1", True, "helicone"),
        "search docs": ("vector_db", "/weather/search", "s-1", True, "helicone"),
        "check": ("data", "/weather/search/check", "s-1", True, "helicone"),
    }
    assert main(["explain", str(tmp_path / "spans.json")]) == 0
    assert "in the file its path is /research/weather, from a step() or a header" in capsys.readouterr().out


def test_a_kind_that_the_user_set_is_explained_as_set_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spans.json").write_text(json.dumps(request(span(1, attributes={"helicone.span.kind": "tool"}))))

    told = Explained(tmp_path / "spans.json", capsys).fields("kind", "dialect", "why")
    assert told == {"step a": ("tool", "by hand", "helicone.span.kind was set by hand")}


def test_a_wrapper_is_explained_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spans.json").write_text(json.dumps(request(span(1, attributes=CHAT), span(2, 1, attributes=CHAT))))

    told = Explained(tmp_path / "spans.json", capsys).fields("request", "why")
    because = "gen_ai.operation.name is chat"
    assert told == {
        "step a": (False, f"{because}; no request: it wraps the span that is the request"),
        "step b": (True, because),
    }


def test_files_with_one_object_per_line_are_read_and_other_signals_are_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [request(span(2, 1, attributes=CHAT)), {"resourceLogs": []}, request(span(1)), request(span(1))]
    (tmp_path / "spans.json").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")

    # The parent comes after its child, and twice.
    told = Explained(tmp_path / "spans.json", capsys).fields("kind", "path")
    assert told == {"step a": ("task", "/step_a"), "step b": ("llm", "/step_a")}


def test_a_child_is_below_its_parent_even_if_their_clocks_disagree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = span(2, 1, attributes=CHAT, startTimeUnixNano="1", endTimeUnixNano="2")
    parent = span(1, startTimeUnixNano="500", endTimeUnixNano="600")
    (tmp_path / "spans.json").write_text(json.dumps(request(child, parent)))

    assert Explained(tmp_path / "spans.json", capsys).fields("path") == {"step a": "/step_a", "step b": "/step_a"}


def test_values_of_every_type_of_otlp_are_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [
        {"stringValue": "x" * 10_000_000},
        {"intValue": "9007199254740993"},
        {"intValue": 3},
        {"intValue": "three"},
        {"doubleValue": "NaN"},
        {"boolValue": False},
        {"bytesValue": "AAE="},
        {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}},
        {"arrayValue": {"values": []}},
        {"arrayValue": {}},
        {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}},
        {"kvlistValue": 3},
        {},
        None,
        "bare",
    ]
    attributes = [{"key": f"a{number}", "value": value} for number, value in enumerate(values)]
    attributes += [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}, {}]
    document = request(span(1) | {"attributes": attributes})
    (tmp_path / "spans.json").write_text(json.dumps(document))

    assert Explained(tmp_path / "spans.json", capsys).fields("kind") == {"step a": "llm"}


def test_settings_from_the_environment_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spans.json").write_text(
        json.dumps(request(span(1), span(2, 1, attributes={**CHAT, "app.thread": "t-1"})))
    )
    monkeypatch.setenv("HELICONE_SESSION_ID_ATTRIBUTES", "app.thread")
    monkeypatch.setenv("HELICONE_APPLICATION_SPANS", "false")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    told = Explained(tmp_path / "spans.json", capsys).fields("session_id", "path")
    assert told["step b"] == ("t-1", "/chat")


def test_the_drawing_is_a_tree_and_says_what_the_documentation_shows(capsys: pytest.CaptureFixture[str]) -> None:
    shown = part("explain").removeprefix("```text\n").removesuffix("```")
    command = next(line for line in lines("helicone-otel explain ") if "recordings" in line)
    root = REPOSITORY

    assert main(["explain", str(root / command.split()[-1])]) == 0
    drawn = re.sub(r"row \d+", "row", capsys.readouterr().out)
    assert drawn.startswith(re.sub(r"row \d+", "row", shown))
    assert drawn.splitlines()[-1] == "27 spans in 5 traces: 19 with a kind, 8 requests"


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spans.json").write_text(json.dumps(request(span(1, name="a\x1b[2Jb"), scope="\x1bscope")))

    assert main(["explain", str(tmp_path / "spans.json")]) == 0
    assert "\x1b" not in capsys.readouterr().out


# --- --score ----------------------------------------------------------------------------


def _label(kind: str | None, path: str, request: bool, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "path": path, "request": request, **more}


def _scored(folder: Path, labels: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return exit code and lines for two spans, an LLM call in a task of the application."""
    spans = span(1), span(2, 1, name="chat gpt-4o", attributes=CHAT)
    (folder / "spans.json").write_text(json.dumps(request(*spans)))
    (folder / "labels.json").write_text(json.dumps({"spans": labels}))
    code = main(["explain", str(folder / "spans.json"), "--score", str(folder / "labels.json")])
    return code, capsys.readouterr().out.splitlines()


def test_a_score_counts_right_fields_and_names_each_wrong_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {f"{1:016x}": _label("task", "/step_a", False), f"{2:016x}": _label("llm", "/other", True)}
    fields = "       kind at start  kind at end  path when headers leave  path at end  requests"
    assert _scored(tmp_path, labels, capsys) == (
        1,
        [
            fields,
            "spans            2/2          2/2                      0/0          1/2       2/2",
            f"spans: chat gpt-4o (scope my.app, span {2:016x}): path at end is /step_a, and the label says /other",
        ],
    )


def test_what_people_may_disagree_about_and_spans_without_a_label_are_not_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_fields = {"ambiguous_on": ["kind", "request"], "path_ambiguous": True}
    assert _scored(tmp_path, {f"{2:016x}": _label("tool", "/other", False, **open_fields)}, capsys) == (
        0,
        [
            "       kind at start  kind at end  path when headers leave  path at end  requests",
            "spans            0/0          0/0                      0/0          0/0       0/0",
            "spans: 1 span without a label",
        ],
    )


def test_a_folder_of_recordings_with_labels_in_them_is_scored(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(replay.RECORDINGS)

    main(["explain", folder, "--score", folder, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {path.stem for path in replay.RECORDINGS.glob("*.json")}
    assert told["tl_chroma"] == {
        "fields": {
            "kind at start": {"scored": 8, "right": 8},
            "kind at end": {"scored": 8, "right": 8},
            "path when headers leave": {"scored": 0, "right": 0},
            "path at end": {"scored": 8, "right": 8},
            "requests": {"scored": 8, "right": 8},
        },
        "misses": [],
        "unlabelled": 0,
    }


def test_open_spans_above_a_span_have_what_they_had_when_it_started() -> None:
    recording = replay.load("genai_smolagents")
    above = next(one for one in recording["spans"] if one["parent_span_id"] is None)
    inner = next(one for one in recording["spans"] if one["parent_span_id"] == above["span_id"])
    above |= {"scope": {"name": "strands.telemetry.tracer"}, "attributes_at_start": {}, "name_at_start": "?"}
    above["name"] = "invoke_agent Guide"
    above["attributes_at_end"] = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Guide"}
    state = {"span_id": above["span_id"], "name": above["name"], "attribute_keys_now": ["gen_ai.operation.name"]}
    inner |= {"scope": {"name": "my.app"}, "name": "think", "name_at_start": "think", "attributes_at_start": {}}
    inner |= {"ancestors_at_start": [state], "attributes_at_end": {}, "kind": "INTERNAL"}
    recording |= {"spans": [above, inner], "injections": []}

    paths = {outcome.recorded.name: outcome.path for outcome in replay.replay(recording).values()}
    assert paths == {"invoke_agent Guide": "/Guide", "think": "/Guide/think"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "there are no labels in it"),
        ({"spans": [1]}, "there are no labels in it"),
        ({"spans": {"a": 1}}, "the label of span 'a': it is not an object"),
        ({"labels": {"a": {"kind": "llm", "path": "/"}}}, "the label of span 'a': request is missing"),
        ({"spans": {"a": _label("model", "/", True)}}, "the label of span 'a': there is no kind 'model'"),
        ({"spans": {"a": _label("llm", "/", True, ambiguous_on=None)}}, "the label of span 'a': ambiguous_on is None"),
        ({"spans": {"a": {"kind": "llm", "path": None, "request": True}}}, "the label of span 'a': path is None"),
    ],
)
def test_the_error_says_why_labels_cannot_be_used(
    labels: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "labels.json"
    file.write_text(labels if isinstance(labels, str) else json.dumps(labels))

    assert main(["explain", str(replay.RECORDINGS / "tl_chroma.json"), "--score", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"helicone-otel explain: {file}: {said}")


def test_a_folder_without_labelled_files_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path), "--score", str(tmp_path)]) == 2
    assert f"{tmp_path}: there is no file in it that has labels in {tmp_path}" in capsys.readouterr().err


# --- large files ---------------------------------------------------------------------------------------


def test_a_trace_a_thousand_spans_deep_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = [span(number, number - 1 or None, name="step") for number in range(1, 1000)]
    (tmp_path / "spans.json").write_text(json.dumps(request(*deep, span(1000, 999, attributes=CHAT))))

    assert main(["explain", str(tmp_path / "spans.json")]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1000 spans in 1 trace: 1000 with a kind, 1 request"
    assert "(1000) step" in out


@pytest.mark.slow
def test_ten_thousand_spans_in_one_trace_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [span(number, (number - 1) // 10 or None, name="x", attributes=CHAT) for number in range(2, 10_001)]
    (tmp_path / "spans.json").write_text(json.dumps(request(span(1, name="x"), *many)))

    assert main(["explain", str(tmp_path / "spans.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("10000 spans in 1 trace: 10000 with a kind")


# --- bad input ----------------------------------------------------------------------------------

A_RECORDING = {"spans": [{"trace_id": "1"}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON: Expecting value at line 1, column 1"),
        ("# spans", "it is not JSON: Expecting value at line 1, column 1"),
        ('{"resourceSpans": [}', "it is not JSON: Expecting value at line 1, column 20"),
        ('{"resourceSpans": []}\nnot JSON', "it is not JSON: Expecting value at line 2, column 1"),
        ("[1]", "line 1 is not a JSON object"),
        ("{}", "line 1 is neither OTLP JSON (there is no resourceSpans in it) nor a recording (no list of spans)"),
        ('{"resourceSpans": []}', "there is no span in it"),
        ('{"resourceLogs": []}', "there is no span in it"),
        ('{"resourceSpans": 3}', "line 1: resourceSpans is not a list of objects"),
        ("[" * 100_000, "it is nested too deeply"),
        (request({"name": "x"}), "line 1, span 1 of scope 'my.app': traceId is missing"),
        (request(span(1) | {"spanId": ""}), "line 1, span 1 of scope 'my.app': spanId is missing"),
        (request(span(1) | {"spanId": "xyz"}), "spanId is not 16 hex digits: 'xyz'"),
        (request(span(1) | {"traceId": "0" * 32}), "traceId is not 32 hex digits"),
        (request(span(1) | {"startTimeUnixNano": "noon"}), "startTimeUnixNano is not a number: 'noon'"),
        (request(span(1) | {"kind": 9}), "there is no span kind 9"),
        (request(span(1) | {"attributes": "x"}), "attributes is not a list of objects"),
        (request(span(1, 1)), f"spans are each other's parents, in trace {1:032x}: {1:016x} → {1:016x}"),
        (request(span(1, 2), span(2, 3), span(3, 1)), f"{1:016x} → {2:016x} → {3:016x} → {1:016x}"),
        (A_RECORDING, "span 1 is incomplete: KeyError: 'kind'"),
    ],
)
def test_the_error_says_why_a_file_cannot_be_explained(
    text: str | dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spans.json"
    file.write_text(text if isinstance(text, str) else json.dumps(text))

    code = main(["explain", str(file)])
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith(f"helicone-otel explain: {file}: ")
    assert said in shown.err


def test_the_error_names_the_field_that_a_recording_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = replay.load("tl_chroma")
    for key in ("span_id", "parent_span_id", "scope", "attributes_at_start", "start_seq"):
        first = {name: value for name, value in whole["spans"][0].items() if name != key}
        (tmp_path / "spans.json").write_text(json.dumps({**whole, "spans": [first]}))

        assert main(["explain", str(tmp_path / "spans.json")]) == 2
        assert f"span 1 is incomplete: KeyError: '{key}'" in capsys.readouterr().err


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path / "nothing.json")]) == main(["explain", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "nothing.json: No such file or directory" in err
    assert "Is a directory" in err


def test_a_binary_file_is_rejected_as_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spans.json").write_bytes(b"\x0a\xff\xfe")

    assert main(["explain", str(tmp_path / "spans.json")]) == 2
    assert "it is not text in UTF-8" in capsys.readouterr().err


def test_an_invalid_setting_is_reported_before_the_file_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_SESSION_PATH", "no/slash")

    assert main(["explain", "nothing.json"]) == 2
    assert "session_path (HELICONE_SESSION_PATH)" in capsys.readouterr().err
    assert Settings().session_path == "/"


def test_a_closed_pipe_ends_the_command_without_a_traceback() -> None:
    file = TESTS / "data" / "recordings" / "genai_openai_agents_plus_openai.json"
    command = [sys.executable, "-m", "helicone_otel", "explain", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert process.stderr.read() == b""
    assert process.returncode == 1
