"""Planted bugs: single departures from the kernel, each of which a litmus program must find.

A plant is an edit of the source of one or two kernel procedures: the old line must be there, or the plant is
refused, so that a plant can't silently stop planting anything.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from sim.errors import InputError, ModelError, closest
from sim.hardware import steps


class Edit(NamedTuple):
    """In *target* (``module:function`` or ``module:Class.method`` below ``sim.kernel``), *old* becomes *new*."""

    target: str
    old: str
    new: str


class Plant(NamedTuple):
    """A planted bug.

    Attributes:
        breaks: the invariant that it breaks.
        litmus, profile, memory: where it is found.
        says: what is wrong, in a sentence.
        runs: PCT finds it within this many runs (seed 1, depth 3).
    """

    name: str
    breaks: str
    litmus: str
    profile: str
    says: str
    edits: tuple[Edit, ...]
    memory: str = "sc"
    runs: int = 4000


def plants() -> tuple[Plant, ...]:
    """All planted bugs, in the order of the catalogue."""
    from sim.explore.plants.catalogue import CATALOGUE

    return CATALOGUE


def find(name: str) -> Plant:
    """Return a planted bug by name; InputError if there is none."""
    by_name = {plant.name: plant for plant in plants()}
    if name not in by_name:
        raise InputError(f"no planted bug '{name}'{closest(name, by_name)} (svs-sim check --list-plants shows them)")
    return by_name[name]


@contextmanager
def planted(plant: Plant | None) -> Iterator[None]:
    """Run the body with the bug in the kernel; None plants nothing."""
    undo: list[Callable[[], None]] = []
    edits: dict[str, list[Edit]] = {}
    for edit in plant.edits if plant else ():
        edits.setdefault(edit.target, []).append(edit)
    try:
        for target, changes in edits.items():
            undo += _apply(target, changes)
        yield
    finally:
        for action in reversed(undo):
            action()


def _apply(target: str, edits: list[Edit]) -> list[Callable[[], None]]:
    """Replace the procedure wherever the kernel refers to it; return what undoes it."""
    module_name, _, path = target.partition(":")
    module = import_module(f"sim.kernel.{module_name}")
    holder: Any = module
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    original = holder.__dict__[name]
    source = textwrap.dedent(inspect.getsource(original))
    for edit in edits:
        if edit.old not in source:
            raise ModelError(f"planted bug: '{edit.old}' is not in {target}")
        source = source.replace(edit.old, edit.new)
    made: dict[str, Any] = {}
    exec(compile(source, f"<planted {target}>", "exec"), {**vars(steps), **vars(module)}, made)
    changed = made[name]
    if outer:
        return [_set(holder, name, original, changed)]
    return [
        _set(other, name, original, changed)
        for key, other in sorted(sys.modules.items())
        if key.startswith("sim.") and vars(other).get(name) is original
    ]


def _set(holder: Any, name: str, original: Any, changed: Any) -> Callable[[], None]:
    """Set an attribute; return what sets it back."""
    setattr(holder, name, changed)
    return lambda: setattr(holder, name, original)
