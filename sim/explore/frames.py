"""What a suspended generator holds: its position, the variables that can still be read, and its stack."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Sequence
from itertools import compress
from operator import is_, itemgetter, not_
from types import CellType, CodeType, GeneratorType
from typing import Any, NamedTuple

from sim.explore.fields import PLAIN
from sim.explore.liveness import live_after
from sim.explore.marks import MARKS


class Frame(NamedTuple):
    """What a generator's frame holds, as long as it does not move.

    Attributes:
        generator: kept, lest its id be used again.
        said: position and plain values; which of what it holds are plain follows from them.
        objects, ids: what else it holds, and the ids of that.
        inner: the generator that it has handed over to ("yield from").
    """

    generator: GeneratorType[Any, Any, Any]
    said: tuple[Any, ...]
    objects: list[Any]
    ids: list[int]
    inner: GeneratorType[Any, Any, Any] | None

    def is_still(self) -> bool:
        """Whether it certainly has not moved: it goes on when the generator that it has handed over to ends."""
        return self.inner is not None and self.generator.gi_yieldfrom is self.inner


class Shape(NamedTuple):
    """Where, among all that a generator refers to, its variables and its stack stand.

    Attributes:
        code: kept, lest its id be used again.
        position: of the frame, with the names of the variables that can still be read.
        names, places: of the variables that are set, but for those in cells; what fetches them by either.
        kept: the places of all that matters; ``all_kept`` fetches that.
    """

    code: CodeType
    position: tuple[Any, ...]
    names: Callable[[dict[str, Any]], tuple[Any, ...]]
    places: Callable[[list[Any]], tuple[Any, ...]]
    kept: list[int]
    all_kept: Callable[[list[Any]], tuple[Any, ...]]


_SHAPES: dict[tuple[Any, ...], Shape] = {}  # by code, position, what variables are set, and how much is referred to


def frame_of(value: GeneratorType[Any, Any, Any]) -> Frame:
    """Look into a generator that waits, or has ended."""
    frame = value.gi_frame
    if frame is None:
        return Frame(value, ("ended",), [], [], None)
    code, bound, at = value.gi_code, frame.f_locals, frame.f_lasti
    held = gc.get_referents(value)  # the frame's variables in the order of the code's, then its stack
    key = (id(code), at, len(held), *bound)
    shape = _SHAPES.get(key)
    if shape is None or not all(map(is_, shape.names(bound), shape.places(held))):
        shape = _SHAPES[key] = shape_of(code, bound, at, held)
    holds = shape.all_kept(held)
    inner = value.gi_yieldfrom
    if type(inner) is GeneratorType:  # it is on top of the stack, behind which there may be an exception in hand
        top = len(holds) - 1
        while holds[top] is not inner:
            top -= 1
        holds = holds[:top] + holds[top + 1 :]
    else:
        inner = None
    are_plain = bytes(map(PLAIN.__contains__, map(type, holds)))
    objects = list(compress(holds, map(not_, are_plain)))
    said = (*shape.position, are_plain, *compress(holds, are_plain))
    return Frame(value, said, objects, list(map(id, objects)), inner)


def shape_of(code: CodeType, bound: dict[str, Any], at: int, held: list[Any]) -> Shape:
    """Find the variables among all that is referred to."""
    live = _live(code)[at]
    names = [name for name in _variables(code) if name in bound]
    first = _place([bound[name] for name in names], held)
    kept = [first + place for place, name in enumerate(names) if name in live]
    direct = [place for place, name in enumerate(names) if held[first + place] is bound[name]]
    kept += range(first + len(names), len(held))
    return Shape(
        code,
        (code.co_qualname, MARKS[code], at, *(name for name in names if name in live)),
        _fetches([names[place] for place in direct]),
        _fetches([first + place for place in direct]),
        kept,
        _fetches(kept),
    )


def _fetches(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What fetches these items."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda items: tuple([items[key] for key in keys])


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
