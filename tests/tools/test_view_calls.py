"""What the view knows of one call: from all of its spans, with its price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel import HeliconeSpanExporter, Settings
from helicone_otel.log.worker import LogWorker
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.replay.files import recording_of
from helicone_otel.tools.replay.player import Replay
from helicone_otel.tools.view import prices, worker
from helicone_otel.tools.view.prices import PriceList, Tokens, cost_of, price_list
from helicone_otel.tracking.registry import Registry
from tests.support import replay
from tests.support.view_seed import recorded, span
from tests.support.viewing import ViewClient, make_older, posted_row, view_client

ALL = tuple(sorted(file.stem for file in replay.RECORDINGS.glob("*.json")))
# In these a call has spans side by side, in two traces, or with content on one and tokens on another.
SOME = ("tl_anthropic", "tl_providers", "oi_anthropic", "otel_vector_stores_new", "old_traceloop_0_38")
CONTENT = ("messages", "tool", "vector", "data")
NUMBERS = ("input_tokens", "output_tokens", "cached_tokens", "written_tokens", "badge")
# Rows of work that is no call of a model have no tokens, and those of Bedrock none that were written to its cache.
ONLY_ON_SPANS = {("data", "input_tokens"), ("llm", "written_tokens")}
DAY = 1_795_000_000_000_000_000
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.conversation.id": "c"}
USED = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}


@pytest.fixture(scope="module")
def logged() -> Iterator[ViewClient]:
    """A view that gets the rows of the library's log, and no span."""
    with view_client() as one:
        yield one


# --- the spans of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(one, marks=pytest.mark.slow) for one in ALL if one not in SOME)]
)
def test_requests_are_shown_as_the_rows_that_the_library_makes_of_their_calls(
    view: ViewClient, logged: ViewClient, name: str
) -> None:
    logged.clear()
    registry = Registry(Settings())
    log = LogWorker(registry)
    log.switch(HeliconeSpanExporter(KEY, endpoint=str(logged.view.http_url), registry=registry))
    list(Replay(recording_of(replay.load(name)), registry).run())
    assert log.flush(10_000)
    log.switch(None)
    view.send(*recorded([name]))

    ids = [one["id"] for session in _sessions(logged) for one in logged.session(session["id"])["requests"]]
    assert ids or name not in SOME  # gateways make the rows of some applications
    for id_ in ids:
        shown, row = view.request(id_), logged.request(id_)
        assert {field: shown[field] for field in CONTENT} == {field: row[field] for field in CONTENT}
        differing = {(row["kind"], field) for field in NUMBERS if (shown[field] or None) != (row[field] or None)}
        assert differing <= ONLY_ON_SPANS


def _sessions(view: ViewClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = view.get("sessions", size=500)["sessions"]
    return found


def test_a_span_that_arrives_later_in_another_trace_completes_a_call(view: ViewClient) -> None:
    spans = {one["span_id"]: one for one in replay.load("tl_anthropic")["spans"]}
    calls = [one for one in spans.values() if one["scope"]["name"] == "com.anthropic.sdk.python"]
    wrappers = [one for one in spans.values() if one["scope"]["name"] == "opentelemetry.instrumentation.anthropic"]
    view.take(*calls)
    view.take(*wrappers)

    shown = [view.request(one["id"]) for session in _sessions(view) for one in view.session(session["id"])["requests"]]
    assert len(shown) == len(calls)
    assert all(one["messages"] for one in shown)
    assert [one["badge"] for one in shown].count("Tool") == 1


# --- prices -----------------------------------------------------------------------------------------------------------


def test_the_list_of_prices_has_a_name_and_a_date() -> None:
    found = price_list()

    assert found is not None
    assert found.name.startswith("genai-prices ")
    assert "2026-01-01" < found.date < "2100"


@pytest.mark.parametrize(
    ("models", "provider", "tokens", "cost"),
    [
        # https://openai.com/api/pricing: $0.15 and $0.60 for a million tokens, $0.075 for those of the cache
        ((None, "gpt-4o-mini"), "openai", Tokens(1_000_000, 1_000_000), 0.75),
        (("gpt-4o-mini-2024-07-18", "gpt-4o-mini"), "openai", Tokens(1_000_000, 0, 400_000), 0.12),
        (("unheard-of", "gpt-4o-mini"), "openai", Tokens(1_000_000, 0), 0.15),
        ((None, "gpt-4o-mini"), "azure.ai.openai", Tokens(1_000_000, 0), 0.15),
        ((None, "gpt-4o-mini"), None, Tokens(1_000_000, 0), 0.15),
        ((None, "gpt-4o-mini"), "langchain", Tokens(1_000_000, 0), 0.15),
        # https://claude.com/pricing: $1 and $5, $0.10 read from the cache, $1.25 and $2 written to it
        ((None, "claude-haiku-4-5"), "anthropic", Tokens(1_000, 0, 400, 500, 200), 0.000915),
        # Some do not count the tokens of the cache as input.
        ((None, "claude-haiku-4-5"), "anthropic", Tokens(100, 0, 1_000, 0), 0.0001),
        # Nobody knows what these cost.
        ((None, "gpt-4o-mini"), "ollama", Tokens(1_000, 10), None),
        ((None, "gpt-4o-mini"), "our own gateway", Tokens(1_000, 10), None),
        ((None, "unheard-of"), "openai", Tokens(1_000, 10), None),
        ((None, "gpt-4o-mini"), "openai", Tokens(None, None), None),
        ((None, None), "openai", Tokens(1, 1), None),
    ],
)
def test_a_call_costs_what_its_provider_takes_for_the_tokens(
    models: tuple[str | None, ...], provider: str | None, tokens: Tokens, cost: float | None
) -> None:
    assert cost_of("llm", models, provider, tokens, DAY) == cost


@given(
    st.sampled_from(["gpt-4o-mini", "gpt-5.4", "claude-haiku-4-5", "gemini-2.5-pro", "text-embedding-3-small"]),
    *(st.integers(0, 10**6) for _ in range(5)),
)
def test_costs_are_those_that_the_package_computes(
    model: str, fresh: int, output: int, cached: int, written: int, written_1h: int
) -> None:
    provider = {"g": "openai", "c": "anthropic", "t": "openai"}[model[0]] if "gemini" not in model else "google"
    written_1h = min(written_1h, written)
    input_ = fresh + cached + written
    usage = Usage(
        input_tokens=input_,
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
    )
    at = datetime.fromtimestamp(DAY // 10**9, UTC)
    expected = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at).total_price
    found = cost_of("llm", (model,), provider, Tokens(input_, output, cached, written, written_1h), DAY)

    assert found == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("kind", ["tool", "vector_db", "rerank", "guardrail", "data"])
def test_only_models_have_a_price(kind: str) -> None:
    assert cost_of(kind, ("gpt-4o-mini",), "openai", Tokens(1_000, 10), DAY) is None


def test_costs_are_added_up_for_paths_sessions_and_names_and_models_without_a_price_are_counted(
    view: ViewClient,
) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.conversation.id": "c"}
    known, unknown = ({**CHAT, **USED, "gen_ai.request.model": model} for model in ("gpt-4o-mini", "unheard-of"))
    view.take(
        span(1, 1, name="invoke_agent a", attributes=agent, length=90, epoch=DAY),
        span(1, 2, 1, attributes=known, start=1, epoch=DAY),
        span(1, 3, 1, attributes=unknown, start=3, epoch=DAY),
        span(1, 4, 1, attributes={**CHAT, "gen_ai.request.model": "gpt-4o-mini"}, start=5, epoch=DAY),
    )
    shown = view.session("c")
    each = 0.00021  # 1,000 * $0.15 + 100 * $0.60, for a million

    assert [(one["cost"], one["unpriced"]) for one in shown["requests"]] == [(each, False), (None, True), (None, False)]
    assert [(one["cost"], one["unpriced"], one["input_tokens"]) for one in shown["tree"]] == [(each, 1, 2000)]
    assert [(one["cost"], one["unpriced"], one["output_tokens"]) for one in shown["durations"]] == [(each, 1, 200)]
    assert (shown["session"]["cost"], shown["session"]["unpriced"]) == (each, 1)
    listed = view.get("sessions")
    assert (listed["totals"]["cost"], listed["totals"]["unpriced"]) == (each, 1)
    assert sum(bar["count"] for bar in listed["histograms"]["cost"]) == 1
    assert [one["cost"] for one in view.get("names")["names"]] == [each]
    found = price_list()
    assert found is not None
    assert shown["prices"] == listed["prices"] == found._asdict()
    assert view.request(shown["requests"][0]["id"])["cost"] == each


@pytest.mark.parametrize(
    ("usage", "input_tokens", "cached", "cost"),
    [
        (
            {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}},
            *(1000, 400, 0.00018),
        ),
        (
            {"input_tokens": 1000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 400}},
            *(1000, 400, 0.00018),
        ),
        ({"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": None}, 1000, None, 0.00021),
        # Anthropic's usage counts the tokens of the cache beside the others.
        ({"input_tokens": 600, "output_tokens": 100, "cache_read_input_tokens": 400}, 1000, 400, 0.00018),
        ({"prompt_tokens": "1000"}, None, None, None),
    ],
)
def test_a_row_costs_what_its_usage_says(
    view: ViewClient, usage: dict[str, Any], input_tokens: int | None, cached: int | None, cost: float | None
) -> None:
    answered = {"model": "gpt-4o-mini", "choices": [], "usage": usage}
    view.log(posted_row("s", "/x", "Rows", answered=answered), "/oai/v1/log")
    (one,) = view.session("s")["requests"]
    shown = view.request(one["id"])

    assert (shown["input_tokens"], shown["cached_tokens"], shown["cost"]) == (input_tokens, cached, cost)


def test_without_a_list_of_prices_nothing_has_a_cost(view: ViewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (prices, worker):
        monkeypatch.setattr(module, "price_list", lambda: None)
    view.take(span(1, 1, attributes={**CHAT, **USED, "gen_ai.request.model": "gpt-4o-mini"}))
    shown = view.session("c")["session"]

    assert (shown["cost"], shown["unpriced"]) == (None, 1)


def test_costs_are_made_again_when_another_list_is_installed(view: ViewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = {**CHAT, **USED, "gen_ai.request.model": "gpt-4o-mini"}
    view.take(*(span(1, number, attributes=chat, epoch=DAY) for number in range(1, 4)))
    database = view.view.database
    database.write(lambda connection: connection.execute("UPDATE requests SET cost = 7").rowcount).result()
    worker.update_costs(database, lambda: False)  # made with this list already
    assert [one["cost"] for one in view.session("c")["requests"]] == [7, 7, 7]

    monkeypatch.setattr(worker, "_PRICES_PER_WRITE", 2)
    monkeypatch.setattr(worker, "price_list", lambda: PriceList("genai-prices 999", "2030-01-01"))
    worker.update_costs(database, lambda: False)

    assert [one["cost"] for one in view.session("c")["requests"]] == [0.00021, 0.00021, 0.00021]
    assert view.session("c")["session"]["cost"] == 0.00063


# --- what the user said -----------------------------------------------------------------------------------------------


def test_a_session_has_what_the_user_said_first(view: ViewClient) -> None:
    asked = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Question\n {number}? " + "x" * 999}]
        for number in (1, 2)
    ]
    chat = {**CHAT, "gen_ai.request.model": "m"}
    view.take(
        span(1, 1, attributes=chat, epoch=DAY),  # without content
        span(1, 2, attributes={**chat, "gen_ai.input.messages": json.dumps(asked[1])}, start=20, epoch=DAY),
        span(2, 3, attributes={**chat, "gen_ai.input.messages": json.dumps(asked[0])}, start=10, epoch=DAY),
    )
    secret = "my key is sk-" + "1234567890" * 40
    view.log(posted_row("row", "/x", "", asked_for={"model": "m", "messages": [{"role": "user", "content": secret}]}))

    said = {one["id"]: one["first_input"] for one in view.get("sessions")["sessions"]}
    assert (said["c"][:14], len(said["c"])) == ("Question 1? xx", 300)
    assert "1234567890" not in said["row"]
    assert said["row"].startswith("my key is ")


# --- databases of other versions --------------------------------------------------------------------------------------


def test_a_database_of_the_version_before_is_migrated_and_its_requests_get_costs(tmp_path: Path) -> None:
    file = tmp_path / "sessions.db"
    chat = {**CHAT, **USED, "gen_ai.request.model": "gpt-4o-mini"}
    asked = json.dumps([{"role": "user", "content": "Oslo?"}])
    with view_client(file=file) as view:
        view.take(span(1, 1, attributes={**chat, "gen_ai.input.messages": asked}, epoch=DAY))
    make_older(file)

    with view_client(file=file) as view:
        view.take(span(2, 9, attributes={**chat, "gen_ai.conversation.id": "d"}))  # waits until all are labelled
        shown = view.session("c")["session"]

    assert (shown["cost"], shown["first_input"], shown["requests"]) == (0.00021, "Oslo?", 1)
