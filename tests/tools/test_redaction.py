"""What the tools hide: one table of names for attributes, keys of JSON and texts."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helicone_otel.jsontext import SECRET_KEYS
from helicone_otel.tools import redaction
from helicone_otel.tools.redaction import (
    _VARIABLES,
    Redaction,
    hide_secrets,
    redact,
    redact_attributes,
    redact_json,
    redact_values,
)
from helicone_otel.tools.view.content import content_of
from tests.support.examples import examples

NAMES = sorted({*SECRET_KEYS, "helicone-auth", "X-Api-Key", "cookie", "Set-Cookie", "aws.secret", "db_password"})


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_is_hidden_by_its_name_wherever_the_name_is(name: str) -> None:
    assert redact_attributes({name: "v"}) == [[name, "***"]]
    assert redact({name: "v"}) == {name: "***"}
    assert hide_secrets(f'{{"{name}": "v"}}') == f'{{"{name}": "***"}}'
    assert "hunter2hunter2" not in Redaction({name.upper(): "hunter2hunter2"})("it says hunter2hunter2")


@pytest.mark.parametrize("name", ["token", "credentials"])
def test_a_name_that_is_also_an_ordinary_word_is_no_secret_inside_a_text(name: str) -> None:
    text = f'{{"{name}": "hello"}}'

    assert (redact({name: "v"}), hide_secrets(text)) == ({name: "***"}, text)
    assert _VARIABLES.search(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "POST https://g.test/v1/m:generateContent?key=abcd1234efgh&alt=sse",
            "POST https://g.test/v1/m:generateContent***&alt=sse",
        ),
        ("https://a.test/?q=1&api_key=abcd1234 x", "https://a.test/?q=1*** x"),
        ("https://a.test/?access_token=abcd1234", "https://a.test/***"),
        ("https://abcdef123456@h.test/p", "https://***h.test/p"),
        ("key AIzaSyA1234567890abcdefghijklmnopqrstuvw", "key ***"),
        ("xoxb-1234567890-abcdef", "***"),
        ("as in sk-helicone-xxxxxxx-xxxxxxx-xxxxxxx-xxxxxxx", "as in sk-helicone-xxxxxxx-xxxxxxx-xxxxxxx-xxxxxxx"),
        ("sk-helicone-… or so", "sk-helicone-… or so"),
        ("key sk-helicone-xxxxxxx-abcdefg-hijklmn-opqrstu", "key ***"),
        ("https://a.test/?keyword=spring&monkey=1", "https://a.test/?keyword=spring&monkey=1"),
    ],
)
def test_keys_in_addresses_and_of_known_forms_are_hidden(text: str, shown: str) -> None:
    assert hide_secrets(text) == redact(text) == shown


def test_values_of_a_name_that_is_one_of_a_secret_stay_a_list() -> None:
    assert redact_values({"token": ["a", "b"], "plan": ["pro"]}) == {"token": ["***", "***"], "plan": ["pro"]}


def test_a_number_is_no_secret() -> None:
    assert redact({"token": 7, "tokens": "v"}) == {"token": 7, "tokens": "v"}


SECRET = "Zz9secretvalue"
TOOL_ANSWER = {"type": "json", "json": {"access_token": SECRET}}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"role": "tool", "content": [{"type": "text", "text": "in"}, TOOL_ANSWER]}, id="joined parts"),
        pytest.param({"role": "tool", "content": [{"token": SECRET}, {"x": 1}]}, id="objects in a tool's answer"),
        pytest.param({"role": "tool", "content": " " * 64 + json.dumps({"token": SECRET})}, id="JSON after blanks"),
        pytest.param(
            {"role": "assistant", "content": [{"type": "thinking", "thinking": {"token": SECRET}}]}, id="thought"
        ),
        pytest.param({"role": "assistant", "reasoning": json.dumps({"credentials": SECRET})}, id="reasoning"),
    ],
)
def test_content_shows_no_secret_that_has_a_name_in_json(message: dict[str, object]) -> None:
    body = {"providerRequest": {"url": "u", "json": {"messages": [message]}}, "providerResponse": {"json": {}}}
    content = redact(content_of(body)._asdict())

    assert SECRET not in json.dumps(content)
    assert "***" in json.dumps(content)


def test_json_without_secrets_stays_as_it_is_written() -> None:
    text = '{ "b": 1.50,  "a": [null, "token"] }'

    assert redact_json({"text": text, "numbers": [1, float("inf")]}) == {"text": text, "numbers": [1, float("inf")]}


def test_a_bearer_token_in_json_hides_nothing_behind_it() -> None:
    text = 'refused {"authorization": "Bearer abc123"} (400). Set HELICONE_GATEWAY_HOSTS.'

    assert Redaction({})(text) == 'refused {"authorization": "***"} (400). Set HELICONE_GATEWAY_HOSTS.'


# Parts of secrets, also with the letters that a search without case takes for `s`, `i` and `k`, and parts around them.
PARTS = [
    *NAMES,
    *("credential", "token", "pa\u017f\u017fword", "\u017fecret", "cook\u0131e", "api_\u212aey", "auth"),
    *("//", "a:b@", "abcdefgh@", "?", "&", "=", "key=v", "Access-Token=v", "\u017fig=v", "s\u0130gnature=v"),
    *("sk-abcdefgh", "pk-abcdefgh", "AIza" + "x" * 35, "xoxb-abcdefghij", "AKIA" + "A" * 16, "ghp_" + "a" * 20),
    *("ghr_" + "a" * 20, "bearer abcdefgh", "BeaRer\tabcdefgh", "word", "value-of-it"),
    *('"', "'", ":", " ", "_", "-", "\\", "\\u0070", "{", "}", "[", "]", ","),
]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
@example('{"\\u0070assword":"value"}')
@settings(max_examples=examples(600), deadline=None)
def test_no_secret_is_missed_because_a_text_is_not_searched(text: str) -> None:
    values = [text, {"inside": json.dumps({text: text}), "plain": json.dumps({text: text}, ensure_ascii=False)}]
    shown = [hide_secrets(text), redact(values), redact_json(values)]

    # Each text has an empty one in it, so that all are searched.
    with mock.patch.multiple(redaction, _SIGNS=("",), _NAME_SIGNS=("",)):
        assert [hide_secrets(text), redact(values), redact_json(values)] == shown


def test_a_very_long_key_is_known_by_its_last_words() -> None:
    assert redact({"x" * 2000 + ".password": "v"}) == {"x" * 1024: "***"}
    assert redact_json({"x" * 2000 + "_token": "v", "y" * 128 + "token": "v"}) == {
        "x" * 2000 + "_token": "***",
        "y" * 128 + "token": "v",
    }
