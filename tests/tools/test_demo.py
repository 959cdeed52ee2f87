"""`helicone-otel demo`: one whole run, and each disagreement that it must notice."""

from __future__ import annotations

import ast
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helicone_otel.__main__ import main
from helicone_otel.tools.cli import demo
from helicone_otel.tools.cli.demo import Expected, World, disagreements
from helicone_otel.tools.cli.demo.world import demo_helicone
from helicone_otel.tools.cli.run import Run
from helicone_otel.tools.cli.tree import GatewayCall, LoggedRow, RequestNode, SessionTree, Step
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.rows import Row
from helicone_otel.tools.fakes.server import FakeHelicone

pytest.importorskip("opentelemetry.distro", reason="`helicone-otel run` needs the launcher's configurator")

HERE = Path(demo.__file__).parent
EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_demo_finds_no_disagreement_whatever_the_environment_says() -> None:
    nowhere = "http://127.0.0.1:9"
    hostile = {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": nowhere,
        "HELICONE_SESSION_ID": "somebody-else",
        "HELICONE_API_KEY": "sk-helicone-somebody-elses-key",
        "OPENAI_BASE_URL": nowhere,
        "ANTHROPIC_BASE_URL": nowhere,
        "HTTP_PROXY": nowhere,
        "https_proxy": nowhere,
    }

    done = subprocess.run(
        [sys.executable, "-m", "helicone_otel", "demo"],
        env={**os.environ, **hostile},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Starting the agent; its libraries take a few seconds\n")
    # What the tools, the guide and the town said is in the answer.
    said = " ".join(done.stdout.split())
    for finding in ("17:39 from platform 2", "18:52 from platform 4", "port lodges", "tram 1", "Sun on both days"):
        assert finding in said
    assert "All agree: the expected tree, its 14 requests" in " ".join(done.stdout.split())
    drawn = re.findall(r"[├└]── (\S+)  (task|tool|vector_db)\b", done.stdout)
    assert drawn == [
        (path.rpartition("/")[2], step["kind"]) for session in EXPECTED for path, step in session["steps"].items()
    ]


def test_a_demo_that_is_interrupted_checks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = Run(130, [], [], ["a note"], signal.SIGINT)
    monkeypatch.setattr(demo, "_observed", lambda *_: (interrupted, World([], {}, set(), {})))

    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "helicone-otel demo: interrupted\n")


@pytest.mark.slow
def test_ctrl_c_ends_the_agent_without_a_word_of_its_own() -> None:
    # A shell lets a job in the background ignore Ctrl-C, and its children would.
    hearing = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = f"{hearing}from helicone_otel.__main__ import main; sys.exit(main(['demo']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        while "Understanding the wish" not in process.stdout.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (130, "helicone-otel demo: interrupted\n")


def test_the_agent_knows_nothing_of_helicone() -> None:
    for file in ("agent.py", "tool_server.py"):
        tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]  # its docstring may name Helicone
        assert "helicone" not in ast.dump(tree).lower()


# A small world, to test what the demo must notice.
HEADERS = {"Helicone-Session-Id": "s1", "Helicone-Session-Path": "/a", "Helicone-Session-Name": "Trip"}
TREE: list[Expected] = [
    {
        "name": "Trip",
        "steps": {
            "/a": {"kind": "task", "requests": {"llm": 2}, "gateway": [429, 200]},
            "/a/upsert": {"kind": "vector_db", "requests": {"vector_db": 1}},
        },
    }
]


def call(status: int, **headers: str) -> GatewayCall:
    return GatewayCall("gw.test", status, 0, 1, None, tuple({**HEADERS, **headers}.items()))


def a_session(
    *calls: GatewayCall, upserts: int = 1, session_id: str = "s1", name: str = "Trip", row_id: str = ""
) -> SessionTree:
    calls = calls or (call(429), call(200))
    llms = [RequestNode("llm", "m", "/a", 0, 1, one.failure, one) for one in calls]
    llms[-1] = replace(llms[-1], row_id=row_id or f"row-{calls[-1].status}")
    upsert = RequestNode("vector_db", "", "/a/upsert", 0, 1, None, None, (LoggedRow("VectorDB", "vector_db", 200, ()),))
    leaf = Step("upsert", "/a/upsert", "vector_db", 1, 0, 1, None, (upsert,) * upserts, ())
    step = Step("a", "/a", "task", 1, 0, 1, None, tuple(llms), (leaf,))
    return SessionTree(session_id, name, Step("", "/", None, 0, 0, 1, None, (), (step,)))


def row(status: int, kind: str = "llm", **headers: str) -> Row:
    path = "/v1/embeddings" if kind == "embedding" else "/v1/chat/completions"
    return Row(f"row-{status}", "gateway", "OPENAI", "m", status, path, 0, 1, "", {**HEADERS, **headers}, {}, {})


def logged(model: str = "vector_db", response: object = None, **headers: str) -> Row:
    properties = {**HEADERS, "Helicone-Session-Path": "/a/upsert", **headers}
    return Row("", "log", "CUSTOM", model, 200, "", 0, 1, "", properties, {}, response or {"_type": "vector_db"})


def a_world(
    *rows: Row,
    log: tuple[Row, ...] = (logged(),),
    asked: Mapping[str, int] | None = None,
    leaked: frozenset[str] = frozenset(),
) -> World:
    seen = (*(rows or (row(429), row(200))), *log)
    listed = Counter((seen.session_id or "", seen.session_name) for seen in seen)
    return World(seen, {"/witness/upsert": 1, "/weather": 1, **(asked or {})}, leaked, listed)


def replace_sends(world: World, sends: int) -> World:
    return replace(world, rows=[replace(row, sends=sends) for row in world.rows])


def test_a_world_that_agrees_has_no_disagreements() -> None:
    assert disagreements(TREE, [a_session()], a_world()) == []


OTHER = {"Helicone-Session-Id": "s2"}
WRONG = {"Helicone-Session-Path": "/b"}


@pytest.mark.parametrize(
    ("session", "world", "sentence"),
    [
        (
            a_session(row_id="row-429"),
            a_world(),
            "/a: the span has the id 'row-429', which is not that of its last row",
        ),
        (a_session(upserts=2), a_world(asked={"/witness/upsert": 2}), "/a/upsert: expected"),
        (a_session(call(200)), a_world(row(200)), "/a: expected"),
        (
            a_session(),
            a_world(row(429), row(200), row(200)),
            "gateway request ('200', 's1', 'Trip', '/a'): seen 2 times",
        ),
        (
            a_session(),
            a_world(row(429), row(200, **OTHER)),
            "gateway request ('200', 's2', 'Trip', '/a'): seen 1 times",
        ),
        (a_session(call(429), call(200, **WRONG)), a_world(row(429), row(200, **WRONG)), "/a: the span has"),
        (a_session(session_id="s3"), a_world(), "/a: the span has"),
        (a_session(name="Tour"), a_world(), "a session named 'Trip' was expected, one named 'Tour' was drawn"),
        (
            a_session(),
            a_world(row(429), row(200, "embedding")),
            "request by the gateway's count embedding: seen 1 times",
        ),
        (a_session(), a_world(asked={"/witness/upsert": 2}), "operation that the store or tool counted upsert: seen 2"),
        (
            a_session(),
            a_world(asked={"/departures": 1}),
            "operation that the store or tool counted search_trains: seen 1",
        ),
        (
            a_session(),
            a_world(log=()),
            "row of the log ('vector_db', 's1', 'Trip', '/a/upsert'): seen 0 times, drawn 1",
        ),
        (
            a_session(),
            a_world(log=(logged(), logged())),
            "row of the log ('vector_db', 's1', 'Trip', '/a/upsert'): seen 2",
        ),
        (
            a_session(),
            a_world(log=(logged(**OTHER),)),
            "row of the log ('vector_db', 's2', 'Trip', '/a/upsert'): seen 1",
        ),
        (
            a_session(),
            a_world(log=(logged("tool:upsert"),)),
            "row of the log ('tool', 's1', 'Trip', '/a/upsert'): seen 1",
        ),
        (
            a_session(),
            a_world(log=(logged(response={"_type": "vector_db", "matches": [{"score": "high"}]}),)),
            "the row of vector_db at /a/upsert: a score among the matches is not a number",
        ),
        (
            a_session(),
            a_world(log=(logged("tool:upsert", {"_type": "tool", "status": "success"}),)),
            "the row of tool:upsert at /a/upsert has no arguments or no result",
        ),
        (a_session(), a_world(log=()), "row of session ('s1', 'Trip'): seen 2 times, drawn 3 times"),
        (a_session(), replace_sends(a_world(), 2), "the row  was sent 2 times"),
        (a_session(), a_world(asked={"/weather": 0}), "the agent never called a host that is not a gateway"),
        (a_session(), a_world(leaked=frozenset({"Helicone-Session-Id"})), "Helicone-Session-Id left for a host"),
    ],
)
def test_each_disagreement_is_named(session: SessionTree, world: World, sentence: str) -> None:
    assert any(problem.startswith(sentence) for problem in disagreements(TREE, [session], world))


def test_a_missing_session_is_named() -> None:
    assert disagreements(TREE, [], a_world())[0] == "1 sessions were expected, 0 were drawn"


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeHelicone]:
    with serving(demo_helicone()) as server:
        yield server


CHAT = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Name the city"}]}
MESSAGES = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
EMBED = {"model": "text-embedding-3-small", "input": ["a"]}


def ask(gateway: FakeHelicone, path: str, body: object, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.server_port, timeout=5)
    given = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {gateway.key}",
        "anthropic-version": "2023-06-01",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = body if isinstance(body, str) else json.dumps(body)
    try:
        connection.request("POST", path, text, {name: value for name, value in given.items() if value})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def test_the_stand_in_is_overloaded_once_and_then_answers(gateway: FakeHelicone) -> None:
    first, second = (ask(gateway, "/v1/chat/completions", CHAT) for _ in range(2))

    assert (first[0], first[1]["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (second[0], second[1]["choices"][0]["message"]["content"]) == (200, "Porto")


def answer_to(gateway: FakeHelicone, *messages: Mapping[str, object]) -> str:
    body = {"model": "gpt-5.4-mini", "messages": messages}
    text: str = ask(gateway, "/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    return text


def test_the_answers_of_the_models_follow_from_what_they_are_sent(gateway: FakeHelicone) -> None:
    calls = [{"id": id_, "type": "function", "function": {"name": "t", "arguments": "{}"}} for id_ in ("1", "2")]
    trains = answer_to(
        gateway,
        {"role": "user", "content": "Find trains from Lisbon to Porto and back."},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "08:00 from platform 9"},
        {"role": "tool", "tool_call_id": "2", "content": "21:15 from platform 1"},
    )
    findings = ["Livraria Lello opens late.", "The port lodges lie low.", trains, "Rain, says somebody."]
    wish = {"role": "user", "content": "Plan two days in Porto.\n" + "\n".join(findings)}
    written = ask(gateway, "/v1/messages", {**MESSAGES, "messages": [wish]})[1]["content"][0]["text"]
    task = {"role": "system", "content": "Review this plan and return it corrected."}
    reviewed = answer_to(gateway, task, {"role": "user", "content": written})

    assert trains == "Out on Friday at 08:00 from platform 9, back on Sunday at 21:15 from platform 1."
    assert written == (
        "Friday: train at 08:00 from platform 9. Saturday: Livraria Lello at half past nine. Sunday: the port lodges "
        "of Gaia, and home by the train at 21:15 from platform 1. Weather: No report of the weather."
    )
    assert reviewed == written.replace("the train at", "the train (book a seat) at")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", "not JSON", 400),
        ("/v1/chat/completions", ["no object"], 400),
        ("/v1/chat/completions", {"model": "gpt-5.4-mini"}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": []}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": "Hello"}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": ["Hello"]}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "robot", "content": "x"}]}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "user"}]}, 400),
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}, 400),
        ("/v1/chat/completions", {**CHAT, "tools": [{"type": "function"}]}, 400),
        ("/v1/chat/completions", {**CHAT, "stream": "yes"}, 400),
        ("/v1/chat/completions", {**CHAT, "max_tokns": 9}, 400),
        ("/v1/chat/completions", {**CHAT, "model": "gpt-99"}, 404),
        ("/v1/embeddings", {**EMBED, "input": [""]}, 400),
        ("/v1/embeddings", {**EMBED, "input": 7}, 400),
        ("/v1/embeddings", {**EMBED, "model": "gpt-5.4-mini"}, 404),
        ("/v1/messages", {**MESSAGES, "max_tokens": True}, 400),
        ("/v1/messages", {name: MESSAGES[name] for name in ("model", "messages")}, 400),
        ("/v1/messages", {**MESSAGES, "messages": [{"role": "assistant", "content": "x"}]}, 400),
        ("/v1/messages", {**MESSAGES, "messages": [{"role": "user", "content": ""}]}, 400),
        ("/v1/messages", {**MESSAGES, "model": "claude-0"}, 404),
        ("/v1/responses", CHAT, 404),
    ],
)
def test_the_stand_in_refuses_what_the_providers_refuse(
    gateway: FakeHelicone, path: str, body: object, status: int
) -> None:
    answered, body_of_answer = ask(gateway, path, body)

    assert answered == status
    assert body_of_answer["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/messages"])
def test_the_stand_in_accepts_no_other_key_and_records_every_request(gateway: FakeHelicone, path: str) -> None:
    before = len(gateway.rows)

    status, _ = ask(gateway, path, CHAT, Authorization="Bearer sk-other", Helicone_Session_Id="s")

    assert status == 401
    assert [(row.status, row.properties) for row in gateway.rows[before:]] == [(401, {"Helicone-Session-Id": "s"})]


def test_the_stand_in_needs_the_version_of_anthropics_api(gateway: FakeHelicone) -> None:
    assert ask(gateway, "/v1/messages", MESSAGES, anthropic_version="")[0] == 400
    assert ask(gateway, "/v1/messages", MESSAGES)[0] == 200


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "http://127.0.0.1:9",
            r"no view accepts spans at http://127\.0\.0\.1:9/v1/traces \(.*refused\); start one: .*",
        ),
        ("ftp://127.0.0.1", r"ftp://127\.0\.0\.1/v1/traces is no address of a view: it does not begin with http://"),
        ("", r"/v1/traces is no address of a view: it does not begin with http://"),
        ("http://[x", r"no view accepts spans at http://\[x/v1/traces \(Invalid IPv6 URL\); start one: .*"),
    ],
)
def test_the_demo_says_that_no_view_is_at_an_address(capsys: pytest.CaptureFixture[str], url: str, reason: str) -> None:
    assert main(["demo", "--to", url]) == 2
    assert re.fullmatch(rf"helicone-otel demo: {reason}\n", capsys.readouterr().err)
