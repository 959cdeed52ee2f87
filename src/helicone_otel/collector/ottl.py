"""The dialects as statements of OTTL, the language of the Collector's transform processor.

The library classifies a span while the span is open. These statements let a collector do the same with spans of
services that run without the library, as far as a single span shows it. Both use the same tables.
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .. import wire
from ..spans.schema import Dialect, Row

# Classes of RE2 (https://github.com/google/re2/wiki/Syntax): control characters, and what `str.strip` removes else.
CONTROL: Final = r"\x00-\x1f\x7f-\x{9f}"
BLANK: Final = r"\p{Z}"
# The kind of plumbing in `span.cache["kind"]`: later rows do not overwrite it, and it is not written on the span.
_PLUMBING: Final = "none"


def kind_statements(dialects: Iterable[Dialect]) -> list[str]:
    """Return statements that put a span's kind into `span.cache["kind"]`. The first row that fits decides.

    Only rows that apply to every instrumentation scope and name an attribute become statements, because no table lists
    the scopes of other languages, or tells which of them are the application's.
    """
    return [_set("kind", quoted(row.kind or _PLUMBING), _fits(row)) for row in _rows(dialects)]


def kind_condition(dialects: Iterable[Dialect]) -> str:
    """Return a condition that is true if a span has one of the attributes that `kind_statements` read."""
    return some(dict.fromkeys(row.attribute for row in _rows(dialects)))


def first_statements(cached: str, names: Iterable[str], configured: Sequence[str] = ()) -> list[str]:
    """Return statements that put the first attribute that is a text or a whole number into the cache.

    Args:
        cached: The key in the cache.
        names: The attributes, the best first.
        configured: Those of the attributes that the user named. They may be lists of one value, as captured HTTP
            headers are.
    """
    return [statement for name in names for statement in _first(cached, name, name in configured)]


def model_statements(cached: str, dialects: Iterable[Dialect]) -> list[str]:
    """Return statements that put a span's model into the cache.

    Args:
        cached: The key in the cache.
        dialects: The dialects whose attributes hold models, in order of precedence.
    """
    return first_statements(cached, _models(dialects))


def model_condition(dialects: Iterable[Dialect]) -> str:
    """Return a condition that is true if a span has one of the attributes that `model_statements` read."""
    return some(_models(dialects))


def wire_statements(attribute: str, limit: int = wire.MAX_TEXT) -> list[str]:
    """Return statements that convert an attribute to its wire form, as `wire.wire_text` does.

    Args:
        attribute: The attribute to convert.
        limit: The maximum length of the text, in bytes of UTF-8.
    """
    target = key(attribute)
    return [
        replaced(target, f"[{CONTROL}]+", ""),
        replaced(target, "%", wire.FULLWIDTH_PERCENT),
        replaced(target, f"^[{BLANK}]+", ""),
        f"set({target}, Substring({target}, 0, {limit}, utf8_safe=true)) where Len({target}) > {limit}",
        replaced(target, f"[{BLANK}]+$", ""),
    ]


def wire_condition(attribute: str, limit: int = wire.MAX_TEXT) -> str:
    """Return a condition that is true if an attribute is set and may not be in wire form.

    Args:
        attribute: The attribute.
        limit: The maximum length of its text, in bytes of UTF-8.
    """
    # ASCII without controls and `%` is the usual case, and needs no statement. At no character does the pattern leave
    # Go's engine a choice, which makes it fast; a pattern with the limit in it is slow.
    pattern = "^[!-$&-~]+(?:[ ]+[!-$&-~]+)*$"
    is_match = f"IsMatch({key(attribute)}, {quoted(pattern)})"
    return f"{key(attribute)} != nil and (not {is_match} or Len(String({key(attribute)})) > {limit})"


def some(attributes: Iterable[str]) -> str:
    """Return a condition that is true if a span has one of the attributes.

    It is for the `conditions` of a group of statements: one test spares most spans all statements of the group.
    """
    return f"Coalesce([{', '.join(map(key, attributes))}]) != nil"


def key(attribute: str) -> str:
    """Return the OTTL path of a span's attribute."""
    return f"span.attributes[{quoted(attribute)}]"


def cache(name: str) -> str:
    """Return the OTTL path of a cached value. It lives while one group of statements handles one span."""
    return f"span.cache[{quoted(name)}]"


def quoted(text: str) -> str:
    """Return a text as an OTTL literal, with `$$` for `$`, because the Collector expands `$` in its configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'


def replaced(target: str, pattern: str, replacement: str) -> str:
    """Return a statement that replaces every match of a regular expression.

    Args:
        target: The OTTL path of the text.
        pattern: A regular expression of RE2.
        replacement: The new text; `$1` stands for the first group.
    """
    return f"replace_pattern({target}, {quoted(pattern)}, {quoted(replacement)})"


def _rows(dialects: Iterable[Dialect]) -> list[Row]:
    shared = [dialect for dialect in dialects if not dialect.scopes]
    ranked = sorted(shared, key=lambda dialect: not dialect.foremost)
    rows = [row for dialect in ranked for row in dialect.rows] + [row for dialect in ranked for row in dialect.guesses]
    return [row for row in rows if row.attribute and not row.names and not row.span_kinds and not row.application]


def _models(dialects: Iterable[Dialect]) -> Iterable[str]:
    return dict.fromkeys(name for dialect in dialects for name in dialect.models)


def _first(cached: str, name: str, may_be_list: bool) -> Iterator[str]:
    # Most attributes are missing, so that comes first: it is one look-up.
    missing = f"{key(name)} != nil and {cache(cached)} == nil"
    yield f"set({cache(cached)}, {key(name)}) where {missing} and {_is_usable(key(name))}"
    if may_be_list:
        only = f"{key(name)}[0]"
        yield (
            f"set({cache(cached)}, {only}) where {missing} and IsList({key(name)}) and Len({key(name)}) == 1 "
            f"and {_is_usable(only)}"
        )


def _is_usable(path: str) -> str:
    # IsInt and IsString make an error object of a value of another type. Most values are texts.
    return f"((IsString({path}) and IsMatch({path}, {quoted(f'[^{CONTROL}{BLANK}]')})) or IsInt({path}))"


def _set(cached: str, value: str, condition: str) -> str:
    return f"set({cache(cached)}, {value}) where {cache(cached)} == nil and {condition}"


def _fits(row: Row) -> str:
    condition = f"{key(row.attribute)} != nil"
    if row.values:
        values = "|".join(re.escape(value) for value in sorted(row.values))
        condition = f"IsMatch({key(row.attribute)}, {quoted(f'(?i)^(?:{values})$')})"
    if row.matching:
        # RE2 writes the end of a text as `\z`, Python as `\Z`.
        matching = row.matching.replace(r"\Z", r"\z")
        condition += f" and IsString({key(row.attribute)}) and IsMatch({key(row.attribute)}, {quoted(matching)})"
    return condition
