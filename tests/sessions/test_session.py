"""`Session`: an immutable value that computes its wire form once."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel import Session, SessionPath
from helicone_otel.failures import swallowed
from helicone_otel.wire import MAX_PROPERTIES, MAX_TEXT, wire_text

any_text = st.text(st.characters())
sessions = st.builds(
    Session,
    id=any_text,
    name=st.none() | any_text,
    user_id=st.none() | any_text,
    properties=st.dictionaries(any_text | st.from_regex(r"[A-Za-z-]{1,9}", fullmatch=True), any_text),
)


def test_a_session_has_a_header_for_each_of_its_fields() -> None:
    session = Session("trip 7", "Trip Planning", SessionPath("/plan"), "ann@shop.test", {"Plan": "pro", "tier": "1"})

    assert session.headers == (
        ("Helicone-Session-Id", "trip 7"),
        ("Helicone-Session-Name", "Trip Planning"),
        ("Helicone-User-Id", "ann@shop.test"),
        ("Helicone-Property-Plan", "pro"),
        ("Helicone-Property-tier", "1"),
    )


def test_a_session_with_only_an_id_has_one_header() -> None:
    assert Session("trip-7").headers == (("Helicone-Session-Id", "trip-7"),)
    assert Session("trip-7", name="", user_id=" ", properties={"Plan": ""}).headers == Session("trip-7").headers


def test_a_session_keeps_its_original_id_beside_the_wire_form() -> None:
    session = Session("café\n7", "Reise nach Köln", user_id="zoë", properties={"Stadt": "Köln"})

    assert (session.id, session.wire_id) == ("café\n7", "café7")
    assert (session.name, session.wire_name) == ("Reise nach Köln", "Reise nach Köln")
    assert session.user_id == "zoë"
    assert session.properties == {"Stadt": "Köln"}
    assert session.headers == (
        ("Helicone-Session-Id", "café7"),
        ("Helicone-Session-Name", "Reise nach Köln"),
        ("Helicone-User-Id", "zoë"),
        ("Helicone-Property-Stadt", "Köln"),
    )


@given(sessions)
def test_no_header_is_empty_and_each_is_in_wire_form(session: Session) -> None:
    for name, value in session.headers[1:]:
        assert value
        assert value == wire_text(value)
        assert name.isascii()
    assert session.headers[0] == ("Helicone-Session-Id", wire_text(session.id))


def test_properties_whose_names_cannot_be_in_a_header_are_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        session = Session("s1", properties={"ok": "1", "not ok": "2", "a:b": "3", "": "4", 5: "5"})  # type: ignore[dict-item]

        assert session.properties == {"ok": "1"}
    message = "A session property was left out: its name must be a header token (letters, digits, '-', '_', '.')."
    assert caplog.record_tuples == [("helicone_otel", logging.WARNING, message)]
    assert swallowed() == {message: 12}


def test_property_values_become_text_and_empty_ones_are_left_out() -> None:
    session = Session("s1", properties={"n": 5, "b": True, "f": 1.5, "none": None, "blank": " "})  # type: ignore[dict-item]

    assert session.properties == {"n": "5", "b": "True", "f": "1.5"}


def test_a_session_has_a_bounded_number_of_properties(caplog: pytest.LogCaptureFixture) -> None:
    properties = {f"p{number}": str(number) for number in range(MAX_PROPERTIES + 5)}

    session = Session("s1", properties=properties)

    assert dict(session.properties) == dict(list(properties.items())[:MAX_PROPERTIES])
    assert caplog.messages == [f"A session has more than {MAX_PROPERTIES} properties; the others were left out."]


def test_all_texts_of_a_session_are_bounded() -> None:
    huge = "x" * 100_000

    session = Session(huge, huge, user_id=huge, properties={"p": huge})

    assert {value for _, value in session.headers} == {"x" * MAX_TEXT}
    assert session.id == huge


def test_equal_sessions_compare_equal_and_cannot_be_changed() -> None:
    properties = {"Plan": "pro"}
    session = Session("s1", "Trips", SessionPath("/plan"), "ann", properties)
    twin = Session("s1", "Trips", SessionPath("/plan"), "ann", {"Plan": "pro"})

    properties["Plan"] = "free"

    assert session == twin
    assert hash(session) == hash(twin)
    assert session != Session("s1", "Trips", SessionPath("/plan"), "ann")
    assert repr(session) == (
        "Session(id='s1', name='Trips', path=SessionPath(segments=('plan',)), user_id='ann', "
        "properties=mappingproxy({'Plan': 'pro'}), provisional=False)"
    )
    for copied in (copy.copy(session), copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        assert copied == session
        assert copied.headers == session.headers
    with pytest.raises(dataclasses.FrozenInstanceError):
        session.id = "s2"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del session.id
    with pytest.raises(TypeError):
        session.properties["Plan"] = "free"  # type: ignore[index]
