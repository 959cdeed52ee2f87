"""`helicone-otel run` on real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]  # ships no types
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc

from helicone_otel.__main__ import main
from helicone_otel.tools.cli.demo import steps_of
from helicone_otel.tools.cli.demo.world import demo_helicone
from helicone_otel.tools.cli.receiver import ReceivedSpan as Span
from helicone_otel.tools.cli.receiver import decode
from helicone_otel.tools.cli.run import Run, child_environment, observe
from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.ahead import inherited
from tests.support.launching import instrumented_only

pytest.importorskip("opentelemetry.distro", reason="`helicone-otel run` needs the launcher's configurator")

# An app with an LLM call, as an instrumentation would record it, to the URL in its environment.
LLM_CALL = """
    import os, sys
    import httpx
    from opentelemetry import trace

    CHAT = {"gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}

    def call(tracer):
        with tracer.start_as_current_span("checkout"):
            with tracer.start_as_current_span("embeddings m", kind=trace.SpanKind.CLIENT, attributes=CHAT):
                body = {"model": "text-embedding-3-small", "input": "shoes"}
                httpx.post(os.environ["URL"], json=body, headers={"Authorization": os.environ["KEY"]})
"""
CALL_ONCE = LLM_CALL + '\n    call(trace.get_tracer("shop"))\n'
TREE = {
    "/checkout": {"kind": "task", "requests": {"embedding": 1}, "gateway": [200]},
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeHelicone]:
    with serving(demo_helicone()) as server:
        yield server


@pytest.fixture
def environ(gateway: FakeHelicone) -> dict[str, str]:
    return environ_for(gateway)


def environ_for(gateway: FakeHelicone) -> dict[str, str]:
    """Return a user's environment that is quick to instrument and leads to a gateway."""
    return {
        **inherited("OTEL_", "HELICONE_"),
        **instrumented_only("helicone", "httpx"),
        "HELICONE_GATEWAY_HOSTS": gateway.url.removeprefix("http://"),
        "HELICONE_SESSION_NAME": "Shop",
        "URL": f"{gateway.url}/v1/embeddings",
        "KEY": f"Bearer {gateway.key}",
    }


def python(code: str) -> list[str]:
    return ["python", "-c", textwrap.dedent(code)]


class Ran(NamedTuple):
    """What a process printed, and the gateway that it had for itself."""

    done: subprocess.CompletedProcess[str]
    gateway: FakeHelicone

    @property
    def data(self) -> Any:
        return json.loads(self.done.stdout)


def ran(*arguments: str, given: str = "", cwd: str | None = None, logs: bool = False, **more: str) -> Ran:
    """Run `helicone-otel run` as users do; with `logs`, its environment logs to the gateway."""
    with serving(demo_helicone()) as gateway:
        log = {"HELICONE_LOG": "true", "HELICONE_API_KEY": gateway.key, "HELICONE_LOG_ENDPOINT": gateway.url}
        environ = {**environ_for(gateway), **(log if logs else {}), **more}
        command = [sys.executable, "-m", "helicone_otel", "run", *arguments]
        done = subprocess.run(
            command, env=environ, input=given, cwd=cwd, capture_output=True, text=True, timeout=30, check=False
        )
        return Ran(done, gateway)


def trees(run: Run) -> list[object]:
    return [steps_of(session) for session in run.sessions]


ECHO = "import sys; print(input(), sys.argv[1:]); print('oh', file=sys.stderr); sys.exit(7)"


@pytest.mark.ahead(work=lambda: ran("--", *python(ECHO), "--json", "--", "x y", given="hello\n"))
def test_input_output_arguments_and_exit_code_pass_through(outcome: Ran) -> None:
    done = outcome.done
    assert (done.returncode, done.stdout) == (7, "hello ['--json', '--', 'x y']\n")
    assert done.stderr.startswith("helicone-otel run: running python; its sessions follow when it ends\noh\n")


def ran_in_an_empty_folder() -> tuple[Ran, list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        return ran("--", *python(CALL_ONCE), cwd=folder, TMPDIR=folder, HOME=folder), list(Path(folder).iterdir())


@pytest.mark.ahead(work=ran_in_an_empty_folder)
def test_the_session_is_drawn_on_standard_error_and_leaves_nothing_on_disk(outcome: tuple[Ran, list[Path]]) -> None:
    (done, _), left = outcome
    assert (done.returncode, done.stdout) == (0, "")
    assert "└── checkout  task" in done.stderr
    assert "→ 200 Helicone-Session-Path: /checkout" in done.stderr
    assert "Helicone-Session-Name: Shop" in done.stderr
    assert left == []


@pytest.mark.ahead(work=lambda: ran("--json", "--", *python(CALL_ONCE + "    print('bought')\n")))
def test_json_is_all_of_standard_output_and_says_what_the_drawing_says(outcome: Ran) -> None:
    done, gateway = outcome
    data = outcome.data
    [session] = data["sessions"]
    [step] = session["tree"]["steps"]
    [request] = step["requests"]
    call = request["gateway_call"]
    assert (data["exit_code"], data["notes"], done.stderr) == (0, [], "bought\n")
    assert (session["name"], step["path"], request["kind"], request["name"]) == ("Shop", "/checkout", "embedding", "m")
    [row] = gateway.rows
    assert (call["headers"], request["row_id"]) == (row.properties, row.id)
    assert call["headers"]["Helicone-Session-Id"] == session["id"]


TOOL = """
    from helicone_otel import tool
    with tool("get_weather"):
        pass
"""
SETTINGS = """
    import os
    print(*sorted(name for name in os.environ if name.startswith("HELICONE_LOG") or name == "HELICONE_API_KEY"))
"""


@pytest.mark.ahead(work=lambda: ran("--json", "--", *python(TOOL + SETTINGS)))
def test_a_call_that_bypasses_the_gateway_is_shown_with_its_row(outcome: Ran) -> None:
    done, gateway = outcome
    [session] = outcome.data["sessions"]
    [request] = session["tree"]["steps"][0]["requests"]
    assert request["rows"] == [
        {"badge": "Tool", "model": "tool:get_weather", "status": 200, "flaws": [], "logged": False}
    ]
    # The log settings of the user stay unchanged.
    assert done.stderr.split() == []
    assert gateway.rows == []


@pytest.mark.ahead(work=lambda: ran("--", *python(TOOL), logs=True))
def test_rows_also_go_to_the_log_of_the_user(outcome: Ran) -> None:
    done, gateway = outcome
    assert "→ 200 logged as Tool tool:get_weather" in done.stderr
    assert "not logged" not in done.stderr
    assert [(row.model, row.sends) for row in gateway.rows] == [("tool:get_weather", 1)]


@pytest.mark.parametrize(
    ("code", "logged"),
    [("", False), ("from helicone_otel import configure, Settings; configure(log=True); ", True)],
    ids=["not at all", "by code"],
)
def test_a_row_that_the_application_does_not_log_itself_would_be_logged(
    environ: dict[str, str], gateway: FakeHelicone, code: str, logged: bool
) -> None:
    # Without HELICONE_LOG, a key alone logs nothing.
    log = {"HELICONE_API_KEY": gateway.key, "HELICONE_LOG_ENDPOINT": gateway.url}

    run = observe(python(f"{code}from helicone_otel import tool\nwith tool('get_weather'): pass"), {**environ, **log})

    [session] = run.sessions
    assert [row.logged for request in session.requests for row in request.rows] == [logged]
    said = "1 request passed no gateway and is not logged to Helicone. HELICONE_LOG=true, with HELICONE_API_KEY, logs"
    assert [note.startswith(said) for note in run.notes] == ([] if logged else [True])


CALL_TWICE = CALL_ONCE + '    call(trace.get_tracer("shop"))\n'


def ran_with_and_without_a_name() -> tuple[Ran, Ran]:
    return ran("--json", "--session", "Trip Planning", *python(CALL_TWICE)), ran("--json", *python(CALL_TWICE))


@pytest.mark.ahead(work=ran_with_and_without_a_name)
def test_a_session_that_the_command_names_holds_everything_that_the_process_does(outcome: tuple[Ran, Ran]) -> None:
    data, apart = (each.data for each in outcome)
    assert [(session["name"], session["request_count"]) for session in data["sessions"]] == [("Trip Planning", 2)]
    assert data["notes"] == []
    assert [session["request_count"] for session in apart["sessions"]] == [1, 1]
    assert [note.partition(":")[0] for note in apart["notes"]] == ["2 sessions have one request each"]


def test_a_session_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--session", " ", "python"]) == 2
    assert capsys.readouterr().err.endswith("helicone-otel run: error: --session needs a name that is not blank\n")


def test_a_bad_setting_of_the_log_does_not_stop_a_run(environ: dict[str, str]) -> None:
    assert trees(observe(python(CALL_ONCE), {**environ, "HELICONE_LOG_KINDS": "lmm"})) == [TREE]


class Collector(LoopbackServer):
    """The endpoint of the user: it keeps the body of each request by path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, bytes]] = []
        super().__init__(_CollectorHandler)


class _CollectorHandler(QuietHandler):
    server: Collector

    def do_POST(self) -> None:  # noqa: N802  # as http.server calls it
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers.get("X-Tenant"), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def labels(spans: list[Span]) -> list[list[str]]:
    names = ("helicone.session.path", "helicone.span.kind")
    return sorted([span.span_id, *(span.attributes.get(name, "") for name in names)] for span in spans)


def test_the_users_own_http_endpoint_still_gets_everything(environ: dict[str, str]) -> None:
    with serving(Collector()) as collector:
        exporting = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=me",
        }
        run = observe(python(CALL_ONCE), {**environ, **exporting})

    assert trees(run) == [TREE]
    assert {(path, tenant) for path, tenant, _ in collector.requests} >= {("/v1/traces", "me"), ("/v1/metrics", "me")}
    received = [span for path, _, body in collector.requests if path == "/v1/traces" for span in decode(body)]
    assert labels(received) == labels(run.spans)


class _TraceService(otlp_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Span] = []

    def Export(  # noqa: N802  # as gRPC calls it
        self, request: otlp.ExportTraceServiceRequest, _context: object
    ) -> otlp.ExportTraceServiceResponse:
        self.spans += decode(request.SerializeToString())
        return otlp.ExportTraceServiceResponse()


def test_the_users_own_grpc_endpoint_still_gets_everything(environ: dict[str, str]) -> None:
    service, server = _TraceService(), grpc.server(ThreadPoolExecutor(1))
    otlp_grpc.add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        run = observe(python(CALL_ONCE), {**environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}"})
    finally:
        server.stop(None).wait()

    assert labels(service.spans) == labels(run.spans)


@pytest.mark.ahead(work=lambda: ran("--", *python(CALL_ONCE), OTEL_TRACES_EXPORTER="console"))
def test_an_exporter_that_the_user_chose_keeps_working(outcome: Ran) -> None:
    done = outcome.done
    assert '"helicone.session.path": "/checkout"' in done.stdout
    assert "└── checkout  task" in done.stderr


def test_spans_of_a_provider_that_the_application_makes_and_gives_are_shown_too(environ: dict[str, str]) -> None:
    own = """
    from opentelemetry.sdk.trace import TracerProvider
    from helicone_otel import configure
    provider = TracerProvider()
    configure(provider=provider)
    call(provider.get_tracer("shop"))
    provider.shutdown()
    """

    assert trees(observe(python(LLM_CALL + own), environ)) == [TREE]


def test_worker_processes_are_part_of_the_run(environ: dict[str, str], tmp_path: Path) -> None:
    workers = """
    import multiprocessing, subprocess, time

    def work():
        call(trace.get_tracer("shop"))
        time.sleep(0.5)  # a forked worker ends without atexit handlers, and so without a flush

    if len(sys.argv) > 1:
        call(trace.get_tracer("shop"))
    else:
        subprocess.run([sys.executable, __file__, "again"], check=True)
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        worker.join()
    """
    app = tmp_path / "app.py"
    app.write_text(textwrap.dedent(LLM_CALL + workers))

    assert trees(observe(["python", str(app)], environ)) == [TREE, TREE]


def test_spans_of_an_application_that_is_killed_are_not_lost(environ: dict[str, str]) -> None:
    killed = """
    import time
    call(trace.get_tracer("shop"))
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
    """

    run = observe(python(LLM_CALL + killed), environ)

    assert (run.exit_code, trees(run)) == (137, [TREE])


WAITING = """
    import signal, time
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
    signal.signal(signal.SIGTERM, lambda *_: seen.append("TERM"))
    call(trace.get_tracer("shop"))
    print("ready", flush=True)
    end = time.monotonic() + 10
    while not seen and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    print(seen, flush=True)
    sys.exit(5)
"""


@pytest.fixture
def _interrupts_are_heard() -> Iterator[None]:
    """Undo what a shell does to commands in the background: they ignore SIGINT, and so would the child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_are_heard")
@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_a_signal_reaches_the_application_which_decides_what_it_means(environ: dict[str, str], name: str) -> None:
    command = [sys.executable, "-m", "helicone_otel", "run", "--", *python(LLM_CALL + WAITING)]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        output, drawing = process.communicate(timeout=30)

    assert (process.returncode, output) == (5, f"['{name}']\n")
    assert "└── checkout  task" in drawing


# In a process of its own, because it is not safe to fork a process that has threads.
IN_A_TERMINAL = """
    import os, pty, sys
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], sys.argv[1:])
    text = b""
    while b"ready" not in text:
        text += os.read(terminal, 1024)
    os.write(terminal, b"\\x03")
    try:
        while part := os.read(terminal, 1024):
            text += part
    except OSError:  # how Linux says that the other side has closed
        pass
    print(text.decode())
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_ctrl_c_in_a_terminal_reaches_the_application_once(environ: dict[str, str]) -> None:
    terminal = [sys.executable, "-c", textwrap.dedent(IN_A_TERMINAL)]
    command = [sys.executable, "-m", "helicone_otel", "run", "--", *python(LLM_CALL + WAITING)]

    done = subprocess.run([*terminal, *command], env=environ, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (5, "")
    assert "['INT']" in done.stdout
    assert "checkout" in done.stdout


def test_no_thread_and_no_signal_handler_stays_behind(environ: dict[str, str]) -> None:
    threads = set(threading.enumerate())
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    observe(["true"], environ)

    assert set(threading.enumerate()) <= threads
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(
    ("variables", "code", "note"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, CALL_ONCE, "OTEL_SDK_DISABLED=true: "),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, CALL_ONCE, "OTEL_TRACES_SAMPLER=always_off: "),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}, CALL_ONCE, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=*: "),
        ({"HELICONE_GATEWAY_HOSTS": ""}, CALL_ONCE, "1 HTTP request of LLM calls went to 127.0.0.1:"),
        ({}, "", "The application was instrumented but made no span"),
    ],
    ids=["SDK disabled", "sampled out", "switched off", "no gateway", "no span"],
)
def test_a_run_that_shows_nothing_says_why(
    environ: dict[str, str], variables: dict[str, str], code: str, note: str
) -> None:
    run = observe(python(code or "pass"), {**environ, **variables})

    assert [text[: len(note)] for text in run.notes] == [note]


def test_a_program_that_is_not_python_runs_and_a_note_says_so(environ: dict[str, str]) -> None:
    run = observe(["sh", "-c", "exit 4"], environ)

    assert (run.exit_code, run.sessions) == (4, [])
    assert [note.partition(".")[0] for note in run.notes] == ["No process of the application loaded helicone-otel"]


def test_a_launcher_that_fails_is_among_the_reasons_why_nothing_is_shown(environ: dict[str, str]) -> None:
    run = observe(python("pass"), {**environ, "OTEL_TRACES_EXPORTER": "nowhere"})

    [note] = run.notes
    assert note.endswith("OpenTelemetry must start, too: helicone-otel doctor says whether it does.")


def test_a_run_that_is_interrupted_while_it_starts_blames_nothing(environ: dict[str, str]) -> None:
    # A job in the background starts with SIGINT ignored, and a shell leaves it so.
    program = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGINT)"
    run = observe([sys.executable, "-S", "-c", program], environ)

    assert (run.exit_code, run.signal, run.notes) == (
        130,
        signal.SIGINT,
        ["A signal reached the application before it made a span."],
    )


def test_a_command_that_does_not_exist_is_reported_as_by_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", "no-such-program"]) == 127
    assert capsys.readouterr().err == "helicone-otel run: command not found: no-such-program\n"
    assert main(["run", "app.py"]) == 127
    assert capsys.readouterr().err == "helicone-otel run: app.py is no command. Try: helicone-otel run python app.py\n"


def test_what_cannot_be_run_is_reported_as_by_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes"
    notes.touch()

    assert main(["run", str(tmp_path)]) == 126
    assert capsys.readouterr().err == f"helicone-otel run: {tmp_path} is a folder\n"
    assert main(["run", str(notes)]) == 126
    assert capsys.readouterr().err == f"helicone-otel run: {notes} is not executable\n"


def test_the_exit_code_is_that_of_the_application_even_if_nobody_reads_the_drawing(environ: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "helicone_otel", "run", *python("import sys; sys.exit(3)")]
    try:
        assert subprocess.run(command, env=environ, stderr=writing, timeout=30, check=False).returncode == 3
    finally:
        os.close(writing)


def test_an_invalid_setting_stops_the_run_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELICONE_GATEWAY_HOSTS", "https://gw.test/")

    assert main(["run", "--", "true"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("helicone-otel run: gateway_hosts (HELICONE_GATEWAY_HOSTS): ")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("helicone_otel.__main__.find_spec", lambda name: None if name == "rich" else object())

    assert main(["run", "--", "true"]) == 2
    assert capsys.readouterr().err == 'helicone-otel run: not installed: rich. pip install "helicone-otel[run]"\n'


def test_exporters_are_switched_off_only_where_the_user_has_set_nothing() -> None:
    def exporters(**environ: str) -> dict[str, str]:
        child = child_environment(environ, "http://127.0.0.1:1/x")
        return {name: value for name, value in child.items() if name.endswith("S_EXPORTER")}

    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    assert exporters() == off
    assert exporters(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4317") == {}
    assert exporters(OTEL_TRACES_EXPORTER="console") == {**off, "OTEL_TRACES_EXPORTER": "console"}
    assert exporters(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://collector") == {
        name: value for name, value in off.items() if "LOGS" not in name
    }
