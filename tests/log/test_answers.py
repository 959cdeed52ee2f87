"""Reading answers that are whole, cut short, or none, and quoting what they contain."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable
from http.client import HTTPResponse
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel.log.delivery.answer import Answer, BrokenAnswerError, read_answer
from helicone_otel.log.delivery.quotes import error_text, quoted

KEY = "team-a.SECRETKEY.0123456789"


def read(data: bytes, size: int = 65536) -> Answer:
    stream = io.BytesIO(data)
    return read_answer(lambda most: stream.read(min(most, size)))


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


BODIES = st.binary(max_size=300)
STATUSES = st.integers(200, 599).filter(lambda status: status not in (204, 304))


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n"


def whole_answer(status: int, body: bytes, size: int) -> bytes:
    """Return an answer, in chunks if a size of them is given."""
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 %d Some Words\r\nServer: x\r\n" % status
    if size:
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, size)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@given(STATUSES, BODIES, st.integers(0, 50), st.integers(1, 400))
def test_an_answer_is_read_as_http_client_reads_it(status: int, body: bytes, size: int, at_once: int) -> None:
    data = whole_answer(status, body, size)
    theirs = HTTPResponse(_Socket(data))  # type: ignore[arg-type]
    theirs.begin()

    ours = read(data, at_once)

    assert (ours.status, ours.body, ours.headers) == (
        theirs.status,
        theirs.read(),
        {name.lower(): value for name, value in theirs.getheaders()},
    )
    assert ours.keeps_open


@given(STATUSES, BODIES, st.integers(0, 50), st.data())
def test_every_answer_that_is_cut_short_is_noticed(status: int, body: bytes, size: int, data: st.DataObject) -> None:
    whole = whole_answer(status, body, size)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises(BrokenAnswerError) as raised:
        read(cut)
    assert raised.value.is_empty == (not cut)


@given(st.binary(max_size=500))
def test_bytes_that_are_no_answer_are_refused_as_one(data: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read(data)


@pytest.mark.parametrize(
    ("data", "keeps_open"),
    [
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000), False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + bytes(70_000), False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", False),
    ],
)
def test_a_connection_is_kept_only_if_the_answer_is_whole_and_nothing_follows(data: bytes, keeps_open: bool) -> None:
    answer = read(data)

    assert answer.keeps_open == keeps_open
    assert len(answer.body) <= 65536


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok!!\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Go\r\n\r\n" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/2 200\r\n\r\n",
        bytes([21, 3, 3, 0, 2, 2, 80]),
    ],
    ids=range(8),
)
def test_an_answer_that_contradicts_itself_is_none(data: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read(data)


# --- quotes ---------------------------------------------------------------------------------------


def shifted(shift: int) -> Callable[[str], str]:
    return lambda key: base64.b64encode(b"x" * shift + key.encode() + b"yz").decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "swapped": str.swapcase,
    "first half": lambda key: key[: len(key) // 2],
    "second half": lambda key: key[len(key) // 2 :],
    "in lines": lambda key: "\n".join(key[start : start + 5] for start in range(0, len(key), 5)),
    "spaced": " ".join,
    "reversed": lambda key: key[::-1],
    "url": lambda key: "".join(f"%{ord(character):02x}" for character in key),
    "url twice": lambda key: quote("".join(f"%{ord(character):02X}" for character in key)),
    "json": lambda key: "".join(f"\\u{ord(character):04x}" for character in key),
    "json in json": lambda key: json.dumps("".join(f"\\u{ord(character):04x}" for character in key)),
    "python": lambda key: "".join(f"\\x{ord(character):02x}" for character in key),
    "html": lambda key: "".join(f"&#{ord(character)};" for character in key),
    "html twice": lambda key: html.escape("".join(f"&#x{ord(character):x};" for character in key)),
    "tags": lambda key: "".join(f"<b>{character}</b>" for character in key),
    "hex": lambda key: key.encode().hex(),
    "base64": shifted(0),
    "base64 of Basic": shifted(1),
    "base64 of Bearer": shifted(2),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base32": lambda key: base64.b32encode(key.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [KEY, "sk-helicone-testing-fixture-nothing-private", "correcthorsebattery"])
@pytest.mark.parametrize("before", ["", "x" * 115, "no such key: "])
def test_a_key_is_quoted_in_no_form(form: str, key: str, before: str) -> None:
    shape = FORMS[form]
    for text in (f"{before}{shape(key)}", json.dumps({"error": f"{before} {shape(key)} is unknown"})):
        shown = error_text(text.encode(), key)

        assert shape(key)[:8].lower() not in shown.lower().replace("no such key", "")
        assert not any(key[start : start + 7].lower() in shown.lower() for start in range(12, len(key) - 6))
        assert len(shown) <= 120


@given(st.text(), st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_a_quote_is_one_short_printable_line_without_the_key(text: str, key: str) -> None:
    for quote_of in (quoted(text, key), quoted(text + key + text, key), error_text(text.encode("utf-8", "replace"))):
        assert quote_of.isprintable()
        assert len(quote_of) <= 120
    assert key.lower() not in quoted(text + key + text, key).lower() or set(key) <= {"*"}


def test_control_characters_are_escaped_and_other_words_stay() -> None:
    assert quoted("\x1b[31mred\x07 \u202eetar", KEY) == "\\x1b[31mred\\x07 \\u202eetar"
    assert quoted("Helicone says: the key was not found", "sk-helicone-testing-fixture-nothing-private") == (
        "Helicone says: the key was not found"
    )
    assert error_text(b'{"error": "rate limit of 5 requests a second"}', KEY) == "rate limit of 5 requests a second"
