"""What a suspended generator holds: its position, the variables that can still be read, and its stack."""

from __future__ import annotations

import functools
import gc
from operator import is_
from types import CellType, CodeType, GeneratorType
from typing import Any, NamedTuple

from sim.explore.liveness import live_after


class Frame(NamedTuple):
    """What a generator's frame holds, as long as it does not move."""

    generator: GeneratorType[Any, Any, Any]  # kept, lest its id be used again
    position: Any
    holds: list[Any]


def frame_of(value: GeneratorType[Any, Any, Any]) -> Frame:
    """Look into a generator that waits, or has ended."""
    frame = value.gi_frame
    if frame is None:
        return Frame(value, "ended", [])
    code, bound, at = value.gi_code, frame.f_locals, frame.f_lasti
    live = _live(code)[at]
    held = gc.get_referents(value)  # the frame's variables in the order of the code's, then its stack
    names = [name for name in _variables(code) if name in bound]
    first = _place([bound[name] for name in names], held)
    kept = [held[first + place] for place, name in enumerate(names) if name in live]
    position = (code.co_qualname, code.co_firstlineno, at, *(name for name in names if name in live))
    return Frame(value, position, [*kept, *held[first + len(names) :]])


@functools.cache
def _variables(code: CodeType) -> tuple[str, ...]:
    """The names of a frame's variables, in the order in which it keeps them."""
    cells = tuple(name for name in code.co_cellvars if name not in code.co_varnames)
    return code.co_varnames + cells + code.co_freevars


@functools.cache
def _live(code: CodeType) -> dict[int, frozenset[str]]:
    """The variables that can still be read, by the position at which a generator waits."""
    shared = frozenset(code.co_cellvars + code.co_freevars)  # others may read these
    return {at: names | shared for at, names in live_after(code).items()}


def _place(values: list[Any], held: list[Any]) -> int:
    """Where in *held* these values stand, one after the other; the contents of a cell stand for it."""
    for first in range(len(held) - len(values) + 1):
        if all(map(is_, values, held[first:])):
            return first
        for at, value in enumerate(values, first):
            part = held[at]
            if part is not value and not (type(part) is CellType and part.cell_contents is value):
                break
        else:
            return first
    raise TypeError("the variables of a generator are not among what it refers to")
