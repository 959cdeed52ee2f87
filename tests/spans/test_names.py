"""Span names become segments: the same work always has the same name."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helicone_otel.spans.names import clean_name, clean_route, fit_template
from helicone_otel.wire import MAX_SEGMENT, wire_segment

UUID = "123e4567-e89b-12d3-a456-426614174000"

any_text = st.text(st.characters())
# Names made of the parts that cleaning removes, in any order and next to each other.
pieces = st.lists(
    st.sampled_from(
        [*"abcdef0123456789 _-/.:#()[]%é🚀\n", "gpt-4o", "o3", "command-", "-r", "#1", "search", UUID, "deadbeef1"]
    ),
    max_size=40,
).map("".join)
names = any_text | pieces


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        # an ordinary name stays
        ("research", "research"),
        ("web search", "web_search"),
        ("Fetch Data", "Fetch_Data"),
        ("planner.run", "planner.run"),
        ("load/parse", "load_parse"),
        ("naïve plan", "naïve_plan"),
        ("50% off", "50％_off"),
        # functions inside of others
        ("answer.<locals>.look_up", "look_up"),
        ("main.<locals>.Flow.run.<locals>.step", "step"),
        # UUIDs
        (f"process {UUID}", "process"),
        (f"process {UUID.upper()} again", "process_again"),
        (f"job-{UUID.replace('-', '')}", "job"),
        (f"{UUID}", ""),
        # hex ids: eight digits or more that are neither a word nor a number
        ("order 5f2b8c1d9e0a", "order"),
        ("run_3f2a1b4c", "run"),
        ("order A1B2C3D4", "order"),
        ("tool-call-abcdef1234567890", "tool-call"),
        ("deadbeef", "deadbeef"),
        ("facade", "facade"),
        ("cafe2", "cafe2"),
        # counters
        ("Step 1", "Step"),
        ("Step 12: read", "Step_read"),
        ("1. Search", "Search"),
        ("(2) Search", "Search"),
        ("batch 3/40", "batch"),
        ("3/40 batch", "batch"),
        ("batch (3/40)", "batch"),
        ("[3/40] batch", "batch"),
        ("item_17", "item"),
        ("attempt #2", "attempt"),
        ("attempt#2", "attempt"),
        ("agent-1", "agent"),
        ("Agent 007", "Agent"),
        ("get_user_42_details", "get_user_details"),
        ("42", ""),
        ("x: 9", "x"),
        # timestamps
        ("report 2026-11-22", "report"),
        ("2026-11-22 report", "report"),
        ("report 2026-11-22T10:00:00Z", "report"),
        ("report 2026-11-22 10:00:00.123456+01:00 daily", "report_daily"),
        # models
        ("chat gpt-4o-mini", "chat"),
        ("plan claude-sonnet-4-5", "plan"),
        ("plan claude-3-5-sonnet@20240620", "plan"),
        ("llama-3.1-70b answer", "answer"),
        ("ask o3", "ask"),
        ("ask o1-mini twice", "ask_twice"),
        ("embed text-embedding-3-small", "embed"),
        ("mistral-large", ""),
        ("deepseek-chat turn", "turn"),
        ("command-r-plus", ""),
        # digits that belong to the word, and words that only begin like a model
        ("search_v2", "search_v2"),
        ("gpt4", "gpt4"),
        ("step1", "step1"),
        ("sha256", "sha256"),
        ("k8s", "k8s"),
        ("2fa check", "2fa_check"),
        ("3d-model", "3d-model"),
        ("s3 upload", "s3_upload"),
        ("gpt-researcher", "gpt-researcher"),
        ("claude-code run", "claude-code_run"),
        ("command-line tool", "command-line_tool"),
        ("nova-scotia weather", "nova-scotia_weather"),
        ("to-do", "to-do"),
        # nothing to name
        ("", ""),
        (" \t", ""),
        ("/", "_"),
        ("\ud800", "?"),
        ("a\0b", "ab"),
    ],
)
def test_ids_counters_timestamps_and_models_are_removed_from_a_span_name(name: str, segment: str) -> None:
    assert clean_name(name) == segment


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("fetch order 17", "fetch order 18"),
        (f"fetch {UUID}", "fetch 00000000-0000-4000-8000-000000000000"),
        ("run 3f2a1b4c", "run 9999aaaa"),
        ("chunk 1 of 9", "chunk 8 of 12"),
        ("ask gpt-4o", "ask claude-opus-4-1"),
        ("nightly 2026-11-21", "nightly 2026-11-22"),
        ("retry #1 (2/3)", "retry #2 (3/3)"),
    ],
)
def test_two_occurrences_of_the_same_work_have_the_same_name(one: str, another: str) -> None:
    assert clean_name(one) == clean_name(another) != ""


def test_a_huge_name_becomes_a_segment_of_the_maximum_length() -> None:
    assert clean_name("x" * 100_000) == "x" * MAX_SEGMENT
    assert clean_name("🚀" * 100_000) == "🚀" * (MAX_SEGMENT // 4)


@given(names)
@example("20\x1920-11-22")  # without the control character, it looks like a date
@example("a" * 93 + " 12b")  # the cut leaves a counter
@example("a 1#2 3")
def test_a_cleaned_name_is_a_segment_and_cleaning_it_again_changes_nothing(name: str) -> None:
    segment = clean_name(name)

    assert wire_segment(segment) == segment
    assert clean_name(segment) == segment


@pytest.mark.parametrize(
    ("route", "segments"),
    [
        ("/trips/{id}/plan", ("trips", "plan")),
        ("/trips/{trip_id:int}/days/{day}", ("trips", "days")),
        ("/files/{path:path}", ("files",)),
        ("/trips/<int:id>/plan", ("trips", "plan")),
        ("trips/<uuid:id>/plan/", ("trips", "plan")),
        ("/trips/:id/plan", ("trips", "plan")),
        ("/trips/*", ("trips",)),
        (r"^trips/(?P<id>[0-9]+)/plan$", ("trips", "plan")),
        (r"^trips/(?P<id>[^/]+)/plan/$", ("trips", "plan")),
        ("/v1/chat/completions", ("v1", "chat", "completions")),
        ("/trips/42/plan", ("trips", "plan")),
        (f"/trips/{UUID}", ("trips",)),
        ("my.tasks.plan_trip", ("my.tasks.plan_trip",)),
        ("plan trips", ("plan_trips",)),
        ("//trips///plan/", ("trips", "plan")),
        ("/", ()),
        ("", ()),
        ("/{id}", ()),
        ("*", ()),
        ("/café/\ud800", ("café", "?")),
        ("/" + "x" * 100_000, ("x" * MAX_SEGMENT,)),
    ],
)
def test_the_segments_of_a_route_have_no_parameters_and_ids(route: str, segments: tuple[str, ...]) -> None:
    assert clean_route(route) == segments


@given(names | names.map(lambda name: "/{id}/:x/<y>/" + name))
def test_the_levels_of_a_route_are_segments_and_cleaning_them_again_changes_nothing(route: str) -> None:
    levels = clean_route(route)

    assert all(level and wire_segment(level) == level == clean_name(level) for level in levels)


@pytest.mark.parametrize(
    ("template", "name", "rest"),
    [
        ("execute_tool *", "execute_tool search", "search"),
        ("execute_tool *", "execute_tool ", ""),
        ("execute_tool *", "execute_tool", None),
        ("*.workflow", "trips.workflow", "trips"),
        ("*.workflow", ".workflow", ""),
        ("*.workflow", "trips.workflow.x", None),
        ("call * now", "call search now", "search"),
        ("call * now", "call now", None),
        ("a*a", "a", None),
        ("a*a", "aa", ""),
        ("*", "anything", "anything"),
        ("*", "", ""),
        ("chat", "chat", ""),
        ("chat", "chats", None),
        ("chat", "", None),
        ("", "", ""),
        ("", "chat", None),
        ("a*", "a*b", "*b"),
    ],
)
def test_a_template_fits_the_start_and_the_end_of_a_name(template: str, name: str, rest: str | None) -> None:
    assert fit_template(template, name) == rest


@given(st.text(st.characters(exclude_characters="*")), any_text, any_text)
def test_a_template_returns_the_text_that_its_star_stands_for(before: str, rest: str, after: str) -> None:
    assert fit_template(f"{before}*{after}", before + rest + after) == rest


@given(any_text, any_text)
def test_a_template_fits_a_name_or_not_and_never_fails(template: str, name: str) -> None:
    rest = fit_template(template, name)

    assert rest is None or template.replace("*", rest, 1) == name
