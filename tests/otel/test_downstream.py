"""Sessions across services: what callers may set, and which services get the session."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping

import pytest
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Setter, TextMapPropagator
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from helicone_otel import HeliconePropagator, Settings, session, step
from helicone_otel.failures import swallowed
from helicone_otel.sessions.inbound import _MAX_TEXTS, _MAX_TRACES
from helicone_otel.wire import percent_encoded
from tests.support.spans import CHAT, GENAI, SERVER, App, ours

TRUSTING = Settings(accept_inbound=True)
GRPC = "opentelemetry.instrumentation.grpc"


class BaggageOnSpans(SpanProcessor):
    """Copies baggage onto spans, as `opentelemetry-processor-baggage` does with all keys allowed."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for key, value in baggage.get_all(parent_context).items():
            span.set_attribute(key, value)  # type: ignore[arg-type]  # texts


def serving(app: App, headers: Mapping[str, str], kind: SpanKind = SpanKind.SERVER, **attributes: str) -> None:
    """Serve a request with OpenTelemetry's default propagators and ours, and call an LLM."""
    pieces: list[TextMapPropagator] = [
        TraceContextTextMapPropagator(),
        W3CBaggagePropagator(),
        HeliconePropagator(app.registry),
    ]
    inbound = CompositePropagator(pieces).extract(headers, Context())
    name = "POST /ask" if kind is SpanKind.SERVER else "process ask"
    with app.span(name, attributes, scope=SERVER, kind=kind, context=inbound), app.chat():
        pass


def session_of(app: App, name: str = "chat gpt-4o") -> str | None:
    return app.where()[name][0]


def made_up(app: App) -> str:
    context = app.exporter.get_finished_spans()[0].get_span_context()
    assert context is not None
    return str(uuid.UUID(int=context.trace_id))


BAGGAGE = [
    "session.id",
    "gen_ai.conversation.id",
    "langfuse_session_id",
    "session_id",
]


@pytest.mark.parametrize("key", BAGGAGE)
def test_a_session_in_an_accepted_callers_baggage_continues(key: str) -> None:
    app = App(TRUSTING)
    serving(app, {"baggage": f"tier=gold,{key}=s%207,user.id=ann"})

    assert app.labels()["chat gpt-4o"] == {
        "helicone.session.id": "s 7",
        "helicone.session.path": "/ask",
        "helicone.span.kind": "llm",
        "session.id": "s 7",
        "gen_ai.conversation.id": "s 7",
        "user.id": "ann",
    }


def test_a_session_from_baggage_has_the_path_and_the_name_of_the_settings() -> None:
    app = App(Settings(accept_inbound=True, session_name="Trips", session_path="/search"))
    serving(app, {"baggage": "session.id=s"})

    label = app.labels()["chat gpt-4o"]
    assert (label["helicone.session.name"], label["helicone.session.path"]) == ("Trips", "/search")


def test_headers_win_over_baggage() -> None:
    app = App(TRUSTING)
    serving(app, {"baggage": "session.id=theirs,user.id=ann", "Helicone-Session-Id": "ours"})

    assert (session_of(app), app.labels()["chat gpt-4o"].get("user.id")) == ("ours", None)


def test_accepted_baggage_is_read_in_any_order_of_the_propagators() -> None:
    app = App(TRUSTING)
    pieces: list[TextMapPropagator] = [HeliconePropagator(app.registry), W3CBaggagePropagator()]
    inbound = CompositePropagator(pieces).extract({"baggage": "session.id=s"}, Context())
    with app.span("POST /ask", scope=SERVER, kind=SpanKind.SERVER, context=inbound), app.chat():
        pass

    assert session_of(app) == "s"


@pytest.mark.parametrize(
    "entries",
    ["", " ", "%00", "%E2%80%A8", "a=b", ";", "session.id", "session.id=", "session.id=%20", "=x", "session.id=%FF"],
)
def test_accepted_baggage_without_a_session_id_gives_no_session(entries: str) -> None:
    app = App(TRUSTING)
    serving(app, {"baggage": entries})
    label = session_of(app)

    assert label in (made_up(app), "\ufffd")
    assert swallowed() == {}


def test_a_session_in_baggage_is_bounded_and_in_wire_form() -> None:
    app = App(TRUSTING)
    serving(app, {"baggage": f"session.id=%0D%0AEvil:%20{'x' * 2000}"})

    assert session_of(app) == ("Evil: " + "x" * 2000)[:256]


@pytest.mark.parametrize(
    "read",
    [
        percent_encoded,
        str,
        lambda text: text.encode().decode("latin-1"),
        lambda text: text.encode("latin-1", "replace").decode("latin-1"),
        lambda text: text.encode("latin-1", "replace").decode("utf-8", "surrogateescape"),
    ],
    ids=["percent-encoded", "text", "UTF-8 as Latin-1", "Latin-1", "Latin-1 as UTF-8"],
)
def test_an_accepted_callers_names_are_read_in_any_form(read: Callable[[str], str]) -> None:
    app = App(TRUSTING)
    headers = {"Id": "Ünï/1", "Path": "/naïve", "Name": "Café"}
    caller = {f"Helicone-Session-{part}": read(text) for part, text in headers.items()}
    serving(app, {**caller, "Helicone-User-Id": read("zoë"), "Helicone-Property-Stadt": read("Köln")})

    assert app.labels()["chat gpt-4o"] == {
        "helicone.session.id": "Ünï/1",
        "helicone.session.path": "/naïve",
        "helicone.session.name": "Café",
        "helicone.span.kind": "llm",
        "helicone.property.Stadt": "Köln",
        "session.id": "Ünï/1",
        "gen_ai.conversation.id": "Ünï/1",
        "user.id": "zoë",
    }


@pytest.mark.parametrize("text", ["50%", "a%20b", "%41", "%e6%97%85"])
def test_percent_signs_that_this_library_did_not_write_are_not_decoded(text: str) -> None:
    app = App(TRUSTING)
    serving(app, {"Helicone-Session-Id": text})

    assert session_of(app) == text.replace("%", "％")


HOSTILE = {
    "Helicone-Session-Id": "evil",
    "Helicone-Session-Path": "/evil",
    "Helicone-Session-Name": "Evil",
    "Helicone-User-Id": "evil",
    "Helicone-Property-Plan": "evil",
    "baggage": ",".join(
        f"{key}=evil"
        for key in (
            *BAGGAGE,
            "user.id",
            "enduser.id",
            "helicone.session.id",
            "helicone.session.path",
            "helicone.session.name",
            "traceloop.association.properties.session_id",
        )
    ),
}


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_a_caller_changes_nothing_unless_callers_are_accepted(kind: SpanKind) -> None:
    hostile, plain = App(), App()
    serving(hostile, HOSTILE, kind)
    serving(plain, {}, kind)

    def without_ids(app: App) -> list[dict[str, str]]:
        return [{**label, "helicone.session.id": "-"} for label in app.labels().values()]

    assert without_ids(hostile) == without_ids(plain)
    assert session_of(hostile) == made_up(hostile)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("start", [{}, {"http.route": "/ask"}])
@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_a_callers_baggage_that_is_copied_onto_spans_is_not_believed(
    kind: SpanKind, start: dict[str, str], before: bool
) -> None:
    app = App(Settings(session_name="Trips"))
    processors = app.provider._active_span_processor
    app.provider.add_span_processor(BaggageOnSpans())
    if before:  # it then has put them there when ours comes to look
        processors._span_processors = (processors._span_processors[-1], *processors._span_processors[:-1])
    serving(app, HOSTILE, kind, **start)

    sessions = [
        {key: value for key, value in label.items() if key.startswith("helicone.session")}
        for label in app.labels().values()
    ]
    ours = {"helicone.session.id": made_up(app), "helicone.session.name": "Trips"}
    assert sessions == [{**ours, "helicone.session.path": "/ask"}, {**ours, "helicone.session.path": "/"}]


def test_a_callers_user_is_in_no_header() -> None:
    app = App()
    app.provider.add_span_processor(BaggageOnSpans())
    carrier: dict[str, str] = {}
    inbound = W3CBaggagePropagator().extract({"baggage": HOSTILE["baggage"]}, Context())
    with app.span("POST /ask", scope=SERVER, kind=SpanKind.SERVER, context=inbound), app.chat():
        with app.span("POST", {"url.full": "https://oai.helicone.ai/v1"}, kind=SpanKind.CLIENT):
            HeliconePropagator(app.registry).inject(carrier)

    assert carrier == {"Helicone-Session-Id": made_up(app), "Helicone-Session-Path": "/ask"}


def test_configured_attributes_are_believed_even_if_copied_from_baggage() -> None:
    app = App(Settings(session_id_attributes=("session.id",), user_id_attributes=("user.id",)))
    app.provider.add_span_processor(BaggageOnSpans())
    serving(app, {"baggage": "session.id=s-1,user.id=ann"})

    assert (session_of(app), app.labels()["chat gpt-4o"]["user.id"]) == ("s-1", "ann")


def test_baggage_that_the_app_itself_sets_is_believed() -> None:
    app = App()
    app.provider.add_span_processor(BaggageOnSpans())
    with app.span("POST /ask", scope=SERVER, kind=SpanKind.SERVER, context=Context()) as server:
        own = trace.set_span_in_context(server, baggage.set_baggage("session.id", "mine", Context()))
        with app.span("chat gpt-4o", CHAT, scope=GENAI, kind=SpanKind.CLIENT, context=own):
            pass

    assert app.where() == {"chat gpt-4o": ("mine", "/ask"), "POST /ask": ("mine", "/")}


def baggage_with(session_id: str) -> Context:
    return baggage.set_baggage("session.id", session_id, Context())


def test_a_callers_baggage_is_not_believed_after_many_other_callers() -> None:
    app = App()
    app.provider.add_span_processor(BaggageOnSpans())
    inbound = baggage_with("evil")
    with app.span("POST /ask", scope=SERVER, kind=SpanKind.SERVER, context=inbound) as server:
        for number in range(_MAX_TRACES + 1):
            with app.span("GET /other", scope=SERVER, kind=SpanKind.SERVER, context=baggage_with(str(number))):
                pass
        with app.span(
            "chat gpt-4o", CHAT, scope=GENAI, kind=SpanKind.CLIENT, context=trace.set_span_in_context(server, inbound)
        ):
            pass
    with app.span("work"), app.chat(session__id="mine"):
        pass

    ids = [ours(span.attributes or {}).get("helicone.session.id") for span in app.exporter.get_finished_spans()]
    made_up = str(uuid.UUID(int=server.get_span_context().trace_id))
    assert ids[_MAX_TRACES + 1 :] == [made_up, made_up, "mine", "mine"]


def test_the_traces_whose_baggage_is_remembered_are_bounded() -> None:
    untrusted = App().registry.resolver.untrusted
    for number in range(_MAX_TRACES + 10):
        untrusted.note(number, baggage_with("evil" * 1000))
    evil: dict[str, object] = {"session.id": "evil" * 1000, "url.full": "u"}
    other: dict[str, object] = {"session.id": "mine", "url.full": "u"}

    assert (len(untrusted._texts), len(untrusted._tainted)) == (_MAX_TRACES, 10)
    assert [untrusted.removed_from(facts, _MAX_TRACES) for facts in (evil, other)] == [{"url.full": "u"}, other]
    assert [untrusted.removed_from(facts, 5) for facts in (evil, other)] == [{"url.full": "u"}, {"url.full": "u"}]
    assert untrusted.removed_from(evil, 2 * _MAX_TRACES) == evil


def test_the_texts_remembered_of_one_trace_are_bounded() -> None:
    untrusted = App().registry.resolver.untrusted
    for number in range(_MAX_TEXTS + 1):
        untrusted.note(7, baggage_with(str(number)))

    assert len(untrusted._texts) == 0
    assert untrusted.removed_from({"session.id": "0", "url.full": "u"}, 7) == {"url.full": "u"}


# --- gRPC ----------------------------------------------------------------------------------------


class LowerCase(Setter[OrderedDict[str, str]]):
    """Writes names in lower case, as gRPC's instrumentation does."""

    def set(self, carrier: OrderedDict[str, str], key: str, value: str) -> None:
        carrier[key.lower()] = value


def metadata(app: App, attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a gRPC call in a session sends."""
    carrier: OrderedDict[str, str] = OrderedDict()
    with session("Trip", id="s-1", path="/trip"), step("search"):
        with app.span("/shop.Search/Query", attributes, scope=GRPC, kind=SpanKind.CLIENT):
            HeliconePropagator(app.registry).inject(carrier, setter=LowerCase())
    return dict(carrier)


BEFORE = {"rpc.system": "grpc", "rpc.service": "shop.Search", "rpc.method": "Query"}
NOW = {"rpc.system.name": "grpc", "rpc.method": "shop.Search/Query"}


@pytest.mark.parametrize("attributes", [BEFORE, NOW], ids=["before", "now"])
@pytest.mark.parametrize(
    ("hosts", "expects_headers"), [(("shop.Search",), True), (("shop.Book", "127.0.0.1"), False), ((), False)]
)
def test_a_grpc_service_gets_the_session_if_its_name_is_listed(
    attributes: Mapping[str, str], hosts: tuple[str, ...], expects_headers: bool
) -> None:
    expected = {
        "helicone-session-path": "/trip/search",
        "helicone-session-id": "s-1",
        "helicone-session-name": "Trip",
    }

    assert metadata(App(Settings(propagate_hosts=hosts)), attributes) == (expected if expects_headers else {})


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"rpc.system": "grpc"},
        {"rpc.system.name": "grpc"},
        {"rpc.system": "jsonrpc", "rpc.service": "shop.Search"},
        {"rpc.service": "shop.Search"},
        {"rpc.system": "grpc", "rpc.service": "oai.helicone.ai"},
    ],
)
def test_other_calls_than_of_a_listed_grpc_service_get_no_session(attributes: Mapping[str, str]) -> None:
    assert metadata(App(Settings(propagate_hosts=("shop.Search",))), attributes) == {}


def test_a_session_in_grpc_metadata_continues() -> None:
    app = App(TRUSTING)
    sent = metadata(App(Settings(propagate_hosts=("shop.Search",))), BEFORE)
    inbound = HeliconePropagator(app.registry).extract(sent, Context())
    with app.span("/shop.Search/Query", BEFORE, scope=GRPC, kind=SpanKind.SERVER, context=inbound):
        with app.span("rank"), app.chat():
            pass

    assert app.where()["chat gpt-4o"] == ("s-1", "/trip/search/rank")
