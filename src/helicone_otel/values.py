"""Immutable values, as frozen dataclasses are, without what making a dataclass costs an app's start."""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, field, replace
from typing import Any, ClassVar, Final, NoReturn, Self, cast, dataclass_transform

# What `dataclass` reads of a class, beside the fields that are described by `field()`.
_READ: Final = frozenset({"__annotations__", "__module__", "__doc__"})


class _Fields:
    """The fields of a class, as `dataclasses` keeps them. Made when they are asked for first: most apps never ask."""

    def __get__(self, instance: object, owner: type) -> dict[str, Field[Any]]:
        if owner is Value:
            raise AttributeError
        # A class that inherits from a value's has the same fields, as with dataclasses.
        value_class = next(each for each in owner.__mro__ if Value in each.__bases__)
        # A copy is read, because `dataclass` removes what it has read, and another thread may need it, too.
        namespace = vars(value_class).items()
        read = {name: item for name, item in namespace if name in _READ or isinstance(item, Field)}
        copy: Any = dataclass(init=False, repr=False, eq=False)(type(value_class.__name__, (), read))
        fields: dict[str, Field[Any]] = copy.__dataclass_fields__
        # A dataclass that inherits from it reads them.
        type.__setattr__(value_class, "__dataclass_params__", copy.__dataclass_params__)
        type.__setattr__(value_class, "__dataclass_fields__", fields)
        return fields


@dataclass_transform(eq_default=True, frozen_default=True, field_specifiers=(field,))
class Value:
    """An immutable value: equal to another one with the same fields, hashable, printed with its fields.

    A frozen dataclass is the same, but takes 0.7 to 2 ms at import to generate its methods, and some of that to find
    its fields. Here the methods are written out, and the fields are found when they are needed: the classes that
    inherit from this one are still dataclasses to `dataclasses.replace()`, `fields()` and `asdict()`, and to `match`.
    Fields have no defaults: only `__init__` does.

    Attributes:
        _compared: The fields that make two values equal.
        _hashed: Those of them that can be hashed.
        _printed: The fields that `repr` shows: no secrets.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]] = cast("Any", _Fields())
    _compared: ClassVar[tuple[str, ...]]
    _hashed: ClassVar[tuple[str, ...]]
    _printed: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        type.__setattr__(cls, "__match_args__", cls._compared)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        ours, theirs = vars(self), vars(other)
        return all(ours[name] == theirs[name] for name in self._compared)

    def __hash__(self) -> int:
        return hash(tuple(vars(self)[name] for name in self._hashed))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={vars(self)[name]!r}" for name in self._printed)
        return f"{type(self).__qualname__}({fields})"

    def __replace__(self, /, **changes: Any) -> Self:
        return replace(self, **changes)
