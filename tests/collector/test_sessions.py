"""The real collector, with collector-config.yaml: spans from any language get the sessions that the library gives."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from helicone_otel import wire
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.reader import SpanReader
from helicone_otel.spans.schema import Dialect
from helicone_otel.wire import first_text
from tests.support.otelcol import Collector, request, running, span
from tests.support.sink import HttpSink, http_sink

READER = SpanReader(DIALECTS, application_spans=False)
NONE = {"service.name": "unknown_service:node"}


class Pipe:
    """A collector that sends to a backend."""

    def __init__(self, collector: Collector, sink: HttpSink) -> None:
        self.collector = collector
        self.sink = sink
        self._names = iter(range(1 << 30))

    def through(
        self, spans: list[Mapping[str, object]], resource: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Send spans with these attributes to the collector, and return the attributes that reach the backend."""
        names = [f"span {next(self._names)}" for _ in spans]
        before = len(self.sink.received.spans)
        pairs = zip(names, spans, strict=True)
        self.collector.send(request([span(name, attributes) for name, attributes in pairs], resource))
        self.sink.received.wait_for(before + len(spans))
        arrived = self.sink.received.attributes()
        return [arrived[name] for name in names]


@pytest.fixture(scope="module")
def pipe(otelcol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    environ = {"HELICONE_SESSION_FALLBACK": "none"}
    with http_sink() as sink:
        environ["OTEL_BACKEND_ENDPOINT"] = sink.url
        with running(otelcol, tmp_path_factory.mktemp("otelcol"), environ) as collector:
            yield Pipe(collector, sink)
            assert collector.warnings() == []


def _label(attributes: Mapping[str, Any]) -> dict[str, Any]:
    keys = (wire.SESSION_ID, wire.SESSION_NAME, wire.OTEL_SESSION_ID, wire.OTEL_CONVERSATION_ID, wire.SPAN_KIND)
    return {key: attributes[key] for key in keys if key in attributes}


def test_each_session_attribute_of_a_dialect_names_the_session(pipe: Pipe) -> None:
    spans = [{name: f"conversation {number}"} for number, name in enumerate(READER.session_ids)]
    arrived = pipe.through(spans)

    assert [one[wire.SESSION_ID] for one in arrived] == [f"conversation {number}" for number in range(len(spans))]
    assert [one[wire.OTEL_SESSION_ID] for one in arrived] == [one[wire.SESSION_ID] for one in arrived]
    assert {one[wire.SESSION_NAME] for one in arrived} == {"shop"}


def test_the_first_usable_attribute_in_the_librarys_order_decides(pipe: Pipe) -> None:
    chance = random.Random(5)
    values: list[Any] = ["conversation", " ", "", "\u00a0\u3000\x1f", 12345, 0, -7, True, 1.5, ["a", "b"], "  c-4 "]
    names = (wire.SESSION_ID, *READER.session_ids)
    spans = [
        {name: chance.choice(values) for name in chance.sample(names, chance.randint(1, len(names)))}
        for _ in range(300)
    ]
    expected = [first_text(attributes, names) for attributes in spans]

    arrived = pipe.through(spans)

    # Values that are no id stay as they were.
    assert [one[wire.SESSION_ID] if wanted else None for one, wanted in zip(arrived, expected, strict=True)] == [
        wire.wire_text(wanted) if wanted else None for wanted in expected
    ]
    for one, before, wanted in zip(arrived, spans, expected, strict=True):
        assert one.get(wire.OTEL_SESSION_ID) == before.get(wire.OTEL_SESSION_ID, wanted)
        assert (wire.SESSION_NAME in one) == (wire.SESSION_ID in one)


def _texts(count: int) -> list[str]:
    chance = random.Random(11)
    pieces = [
        "a",
        "Z",
        "9",
        " ",
        "%",
        "%C3",
        "\\",
        '"',
        "$1",
        "/",
        "é",
        "中",
        "🙂",
        "\x00",
        "\n",
        "\x1f",
        "\x7f",
        "\x80",
    ]
    pieces += ["\u00a0", "\u2028", "\u3000", "\ufeff", "\U0010ffff", "ß", "\u07ff", "\u0800", "~", "!", "{", "]"]
    lengths = [*range(1, 40), *range(80, 90), *range(250, 262), 300, 700]
    return ["".join(chance.choices(pieces, k=chance.choice(lengths))) for _ in range(count)]


def test_ids_and_names_have_exactly_the_librarys_wire_form(pipe: Pipe) -> None:
    edges = ["a" * 255 + "é", "a" * 256 + "é", "é" * 129, "中" * 86, "🙂" * 65, "%" * 90]
    edges += ["a" * 254 + " b", " " + "b" * 300, "50％ 50%", "\0 %", "\u200fא\u202e", "旅行", "Café", "Ünïcode/1%2F2"]
    edges += ["a" * length + letter for length in range(250, 257) for letter in "é中🙂%"]
    texts = [text for text in (*edges, *_texts(400)) if text.strip()]
    spans = [{"session.id": text, "helicone.session.name": text} for text in texts]

    arrived = pipe.through(spans)

    assert [one[wire.SESSION_ID] for one in arrived] == [wire.wire_text(text) for text in texts]
    assert [one[wire.SESSION_NAME] for one in arrived] == [wire.wire_text(text) for text in texts]
    assert [one["session.id"] for one in arrived] == texts


def test_session_id_keeps_the_original_up_to_a_maximum_length(pipe: Pipe) -> None:
    (one,) = pipe.through([{"langfuse.session.id": "é" * 5000}])

    assert one[wire.OTEL_SESSION_ID] == "é" * 1024 == wire.valid_text("é" * 5000)
    assert one[wire.SESSION_ID] == wire.wire_text("é" * 5000)


def _shared_rows() -> list[tuple[Dialect, str, object]]:
    rows = []
    for dialect in DIALECTS:
        for row in () if dialect.scopes else (*dialect.rows, *dialect.guesses):
            if row.application:
                continue  # the Collector does not know which spans are the application's
            texts = row.values or {"Anything"}
            if row.matching:
                texts = {f"Open{row.matching.removesuffix(chr(92) + 'Z')}"}
            rows += [(dialect, row.attribute, text) for text in sorted(texts)]
    return rows


def test_every_row_that_applies_to_all_languages_gives_the_same_kind_as_the_library(pipe: Pipe) -> None:
    rows = _shared_rows()
    chance = random.Random(3)
    spans: list[Mapping[str, object]] = [{attribute: value} for _, attribute, value in rows]
    spans += [{attribute: str(value).upper()} for _, attribute, value in rows]
    spans += [{attribute: f"{value} or so"} for _, attribute, value in rows]
    spans += [{attribute: value for _, attribute, value in chance.sample(rows, 3)} for _ in range(200)]
    scope = READER.scope("acme")
    expected = [READER.read(scope, "span", "CLIENT", attributes).kind for attributes in spans]

    arrived = pipe.through(spans)

    assert [one.get(wire.SPAN_KIND) for one in arrived] == expected
    assert {"llm", "embedding", "tool", "vector_db", "rerank", "guardrail", "agent", "workflow", "task", None} == set(
        expected
    )


def test_a_kind_that_was_set_by_hand_wins(pipe: Pipe) -> None:
    (one,) = pipe.through([{"helicone.span.kind": "tool", "gen_ai.operation.name": "chat"}])

    assert one == {"helicone.span.kind": "tool", "gen_ai.operation.name": "chat"}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ({"service.namespace": "trips", "service.name": "search"}, "trips"),
        ({"service.namespace": " ", "service.name": "search"}, "search"),
        (NONE, None),
        ({}, None),
    ],
)
def test_the_name_comes_from_the_service_if_it_has_a_name(
    pipe: Pipe, resource: Mapping[str, object], name: str | None
) -> None:
    (one,) = pipe.through([{"session.id": "s-1"}], resource or {"host.name": "a"})

    assert one.get(wire.SESSION_NAME) == name


def test_only_spans_of_the_genai_conventions_name_a_conversation(pipe: Pipe) -> None:
    spans = [
        {"session.id": "s-1", "gen_ai.operation.name": "chat"},
        {"session.id": "s-1", "db.system": "qdrant"},
        {"session.id": "s-1", "http.request.method": "GET"},
        {"session.id": "s-1", "gen_ai.operation.name": "chat", "gen_ai.conversation.id": "c-1"},
    ]

    arrived = pipe.through(spans)

    assert [one.get(wire.OTEL_CONVERSATION_ID) for one in arrived] == ["s-1", None, None, "c-1"]
    # `gen_ai` comes after the other dialects, so the session of the browser or framework wins, as in the library.
    assert arrived[3][wire.SESSION_ID] == first_text(spans[3], READER.session_ids)


def test_user_ids_come_from_the_librarys_attributes_in_its_order(pipe: Pipe) -> None:
    names = READER.user_ids
    others = [name for name in names if name != "user.id"]
    spans: list[Mapping[str, object]] = [{name: f"u-{name}"} for name in names]
    spans += [{name: f"u-{name}" for name in others[first:]} for first in range(len(others))]
    spans += [dict.fromkeys(names, "u-1") | {"user.id": "u-2"}]

    arrived = pipe.through(spans)

    assert [one["user.id"] for one in arrived[:-1]] == [first_text(before, names) for before in spans[:-1]]
    assert arrived[-1]["user.id"] == "u-2"


def test_a_span_that_helicone_otel_has_labelled_is_not_changed(pipe: Pipe) -> None:
    label = {
        "helicone.session.id": str(uuid.UUID(int=0xABC)),
        "helicone.session.path": "/chat",
        "gen_ai.operation.name": "chat",
        "langfuse.session.id": "another",
    }
    resource = {"service.name": "shop", "telemetry.sdk.language": "python"}

    (one,) = pipe.through([label], resource)

    assert one == label


def test_a_span_of_another_language_is_labelled_even_if_its_path_was_set_by_hand(pipe: Pipe) -> None:
    attributes = {"helicone.session.id": "é", "helicone.session.path": "/plan", "gen_ai.operation.name": "chat"}
    resource = {"service.name": "shop", "telemetry.sdk.language": "nodejs"}

    (one,) = pipe.through([attributes], resource)

    assert one == {
        "helicone.session.id": "é",
        "helicone.session.path": "/plan",
        "helicone.session.name": "shop",
        "helicone.span.kind": "llm",
        "gen_ai.operation.name": "chat",
        "session.id": "é",
        "gen_ai.conversation.id": "é",
    }


def test_a_span_with_only_a_path_set_by_hand_is_labelled(pipe: Pipe) -> None:
    attributes = {
        "session.id": "s-1",
        "langfuse.user.id": "u-1",
        "helicone.session.path": "/plan",
        "gen_ai.operation.name": "chat",
    }
    resource = {"service.name": "shop", "telemetry.sdk.language": "python"}

    (one,) = pipe.through([attributes], resource)

    assert one == attributes | {
        "helicone.session.id": "s-1",
        "helicone.session.name": "shop",
        "helicone.span.kind": "llm",
        "gen_ai.conversation.id": "s-1",
        "user.id": "u-1",
    }


def test_a_span_of_no_kind_is_not_changed(pipe: Pipe) -> None:
    attributes = {"http.request.method": "GET", "server.address": "example.org", "http.response.status_code": 200}

    assert pipe.through([attributes]) == [attributes]


SECRETS: Mapping[str, object] = {
    "gen_ai.headers": '{"Helicone-Auth": "Bearer sk-helicone-abcdefg-1234567"}',
    "llm.headers": "{'Authorization': 'Bearer x'}",
    "http.request.header.authorization": ["Bearer 0123456789abcdef"],
    "http.request.header.helicone_auth": ["Bearer sk-helicone-abcdefg-1234567"],
    "http.request.header.helicone-auth": "Bearer sk-helicone-abcdefg-1234567",
    "http.request.header.x-api-key": ["0123"],
    "http.request.header.cookie": "a=b",
    "http.response.header.set-cookie": ["a=b"],
    "Authorization": "Basic YTpi",
    "helicone-auth": "Bearer abc",
    "HTTP_AUTHORIZATION": "Basic YTpi",
    "openai.api_key": "0123",
    "APIKEY": "0123",
    "app.session-cookie": "a=b",
    "llm.invocation_parameters": '{"extra_headers": {"Helicone-Auth": "Bearer sk-helicone-abcdefg-1234567"}}',
    "error.message": "the key sk-proj-abcdefghijklmnop0123 is wrong",
    "list": ["ok", "Bearer 0123456789abcdef"],
}


def test_secrets_in_attributes_are_masked(pipe: Pipe) -> None:
    (one,) = pipe.through([SECRETS])

    assert one == {
        **dict.fromkeys(SECRETS, "****"),
        "llm.invocation_parameters": '{"extra_headers": {"Helicone-Auth": "****"}}',
        "error.message": "the key **** is wrong",
        "list": '["ok","****"]',
    }


def test_secrets_in_a_status_a_url_and_the_parameters_of_a_call_are_masked(pipe: Pipe) -> None:
    headers = {"api-key": "0123456789abcdef", "Authorization": "Basic dXNlcjpwYXNz", "Accept": "*/*"}
    made = span(
        "secrets",
        {
            "gen_ai.request.extra_headers": "{'api-key': '0123'}",
            "url.full": "https://user:password@example.org/a:b@c",
            "llm.invocation_parameters": json.dumps({"extra_headers": headers, "temperature": 0}),
        },
    )
    made.status.code = Status.STATUS_CODE_ERROR
    made.status.message = "the key sk-proj-abcdefghijklmnop0123 is wrong, Bearer of news"
    before = len(pipe.sink.received.spans)
    pipe.collector.send(request([made]))
    one = pipe.sink.received.wait_for(before + 1)[-1]

    assert one.status.message == "the key **** is wrong, Bearer of news"
    attributes = pipe.sink.received.attributes()["secrets"]
    assert json.loads(attributes.pop("llm.invocation_parameters")) == {
        "extra_headers": {"api-key": "****", "Authorization": "****", "Accept": "*/*"},
        "temperature": 0,
    }
    assert attributes == {"gen_ai.request.extra_headers": "****", "url.full": "https:****example.org/a:b@c"}


def test_names_of_sessions_and_ordinary_words_are_never_masked(pipe: Pipe) -> None:
    kept = {
        "helicone.session.id": "sk-0123456789abcdefgh",
        "helicone.session.name": "Bearer 0123456789abcdef",
        "helicone.session.path": "/authorization",
        "session.id": "sk-0123456789abcdefgh",
        "gen_ai.conversation.id": "sk-0123456789abcdefgh",
        "http.request.header.helicone_session_id": ["s-1"],
        "gen_ai.input.messages": "the bearer of bad news asked for authorization",
        "app.plan": "task-0123456789abcdefgh, risk-0123456789abcdefgh, pallbearer 0123456789abcdefgh",
        "app.api_keys": "two",
        "app.preauthorization": "pending",
        "authorization.url": "https://example.org/authorize",
        "gen_ai.usage.input_tokens": 12,
        "ok": True,
    }

    assert pipe.through([kept]) == [kept]


def test_with_the_trace_fallback_each_trace_is_a_session(otelcol: str, tmp_path: Path) -> None:
    with http_sink() as sink:
        environ = {
            "OTEL_BACKEND_ENDPOINT": sink.url,
            "HELICONE_SESSION_FALLBACK": "trace",
            "HELICONE_SESSION_NAME": "Trip Planning",
        }
        with running(otelcol, tmp_path, environ) as collector:
            call, plain, chosen = Pipe(collector, sink).through(
                [{"gen_ai.operation.name": "chat"}, {"a": 1}, {"session.id": "s-1"}], NONE
            )

    assert _label(call) == {
        "helicone.session.id": str(uuid.UUID(int=0xABC)),
        "helicone.session.name": "Trip Planning",
        "helicone.span.kind": "llm",
    }
    assert plain == {"a": 1}
    assert chosen == {"session.id": "s-1", "helicone.session.id": "s-1", "helicone.session.name": "Trip Planning"}
