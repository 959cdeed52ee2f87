"""What a person sees of our rows in Helicone, for each kind and provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helicone_otel.log.rows.content import Content
from helicone_otel.log.rows.encode import encoded
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.types import HeliconeRow
from helicone_otel.testing import Row
from tests.support import logged, replay
from tests.support.logs import Client

# --- calls to models ------------------------------------------------------------------------------

TALK: dict[str, Any] = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": "Weather in Oslo?"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c-1", "name": "get_weather", "arguments": {"city": "Oslo"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c-1", "response": "4 degrees"}]},
        ]
    ),
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 40,
    "gen_ai.response.finish_reasons": ("stop",),
}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "It is cold."}], "finish_reason": "stop"}
CALL = {
    "role": "assistant",
    "parts": [
        {"type": "tool_call", "id": "c-2", "name": "get_wind", "arguments": {"city": "Oslo"}},
        {"type": "tool_call", "id": "c-3", "name": "get_sun", "arguments": {"city": "Bergen"}},
    ],
    "finish_reason": "tool_calls",
}
SENT = ("Be brief.", "Weather in Oslo?", 'get_weather({"city":"Oslo"})', "4 degrees")
RESPONSES = {"openai.api.type": "responses"}
SONNET = "claude-sonnet-4-20250514"
ON_BEDROCK = f"eu.anthropic.{SONNET}-v1:0"

# The provider that a span names, the model, and the provider, the mapper and the model in Helicone.
PROVIDERS: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("openai", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("openai", "gpt-5", {}, "OPENAI", "openai-chat"),
    ("openai", "o3", {}, "OPENAI", "openai-chat"),
    ("openai", "gpt-4o-mini", RESPONSES, "OPENAI", "openai-response"),
    ("azure.ai.openai", "gpt-4o-mini", {}, "AZURE", "openai-chat"),
    ("azure.ai.openai", "my-deployment", {}, "AZURE", "openai-chat"),
    ("azure.ai.openai", "gpt-4o-mini", RESPONSES, "AZURE", "openai-chat"),
    ("azure.ai.inference", "Llama-3.3-70B-Instruct", {}, "CUSTOM", "openai-chat"),
    ("anthropic", SONNET, {}, "ANTHROPIC", "anthropic-chat"),
    ("gcp.gemini", "gemini-2.5-flash", {}, "GOOGLE", "gemini-chat"),
    ("gcp.vertex_ai", "gemini-2.5-flash", {}, "GOOGLE", "gemini-chat"),
    ("gcp.vertex_ai", "claude-sonnet-4@20250514", {}, "ANTHROPIC", "anthropic-chat"),
    ("gcp.vertex_ai", "meta/Llama-4-scout", {}, "CUSTOM", "openai-chat"),
    ("gcp.vertex_ai", "mistral-medium-3", {}, "GOOGLE", "gemini-chat"),
    ("vertex_ai", "deepseek-v3", {}, "CUSTOM", "openai-chat"),
    ("google", "", {}, "CUSTOM", "openai-chat"),
    ("aws.bedrock", ON_BEDROCK, {}, "CUSTOM", "openai-chat"),
    ("aws.bedrock", SONNET, {}, "CUSTOM", "anthropic-chat"),
    ("aws.bedrock", "amazon.nova-pro-v1:0", {}, "CUSTOM", "openai-chat"),
    ("openrouter", "anthropic/claude-3.5-sonnet", {}, "CUSTOM", "openai-chat"),
    ("openrouter", "openai/gpt-4o", {}, "CUSTOM", "openai-chat"),
    ("x_ai", "grok-4", {}, "CUSTOM", "openai-chat"),
    ("xai", "grok-4", RESPONSES, "CUSTOM", "openai-chat"),
    ("mistral_ai", "mistral-large-latest", {}, "CUSTOM", "openai-chat"),
    ("cohere", "command-r", {}, "CUSTOM", "openai-chat"),
    ("ollama", "llama3.2", {}, "CUSTOM", "openai-chat"),
    ("groq", "meta-llama/Llama-4-Scout", {}, "CUSTOM", "openai-chat"),
    ("deepseek", "deepseek-chat", {}, "CUSTOM", "openai-chat"),
    ("my-own", "mine", {}, "CUSTOM", "openai-chat"),
    ("my-own", SONNET, {}, "CUSTOM", "anthropic-chat"),
    # OpenAI's SDK with a proxy that serves models of others.
    ("openai", SONNET, {}, "CUSTOM", "anthropic-chat"),
    ("openai", "anthropic/claude-3.5-sonnet", {}, "CUSTOM", "openai-chat"),
    ("openai", "Llama-3.3-70B", {}, "CUSTOM", "openai-chat"),
    ("openai", "gemini-2.5-flash", {}, "OPENAI", "openai-chat"),
    ("openai", "dall-e-3", {}, "CUSTOM", "openai-chat"),
    ("anthropic", "deepseek-chat", {}, "CUSTOM", "openai-chat"),
    # Frameworks are not providers: the model's maker is.
    ("strands-agents", SONNET, {}, "ANTHROPIC", "anthropic-chat"),
    ("strands-agents", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("strands-agents", ON_BEDROCK, {}, "CUSTOM", "openai-chat"),
    ("gcp.vertex.agent", "gemini-2.5-flash", {}, "GOOGLE", "gemini-chat"),
    ("gcp.vertex.agent", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("pydantic-ai", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("semantic_kernel", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("", "gpt-4o-mini", {}, "OPENAI", "openai-chat"),
    ("", "mine", {}, "CUSTOM", "openai-chat"),
]
IDS = [f"{provider}-{model}-{'responses' if more else 'chat'}" for provider, model, more, *_ in PROVIDERS]
# Of Azure's rows the endpoint is OpenAI's, and so are the prices.
PRICED = {
    *(("OPENAI", "gpt-4o-mini"), ("AZURE", "gpt-4o-mini"), ("OPENAI", "gpt-5")),
    *(("GOOGLE", "gemini-2.5-flash"), ("ANTHROPIC", SONNET)),
}


def stored(client: Client, made: HeliconeRow) -> Row:
    """Return the row that Helicone stores of a row of ours."""
    assert client.log(encoded(made), made.route) == (200, "ok")
    return client.fake.rows[-1]


def of_model(client: Client, kind: str, provider: str, model: str, attributes: Any, **more: Any) -> Row:
    named = {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
    return stored(client, logged.row(kind, {**attributes, **{key: one for key, one in named.items() if one}}, **more))


def answered_with(message: object) -> dict[str, Any]:
    return {**TALK, "gen_ai.output.messages": json.dumps([message])}


@pytest.mark.parametrize(("named", "model", "more", "provider", "mapper"), PROVIDERS, ids=IDS)
def test_both_sides_of_a_call_are_shown(
    client: Client, named: str, model: str, more: dict[str, Any], provider: str, mapper: str
) -> None:
    row = of_model(client, "llm", named, model, {**answered_with(ANSWER), **more})

    shown = row.shown
    sent = "\n".join(message.text for message in shown.sent)
    assert (shown.mapper, row.shown_provider, row.model, row.badge) == (mapper, provider, model, "LLM")
    assert ([text for text in SENT if text not in sent], "4 degrees" in shown.request) == ([], True)
    assert ([message.text for message in shown.answered], shown.response) == (["It is cold."], "It is cold.")
    assert (row.prompt_tokens, row.cache_read_tokens, row.completion_tokens, row.flaws) == (60, 40, 20, [])
    assert (row.cost > 0) == ((provider, model) in PRICED)


@pytest.mark.parametrize(("named", "model", "more", "provider", "mapper"), PROVIDERS, ids=IDS)
def test_the_tools_that_an_answer_asks_for_are_shown(
    client: Client, named: str, model: str, more: dict[str, Any], provider: str, mapper: str
) -> None:
    row = of_model(client, "llm", named, model, {**answered_with(CALL), **more})

    answered = "".join(message.text for message in row.shown.answered)
    assert (row.badge, row.shown_provider, row.shown.mapper, row.flaws) == ("Tool", provider, mapper, [])
    assert ('get_wind({"city":"Oslo"})' in answered, 'get_sun({"city":"Bergen"})' in answered) == (True, True)
    assert "get_wind" in row.shown.response


@pytest.mark.parametrize(("named", "model", "more", "provider", "mapper"), PROVIDERS, ids=IDS)
def test_a_failed_call_keeps_its_model_and_says_why(
    client: Client, named: str, model: str, more: dict[str, Any], provider: str, mapper: str
) -> None:
    failure = {"error.type": "RateLimitError", "http.response.status_code": 429, "error.message": "Too many requests."}
    row = of_model(client, "llm", named, model, {**TALK, **more, **failure}, failed=True)

    assert (row.model, row.shown_provider, row.shown.mapper, row.status) == (model, provider, mapper, 429)
    assert "Weather" in str(row.shown.sent)
    assert "Too many requests." in row.shown.error
    # Helicone's list does not show Gemini's errors.
    assert ("Too many requests." in row.shown.response) is (mapper != "gemini-chat")
    assert (row.failed, row.flaws) == (True, [])


FORMS = {
    "chat": ("openai", "gpt-4o", {}),
    "responses": ("openai", "gpt-4o", RESPONSES),
    "anthropic": ("anthropic", SONNET, {}),
    "gemini": ("gcp.gemini", "gemini-2.5-flash", {}),
}
IMAGE = "data:image/png;base64,iVBO"
IMAGES: dict[str, Any] = {
    "OpenTelemetry's blob": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBO"},
    "OpenAI's chat": {"type": "image_url", "image_url": {"url": IMAGE}},
    "OpenAI's Responses": {"type": "input_image", "image_url": IMAGE},
    "Anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
    "Gemini": {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
}
ADDRESSES: dict[str, Any] = {
    "OpenTelemetry": {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
    "OpenAI's chat": {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    "OpenAI's Responses": {"type": "input_image", "image_url": "https://x.test/a.png"},
    "Anthropic": {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
}
OTHERS: dict[str, Any] = {
    "a sound": {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "UklG"},
    "a file": {"type": "file", "modality": "document", "file_id": "file-7"},
    "an image without an address": {"type": "image_url", "detail": "high"},
}


def of_form(client: Client, form: str, sent: list[Any], answered: list[Any]) -> Row:
    """Return the row of a call whose question and answer have these parts."""
    provider, model, more = FORMS[form]
    attributes = {
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": sent}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": answered, "finish_reason": "stop"}]),
    }
    return of_model(client, "llm", provider, model, {**attributes, **more})


def said(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_shown(client: Client, form: str, image: str) -> None:
    row = of_form(client, form, [said("What is this?"), IMAGES[image]], [said("A cat.")])

    assert "".join(message.text for message in row.shown.sent) == f"What is this?[image {IMAGE}]"
    assert row.flaws == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image", ADDRESSES)
def test_the_address_of_an_image_is_shown(client: Client, form: str, image: str) -> None:
    row = of_form(client, form, [said("What is this?"), ADDRESSES[image]], [said("A cat.")])

    assert "https://x.test/a.png" in row.shown.sent[0].text
    assert row.flaws == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", OTHERS)
def test_a_part_that_is_no_text_and_no_image_is_shown_as_json(client: Client, form: str, part: str) -> None:
    row = of_form(client, form, [said("What is this?"), OTHERS[part]], [said("A cat.")])

    assert '"type":"' in row.shown.sent[0].text
    assert (row.flaws, row.shown.error) == ([], "")


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_in_several_parts_is_shown_in_lists_and_on_the_page(client: Client, form: str) -> None:
    row = of_form(client, form, [said("Where to?")], [said("To Oslo."), said(""), said("By train.")])

    page = "".join(message.text for message in row.shown.answered)
    assert ("To Oslo." in row.shown.response, "To Oslo." in page, "By train." in page) == (True, True, True)
    assert row.flaws == []


@pytest.mark.parametrize("form", ["chat", "responses"])
def test_an_answer_that_is_an_image_is_named_in_lists(client: Client, form: str) -> None:
    row = of_form(client, form, [said("Draw.")], [IMAGES["OpenTelemetry's blob"]])

    assert (row.shown.response, row.flaws) == ("[Image]", [])


@pytest.mark.parametrize("form", FORMS)
def test_reasoning_is_shown_beside_calls_of_tools_too(client: Client, form: str) -> None:
    parts = [{"type": "reasoning", "content": "First the wind."}, *CALL["parts"]]
    row = of_form(client, form, [said("Sail?")], parts)

    page = "".join(message.text for message in row.shown.answered)
    assert ("First the wind." in page, 'get_wind({"city":"Oslo"})' in page, row.badge) == (True, True, "Tool")
    assert ("get_wind" in row.shown.response, row.flaws) == (True, [])


@pytest.mark.parametrize("form", FORMS)
def test_reasoning_of_earlier_turns_is_shown(client: Client, form: str) -> None:
    provider, model, more = FORMS[form]
    parts = [{"type": "reasoning", "content": "First the wind."}, CALL["parts"][0]]
    messages = [{"role": "user", "parts": [said("Sail?")]}, {"role": "assistant", "parts": parts}]
    row = of_model(client, "llm", provider, model, {"gen_ai.input.messages": json.dumps(messages), **more})

    page = "".join(message.text for message in row.shown.sent)
    assert ("First the wind." in page, 'get_wind({"city":"Oslo"})' in page, row.flaws) == (True, True, [])


@pytest.mark.parametrize("form", FORMS)
def test_a_message_without_content_never_loads(client: Client, form: str) -> None:
    provider, model, more = FORMS[form]
    result = {"type": "tool_call_response", "id": "c-1", "response": ""}
    parts = [[said("")], [said(""), said("Sail?")], [CALL["parts"][0]], [result]]
    messages = [
        {"role": role, "parts": one} for role, one in zip(("user", "user", "assistant", "tool"), parts, strict=True)
    ]
    row = of_model(client, "llm", provider, model, {"gen_ai.input.messages": json.dumps(messages), **more})

    assert ("Sail?" in str(row.shown.sent), row.flaws) == (True, [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["", "I look."])
def test_a_call_without_arguments_in_an_earlier_turn_is_shown(client: Client, form: str, text: str) -> None:
    provider, model, more = FORMS[form]
    call = {"type": "tool_call", "id": "c-1", "name": "get_time", "arguments": ""}
    result = {"type": "tool_call_response", "id": "c-1", "response": "noon"}
    messages = [
        {"role": "user", "parts": [said("When?")]},
        {"role": "assistant", "parts": [said(text), call]},
        {"role": "tool", "parts": [result]},
    ]
    row = of_model(client, "llm", provider, model, {"gen_ai.input.messages": json.dumps(messages), **more})

    assert ("get_time" in str(row.shown.sent), "noon" in str(row.shown.sent), row.flaws) == (True, True, [])


@pytest.mark.parametrize(
    ("form", "called"),
    [
        ("anthropic", {"type": "tool_use", "id": "c-1", "name": "get_time", "input": {}}),
        ("gemini", {"functionCall": {"id": "c-1", "name": "get_time", "args": {}}, "text": "get_time({})"}),
    ],
)
def test_a_call_without_arguments_has_an_empty_object_where_the_provider_has_one(
    form: str, called: dict[str, Any]
) -> None:
    provider, model, _ = FORMS[form]
    call = {"type": "tool_call", "id": "c-1", "name": "get_time", "arguments": ""}
    messages = json.dumps([{"role": "assistant", "parts": [call]}])
    named = {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
    asked = logged.row("llm", {"gen_ai.input.messages": messages, **named}).body["providerRequest"]["json"]

    assert called in (asked["messages"][0]["content"] if form == "anthropic" else asked["contents"][0]["parts"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", OTHERS)
def test_an_answer_that_is_no_text_and_no_image_is_shown_as_json(client: Client, form: str, part: str) -> None:
    row = of_form(client, form, [said("Speak.")], [OTHERS[part]])

    assert ('"type":"' in str(row.shown.answered[0].text), row.flaws) == (True, [])
    assert "[Image]" not in row.shown.response


def test_embeddings_are_shown_with_texts_that_stand_beside_the_vectors_only(client: Client) -> None:
    attributes = {
        f"embedding.embeddings.{number}.embedding.{name}": value
        for number, text in enumerate(("visa rules", "旅行"))
        for name, value in (("text", text), ("vector", (0.25, 0.5)))
    }
    for model in ("text-embedding-3-small", "my-own"):
        row = of_model(client, "embedding", "openai", model, attributes)

        assert "visa rules" in "".join(message.text for message in row.shown.sent)
        assert "旅行" in "".join(message.text for message in row.shown.sent)


@pytest.mark.parametrize(
    ("named", "model", "provider", "mapper"),
    [
        ("openai", "text-embedding-3-small", "OPENAI", "openai-embedding"),
        ("azure.ai.openai", "my-embeddings", "AZURE", "openai-chat"),
        ("gcp.gemini", "gemini-embedding-001", "GOOGLE", "gemini-chat"),
        ("gcp.vertex_ai", "text-embedding-005", "GOOGLE", "gemini-chat"),
        ("aws.bedrock", "amazon.titan-embed-text-v2:0", "CUSTOM", "openai-chat"),
        ("cohere", "embed-v4.0", "CUSTOM", "openai-chat"),
        ("mistral_ai", "mistral-embed", "CUSTOM", "openai-chat"),
        ("ollama", "nomic-embed-text", "CUSTOM", "openai-chat"),
        ("my-own", "text-embedding-3-small", "CUSTOM", "openai-chat"),
        ("my-own", "claude-embed", "CUSTOM", "anthropic-chat"),
        ("anthropic", "voyage-3", "CUSTOM", "openai-chat"),
    ],
)
def test_embeddings_are_shown(client: Client, named: str, model: str, provider: str, mapper: str) -> None:
    attributes = {
        "embedding.embeddings.0.embedding.text": "visa rules",
        "embedding.embeddings.0.embedding.vector": (0.25, 0.5),
        "input.value": "visa rules",
        "gen_ai.usage.input_tokens": 4,
    }
    row = of_model(client, "embedding", named, model, attributes)

    shown = row.shown
    assert (row.shown_provider, shown.mapper, row.model, row.badge) == (provider, mapper, model, "LLM")
    assert (shown.request, [message.text for message in shown.sent]) == ("visa rules", ["visa rules"])
    assert [message.text for message in shown.answered] == ["Embedding 0: [0.250000, 0.500000...]"]
    assert ("0.250000" in shown.response, row.prompt_tokens, row.flaws) == (True, 4, [])


def test_a_completion_of_the_time_before_chats_is_shown(client: Client) -> None:
    attributes = {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Say hi.",
        "gen_ai.completion.0.content": "hi",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    row = of_model(client, "llm", "openai", "gpt-3.5-turbo-instruct", attributes)

    assert (row.shown.mapper, row.shown.request, row.shown.response) == ("openai-instruct", "Say hi.", "hi")
    assert (row.response["choices"], row.flaws) == ([{"index": 0, "text": "hi", "finish_reason": "stop"}], [])


def test_calls_of_tools_beside_an_empty_text_are_shown_in_lists(client: Client) -> None:
    call = {**CALL, "parts": [{"type": "text", "content": ""}, *CALL["parts"]]}
    row = of_model(client, "llm", "openai", "gpt-4o", answered_with(call))

    assert row.shown.response.startswith("get_wind(")


def test_arguments_that_are_no_json_are_shown(client: Client) -> None:
    part = {"type": "tool_call", "id": "c-2", "name": "get_wind", "arguments": '{"city": "Os'}
    row = of_model(client, "llm", "openai", "gpt-4o", answered_with({**CALL, "parts": [part]}))

    assert row.shown.response == r'get_wind("{\"city\": \"Os")'
    assert row.shown.response in row.shown.answered[0].text


def test_the_model_that_answered_decides_who_reads_a_row(client: Client) -> None:
    routed = {**answered_with(ANSWER), "gen_ai.response.model": SONNET}
    row = of_model(client, "llm", "openai", "auto", routed)

    assert (row.shown_provider, row.model, row.shown.mapper, row.shown.response) == (
        "CUSTOM",
        SONNET,
        "anthropic-chat",
        "It is cold.",
    )


# --- prices ---------------------------------------------------------------------------------------


def test_anthropics_cache_writes_are_priced(client: Client) -> None:
    written = {"gen_ai.usage.input_tokens": 1100, "gen_ai.usage.cache_creation.input_tokens": 1000}
    attributes = {**answered_with(ANSWER), **written, "gen_ai.usage.cache_read.input_tokens": 0}
    row = of_model(client, "llm", "anthropic", SONNET, attributes)

    assert (row.prompt_tokens, row.cache_write_tokens, row.completion_tokens) == (100, 1000, 20)
    assert row.cost == pytest.approx((100 * 3 + 1000 * 3.75 + 20 * 15) / 1e6)


def test_cache_writes_that_are_kept_for_an_hour_have_their_own_price(client: Client) -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_creation_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
    }
    attributes = {"response_data": json.dumps({"message": {"role": "assistant", "content": "hi"}, "usage": usage})}
    row = of_model(client, "llm", "anthropic", SONNET, attributes)

    assert row.response["usage"]["cache_creation"] == usage["cache_creation"]
    assert row.cost == pytest.approx((100 * 3 + 400 * 3.75 + 600 * 6 + 20 * 15) / 1e6)


def test_the_prompt_of_a_gemini_without_a_cache_is_read_by_both_readers(client: Client) -> None:
    attributes = {**answered_with(ANSWER), "gen_ai.usage.cache_read.input_tokens": None}
    row = of_model(client, "llm", "gcp.gemini", "gemini-2.0-flash", attributes)

    assert row.response["usageMetadata"]["cachedContentTokenCount"] == 0
    assert row.prompt_tokens == 100


# --- what is no call to a model -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "message"),
    [('{"temp_c": 4}', '{"temp_c":4}'), ("4 degrees", "4 degrees"), ("", ""), ("[1, 2]", "[1,2]"), (0, "0")],
)
def test_a_tool_is_shown_with_its_input_and_its_result(client: Client, result: Any, message: str) -> None:
    attributes = {
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.arguments": '{"city": "Oslo"}',
        "gen_ai.tool.call.result": result,
    }
    row = stored(client, logged.row("tool", attributes))

    assert (row.model, row.badge, row.flaws) == ("tool:get_weather", "Tool", [])
    assert row.shown.details == {"toolName": "get_weather", "input": {"city": "Oslo"}}
    assert row.shown.request == 'Tool: get_weather Input: {   "city": "Oslo" }'
    assert row.shown.result == {"status": "success", "message": message}


@pytest.mark.parametrize(
    ("given", "input_"), [("Oslo", {"input": "Oslo"}), (3, {"input": 3}), ("[1, 2]", [1, 2]), ("3", {"input": "3"})]
)
def test_a_tools_input_that_is_no_object_is_shown_whole(client: Client, given: Any, input_: Any) -> None:
    row = stored(client, logged.row("tool", {"gen_ai.tool.name": "f", "gen_ai.tool.call.arguments": given}))

    assert (row.shown.details["input"], row.flaws) == (input_, [])


def test_a_tool_that_failed_is_shown_with_its_error(client: Client) -> None:
    row = stored(client, logged.row("tool", {"gen_ai.tool.name": "f"}, failed=True, reason="No network."))

    assert (row.shown.response, row.shown.result["message"], row.model) == ("No network.", "No network.", "tool:f")


def test_a_vector_query_is_shown_with_its_matches(client: Client) -> None:
    attributes = {
        "db.system.name": "faiss",
        "db.operation.name": "search",
        "db.collection.name": "docs",
        "gen_ai.retrieval.query.text": "visa rules",
        "gen_ai.retrieval.top_k": 3,
        "gen_ai.retrieval.documents": json.dumps([{"id": "a", "score": 0.9, "content": "Visa free."}]),
    }
    row = stored(client, logged.row("vector_db", attributes))

    assert (row.model, row.badge, row.flaws) == ("vector_db", "VectorDB", [])
    assert row.shown.request == "Operation: search Database: faiss Query: visa rules Top K: 3 Collection: docs"
    assert ("1 match" in row.shown.response, "Visa free." in row.shown.response) == (True, True)
    assert [match["text"] for match in row.shown.result["matches"]] == ["Visa free."]


def test_a_change_of_a_vector_database_is_not_blank(client: Client) -> None:
    attributes = {"db.system.name": "chroma", "db.operation.name": "add", "db.vector.count": 2}
    row = stored(client, logged.row("vector_db", attributes))

    assert (row.shown.request, row.shown.response) == ("Operation: insert Database: chroma", "success")


@pytest.mark.parametrize("kind", ["data", "rerank", "guardrail"])
def test_other_work_is_shown_with_what_went_in_first(client: Client, kind: str) -> None:
    attributes = {"helicone.data.name": "check", "input.value": '{"text": "hello"}', "output.value": '{"kept": 5}'}
    row = stored(client, logged.row(kind, attributes))

    assert (row.model, row.badge, row.flaws) == ("data:check", "Data", [])
    # The log itself is shown, too, but after the rest.
    assert row.shown.request.index('"input": {     "text": "hello"   }') < row.shown.request.index("providerRequest")
    assert row.shown.response == 'Status: success Result: {"kept":5}'


# --- all kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in replay.RECORDINGS.glob("*.json")))
def test_helicone_shows_all_that_a_recorded_request_tells(client: Client, name: str) -> None:
    for _, span in logged.recorded(name):
        made = row_of(span, Content())
        assert made is not None
        row = stored(client, made)

        assert (row.flaws, row.shown.mapper != "") == ([], True)
        assert row.model or not logged.bodies(made)[0].get("model")


def test_the_members_that_servers_read_are_never_copies() -> None:
    made = logged.row("tool", {"gen_ai.tool.name": "f", "gen_ai.tool.call.arguments": '{"a": 1}'})
    taken = {"provider": 1, "providerRequest": 2, "providerResponse": 3, "timing": 4, "stream": True}
    made.body["providerRequest"]["json"] |= taken

    sent = json.loads(encoded(made))

    assert sent["providerRequest"]["json"] == made.body["providerRequest"]["json"]
    assert [*sent] == ["_type", "toolName", "input", "providerRequest", "providerResponse", "timing"]


def test_a_row_without_a_request_has_no_copies() -> None:
    made = logged.row("tool", {})
    made.body["providerRequest"]["json"] = {}

    assert [*json.loads(encoded(made))] == ["providerRequest", "providerResponse", "timing"]
