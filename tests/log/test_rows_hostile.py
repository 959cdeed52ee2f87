"""Any span becomes a row that Helicone accepts, or is dropped and counted. None raises an exception."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helicone_otel import failures
from helicone_otel.log.rows import facts
from helicone_otel.log.rows import row as row_module
from helicone_otel.log.rows.content import Content, Where
from helicone_otel.log.rows.encode import encoded
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.sources import DETAILS, EVENTS, SOURCES
from helicone_otel.log.rows.types import Event
from helicone_otel.wire import REQUEST_KINDS
from tests.support import logged
from tests.support.examples import examples

KINDS = sorted(REQUEST_KINDS)
LIMIT = 10 * 1024 * 1024
FIELDS = (
    *(
        "role",
        "content",
        "parts",
        "type",
        "text",
        "tool_calls",
        "id",
        "name",
        "arguments",
        "input",
        "output",
        "function",
    ),
    *(
        "messages",
        "choices",
        "message",
        "lc",
        "kwargs",
        "score",
        "documents",
        "node",
        "query",
        "usage",
        "finish_reason",
    ),
    *("data", "embedding", "tools", "parameters", "model", "stop", "content", "functionCall", "metadata", "image"),
)
WORDS = st.sampled_from(("text", "tool_call", "tool_call_response", "assistant", "tool", "system", "reasoning", "blob"))
TEXTS = st.one_of(st.text(max_size=12), WORDS, st.text(st.characters(categories=["Cs", "Cc", "Lo"]), max_size=4))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
SHAPED = JSON.filter(lambda value: not _is_too_long(value)).map(json.dumps)
DEEP = st.sampled_from((40, 200, 5_000, 100_000)).map(lambda depth: "[" * depth + "1" + "]" * depth)
VALUES = st.one_of(SHAPED, SCALARS, JSON, DEEP, st.binary(max_size=8), st.lists(SCALARS, max_size=4).map(tuple))
PLAIN = sorted({key for source in SOURCES for key in source.keys if not key.endswith(".")})
NUMBERED = sorted({key for source in SOURCES for key in source.keys if key.endswith(".")})
TAILS = (
    *("role", "content", "message.role", "message.content", "message.tool_calls.0.tool_call.id", "document.score"),
    *("message.contents.1.message_content.text", "tool_calls.0.arguments", "document.content", "embedding.vector"),
)
KEYS = st.one_of(
    st.sampled_from(PLAIN),
    st.builds("{}{}.{}".format, st.sampled_from(NUMBERED), st.integers(0, 3) | st.just(10**30), st.sampled_from(TAILS)),
    st.builds("{}{}".format, st.sampled_from(NUMBERED), st.text(max_size=3)),
    st.builds("helicone.property.{}".format, st.text(max_size=6)),
    st.sampled_from(("helicone.session.id", "helicone.session.name", "helicone.session.path", "user.id")),
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=12)
HAPPENED = st.builds(
    Event,
    st.sampled_from([*EVENTS, DETAILS]),
    st.integers(),
    st.dictionaries(KEYS | st.sampled_from(FIELDS), VALUES, max_size=4),
)


def _is_too_long(value: Any) -> bool:
    return "1" + "0" * 300 in repr(value)  # Python refuses to write such a number


def _shouting(text: str, where: Where) -> str:
    return f"{where.key}:{text.upper()}"


def _raising(text: str, where: Where) -> str:
    raise RuntimeError(text, where)


def _silent(text: str, where: Where) -> str:
    return None  # type: ignore[return-value]


HOOKS = st.sampled_from((None, None, _shouting, _raising, _silent))


@pytest.mark.failures
@settings(max_examples=examples(150), deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    attributes=ATTRIBUTES,
    events=st.lists(HAPPENED, max_size=4),
    start=st.integers(),
    end=st.integers(),
    failed=st.booleans(),
    reason=TEXTS,
    hook=HOOKS,
    wrappers=st.lists(ATTRIBUTES, max_size=2),
)
@example("llm", {"gen_ai.input.messages": '[{"role": "user", "content": "\\ud800"}]'}, [], 5, 3, False, "", None, [])
@example(
    "tool",
    {"gen_ai.tool.call.result": '{"a": NaN, "b": 1e999, "c": ' + "9" * 400 + "}"},
    [],
    0,
    0,
    True,
    "\ud800",
    None,
    [{"exception.message": "\ud800"}],
)
@example("vector_db", {"retrieval.documents.0.document.score": float("nan")}, [], -1, 2**80, False, "", None, [])
def test_any_span_makes_a_row_that_helicone_accepts(
    kind: str,
    attributes: Mapping[str, Any],
    events: list[Event],
    start: int,
    end: int,
    failed: bool,
    reason: str,
    hook: Any,
    wrappers: list[Mapping[str, Any]],
) -> None:
    around = [logged.finished_span(kind, one, events=events, failed=failed, reason=reason) for one in wrappers]
    span = logged.finished_span(
        kind, attributes, events=events, start=start, end=end, failed=failed, reason=reason, wrappers=around
    )

    row = row_of(span, Content(redact=hook))

    assert row is not None
    logged.check(row)


@settings(max_examples=examples(40), deadline=None)
@given(kind=JSON, row_id=JSON | TEXTS, session=JSON)
def test_a_span_with_a_bad_label_becomes_a_row_or_is_dropped_and_counted(kind: Any, row_id: Any, session: Any) -> None:
    before = sum(failures.swallowed().values())
    label = {"helicone.span.kind": kind, "helicone.request.id": row_id, "helicone.session.id": session}

    row = row_of(logged.finished_span("tool", label), Content())

    if row is None:
        assert sum(failures.swallowed().values()) == before + 1
    else:
        logged.check(row)


@pytest.mark.parametrize("row_id", ["", " ", None, 7, b"id"])
def test_a_span_without_an_id_is_dropped_and_counted(row_id: object) -> None:
    before = failures.swallowed()

    assert row_of(logged.finished_span("tool", {"helicone.request.id": row_id}), Content()) is None
    assert failures.swallowed() != before


def test_an_id_that_helicone_would_replace_becomes_one_that_it_keeps() -> None:
    seventh = {"helicone.request.id": "01a203b9-0094-77c0-aeb2-55a412ff6051"}

    assert logged.row("tool", seventh).id == logged.row("tool", seventh).id != seventh["helicone.request.id"]


# --- the size ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "letter",
    ["😀", *(pytest.param(letter, marks=pytest.mark.slow) for letter in ("a", "é", '"', "\x01", "\\", "\ud800"))],
)
def test_a_row_that_is_too_large_is_cut_and_has_a_note(letter: str) -> None:
    text = letter * (LIMIT // len(letter.encode("utf-8", "replace")) + 1000)
    attributes = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": text}], ensure_ascii=False),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "short"}]),
    }
    row = row_of(logged.finished_span("llm", attributes), Content())
    assert row is not None

    sent = encoded(row)

    request, response = logged.bodies(row)
    assert LIMIT * 0.98 < len(sent) <= LIMIT
    assert request["model"] == "gpt-4o"
    assert "Helicone takes 10485760" in request["helicone_otel_cut"]
    assert "[cut: " in request["messages"][0]["content"]
    assert response["choices"][0]["message"]["content"] == "short"


def test_the_longest_of_many_texts_are_cut() -> None:
    documents = [{"id": str(number), "content": "x" * (10 if number else 11_000_000)} for number in range(50)]
    row = logged.row("vector_db", {"gen_ai.retrieval.documents": json.dumps(documents)})

    matches = logged.bodies(row)[1]["matches"]
    assert [match["text"] for match in matches[1:]] == ["x" * 10] * 49
    assert matches[0]["text"].endswith("[cut: 11000000 characters]")


@pytest.mark.slow
@pytest.mark.parametrize(
    "result", [list(range(4_000_000)), {str(number): number for number in range(1_000_000)}, [["x"] * 10] * 500_000]
)
def test_a_row_of_too_many_small_items_is_cut_too(result: Any) -> None:
    row = row_of(
        logged.finished_span("tool", {"gen_ai.tool.name": "all", "gen_ai.tool.call.result": json.dumps(result)}),
        Content(),
    )
    assert row is not None

    sent = encoded(row)

    assert len(sent) <= LIMIT
    assert json.loads(sent)["providerRequest"]["json"]["toolName"] == "all"


@pytest.mark.parametrize("key", ["gen_ai.tool.call.arguments", "gen_ai.tool.call.result"])
def test_a_row_just_within_the_limit_is_sent_unchanged(key: str) -> None:
    # Input and result of a tool are in its row twice.
    room = (LIMIT - len(encoded(logged.row("tool", {key: "x"})))) // 2 + 1
    full, over = (logged.row("tool", {key: "x" * size}) for size in (room, room + 1))

    assert len(encoded(full)) in (LIMIT - 1, LIMIT)
    assert "helicone_otel_cut" not in logged.bodies(full)[0]
    assert "helicone_otel_cut" in logged.bodies(over)[0]


# --- the clock -----------------------------------------------------------------------------------


def _moments(start: int, end: int) -> tuple[dict[str, int], dict[str, int]]:
    timing = logged.row("tool", start=start, end=end).body["timing"]
    return timing["startTime"], timing["endTime"]


def test_times_are_in_milliseconds() -> None:
    assert _moments(logged.START, logged.END) == (
        {"seconds": 1_760_000_000, "milliseconds": 125},
        {"seconds": 1_760_000_001, "milliseconds": 640},
    )


def test_an_end_before_the_start_becomes_the_start() -> None:
    start, end = _moments(logged.END, logged.START)

    assert start == end == {"seconds": 1_760_000_001, "milliseconds": 640}


def test_an_unknown_start_becomes_the_end_and_an_unknown_end_the_start() -> None:
    assert _moments(0, logged.END)[0] == _moments(logged.END, 0)[1] == {"seconds": 1_760_000_001, "milliseconds": 640}


def test_a_span_without_times_gets_the_current_time() -> None:
    assert abs(_moments(0, 0)[0]["seconds"] - time.time()) < 60


def test_numbers_of_an_embedding_that_are_texts_are_numbers_in_its_row() -> None:
    attributes = {"gen_ai.request.model": "m", "input.value": "hi", "output.value": '["0.1", "0.2"]'}
    _, answered = logged.bodies(logged.row("embedding", attributes))

    assert answered["data"][0]["embedding"] == [0.1, 0.2]


@pytest.mark.parametrize("prefix", ["", "helicone.property."])
def test_nothing_of_a_row_with_a_very_long_name_of_an_attribute_is_kept(prefix: str) -> None:
    caches = {"layouts": facts._cached_layout, "properties": row_module._properties, "sessions": row_module._session}
    rows = [logged.finished_span("tool", {prefix + f"{number}" * 100_000: "1"}) for number in range(3)]
    assert row_of(rows[0], Content()) is not None
    kept = {name: cache.cache_info().misses for name, cache in caches.items()}
    for span in rows:
        assert row_of(span, Content()) is not None

    assert {name: cache.cache_info().misses for name, cache in caches.items()} == kept
