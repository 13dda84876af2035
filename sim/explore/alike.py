"""Designs so much alike that most programs never meet what they differ in: one exploration speaks for both.

What differs is taken away from the design that stands for both, and whoever looks at it ends the exploration with
:class:`sim.explore.model.Differs`.  So what is found of the two is found without knowing which of them it was.
"""

from __future__ import annotations

from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

from sim.explore.model import Differs
from sim.kernel.designs import make_design
from sim.kernel.designs.base import Design

_LACKING: dict[tuple[type, tuple[str, ...]], type] = {}


def alike(profile: str, other: str) -> bool:
    """Whether two profiles' designs differ in nothing but their names and in data about their revisions."""
    one, two = make_design(profile), make_design(other)
    return type(one) is type(two) and _differing(one, two) == ["name"]


def stand_for(design: Design, profile: str, pcid: bool) -> None:
    """Have a fresh design stand for another profile's as well; *pcid*: whether the machine has it."""
    other = make_design(profile, pcid)
    for name, mine in vars(design).items():
        theirs = vars(other)[name]
        if is_dataclass(mine) and mine != theirs:
            differ = [each.name for each in fields(mine) if getattr(mine, each.name) != getattr(theirs, each.name)]
            vars(design)[name] = _without(copy(mine), differ)
    _without(design, _differing(design, other))


def _differing(one: Design, other: Design) -> list[str]:
    """Names of the attributes in which two designs of a class differ, but for records, which both have."""
    mine, theirs = vars(one), vars(other)
    return [name for name in mine if not is_dataclass(mine[name]) and not _same(mine[name], theirs.get(name))]


def _same(one: object, other: object) -> bool:
    """Whether two values are equal, or objects of one class with equal fields."""
    if type(one) is not type(other) or one == other:
        return one == other
    mine, theirs = getattr(one, "__dict__", {}), getattr(other, "__dict__", {})
    return bool(mine) and mine.keys() == theirs.keys() and all(_same(mine[name], theirs[name]) for name in mine)


def _without(holder: Any, names: list[str]) -> Any:
    """Take attributes from an object; returns it."""
    object.__setattr__(holder, "__class__", _lacking(type(holder), tuple(names)))
    return holder


def _lacking(kind: type, names: tuple[str, ...]) -> type:
    """A class as *kind* whose objects cannot be asked for these attributes, always the same."""
    found = _LACKING.get((kind, names))
    if found is None:

        def look(_holder: Any) -> Any:
            raise Differs(f"{kind.__name__}: one of {', '.join(names)}")

        hidden = dict.fromkeys(names, property(look))
        found = _LACKING[kind, names] = type(kind.__name__, (kind,), {"__slots__": (), **hidden})
    return found
