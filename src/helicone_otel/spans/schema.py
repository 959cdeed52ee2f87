"""What is this span? The schema of the dialects.

A *dialect* is one family's convention for telling kinds, names and conversation ids, written as
rows. `_reader` finds the row that fits a span. Nothing here knows OpenTelemetry: a span is its
scope's name, its own name and kind, and a mapping of attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, get_args

from .names import fit_template

Kind = Literal["workflow", "agent", "task", "tool", "llm", "embedding", "vector_db", "rerank", "guardrail", "data"]
SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
# A call stands *at* the path of the step it serves; every other kind is a step of the path.
CALL_KINDS: Final[Mapping[str, str]] = {"llm": "chat", "embedding": "embeddings"}
# The kinds of which one span is one row in Helicone.
REQUEST_KINDS: Final[frozenset[str]] = KINDS - {"workflow", "agent", "task"}

# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, now and before.
URL_ATTRIBUTES: Final = ("url.full", "http.url")
# Of a text that a row looks into, no more is looked at: some are megabytes long.
_MAX_TEXT: Final = 4096


class Row(NamedTuple):
    """One fact of a dialect: spans that look like this are of that kind.

    Attributes:
        kind: What such a span is; `None` for plumbing that must not be taken for a step.
        attribute: A key that the span must have; empty: any span.
        values: Accepted values of `attribute`, lower-case; empty: any value.
        matching: A regular expression, some part of `attribute`'s text must match it; empty: any text.
        names: Span names, exact or with a `*` at either end; empty: any name.
        span_kinds: OpenTelemetry's span kinds; empty: any.
        segment: The step's name where the convention has none of its own.
        named_by: Attributes that hold the step's own name, the best first.
        operations: Attributes that hold what is done, which is the step's name then, in lower case.
        templates: Else its name is what stands for `*` in the first of these that the span's name
            fits (`execute_tool *`), else the cleaned span name.
        verb: Of a name taken from the span's name only the first word counts, in lower case (`GET docs`).
        request: A span of this row can be the one that stands for a real call.
        duplicate: It tells once more of the call that the span of its scope right above it tells of; without that
            one it stands for the call itself.
        not_current: Such a span is never the current one, so the call that it wraps is not below it
            but beside it, under another scope.
    """

    kind: Kind | None
    attribute: str = ""
    values: frozenset[str] = frozenset()
    matching: str = ""
    names: tuple[str, ...] = ()
    span_kinds: tuple[SpanKind, ...] = ()
    segment: str = ""
    named_by: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    verb: bool = False
    request: bool = True
    duplicate: bool = False
    not_current: bool = False

    def fits(self, name: str, span_kind: str, value: object = None) -> bool:
        """Tell whether a span that has this row's attribute, with that value, looks like it otherwise too."""
        if self.span_kinds and span_kind not in self.span_kinds:
            return False
        if self.names and all(fit_template(template, name) is None for template in self.names):
            return False
        # `re` compiles and remembers patterns when they are first used.
        return not self.matching or (isinstance(value, str) and bool(re.search(self.matching, value[:_MAX_TEXT])))


class Dialect(NamedTuple):
    """One family's convention.

    Attributes:
        name: As `explain` prints it.
        scopes: Instrumentation scopes, exact or with a final `*`; empty: rows hold for every scope.
        rows: The first that fits decides, so the special ones come first. Those of a dialect with
            scopes come before those that hold for every scope.
        guesses: Rows for spans that have not shown yet what they are: any row of any dialect is better.
        session_ids: Attributes in which the family keeps a conversation's id, the best first.
        user_ids: Attributes in which the family keeps the end user's id.
        grouped_by: The attribute by which the family's own backend groups spans, if neither `session.id` nor
            `gen_ai.conversation.id` does.
        response_ids: Attributes that hold the id of the provider's answer: two spans that share it are one call.
        providers: Attributes that hold the provider's name.
        models: Attributes that hold the model's name.
        statements: Attributes that hold the text of a query.
        current: `module:function` that returns the family's current span, which is never the Context's.
        foremost: Its rows come before all others', whether it has scopes or not: the user's own.
        everyday: Most spans of these scopes have nothing to do with an LLM app (a database driver's).
        takes_headers: False for scopes whose carriers are no HTTP headers (MCP's `_meta`).
        bare_carriers: The SDK injects into an empty `dict` and then overwrites the request's
            headers with it, so what the caller set cannot be seen there.
    """

    name: str
    scopes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    guesses: tuple[Row, ...] = ()
    session_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    grouped_by: str = ""
    response_ids: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    current: str = ""
    foremost: bool = False
    everyday: bool = False
    takes_headers: bool = True
    bare_carriers: bool = False


class Classification(NamedTuple):
    """What a span is, as far as it has shown itself.

    Attributes:
        kind: Its kind, if it is anything to us.
        segment: The segment that it contributes to the path, if any.
        dialect: Whose table decided.
        row: Which row.
        recognised: A dialect knows it as part of an LLM app; it is not merely the app's own.
    """

    kind: Kind | None = None
    segment: str | None = None
    dialect: str = ""
    row: Row | None = None
    recognised: bool = False


APPLICATION: Final = "application"
BY_HAND: Final = "by hand"
NOTHING: Final = Classification()


def first_text(attributes: Mapping[str, object], keys: Iterable[str]) -> str | None:
    """Return the first non-empty text or whole number among attributes, as text."""
    for key in keys:
        value = attributes.get(key)
        # OpenTelemetry captures HTTP headers as lists of strings.
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None
