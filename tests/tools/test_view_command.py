"""`helicone-otel view`, and `--view` of `run` and `demo`, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from helicone_otel.__main__ import main
from helicone_otel.tools.cli.demo import __file__ as demo_file
from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from tests.support.spans import with_hex_ids
from tests.support.view_seed import request_of, review
from tests.support.viewing import PROTOBUF, ask, with_requests

EPOCH = 1_760_000_000_000_000_000
REQUEST = request_of("reviewer", review(1, "review/1", 4, EPOCH))
LLM_CALL = """
from opentelemetry import trace
tracer = trace.get_tracer("opentelemetry.instrumentation.openai_v2")
attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
with tracer.start_as_current_span("chat m", attributes=attributes):
    pass
"""


class Running:
    """The command, by the line that tells that it is ready."""

    def __init__(self, arguments: Sequence[str], ready: str) -> None:
        command = [sys.executable, "-m", "helicone_otel", *arguments]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("HELICONE_", "OTEL_"))}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        )
        assert self.process.stdout is not None
        self.said = ""
        while ready not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def address(self, of: str) -> str:
        found = re.search(rf"{of}:? +(\S+)", self.said)
        assert found is not None, self.said
        return found[1]

    def get(self, query: str) -> object:
        return ask(f"{self.address('The view')}/api/{query}").data

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def running(*arguments: str, ready: str = "Ctrl-C") -> Iterator[Running]:
    command = Running(arguments, ready)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
        assert command.process.stdout is not None
        command.process.stdout.close()


@pytest.fixture
def otlp_file(tmp_path: Path) -> Path:
    """A file as the Collector's exporter writes it, whose end was cut off."""
    file = tmp_path / "spans.json"
    lines = [json.dumps(with_hex_ids(MessageToDict(REQUEST))), '{"resourceMetrics": []}', '{"resourceSpans": [{"sco']
    file.write_text("\n".join(lines))
    return file


def test_acknowledged_data_survives_the_death_of_the_process(tmp_path: Path) -> None:
    file = tmp_path / "view.db"
    with running("view", "--free-ports", "--db", str(file)) as view:
        assert f"export OTEL_EXPORTER_OTLP_ENDPOINT={view.address('OTLP/HTTP')}" in view.said
        assert str(tmp_path) not in view.said
        traces = f"{view.address('OTLP/HTTP')}/v1/traces"
        assert ask(traces, "POST", REQUEST.SerializeToString(), PROTOBUF).status == 200
        assert view.end(signal.SIGKILL) == -signal.SIGKILL
    with running("view", "--port", "0", "--grpc-port", "0", "--http-port", "0", "--db", str(file)) as view:
        while view.get("status")["waiting"]:  # type: ignore[index]
            pass
        (session,) = view.get("sessions")["sessions"]  # type: ignore[index]
        assert (session["id"], session["requests"]) == ("review/1", 12)
        assert view.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_the_error_names_a_port_that_is_in_use() -> None:
    with running("view", "--free-ports") as view:
        for option, place, what in (
            ("--port", view.address("The view"), "the pages"),
            ("--http-port", view.address("OTLP/HTTP"), "OTLP/HTTP"),
            ("--grpc-port", view.address("OTLP/gRPC"), "OTLP/gRPC"),
        ):
            port = place.rpartition(":")[2]
            ports = {"--port": "0", "--http-port": "0", "--grpc-port": "0", option: port}
            command = [
                sys.executable,
                "-m",
                "helicone_otel",
                "view",
                *(part for pair in ports.items() for part in pair),
            ]
            second = subprocess.run(command, capture_output=True, text=True, check=False)
            assert second.stderr == (
                f"helicone-otel view: port {port}, for {what}, is taken: stop what listens there (a collector?), or "
                "ask for free ports with --free-ports\n"
            )
            assert second.returncode == 2
        assert view.end(signal.SIGTERM) == 0


def test_a_session_of_a_file_becomes_one_page(
    otlp_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "session.html"

    assert main(["view", str(otlp_file), "--html", str(out)]) == 0
    assert capsys.readouterr() == (
        f"{out}\n",
        "helicone-otel view: skipped lines and spans that are not OTLP: 1\n",
    )
    data = json.loads(out.read_text().partition('id="exported">')[2].partition("</script>")[0])
    assert (data["session"]["session"]["id"], len(data["requests"])) == ("review/1", 12)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--html", "x.html"], "--html needs a FILE with spans"),
        (["none.json", "--html", "x.html"], "none.json: No such file or directory"),
        (
            ["{file}", "--session", "other", "--html", "x.html"],
            "there is no such session; there are 'review/1' of 'reviewer'",
        ),
        (["{file}", "--html", "nowhere/x.html"], "nowhere/x.html: No such file or directory"),
        (["--db", "nowhere/x.db"], "x.db: it cannot be opened: is there such a folder, and may it be written?"),
    ],
)
def test_arguments_that_cannot_be_used_are_reported(
    arguments: list[str],
    error: str,
    otlp_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(otlp_file.parent)

    assert main(["view", *(argument.format(file=otlp_file) for argument in arguments)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"helicone-otel view: {error}"


def test_a_missing_file_is_named_before_a_port_that_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(LoopbackServer(QuietHandler)) as other:
        assert main(["view", "none.json", "--port", str(other.server_port)]) == 2

    assert capsys.readouterr().err == "helicone-otel view: none.json: No such file or directory\n"


@pytest.mark.parametrize("option", ["--session", "--name"])
def test_a_session_that_nothing_writes_is_an_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "--free-ports", option, "trip-42"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "helicone-otel view: error: --session and --name choose the session that --html writes; --html OUT is missing"
    )


def test_a_session_must_be_named_if_a_file_has_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spans.json"
    requests = [REQUEST, request_of("reviewer", review(2, "review/2", 1, EPOCH + 10**12))]
    file.write_text("\n".join(json.dumps(with_hex_ids(MessageToDict(request))) for request in requests))

    assert main(["view", str(file), "--html", str(tmp_path / "x.html")]) == 2
    assert capsys.readouterr().err == (
        "helicone-otel view: which session? --session ID, and --name if several have it; "
        "there are 'review/2' of 'reviewer', 'review/1' of 'reviewer'\n"
    )
    assert main(["view", str(file), "--session", "review/2", "--html", str(tmp_path / "x.html")]) == 0


def test_only_a_first_line_that_was_cut_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, line = tmp_path / "spans.json", json.dumps(with_hex_ids(MessageToDict(REQUEST)))
    file.write_text(f"{line[:50]}\n{line}\n")

    assert main(["view", str(file), "--html", str(tmp_path / "x.html")]) == 0
    assert capsys.readouterr().err == "helicone-otel view: skipped lines and spans that are not OTLP: 1\n"


@pytest.mark.slow
def test_a_view_of_files_does_not_use_the_ports_of_a_collector(otlp_file: Path) -> None:
    with running("view", "--port", "0", str(otlp_file)) as view:
        assert "OTLP" not in view.said.replace("not OTLP", "")
        assert [one["id"] for one in view.get("sessions")["sessions"]] == ["review/1"]  # type: ignore[index]
        assert view.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_run_shows_an_application_in_a_view(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(LLM_CALL)
    with running("run", "--view", "--", "python", str(app), ready="(Ctrl-C ends it)") as run:
        while run.get("status")["waiting"]:  # type: ignore[index]
            pass
        assert [one["id"] for one in run.get("sessions")["sessions"]] == ["c"]  # type: ignore[index]
        assert run.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_the_demo_in_a_view_has_the_requests_that_its_servers_received() -> None:
    expected = json.loads(Path(demo_file).with_name("expected.json").read_text())
    with running("demo", "--view", ready="(Ctrl-C ends it)") as demo:
        while demo.get("status")["waiting"]:  # type: ignore[index]
            pass
        shown = []
        for one in demo.get("sessions")["sessions"]:  # type: ignore[index]
            requests = with_requests(demo.get(f"session?id={one['id']}"))["requests"]  # type: ignore[arg-type]
            shown.append(Counter((request["path"], request["kind"]) for request in requests))
            details = [demo.get(f"request?id={request['id']}") for request in requests]
            assert all(one["messages"] for one in details if one["kind"] == "llm")  # type: ignore[index]
            tools = [one["tool"] for one in details if one["kind"] == "tool"]  # type: ignore[index]
            assert all(one["input"] and one["result"] for one in tools)
        for session in expected:
            steps = session["steps"].items()
            counts = {(path, kind): n for path, step in steps for kind, n in step.get("requests", {}).items()}
            assert Counter(counts) in shown
        assert len(shown) == len(expected)
        assert demo.end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["view"], 'helicone-otel view: not installed: xlsx2echarts. pip install "helicone-otel[view]"\n'),
        (
            ["run", "--view", "--", "python"],
            'helicone-otel run: not installed: xlsx2echarts. pip install "helicone-otel[run,view]"\n',
        ),
    ],
)
def test_packages_that_the_view_needs_and_that_are_missing_are_named(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("helicone_otel.__main__._is_installed", lambda name: name != "xlsx2echarts")

    assert main(arguments) == 2
    assert capsys.readouterr().err == said


def test_the_other_commands_work_without_the_packages_of_the_view() -> None:
    code = (
        "import sys, helicone_otel.__main__, helicone_otel.tools.cli.run\n"
        "parts = ('starlette', 'uvicorn', 'jinja2', 'xlsx2echarts')\n"
        "print(sorted(name for name in sys.modules if name.startswith(parts)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"
