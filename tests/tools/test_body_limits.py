"""What a body would cost to decode is known before it is decoded."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from helicone_otel.tools.body_limits import (
    MAX_COST,
    GzipError,
    NotProtobufError,
    TooLongError,
    _count,
    costs_of,
    gunzipped,
    json_exceeds,
    protobuf_exceeds,
)
from helicone_otel.tools.replay.otlp import MalformedError, decode_json, decode_protobuf
from tests.support import bombs
from tests.support.examples import examples
from tests.support.view_seed import recorded, request_of, span

COSTS = costs_of(ExportTraceServiceRequest.DESCRIPTOR)
TOO_COSTLY = "the body has too many fields to decode (a cost of more than 2000000): send smaller batches"


def cost(body: bytes, limit: int = 10**9) -> int:
    return _count(body, COSTS.messages, limit)


@pytest.mark.parametrize("kind", bombs.PROTOBUF)
def test_a_body_of_many_small_parts_is_refused_before_it_is_decoded(kind: str) -> None:
    with pytest.raises(MalformedError) as raised:
        decode_protobuf(bombs.PROTOBUF[kind](8 * 1024 * 1024))

    assert str(raised.value) == TOO_COSTLY


@pytest.mark.parametrize("kind", bombs.JSON)
def test_json_of_many_small_values_is_refused_before_it_is_decoded(kind: str) -> None:
    with pytest.raises(MalformedError) as raised:
        decode_json(bombs.JSON[kind](16 * 1024 * 1024))

    assert str(raised.value) == TOO_COSTLY


def test_counting_stops_at_the_limit() -> None:
    # Behind the limit is no message any more, which nobody sees.
    assert protobuf_exceeds(b"\x0a\x00" * MAX_COST + b"\xff", COSTS)
    assert json_exceeds(b"{" * MAX_COST)


def test_a_full_batch_of_a_collector_is_decoded() -> None:
    attributes = {f"gen_ai.some.attribute.{number}": "some text" for number in range(30)}
    request = request_of("shop", [span(1, 1, attributes=attributes)])
    (scope,) = request.resource_spans[0].scope_spans
    scope.spans.extend([scope.spans[0]] * 8191)
    body = request.SerializeToString()

    assert cost(body) < MAX_COST
    assert len(decode_protobuf(body).resource_spans[0].scope_spans[0].spans) == 8192


def test_long_texts_cost_nothing_whatever_is_in_them() -> None:
    text = '{"a": [1, 2, 3]}, ' * 300_000
    body = json.dumps({"resourceSpans": [], "x": text, "y": f'"{text}\\'}).encode()

    assert not json_exceeds(body)
    assert not protobuf_exceeds(request_of("shop", [span(1, 1, attributes={"x": text})]).SerializeToString(), COSTS)


@pytest.mark.parametrize("text", [b'"' * 2_000_000 + b",", b'"\\' * 1_000_000, b'{,"' + b'\\"' * 1_000_000])
def test_texts_that_do_not_end_take_no_longer_than_others(text: bytes) -> None:
    # The time is that of one pass; each quote that starts a search of its own would take hours.
    assert not json_exceeds(text + b"," * (MAX_COST - 10), MAX_COST)


def test_the_recordings_cost_about_as_much_as_they_have_parts() -> None:
    for request in recorded():
        body = request.SerializeToString()
        assert len(body) / 60 < cost(body) < len(body)


def parts(message: Any) -> int:
    """Return the number of fields that are set in a message and in those inside it."""
    count = 0
    for one, value in message.ListFields():
        for item in value if one.is_repeated else (value,):
            count += 1 + (parts(item) if one.message_type is not None else 0)
    return count


TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, st.integers(0, 2**62) | TEXTS | st.lists(TEXTS)))))
def test_every_field_of_a_request_is_counted(named: list[tuple[str, dict[str, Any]]]) -> None:
    request = request_of("shop", [span(1, 1, name=name, attributes=values) for name, values in named])

    assert cost(request.SerializeToString()) >= parts(request)


@settings(max_examples=examples(300))
@given(st.binary(max_size=60))
def test_what_protobuf_can_decode_can_be_counted_but_for_groups(body: bytes) -> None:
    try:
        counted = cost(body)
    except (NotProtobufError, IndexError):
        counted = None
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return
    if counted is None:
        assert any(byte & 7 in (3, 4) for byte in body)
    else:
        assert counted >= parts(request)


def test_decompressing_stops_at_the_limit() -> None:
    body = gzip.compress(bytes(1000))

    assert gunzipped(body, 1000) == bytes(1000)
    with pytest.raises(TooLongError):
        gunzipped(body, 999)
    with pytest.raises(TooLongError):
        gunzipped(body + body, 1999)
    with pytest.raises(GzipError):
        gunzipped(body[:-9], 1000)
