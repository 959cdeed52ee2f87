"""`helicone-otel fake`: a stand-in for Helicone that an app can use without an account."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from openai import OpenAI

from helicone_otel import Settings
from helicone_otel.__main__ import main
from helicone_otel.log.rest import Api
from helicone_otel.settings import SETTINGS
from helicone_otel.tools.cli.fake import variables_for
from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from helicone_otel.tools.fakes.provider import ScriptedProvider
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.viewing import ask

SESSION = {"Helicone-Session-Id": "trip-42", "Helicone-Session-Name": "Trip\x1b[31m", "Helicone-Session-Path": "/plan"}


@contextmanager
def fake(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "helicone_otel", "fake", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_to(process: subprocess.Popen[str], end: str) -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None
    while not lines or end not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    return lines


def exports(lines: Sequence[str]) -> dict[str, str]:
    shell = "\n".join(line for line in lines if line.startswith("  export "))
    printed = subprocess.run(["sh", "-c", f"{shell}\nenv -0"], capture_output=True, env={}, check=True).stdout
    return dict(pair.split("=", 1) for pair in printed.decode().split("\0") if pair)


def chat(environ: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    auth = environ["OPENAI_CUSTOM_HEADERS"].split(": ", 1)
    with OpenAI(
        base_url=environ["OPENAI_BASE_URL"], api_key=environ["OPENAI_API_KEY"], default_headers={auth[0]: auth[1]}
    ) as client:
        messages: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
        answer = client.chat.completions.create(model="gpt-5.4-mini", messages=messages, extra_headers=headers)  # type: ignore[arg-type]
    return answer.choices[0].message.content


def test_it_prints_the_variables_for_an_app_and_each_row_until_ctrl_c() -> None:
    with fake("--answer", "Porto") as process:
        environ = exports(lines_to(process, "Ctrl-C"))
        headers = {**SESSION, "Helicone-Session-Name": "Z%C3%BCrich", "Helicone-Session-Id": "trip-42-of-ann"}
        assert chat(environ, headers) == "Porto"
        [row] = lines_to(process, "gpt-5.4-mini")
        assert row.split()[1:] == ["200", "LLM", "gpt-5.4-mini", "trip-42-", "Zürich", "/plan"]
        # The read API knows the key, and the row is that key's.
        settings = Settings(api_key=environ["HELICONE_API_KEY"], log_endpoint=environ["HELICONE_LOG_ENDPOINT"])
        assert [entry["session_name"] for entry in Api(settings).sessions("trip-42-of-ann")] == ["Z%C3%BCrich"]
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert (output, process.returncode) == ("1 row in 1 session.\n", 0)


def test_an_id_in_any_language_is_printed_as_a_person_reads_it() -> None:
    with fake() as process:
        environ = exports(lines_to(process, "Ctrl-C"))
        chat(environ, {**SESSION, "Helicone-Session-Id": "%E6%97%85%E8%A1%8C/1", "Helicone-Session-Name": "Trip"})
        [row] = lines_to(process, "gpt-5.4-mini")
        assert row.split()[4:] == ["旅行/1", "Trip", "/plan"]


def test_a_request_without_a_key_is_answered_and_not_logged() -> None:
    with fake() as process:
        environ = exports(lines_to(process, "Ctrl-C"))
        unknown = {**environ, "OPENAI_CUSTOM_HEADERS": "Helicone-Auth: Bearer sk-unknown"}
        assert chat(unknown, {**SESSION, "Helicone-Session-Name": "Trip"})
        [line] = lines_to(process, "not logged")
        assert line == "1 request answered, but not logged: a row needs Helicone-Auth: Bearer <HELICONE_API_KEY>\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert (output, process.returncode) == ("0 rows in 0 sessions.\n", 0)


def test_json_is_a_line_with_the_variables_and_a_line_for_each_row() -> None:
    with fake("--json") as process:
        first = json.loads(lines_to(process, "url")[0])
        environ = first["environment"]
        assert (environ["OPENAI_BASE_URL"], environ["ANTHROPIC_BASE_URL"]) == (f"{first['url']}/v1", first["url"])
        times = {name: {"seconds": second, "milliseconds": 0} for second, name in enumerate(("startTime", "endTime"))}
        body = {"_type": "data", "name": "n"}
        log = {
            "providerRequest": {"url": "custom-model-nopath", "json": body, "meta": {}},
            "providerResponse": {"json": {"_type": "data"}, "status": 200, "headers": {}},
            "timing": times,
        }
        headers = {"Authorization": f"Bearer {environ['HELICONE_API_KEY']}", "Content-Type": "application/json"}
        answer = ask(f"{first['url']}/custom/v1/log", "POST", json.dumps(log).encode(), headers)
        assert answer.status == 200
        row = json.loads(lines_to(process, "row")[0])["row"]
        assert (row["door"], row["badge"], row["status"], row["session_id"]) == ("log", "Data", 200, None)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
        assert (output, process.returncode) == ("", 0)


def test_a_port_that_is_taken_is_one_line_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(LoopbackServer(QuietHandler)) as other:
        assert main(["fake", "--port", str(other.server_port)]) == 2
    assert capsys.readouterr() == (
        "",
        (
            f"helicone-otel fake: port {other.server_port} is taken: stop what listens there, or leave --port out for "
            "a free one\n"
        ),
    )


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.0", "", "9" * 5000])
def test_what_is_no_port_is_an_error(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", f"--port={port}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"helicone-otel fake: error: argument --port: a port is a number from 0 to 65535, not {port!r:.40}"
    )


def test_the_variables_are_settings_that_can_be_used_and_those_of_sdks() -> None:
    with serving(FakeHelicone(key="sk-helicone-1234567-1234567-1234567-1234567")) as helicone:
        variables = variables_for(helicone)

    ours = {row.variable for row in SETTINGS} & set(variables)
    assert Settings.from_environment(variables).log
    assert {name.partition("_")[0] for name in set(variables) - ours} == {"OPENAI", "ANTHROPIC"}
    assert not {name for name in variables if name.startswith("HELICONE_")} - ours


def test_the_models_answer_by_the_responses_api_too_whole_and_as_a_stream() -> None:
    with (
        serving(FakeHelicone(ScriptedProvider("Porto"))) as helicone,
        OpenAI(base_url=f"{helicone.url}/v1", api_key="k", max_retries=0) as client,
    ):
        whole = client.responses.create(model="gpt-5.4-mini", input="Where to?")
        with client.responses.stream(model="gpt-5.4-mini", input="Where to?") as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            streamed = stream.get_final_response()

        assert (whole.output_text, pieces, streamed.output_text) == ("Porto", ["Porto"], "Porto")
        assert [(row.model, row.status) for row in helicone.rows] == [("gpt-5.4-mini", 200)] * 2
