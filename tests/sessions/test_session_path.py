"""`SessionPath`: levels in wire form, outermost first, bounded in number and length."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helicone_otel import SessionPath
from helicone_otel.wire import MAX_DEPTH, MAX_PATH, MAX_SEGMENT, wire_segment

any_text = st.text(st.characters()) | st.text(st.sampled_from("aB7 /_%.\\\t\n\0é🚀\ud800"))
long_paths = st.lists(st.text(st.sampled_from("ab/ 🚀"), max_size=120), max_size=40).map(
    lambda names: "/" + "/".join(names)
)
paths = any_text.map(lambda text: "/" + text) | long_paths


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("/", ()),
        ("/abstract", ("abstract",)),
        ("/abstract/outline/lesson-1", ("abstract", "outline", "lesson-1")),
        ("/session/question_1", ("session", "question_1")),
        ("/web search/step 2", ("web_search", "step_2")),
        ("  /a/b \n", ("a", "b")),
        ("/ a / b /", ("a", "b")),
        ("//a///b/ /", ("a", "b")),
        ("/a/./..", ("a", ".", "..")),
        ("/50 %/100%25", ("50_％", "100％25")),
        ("/café/🚀", ("café", "🚀")),
        ("/a\r\nb/\0", ("ab",)),
        ("/\ud800", ("?",)),
        ("/A/a", ("A", "a")),
        ("/a/a", ("a", "a")),
    ],
)
def test_a_path_has_its_levels_in_wire_form_without_empty_ones(text: str, segments: tuple[str, ...]) -> None:
    path = SessionPath(text)

    assert path.segments == segments
    assert str(path) == "/" + "/".join(segments)


def test_a_path_without_text_is_the_root() -> None:
    assert SessionPath() == SessionPath("/") == SessionPath.of(())
    assert str(SessionPath()) == "/"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("review", "a session path must start with '/': write '/review', not 'review'"),
        (" review ", "a session path must start with '/': write '/review', not 'review'"),
        ("", "a session path must start with '/': write '/', not ''"),
        ("a/b", "a session path must start with '/': write '/a/b', not 'a/b'"),
        ("\ud800", r"a session path must start with '/': write '/\ud800', not '\ud800'"),
        ("é" * 100_000, f"a session path must start with '/': write '/{'é' * 40}', not '{'é' * 40}'"),
    ],
)
def test_the_error_for_a_path_without_a_leading_slash_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the whole message is compared
        SessionPath(text)

    assert str(refused.value) == message


@pytest.mark.parametrize("value", [None, 5, b"/a", ["/a"], SessionPath("/a"), True])
def test_the_error_for_a_path_that_is_no_text_names_its_type(value: object) -> None:
    with pytest.raises(TypeError) as refused:
        SessionPath(value)  # type: ignore[arg-type]

    assert str(refused.value) == f"a session path must be a str such as '/review', not {type(value).__name__}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a" * 40, "/a" * MAX_DEPTH),
        ("/" + "a" * 100_000, "/" + "a" * MAX_SEGMENT),
        ("/" + "é" * 100_000, "/" + "é" * (MAX_SEGMENT // 2)),
        ("/" + "/".join(["a" * 200] * 40), ("/" + "a" * MAX_SEGMENT) * 5),
        ("/" * 100_000, "/"),
        ("/" + "/".join(["b" * 31] * 16), ("/" + "b" * 31) * 16),
        ("/" + "/".join(["b" * 32] * 16), ("/" + "b" * 32) * 15),
        ("/" + "/".join(["旅" * 10 + "b"] * 16), ("/" + "旅" * 10 + "b") * 16),
        ("/" + "/".join(["旅" * 11] * 16), ("/" + "旅" * 11) * 15),
    ],
    ids=[
        "deep",
        "long",
        "long and not ASCII",
        "deep and long",
        "slashes only",
        "just as long as allowed",
        "one too many",
        "three bytes each, just as long as allowed",
        "three bytes each, one too many",
    ],
)
def test_a_path_that_is_too_deep_or_too_long_keeps_its_outermost_levels(text: str, expected: str) -> None:
    assert str(SessionPath(text)) == expected
    assert len(expected.encode()) <= MAX_PATH


@given(paths)
def test_a_path_from_its_own_text_is_the_same_path(text: str) -> None:
    path = SessionPath(text)

    assert SessionPath(str(path)) == path
    assert SessionPath.of(path.segments) == path


@given(paths)
def test_every_path_is_bounded_and_has_no_empty_segments(text: str) -> None:
    path = SessionPath(text)

    assert len(path.segments) <= MAX_DEPTH
    assert len(str(path).encode()) <= MAX_PATH
    assert all(segment and wire_segment(segment) == segment for segment in path.segments)


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("security", "/review/security"),
        ("web search", "/review/web_search"),
        ("a/b", "/review/a_b"),
        ("/", "/review/_"),
        ("", "/review"),
        (" \t", "/review"),
        ("é", "/review/é"),
        ("review", "/review/review"),
        ("a" * 100_000, "/review/" + "a" * MAX_SEGMENT),
    ],
)
def test_the_slash_operator_goes_one_level_deeper(segment: str, expected: str) -> None:
    assert SessionPath("/review") / segment == SessionPath(expected)


@given(paths, any_text)
def test_the_slash_operator_adds_one_level_at_most_and_keeps_the_bounds(text: str, segment: str) -> None:
    path = SessionPath(text)
    deeper = path / segment

    assert deeper.segments in (path.segments, (*path.segments, wire_segment(segment)))
    assert SessionPath(str(deeper)) == deeper


@pytest.mark.parametrize("value", [None, 5, SessionPath("/a"), ["a"]])
def test_the_slash_operator_takes_only_text(value: object) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        SessionPath("/review") / value  # type: ignore[operator]


def test_levels_added_one_by_one_are_bounded_too() -> None:
    path = SessionPath()
    for number in range(100):
        path = path / f"{'level':_<30}{number % 10}"

    assert str(path) == str(SessionPath(str(path)))
    assert len(path.segments) == MAX_DEPTH


def test_equal_paths_compare_equal_and_cannot_be_changed() -> None:
    path = SessionPath("/review/security")

    assert path == SessionPath("/review") / "security"
    assert path != SessionPath("/review")
    assert {path: 1}[SessionPath("/review/security")] == 1
    assert repr(path) == "SessionPath(segments=('review', 'security'))"
    assert pickle.loads(pickle.dumps(path)) == copy.deepcopy(path) == path
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.segments = ()  # type: ignore[misc]
