"""The dialects as statements of OTTL, the language of the Collector's processors.

One source for both: what this library does with a span while it lives, a collector does with spans of
services that run without it, as far as one span by itself shows it.
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .. import wire as _wire
from ..spans.schema import Dialect, Row

# What `str.strip` takes off, as a class of RE2 (https://github.com/google/re2/wiki/Syntax).
BLANK: Final = r"\t-\r\x1c-\x1f\x{85}\p{Z}"
# A kind that stops the search and is not written.
_PLUMBING: Final = "none"


def kind_statements(dialects: Iterable[Dialect]) -> list[str]:
    """Return statements that put a span's kind into `span.cache["kind"]`, the first row that fits deciding.

    Only rows that hold for every instrumentation scope and hang on an attribute: which scopes there
    are in other languages no table says.
    """
    shared = [dialect for dialect in dialects if not dialect.scopes]
    ranked = sorted(shared, key=lambda dialect: not dialect.foremost)
    rows = [row for dialect in ranked for row in dialect.rows] + [row for dialect in ranked for row in dialect.guesses]
    return [
        _set("kind", quoted(row.kind or _PLUMBING), _fits(row))
        for row in rows
        if row.attribute and not row.names and not row.span_kinds
    ]


def first_statements(cached: str, names: Iterable[str], configured: Sequence[str] = ()) -> list[str]:
    """Return statements that put the first text or whole number among attributes into the cache.

    Args:
        cached: Under which key.
        names: Of the attributes, the best first.
        configured: Those of them that the user named, which may be lists of one: captured HTTP headers are.
    """
    return [statement for name in names for statement in _first(cached, name, name in configured)]


def wire_statements(attribute: str, limit: int = _wire.MAX_TEXT) -> list[str]:
    """Return statements that bring an attribute into its wire form: what `_wire.wire_text` does.

    OTTL encodes no single characters, so the whole text is written in hexadecimal digits, JSON's parser
    brings back what is printable, and the bytes of all else stand behind marks until the text is cut.
    """
    target, wire, parsed = key(attribute), cache("wire"), cache("parsed")
    return [
        replaced(target, f"^[{BLANK}]+|[{BLANK}]+$", ""),
        # Whatever lies beyond is cut in the end anyway, and need not be encoded before.
        replaced(target, f"(?s)^(.{{{limit}}}).+$", "$1"),
        f"set({wire}, ToUpperCase(Hex({target})))",
        replaced(wire, "(..)", "$1 "),
        # Printable ASCII; bytes that go on with a character; bytes that begin one.
        replaced(wire, "([2-6][0-9A-F]|7[0-9A-E]) ", r"\u00$1"),
        replaced(wire, "([89AB][0-9A-F]) ", r"\u0002$1"),
        replaced(wire, "([0-9A-F]{2}) ", r"\u0001$1"),
        f'set({parsed}, ParseJSON(Concat(["[\\"", {wire}, "\\"]"], "")))',
        f"set({target}, {parsed}[0])",
        replaced(target, f"(?s)^(.{{{limit}}}).+$", "$1"),
        # A character is never cut in half.
        replaced(target, _CUT_CHARACTER, ""),
        replaced(target, r"[\x01\x02]", "%"),
        replaced(target, " +$", ""),
    ]


# What may be left of a character's marked bytes at the end of a text that was cut.
_CUT_CHARACTER: Final = r"\x01(?:.?|[CD].(?:\x02.?)?|E.(?:\x02..)?(?:\x02.?)?|F.(?:\x02..){0,2}(?:\x02.?)?)$"


def wire_condition(attribute: str, limit: int = _wire.MAX_TEXT) -> str:
    """Return a condition that holds where an attribute is not in wire form yet."""
    return f'{key(attribute)} != nil and not IsMatch({key(attribute)}, "^[!-~](?:[ -~]{{0,{limit - 2}}}[!-~])?$$")'


def model_statements(cached: str, dialects: Iterable[Dialect]) -> list[str]:
    """Return statements that put a span's model into the cache."""
    names = dict.fromkeys(name for dialect in dialects for name in dialect.models)
    return first_statements(cached, names)


def key(attribute: str) -> str:
    """Return the path of a span's attribute."""
    return f"span.attributes[{quoted(attribute)}]"


def cache(name: str) -> str:
    """Return the path of a value that lives as long as a group of statements looks at one span."""
    return f"span.cache[{quoted(name)}]"


def quoted(text: str) -> str:
    """Return a text as a literal. The Collector's own expansion of variables takes `$$` for `$`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'


def replaced(target: str, pattern: str, replacement: str) -> str:
    """Return a statement that replaces all that a regular expression matches."""
    return f"replace_pattern({target}, {quoted(pattern)}, {quoted(replacement)})"


def _first(cached: str, name: str, may_be_list: bool) -> Iterator[str]:
    yield _set(cached, key(name), _is_usable(key(name)))
    if may_be_list:
        only = f"{key(name)}[0]"
        yield _set(cached, only, f"IsList({key(name)}) and Len({key(name)}) == 1 and {_is_usable(only)}")


def _is_usable(path: str) -> str:
    return f"(IsInt({path}) or (IsString({path}) and IsMatch({path}, {quoted(f'[^{BLANK}]')})))"


def _set(cached: str, value: str, condition: str) -> str:
    return f"set({cache(cached)}, {value}) where {cache(cached)} == nil and {condition}"


def _fits(row: Row) -> str:
    there = f"{key(row.attribute)} != nil"
    if row.values:
        words = "|".join(re.escape(value) for value in sorted(row.values))
        there = f"IsMatch({key(row.attribute)}, {quoted(f'(?i)^(?:{words})$')})"
    if row.matching:
        # Python's end of a text is spelled otherwise in RE2.
        matching = row.matching.replace(r"\Z", r"\z")
        there += f" and IsString({key(row.attribute)}) and IsMatch({key(row.attribute)}, {quoted(matching)})"
    return there
