"""Dialects that users write: tables in a TOML or JSON file, read into the same rows as ours.

    [[dialect]]
    name = "acme"
    scopes = ["acme.agents"]
    session_ids = ["acme.conversation"]

    [[dialect.rows]]
    kind = "tool"
    attribute = "acme.type"
    values = ["tool_call"]
    named_by = ["acme.tool"]

The fields are those of `Dialect` and `Row`, and what may stand in one follows from its type there.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_type_hints

from .dialects import DIALECTS
from .schema import KINDS, Dialect, Kind, Row, SpanKind

_T = TypeVar("_T", Dialect, Row)
_MAX_BYTES: Final = 1024 * 1024
_TOP: Final = "dialect"
_NO_KIND: Final = "none"  # TOML has no null
_SPAN_KINDS: Final = get_args(SpanKind)
# Files from before 0.2 spell these columns of a row in another way.
_FORMER_NAMES: Final[Mapping[str, str]] = {"echo": "duplicate", "detached": "not_current"}


def read_dialects(path: Path) -> tuple[Dialect, ...]:
    """Return the dialects of a file.

    Raises:
        ValueError: The file cannot be read, or something in it is wrong; the message says what and where.
    """
    try:
        return _dialects(_load(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_dialects(dialects: Iterable[Dialect]) -> None:
    """Check dialects of the user's, wherever they come from.

    Raises:
        ValueError: One could not work; the message says which and why.
    """
    taken = {dialect.name for dialect in DIALECTS}
    for dialect in dialects:
        if not dialect.name.strip() or dialect.name in taken:
            raise ValueError(f"a dialect needs a name of its own, and {dialect.name!r:.60} is taken or blank")
        taken.add(dialect.name)
        for number, row in enumerate((*dialect.rows, *dialect.guesses), start=1):
            # Spans of unknown scopes are looked up by their attributes; by their names it would cost every span.
            if not dialect.scopes and not row.attribute:
                raise ValueError(f"{dialect.name}, row {number} needs an attribute, or the dialect needs scopes")


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from error
    tables = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    if not isinstance(tables, dict):
        raise ValueError("expected an object")  # noqa: TRY004  # about a file, as all other errors here
    return tables


def _dialects(tables: dict[str, Any]) -> tuple[Dialect, ...]:
    if unknown := tables.keys() - {_TOP}:
        raise ValueError(f"there is no {min(unknown)!r:.60} here, only [[{_TOP}]]")
    if not isinstance(tables.get(_TOP), list):
        raise ValueError(f"expected [[{_TOP}]] tables")  # noqa: TRY004
    return tuple(_record(Dialect, table, f"{_TOP} {number}") for number, table in enumerate(tables[_TOP], start=1))


def _record(schema: type[_T], table: object, where: str) -> _T:
    """Return a table as a `Dialect` or a `Row`, each field read as its type there says."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table, got {table!r:.60}")  # noqa: TRY004
    where = f"{where} ({table['name']})" if isinstance(table.get("name"), str) else where
    types = get_type_hints(schema)
    values = {}
    for spelled, value in table.items():
        field = _FORMER_NAMES.get(spelled, spelled)
        if field not in types:
            close = get_close_matches(field, types, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(types)}"
            raise ValueError(f"{where}: there is no {field!r:.60}{hint}")
        reader = next(reader for reader in _READERS if reader.type == types[field])
        try:
            values[field] = reader.read(value)
        except ValueError as error:
            raise ValueError(f"{where}: {field}: {error}") from error
    if missing := [field for field in schema._fields if field not in values and field not in schema._field_defaults]:
        raise ValueError(f"{where}: {missing[0]} is missing")
    return schema(**values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r:.60}")  # noqa: TRY004
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r:.60}")  # noqa: TRY004
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ValueError(f"expected a list of texts, got {value!r:.60}")
    return tuple(value)


def _span_kinds(value: object) -> tuple[str, ...]:
    if unknown := [kind for kind in _texts(value) if kind not in _SPAN_KINDS]:
        raise ValueError(f"expected some of {', '.join(_SPAN_KINDS)}, got {unknown[0]!r:.60}")
    return _texts(value)


def _kind(value: object) -> str | None:
    if value == _NO_KIND:
        return None
    if not isinstance(value, str) or value not in KINDS:
        raise ValueError(f"expected one of {', '.join(get_args(Kind))} or {_NO_KIND}, got {value!r:.60}")
    return value


def _rows(value: object) -> tuple[Row, ...]:
    if not isinstance(value, list):
        raise ValueError("expected [[dialect.rows]] tables")  # noqa: TRY004
    return tuple(_checked(_record(Row, table, f"row {number}")) for number, table in enumerate(value, start=1))


def _checked(row: Row) -> Row:
    for template in (*row.names, *row.templates):
        if template.count("*") > 1:
            raise ValueError(f"a name has one * at most, not {template!r:.60}")
    try:
        re.compile(row.matching)
    except re.error as error:
        raise ValueError(f"matching: {row.matching!r:.60} is no regular expression: {error}") from error
    return row


class _Reader(NamedTuple):
    """How a field of a type is read."""

    type: Any
    read: Callable[[object], Any]


_READERS: Final = (
    _Reader(str, _text),
    _Reader(bool, _boolean),
    _Reader(tuple[str, ...], _texts),
    _Reader(frozenset[str], lambda value: frozenset(text.lower() for text in _texts(value))),
    _Reader(tuple[SpanKind, ...], _span_kinds),
    _Reader(Kind | None, _kind),
    _Reader(tuple[Row, ...], _rows),
)
