"""The fake Helicone's log APIs: what they accept, in which order they check it, and the rows that they make."""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.client import RemoteDisconnected
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helicone_otel.testing import FakeHelicone, Row, Trouble
from helicone_otel.tools.fakes import log_api, rows
from helicone_otel.tools.fakes.headers import HeadersError, from_meta
from helicone_otel.tools.fakes.loopback import serving
from tests.support.examples import examples
from tests.support.logs import ANSWERED, ASKED, CUSTOM, ID, SESSION, START, TIMING, Client, a_log, changed

OTHER_KEY = "sk-helicone-unknown-unknown-unknown-unknown"
TENANT_KEY = "sk-helicone-another-tenants-private-keyhere"
MISSING = "One of the required fields is missing"


def row_of(client: Client, log: object, path: str = CUSTOM, **headers: str | None) -> Row:
    assert client.log(log, path, **headers) == (200, "ok")
    return client.fake.rows[-1]


# --- rows -----------------------------------------------------------------------------------------


def test_a_log_becomes_a_row(client: Client) -> None:
    meta = {**SESSION, "Helicone-Request-Id": ID, "Helicone-User-Id": "u", "Helicone-Property-Env": "Staging"}

    answer = client.post(CUSTOM, a_log(meta=meta))

    [row] = client.fake.rows
    assert (answer.status, answer.body, answer.headers["helicone-id"]) == (200, "ok", ID)
    assert (row.id, row.door, row.provider, row.model, row.status) == (ID, "log", "CUSTOM", "gpt-4o-mini-2024", 200)
    assert (row.session_id, row.session_path, row.session_name) == ("s-1", "/plan/draft", "Trip planner")
    assert (row.request, row.response, row.user_id) == (a_log(meta=meta), ANSWERED, "u")
    assert row.properties == {**SESSION, "env": "Staging"}
    assert (row.started, row.ended, row.path) == (START, START + 1515, "no-path")
    assert (row.prompt_tokens, row.completion_tokens, row.badge, row.failed, row.flaws) == (3, 1, "LLM", False, [])


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/custom/v1/log", "CUSTOM"),
        ("/oai/v1/log", "OPENAI"),
        ("/anthropic/v1/log", "ANTHROPIC"),
        ("/googleapis/v1/log", "GOOGLE"),
    ],
)
def test_the_route_names_the_provider(client: Client, path: str, provider: str) -> None:
    assert row_of(client, a_log(), path).provider == provider


@pytest.mark.parametrize("path", ["/v1/log", "/custom/v1/logs"])
def test_another_route_is_invalid(client: Client, path: str) -> None:
    assert client.log(a_log(), path) == (404, "invalid path")
    assert client.send("GET", CUSTOM)[:2] == (404, "invalid path")


def test_a_row_that_is_sent_again_is_the_same_row_if_it_starts_at_the_same_time(client: Client) -> None:
    for log in (a_log(), a_log(answered={"model": "gpt-4o-mini-2024"}), a_log()):
        row_of(client, log)
    assert [(row.id, row.sends) for row in client.fake.rows] == [(ID, 3)]

    row_of(client, changed(a_log(), "timing.startTime.milliseconds", 126))
    assert [(row.id, row.sends) for row in client.fake.rows] == [(ID, 3), (ID, 1)]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        *((str(make), True) for make in (uuid.uuid1(), uuid.uuid3(uuid.UUID(int=0), ""), uuid.uuid4(), ID.upper())),
        ("019a4c1e-33f0-7c0b-8a57-5a2f1f0e9c44", False),
        ("1f0d9a4c-33f0-6c0b-8a57-5a2f1f0e9c44", False),
        ("0d9a4c1e-33f0-8c0b-8a57-5a2f1f0e9c44", False),
        ("0d9a4c1e-33f0-5c0b-ca57-5a2f1f0e9c44", False),
        (str(uuid.UUID(int=0)), False),
        (ID.replace("-", ""), False),
        (f"{ID}0", False),
        ("", False),
    ],
)
def test_a_request_id_is_kept_only_if_it_is_a_uuid_of_version_1_to_5(client: Client, wanted: str, kept: bool) -> None:
    row = row_of(client, a_log(meta={"Helicone-Request-Id": wanted}))

    assert (row.id == wanted) is kept
    assert kept or uuid.UUID(row.id).version == 4


def test_headers_go_before_meta(client: Client) -> None:
    row = row_of(
        client,
        a_log(),
        Helicone_Session_Id="s-2",
        helicone_property_a="1",
        Helicone_Session_Path="",
        Helicone_User_Id="u",
    )

    assert row.properties == {
        "Helicone-Session-Id": "s-2",
        "Helicone-Session-Name": "Trip planner",
        "a": "1",
    }
    assert (row.session_path, row.user_id, row.id) == ("/", "u", ID)


def test_the_model_can_be_overridden_only_by_a_header_of_the_request(client: Client) -> None:
    assert row_of(client, a_log(meta={"Helicone-Model-Override": "a"})).model == "gpt-4o-mini-2024"
    assert row_of(client, a_log(meta={}), Helicone_Model_Override="b").model == "b"


def test_bodies_can_be_left_out(client: Client) -> None:
    row = row_of(client, a_log(meta={"Helicone-Omit-Request": "true", "Helicone-Omit-Response": "true"}))
    other = row_of(client, a_log(meta={"Helicone-Omit-Request": "True"}))

    assert (row.request, row.response) == ({"model": row.model},) * 2
    assert other.request["messages"] == ASKED["messages"]


def test_other_headers_become_properties_in_helicones_spelling(client: Client) -> None:
    meta = {"helicone-prompt-id": "p", "HELICONE-CACHE-ENABLED": "true", "Helicone-Posthog-Key": "k"}

    assert row_of(client, a_log(meta={**meta, "Helicone-Property-": "x", "Helicone-Node-Id": "n"})).properties == {
        "Helicone-Prompt-Id": "p",
        "Helicone-Cache-Enabled": "true",
        "Helicone-Sent-To-Posthog": "true",
    }


def test_a_property_cannot_set_a_session(client: Client) -> None:
    row = row_of(client, a_log(meta={"Helicone-Property-Helicone-Session-Id": "s"}))

    assert (row.session_id, row.properties) == (None, {"helicone-session-id": "s"})


def test_a_log_without_timing_happens_now(client: Client) -> None:
    before = time.time_ns() // 1_000_000
    row = row_of(client, changed(a_log(), "timing"))

    assert before <= row.started <= row.ended <= time.time_ns() // 1_000_000


# --- the headers that JavaScript makes of meta ----------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (" \t\r\na b\r\n", "a b"),
        ("caf\xe9 100%25", "caf\xe9 100%25"),
        ("東京 \U0001f600 שלא", "東京 \U0001f600 שלא"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        (None, "null"),
        (5, "5"),
        (5.0, "5"),
        (0.5, "0.5"),
        (True, "true"),
        ({"a": 1}, "[object Object]"),
        (["a", None, ["b", 2]], "a,,b,2"),
        ("x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_values_of_meta_become_text(client: Client, value: Any, kept: str) -> None:
    assert row_of(client, a_log(meta={"Helicone-Property-A": value})).properties == {"a": kept}


@pytest.mark.parametrize(
    "meta",
    [
        {"a": "x\ry"},
        {"a": "x\ny"},
        {"a": "x\0y"},
        {"Helicone-Property-My Key": "x"},
        {"Helicone-Property-\xe9": "x"},
        {"": "x"},
        None,
        [1],
        ["ab"],
    ],
)
def test_an_invalid_header_in_meta_is_answered_500_and_the_row_is_lost(client: Client, meta: Any) -> None:
    answer = client.post(CUSTOM, changed(a_log(), "providerRequest.meta", meta))

    assert (answer.status, answer.headers["helicone-error"]) == (500, "true")
    assert sorted(answer.body) == ["helicone-error", "helicone-message", "support"]
    assert client.fake.rows == []


def test_headers_whose_names_differ_only_in_case_are_joined(client: Client) -> None:
    meta = {"Helicone-Property-A": "1", "helicone-property-a": "2"}

    assert row_of(client, a_log(meta=meta)).properties == {"a": "1, 2"}
    assert row_of(client, a_log(meta=[["Helicone-Property-B", "1"]])).properties == {"b": "1"}


@pytest.mark.parametrize(("node", "charset"), [(False, "utf-8"), (True, "latin-1")], ids=["worker", "API server"])
@settings(max_examples=examples(50))
@given(meta=st.dictionaries(st.text(), st.text() | st.none() | st.integers() | st.booleans(), max_size=4))
def test_any_meta_gives_headers_or_an_error(node: bool, charset: str, meta: dict[str, Any]) -> None:
    try:
        headers = from_meta(meta, node=node)
    except HeadersError:
        return
    for name, value in headers.items():
        assert name == name.lower()
        assert name.isascii()
        assert value == value.strip(" \t\r\n")
        value.encode(charset)


# --- the order of its checks ----------------------------------------------------------------------


@pytest.mark.parametrize("body", ["no JSON", "", "[]", "5", '{"a": NaN}', b"\xff", {}])
def test_a_body_that_is_not_a_log_lacks_its_fields(client: Client, body: object) -> None:
    status, said = client.log(body)

    assert (status, said["error"].startswith(MISSING)) == (400, True)


def test_null_is_answered_500(client: Client) -> None:
    assert client.log("null")[0] == 500


def test_the_size_is_checked_first_and_counted_in_utf_16_units(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_api.MAX_UNITS == 10 * 1024 * 1024
    monkeypatch.setattr(log_api, "MAX_UNITS", 10_000)  # a body of the real size takes seconds
    left = 10_000 - len(json.dumps(a_log(answered={"text": ""}), separators=(",", ":")))

    def sized(letters: str) -> bytes:
        return json.dumps(a_log(answered={"text": letters}), ensure_ascii=False).encode()

    assert client.log(sized("x" * (left + 1)), Authorization=None) == (400, "Payload too large")
    assert client.log(sized("x" * left)) == (200, "ok")
    assert client.log(sized("é" * left)) == (200, "ok")
    assert client.log(sized("\U0001f600" * (left // 2 + 1))) == (400, "Payload too large")


def test_whether_there_is_a_key_is_checked_second(client: Client) -> None:
    assert client.log({}, Authorization=None) == (401, "Unauthorized")
    for name in ("X_Api_Key", "Api_Key"):
        assert client.log({}, Authorization=None, **{name: "x"})[0] == 400


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        ("providerRequest", ..., MISSING),
        ("providerRequest", None, MISSING),
        ("providerResponse", 0, MISSING),
        ("providerRequest", [], "Invalid providerRequest: 'url'"),
        ("providerRequest.url", ..., "Invalid providerRequest: 'url'"),
        ("providerRequest.url", 5, "Invalid providerRequest: 'url'"),
        ("providerRequest.meta", ..., "Invalid providerRequest: 'meta'"),
        ("providerRequest.meta", "x", "Invalid providerRequest: 'meta'"),
        ("providerRequest.json", ..., "Invalid providerRequest: 'json'"),
        ("providerResponse.json", ..., "Invalid providerResponse: 'json'"),
        ("providerResponse.status", ..., "Invalid providerResponse: 'status'"),
        ("providerResponse.status", "200", "Invalid providerResponse: 'status'"),
        ("providerResponse.status", True, "Invalid providerResponse: 'status'"),
        ("providerResponse.headers", ..., "Invalid providerResponse: 'headers'"),
        ("providerResponse.headers", 5, "Invalid providerResponse: 'headers'"),
        ("timing.startTime.seconds", "1", "Invalid timing: 'startTime.seconds'"),
        ("timing.startTime.milliseconds", ..., "Invalid timing: 'startTime.milliseconds'"),
        ("timing.endTime.seconds", None, "Invalid timing: 'endTime.seconds'"),
        ("timing.endTime.milliseconds", [], "Invalid timing: 'endTime.milliseconds'"),
        ("timing.endTime.seconds", 1, "startTime is later"),
        ("timing.startTime.seconds", -1, "startTime and endTime cannot be negative"),
        ("timing.endTime.seconds", 1e300, "Invalid timing: no such date"),
    ],
)
def test_the_fields_are_checked_third_one_by_one(client: Client, place: str, value: Any, error: str) -> None:
    status, said = client.log(changed(a_log(), place, value), Authorization="Bearer nonsense")

    assert (status, said["error"][: len(error)]) == (400, error)


@pytest.mark.parametrize("place", ["timing.startTime", "timing.endTime", "providerResponse.headers"])
def test_a_body_that_the_checks_do_not_expect_is_answered_500(client: Client, place: str) -> None:
    value = None if place.endswith("headers") else ...

    assert client.log(changed(a_log(), place, value))[0] == 500


@pytest.mark.parametrize("place", ["providerRequest.json", "providerResponse.json"])
def test_a_body_may_be_null(client: Client, place: str) -> None:
    assert client.log(changed(a_log(), place, None)) == (200, "ok")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer nonsense",
        "sk-helicone-testing-fixture-nothing-private",
        "Bearer sk-helicone-test",
        "Bearer ",
        "Basic x",
    ],
)
def test_the_form_of_the_key_is_checked_fourth(client: Client, authorization: str) -> None:
    status, said = client.log(a_log(), Authorization=authorization)

    assert (status, list(said), client.fake.rows) == (401, ["error"], [])


def test_an_unknown_key_is_answered_200_with_an_error(client: Client) -> None:
    status, said = client.log(a_log(), Authorization=f"Bearer {OTHER_KEY}")

    assert (status, list(said), client.fake.rows) == (200, ["error"], [])


def test_each_key_has_rows_of_its_own(client: Client) -> None:
    client.fake.keys.admit(TENANT_KEY, "another tenant")
    row_of(client, a_log())
    row_of(client, a_log(), Authorization=f"Bearer {TENANT_KEY}")
    row_of(client, a_log(), Authorization=f"Bearer {client.fake.write_only_key}")

    assert [(row.organization, row.sends) for row in client.fake.rows] == [("default", 2), ("another tenant", 1)]
    with pytest.raises(ValueError, match="four times seven"):
        client.fake.keys.admit("sk-short")


def test_helicone_auth_goes_before_authorization_which_may_hold_two_keys(client: Client) -> None:
    key = f"Bearer {client.fake.key}"

    assert client.log(a_log(), Authorization="Bearer sk-openai", Helicone_Auth=key) == (200, "ok")
    assert client.log(a_log(), Authorization=f"Bearer sk-openai, {key}") == (200, "ok")


# --- models, tokens, badges and traps -------------------------------------------------------------

VECTOR = {"_type": "vector_db", "operation": "search", "query": "visa rules"}
TOOL = {"_type": "tool", "toolName": "get_weather", "input": {"city": "Oslo"}}
DATA = {"_type": "data", "name": "rerank"}
CALLS = {"choices": [{"message": {"role": "assistant", "content": "f()", "tool_calls": [{"id": "1"}]}}]}


@pytest.mark.parametrize(
    ("asked", "answered", "model", "badge"),
    [
        (VECTOR, {"_type": "vector_db", "matches": [{"id": "a", "score": 0.9}]}, "vector_db", "VectorDB"),
        (TOOL, {"_type": "tool", "toolName": "get_weather"}, "tool:get_weather", "Tool"),
        (DATA, {"_type": "data", "name": "rerank"}, "data:rerank", "Data"),
        (ASKED, {**ANSWERED, **CALLS}, "gpt-4o-mini-2024", "Tool"),
        (ASKED, {}, "gpt-4o-mini", "LLM"),
        ({}, {}, "", "LLM"),
        (VECTOR, {"_type": "vector_db", "metadata": {}}, "vector_db", "VectorDB"),
    ],
)
def test_a_row_has_the_badge_of_its_type(client: Client, asked: Any, answered: Any, model: str, badge: str) -> None:
    row = row_of(client, a_log(asked, answered))

    assert (row.model, row.badge, row.flaws) == (model, badge, [])


@pytest.mark.parametrize(
    ("asked", "answered", "model", "flaw"),
    [
        (TOOL, {"_type": "tool", "status": "queued", "metadata": {}}, "assistant-polling", "assistants"),
        (ASKED, {"status": "in_progress", "thread_id": "t"}, "assistant-polling", "assistants"),
        ({}, {"_type": "data", "name": "rerank", "metadata": {}}, "assistant-call", "assistants"),
        ({}, {"data": [{"assistant_id": "a"}]}, "assistant-call", "assistants"),
        (DATA, {"_type": "data", "toolName": "unknown"}, "data:undefined", "lacks the name"),
        (TOOL, {"_type": "tool"}, "tool:undefined", "lacks the name"),
        (TOOL, {"result": 4}, "tool:get_weather", "does not repeat the type"),
        (VECTOR, {"_type": "vector_db", "matches": [{"score": "0.9"}]}, "vector_db", "is not a number"),
        (VECTOR, {"_type": "vector_db", "results": [{"score": None}]}, "vector_db", "is not a number"),
    ],
)
def test_what_helicone_mistakes_for_something_else_is_named(
    client: Client, asked: Any, answered: Any, model: str, flaw: str
) -> None:
    row = row_of(client, a_log(asked, answered))

    assert (row.model, any(flaw in each for each in row.flaws)) == (model, True)


@pytest.mark.parametrize(
    "url", ["https://x/v1/models/m-1:generate", "https://x/engines/m-1/complete", "/model/m-1/invoke"]
)
def test_a_url_names_the_model_where_no_body_does(client: Client, url: str) -> None:
    assert row_of(client, a_log({}, {}, url=url)).model == "m-1"
    assert row_of(client, a_log(ASKED, {}, url=url)).model == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("path", "answered", "tokens"),
    [
        (CUSTOM, {"usage": {"input_tokens": 1, "output_tokens": 2}}, (1, 2)),
        (CUSTOM, {"prompt_token_count": 3, "generation_token_count": 4}, (3, 4)),
        (CUSTOM, {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6}}, (0, 0)),
        ("/googleapis/v1/log", {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6}}, (5, 6)),
        (CUSTOM, {"usage": {"prompt_tokens": "7"}}, (7, 0)),
        (CUSTOM, {"usage": None}, (0, 0)),
    ],
)
def test_tokens_are_read_where_helicone_reads_them(
    client: Client, path: str, answered: Any, tokens: tuple[int, int]
) -> None:
    row = row_of(client, a_log(answered=answered), path)

    assert (row.prompt_tokens, row.completion_tokens) == tokens


@pytest.mark.parametrize(
    ("status", "answered", "failed"),
    [(200, {}, False), (0, {}, False), (404, {}, True), (-3, {}, True), (200, {"error": {"message": "no"}}, True)],
)
def test_a_row_is_an_error_by_its_status_or_its_body(client: Client, status: int, answered: Any, failed: bool) -> None:
    assert row_of(client, changed(a_log(answered=answered), "providerResponse.status", status)).failed is failed


STREAM = 'data: {"model": "m", "choices": []}\n\ndata: {"usage": {"prompt_tokens": 3}}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("place", ["providerRequest.json.stream", "stream"])
def test_a_streamed_response_is_read_as_a_stream(client: Client, place: str) -> None:
    log = changed({**a_log({**ASKED, "stream": False}, {}), "stream": False}, place, True)
    log["providerResponse"]["textBody"] = STREAM

    row = row_of(client, log)

    assert (row.model, row.prompt_tokens, row.flaws) == ("m", 3, [])


@pytest.mark.parametrize(
    ("value", "kept"), [(210, 210), (0.5, 0.5), ("7", 7), ("", 0), (None, 0), (True, 1), ("soon", None), ([], None)]
)
def test_a_time_to_the_first_token_is_kept_as_a_number(client: Client, value: Any, kept: float | None) -> None:
    assert row_of(client, a_log(timing={**TIMING, "timeToFirstToken": value})).time_to_first_token == kept
    assert row_of(client, a_log()).time_to_first_token is None


@pytest.mark.parametrize(("stream", "text"), [(True, ""), (True, "plain"), (False, "plain"), (False, STREAM)])
def test_a_response_in_the_wrong_form_cannot_be_read(client: Client, stream: bool, text: str) -> None:
    log = a_log({**ASKED, "stream": stream})
    log["providerResponse"]["textBody"] = text

    [flaw] = row_of(client, log).flaws

    assert "cannot be read" in flaw


def test_a_text_goes_before_a_body(client: Client) -> None:
    log = a_log(answered={})
    log["providerResponse"]["textBody"] = '{"model": "t"}'

    assert row_of(client, log).model == "t"


# --- jawn -----------------------------------------------------------------------------------------

JAWN = ("/v1/trace/custom/log", "/v1/trace/custom/v1/log")
TYPED = "/v1/trace/custom/log/typed"


@pytest.mark.parametrize("path", JAWN)
def test_jawn_takes_the_same_log_and_answers_with_an_empty_body(client: Client, path: str) -> None:
    log = {**a_log(), "provider": "ANTHROPIC"}
    log["timing"] = {**log["timing"], "timeToFirstToken": 210}

    answers = client.log(log, path), client.log(changed(log, "provider"), path)

    first, second = client.fake.rows
    assert answers == ((200, ""), (200, ""))
    assert (first.provider, second.provider, first.id, first.session_id) == ("ANTHROPIC", "OPENAI", ID, "s-1")
    assert (first.path, first.time_to_first_token) == ("async-unknown-path", 210)


@pytest.mark.parametrize(("value", "status"), [("café", 200), ("東京", 500), ("\U0001f600", 500)])
def test_nodes_headers_hold_no_character_beyond_latin1(client: Client, value: str, status: int) -> None:
    log = a_log(meta={"Helicone-Property-A": value})

    assert client.log(log, JAWN[0])[0] == status
    assert [row.properties for row in client.fake.rows] == [{"a": value}] * (status == 200)


@pytest.mark.parametrize(
    ("start", "end", "milliseconds"),
    [
        ("1760000000", "1760000001000", (1760000000000, 1760000001000)),
        ("2025-10-09T08:53:20.125Z", "2025-10-09T10:53:21+02:00", (1760000000125, 1760000001000)),
        ("2025-10-09", "2025-10-09", (1759968000000, 1759968000000)),
    ],
)
@pytest.mark.parametrize("path", [*JAWN[:1], TYPED])
def test_jawn_takes_times_as_texts(client: Client, path: str, start: str, end: str, milliseconds: Any) -> None:
    assert client.log(a_log(timing={"startTime": start, "endTime": end}), path)[0] == 200

    [row] = client.fake.rows
    assert (row.started, row.ended) == milliseconds


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        a_log(meta={"a": "東"}),
        changed(a_log(), "providerRequest.json"),
        changed(a_log(), "providerResponse.json"),
        a_log(timing={"startTime": "yesterday", "endTime": "today"}),
        changed(a_log(), "timing.endTime"),
    ],
)
def test_a_log_that_jawn_cannot_read_is_an_error_with_an_empty_body(client: Client, body: object) -> None:
    assert client.log(body, JAWN[0]) == (500, "")
    assert client.fake.rows == []


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("providerRequest", ..., "providerRequest"),
        ("providerRequest.url", "", "providerRequest.url"),
        ("providerRequest.json", None, "providerRequest.json"),
        ("providerRequest.meta", ..., "providerRequest.meta"),
        ("providerResponse", None, "providerResponse"),
        ("providerResponse.status", "200", "providerResponse.status"),
        ("providerResponse.json", ..., "providerResponse"),
        ("providerResponse.headers", ..., "providerResponse.headers"),
        ("timing.startTime", ..., "timing.startTime"),
        ("timing.endTime", None, "timing.endTime"),
    ],
)
def test_the_typed_route_names_the_field(client: Client, place: str, value: Any, field: str) -> None:
    status, said = client.log(changed(a_log(), place, value), TYPED)

    assert (status, said["isValid"], [error["field"] for error in said["errors"]]) == (400, False, [field])


@pytest.mark.parametrize("path", [*JAWN, TYPED])
def test_jawn_needs_a_key(client: Client, path: str) -> None:
    for shown in (None, f"Bearer {OTHER_KEY}"):
        status, said = client.log(a_log(), path, Authorization=shown)
        assert (status, said["error"]) == (401, "No API key found")
    assert client.log(a_log(), path, Authorization=f"Bearer {client.fake.write_only_key}") == (200, "")


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_test_chooses_what_goes_wrong(client: Client) -> None:
    fake = client.fake
    fake.troubles.next(
        Trouble(status=503, headers={"Retry-After": "1"}),
        Trouble(error="queue down"),
        Trouble(text="<html>"),
        Trouble(drop=True),
        Trouble(status=500, stored=True),
    )

    answer = client.post(CUSTOM, a_log())
    assert (answer.status, answer.headers["retry-after"], fake.rows) == (503, "1", [])
    assert (client.log(a_log()), fake.rows) == ((200, {"error": "queue down"}), [])
    assert (client.log(a_log()), fake.rows) == ((200, "<html>"), [])
    assert (client.log(a_log()), fake.rows) == ((200, "ok"), [])
    assert (client.log(a_log())[0], len(fake.rows)) == (500, 1)
    assert (client.log(a_log()), fake.rows[0].sends) == ((200, "ok"), 2)


def test_a_trouble_can_last_and_concern_one_api_only(client: Client) -> None:
    client.fake.troubles.from_now_on(Trouble(status=503))
    assert [client.log(a_log())[0] for _ in range(3)] == [503] * 3
    assert client.send("GET", "/v1/session/has-session").status == 200

    client.fake.troubles.end()
    assert client.log(a_log()) == (200, "ok")


def test_a_connection_can_be_reset_and_an_answer_trickle(client: Client) -> None:
    client.fake.troubles.next(Trouble(reset=True), Trouble(reset=True, stored=True), Trouble(trickle=0.0001))

    for count in (0, 1):
        with pytest.raises(ConnectionResetError):
            client.log(a_log())
        assert len(client.fake.rows) == count
        client.connection.close()
    assert client.log(a_log()) == (200, "ok")


def test_a_server_that_closes_ends_its_slow_replies() -> None:
    with serving(FakeHelicone()) as fake:
        fake.troubles.from_now_on(Trouble(seconds=60))
        client = Client(fake)

        def wait() -> None:
            with pytest.raises(RemoteDisconnected):
                client.log(a_log())

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not fake.requests("log"):
            time.sleep(0.001)
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_headers_of_more_than_16_kib_are_too_many(client: Client) -> None:
    assert client.post(CUSTOM, a_log(), X_Long="x" * 15_000).status == 200
    assert client.post(CUSTOM, a_log(), X_Long="x" * 16_384).status == 431


def test_the_rows_and_requests_that_it_keeps_are_bounded() -> None:
    with serving(FakeHelicone(max_rows=3)) as fake:
        client = Client(fake)
        for number in range(5):
            row_of(client, a_log(meta={"Helicone-Property-N": number}))
        client.connection.close()
        assert [row.properties["n"] for row in fake.rows] == ["2", "3", "4"]
        assert fake.store.forgotten == 2


def test_large_rows_push_out_older_ones(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_BYTES", 4000)
    for number in range(3):
        row_of(client, a_log(answered={"text": "x" * 1000}, meta={"Helicone-Property-N": number}))
    for number in (3, 4):
        meta = {"Helicone-Property-N": number, "Helicone-Request-Id": ID}
        row_of(client, a_log(answered={"text": "x" * 1000}, meta=meta))

    assert [row.properties["n"] for row in client.fake.rows] == ["2", "4"]


def test_many_may_log_at_a_time(fake_helicone: FakeHelicone) -> None:
    def work() -> None:
        client = Client(fake_helicone)
        for _ in range(25):
            row_of(client, a_log(meta=SESSION))
        client.connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({row.id for row in fake_helicone.rows}) == 200


def test_requests_are_kept_byte_for_byte_for_each_api(client: Client) -> None:
    client.log('{"a": 1}', Helicone_Session_Id="s")

    [request] = client.fake.requests("log")
    assert (request.body, request.helicone_headers) == (b'{"a": 1}', {"Helicone-Session-Id": "s"})
    assert client.fake.requests("gateway") == []


ANY_JSON = st.recursive(st.none() | st.text(max_size=5) | st.floats(), st.lists).map(json.dumps)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60) | ANY_JSON)
def test_any_request_is_answered(client: Client, body: bytes | str) -> None:
    for path in (CUSTOM, *JAWN[:1], TYPED):
        assert client.log(body if isinstance(body, bytes) else body.encode(), path)[0] in (400, 500)
