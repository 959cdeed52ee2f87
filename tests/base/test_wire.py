"""The wire form of text, in which it leaves the process."""

from __future__ import annotations

from urllib.parse import quote, unquote

import h11
import httpx
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helicone_otel.wire import (
    MAX_SEGMENT,
    MAX_TEXT,
    header_text,
    is_blank,
    is_property_name,
    percent_decoded,
    percent_encoded,
    valid_text,
    wire_segment,
    wire_text,
)

# All of Unicode, with lone surrogates.
any_text = st.text(st.characters())
nasty_text = st.text(
    st.sampled_from("aB7 %/\\\t\r\n\0\x1b\x7f\x85\xa0\xe9\u200b\u2028\u3000\ud83d\ude80\udcff🚀日:;,\"'_-")
)
texts = any_text | nasty_text
CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}


def is_wire_text(text: str, limit: int) -> bool:
    """Tell whether a text is valid UTF-8 without controls, `%` and outer blanks, and within the limit in bytes."""
    return len(text.encode()) <= limit and text == text.strip() and not CONTROLS & set(text) and "%" not in text


def send(name: str, value: str) -> bytes:
    """Return the bytes of a request with this header; h11 refuses headers that HTTP does not allow."""
    request = h11.Request(method="POST", target="/v1/chat", headers=[("Host", "gateway.test"), (name, value)])
    sent = h11.Connection(h11.CLIENT).send(request)
    assert sent is not None
    return sent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   ", ""),
        ("Trip Planning", "Trip Planning"),
        ("  Trip  Planning\t\n", "Trip  Planning"),
        ("100 % sure", "100 ％ sure"),
        ("50%20off", "50％20off"),
        ("50％ off", "50％ off"),
        ("%%%", "％％％"),
        ("a/b?c=d&e;f,g", "a/b?c=d&e;f,g"),
        ("~", "~"),
        ("café", "café"),
        ("旅行", "旅行"),
        ("שלא \u200f7", "שלא \u200f7"),
        ("go 🚀!", "go 🚀!"),
        ("one\r\nX-Evil: two", "oneX-Evil: two"),
        ("a\tb\0c\x7fd", "abcd"),
        ("a\x85b\u2028c", "ab\u2028c"),
        ("\0 a \0", "a"),
        (" \0 \x9f", ""),
        ("\u00a0\u3000both\u2028", "both"),
        ("\u200bhidden", "\u200bhidden"),
        ("\ud800", "?"),
        ("a\udcffb", "a?b"),
        ("\ud83d\ude80", "??"),
    ],
)
def test_a_wire_form_is_text_in_any_language_without_what_headers_and_helicone_cannot_carry(
    text: str, expected: str
) -> None:
    assert wire_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * MAX_TEXT, "a" * MAX_TEXT),
        ("a" * 100_000, "a" * MAX_TEXT),
        ("é" * 100_000, "é" * (MAX_TEXT // 2)),
        ("旅" * 10_000, "旅" * (MAX_TEXT // 3)),
        ("\ud800" * 100_000, "?" * MAX_TEXT),
        ("a" * (MAX_TEXT - 1) + " b", "a" * (MAX_TEXT - 1)),
        ("a" * (MAX_TEXT - 1) + "é", "a" * (MAX_TEXT - 1)),
        ("a" * (MAX_TEXT - 3) + "🙂", "a" * (MAX_TEXT - 3)),
        ("a" * (MAX_TEXT - 4) + "🙂" + "b", "a" * (MAX_TEXT - 4) + "🙂"),
        ("%" * 100_000, "％" * (MAX_TEXT // 3)),
        (" " * 100_000 + "a", "a"),
        ("\0" * 100_000 + "a", "a"),
    ],
    ids=["as long as allowed", "long", "two bytes each", "three bytes each", "surrogates", "cut at a blank",
         "cut before two bytes", "cut before four bytes", "four bytes fit just so", "percent signs", "blanks before",
         "controls before"],
)  # fmt: skip
def test_a_text_is_cut_to_the_limit_but_not_inside_a_character(text: str, expected: str) -> None:
    assert wire_text(text) == expected


@given(texts, st.integers(0, 40) | st.just(MAX_TEXT))
def test_the_wire_form_has_no_controls_no_percent_sign_no_outer_blanks_and_is_within_the_limit(
    text: str, limit: int
) -> None:
    assert is_wire_text(wire_text(text, limit), limit)


@given(texts, st.integers(0, 40) | st.just(MAX_TEXT))
@example("a 🚀", 2)
def test_bringing_a_text_into_wire_form_twice_changes_nothing(text: str, limit: int) -> None:
    once = wire_text(text, limit)

    assert wire_text(once, limit) == once
    assert wire_text(once) == once


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="%"), max_size=MAX_TEXT // 4))
def test_other_characters_stay_as_they_are(text: str) -> None:
    assert wire_text(text) == text.strip()


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="%")), st.integers(0, 60))
def test_a_cut_text_is_the_beginning_of_the_text(text: str, limit: int) -> None:
    cut = wire_text(text, limit)

    assert text.strip().startswith(cut)
    assert len(text.strip().encode()) <= limit or len(cut.encode()) > limit - 4 or text.strip()[len(cut)].isspace()


@given(texts)
def test_a_text_is_blank_if_its_wire_form_is_empty(text: str) -> None:
    assert is_blank(text) == (wire_text(text) == "")


@given(texts)
def test_h11_accepts_every_result_as_the_value_of_a_header(text: str) -> None:
    value = percent_encoded(wire_text(text))

    assert f"Helicone-Session-Name: {value}\r\n".encode("ascii") in send("Helicone-Session-Name", value)


@given(texts)
def test_httpx_and_httpx2_send_every_result_unchanged(text: str) -> None:
    value = wire_text(text).encode()

    for sent in (value, percent_encoded(wire_text(text)).encode("ascii")):
        raw = (b"Helicone-Session-Name", sent)
        assert httpx.Headers([raw]).raw == [raw]
        assert httpx2.Headers([raw]).raw == [raw]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Trip Planning", "Trip Planning"),
        ("旅行", "%E6%97%85%E8%A1%8C"),
        ("Café 7", "Caf%C3%A9 7"),
        ("50％ off", "50%EF%BC%85 off"),
        ("éA9", "%C3%A9A9"),
    ],
)
def test_percent_encoding_is_that_of_urls_but_leaves_ascii(text: str, expected: str) -> None:
    assert percent_encoded(text) == expected
    assert percent_decoded(expected) == text


@given(texts)
def test_every_wire_form_is_read_again_from_its_percent_encoding(text: str) -> None:
    value = wire_text(text)

    encoded = percent_encoded(value)

    assert encoded.isascii()
    assert encoded == quote(value, safe="".join(map(chr, range(128))))
    assert percent_decoded(encoded) == value


@given(st.text("%ABC09aé "))
def test_only_what_was_encoded_is_decoded(text: str) -> None:
    decoded = percent_decoded(text)

    assert decoded == text or (percent_encoded(decoded) == percent_encoded(text) and decoded == unquote(text))


@pytest.mark.parametrize("text", ["50%", "50% off", "a%20b", "%41", "%c3%a9", "%C3", "%C3%A9 50%", "%ED%A0%80", "%%%"])
def test_text_of_others_with_percent_signs_is_not_decoded(text: str) -> None:
    assert percent_decoded(text) == text


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"Trip", "Trip"),
        ("旅行".encode(), "旅行"),
        ("旅行".encode().decode("latin-1"), "旅行"),
        ("旅行", "旅行"),
        ("Café", "Café"),
        (b"Caf\xe9", "Café"),
        ("Caf\udce9", "Café"),
        ("a\ud800", "a\ud800"),
        (7, "7"),
    ],
)
def test_a_header_of_others_is_read_as_utf8_and_then_as_latin1(sent: object, read: str) -> None:
    assert header_text(sent) == read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("research", "research"),
        ("  web search ", "web_search"),
        ("a  b", "a__b"),
        ("a/b", "a_b"),
        ("/", "_"),
        ("question_1", "question_1"),
        ("50 %", "50_％"),
        ("naïve", "naïve"),
        ("旅行\u3000計画", "旅行_計画"),
        ("a\tb", "ab"),
        ("", ""),
        (" \n", ""),
        ("a" * 100_000, "a" * MAX_SEGMENT),
        ("🚀" * 100_000, "🚀" * (MAX_SEGMENT // 4)),
    ],
)
def test_a_segment_has_neither_blanks_nor_slashes(text: str, expected: str) -> None:
    assert wire_segment(text) == expected


@given(texts)
def test_a_segment_is_wire_text_and_stays_what_it_is(text: str) -> None:
    segment = wire_segment(text)

    assert is_wire_text(segment, MAX_SEGMENT)
    assert not any(character.isspace() or character == "/" for character in segment)
    assert wire_segment(segment) == wire_text(segment) == segment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conversation 🚀\n", "conversation 🚀\n"),
        ("a\ud800b", "a?b"),
        ("", ""),
        ("x" * 100_000, "x" * 1024),
    ],
)
def test_the_original_of_an_id_is_kept_but_for_what_utf8_cannot_encode(text: str, expected: str) -> None:
    assert valid_text(text) == expected


@given(texts)
def test_the_original_of_an_id_can_be_encoded_and_stays_what_it_is(text: str) -> None:
    valid = valid_text(text)

    assert valid.encode().decode() == valid == valid_text(valid)
    assert len(valid) == min(len(text), 1024)


@pytest.mark.parametrize("name", ["Plan", "user-tier", "a.b_c", "X", "1", "!#$%&'*+-.^_`|~", "a" * 64])
def test_a_header_token_is_a_property_name(name: str) -> None:
    assert is_property_name(name)
    assert send("Helicone-Property-" + name, "x")


@pytest.mark.parametrize(
    "name",
    ["", " ", "user tier", "a:b", "a\n", "a\r\nX-Evil", "café", "a\0", "(a)", "a/b", "a=b", '"a"', "a" * 65, "\ud800"],
)
def test_a_name_that_is_no_header_token_is_no_property_name(name: str) -> None:
    assert not is_property_name(name)


@given(texts)
def test_h11_accepts_every_property_name_in_a_header(name: str) -> None:
    if is_property_name(name):
        assert f"Helicone-Property-{name}: x\r\n".encode("ascii") in send("Helicone-Property-" + name, "x")
