"""The wire form of text, in which it leaves the process."""

from __future__ import annotations

import re
from urllib.parse import unquote

import h11
import httpx
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helicone_otel.wire import MAX_SEGMENT, MAX_TEXT, is_property_name, valid_text, wire_segment, wire_text

# All of Unicode, with lone surrogates.
any_text = st.text(st.characters())
nasty_text = st.text(
    st.sampled_from("aB7 %/\\\t\r\n\0\x1b\x7f\x85\xa0\xe9\u200b\u2028\u3000\ud83d\ude80\udcff🚀日:;,\"'_-")
)
texts = any_text | nasty_text
_HALF_AN_ESCAPE = re.compile(r"%(?![0-9A-F]{2})")


def is_wire_text(text: str, limit: int) -> bool:
    """Tell whether a text is printable ASCII without outer blanks and within the limit."""
    return len(text) <= limit and text == text.strip(" ") and all(" " <= character <= "~" for character in text)


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
        ("100 % sure", "100 % sure"),
        ("50%20off", "50%20off"),
        ("a/b?c=d&e;f,g", "a/b?c=d&e;f,g"),
        ("~", "~"),
        ("café", "caf%C3%A9"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("go 🚀!", "go %F0%9F%9A%80!"),
        ("one\r\nX-Evil: two", "one%0D%0AX-Evil: two"),
        ("a\tb\0c\x7fd", "a%09b%00c%7Fd"),
        ("a\x85b\u2028c", "a%C2%85b%E2%80%A8c"),
        ("\u00a0\u3000both\u2028", "both"),
        ("\u200bhidden", "%E2%80%8Bhidden"),
        ("\ud800", "?"),
        ("a\udcffb", "a?b"),
        ("\ud83d\ude80", "??"),
    ],
)
def test_only_text_that_http_cannot_carry_is_encoded(text: str, expected: str) -> None:
    assert wire_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * MAX_TEXT, "a" * MAX_TEXT),
        ("a" * 100_000, "a" * MAX_TEXT),
        ("é" * 100_000, "%C3%A9" * (MAX_TEXT // 6)),
        ("\ud800" * 100_000, "?" * MAX_TEXT),
        ("a" * (MAX_TEXT - 1) + " b", "a" * (MAX_TEXT - 1)),
        ("a" * (MAX_TEXT - 2) + "é", "a" * (MAX_TEXT - 2)),
        ("a" * (MAX_TEXT - 6) + "é" + "b", "a" * (MAX_TEXT - 6) + "%C3%A9"),
        (" " * 100_000 + "a", "a"),
        ("\0" * 100_000, "%00" * (MAX_TEXT // 3)),
    ],
    ids=["as long as allowed", "long", "long and not ASCII", "surrogates", "cut at a blank", "cut before an escape",
         "an escape fits just so", "long and blank", "control characters"],
)  # fmt: skip
def test_a_text_is_cut_to_the_limit_but_not_inside_a_character(text: str, expected: str) -> None:
    assert wire_text(text) == expected


@given(texts, st.integers(0, 40) | st.just(MAX_TEXT))
def test_the_wire_form_is_printable_ascii_without_outer_blanks_within_the_limit(text: str, limit: int) -> None:
    assert is_wire_text(wire_text(text, limit), limit)


@given(texts, st.integers(0, 40) | st.just(MAX_TEXT))
@example("a 🚀", 2)
def test_encoding_twice_changes_nothing(text: str, limit: int) -> None:
    once = wire_text(text, limit)

    assert wire_text(once, limit) == once
    assert wire_text(once) == once


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=MAX_TEXT))
def test_printable_ascii_stays_as_it_is_with_blanks_and_percent_signs(text: str) -> None:
    assert wire_text(text) == text.strip(" ")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%")), st.integers(0, 60))
def test_an_escape_is_never_cut_in_half_and_decodes_to_the_beginning_of_the_text(text: str, limit: int) -> None:
    encoded = wire_text(text, limit)

    assert _HALF_AN_ESCAPE.search(encoded) is None
    assert text.strip().startswith(unquote(encoded, errors="strict"))


@given(texts)
def test_h11_accepts_every_result_as_the_value_of_a_header(text: str) -> None:
    value = wire_text(text)

    assert f"Helicone-Session-Name: {value}\r\n".encode("ascii") in send("Helicone-Session-Name", value)


@given(texts)
def test_httpx_and_httpx2_send_every_result_unchanged(text: str) -> None:
    value = wire_text(text)
    raw = (b"Helicone-Session-Name", value.encode("ascii"))

    assert httpx.Headers({"Helicone-Session-Name": value}).raw == [raw]
    assert httpx2.Headers({"Helicone-Session-Name": value}).raw == [raw]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("research", "research"),
        ("  web search ", "web_search"),
        ("a  b", "a__b"),
        ("a/b", "a_b"),
        ("/", "_"),
        ("question_1", "question_1"),
        ("50 %", "50_%"),
        ("naïve", "na%C3%AFve"),
        ("a\tb", "a%09b"),
        ("", ""),
        (" \n", ""),
        ("a" * 100_000, "a" * MAX_SEGMENT),
        ("🚀" * 100_000, "%F0%9F%9A%80" * (MAX_SEGMENT // 12)),
    ],
)
def test_a_segment_has_neither_blanks_nor_slashes(text: str, expected: str) -> None:
    assert wire_segment(text) == expected


@given(texts)
def test_a_segment_is_wire_text_and_stays_what_it_is(text: str) -> None:
    segment = wire_segment(text)

    assert is_wire_text(segment, MAX_SEGMENT)
    assert not set(segment) & {" ", "/"}
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
