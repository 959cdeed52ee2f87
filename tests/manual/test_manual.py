"""Calls recorded by hand: `tool()`, `vector_query()` and `data()`."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from helicone_otel import data, session, step, tool, vector_query
from helicone_otel.testing import Helicone

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LABEL = ("helicone.", "session.", "gen_ai.conversation.", "user.")


def _own(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span without the label."""
    return {key: value for key, value in (span.attributes or {}).items() if not key.startswith(LABEL)}


def _label(span: ReadableSpan) -> tuple[Any, Any, bool]:
    """Return the kind and path of a span, and whether it is a request."""
    attributes = span.attributes or {}
    return (
        attributes.get("helicone.span.kind"),
        attributes.get("helicone.session.path"),
        "helicone.request.id" in attributes,
    )


# --- spans --------------------------------------------------------------------------------------


def test_a_tool_call_by_hand_is_a_span_of_the_convention_for_tools(helicone: Helicone) -> None:
    with session("Trip", id="s-1"), step("research"):
        with tool("get_weather", input={"city": "Porto"}) as call:
            call.output({"celsius": 21})

    (span,) = helicone.spans
    assert (span.name, span.kind) == ("execute_tool get_weather", SpanKind.INTERNAL)
    assert _own(span) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.arguments": '{"city":"Porto"}',
        "gen_ai.tool.call.result": '{"celsius":21}',
    }
    assert _label(span) == ("tool", "/research/get_weather", True)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "helicone_otel"
    assert span.instrumentation_scope.version


def test_the_provider_is_asked_for_a_tracer_once(helicone: Helicone, monkeypatch: pytest.MonkeyPatch) -> None:
    # It has a lock meanwhile, for which a signal handler that makes a call by hand would wait for ever.
    provider, asked = trace.get_tracer_provider(), list[str]()
    get_tracer = provider.get_tracer
    monkeypatch.setattr(provider, "get_tracer", lambda name, *more: asked.append(name) or get_tracer(name, *more))
    with session("Trip"):
        for _ in range(3):
            with tool("get_weather"):
                pass

    assert len(asked) <= 1
    assert len(helicone.spans) == 3


def test_a_vector_query_by_hand_is_a_span_of_the_conventions_for_databases_and_retrievals(helicone: Helicone) -> None:
    with session("Trip", id="s-1"), vector_query("docs", system="faiss", query="visa rules", top_k=3) as query:
        query.matches([{"id": 7, "score": 0.91, "text": "No visa."}, ("b", 0.5)])

    (span,) = helicone.spans
    assert (span.name, span.kind) == ("search docs", SpanKind.CLIENT)
    documents = json.loads(str((span.attributes or {})["gen_ai.retrieval.documents"]))
    assert documents == [{"id": "7", "score": 0.91, "content": "No visa."}, {"id": "b", "score": 0.5}]
    assert {key: value for key, value in _own(span).items() if key != "gen_ai.retrieval.documents"} == {
        "db.operation.name": "search",
        "db.system.name": "faiss",
        "db.collection.name": "docs",
        "db.query.text": "visa rules",
        "db.response.returned_rows": 2,
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.query.text": "visa rules",
        "gen_ai.retrieval.top_k": 3,
    }
    assert _label(span) == ("vector_db", "/search", True)


def test_only_the_size_of_an_embedding_is_recorded(helicone: Helicone) -> None:
    with session("Trip"):
        with vector_query("docs", query=[0.1] * 1536):
            pass
        with vector_query("docs", query=[[0.1] * 768]):
            pass

    assert [_own(span).get("gen_ai.embeddings.dimension.count") for span in helicone.spans] == [1536, 768]
    assert all("db.query.text" not in _own(span) for span in helicone.spans)


def test_an_operation_that_is_no_search_is_no_retrieval(helicone: Helicone) -> None:
    with session("Trip"), vector_query("docs", operation="insert"):
        pass

    (span,) = helicone.spans
    assert _own(span) == {"db.operation.name": "insert", "db.collection.name": "docs"}
    assert _label(span) == ("vector_db", "/insert", True)


@pytest.mark.parametrize("kind", ["data", "rerank", "guardrail"])
def test_any_other_work_is_a_request_of_the_given_kind(kind: Any, helicone: Helicone) -> None:
    with session("Trip"), data("order by date v2", kind=kind, input=["b", "a"]) as call:
        call.output("a, b")

    (span,) = helicone.spans
    assert (span.name, span.kind) == ("order by date v2", SpanKind.INTERNAL)
    assert _own(span) == {
        "input.value": '["b","a"]',
        "input.mime_type": "application/json",
        "output.value": "a, b",
        "output.mime_type": "text/plain",
    }
    assert _label(span) == (kind, "/order_by_date_v2", True)
    assert (span.attributes or {})["helicone.data.name"] == "order by date v2"


def test_a_name_that_the_user_gave_is_not_changed(helicone: Helicone) -> None:
    with session("Trip"):
        for name in ("search_v2", "question 1", "gpt-4o", "a/b"):
            with tool(name), data(name):
                pass

    paths = [_label(span)[1] for span in helicone.spans]
    assert paths[1::2] == ["/search_v2", "/question_1", "/gpt-4o", "/a_b"]
    assert paths[::2] == paths[1::2]  # the same step inside of itself


def test_work_inside_of_a_call_has_a_path_below_it(helicone: Helicone) -> None:
    with session("Trip"), tool("plan"), vector_query("docs"), data("check"):
        pass

    assert helicone.tree() == {"/plan": ["tool"], "/plan/search": ["vector_db"], "/plan/search/check": ["data"]}


def test_an_error_is_recorded_and_raised(helicone: Helicone) -> None:
    with session("Trip"), pytest.raises(KeyError, match="Porto"), tool("get_weather"):
        raise KeyError("Porto")

    (span,) = helicone.spans
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "'Porto'")
    assert _own(span)["error.type"] == "KeyError"
    (event,) = span.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.type"] == "KeyError"
    assert str((event.attributes or {})["exception.stacktrace"]).endswith("KeyError: 'Porto'\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"helicone.span.kind": "guardrail"}, ("guardrail", "/moderate", True)),
        ({"helicone.span.kind": "agent"}, ("agent", "/moderate", False)),
        ({"helicone.session.path": "/by/hand"}, ("tool", "/by/hand", True)),
    ],
)
def test_attributes_that_the_user_sets_on_the_span_win(given: Any, shown: Any, helicone: Helicone) -> None:
    with session("Trip"), tool("moderate") as call:
        call.span.set_attributes(given)

    assert _label(helicone.spans[0]) == shown


def test_a_session_that_the_user_sets_on_the_span_holds_below_it(helicone: Helicone) -> None:
    with tool("outer") as call:
        call.span.set_attributes({"helicone.session.id": "s-9", "helicone.session.name": "Mine"})
        with tool("inner"):
            pass

    assert helicone.sessions == {"s-9": "Mine"}
    assert helicone.tree() == {"/outer": ["tool"], "/outer/inner": ["tool"]}


# --- decorators ---------------------------------------------------------------------------------


def test_a_bare_decorator_uses_the_name_of_the_function(helicone: Helicone) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Say how the weather is."""
        return f"Sunny in {city}"

    @data
    def check() -> None: ...

    @vector_query
    def look_up() -> list[str]:
        return ["a"]

    with session("Trip"):
        assert get_weather("Porto") == "Sunny in Porto"
        check()
        look_up()

    assert get_weather.__doc__ == "Say how the weather is."
    assert [span.name for span in helicone.spans] == ["execute_tool get_weather", "check", "search"]


def test_the_content_of_a_decorated_function_is_recorded_only_on_request(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    @tool
    def ask(city: str, unit: str = "C") -> str:
        return city + unit

    @tool("ask", content=True)
    def always(city: str) -> str:
        return city

    @tool("ask", content=False)
    def never(city: str) -> str:
        return city

    with session("Trip"):
        ask("Porto")
        always("Porto")
        monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
        ask("Porto")
        never("Porto")
        monkeypatch.setenv(CAPTURE, "EVENT_ONLY")
        ask("Porto")

    content = [
        (_own(span).get("gen_ai.tool.call.arguments"), _own(span).get("gen_ai.tool.call.result"))
        for span in helicone.spans
    ]
    nothing = (None, None)
    assert content == [
        nothing,
        ('{"city":"Porto"}', "Porto"),
        ('{"city":"Porto","unit":"C"}', "PortoC"),
        nothing,
        nothing,
    ]


def test_the_decorators_of_a_method_may_stand_in_any_order(helicone: Helicone) -> None:
    class Weather:
        @tool(content=True)
        @classmethod
        def of_class(cls, city: str) -> str:
            return cls.__name__ + city

        @tool(content=True)
        @staticmethod
        def static(city: str) -> str:
            return city

        @data
        @classmethod
        def bare(cls) -> str:
            return cls.__name__

        @vector_query
        @classmethod
        def found(cls) -> list[str]:
            return [cls.__name__]

    with session("Trip"):
        assert (Weather.of_class("Porto"), Weather().static("Porto")) == ("WeatherPorto", "Porto")
        assert (Weather.bare(), Weather().found()) == ("Weather", ["Weather"])

    recorded = [(span.name, _own(span).get("gen_ai.tool.call.arguments")) for span in helicone.spans]
    arguments = '{"city":"Porto"}'
    assert recorded == [
        ("execute_tool of_class", arguments),
        ("execute_tool static", arguments),
        ("bare", None),
        ("search", None),
    ]


def test_the_object_of_a_method_is_not_recorded(helicone: Helicone) -> None:
    class Weather:
        @tool(content=True)
        def get(self, city: str) -> str:
            return city

    with session("Trip"):
        Weather().get("Porto")

    assert _own(helicone.spans[0])["gen_ai.tool.call.arguments"] == '{"city":"Porto"}'


def test_a_decorated_search_records_its_query_its_limit_and_its_matches(helicone: Helicone) -> None:
    class Hit(NamedTuple):
        id: str
        score: float
        payload: dict[str, int]

    @vector_query("docs", content=True)
    def search(question: str, k: int = 2) -> list[Hit]:
        return [Hit(question[0], 0.9, {"page": 3})][:k]

    @vector_query("docs")
    def without_content(query: str, limit: int) -> list[Hit]:
        return search(query, limit)

    with session("Trip"):
        search("visa")
        without_content("visa", 1)

    shown = [
        {key.rpartition(".")[2]: value for key, value in _own(span).items() if "query" in key or "retrieval." in key}
        for span in helicone.spans
    ]
    documents = '[{"id":"v","score":0.9,"metadata":{"page":3}}]'
    assert shown == [
        {"text": "visa", "top_k": 2, "documents": documents},
        {"text": "visa", "top_k": 1, "documents": documents},
        {"top_k": 1},
    ]
    assert [_own(span)["db.response.returned_rows"] for span in helicone.spans] == [1, 1, 1]


def test_an_iterator_that_a_function_returns_is_not_read(helicone: Helicone) -> None:
    @vector_query("docs", content=True)
    def search() -> Iterator[str]:
        return iter(["a", "b"])

    with session("Trip"):
        assert list(search()) == ["a", "b"]

    assert "db.response.returned_rows" not in _own(helicone.spans[0])


async def test_a_coroutine_can_be_decorated_and_a_block_can_be_async(helicone: Helicone) -> None:
    @tool(content=True)
    async def fetch(city: str) -> str:
        await asyncio.sleep(0)
        return city

    with session("Trip"):
        assert await asyncio.gather(fetch("a"), fetch("b")) == ["a", "b"]
        async with data("check") as call:
            assert call.output(3) == 3

    results = [_own(span).get("gen_ai.tool.call.result") for span in helicone.spans]
    assert results == ["a", "b", None]


def test_a_generator_runs_inside_of_its_call_and_its_consumer_does_not(helicone: Helicone) -> None:
    @tool(content=True)
    def stream(words: list[str]) -> Iterator[str]:
        for word in words:
            with step(word):
                assert trace.get_current_span().is_recording()
                yield word

    with session("Trip"):
        outside = get_current()
        seen = []
        for word in stream(["a", "b"]):
            assert get_current() is outside
            seen.append(word)
        for _ in stream(["c", "d"]):
            break
        gc.collect()

    assert seen == ["a", "b"]
    assert [_own(span)["gen_ai.tool.call.result"] for span in helicone.spans] == ['["a","b"]', '["c"]']
    assert [span.status.status_code for span in helicone.spans] == [StatusCode.UNSET, StatusCode.UNSET]


async def test_an_async_generator_records_its_matches_and_its_errors(helicone: Helicone) -> None:
    @vector_query("docs")
    async def search() -> AsyncIterator[tuple[str, float]]:
        yield "a", 0.9
        raise OSError("gone")

    with session("Trip"), pytest.raises(OSError, match="gone"):
        async for _ in search():
            pass

    (span,) = helicone.spans
    assert _own(span)["db.response.returned_rows"] == 1
    assert span.status.status_code is StatusCode.ERROR


def test_a_decorated_function_that_is_called_wrongly_raises_its_own_error(helicone: Helicone) -> None:
    @tool(content=True)
    def get(city: str) -> str:
        return city

    with session("Trip"), pytest.raises(TypeError, match="missing 1 required positional argument: 'city'"):
        get()  # type: ignore[call-arg]

    assert helicone.spans[0].status.status_code is StatusCode.ERROR


def test_threads_can_share_one_recorder(helicone: Helicone) -> None:
    shared = tool("shared")
    both = threading.Barrier(2)

    def run() -> None:
        with shared as call:
            both.wait(5)
            call.output(threading.current_thread().name)
            both.wait(5)

    threads = [threading.Thread(target=run, name=name) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(_own(span)["gen_ai.tool.call.result"]) for span in helicone.spans) == ["one", "two"]


# --- bad input ----------------------------------------------------------------------------------


class Weird:
    """An object whose every method raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    [Weird(), {"a": Weird()}, [Weird()], {Weird(): 1}, "\ud800", float("nan"), 10**5000, b"\xff", object, (1, Weird())],
    ids=lambda _: "value",
)
def test_no_recorded_value_makes_a_call_fail(value: Any, helicone: Helicone) -> None:
    with session("Trip"):
        with tool("t", input=value) as call:
            assert call.output(value) is value
        with vector_query("v", query=value, top_k=value) as query:
            query.matches([value])
            query.matches(value)
        with data("d", input=value) as work:
            work.output(value)

    assert len(helicone.spans) == 3
    for span in helicone.spans:
        json.dumps(dict(span.attributes or {}), allow_nan=False).encode()


def test_recorded_values_are_bounded_in_size(helicone: Helicone) -> None:
    huge = {"text": "x" * 10_000_000, "list": list(range(1_000_000))}
    with session("Trip"):
        with tool("t", input=huge) as call:
            call.output("\x00" * 10_000_000)
        with vector_query("v") as query:
            query.matches([(number, 0.5) for number in range(100_000)])
        with pytest.raises(ValueError, match="x"), data("d"):
            raise ValueError("x" * 10_000_000)

    sizes = [len(str(value)) for span in helicone.spans for value in (span.attributes or {}).values()]
    assert max(sizes) < 40_000
    sizes = [len(str(value)) for value in (helicone.spans[-1].events[0].attributes or {}).values()]
    assert max(sizes) < 40_000
    assert _own(helicone.spans[1])["db.response.returned_rows"] == 100_000


def test_values_under_the_keys_of_secrets_are_left_out(helicone: Helicone) -> None:
    with session("Trip"), tool("fetch", input={"url": "u", "headers": {"Authorization": "Bearer x", "api-key": "y"}}):
        pass

    shown = '{"url":"u","headers":{"Authorization":"[redacted]","api-key":"[redacted]"}}'
    assert _own(helicone.spans[0])["gen_ai.tool.call.arguments"] == shown


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: tool(3), "name is a str, not int"),  # type: ignore[call-overload]
        (lambda: tool("  "), "name is blank"),
        (lambda: data("d", kind="llm"), "data\\(kind=…\\) is one of data, rerank, guardrail, not 'llm'"),  # type: ignore[call-overload]
        (lambda: vector_query("docs", system=3), "system=…\\) is a str, not int"),  # type: ignore[call-overload]
        (lambda: vector_query("docs", operation=""), "operation=…\\) is blank"),
        (lambda: tool().__enter__(), "a `with` block needs a name"),
    ],
)
def test_a_wrong_argument_raises_at_once(wrong: Any, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        wrong()


def test_without_a_provider_everything_runs_and_nothing_is_recorded() -> None:
    code = """
from helicone_otel import data, session, tool, vector_query
@tool(content=True)
def double(number): return 2 * number
with session("Trip"), tool("t", input=1) as call, vector_query("v", query="q") as query, data("d") as work:
    query.matches([(1, 0.5)])
    print(double(call.output(work.output(21))), call.span.is_recording())
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr, run.returncode) == ("42 False\n", "", 0)
