"""What the fake Helicone's rows show, and what they miss, as Helicone's mappers do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel.testing import Row
from helicone_otel.tools.fakes import bodies, mappers, usage
from helicone_otel.tools.fakes.mappers import ShownMessage
from tests.support.logs import CUSTOM, Client, a_log, changed

OPENAI, ANTHROPIC, GOOGLE = "/oai/v1/log", "/anthropic/v1/log", "/googleapis/v1/log"
RESPONSES = "https://api.openai.com/v1/responses"
AZURE = "https://acme.openai.azure.com/openai/v1/chat/completions"
HI = {"role": "user", "content": "hi"}
CHAT = {"model": "m", "messages": [HI]}
CALL = {"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}


def row_of(client: Client, log: object, path: str = CUSTOM) -> Row:
    assert client.log(log, path) == (200, "ok")
    return client.fake.rows[-1]


def choices(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message} for message in messages], **more}


# --- the log is the request -----------------------------------------------------------------------


def test_without_copies_nothing_of_a_request_is_found(client: Client) -> None:
    log = changed(a_log(CHAT, choices({"content": "hello"})), "messages")
    row = row_of(client, log)

    assert (row.shown.request, row.shown.sent, row.shown.response) == ("", (), "hello")
    assert row.flaws == [
        "Helicone looks for messages at the top level of the log, and finds nothing",
        "nothing of the request is shown: openai-chat does not read its form",
    ]


def test_without_copies_a_tool_has_no_name_and_no_input(client: Client) -> None:
    log = a_log({}, {"_type": "tool", "toolName": "f", "result": 4})
    log["providerRequest"]["json"] = {"_type": "tool", "toolName": "f", "input": 3}
    row = row_of(client, log)

    assert (row.model, row.badge, row.shown.request) == ("tool:f", "Tool", "")
    assert row.shown.details == {"toolName": None, "input": None}
    assert row.flaws == ["Helicone looks for _type, toolName, input at the top level of the log, and finds nothing"]


def test_a_failed_call_has_no_model_unless_the_log_or_the_error_names_it(client: Client) -> None:
    failed = a_log(CHAT, {"error": {"message": "no"}})

    assert row_of(client, changed(failed, "model")).model == ""
    assert row_of(client, failed).model == "m"
    named = changed(a_log(CHAT, {"error": {"message": "no"}, "model": "m-2"}), "model")
    assert row_of(client, named).model == "m-2"


def test_of_other_work_the_log_is_shown_too(client: Client) -> None:
    row = row_of(client, a_log({"_type": "data", "name": "n", "input": 1}, {"_type": "data", "name": "n"}))

    assert (row.model, [*row.shown.details]) == (
        "data:n",
        ["name", "input", "providerRequest", "providerResponse", "timing"],
    )


def test_jawn_stores_the_request_in_the_log(client: Client) -> None:
    log = changed(a_log(CHAT, choices({"content": "hello"})), "messages")
    assert client.log(log, "/v1/trace/custom/log") == (200, "")

    [row] = client.fake.rows
    assert (row.request, row.shown.request, row.flaws) == (CHAT, "hi", [])


# --- which mapper ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "url", "mapper"),
    [
        ("OPENAI", "gpt-4o", "", "openai-chat"),
        ("OPENAI", "gpt-4o", RESPONSES, "openai-response"),
        ("OPENAI", "", RESPONSES, "openai-chat"),
        ("CUSTOM", "gpt-4o", RESPONSES, "openai-chat"),
        ("OPENAI", "gpt-4o", AZURE.replace("chat/completions", "responses"), "openai-chat"),
        ("CUSTOM", "claude-3", "", "anthropic-chat"),
        ("CUSTOM", "eu.anthropic.claude-3", "", "openai-chat"),
        ("OPENAI", "eu.anthropic.claude-3", "", "anthropic-chat"),
        ("GOOGLE", "claude-3", "", "anthropic-chat"),
        ("ANTHROPIC", "m", "", "anthropic-chat"),
        ("ANTHROPIC", "deepseek-r1", "", "openai-chat"),
        ("ANTHROPIC", "gpt-4o", "", "openai-chat"),
        ("GOOGLE", "m", "", "gemini-chat"),
        ("GOOGLE", "m", "https://x/chat/completions", "openai-chat"),
        ("OPENAI", "Gemini-2", "", "openai-chat"),
        ("BEDROCK", "gemini-2", "", "gemini-chat"),
        ("OPENAI", "Llama-3", "", "llama-chat"),
        ("OPENAI", "meta-llama/Llama-3", "", "openai-chat"),
        ("OPENAI", "text-embedding-3-small", "", "openai-embedding"),
        ("CUSTOM", "text-embedding-3-small", "", "openai-chat"),
        ("CUSTOM", "gpt-3.5-turbo-instruct", "", "openai-instruct"),
        ("OPENAI", "dall-e-3", "", "openai-image"),
        ("OPENAI", "text-moderation-007", "", "openai-moderation"),
        ("VERCEL", "m", "", "vercel-chat"),
        ("NVIDIA", "m", "", "openai-chat"),
        ("OPENAI", "tool:f", "", "tool"),
        ("OPENAI", "data:f", "", "data"),
        ("OPENAI", "vector_db", "", "vector-db"),
    ],
)
def test_provider_model_and_url_choose_the_mapper(provider: str, model: str, url: str, mapper: str) -> None:
    assert bodies.shown_of(provider, model, url, 200, {}, {}).mapper == mapper


@pytest.mark.parametrize(
    ("request_", "response", "mapper"),
    [
        ({"_type": "tool"}, {}, "tool"),
        ({"_type": "vector_db"}, {}, "vector-db"),
        ({}, {"thread_id": "t"}, "openai-assistant"),
        ({"metadata": {}}, {}, "openai-assistant"),
        ({}, {"data": [{"metadata": {}}]}, "openai-assistant"),
        ({"_type": ["x"]}, {}, "openai-chat"),
    ],
)
def test_the_bodies_can_choose_the_mapper(request_: Any, response: Any, mapper: str) -> None:
    assert bodies.shown_of("OPENAI", "m", "", 200, request_, response).mapper == mapper


def test_azures_rows_have_azures_name(client: Client) -> None:
    row = row_of(client, a_log({**CHAT, "model": "gpt-4o"}, choices({"content": "hello"}), url=AZURE), OPENAI)

    assert (row.provider, row.shown_provider) == ("OPENAI", "AZURE")


# --- what the mappers miss ------------------------------------------------------------------------

TEXTS = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "https://x"}}]


@pytest.mark.parametrize(
    ("route", "asked", "answered", "sent", "response"),
    [
        # An answer in Anthropic's form is no answer for OpenAI's mapper, nor the other way round.
        (CUSTOM, CHAT, {"type": "message", "content": [{"type": "text", "text": "x"}]}, ["hi"], ""),
        (ANTHROPIC, {**CHAT, "model": "claude"}, choices({"content": "x"}), ["hi"], "x"),
        (GOOGLE, CHAT, choices({"content": "x"}), [], ""),
        (CUSTOM, CHAT, choices({"content": None, "tool_calls": [CALL]}), ["hi"], 'f({"a":1})'),
        (CUSTOM, CHAT, choices({"content": "", "tool_calls": [CALL]}), ["hi"], ""),
        (CUSTOM, CHAT, {"error": {"message": "no"}}, ["hi"], ""),
        (CUSTOM, CHAT, {"error": {"message": "no", "heliconeMessage": "No!"}}, ["hi"], "No!"),
        (CUSTOM, {"messages": [{"role": "user", "content": TEXTS}]}, {}, ["one[image https://x]"], ""),
        # A mapper that fails shows raw JSON.
        (CUSTOM, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, {"a": 1}, [], '{"a":1}'),
        (GOOGLE, {"model": "m", "contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, {}, [], ""),
        (GOOGLE, {"model": "m", "contents": {"parts": {"text": "t"}}}, {"error": {"message": "no"}}, ["t"], ""),
    ],
)
def test_a_form_that_a_mapper_does_not_read_is_blank(
    client: Client, route: str, asked: Any, answered: Any, sent: list[str], response: str
) -> None:
    row = row_of(client, a_log(asked, answered), route)

    assert ([message.text for message in row.shown.sent], row.shown.response) == (sent, response)


def test_of_an_answer_to_gemini_one_call_is_shown() -> None:
    parts = [{"functionCall": {"name": name, "args": {}}} for name in ("f", "g")]
    shown = bodies.shown_of("GOOGLE", "m", "", 200, {}, {"candidates": [{"content": {"parts": parts}}]})

    assert shown.answered == (ShownMessage("model", "", True, "f({})"),)


# --- the page leaves out --------------------------------------------------------------------------

BLOCK = {"type": "tool_use", "name": "f", "input": {"a": 1}}
ITEM = {"type": "function_call", "name": "f", "arguments": '{"a":1}'}
PART = {"functionCall": {"name": "f", "args": {"a": 1}}}
LEFT_OUT = ['the page leaves out calls without a content beside them: f({"a":1})']


@pytest.mark.parametrize(
    ("route", "url", "answered", "text"),
    [
        (CUSTOM, CUSTOM, choices({"content": "", "tool_calls": [CALL]}), ""),
        (CUSTOM, CUSTOM, choices({"content": " ", "tool_calls": [CALL]}), ' f({"a":1})'),
        (ANTHROPIC, CUSTOM, {"type": "message", "content": [BLOCK]}, ""),
        (GOOGLE, CUSTOM, {"candidates": [{"content": {"parts": [PART]}}]}, ""),
        (GOOGLE, CUSTOM, {"candidates": [{"content": {"parts": [{**PART, "text": "x"}]}}]}, 'xf({"a":1})'),
        (OPENAI, RESPONSES, {"output": [ITEM]}, ""),
    ],
)
def test_calls_of_tools_that_have_no_content_beside_them(
    client: Client, route: str, url: str, answered: Any, text: str
) -> None:
    row = row_of(client, a_log(CHAT, answered, url=url), route)

    assert ([message.text for message in row.shown.answered], row.badge) == ([text], "Tool")
    assert [flaw for flaw in row.flaws if flaw in LEFT_OUT] == ([] if text else LEFT_OUT)


def test_a_text_of_the_calls_in_another_message_is_enough(client: Client) -> None:
    text = {"type": "text", "text": 'f({"a":1})'}
    row = row_of(client, a_log({**CHAT, "model": "claude"}, {"type": "message", "content": [BLOCK, text]}), ANTHROPIC)

    assert (row.flaws, row.shown.response, row.badge) == ([], 'f({"a":1})', "Tool")


def test_reasoning_beside_calls_is_not_read_in_a_chat() -> None:
    message = {"role": "assistant", "content": " ", "reasoning": "think", "tool_calls": [CALL]}
    shown = bodies.shown_of(
        "CUSTOM", "m", "", 200, {"messages": [message]}, choices({"content": "x", "reasoning": "y"})
    )

    assert [message.text for message in (*shown.sent, *shown.answered)] == [' f({"a":1})', "yx"]


@pytest.mark.parametrize(
    ("route", "url", "asked"),
    [
        (ANTHROPIC, CUSTOM, {"model": "claude", "messages": [{"role": "user", "content": [{"type": "thinking"}]}]}),
        (ANTHROPIC, CUSTOM, {"model": "claude", "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
        (OPENAI, RESPONSES, {"model": "m", "input": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    ],
)
def test_bars_that_never_end_stand_for_a_part_without_a_content(
    client: Client, route: str, url: str, asked: Any
) -> None:
    row = row_of(client, a_log(asked, {}, url=url), route)

    assert [message.is_loading for message in row.shown.sent] == [True]
    assert row.flaws == [f"a part of a message never loads: {row.shown.mapper} does not read its content"]


def test_lists_show_objects_in_place_of_an_answer_in_parts(client: Client) -> None:
    row = row_of(client, a_log(CHAT, choices({"content": [{"type": "text", "text": text} for text in "ab"]})))

    assert row.shown.response == "[object Object],[object Object]"
    assert ([message.text for message in row.shown.answered], row.flaws) == (
        ["ab"],
        ["the list shows an object in place of the answer"],
    )


@pytest.mark.parametrize(
    ("input_", "is_wrong"), [({"a": 1}, False), ([1], False), ("abc", True), (3, True), ("", True)]
)
def test_the_page_of_a_tool_shows_the_members_of_its_input(client: Client, input_: Any, is_wrong: bool) -> None:
    row = row_of(client, a_log({"_type": "tool", "toolName": "f", "input": input_}, {"_type": "tool", "toolName": "f"}))

    expected = ["the input of the tool is no object, so the page shows each of its characters, or none"]
    assert row.flaws == (expected if is_wrong else [])


def test_the_page_of_a_failed_request_shows_the_response(client: Client) -> None:
    log = a_log(CHAT, {"error": {"message": "no"}})
    log["providerResponse"]["status"] = 429
    row = row_of(client, log)

    assert row.shown.error == '{\n  "error": {\n    "message": "no"\n  }\n}'


def test_a_word_of_an_answer_in_anthropics_form_is_lost() -> None:
    content = [{"type": "text", "text": " It is undefined. "}, {"type": "text", "text": ""}]
    shown = bodies.shown_of("ANTHROPIC", "m", "", 200, {}, {"type": "message", "role": "assistant", "content": content})

    assert shown.response == "It is ."
    assert [message.text for message in shown.answered] == ["It is .", '{\n  "type": "text",\n  "text": ""\n}']


# --- what lists show ------------------------------------------------------------------------------


def test_matches_are_listed_with_what_they_have() -> None:
    matches = [{"id": "a", "score": 0.5, "text": "t", "metadata": {"n": 1.0}}, {"content": "c"}]
    response = {"_type": "vector_db", "message": "2 matches", "matches": matches}
    request = {"_type": "vector_db", "operation": "search", "filter": {"a": [1]}}
    shown = bodies.shown_of("CUSTOM", "vector_db", "", 200, request, response)

    assert shown.request == 'Operation: search Database: undefined Filter: {   "a": [     1   ] }'
    assert shown.response == (
        '2 matches  Matches (2): Match #1 ID: a Score: 0.5000 Metadata: {   "n": 1 } Content: t  Match #2 Content: c'
    )
    assert shown.result["matches"] == [{**matches[0], "content": "t"}, {"content": "c", "text": "c", "metadata": {}}]


@pytest.mark.parametrize(
    ("content", "preview"),
    [
        (None, '""'),
        ("", ""),
        ([{"type": "image_url", "image_url": {"url": "https://x"}}], "[Image]"),
        ([{"type": "input_audio"}], '[{"type":"input_audio"}]'),
        ([{"type": "image_url", "image_url": {"url": "https://x"}}, {"type": "text", "text": "t"}], "t"),
    ],
)
def test_lists_show_of_the_last_message(content: Any, preview: str) -> None:
    shown = bodies.shown_of("CUSTOM", "m", "", 200, {"messages": [{"role": "user", "content": content}]}, {})

    assert shown.request == preview


def test_lists_cut_a_character_in_two() -> None:
    shown = bodies.shown_of("CUSTOM", "m", "", 200, {"messages": [{"content": "a" + "🙂" * 600}]}, {})

    assert shown.request == "a" + "🙂" * 499 + "\ud83d"


def test_fewer_tokens_than_cached_ones_are_none() -> None:
    counts = {"promptTokenCount": 10, "cachedContentTokenCount": 90, "candidatesTokenCount": 5}

    assert usage.bill_of("GOOGLE", "m", {"usageMetadata": counts})[:3] == (0, 5, 90)


def test_older_prices_have_none_for_reasoning() -> None:
    tokens = {"completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 20}}
    costs = [
        usage.bill_of("OPENAI", model, {"usage": tokens}).cost for model in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    ]

    assert costs == pytest.approx([50 * 0.6e-6, 30 * 0.6e-6])


def test_the_results_of_tools_are_not_shown_in_lists() -> None:
    response = {"_type": "tool", "status": "success", "result": 4, "message": "four"}
    shown = bodies.shown_of("CUSTOM", "tool:f", "", 200, {"_type": "tool", "toolName": "f"}, response)

    assert (shown.request, shown.response) == ("Tool: f Input: undefined", "Status: success")
    assert shown.result == {"status": "success", "message": "four"}


def test_lists_show_a_thousand_characters_in_one_line() -> None:
    shown = bodies.shown_of("CUSTOM", "m", "", 200, {"messages": [{"content": "a\nb" * 1000}]}, {})

    assert shown.request == ("a b" * 1000)[:1000]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "parts",
                    "tool_calls",
                    "message",
                    "choices",
                    "error",
                    "usage",
                    "output",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = st.dictionaries(
    st.sampled_from(["messages", "contents", "input", "system", "choices", "content", "output", "candidates", "data"]),
    ANY,
    max_size=4,
)


@pytest.mark.parametrize("name", sorted(mappers.MAPPERS))
@given(asked=BODIES, answered=BODIES, status=st.sampled_from([200, 0, 500]))
def test_any_bodies_are_shown(name: str, asked: Any, answered: Any, status: int) -> None:
    kinds = {"tool": "tool", "vector-db": "vector_db", "data": "data"}
    models = {"anthropic-chat": "claude", "gemini-chat": "gemini", "openai-embedding": "text-embedding-3"}
    asked = {**asked, "_type": kinds[name]} if name in kinds else asked
    url = RESPONSES if name == "openai-response" else ""
    provider = "BEDROCK" if name == "gemini-chat" else "OPENAI"

    shown = bodies.shown_of(provider, models.get(name, "m"), url, status, asked, answered)

    assert all(isinstance(message.text, str) for message in (*shown.sent, *shown.answered))


# --- tokens and prices ----------------------------------------------------------------------------

SONNET = "claude-sonnet-4-20250514"


@pytest.mark.parametrize(
    ("provider", "model", "response", "expected"),
    [
        # OpenAI's cached tokens are part of the prompt.
        (
            "OPENAI",
            "gpt-4o",
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 40},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (60, 15, 40, 0, 5, (60 * 2.5 + 20 * 10 + 40 * 1.25) / 1e6),
        ),
        # More cached tokens than tokens: they are not part of it.
        ("OPENAI", "x", {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 40}}, (10, 0, 40, 0, 0, 0)),
        # The sum of what was written to Anthropic's cache is shown, but costs nothing.
        (
            "ANTHROPIC",
            SONNET,
            {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 1000},
            (100, 20, 0, 1000, 0, (100 * 3 + 20 * 15) / 1e6),
        ),
        # Beside what was read from it, not even that.
        (
            "ANTHROPIC",
            SONNET,
            {
                "input_tokens": 100,
                "output_tokens": 20,
                "cache_creation_input_tokens": 1000,
                "cache_read_input_tokens": 10,
            },
            (100, 20, 10, 0, 0, (100 * 3 + 20 * 15 + 10 * 0.3) / 1e6),
        ),
        (
            "ANTHROPIC",
            SONNET,
            {
                "input_tokens": 100,
                "output_tokens": 20,
                "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
            },
            (100, 20, 0, 1000, 0, (100 * 3 + 20 * 15 + 400 * 3.75 + 600 * 6) / 1e6),
        ),
        ("CUSTOM", "gpt-4o", {"prompt_tokens": 100, "completion_tokens": 20}, (100, 20, 0, 0, 0, 0)),
        ("CUSTOM", SONNET, {"input_tokens": 1, "cache_read_input_tokens": 9}, (1, 0, 0, 0, 0, 0)),
        ("OPENAI", "x", {"prompt_tokens": "7", "completion_tokens": "nan"}, (7, 0, 0, 0, 0, 0)),
        ("OPENAI", "x", {"prompt_tokens": 10**400, "completion_tokens": -1}, (0, 0, 0, 0, 0, 0)),
    ],
)
def test_each_provider_counts_its_tokens_in_its_own_way(
    provider: str, model: str, response: Any, expected: tuple[float, ...]
) -> None:
    assert usage.bill_of(provider, model, {"usage": response}) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 5}, (100, 20, 0, 5)),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20}, (60, 20, 40, 0)),
    ],
)
def test_googles_tokens_are_read_in_their_own_form(counts: Any, expected: tuple[int, ...]) -> None:
    bill = usage.bill_of("GOOGLE", "gemini-2.5-flash", {"usageMetadata": counts})

    assert (bill.prompt_tokens, bill.completion_tokens, bill.cache_read_tokens, bill.reasoning_tokens) == expected
    assert bill.cost > 0
    assert usage.bill_of("OPENAI", "gpt-4o", {"usageMetadata": counts}) == usage.Bill()
    assert usage.bill_of("GOOGLE", "m", {"usage": {"input_tokens": 3, "output_tokens": 4}})[:2] == (3, 4)
