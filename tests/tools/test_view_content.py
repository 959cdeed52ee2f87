"""The view's reading of rows in the forms that Helicone's pages read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helicone_otel.tools.view import markdown
from helicone_otel.tools.view.content import content_of
from helicone_otel.tools.view.markdown import markdown_of
from tests.support import logged
from tests.support.viewing import posted_row

if TYPE_CHECKING:
    from tests.support.viewing import ViewClient

TALK = {
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c-1", "name": "f", "arguments": {"city": "Oslo"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c-1", "response": "4 degrees"}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "Cold."}]),
}


def parts_of(kind: str, attributes: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return side and content of each part of the messages that the view shows of a row."""
    messages = content_of(logged.row(kind, attributes).body).messages or []
    keys = ("text", "arguments", "result")
    return [(one["from"], next(part[key] for key in keys if key in part)) for one in messages for part in one["parts"]]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("azure.ai.openai", "gpt-4o"),
        ("anthropic", "claude-3"),
        ("gcp.vertex_ai", "claude-3"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("aws.bedrock", "eu.anthropic.claude-3"),
        ("aws.bedrock", "claude-3"),
        ("xai", "grok-4"),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_both_sides_of_a_call_are_shown_once(provider: str, model: str, api: str) -> None:
    named = {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "openai.api.type": api}

    assert parts_of("llm", {**TALK, **named}) == [
        ("input", "Weather?"),
        ("input", {"city": "Oslo"}),
        # Gemini has results of tools in objects.
        ("input", {"result": "4 degrees"} if provider == "gcp.gemini" else "4 degrees"),
        ("output", "Cold."),
    ]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gcp.gemini", "xai"])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_calls_of_tools_in_an_answer_are_shown_once(provider: str, api: str) -> None:
    parts = [
        {"type": "text", "content": "I look."},
        {"type": "tool_call", "id": "c-1", "name": "f", "arguments": {"city": "Oslo"}},
        {"type": "tool_call", "id": "c-2", "name": "g", "arguments": {}},
    ]
    for said in (parts, parts[1:]):
        answer = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": said}])}
        named = {"gen_ai.provider.name": provider, "gen_ai.request.model": "m", "openai.api.type": api}

        texts = [("output", "I look.")] if said is parts else []
        assert parts_of("llm", {**answer, **named}) == [*texts, ("output", {"city": "Oslo"}), ("output", {})]


def test_a_text_that_looks_like_a_call_is_shown_where_there_is_none() -> None:
    answer = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "f({})"}])}

    assert parts_of("llm", {**answer, "gen_ai.request.model": "gpt-4o"}) == [("output", "f({})")]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gcp.gemini"])
def test_what_a_person_writes_is_shown_where_it_looks_like_a_call(provider: str) -> None:
    call = {"type": "tool_call", "id": "c-1", "name": "f", "arguments": {"city": "Oslo"}}
    talk = [{"role": "user", "content": 'f({"city":"Oslo"})'}, {"role": "assistant", "parts": [call]}]
    named = {"gen_ai.provider.name": provider, "gen_ai.request.model": "m"}

    assert parts_of("llm", {"gen_ai.input.messages": json.dumps(talk), **named}) == [
        ("input", 'f({"city":"Oslo"})'),
        ("input", {"city": "Oslo"}),
    ]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_word_for_an_image_is_not_shown_beside_it(api: str) -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBO"}
    answer = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [image]}])}
    named = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o", "openai.api.type": api}

    messages = content_of(logged.row("llm", {**answer, **named}).body).messages or []
    assert "[Image]" not in json.dumps(messages)
    assert "iVBO" in json.dumps(messages)


def test_a_completion_of_the_time_before_chats_is_shown() -> None:
    named = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-3.5-turbo-instruct"}
    talk = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Say hi.", "gen_ai.completion.0.content": "hi"}

    assert parts_of("llm", {**talk, **named}) == [("input", "Say hi."), ("output", "hi")]


def test_an_embedding_that_helicone_reads_as_a_chat_is_shown_once() -> None:
    attributes = {
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": "embed-v4.0",
        "input.value": "visa rules",
        "embedding.embeddings.0.embedding.vector": (0.25, 0.5),
    }

    assert parts_of("embedding", attributes) == [
        ("input", "visa rules"),
        ("output", "Embedding 0: [0.250000, 0.500000...]"),
    ]


# --- Markdown ---------------------------------------------------------------------------------------


def test_a_text_that_is_markdown_becomes_a_tree_of_elements() -> None:
    text = "# Plan\n\nGo to **Oslo**,\n[see](https://visitoslo.com).\n\n- one\n- `two`\n\n```python\nreturn 1\n```\n"

    assert markdown_of(text) == [
        ["h1", {}, "Plan"],
        ["p", {}, "Go to ", ["strong", {}, "Oslo"], ",\n", ["a", {"href": "https://visitoslo.com"}, "see"], "."],
        ["ul", {}, ["li", {}, ["p", {}, "one"]], ["li", {}, ["p", {}, ["code", {}, "two"]]]],
        ["pre", {}, ["span.hl-k", {}, "return"], " ", ["span.hl-n", {}, "1"], "\n"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "no markup",
        "two\nlines",
        "a < b & c > d",
        "[home]: https://here.example",
        "    def indented(prompt):",
        "<script>alert(1)</script>",
        "[run](javascript:alert(1))",
        "x" * 40_001 + " **y**",
    ],
)
def test_a_text_in_which_nothing_would_look_different_is_shown_as_it_is(text: str) -> None:
    assert markdown_of(text) is None


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("![a](data:image/png;base64,AAAA)", ["img", {"src": "data:image/png;base64,AAAA", "alt": "a"}]),
        ("![a](https://x.example/a.png)", ["a", {"href": "https://x.example/a.png"}, "a"]),
        ("**![a](data:image/svg+xml;base64,AAAA)**", ["strong", {}, "![a](data:image/svg+xml;base64,AAAA)"]),
        ("**[a](/api/session)**", ["strong", {}, ["a", {}, "a"]]),
        ("**[a](ftp://x.example)**", ["strong", {}, ["a", {}, "a"]]),
        ("**[a](mailto:x@y.example)**", ["strong", {}, ["a", {}, "a"]]),
        ("**<b onclick=x>**", ["strong", {}, "<b onclick=x>"]),
        ("**&lt;script&gt;**", ["strong", {}, "<script>"]),
    ],
)
def test_only_web_addresses_are_links_and_only_pictures_in_the_text_are_pictures(text: str, node: Any) -> None:
    assert markdown_of(text) == [["p", {}, node]]


def test_code_that_takes_long_to_colour_keeps_all_of_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_CODE_SECONDS", 0.0)
    code = "def f(): return 1\n"

    assert markdown_of(f"```py\n{code}```") == [["pre", {}, code]]


def nodes(tree: list[Any]) -> Iterator[Any]:
    for node in tree:
        yield node
        if isinstance(node, list):
            yield from nodes(node[2:])


@given(st.text(st.sampled_from("ab*_`#[]()<>!|~-+1.\\&\"' \n\t:/\u202e\ud800") | st.characters(), max_size=200))
@example("![](data:image/png;base64,AA)[x](http://y)")
@example("```js\n`${'`'\n```")
def test_no_text_makes_any_other_element_or_address(text: str) -> None:
    for node in nodes(markdown_of(text) or []):
        if isinstance(node, str):
            continue
        tag, attributes, *_ = node
        assert tag in markdown.TAGS
        assert attributes.keys() <= {"img": {"src", "alt"}, "a": {"href"}}.get(tag, set())
        assert attributes.get("href", "https://").lower().startswith(("http://", "https://"))
        assert attributes.get("src", "data:image/png").startswith("data:image/")


def test_markdown_and_raw_bodies_of_a_request_are_in_its_answer_without_secrets(view: ViewClient) -> None:
    asked = {"model": "m", "api_key": "hidden-1234567890", "messages": [{"role": "user", "content": "say **hi**"}]}
    view.log(posted_row("s", "/a", "n", asked_for=asked))

    (one,) = view.session("s")["requests"]
    request = view.request(one["id"])

    assert request["markdown"] == [[0, 0, [["p", {}, "say ", ["strong", {}, "hi"]]]]]
    assert request["raw"]["url"] == "custom-model-nopath"
    assert request["raw"]["request"] == {**asked, "api_key": "***"}
    assert request["raw"]["status"] == 200
    assert request["raw"]["response"]["choices"][0]["message"]["content"] == "hello"


def test_of_many_long_texts_only_the_first_are_read_as_markdown(view: ViewClient) -> None:
    texts = [f"**{number}** {'x' * 39_000}" for number in range(5)]
    asked = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}
    view.log(posted_row("s", "/a", "n", asked_for=asked))

    (one,) = view.session("s")["requests"]

    assert [place for place, _, _ in view.request(one["id"])["markdown"]] == [0, 1, 2]


def test_text_that_is_no_utf_8_and_turns_around_is_kept(view: ViewClient) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "**a\udcff\u202eb**"}]}
    view.log(posted_row("s", "/a", "n", asked_for=asked))

    (one,) = view.session("s")["requests"]

    assert view.request(one["id"])["markdown"] == [[0, 0, [["p", {}, ["strong", {}, "a\udcff\u202eb"]]]]]
