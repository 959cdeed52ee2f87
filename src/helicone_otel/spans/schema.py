"""The schema of the dialects: rows, dialects and the classification of a span.

A *dialect* is one family's convention for kinds, names and conversation ids, written as rows. `SpanReader` finds the
row that fits a span. Nothing here knows OpenTelemetry's classes: a span is the name of its instrumentation scope, its
own name and kind, and a mapping of attributes.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ..wire import Kind

# The kinds of spans that OpenTelemetry has.
SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, now and before.
URL_ATTRIBUTES: Final = ("url.full", "http.url")
# `Row.matching` searches only the first characters of an attribute: some attributes are megabytes long.


class Row(NamedTuple):
    """One rule of a dialect: spans that fit it are of its kind.

        calls = Row("tool", attribute="acme.type", values=frozenset({"tool_call"}), named_by=("acme.tool",))
        acme = Dialect("acme", scopes=("acme.agents",), rows=(calls,))

    Attributes:
        kind: The kind of such spans; `None` for plumbing that must not count as a step.
        attribute: A key that the span must have; empty: any span.
        values: Accepted values of `attribute`, lower-case; empty: any value.
        matching: A regular expression that must match some part of the text in `attribute`; empty: any text.
        containing: Parts of texts, in lower case, of which each text that matches contains one. Looking for them is ten
            times as fast as `matching`. Empty: `matching` alone decides.
        names: Span names, exact or with one `*`; empty: any name.
        span_kinds: OpenTelemetry's span kinds; empty: any.
        application: Only spans of the application's own code fit.
        segment: The step's segment if the span has no name of its own for it.
        named_by: Attributes that hold the step's own name, the best first.
        operations: Attributes that hold the name of the operation. In lower case, it is the segment if `named_by`
            gives none.
        templates: Forms of span names (`execute_tool *`). Without a segment from the columns above, the text that
            stands for `*` in the first form that fits is the step's own name, else the whole span name, cleaned.
        verb: Use only the first word of such a span name, in lower case (`GET docs` becomes `get`).
        request: Whether a span of this row can stand for a real call, and so be a row in Helicone.
        app: Such spans show that what encloses them is part of an LLM app, although they have no kind.
        served: The span is the server's side of a call. It stands for the call only if nothing around it is the
            client's side, in this process or in another.
        duplicate: The span repeats the call of the span directly above it, if that has the same scope. Without such a
            span it stands for the call itself.
        not_current: The instrumentation never makes this span the current one. So the spans of the call that it wraps
            are its siblings, under another scope, and not its children.
    """

    kind: Kind | None
    attribute: str = ""
    values: frozenset[str] = frozenset()
    matching: str = ""
    containing: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    span_kinds: tuple[SpanKind, ...] = ()
    application: bool = False
    segment: str = ""
    named_by: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    verb: bool = False
    request: bool = True
    app: bool = False
    served: bool = False
    duplicate: bool = False
    not_current: bool = False


class Dialect(NamedTuple):
    """One family's convention.

        acme = Dialect("acme", scopes=("acme.agents",), session_ids=("acme.conversation",))
        configure(Settings(dialects=(acme,)))

    Attributes:
        name: The name that `explain` prints.
        scopes: Instrumentation scopes, exact or with a final `*`; empty: the rows apply to every scope.
        rows: The first row that fits decides, so put special rows first. Rows of a dialect with scopes come before
            rows that apply to every scope.
        guesses: Rows for spans that do not have their telling attributes yet. The rows of all dialects come first.
        plumbing: A regular expression for names of what the framework puts between the steps of the app (`__start__`).
            A workflow or task of such a name keeps its kind, and adds no segment.
        class_names: A regular expression for names that the framework's classes have by default
            (`RunnableSequence`). They are plumbing, too, unless the app gave the name.
        given_names: Attributes that hold the name that the app gave to a step; `attribute:key` for a value in JSON.
        session_ids: Attributes in which the family keeps the id of a conversation, the best first.
        made_up_ids: Attributes in which the family writes a UUID of its own if the app gives no id. Such an id names a
            session only where nothing else does, and only one of them in a trace.
        user_ids: Attributes in which the family keeps the id of the end user, the best first.
        grouped_by: The attribute by which the family's own backend groups spans, unless that is `session.id` or
            `gen_ai.conversation.id`.
        response_ids: Attributes that hold the id of the provider's answer. Two spans with the same id are one call.
        providers: Attributes that hold the provider's name.
        models: Attributes that hold the model's name.
        statements: Attributes that hold the text of a query.
        current: `module:function`, which returns the family's current span if the family does not keep it in
            OpenTelemetry's Context.
        foremost: The rows come before those of all other dialects, with or without scopes: for a user's own dialect.
        api_bases: Attributes that hold the address of the API that was called, or a JSON object with it as `api_base`.
        late: The family makes its spans when the call is over: from a callback, or in a thread of its own.
        everyday: Most spans of these scopes have nothing to do with an LLM app (a database driver).
        takes_headers: False for scopes whose carriers are no HTTP headers (MCP's `_meta`).
        bare_carriers: The SDK injects into an empty `dict` and then overwrites the request's headers with it. So the
            headers that the caller set are not visible in the carrier.
    """

    name: str
    scopes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    guesses: tuple[Row, ...] = ()
    plumbing: str = ""
    class_names: str = ""
    given_names: tuple[str, ...] = ()
    session_ids: tuple[str, ...] = ()
    made_up_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    grouped_by: str = ""
    response_ids: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    current: str = ""
    foremost: bool = False
    api_bases: tuple[str, ...] = ()
    late: bool = False
    everyday: bool = False
    takes_headers: bool = True
    bare_carriers: bool = False


class Classification(NamedTuple):
    """What the dialects say of a span, by the attributes that it has so far.

    Attributes:
        kind: The span's kind; `None` if it has none.
        segment: The segment that it adds to the path; `None` if it adds none, as calls and plumbing do.
        dialect: The name of the dialect that decided; or `APPLICATION`, `BY_HAND`, or empty.
        row: The row that decided.
        recognised: Whether a dialect knows the span as part of an LLM app. False for the application's own steps.
    """

    kind: Kind | None = None
    segment: str | None = None
    dialect: str = ""
    row: Row | None = None
    recognised: bool = False


APPLICATION: Final = "application"
BY_HAND: Final = "by hand"
NOTHING: Final = Classification()
