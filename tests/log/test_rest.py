"""The client of Helicone's API, `feedback()`, and `doctor --send`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import opentelemetry.instrumentation.utils  # noqa: F401  # the client loads it late, and these tests have short time limits
import pytest

from helicone_otel import HeliconeError, Session, Settings, SettingsError, feedback
from helicone_otel.__main__ import main
from helicone_otel.endpoints import default_api
from helicone_otel.log import rest
from helicone_otel.log.rest import Api
from helicone_otel.testing import FakeHelicone, Trouble
from helicone_otel.tools.diagnostics import send as sending
from helicone_otel.tools.diagnostics.report import Finding, Level, Report, problem
from helicone_otel.tools.diagnostics.send import send
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.redaction import Redaction
from tests.support.logs import CUSTOM, Client, a_log

NOWHERE = "http://127.0.0.1:9"
UNKNOWN_KEY = "sk-helicone-unknown-unknown-unknown-unknown"
EUROPEAN_KEY = "sk-helicone-eu-unknown-unknown-unknown-unknown"


@pytest.fixture(scope="module")
def one_fake() -> Iterator[FakeHelicone]:
    with serving(FakeHelicone()) as fake:
        yield fake


@pytest.fixture
def fake(one_fake: FakeHelicone) -> Iterator[FakeHelicone]:
    yield one_fake
    one_fake.forget()


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rest, sending):
        monkeypatch.setattr(module, "_FIRST_PAUSE", 0.05)


def settings(fake: FakeHelicone, **changes: object) -> Settings:
    given = {"api_key": fake.key, "log_endpoint": fake.url, **changes}
    return Settings(**given)  # type: ignore[arg-type]


def logged(fake: FakeHelicone, session: str, seconds_ago: int = 0) -> None:
    client = Client(fake)
    moment = {"seconds": int(time.time()) - seconds_ago, "milliseconds": 0}
    answer = client.post(
        CUSTOM, a_log(meta={"Helicone-Session-Id": session}, timing={"startTime": moment, "endTime": moment})
    )
    client.connection.close()
    assert answer.body == "ok"


# --- the client -----------------------------------------------------------------------------------


def test_sessions_and_their_requests_are_read_back(fake: FakeHelicone) -> None:
    for session in ("s-1", "s-1", "s-12"):
        logged(fake, session)
    api = Api(settings(fake))

    assert [(entry["session_id"], entry["total_requests"]) for entry in api.sessions("s-1")] == [("s-1", 2)]
    assert [row["request_properties"]["Helicone-Session-Id"] for row in api.requests("s-1")] == ["s-1", "s-1"]
    assert fake.key not in repr(api)


@pytest.mark.parametrize(
    ("key", "log", "address"),
    [
        ("sk-helicone-x", None, "https://api.helicone.ai"),
        (EUROPEAN_KEY, None, "https://eu.api.helicone.ai"),
        ("sk-helicone-x", "https://api.worker.helicone.ai", "https://api.helicone.ai"),
        ("sk-helicone-x", "https://api.eu.hconeai.com", "https://eu.api.helicone.ai"),
        (EUROPEAN_KEY, "https://api.hconeai.com", "https://eu.api.helicone.ai"),
        ("sk-x", "http://localhost:8585/v1/trace", "http://localhost:8585"),
        ("sk-x", "https://own.test/helicone/v1/trace/", "https://own.test/helicone"),
        ("sk-x", "https://own.test/log", "https://own.test"),
        ("sk-helicone-x", "https://api.helicone.ai/v1/trace", "https://api.helicone.ai"),
        ("sk-helicone-x", "https://eu.api.helicone.ai/v1/trace", "https://eu.api.helicone.ai"),
    ],
)
def test_the_api_is_in_the_region_of_the_log_or_on_its_host(key: str, log: str | None, address: str) -> None:
    assert default_api(key, log) == address


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"api_key": None}, "HELICONE_API_KEY is not set"),
        ({"api_endpoint": "http://helicone.example"}, "HELICONE_API_ENDPOINT.*unencrypted"),
        ({"api_endpoint": "https://api.helicone.ai", "api_key": "sk-openai-abcdefgh"}, "HELICONE_API_KEY.*no key"),
    ],
)
def test_bad_settings_are_refused_before_any_call(
    fake: FakeHelicone, changes: Mapping[str, str | None], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        Api(settings(fake, **changes))

    assert "abcdefgh" not in str(raised.value)


def test_an_invalid_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="HELICONE_API_ENDPOINT"):
        Settings(api_endpoint="nowhere")


# --- feedback -------------------------------------------------------------------------------------


def test_feedback_is_recorded_on_the_session(fake: FakeHelicone) -> None:
    for session in ("trip 42/%C3%A9", "plain"):
        logged(fake, session)

    # The fake's host is not on the list of those that read UTF-8.
    feedback("trip 42/é", good=True, settings=settings(fake))
    feedback(Session("plain"), good=False, settings=settings(fake))

    assert [row.properties["Helicone-Session-Feedback"] for row in fake.rows] == ["1", "0"]


def test_feedback_may_take_any_time(fake: FakeHelicone) -> None:
    logged(fake, "s-1")

    feedback("s-1", good=True, seconds=math.inf, settings=settings(fake))

    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "1"


def test_feedback_is_a_property_of_the_oldest_row_and_the_last_counts(fake: FakeHelicone) -> None:
    for session, seconds_ago in (("s-1", 5), ("s-1", 9), ("s-1", 1), ("s-12", 30)):
        logged(fake, session, seconds_ago)

    for good in (True, False):
        feedback("s-1", good=good, settings=settings(fake))

    feedbacks = [row.properties.get("Helicone-Session-Feedback") for row in fake.rows]
    assert feedbacks == [None, "0", None, None]


def test_feedback_can_be_given_with_a_key_that_only_writes(fake: FakeHelicone) -> None:
    logged(fake, "s-1")

    feedback("s-1", good=True, settings=settings(fake, api_key=fake.write_only_key))

    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "1"


def test_feedback_finds_a_session_by_the_id_that_the_host_has_stored(fake: FakeHelicone) -> None:
    logged(fake, "trip 42/é")

    feedback("trip 42/é", good=True, settings=settings(fake, utf8_hosts=(urlsplit(fake.url).netloc,)))

    assert [row.properties["Helicone-Session-Feedback"] for row in fake.rows] == ["1"]


@pytest.mark.parametrize("session_id", ["", " ", "\0\x1f"])
def test_feedback_needs_an_id(fake: FakeHelicone, session_id: str) -> None:
    with pytest.raises(TypeError, match="takes the id of a session"):
        feedback(session_id, good=True, settings=settings(fake))


def test_feedback_reads_its_settings_from_the_environment(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_API_KEY", fake.key)
    monkeypatch.setenv("HELICONE_API_ENDPOINT", fake.url)
    logged(fake, "s-1")

    feedback("s-1", good=True)

    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "1"


def test_no_proxy_is_used_for_this_machine(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    logged(fake, "s-1")

    feedback("s-1", good=True, settings=settings(fake))

    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "1"


@pytest.mark.usefixtures("quick_pauses")
def test_feedback_is_sent_again_until_the_session_is_known_and_helicone_works(fake: FakeHelicone) -> None:
    fake.troubles.next(Trouble(status=429), Trouble(reset=True), door="api")
    late = threading.Timer(0.2, logged, (fake, "s-1"))
    late.start()

    feedback("s-1", good=True, settings=settings(fake))

    late.join()
    *before, last = [request.method for request in fake.requests("api")]
    assert (set(before), last, len(before) >= 3) == ({"POST"}, "PUT", True)
    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "1"


@pytest.mark.parametrize(
    ("changes", "trouble", "message"),
    [
        ({}, None, "no feedback on session 's-9' within 0.5 s: 127.0.0.1:[0-9]+ knows no row of it"),
        ({"api_key": UNKNOWN_KEY}, None, r"refuses the key \(401\)"),
        ({"api_endpoint": NOWHERE}, None, "127.0.0.1:9 cannot be reached"),
        ({}, Trouble(seconds=5), "did not answer in time"),
        ({}, Trouble(status=404, text="<html>"), "answered 404: <html>"),
        ({}, Trouble(text="ok"), "answered 200: ok"),
        ({}, Trouble(text='{"data": {}}'), "answered /v1/request/query-clickhouse without a list"),
        ({}, Trouble(text='{"data": [1, null]}'), "knows no row of it"),
        ({}, Trouble(text='{"data": [{"request_id": 1}]}'), "knows no row of it"),
        ({}, Trouble(text='{"data": [], "error": "no"}'), "answered 200: no"),
        ({}, Trouble(status=302, headers={"Location": "https://example.com"}), "answered 302"),
    ],
)
def test_feedback_that_is_not_recorded_raises_an_error_that_says_why(
    fake: FakeHelicone, changes: Mapping[str, str], trouble: Trouble | None, message: str
) -> None:
    if trouble:
        fake.troubles.from_now_on(trouble, door="api")

    # What is refused is so at once; for the others the time must end.
    seconds = 10 if "answered" in message or "refuses" in message else 0.5
    with pytest.raises(HeliconeError, match=message) as raised:
        feedback("s-9", good=True, seconds=seconds, settings=settings(fake, **changes))

    assert UNKNOWN_KEY not in str(raised.value)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_success_of_helicone_is_one(fake: FakeHelicone, status: int) -> None:
    fake.troubles.from_now_on(Trouble(status=status, text='{"data": [{"request_id": "r"}], "error": null}'), door="api")

    assert Api(settings(fake)).requests("s-1") == [{"request_id": "r"}]
    feedback("s-1", good=True, seconds=1, settings=settings(fake))


@pytest.mark.parametrize("trouble", [Trouble(trickle=0.02), Trouble(seconds=2)], ids=["slow", "late"])
def test_feedback_ends_in_time_although_helicone_answers_slowly(fake: FakeHelicone, trouble: Trouble) -> None:
    logged(fake, "s-1")
    fake.troubles.from_now_on(trouble, door="api")

    with pytest.raises(HeliconeError, match=r"no feedback on session 's-1' within 0.3 s: .* did not answer in time"):
        feedback("s-1", good=True, seconds=0.3, settings=settings(fake))


@pytest.mark.usefixtures("quick_pauses")
def test_a_row_that_is_on_its_way_gets_its_feedback_when_it_is_there(fake: FakeHelicone) -> None:
    logged(fake, "s-1")
    fake.store.lag = 0.2

    feedback("s-1", good=False, settings=settings(fake))

    assert fake.rows[0].properties["Helicone-Session-Feedback"] == "0"


def test_feedback_accepts_only_a_bool_and_a_session() -> None:
    with pytest.raises(TypeError, match="takes True or False, not int"):
        feedback("s-1", good=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes the id of a session"):
        feedback(" ", good=True, settings=Settings(api_key="sk-helicone"))


# --- doctor --send --------------------------------------------------------------------------------


def sent(fake: FakeHelicone, **environ: str) -> list[Finding]:
    return list(send({"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url, **environ}, seconds=1))


def test_the_probe_sends_one_row_and_finds_it(fake: FakeHelicone) -> None:
    took, shows = sent(fake, HELICONE_LOG_KINDS="tool")

    [row] = fake.rows
    assert (took.level, took.text) == (Level.OK, f"{fake.url} took a row. It is Helicone's worker.")
    assert (shows.level, shows.text) == (
        Level.OK,
        f"{fake.url} shows session {row.session_id} (helicone-otel doctor): one row, data:hello, at /hello.",
    )
    assert (row.model, row.session_name, row.session_path, row.flaws) == (
        "data:hello",
        "helicone-otel doctor",
        "/hello",
        [],
    )


def test_the_probe_says_that_it_found_an_api_server_without_the_worker() -> None:
    with serving(FakeHelicone(worker=False)) as alone:
        took, shows = sent(alone, HELICONE_LOG_ENDPOINT=f"{alone.url}/v1/trace")

    assert (took.level, took.text) == (
        Level.OK,
        f"{alone.url}/v1/trace took a row. It is Helicone's API server, without the worker.",
    )
    assert (shows.level, shows.text.partition(" shows ")[0]) == (Level.OK, alone.url)
    assert [row.model for row in alone.rows] == ["data:hello"]


NO_LOG = "took no row: there is no log at this address (404), but"


def test_the_probe_says_where_the_log_of_an_api_server_is() -> None:
    with serving(FakeHelicone(worker=False)) as alone:
        [finding] = sent(alone)

    assert finding == problem(
        f"{alone.url} {NO_LOG} Helicone's API server, without the worker.",
        f"export HELICONE_LOG_ENDPOINT={alone.url}/v1/trace",
    )


def test_the_probe_says_where_the_log_of_the_worker_is(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    # As a proxy, the fake has the APIs of Helicone's hosts.
    monkeypatch.setenv("HTTP_PROXY", fake.url)
    monkeypatch.setenv("http_proxy", fake.url)
    worker = "http://api.worker.helicone.ai"
    hosts = {"HELICONE_API_ENDPOINT": fake.url, "HELICONE_LOG_HTTP_HOSTS": "api.worker.helicone.ai"}

    [finding] = sent(fake, HELICONE_LOG_ENDPOINT=f"{worker}/v1/trace", **hosts)

    assert finding == problem(
        f"{worker}/v1/trace {NO_LOG} Helicone's worker.", f"export HELICONE_LOG_ENDPOINT={worker}"
    )


@pytest.mark.parametrize("trouble", [Trouble(status=500), Trouble(text="<html>"), Trouble(reset=True)], ids=str)
def test_the_probe_does_not_guess_which_server_it_found(fake: FakeHelicone, trouble: Trouble) -> None:
    # The first request logs the row, and the second one asks how the server is.
    fake.troubles.next(Trouble(), trouble)

    took, shows = sent(fake)

    assert (took.text, shows.level) == (f"{fake.url} took a row.", Level.OK)


@pytest.mark.usefixtures("quick_pauses")
def test_the_probe_looks_for_its_row_until_it_is_there(fake: FakeHelicone) -> None:
    fake.store.lag = 0.1
    fake.troubles.next(Trouble(status=503), door="api")

    environ = {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url}
    assert [finding.level for finding in send(environ, seconds=5)] == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("environ", "trouble", "level", "text", "remedy"),
    [
        ({"HELICONE_API_KEY": ""}, None, Level.PROBLEM, "HELICONE_API_KEY is not set", "export HELICONE_API_KEY="),
        ({"HELICONE_API_KEY": "nonsense"}, None, Level.PROBLEM, "refused the key (401)", "check HELICONE_API_KEY"),
        ({"HELICONE_API_KEY": UNKNOWN_KEY}, None, Level.PROBLEM, "without saying ok", "does not know a key"),
        ({"HELICONE_LOG_ENDPOINT": NOWHERE}, None, Level.PROBLEM, "cannot be reached", "HTTPS_PROXY"),
        ({"HELICONE_LOG_ENDPOINT": "http://helicone.example"}, None, Level.PROBLEM, "unencrypted", "correct it"),
        ({"HELICONE_LOG": "perhaps"}, None, Level.PROBLEM, "HELICONE_LOG: 'perhaps'", "correct it"),
        ({}, Trouble(status=404), Level.PROBLEM, "there is no log at this address", "check HELICONE_LOG_ENDPOINT"),
        ({}, Trouble(status=503), Level.PROBLEM, "answered 503", "check the network"),
        ({}, Trouble(drop=True), Level.UNKNOWN, "does not show it within 1 s", "rate limit"),
        ({"HELICONE_API_ENDPOINT": NOWHERE}, None, Level.UNKNOWN, "cannot be reached", "HELICONE_API_ENDPOINT"),
    ],
)
def test_the_probe_reports_what_failed(
    fake: FakeHelicone, environ: Mapping[str, str], trouble: Trouble | None, level: Level, text: str, remedy: str
) -> None:
    if trouble:
        fake.troubles.from_now_on(trouble)

    *_, last = sent(fake, **environ)

    assert (last.level, text in last.text, remedy in last.remedy) == (level, True, True), last
    assert Redaction({})(last.remedy) == last.remedy


def test_a_row_that_is_accepted_at_the_second_attempt_has_arrived(fake: FakeHelicone) -> None:
    fake.troubles.next(Trouble(status=503, headers={"Retry-After": "0"}))
    environ = {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url}

    assert [finding.level for finding in send(environ, seconds=5)] == [Level.OK, Level.OK]


def test_a_span_that_opentelemetry_does_not_make_is_reported_as_not_sent(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    [finding] = sent(fake)

    assert (finding.level, "switched off" in finding.text, finding.remedy) == (
        Level.PROBLEM,
        True,
        "unset OTEL_SDK_DISABLED",
    )


def test_the_probe_distinguishes_a_write_only_key_from_one_of_another_region(fake: FakeHelicone) -> None:
    assert [finding.level for finding in sent(fake, HELICONE_API_KEY=fake.write_only_key)] == [Level.OK, Level.OK]

    fake.troubles.from_now_on(Trouble(status=401), door="api")
    took, write_only = sent(fake, HELICONE_API_KEY=fake.write_only_key)
    assert (took.level, write_only.level) == (Level.OK, Level.UNKNOWN)
    assert "Some servers let no key read that begins with pk-" in write_only.text
    _, elsewhere = sent(fake)
    assert (elsewhere.level, "own region" in elsewhere.text) == (Level.UNKNOWN, True)
    assert "https://eu.api.helicone.ai" in elsewhere.remedy


def test_the_report_contains_the_probe_without_a_secret(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The other checks are tested elsewhere, and are slow.
    monkeypatch.setattr("helicone_otel.tools.cli.doctor.examine_environment", lambda _: Report(()))
    monkeypatch.setenv("HELICONE_API_KEY", fake.key)
    monkeypatch.setenv("HELICONE_LOG_ENDPOINT", fake.url)

    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checks"] == []
    assert main(["doctor", "--send", "--json"]) == 0
    shown = capsys.readouterr().out
    assert [(check["check"], check["level"]) for check in json.loads(shown)["checks"]] == [("send", "ok")] * 2
    fake.troubles.next(Trouble(status=400, text=f"no {fake.key}"))
    assert main(["doctor", "--send"]) == 1
    assert fake.key not in shown + capsys.readouterr().out


@pytest.mark.slow
def test_the_command_adds_the_probe_to_its_report(fake: FakeHelicone) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    log = {"HELICONE_LOG": "true", "OTEL_BSP_SCHEDULE_DELAY": "1"}
    environ = {**kept, **log, "HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url}
    command = [sys.executable, "-m", "helicone_otel", "doctor", "--send", "--json"]

    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    checks = [check for check in json.loads(done.stdout)["checks"] if check["check"] == "send"]
    assert [(check["group"], check["level"]) for check in checks] == [("Log", "ok"), ("Log", "ok")]
    assert fake.key not in done.stdout + done.stderr
    # The other trial calls of the command are not logged.
    assert [row.model for row in fake.rows] == ["data:hello"]
