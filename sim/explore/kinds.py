"""What objects of builtin kinds, and of classes derived from containers, hold; and of which not all can be seen."""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import partial
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, ModuleType
from typing import Any

from sim.explore.fields import slots_of
from sim.explore.reached import Unknown, shape

_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()), range(1),
)  # fmt: skip
ITERATORS = tuple(map(type, _EXAMPLES))  # what says how far it has come when it is copied
BUILTIN_FUNCTIONS = (BuiltinFunctionType, BuiltinMethodType)
_CONTAINERS = (list, dict, set, frozenset, deque, tuple)
# Slots, dictionary and items are all that these have, though their size does not say so.
_WHOLE = (partial, OrderedDict)
# What a class derived from a container may replace, so that it shows other items than it has.
_SHOWS = ("__bool__", "__len__", "__iter__", "items", "values")


class _Derived(tuple[Any, ...]):
    """A tuple with a dictionary: no class derived from tuple can have more."""


def must_be_seen(kind: type) -> None:
    """TypeError if an object of this class has parts that cannot be seen."""
    try:
        if kind not in _WHOLE and not (issubclass(kind, tuple) and kind.__basicsize__ <= _Derived.__basicsize__):
            shape(kind)
    except Unknown as unknown:
        raise TypeError(f"a state holds what cannot be compared: {unknown}") from None


def container_of(kind: type) -> type | None:
    """The builtin container that a class derives from, if any."""
    return next((base for base in kind.__mro__ if base in _CONTAINERS), None)


def shows(kind: type, container: type) -> bool:
    """Whether objects of a class derived from a container show the items that they have."""
    return all(getattr(kind, name, None) is getattr(container, name, None) for name in _SHOWS)


def items_of(value: Any, container: Any) -> Any:
    """The items of an object, in the builtin container that its class derives from."""
    if isinstance(value, OrderedDict):
        return dict(OrderedDict.items(value))
    if container is dict:
        return dict(dict.items(value))
    items = container.__iter__(value)
    return deque(items, value.maxlen) if container is deque else container(items)


def parts_of(value: FunctionType) -> tuple[Any, ...]:
    """What a function holds besides its code: what it closes over, its defaults, and attributes that it was given."""
    return value.__closure__, value.__defaults__, value.__kwdefaults__, vars(value) or None


def owner_of(value: Any) -> Any:
    """The object of a builtin method; None for a function of a module."""
    return None if isinstance(value.__self__, ModuleType) else value.__self__


def has_only(kind: type, names: set[str], left_out: set[str]) -> bool:
    """Whether the objects of a class have these slots, others that are *left out*, and nothing else."""
    return not kind.__dictoffset__ and slots_of(kind).keys() - left_out == names


def name_of(kind: type) -> tuple[str, str]:
    """What tells a class from others, those of other modules with the same name included."""
    return kind.__module__, kind.__qualname__
