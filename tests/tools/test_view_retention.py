"""What a named database keeps: retention by age and size, its size, and files of other versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helicone_otel import Settings
from helicone_otel.__main__ import main
from helicone_otel.tools.replay.otlp import batch_of
from helicone_otel.tools.view.database import Database
from helicone_otel.tools.view.labelling import TraceLabeller
from helicone_otel.tools.view.retention import Retention, RetentionWorker, _used, remove_sessions, size_of
from helicone_otel.tools.view.server import running_view
from helicone_otel.tools.view.sockets import ListenOptions
from helicone_otel.tools.view.text_index import Indexer
from helicone_otel.tools.view.worker import label_traces
from helicone_otel.tools.view.writes import keep_spans, unlabelled_traces
from tests.support.view_seed import request_of, review, span
from tests.support.viewing import ViewClient, ask, posted_row

DAY = 86_400
TABLES = ("spans", "traces", "places", "logs", "requests", "sessions", "facts", "scores", "feedback")

SIZES = "a size from 1MB to 1TB, such as 500MB or 2GB"
NO_FILE = "--keep-days, --keep-size and --compact are about a file of sessions; --db FILE is missing"


@contextmanager
def database(file: Path) -> Iterator[Database]:
    one = Database(file)
    try:
        yield one
    finally:
        one.close()


def keep(one: Database, *spans: dict[str, Any]) -> None:
    encoded = batch_of(request_of("shop", list(spans))).spans
    one.write(lambda connection: keep_spans(connection, encoded)).result()
    for _ in label_traces(one, TraceLabeller(Settings()), unlabelled_traces(one.reader)):
        pass


def keep_review(one: Database, number: int, days_ago: float, questions: int = 1) -> None:
    keep(one, *review(number, f"review/{number}", questions, int((time.time() - days_ago * DAY) * 1e9)))


def sessions(one: Database) -> list[str]:
    return [row[0] for row in one.reader.execute("SELECT session_id FROM sessions ORDER BY last")]


def counts(one: Database) -> dict[str, int]:
    return {table: one.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def remove(one: Database, days: float | None = None, size: int | None = None) -> list[int]:
    """Remove what is not kept, and return what was reported as changed."""
    changed: list[int] = []
    RetentionWorker(one, Retention(days, size), changed.extend).remove_all()
    return changed


def test_sessions_that_are_too_old_are_removed_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    with database(tmp_path / "a.db") as one:
        keep_review(one, 1, days_ago=1)
        expected = counts(one)
        for number in range(2, 40):
            keep_review(one, number, days_ago=8)

        changed = remove(one, days=7)

        assert (sessions(one), len(changed), counts(one)) == (["review/1"], 38, expected)


def test_the_oldest_sessions_are_removed_until_the_data_is_small_enough_and_the_newest_always_stays(
    tmp_path: Path,
) -> None:
    with database(tmp_path / "a.db") as one:
        for number in range(1, 6):
            keep_review(one, number, days_ago=number, questions=100)
        whole = one.size

        remove(one, size=whole * 3 // 5)
        some = sessions(one)
        remove(one, size=1)

        assert (some, sessions(one)) == ([f"review/{number}" for number in range(len(some), 0, -1)], ["review/1"])
        assert 1 < len(some) < 5


def test_no_more_sessions_are_removed_than_must_be_although_the_index_frees_its_space_late(tmp_path: Path) -> None:
    with database(tmp_path / "a.db") as one:
        for number in range(1, 41):
            keep_review(one, number, days_ago=number, questions=10)
        while Indexer(one)._index_some():
            pass
        used = one.write(_used).result()

        remove(one, size=used // 2)

        assert 14 <= len(sessions(one)) <= 20


def test_what_belongs_to_no_session_is_removed_before_any_session_is(tmp_path: Path) -> None:
    with database(tmp_path / "a.db") as one:
        for number in range(1, 6):
            keep_review(one, number, days_ago=number)
        used = one.write(_used).result()
        an_hour_ago = time.time_ns() - 3600 * 10**9
        for number in range(100, 160):
            keep(one, span(number, number, name="GET", attributes={"x": "y" * 20_000}, epoch=an_hour_ago))

        remove(one, size=used + 200_000)

        assert len(sessions(one)) == 5
        assert counts(one)["spans"] < 60


def test_the_file_becomes_smaller_when_sessions_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with database(file) as one:
        for number in range(1, 6):
            keep_review(one, number, days_ago=number, questions=100)
    before = file.stat().st_size

    with database(file) as one:
        remove(one, size=1)

    assert file.stat().st_size < before // 2


def test_other_sessions_of_a_trace_keep_their_spans(tmp_path: Path) -> None:
    now = time.time_ns()
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    with database(tmp_path / "a.db") as one:
        old, new = ({**chat, "gen_ai.conversation.id": name} for name in ("old", "new"))
        keep(
            one,
            span(1, 1, attributes=old, epoch=now - 9 * DAY * 10**9, scope="opentelemetry.instrumentation.openai_v2"),
            span(1, 2, attributes=new, epoch=now, scope="opentelemetry.instrumentation.openai_v2"),
        )
        assert sessions(one) == ["old", "new"]

        remove(one, days=7)

        assert (sessions(one), counts(one)["spans"], counts(one)["traces"]) == (["new"], 1, 1)


def test_spans_and_rows_without_a_session_are_removed_by_their_age(tmp_path: Path) -> None:
    now = time.time_ns()
    with database(tmp_path / "a.db") as one:
        for number, days in ((1, 1), (2, 8)):
            keep(one, span(number, number, name="GET /", scope="other", epoch=now - days * DAY * 10**9))
        rows = {"old": '{"timing": {"endTime": {"seconds": 1}}}', "unknown": "{}", "broken": '{"a": NaN}'}
        rows["new"] = f'{{"timing": {{"endTime": {{"seconds": {now // 10**9}}}}}}}'
        insert = "INSERT INTO logs VALUES (?, ?)"
        one.write(lambda to: to.executemany(insert, [(id_, text.encode()) for id_, text in rows.items()])).result()

        remove(one, days=7)

        assert (counts(one)["spans"], counts(one)["traces"]) == (1, 1)
        assert [row[0] for row in one.reader.execute("SELECT id FROM logs")] == ["broken", "new", "unknown"]


def test_a_session_stays_while_spans_of_it_are_not_labelled(tmp_path: Path) -> None:
    with database(tmp_path / "a.db") as one:
        keep_review(one, 1, days_ago=8)
        encoded = batch_of(request_of("shop", [span(1, 77)])).spans
        one.write(lambda connection: keep_spans(connection, encoded)).result()

        assert one.write(lambda connection: remove_sessions(connection, Retention(days=7))).result() == []
        assert sessions(one) == ["review/1"]


def test_a_running_view_removes_old_sessions_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with database(file) as one:
        keep_review(one, 1, days_ago=8)
        keep_review(one, 2, days_ago=1)

    options = ListenOptions(pages=0, grpc=None, http=0)
    with running_view(file, Settings(), options, Retention(days=7, size=10**9)) as view:
        client = ViewClient(view)
        for _ in range(1000):
            status = client.get("status")
            if status["removed"]:
                break
            time.sleep(0.01)
        assert (status["removed"], status["retention"], status["kept"]) == (1, {"days": 7, "size": 10**9}, True)
        assert status["size"] > 0
        assert [one["id"] for one in client.get("sessions")["sessions"]] == ["review/2"]


def test_compacting_gives_space_back_and_writing_goes_on(tmp_path: Path) -> None:
    with running_view(tmp_path / "a.db", Settings(), ListenOptions(pages=0, grpc=None, http=0)) as view:
        client = ViewClient(view)
        client.log(posted_row("s", "/a", "n", asked_for={"model": "m", "prompt": "x" * 3_000_000}))
        client.clear()
        before = client.get("status")["size"]

        answer = ask(f"{view.url}/api/compact", "POST")

        assert (answer.status, answer.data["size"] < before / 2) == (200, True)
        assert client.log(posted_row("s", "/a", "n")).status == 200
        assert [one["id"] for one in client.get("sessions")["sessions"]] == ["s"]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 405),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_no_other_site_can_have_the_view_change_something(
    view: ViewClient, method: str, headers: dict[str, str], status: int
) -> None:
    assert ask(f"{view.view.url}/api/compact", method, headers=headers).status == status


# --- the command --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1.5 gb", 1_500_000_000), ("1TB", 10**12), ("1000KB", 10**6)]
)
def test_a_size_has_a_unit(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--keep-days", "7"],
            NO_FILE,
        ),
        (["--db", "a.db", "--keep-days", "0"], "argument --keep-days: a number of days above 0, not '0'"),
        (["--db", "a.db", "--keep-days", "nan"], "argument --keep-days: a number of days above 0, not 'nan'"),
        (
            ["--db", "a.db", "--keep-size", "7"],
            f"argument --keep-size: {SIZES}, not '7'",
        ),
        (
            ["--db", "a.db", "--keep-size", "9999TB"],
            f"argument --keep-size: {SIZES}, not '9999TB'",
        ),
    ],
)
def test_limits_that_cannot_be_used_are_reported(
    arguments: list[str],
    error: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"helicone-otel view: error: {error}"


def test_a_file_that_is_not_there_is_not_made_to_be_compacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", "--db", str(tmp_path / "none.db"), "--compact"]) == 2
    assert capsys.readouterr().err == "helicone-otel view: --compact: there is no file none.db\n"
    assert list(tmp_path.iterdir()) == []


def test_the_command_compacts_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.db"
    with database(file) as one:
        for number in range(1, 6):
            keep_review(one, number, days_ago=number, questions=100)
        one.write(lambda connection: connection.execute("DELETE FROM spans")).result()
    before = file.stat().st_size

    assert main(["view", "--db", str(file), "--compact"]) == 0
    assert capsys.readouterr().out.startswith("a.db: ")
    assert file.stat().st_size < before // 2
