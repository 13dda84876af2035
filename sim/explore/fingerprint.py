"""A number for the whole state of an execution: equal numbers, equal futures.

The state is everything that can be reached from the machine, the litmus program's progress and the judges: memory,
registers, store buffers, what may be cached, interrupts, run queues, and the generators of all LWPs with their position
and whatever they hold, named or not, but for variables that are written before they are read again.  It is found by
walking the objects, not by a list of what matters, so that nothing a procedure keeps can be forgotten; what is left out
is listed in :mod:`sim.explore.left_out`, with the reasons.  Objects are numbered as they are met: where they lie in
Python's memory makes no difference, and which of them are one and the same does.

Two states that differ only in the physical addresses of their pages are taken for different: that costs work, never a
verdict.  Numbers have 128 bits (BLAKE2b); among a million states two share one with a chance below 10^-26.

The walk is half of what a search costs.  So most fields are fetched and written by the group, and what the frames of an
LWP hold is looked into again only once it has moved.
"""

from __future__ import annotations

import hashlib
import marshal
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from operator import attrgetter
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    CellType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from sim.explore.cached import BornMem, MaybeCached
from sim.explore.fields import PLAIN, all_of, reader
from sim.explore.frames import Frame, frame_of
from sim.explore.left_out import FIELDS_LEFT_OUT, LEFT_OUT
from sim.explore.machine import Machine
from sim.explore.marks import MARKS, MET
from sim.explore.run import KernelRun
from sim.explore.touched import Touched
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.kernel.lwp import Lwp

_SHORT = 16  # of a page that is zero behind so many words, no more is written
_CALLABLES = (FunctionType, BuiltinFunctionType, BuiltinMethodType, MethodType)
_only_plain = PLAIN.issuperset
_values_of = attrgetter("v")


_TUPLE, _TABLE, _FLOAT, _ODD = MARKS["tuple"], MARKS["table"], MARKS["float"], MARKS["odd"]
_LIST, _LIST_OF_PLAIN, _DICT = MARKS["list"], MARKS["list of plain values"], MARKS["dict"]
_EMPTY = {kind: MARKS["empty", kind] for kind in (dict, list, set, deque)}
_WORD, _WORDS, _FRAMES = MARKS["word"], MARKS["words"], MARKS["frames"]


class Fingerprint:
    """Fingerprints of states of one program."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._out: list[Any] = []
        self._left: list[Iterable[Any]] = []  # values to be written, the next ones last
        self._keep: list[object] = []  # what the walk made, lest its id be used again
        self._run: KernelRun | None = None
        self._machine: Machine | None = None
        self._frames: dict[int, tuple[int, Frame]] = {}

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint of the state that *run* is in."""
        machine = run.machine
        Touched.now = Touched()  # whatever this walk looks at is in no footprint
        if run is not self._run:  # executions may have one machine, one after the other
            self._run, self._machine, self._frames = run, machine, {}
        self._seen, self._out, self._keep = {}, [], []
        judge = run.judge
        for part in (machine, run.state, judge.uses, judge.locks, judge.lifetimes, judge.protected, judge.modified):
            self._object(part)
            self._walk(machine.mem)
        for buffer in machine.buffers:
            self._sequence("buffer", [(words, index, stored, mutex) for words, index, stored, _, mutex in buffer])
            self._walk(machine.mem)
        # Version 2 of marshal's format writes equal lists as equal bytes; later ones mark objects met before.
        return hashlib.blake2b(marshal.dumps(self._out, 2), digest_size=16).digest()

    def _walk(self, mem: BornMem) -> None:
        """Write down what is left, and all that it leads to."""
        out, seen, left = self._out, self._seen, self._left
        while left:
            for value in left.pop():
                kind = type(value)
                if kind in PLAIN:
                    out.append(value)
                    continue
                if kind is tuple:
                    out += (_TUPLE, len(value))
                    if _only_plain(map(type, value)):
                        out.append(value)
                    else:
                        left.append(value)
                    continue
                new = len(seen)
                number = seen.setdefault(id(value), new)
                if number != new:
                    out.append(MET[number])
                    continue
                if kind is Words:
                    v = value.v
                    if len(v) == 1 and type(v) is list and type(v[0]) in PLAIN:
                        out += (_WORD, v[0])
                        continue
                elif kind in _EMPTY and not value:
                    out.append(_EMPTY[kind])
                    continue
                handler = _HANDLERS.get(kind)
                if handler is None:
                    handler = _HANDLERS[kind] = _handler_for(value)
                handler(self, value)

    def _values(self, values: Collection[Any]) -> None:
        """Values as they are, or what they lead to later."""
        if _only_plain(map(type, values)):  # most are, and this way they cost next to nothing
            self._out += values
        else:
            self._out.append(_ODD)
            self._left.append(values)

    def _sequence(self, mark: str, values: Collection[Any]) -> None:
        self._out += (MARKS[mark], len(values))
        self._values(values)

    def _list(self, value: Collection[Any]) -> None:
        if _only_plain(map(type, value)):
            self._out += (_LIST_OF_PLAIN, len(value), *value)
        else:
            self._out += (_LIST, len(value))
            self._left.append(value)

    def _named(self, value: tuple[Any, ...]) -> None:
        """A named tuple, or a step: its class and its fields."""
        self._sequence(type(value).__qualname__, value)

    def _dict(self, value: dict[Any, Any]) -> None:
        """Keys in the order of insertion, which a procedure could go by; then what they stand for."""
        self._out += (_DICT, len(value))
        if value:
            self._values(value)
            self._values(value.values())

    def _set(self, value: set[Any]) -> None:
        """In an order of its own: nothing in the model goes by the order of a set."""
        self._sequence("set", sorted(value, key=repr) if len(value) > 1 else value)

    def _float(self, value: float) -> None:
        """A value, whichever object it is: it has no number."""
        del self._seen[id(value)]
        self._out += (_FLOAT, repr(value))

    def _words(self, value: Words) -> None:
        """Values of memory that is no table, and whether its life is over."""
        v = value.v
        size = len(v)
        assert self._machine is not None
        mem = self._machine.mem
        pa = mem.table_of.get(id(value))
        if pa is not None and mem.walkable(pa) is value:  # a table, which is written with all others
            self._out += (_TABLE, pa)
            return
        if size > _SHORT and v.count(0) >= size - _SHORT and v[_SHORT:].count(0) == size - _SHORT:  # a page hardly used
            v = v[:_SHORT]
        self._out += (_WORDS, value.ended, size)
        self._sequence("list", list(v))

    def _may_be_cached(self, value: MaybeCached) -> None:
        """What may be cached, by place: nothing goes by the order in which it came."""
        for places in (value.entries, value.tables):
            found = [(*place, *entry) for place, entries in places.items() for entry in entries]
            found.sort()
            self._out.append(found)

    def _memory(self, value: BornMem) -> None:
        """Pages in use, free ones in their order, how often each was either; tables, freed ones too, by address."""
        out, table_of = self._out, value.table_of
        out += (value.pages_in_use(), list(value.births), list(value.births.values()))
        for pages in (value.tables, value.stale):
            out.append(list(pages))
            words = pages.values()
            if all(map(table_of.__contains__, map(id, words))):
                out.append(list(map(_values_of, words)))
            else:
                out.append([words.v for words in pages.values() if id(words) in table_of])
                self._values([words for words in pages.values() if id(words) not in table_of])
        self._object(value)

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it."""
        assert self._machine is not None
        self._out += (MARKS["mutex"], self._machine.busy.get(id(value), -1))
        self._left.append((value.owner, value.word))

    def _lwp(self, value: Lwp) -> None:
        """An LWP; what its frames hold changes when it moves, and then only."""
        assert self._machine is not None
        self._object(value)
        out, seen, frames, new = self._out, self._seen, value.frames, len(self._seen)
        number = seen.setdefault(id(frames), new)
        if number != new:  # somebody else has the same list
            out.append(MET[number])
            return
        out += (_FRAMES, len(frames))
        moved = self._machine.moved.get(id(value), 0)
        for frame in frames:
            generator: Any = frame
            while generator is not None:
                new = len(seen)
                number = seen.setdefault(id(generator), new)
                if number != new:
                    out.append(MET[number])
                    break
                generator = self._frame(generator, moved)

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """A generator that is none of an LWP's frames."""
        inner = self._frame(value, -1)
        if inner is not None:
            self._left.append((inner,))

    def _frame(self, value: GeneratorType[Any, Any, Any], moved: int) -> GeneratorType[Any, Any, Any] | None:
        """Position, the variables that can still be read, and what else lies on the frame's stack (loops, calls).

        *moved*: when the LWP last moved, -1: it is nobody's.  Returns the generator that it has handed over to.
        """
        known, frame = self._frames.get(id(value), (-1, None))
        if frame is None or (known != moved or moved < 0) and not frame.is_still():
            frame = frame_of(value)
        self._frames[id(value)] = moved, frame
        numbers = list(map(self._seen.get, frame.ids))
        self._out += (frame.said, numbers)
        if None in numbers:
            self._left.append(frame.objects)
        return frame.inner

    def _iterator(self, value: Any) -> None:
        """How far an iterator has come, as copying would have it."""
        parts = value.__reduce__()
        self._keep.append(parts)
        self._sequence(type(value).__name__, parts[1:])

    def _function(self, value: Any) -> None:
        """A function by its name and what it closes over; a method by its object, too."""
        self._out += (value.__module__, value.__qualname__)
        owner = getattr(value, "__self__", None)
        self._values(() if owner is None or isinstance(owner, ModuleType) else (owner,))
        self._values(getattr(value, "__closure__", None) or ())

    def _cell(self, value: CellType) -> None:
        self._values((value.cell_contents,))

    def _constant(self, value: Any) -> None:
        """Something that never changes, by the number at which it was met."""
        self._out.append(MARKS[type(value).__qualname__])

    def _site(self, value: Site) -> None:
        self._out += (MARKS["site"], str(value))

    def _enum(self, value: Enum) -> None:
        self._out += (MARKS[type(value).__qualname__], value.name)

    def _class(self, value: type) -> None:
        self._out += (MARKS["class"], value.__qualname__)

    def _object(self, value: Any) -> None:
        """All fields of an object but those that are left out."""
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = _WRITERS[kind] = _writer(value)
        write(self, value)


Handler = Callable[[Fingerprint, Any], None]
_WRITERS: dict[type, Handler] = {}


def _writer(first: Any) -> Handler:
    """What writes objects of a class down: its name, then the fields by the groups of :class:`Reader`."""
    kind = type(first)
    left_out = frozenset().union(*(FIELDS_LEFT_OUT.get(base, ()) for base in kind.__mro__))
    fetch_plain, fetch_others, known, keys = reader(first, left_out)
    mark, odd = MARKS[kind.__qualname__], MARKS["odd", kind.__qualname__]

    def write(self: Fingerprint, value: Any) -> None:
        if keys is not None and value.__dict__.keys() != keys:
            names, found = all_of(value, left_out)
            if names != known:
                self._out += (odd, len(names), *names)
                self._left.append(found)
                return
        plain = fetch_plain(value)
        if _only_plain(map(type, plain)):
            self._out += (mark, *plain)
        else:
            self._out.append(odd)
            self._left.append(plain)
        self._left.append(fetch_others(value))

    return write


_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()),
)  # fmt: skip
_ITERATORS = tuple(map(type, _EXAMPLES))
_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._list, dict: Fingerprint._dict, Counter: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, float: Fingerprint._float, Words: Fingerprint._words,
    MaybeCached: Fingerprint._may_be_cached, BornMem: Fingerprint._memory, Mutex: Fingerprint._mutex,
    Lwp: Fingerprint._lwp, GeneratorType: Fingerprint._generator, CellType: Fingerprint._cell, Site: Fingerprint._site,
    range: Fingerprint._iterator,
    **dict.fromkeys(_CALLABLES, Fingerprint._function), **dict.fromkeys(_ITERATORS, Fingerprint._iterator),
    **dict.fromkeys(LEFT_OUT, Fingerprint._constant),
}  # fmt: skip


def _handler_for(value: Any) -> Handler:
    """How a class met for the first time is written down; TypeError for what cannot be looked into."""
    kind = type(value)
    if issubclass(kind, LEFT_OUT):
        return Fingerprint._constant
    if issubclass(kind, Lwp):
        return Fingerprint._lwp
    if issubclass(kind, type):
        return Fingerprint._class
    if issubclass(kind, Enum):
        return Fingerprint._enum
    if issubclass(kind, tuple):
        return Fingerprint._named
    if issubclass(kind, dict):
        return Fingerprint._dict
    if kind.__module__ == "builtins" or not (hasattr(kind, "__slots__") or hasattr(kind, "__dict__")):
        raise TypeError(f"a state holds a {kind.__qualname__}, of which it is not known how to compare it")
    return _WRITERS.setdefault(kind, _writer(value))
