"""Every name and text that leaves the process, spelled once, and the *wire form* of texts.

The wire form is text in any language, without what a header cannot carry and without `%`. It is the same in span
attributes, log rows, OTLP and hashes. Bringing it into wire form again changes nothing. In a header it is UTF-8 where
the receiver reads that, as Helicone's worker does, and percent-encoded everywhere else. Because no `%` is left in a
wire form, nobody can take one form for the other.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, get_args

# Request headers, in the case in which Helicone's documentation writes them.
# https://docs.helicone.ai/features/sessions
SESSION_ID_HEADER: Final = "Helicone-Session-Id"
SESSION_PATH_HEADER: Final = "Helicone-Session-Path"
SESSION_NAME_HEADER: Final = "Helicone-Session-Name"
SESSION_HEADERS: Final = (SESSION_ID_HEADER, SESSION_PATH_HEADER, SESSION_NAME_HEADER)
USER_ID_HEADER: Final = "Helicone-User-Id"
REQUEST_ID_HEADER: Final = "Helicone-Request-Id"
# In the answer of a gateway: the id of the row that it makes of the request.
ROW_ID_HEADER: Final = "helicone-id"
PROPERTY_HEADER_PREFIX: Final = "Helicone-Property-"

# Span attributes that this library writes.
SESSION_ID: Final = "helicone.session.id"
SESSION_PATH: Final = "helicone.session.path"
SESSION_NAME: Final = "helicone.session.name"
SPAN_KIND: Final = "helicone.span.kind"
REQUEST_ID: Final = "helicone.request.id"
PROPERTY_PREFIX: Final = "helicone.property."
# What the label of every labelled span consists of.
LABEL: Final = (SESSION_PATH, SESSION_ID, SESSION_NAME, SPAN_KIND)
DATA_NAME: Final = "helicone.data.name"
# The instrumentation scope of the spans that this library makes.
SCOPE: Final = "helicone_otel"

# The kinds of spans: the values of `SPAN_KIND`.
Kind = Literal["workflow", "agent", "task", "tool", "llm", "embedding", "vector_db", "rerank", "guardrail", "data"]
KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
# Spans of these kinds have the path of the step that they serve; spans of every other kind add a segment. The value is
# the path's only segment if there is no step.
CALL_KINDS: Final[Mapping[str, str]] = {"llm": "chat", "embedding": "embeddings"}
# Spans of these kinds serve a call to a model. Without a step they are below the entry route, where that call is.
LOOKUP_KINDS: Final[frozenset[str]] = frozenset({"vector_db", "rerank"})
# One span of these kinds is one row in Helicone.
REQUEST_KINDS: Final[frozenset[str]] = KINDS - {"workflow", "agent", "task"}

# Attributes of OpenTelemetry's conventions that we add if they are missing, so that other backends group spans alike.
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/session/
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/user/
OTEL_SESSION_ID: Final = "session.id"
OTEL_CONVERSATION_ID: Final = "gen_ai.conversation.id"
OTEL_USER_ID: Final = "user.id"
OTEL_IDS: Final = (OTEL_SESSION_ID, OTEL_CONVERSATION_ID, OTEL_USER_ID)
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
REQUEST_HEADER_PREFIX: Final = "http.request.header."

# Limits in bytes of UTF-8, in levels and in properties. Helicone documents no limits. But Node and Cloudflare allow
# 16 KiB for *all* headers of a request, and percent-encoding makes three bytes of one.
MAX_TEXT: Final = 256
MAX_PATH: Final = 512
MAX_SEGMENT: Final = 96
MAX_DEPTH: Final = 16
MAX_PROPERTIES: Final = 16
# Of the values of all properties of a session, percent-encoded.
MAX_PROPERTIES_SIZE: Final = MAX_PROPERTIES * MAX_TEXT

# The limit of texts that are not in wire form.
_MAX_VALID_TEXT: Final = 1024

# A path with this many segments is always within the limit, however long the segments are.
SURELY_SHORT = MAX_PATH // (MAX_SEGMENT + 1)

# Ids of rows are UUIDv5, so that a row that is sent twice is one row. Helicone replaces ids of versions above 5. They
# are made from two kinds of names, each with a namespace of its own.
# The name is the trace id and the span id of a call, in hex.
NAMESPACE: Final = uuid.UUID("c48d0953-a864-57a6-8a83-c99d75b28a03")
# The name is a `helicone.request.id` that the user set and that is not a UUID.
NAMESPACE_OF_USER_IDS: Final = uuid.UUID("6a1c3b6e-0f5b-5c51-9d43-0a5d1a3f7c11")

# The control characters of ASCII and Latin-1. A NUL or a line break would end a header, or the connection.
_CONTROLS: Final = r"[\x00-\x1f\x7f-\x9f]"
# Helicone's page of a session decodes its address once more than the list has encoded it. An id with a `%` is not
# found there, and a name with one may be an error. This character, U+FF05, looks the same.
FULLWIDTH_PERCENT: Final = "\uff05"
_NOT_ASCII: Final = r"[^\x00-\x7f]+"
_ESCAPES: Final = r"(?:%[89A-F][0-9A-F])+"

# A header name is a token: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
_HEADER_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}\Z"
# Helicone accepts a caller's id for a row only in this form, and else makes an id of its own.
# Both cases are spelled out, because ignoring case takes twice as long.
ROW_ID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"


def wire_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the wire form of a text in any language.

    Control characters are removed, then outer blanks. A lone surrogate becomes `?`. `%` becomes `％` (U+FF05), so
    that `50%` and `50％` are the same.

    Args:
        text: The text.
        limit: The maximum length in bytes of UTF-8. No character is cut in half.
    """
    text = text.strip()
    if text.isascii() and text.isprintable() and "%" not in text:  # the usual case
        return text if len(text) <= limit else text[:limit].rstrip()
    text = re.sub(_CONTROLS, "", text).replace("%", FULLWIDTH_PERCENT).strip()
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore").rstrip()


def is_blank(text: str) -> bool:
    """Tell whether nothing of a text is left in its wire form."""
    return not text.strip() or not (text.isprintable() or wire_text(text))


def wire_segment(text: str) -> str:
    """Return the wire form of one segment of a path, with blanks and `/` as `_`. It may be empty.

    Helicone splits a path at every `/` and decodes nothing, so a segment cannot contain one.
    """
    text = wire_text(text, MAX_SEGMENT)
    if text.isascii():
        return text.replace(" ", "_").replace("/", "_")
    return re.sub(r"[\s/]", "_", text)


@lru_cache(maxsize=256)
def percent_encoded(text: str) -> str:
    """Return a wire form as ASCII: each byte of a character that is not ASCII becomes `%XX`."""
    return re.sub(_NOT_ASCII, lambda run: "%" + run[0].encode().hex("%").upper(), text)


def percent_decoded(text: str) -> str:
    """Return the text of which `percent_encoded` made this; any other text as it is."""
    if "%" not in text:
        return text
    try:
        decoded = re.sub(_ESCAPES, lambda run: bytes.fromhex(run[0].replace("%", "")).decode(), text)
    except UnicodeDecodeError:
        return text
    return text if "%" in decoded else decoded


def header_text(value: object) -> str:
    """Return the name or the value of a header as text: read as UTF-8, and if it is not, as Latin-1."""
    if isinstance(value, bytes):
        return _read(value)
    if not isinstance(value, str) or value.isascii():
        return str(value)
    try:
        # Most servers, and `http.client`, have one character for each byte. Others have read UTF-8 already.
        return _read(value.encode("latin-1") if max(value) <= "\xff" else value.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return value


def _read(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def valid_text(text: str) -> str:
    """Return a text that UTF-8 can encode, at most 1,024 characters long.

    Because of one lone surrogate, OTLP's encoder would lose the whole batch.
    """
    return text[:_MAX_VALID_TEXT].encode("utf-8", "replace").decode()


def first_text(attributes: Mapping[str, object], keys: Iterable[str]) -> str | None:
    """Return the first attribute that is a text or a whole number, as text; `None` if there is none.

    Blank texts do not count. A list of one value counts as that value.
    """
    for key in keys:
        value = attributes.get(key)
        # OpenTelemetry captures HTTP headers as lists of strings.
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and not is_blank(value):
            return value
    return None


def is_property_name(name: str) -> bool:
    """Tell whether `Helicone-Property-<name>` is a header name that HTTP allows."""
    return re.match(_HEADER_NAME, name) is not None


def is_row_id(text: str) -> bool:
    """Tell whether Helicone uses `Helicone-Request-Id: <text>` as the id of the request's row."""
    return re.match(ROW_ID, text) is not None


def row_id_of(text: str) -> str:
    """Return the row id for a `helicone.request.id`: a UUID as it is, a UUIDv5 of any other text, empty if blank."""
    if is_row_id(text):
        return text
    return str(uuid.uuid5(NAMESPACE_OF_USER_IDS, text.encode("utf-8", "replace").decode())) if text.strip() else ""


def row_id_in(headers: Mapping[str, str]) -> str | None:
    """Return the id of the row of a request with these headers, or `None` if Helicone makes the id."""
    row_id = headers.get(REQUEST_ID_HEADER)
    return row_id.lower() if row_id is not None and is_row_id(row_id) else None


def bounded(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path's outermost segments, at most 16 levels and 512 bytes of UTF-8 of them."""
    if len(segments) <= SURELY_SHORT:
        return segments
    segments = segments[:MAX_DEPTH]
    while sum(len(segment.encode()) + 1 for segment in segments) > MAX_PATH:
        segments = segments[:-1]
    return segments
