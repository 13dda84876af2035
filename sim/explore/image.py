"""All that the objects of an execution hold at one moment, to be put back into the same objects."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from inspect import GEN_CREATED, getgeneratorlocals, getgeneratorstate
from itertools import repeat
from operator import call
from types import CellType, CodeType, FunctionType, GeneratorType, MemberDescriptorType
from typing import Any, NamedTuple

from sim.explore.fields import UNSET, stored
from sim.explore.reached import Held, Unknown, held_always, hold, is_same, leads_to, shape

_MORE_ARGUMENTS = 0x04 | 0x08  # flags of code that takes *args or **kwargs


class Call(NamedTuple):
    """A generator that has not begun, as the call that makes it."""

    function: FunctionType
    arguments: tuple[Any, ...]


class Image:
    """What objects hold at one moment.

    Generators may be in lists that hold nothing else, those of the LWPs' frames.  They are called anew, or, if
    *running*, left as they are: whoever puts the image back has brought them there.

    Attributes:
        held: what each object holds, but for the contents of cells.
        frames: the lists of generators.
    """

    def __init__(self, objects: Iterable[Any], *, running: bool) -> None:
        self._running = running
        self._cells: list[tuple[CellType, Any]] = []
        self.held: list[Held] = []
        for value in objects:
            kind = type(value)
            if kind is GeneratorType:
                continue
            if kind is not list and GeneratorType in map(type, leads_to(value)):
                raise Unknown(f"a {kind.__qualname__} holds a generator")
            if kind is CellType:
                self._cells.append((value, value.cell_contents))
            elif held_always(value) is None:
                self.held.append(hold(value))
        self.frames = [one.holder for one in self.held if _has_generators(one)]
        self._puts = _puts(self.held, running)

    def only(self, wanted: Callable[[Held], bool]) -> None:
        """Keep what some of the objects hold, and all cells."""
        self.held = [held for held in self.held if wanted(held)]
        self._puts = _puts(self.held, self._running)

    def put(self) -> None:
        """Have the objects hold it again."""
        for cell, value in self._cells:
            cell.cell_contents = value
        for put in self._puts:
            put()


def is_as(held: Held) -> bool:
    """Whether an object certainly still holds what it held."""
    before, now = _parts(held), _parts(hold(held.holder))
    return len(before) == len(now) and all(map(is_same, before, now))


def _parts(held: Held) -> list[Any]:
    entries, items = held.entries or {}, held.items
    more = [*items, *items.values()] if isinstance(items, dict) else list(items or ())
    return [held.kind, *held.slots, len(entries), *entries, *entries.values(), *more]


def _call_of(generator: Any) -> Call:
    """The call that made a generator; Unknown if it has begun."""
    if type(generator) is not GeneratorType or getgeneratorstate(generator) != GEN_CREATED:
        raise Unknown("in a list of generators, something else, or one that has begun")
    code: CodeType = generator.gi_code
    if code.co_kwonlyargcount or code.co_flags & _MORE_ARGUMENTS:
        raise Unknown(f"{code.co_qualname} has arguments by name or by number")
    function = next(part for part in gc.get_referents(generator)
                    if type(part) is FunctionType and part.__code__ is code)  # fmt: skip
    bound = getgeneratorlocals(generator)
    return Call(function, tuple(bound[name] for name in code.co_varnames[: code.co_argcount]))


def _has_generators(held: Held) -> bool:
    return held.kind is list and GeneratorType in map(type, held.items)


# --- putting back: in as few calls as can be, for this is done once for each execution ------------------------------

Put = Callable[[], None]


def _puts(held: Sequence[Held], running: bool) -> list[Put]:
    """What has objects hold that again."""
    own = [one for one in held if one.kind not in _FILLS]
    slots = [(member, one.holder, value) for one in own
             for member, value in zip(shape(one.kind).slots, one.slots, strict=True)]  # fmt: skip
    filled = [(member.__set__, holder, value) for member, holder, value in slots if value is not UNSET]
    found: list[Put] = [
        partial(_put_kinds, [one.holder for one in own], [one.kind for one in own]),
        partial(_each, call, *zip(*filled, strict=True)) if filled else partial(_each, call, ()),
        partial(_unset, [(member, holder) for member, holder, value in slots if value is UNSET]),
        partial(_put_entries, [(one.holder, one.entries) for one in own if one.entries is not None]),
    ]
    for container, (clear, fill) in _FILLS.items():
        those = [one for one in held if shape(one.kind).container is container and not _has_generators(one)]
        found.append(partial(_put_empty, clear, [one.holder for one in those if not one.items]))
        full = [one for one in those if one.items]
        found.append(partial(fill, [one.holder for one in full], [one.items for one in full]))
    frames = [] if running else [one for one in held if _has_generators(one)]
    return [*found, *(partial(_put_frames, one.holder, list(map(_call_of, one.items))) for one in frames)]


def _each(put: Callable[..., Any], *columns: Iterable[Any]) -> None:
    """Call something with the first of all, the second of all, and so on."""
    deque(map(put, *columns), maxlen=0)


def _put_kinds(holders: Sequence[Any], kinds: Sequence[type]) -> None:
    if list(map(type, holders)) != kinds:
        for holder, kind in zip(holders, kinds, strict=True):
            if type(holder) is not kind:
                holder.__class__ = kind


def _unset(those: Iterable[tuple[MemberDescriptorType, Any]]) -> None:
    for member, holder in those:
        if stored(member, holder) is not UNSET:
            member.__delete__(holder)


def _put_entries(those: Iterable[tuple[Any, dict[str, Any]]]) -> None:
    for holder, before in those:
        now = holder.__dict__
        now.update(before)
        if len(now) != len(before):
            now.clear()
            now.update(before)


def _put_empty(clear: Callable[[Any], None], holders: Iterable[Any]) -> None:
    _each(clear, filter(len, holders))


def _put_frames(holder: list[Any], calls: Iterable[Call]) -> None:
    holder[:] = [function(*arguments) for function, arguments in calls]


def _put_lists(holders: Iterable[list[Any]], items: Iterable[list[Any]]) -> None:
    _each(list.__setitem__, holders, repeat(slice(None)), items)


def _put_others(clear: Callable[[Any], None], fill: Callable[[Any, Any], None], holders: Any, items: Any) -> None:
    _each(clear, holders)
    _each(fill, holders, items)


_FILLS: dict[type, tuple[Callable[[Any], None], Callable[[Any, Any], None]]] = {
    list: (list.clear, _put_lists),
    dict: (dict.clear, partial(_put_others, dict.clear, dict.update)),
    set: (set.clear, partial(_put_others, set.clear, set.update)),
    deque: (deque.clear, partial(_put_others, deque.clear, deque.extend)),
}
