"""Values are dataclasses to everybody, although no dataclass is made of them until somebody asks."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from typing import Any, ClassVar

import pytest

from helicone_otel.values import Value


class _Point(Value):
    """A value of a class of its own, so that no other test has asked for its fields."""

    x: int
    y: int
    secret: str = field(repr=False)
    total: int = field(init=False, compare=False)

    _compared: ClassVar = ("x", "y", "secret")
    _hashed: ClassVar = _compared
    _printed: ClassVar = ("x", "y")

    def __init__(self, x: int, y: int = 0, secret: str = "") -> None:
        vars(self).update(x=x, y=y, secret=secret, total=x + y)


def test_the_fields_are_those_that_a_dataclass_would_have() -> None:
    found = [(each.name, each.type, each.init, each.repr, each.compare) for each in dataclasses.fields(_Point)]
    assert found == [
        ("x", "int", True, True, True),
        ("y", "int", True, True, True),
        ("secret", "str", True, False, True),
        ("total", "int", False, True, False),
    ]
    assert dataclasses.is_dataclass(_Point)
    assert dataclasses.is_dataclass(_Point(1))


def test_a_subclass_has_the_fields_of_the_class_that_it_inherits_from() -> None:
    class Far(_Point):
        """A class that an app makes of a value's."""

    assert dataclasses.fields(Far) == dataclasses.fields(_Point)
    assert dataclasses.replace(Far(1, 2), y=3) == Far(1, 3)


def test_a_value_can_be_matched_by_its_fields() -> None:
    match _Point(1, 2):
        case _Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("not matched")


def test_a_dataclass_may_inherit_from_a_value() -> None:
    @dataclasses.dataclass(init=False, repr=False, eq=False)
    class Near(_Point):
        z: int = 3

    assert [each.name for each in dataclasses.fields(Near)] == ["x", "y", "secret", "total", "z"]
    assert (Near(1, 2).z, Near(1, 2) == Near(1, 2)) == (3, True)


def test_a_value_can_be_changed_into_another_one_and_shown_as_a_dict() -> None:
    point = _Point(1, 2, "s")
    assert dataclasses.replace(point, y=3) == _Point(1, 3, "s")
    assert point.__replace__(y=3) == _Point(1, 3, "s")  # what `copy.replace` calls
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "secret": "s", "total": 3}
    assert repr(point) == "_Point(x=1, y=2)"
    with pytest.raises(ValueError, match="total"):
        dataclasses.replace(point, total=4)


def test_threads_that_ask_first_at_the_same_time_get_the_same_fields() -> None:
    for _ in range(50):
        annotations = {"x": "int", "secret": "str", "total": "int"}
        specifiers = {"secret": field(repr=False), "total": field(init=False)}
        fresh = type(
            "Fresh",
            (Value,),
            {"__annotations__": annotations, "__module__": __name__, "_compared": ("x",)} | specifiers,
        )
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(_asked, [fresh] * 4))
        assert found == [[("x", True, True), ("secret", True, False), ("total", False, True)]] * 4


def _asked(fresh: Any) -> list[tuple[str, bool, bool]]:
    return [(each.name, each.init, each.repr) for each in dataclasses.fields(fresh)]


def test_an_import_of_the_library_makes_no_dataclass() -> None:
    """In a fresh interpreter, because other tests have asked."""
    code = """
from helicone_otel import Session, SessionPath, Settings
assert [vars(each).get("__dataclass_fields__") for each in (Session, SessionPath, Settings)] == [None] * 3
"""
    subprocess.run([sys.executable, "-c", code], check=True)
