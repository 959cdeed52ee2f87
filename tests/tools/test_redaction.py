"""What the tools hide: one table of names for attributes, keys of JSON and texts."""

from __future__ import annotations

import pytest

from helicone_otel.jsontext import SECRET_KEYS
from helicone_otel.tools.redaction import _VARIABLES, Redaction, hide_secrets, redact, redact_attributes

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


def test_a_number_is_no_secret() -> None:
    assert redact({"token": 7, "tokens": "v"}) == {"token": 7, "tokens": "v"}
