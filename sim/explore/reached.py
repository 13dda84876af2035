"""All objects that others lead to, and what each of them holds.

Nothing can be forgotten: where a class has a part that cannot be seen, memory that its slots, its dictionary and a
builtin container do not account for, :class:`Unknown` says so.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from functools import partial
from operator import length_hint
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

from sim.explore.fields import PLAIN, all_slots, stored
from sim.hardware.sites import Site

# What holds nothing, or the same always, and of which it makes no difference, or none any more, which object it is.
_PLAIN = PLAIN | {float, range, object}
_CONSTANT = (Enum, type, ModuleType, CodeType, FrameType, Site)
_AT_ITS_END = type(iter(()))
_COPIES: dict[type, Callable[[Any], Any]] = {
    list: list.copy,
    dict: dict.copy,
    set: frozenset,
    frozenset: frozenset,
    deque: list,
}
_POINTER = 8  # bytes


class Unknown(Exception):
    """It is not known how to have something again as it is."""


class Shape(NamedTuple):
    """Where the objects of a class keep what they hold: slots, and the builtin container (or ``object``) they are."""

    slots: tuple[MemberDescriptorType, ...]
    container: type


class Held(NamedTuple):
    """What an object holds: in its slots, in its dictionary, and as a container."""

    holder: Any
    kind: type
    slots: Sequence[Any]
    entries: dict[str, Any] | None
    items: Any


_SHAPES: dict[type, Shape] = {}


def shape(kind: type) -> Shape:
    """How the objects of a class are made up; Unknown if there is more of them than can be seen."""
    found = _SHAPES.get(kind)
    if found is not None:
        return found
    container = next(base for base in kind.__mro__ if base in _COPIES or base is object)
    slots = tuple(member for member in all_slots(kind) if member.__name__ != "__dict__")
    if kind is not container:
        own = len(slots) + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0 >= container.__weakrefoffset__)
        if kind.__itemsize__ or kind.__basicsize__ != container.__basicsize__ + own * _POINTER:
            raise Unknown(f"not all of a {kind.__qualname__} can be seen")
    found = _SHAPES[kind] = Shape(slots, container)
    return found


def hold(value: Any) -> Held:
    """What an object holds now."""
    kind = type(value)
    slots, container = shape(kind)
    entries = dict(value.__dict__) if kind.__dictoffset__ else None
    items = _COPIES[container](value) if container is not object else None
    return Held(value, kind, [stored(member, value) for member in slots], entries, items)


def is_constant(value: Any) -> bool:
    """Whether something is the same in all executions, or so plain that it makes no difference which object it is."""
    kind = type(value)
    if kind is FunctionType:
        return vars(sys.modules.get(value.__module__, sys)).get(value.__name__) is value
    return kind in _PLAIN or isinstance(value, _CONSTANT) or kind is _AT_ITS_END and not length_hint(value)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are one object, or cannot be told apart."""
    return one is other or type(one) is type(other) and type(one) in PLAIN and bool(one == other)


def held_always(value: Any) -> Iterable[Any] | None:
    """What is held by something that cannot be given anything else to hold; None if it can."""
    kind = type(value)
    if kind is GeneratorType:
        return gc.get_referents(value)
    if issubclass(kind, (tuple, frozenset)):
        if hasattr(value, "__dict__"):
            raise Unknown(f"a {kind.__qualname__} with more than its items")
        return value  # type: ignore[no-any-return]
    if kind is FunctionType:
        if vars(value):
            raise Unknown("a function with attributes")
        return *(value.__closure__ or ()), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()
    if kind is MethodType:
        return value.__self__, value.__func__
    if kind is BuiltinMethodType:
        return (value.__self__,)
    if kind is partial:
        return value.func, *value.args, *value.keywords.values()
    return None


def leads_to(value: Any) -> Iterable[Any]:
    """All that something which is no constant holds."""
    if type(value) is CellType:
        try:
            return (value.cell_contents,)
        except ValueError:
            raise Unknown("an empty cell") from None
    always = held_always(value)
    if always is not None:
        return always
    held = hold(value)
    items = held.items or ()
    return (*held.slots, *(held.entries or {}).values(), *items, *(items.values() if isinstance(items, dict) else ()))


def reached(roots: Iterable[Any], given: Collection[int] = (), *, through: bool = True) -> dict[int, Any]:
    """All objects that these lead to, *through* generators or not, by id; but not what was *given* (ids)."""
    found: dict[int, Any] = {}
    left = list(roots)
    while left:
        value = left.pop()
        if id(value) in found or id(value) in given or is_constant(value):
            continue
        if through or type(value) is not GeneratorType:
            found[id(value)] = value
            left += leads_to(value)
    return found
