"""A number for the whole state of an execution: equal numbers, equal futures.

The state is everything that can be reached from the machine, the litmus program's progress and the judges: memory,
registers, store buffers, what may be cached, interrupts, run queues, and the generators of all LWPs with their position
and whatever they hold, named or not, but for variables that are written before they are read again.  It is found by
walking the objects, not by a list of what matters, so that nothing a procedure keeps can be forgotten; what is left out
is listed in :mod:`sim.explore.left_out`, with the reasons.  Objects are numbered as they are met: where they lie in
Python's memory makes no difference, and which of them are one and the same does.

Two states that differ only in the physical addresses of their pages are taken for different: that costs work, never a
verdict.  Numbers have 128 bits (BLAKE2b); among a million states two share one with a chance below 10^-26.

The walk is a third of what a search costs, so what is looked at one by one is little.  Values that are plain as a rule
are checked by the lot (:mod:`sim.explore.record`), and so are the words of memory; what the frames of an LWP hold is
looked into again only once it has moved (:mod:`sim.explore.stacks`).
"""

from __future__ import annotations

import marshal
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from itertools import count, repeat
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
from sim.explore.left_out import FIELDS_LEFT_OUT, LEFT_OUT
from sim.explore.machine import Machine
from sim.explore.marks import MARKS, NOT_MET
from sim.explore.record import Fixed, Record, is_fixed
from sim.explore.run import KernelRun
from sim.explore.stacks import Stacks
from sim.explore.touched import Touched
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.kernel.lwp import Lwp

_CALLABLES = (FunctionType, BuiltinFunctionType, BuiltinMethodType, MethodType)
_values_of = attrgetter("v")

_PLAIN, _PLAINLY, _FLOAT, _FIXED = map(MARKS.__getitem__, ("plain", "plainly", "float", "fixed"))
_TUPLE, _LIST, _DICT, _SET = map(MARKS.__getitem__, ("tuple", "list", "dict", "set"))
_WORDS, _MUTEX, _CACHED = map(MARKS.__getitem__, ("words", "mutex", "may be cached"))
_FRAME, _FRAMES, _CELL, _FUNCTION = map(MARKS.__getitem__, ("frame", "frames", "cell", "function"))
_EMPTY = {kind: MARKS["empty", kind] for kind in (dict, list, set, deque, tuple)}


class Fingerprint:
    """Fingerprints of states of one program."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._record = Record()
        self._left: list[Iterable[Any]] = []  # values to be written, the next ones last
        self._keep: list[object] = []  # what the walk made, lest its id be used again
        self._run: KernelRun | None = None
        self._machine: Machine | None = None
        self._stacks = Stacks()
        self._cached: dict[int, tuple[MaybeCached, Any, bytes]] = {}  # by id, with what it held then
        self._fixed = Fixed()

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint of the state that *run* is in."""
        machine, judge = run.machine, run.judge
        Touched.now = Touched()  # whatever this walk looks at is in no footprint
        if run is not self._run:  # executions may have one machine, one after the other
            self._run, self._machine, self._stacks, self._cached = run, machine, Stacks(), {}
        self._seen, self._record, self._keep = {}, Record(), []
        record = self._record
        for buffer in machine.buffers:
            record.out.append(len(buffer))
            self._left.append([(words, index, stored, mutex) for words, index, stored, _, mutex in buffer])
        # Judges that listen to the kernel are hooks, of which the walk sees nothing: it begins with what they hold.
        for part in (judge.uses, judge.locks, judge.lifetimes, judge.protected, judge.modified):
            self._object(part)
        self._left.append((machine.mem, machine, run.state))  # memory is met first
        while self._left:
            self._walk()
            odd = record.check()
            if odd:
                self._left.append(odd)
        return record.digest()

    def _walk(self) -> None:
        """Write down what is left, and all that it leads to."""
        seen, left, record = self._seen, self._left, self._record
        out, plain, words = record.out, record.plain, record.words
        number_of, new = seen.setdefault, len(seen)
        while left:
            for value in left.pop():
                kind = type(value)
                if kind in PLAIN:
                    out.append(_PLAIN)
                    plain.append(value)
                    continue
                if kind is tuple:
                    if value:
                        out += (_TUPLE, len(value))
                        self._items(value)
                    else:
                        out.append(_EMPTY[tuple])
                    continue
                number = number_of(id(value), new)
                if number != new:
                    out.append(number)
                    continue
                new += 1
                if kind is Words:
                    out.append(_WORDS)
                    words.append(value.v)
                    continue
                if kind in _EMPTY and not value:
                    out.append(_EMPTY[kind])
                    continue
                handler = _HANDLERS.get(kind)
                if handler is None:
                    handler = _HANDLERS[kind] = _handler_for(value)
                handler(self, value)
                new = len(seen)

    def _items(self, values: Collection[Any]) -> None:
        """Values of a collection that has some: most are like the first, all plain or none."""
        for first in values:
            if type(first) in PLAIN:
                self._record.out.append(_PLAINLY)
                self._record.plain += values
            else:
                self._left.append(values)
            return

    def _sequence(self, mark: str, values: Collection[Any]) -> None:
        self._record.out += (MARKS[mark], len(values))
        self._items(values)

    def _list(self, value: Collection[Any]) -> None:
        self._record.out += (_LIST, len(value))
        self._items(value)

    def _named(self, value: tuple[Any, ...]) -> None:
        """A named tuple: its class and its fields."""
        if self._fixed.has(value) or is_fixed(value):
            self._never_changes(value, tuple)
        else:
            self._sequence(type(value).__qualname__, value)

    def _never_changes(self, value: Any, fields: Callable[[Any], tuple[Any, ...]]) -> None:
        self._record.out.append(_FIXED)
        self._record.said.append(self._fixed.of(value, fields))

    def _dict(self, value: dict[Any, Any]) -> None:
        """Keys in the order of insertion, which a procedure could go by; then what they stand for."""
        self._record.out += (_DICT, len(value))
        if value:
            self._items(value)
            self._items(value.values())

    def _set(self, value: set[Any]) -> None:
        """In an order of its own: nothing in the model goes by the order of a set."""
        self._record.out += (_SET, len(value))
        self._items(sorted(value, key=repr) if len(value) > 1 else value)

    def _float(self, value: float) -> None:
        """A value, whichever object it is: it has no number."""
        del self._seen[id(value)]
        self._record.out.append(_FLOAT)
        self._record.plain.append(repr(value))

    def _may_be_cached(self, value: MaybeCached) -> None:
        """What may be cached, by place: nothing goes by the order in which it came."""
        found = self._cached.get(id(value))
        if found is None or found[1] != (value.entries, value.tables):
            said = [sorted((*place, *entry) for place, entries in places.items() for entry in entries)
                    for places in (value.entries, value.tables)]  # fmt: skip
            found = self._cached[id(value)] = value, (_copy(value.entries), _copy(value.tables)), marshal.dumps(said, 2)
        self._record.out.append(_CACHED)
        self._record.said.append(found[2])

    def _memory(self, value: BornMem) -> None:
        """Pages in use, free ones in their order, how often each was either; tables, freed ones too, by address."""
        self._record.said += (value.pages_in_use(), list(value.births), list(value.births.values()))
        self._record.said += (list(value.tables), list(value.stale))
        self._tables([*value.tables.values(), *value.stale.values()])
        self._object(value)

    def _tables(self, tables: list[Words]) -> None:
        """Page tables, which are met before any other words, so that they need not be looked at one by one."""
        assert len(self._seen) == 1, "memory is met first"
        values = list(map(_values_of, tables))
        if set(map(type, values)) - {list}:
            self._left.append(tables)
            return
        self._seen.update(zip(dict.fromkeys(map(id, tables)), count(1)))
        self._record.out += (_WORDS, len(self._seen))
        self._record.said.append(values)

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it."""
        assert self._machine is not None
        self._record.out.append(_MUTEX)
        self._record.plain += (self._machine.busy.get(id(value), -1), value.owner)
        self._left.append((value.word,))

    def _lwp(self, value: Lwp) -> None:
        """An LWP; what its frames hold changes when it moves, and then only."""
        assert self._machine is not None
        self._object(value)
        out, seen, frames, new = self._record.out, self._seen, value.frames, len(self._seen)
        number = seen.setdefault(id(frames), new)
        if number != new:  # somebody else has the same list
            out.append(number)
            return
        stack = self._stacks.of(value, self._machine.moved.get(id(value), 0))
        if not seen.keys().isdisjoint(stack.generators):  # somebody else has one of them
            self._list(frames)
            return
        seen.update(zip(stack.generators, count(len(seen))))
        numbers = list(map(seen.get, stack.ids, repeat(NOT_MET)))
        out.append(_FRAMES)
        out += numbers
        self._record.said.append(stack.said)
        if NOT_MET in numbers:
            self._left.append(
                [value for value, number in zip(stack.objects, numbers, strict=True) if number == NOT_MET]
            )

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """A generator that is none of an LWP's frames, or not of one LWP alone."""
        frame = self._stacks.frame(value)
        self._record.out.append(_FRAME)
        self._record.said.append(frame.said)
        self._left.append((*frame.objects, frame.inner))

    def _iterator(self, value: Any) -> None:
        """How far an iterator has come, as copying would have it."""
        parts = value.__reduce__()
        self._keep.append(parts)
        self._sequence(type(value).__name__, parts[1:])

    def _function(self, value: Any) -> None:
        """A function by its name and what it closes over; a method by its object, too."""
        self._record.out.append(_FUNCTION)
        self._record.plain += (value.__module__, value.__qualname__)
        owner = getattr(value, "__self__", None)
        closure = getattr(value, "__closure__", None) or ()
        self._left.append((None if isinstance(owner, ModuleType) else owner, len(closure), *closure))

    def _cell(self, value: CellType) -> None:
        self._record.out.append(_CELL)
        self._left.append((value.cell_contents,))

    def _constant(self, value: Any) -> None:
        """Something that never changes, by the number at which it was met."""
        self._record.out.append(MARKS[type(value).__qualname__])

    def _site(self, value: Site) -> None:
        self._never_changes(value, lambda site: (str(site),))

    def _enum(self, value: Enum) -> None:
        self._never_changes(value, lambda member: (member.name,))

    def _class(self, value: type) -> None:
        self._record.out.append(MARKS["class"])
        self._record.plain.append(value.__qualname__)

    def _object(self, value: Any) -> None:
        """All fields of an object but those that are left out."""
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = _WRITERS[kind] = _writer(value)
        write(self, value)


def _copy(places: dict[Any, set[Any]]) -> dict[Any, set[Any]]:
    return {at: set(entries) for at, entries in places.items()}


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
                self._record.out += (odd, len(names))
                self._record.plain += names
                self._left.append(found)
                return
        self._record.out.append(mark)
        self._record.plain += fetch_plain(value)
        self._left.append(fetch_others(value))

    return write


_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()),
)  # fmt: skip
_ITERATORS = tuple(map(type, _EXAMPLES))
_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._list, dict: Fingerprint._dict, Counter: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, float: Fingerprint._float,
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
