"""A number for the whole state of an execution: equal numbers, equal futures.

The state is everything that can be reached from the machine, the litmus program's progress and the judges: memory,
registers, store buffers, what may be cached, interrupts, run queues, and the generators of all LWPs with their position
and whatever they hold, named or not, but for variables that are written before they are read again.  It is found by
walking the objects, not by a list of what matters, so that nothing a procedure keeps can be forgotten; what is left out
is listed in :mod:`sim.explore.left_out`, with the reasons.  Objects are numbered as they are met: where they lie in
Python's memory makes no difference, and which of them are one and the same does.

Two states that differ only in the physical addresses of their pages are taken for different: that costs work, never a
verdict.  Numbers have 128 bits (BLAKE2b); among a million states two share one with a chance below 10^-26.

The walk is about half of what a search costs, so what is looked at one by one is little.  Values that are plain as a
rule are checked by the lot (:mod:`sim.explore.record`), and so are the words of memory; what the frames of an LWP hold
is looked into again only once it has moved (:mod:`sim.explore.stacks`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum, Flag
from itertools import count, repeat
from operator import attrgetter
from types import CellType, FunctionType, GeneratorType, MethodType
from typing import Any

from sim.explore import kinds
from sim.explore.cached import BornMem, MaybeCached
from sim.explore.fields import PLAIN
from sim.explore.left_out import FIELDS_LEFT_OUT, LEFT_OUT
from sim.explore.machine import Machine
from sim.explore.marks import MARKS, NOT_MET
from sim.explore.record import CachedAsWritten, Fixed, Record, is_fixed
from sim.explore.run import KernelRun
from sim.explore.stacks import Stacks
from sim.explore.touched import Touched
from sim.explore.writers import writer
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.kernel.lwp import Lwp

_values_of = attrgetter("v")
# Classes whose objects are written in a short way, unless a patch gives them more fields than that knows of.
_WORDS_ALONE = Words if kinds.has_only(Words, {"v"}, FIELDS_LEFT_OUT[Words]) else None
_MUTEX_ALONE = Mutex if kinds.has_only(Mutex, {"owner", "word"}, FIELDS_LEFT_OUT[Mutex]) else None

_PLAIN, _PLAINLY, _FLOAT, _FIXED = map(MARKS.__getitem__, ("plain", "plainly", "float", "fixed"))
_TUPLE, _LIST, _DICT, _SET, _FROZEN, _DEQUE = map(MARKS.__getitem__, (tuple, list, dict, set, frozenset, deque))
_WORDS, _MUTEX, _CACHED = map(MARKS.__getitem__, ("words", "mutex", "may be cached"))
_FRAME, _FRAMES, _CELL, _NO_CELL = map(MARKS.__getitem__, ("frame", "frames", "cell", "empty cell"))
_FUNCTION, _METHOD, _BUILTIN = map(MARKS.__getitem__, ("function", "method", "builtin function"))
_EMPTY = {kind: MARKS["empty", kind] for kind in (dict, list, set, tuple)}


class Fingerprint:
    """Fingerprints of states of one program.

    Attributes:
        record: of the state that is walked.
        left: values to be written, the next ones last.
    """

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self.record = Record()
        self.left: list[Iterable[Any]] = []
        self._keep: list[object] = []  # what the walk made, lest its id be used again
        self._run: KernelRun | None = None
        self._machine: Machine | None = None
        self._stacks = Stacks()
        self._cached = CachedAsWritten()
        self._fixed = Fixed()

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint of the state that *run* is in."""
        machine, judge = run.machine, run.judge
        Touched.now = Touched()  # whatever this walk looks at is in no footprint
        if run is not self._run:  # executions may have one machine, one after the other
            self._run, self._machine, self._stacks, self._cached = run, machine, Stacks(), CachedAsWritten()
        self._seen, self.record, self._keep = {}, Record(), []
        record = self.record
        for buffer in machine.buffers:
            record.out.append(len(buffer))
            self.left.append([(words, index, stored, mutex) for words, index, stored, _, mutex in buffer])
        # Judges that listen to the kernel are hooks, of which the walk sees nothing: it begins with what they hold.
        for part in (judge.uses, judge.locks, judge.lifetimes, judge.protected, judge.modified):
            self._object(part)
        self.left.append((machine.mem, machine, run.state))  # memory is met first
        while self.left:
            self._walk()
            odd = record.check()
            if odd:
                self.left.append(odd)
        return record.digest()

    def _walk(self) -> None:
        """Write down what is left, and all that it leads to."""
        seen, left, record = self._seen, self.left, self.record
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
                if kind is _WORDS_ALONE:
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
                self.record.out.append(_PLAINLY)
                self.record.plain += values
            else:
                self.left.append(values)
            return

    def _sequence(self, mark: int, values: Collection[Any]) -> None:
        self.record.out += (mark, len(values))
        self._items(values)

    def _list(self, value: list[Any]) -> None:
        self.record.out += (_LIST, len(value))
        self._items(value)

    def _deque(self, value: deque[Any]) -> None:
        self.record.plain.append(value.maxlen)
        self._sequence(_DEQUE, value)

    def _tuple(self, value: tuple[Any, ...]) -> None:
        self._sequence(_TUPLE, value)

    def _named(self, value: tuple[Any, ...]) -> None:
        """A named tuple: its class and its fields."""
        if self._fixed.has(value) or is_fixed(value):
            self._never_changes(value, tuple)
        else:
            self._sequence(MARKS[kinds.name_of(type(value))], value)

    def _never_changes(self, value: Any, fields: Callable[[Any], tuple[Any, ...]]) -> None:
        self.record.out.append(_FIXED)
        self.record.said.append(self._fixed.of(value, fields))

    def _dict(self, value: dict[Any, Any]) -> None:
        """Keys in the order of insertion, which a procedure could go by; then what they stand for."""
        self.record.out += (_DICT, len(value))
        if value:
            self._items(value)
            self._items(value.values())

    def _set(self, value: Collection[Any]) -> None:
        """In an order of its own: nothing in the model goes by the order of a set."""
        mark = _FROZEN if isinstance(value, frozenset) else _SET
        self._sequence(mark, sorted(value, key=repr) if len(value) > 1 else value)

    def _float(self, value: float) -> None:
        """A value, whichever object it is: it has no number."""
        del self._seen[id(value)]
        self.record.out.append(_FLOAT)
        self.record.plain.append(repr(value))

    def _may_be_cached(self, value: MaybeCached) -> None:
        self.record.out.append(_CACHED)
        self.record.said.append(self._cached.of(value))

    def _memory(self, value: BornMem) -> None:
        """Pages in use, free ones in their order, how often each was either; tables, freed ones too, by address."""
        births, tables, stale = value.births, value.tables, value.stale
        self.record.say([value.pages_in_use(), list(births), list(births.values()), list(tables), list(stale)])
        self._tables([*tables.values(), *stale.values()])
        self._object(value)

    def _tables(self, tables: list[Words]) -> None:
        """Page tables, which are met before any other words, so that they need not be looked at one by one."""
        assert len(self._seen) == 1, "memory is met first"
        values = list(map(_values_of, tables))
        if set(map(type, tables)) - {_WORDS_ALONE} or set(map(type, values)) - {list}:
            self.left.append(tables)
            return
        self._seen.update(zip(dict.fromkeys(map(id, tables)), count(1)))
        self.record.out += (_WORDS, len(self._seen))
        self.record.say(values)

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it; whatever else there is to it."""
        assert self._machine is not None
        self.record.out.append(_MUTEX)
        self.record.plain += (self._machine.busy.get(id(value), -1), value.owner)
        self.left.append((value.word,))
        if type(value) is not _MUTEX_ALONE:
            self._object(value)

    def _lwp(self, value: Lwp) -> None:
        """An LWP; what its frames hold changes when it moves, and then only."""
        assert self._machine is not None
        self._object(value)
        out, seen, frames, new = self.record.out, self._seen, value.frames, len(self._seen)
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
        self.record.said.append(stack.said)
        if NOT_MET in numbers:
            self.left.append([value for value, number in zip(stack.objects, numbers, strict=True) if number == NOT_MET])

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """A generator that is none of an LWP's frames, or not of one LWP alone."""
        frame = self._stacks.frame(value)
        self.record.out.append(_FRAME)
        self.record.said.append(frame.said)
        self.left.append((*frame.objects, frame.inner))

    def _iterator(self, value: Any) -> None:
        """How far an iterator has come, as copying would have it."""
        parts = value.__reduce__()
        self._keep.append(parts)
        self._sequence(MARKS[type(value)], parts[1:])

    def _function(self, value: FunctionType) -> None:
        """A function by its code and all that it holds."""
        self.record.out += (_FUNCTION, MARKS[value.__code__])
        self.record.plain += (value.__module__, value.__qualname__)
        self.left.append(kinds.parts_of(value))

    def _method(self, value: MethodType) -> None:
        self.record.out.append(_METHOD)
        self.left.append((value.__self__, value.__func__))

    def _builtin_function(self, value: Any) -> None:
        self.record.out.append(_BUILTIN)
        self.record.plain += (value.__module__, value.__qualname__)
        self.left.append((kinds.owner_of(value),))

    def _cell(self, value: CellType) -> None:
        try:
            self.left.append((value.cell_contents,))
            self.record.out.append(_CELL)
        except ValueError:
            self.record.out.append(_NO_CELL)

    def _constant(self, value: Any) -> None:
        """Something that never changes, by the number at which it was met."""
        self.record.out.append(MARKS[kinds.name_of(type(value))])

    def _site(self, value: Site) -> None:
        self._never_changes(value, lambda site: (str(site),))

    def _enum(self, value: Enum) -> None:
        """By its name; flags that are set together may have none."""
        self._never_changes(value, lambda member: (member.value if isinstance(member, Flag) else member.name,))

    def _class(self, value: type) -> None:
        self.record.out += (MARKS["class"], MARKS[kinds.name_of(value)])

    def _object(self, value: Any) -> None:
        """All fields of an object but those that are left out."""
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = _WRITERS[kind] = writer(value)
        write(self, value)


Handler = Callable[[Fingerprint, Any], None]
_WRITERS: dict[type, Handler] = {}


_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._deque, dict: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, float: Fingerprint._float,
    MaybeCached: Fingerprint._may_be_cached, BornMem: Fingerprint._memory, Mutex: Fingerprint._mutex,
    Lwp: Fingerprint._lwp, GeneratorType: Fingerprint._generator, CellType: Fingerprint._cell, Site: Fingerprint._site,
    FunctionType: Fingerprint._function, MethodType: Fingerprint._method,
    **dict.fromkeys(kinds.BUILTIN_FUNCTIONS, Fingerprint._builtin_function),
    **dict.fromkeys(kinds.ITERATORS, Fingerprint._iterator), **dict.fromkeys(LEFT_OUT, Fingerprint._constant),
}  # fmt: skip
_OF_BASES: tuple[tuple[type | tuple[type, ...], Handler], ...] = (
    (LEFT_OUT, Fingerprint._constant),
    (Lwp, Fingerprint._lwp),
    (Mutex, Fingerprint._mutex),
    (type, Fingerprint._class),
    (Enum, Fingerprint._enum),
)


def _handler_for(value: Any) -> Handler:
    """How a class met for the first time is written down; TypeError if not all of its objects can be seen."""
    kind = type(value)
    for base, handler in _OF_BASES:
        if issubclass(kind, base):
            return handler
    kinds.must_be_seen(kind)
    container = kinds.container_of(kind)
    if container is None:
        return _WRITERS.setdefault(kind, writer(value))
    if container is tuple and not kind.__dictoffset__ and kinds.shows(kind, tuple):
        return Fingerprint._named
    return _container(value, container)


def _container(first: Any, container: type) -> Handler:
    """What writes objects of a class derived from a container down: fields, then items."""
    fields, as_it_is = writer(first), kinds.shows(type(first), container)
    items: Handler = _HANDLERS.get(container, Fingerprint._tuple)

    def write(self: Fingerprint, value: Any) -> None:
        fields(self, value)
        items(self, value if as_it_is else kinds.items_of(value, container))

    return write
