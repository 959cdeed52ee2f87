"""Dialects that users write in TOML or JSON files, read into `Dialect` and `Row`.

    [[dialect]]
    name = "acme"
    scopes = ["acme.agents"]
    session_ids = ["acme.conversation"]

    [[dialect.rows]]
    kind = "tool"
    attribute = "acme.type"
    values = ["tool_call"]
    named_by = ["acme.tool"]

The keys are the fields of `Dialect` and `Row`, and the type of a field decides which values it accepts.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_type_hints

from ..wire import KINDS, Kind
from .dialects import DIALECTS
from .schema import Dialect, Row, SpanKind

_T = TypeVar("_T", Dialect, Row)
_MAX_BYTES: Final = 1024 * 1024
_TOP: Final = "dialect"
_NO_KIND: Final = "none"  # TOML has no null
_SPAN_KINDS: Final = get_args(SpanKind)
# Columns of a dialect that hold for spans of its own scopes only.
_OF_SCOPES: Final = ("plumbing", "class_names", "given_names", "made_up_ids")
# Files from before 0.2 use other names for these columns of a row.
_FORMER_NAMES: Final[Mapping[str, str]] = {"echo": "duplicate", "detached": "not_current"}


def read_dialects(path: Path) -> tuple[Dialect, ...]:
    """Return the dialects of a file.

    Args:
        path: A file in JSON if its name ends in `.json`, else in TOML.

    Raises:
        ValueError: The file cannot be read, or something in it is wrong. The message says what and where.
    """
    try:
        return _dialects(_load(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_dialects(dialects: Iterable[Dialect]) -> None:
    """Check dialects of a user, from a file or from code.

    Raises:
        ValueError: A dialect cannot work. The message says which and why.
    """
    taken = {dialect.name for dialect in DIALECTS}
    for dialect in dialects:
        if not dialect.name.strip() or dialect.name in taken:
            raise ValueError(f"a dialect needs a name of its own, but {dialect.name!r:.60} is blank or already taken")
        taken.add(dialect.name)
        _check_plumbing(dialect)
        for number, row in enumerate((*dialect.rows, *dialect.guesses), start=1):
            # A row without scopes and attribute would have to be compared with the name of every span of the app.
            if not dialect.scopes and not row.attribute:
                raise ValueError(f"{dialect.name}, row {number}: the row needs an attribute, or the dialect scopes")


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"the file is larger than {_MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from error
    tables = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    if not isinstance(tables, dict):
        raise ValueError("expected an object")  # noqa: TRY004  # about a file, as all other errors here
    return tables


def _dialects(tables: dict[str, Any]) -> tuple[Dialect, ...]:
    if unknown := tables.keys() - {_TOP}:
        raise ValueError(f"unknown key {min(unknown)!r:.60}; the file may only hold [[{_TOP}]] tables")
    if not isinstance(tables.get(_TOP), list):
        raise ValueError(f"expected [[{_TOP}]] tables")  # noqa: TRY004
    return tuple(_from_table(Dialect, table, f"{_TOP} {number}") for number, table in enumerate(tables[_TOP], start=1))


def _from_table(schema: type[_T], table: object, where: str) -> _T:
    """Return a table as a `Dialect` or a `Row`, with each value checked against the type of its field."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table, got {table!r:.60}")  # noqa: TRY004
    where = f"{where} ({table['name']})" if isinstance(table.get("name"), str) else where
    types = get_type_hints(schema)
    values = {}
    for key, value in table.items():
        field = _FORMER_NAMES.get(key, key)
        if field in values:
            raise ValueError(f"{where}: {field} is there twice, once by its former name")
        if field not in types:
            close = get_close_matches(field, types, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(types)}"
            raise ValueError(f"{where}: unknown key {field!r:.60}; {hint}")
        field_type = next(each for each in _FIELD_TYPES if each.type == types[field])
        try:
            values[field] = field_type.read(value)
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
    return tuple(_checked(_from_table(Row, table, f"row {number}")) for number, table in enumerate(value, start=1))


def _checked(row: Row) -> Row:
    for template in (*row.names, *row.templates):
        if template.count("*") > 1:
            raise ValueError(f"a name may contain one *, not several: {template!r:.60}")
    _check_expression("matching", row.matching)
    return row


def _check_plumbing(dialect: Dialect) -> None:
    for field in _OF_SCOPES:
        value = getattr(dialect, field)
        if value and not dialect.scopes:
            raise ValueError(
                f"{dialect.name}: {field}: the dialect needs scopes, because these hold for its scopes only"
            )
    for field in ("plumbing", "class_names"):
        _check_expression(f"{dialect.name}: {field}", getattr(dialect, field))


def _check_expression(field: str, expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"{field}: {expression!r:.60} is no regular expression: {error}") from error


class _FieldType(NamedTuple):
    """A type of fields, and the function that checks and converts a value for it."""

    type: Any
    read: Callable[[object], Any]


_FIELD_TYPES: Final = (
    _FieldType(str, _text),
    _FieldType(bool, _boolean),
    _FieldType(tuple[str, ...], _texts),
    _FieldType(frozenset[str], lambda value: frozenset(text.lower() for text in _texts(value))),
    _FieldType(tuple[SpanKind, ...], _span_kinds),
    _FieldType(Kind | None, _kind),
    _FieldType(tuple[Row, ...], _rows),
)
