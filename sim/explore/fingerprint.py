"""A number for the whole state of an execution: equal numbers, equal futures.

The state is everything that can be reached from the machine, the litmus program's progress and the judges: memory,
registers, store buffers, what may be cached, interrupts, run queues, and the generators of all LWPs with their position
and whatever they hold, named or not, but for variables that are written before they are read again.  It is found by
walking the objects, not by a list of what matters, so that nothing a procedure keeps can be forgotten; what is left out
is listed below, with the reason.  Objects are numbered as they are met: where they lie in Python's memory makes no
difference, and which of them are one and the same does.

Two states that differ only in the physical addresses of their pages are taken for different: that costs work, never a
verdict.  Numbers have 128 bits (BLAKE2b); among a million states two share one with a chance below 10^-26.
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
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from sim.explore.cached import BornMem, MaybeCached
from sim.explore.frames import Frame, frame_of
from sim.explore.judges.at_rest import AtRest
from sim.explore.judges.guards import Guards
from sim.explore.judges.judge import Judge
from sim.explore.judges.lifetimes import Lifetimes
from sim.explore.judges.locks import Locks
from sim.explore.judges.modified import Modified
from sim.explore.judges.protected import Protected
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus import Litmus
from sim.explore.litmus_state import LitmusState
from sim.explore.machine import Machine
from sim.explore.ops import Setting
from sim.explore.run import KernelRun
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.explore.walks import Walks
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import Geometry, PhysMem
from sim.hardware.sites import Site
from sim.kernel.designs.base import Design
from sim.kernel.designs.svs import SvsRevision
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.layout import Layout
from sim.kernel.lwp import Lwp
from sim.kernel.rwlock import RwLock
from sim.kernel.shootdown import Packet

# Constant from the start of an execution to its end, or kept for people and statistics only.
LEFT_OUT: tuple[type, ...] = (
    Geometry, Layout, Litmus, SvsRevision,  # what the program and the profile fix
    Hooks, Tally, Trace,  # nothing in the model reads them
    Touched,  # empty between transitions
    View, UserMode, AtRest, Guards, Judge, Setting,  # no state of their own; what they look at is walked anyway
    FrameType, CodeType, ModuleType,  # a generator's position is its f_lasti
)  # fmt: skip

# Fields of otherwise walked classes that decide nothing.
FIELDS_LEFT_OUT = {
    Words: {"name", "shared", "owner", "sharers"},  # cache lines have owners in timed runs only
    Mutex: {"name", "lock_class", "ipl", "since", "waiters"},  # spinners stand in the CPUs' steps; the rest is constant
    RwLock: {"holders"},  # as the LWPs' positions say
    BornMem: {"table_of", "held", "frees", "births"},  # noted with each table, or by itself
    PhysMem: {"_names"},  # for people; who has one is in use, which is noted by itself
    Design: {"name"},  # constant
    Kernel: {"_with_stack"},  # made when it is first asked for, from what is walked
    Lwp: {"tallies", "tally", "who", "lines", "key"},  # what timed runs keep
    LitmusState: {"first"},  # constant
    Packet: {"why"},  # a word for statistics
    # What judges are given as they are made; and what is fixed once exploration begins.
    Locks: {"premise", "broken", "view", "_updirs"},
    Lifetimes: {
        "premise",
        "broken",
        "view",
        "touched",
        "guards",
        "written",
        "modified",
        "entered",
        "left",
        "mailbox",
        "pending",
    },
    Uses: {"premise", "broken", "view", "touched", "tally", "lifetimes", "protected", "modified", "user_vas"},
    Protected: {"premise", "broken", "view", "touched"},
    Modified: {"premise", "broken", "view", "touched"},
    Walks: {"mem", "touched", "followed", "vas", "_numbers"},  # what judges follow; names for places
    # Numbers of stores and moves tell things of one execution apart; what buffers hold is written by itself, busy with
    # each mutex.
    Machine: {"serial", "buffers", "busy", "touched", "turns", "moved"},
}

_PLAIN = frozenset({int, str, bool, float, bytes, type(None)})
_MET = [("=", number) for number in range(4096)]  # what is written for an object met before, made once
_SHORT = 16  # of a page that is zero behind so many words, no more is written
_CALLABLES = (FunctionType, BuiltinFunctionType, BuiltinMethodType, MethodType)


class Fingerprint:
    """Fingerprints of states of one program; what is known of classes is kept between calls."""

    def __init__(self) -> None:
        self._fields: dict[type, Callable[[Any], Iterable[Any]]] = {}
        self._seen: dict[int, int] = {}
        self._out: list[Any] = []
        self._keep: list[object] = []  # what the walk made, lest its id be used again
        self._machine: Machine | None = None
        self._table_of: dict[int, int] = {}
        self._busy: dict[int, int] = {}
        self._frames: dict[int, tuple[int, Frame]] = {}
        self._moved = -1  # when the LWP last moved whose frames are walked, -1: they are nobody's

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint of the state that *run* is in."""
        machine = run.machine
        Touched.now = Touched()  # whatever this walk looks at is in no footprint
        if machine is not self._machine:
            self._machine, self._frames = machine, {}
        self._seen, self._out, self._keep = {}, [], []
        self._table_of, self._busy = machine.mem.table_of, machine.busy
        self._fields_of(machine)
        for buffer in machine.buffers:
            self._sequence("b", [(words, index, stored, mutex) for words, index, stored, _, mutex in buffer])
        judge = run.judge
        for part in (run.state, judge.uses, judge.locks, judge.lifetimes, judge.protected, judge.modified):
            self._fields_of(part)
        # Version 2 of marshal's format writes equal lists as equal bytes; later ones mark objects met before.
        return hashlib.blake2b(marshal.dumps(self._out, 2), digest_size=16).digest()

    def _values(self, values: Iterable[Any]) -> None:
        """Write values down, one after the other."""
        out, seen, table_of = self._out, self._seen, self._table_of
        for value in values:
            kind = type(value)
            if kind in _PLAIN:
                out.append(value)
                continue
            if kind is tuple:
                self._sequence("t", value)
                continue
            number = seen.get(id(value))
            if number is not None:
                out.append(_MET[number] if number < len(_MET) else ("=", number))
                continue
            seen[id(value)] = len(seen)
            if kind is Words:
                v = value.v
                pa = table_of.get(id(value), 0)
                if pa or len(v) == 1 and type(v) is list and type(v[0]) in _PLAIN:  # a table: its address, and numbers
                    out.append((pa, *v))
                    continue
            handler = _HANDLERS.get(kind)
            if handler is None:
                handler = _HANDLERS[kind] = _handler_for(kind)
            handler(self, value)

    def _sequence(self, mark: str, values: Collection[Any]) -> None:
        out = self._out
        out.append((mark, len(values)))
        if _PLAIN.issuperset(map(type, values)):  # most are, and this way they cost next to nothing
            out += values
        else:
            self._values(values)

    def _list(self, value: Collection[Any]) -> None:
        self._sequence("l", value)

    def _named(self, value: tuple[Any, ...]) -> None:
        """A named tuple, or a step: its class and its fields."""
        self._sequence(type(value).__qualname__, value)

    def _dict(self, value: dict[Any, Any]) -> None:
        """Keys in the order of insertion, which a procedure could go by; then what they stand for."""
        self._sequence("d", (*value, *value.values()))

    def _set(self, value: set[Any]) -> None:
        """In an order of its own: nothing in the model goes by the order of a set."""
        self._sequence("s", sorted(value, key=repr) if len(value) > 1 else value)

    def _words(self, value: Words) -> None:
        """Values of memory that is no table, and whether its life is over."""
        v, size = value.v, len(value.v)
        if size > _SHORT and v.count(0) >= size - _SHORT and v[_SHORT:].count(0) == size - _SHORT:  # a page hardly used
            v = v[:_SHORT]
        self._out.append(("v", value.ended, size))
        self._sequence("v", v)

    def _may_be_cached(self, value: MaybeCached) -> None:
        """What may be cached, by place: nothing goes by the order in which it came."""
        for places in (value.entries, value.tables):
            found = [(*place, *entry) for place, entries in places.items() for entry in entries]
            found.sort()
            self._out.append(found)

    def _memory(self, value: BornMem) -> None:
        """Pages in use, free ones in their order, and how often each was either; tables stand with their addresses."""
        self._out += (tuple(value.pages_in_use()), tuple(value.births), tuple(value.births.values()))
        self._fields_of(value)

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it."""
        self._out.append(("m", self._busy.get(id(value), -1)))
        self._values((value.owner, value.word))

    def _lwp(self, value: Lwp) -> None:
        """An LWP; what its frames hold changes when it moves, and then only."""
        assert self._machine is not None
        before, self._moved = self._moved, self._machine.moved.get(id(value), 0)
        self._object(value)
        self._moved = before

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """Position, the variables that can still be read, and what lies on the frame's stack (loops, calls)."""
        moved, frame = self._frames.get(id(value), (-1, None))
        if frame is None or moved != self._moved or moved < 0:
            frame = frame_of(value)
            self._frames[id(value)] = self._moved, frame
        self._out.append(frame.position)
        self._sequence("g", frame.holds)

    def _iterator(self, value: Any) -> None:
        """How far an iterator has come, as copying would have it."""
        parts = value.__reduce__()
        self._keep.append(parts)
        self._sequence(type(value).__name__, parts[1:])

    def _function(self, value: Any) -> None:
        """A function by its name and what it closes over; a method by its object, too."""
        self._out.append((value.__module__, value.__qualname__))
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            self._values((owner,))
        self._values(getattr(value, "__closure__", None) or ())

    def _cell(self, value: CellType) -> None:
        self._values((value.cell_contents,))

    def _constant(self, value: Any) -> None:
        """Something that never changes, by the number at which it was met."""
        self._out.append(type(value).__qualname__)

    def _site(self, value: Site) -> None:
        self._out.append(str(value))

    def _enum(self, value: Enum) -> None:
        self._out.append(value.name)

    def _class(self, value: type) -> None:
        self._out.append(value.__qualname__)

    def _object(self, value: Any) -> None:
        self._out.append(type(value).__qualname__)
        self._fields_of(value)

    def _fields_of(self, value: Any) -> None:
        """All fields of an object but those that are left out."""
        kind = type(value)
        get = self._fields.get(kind)
        if get is None:
            get = self._fields[kind] = _getter(_fields(value))
        self._values(get(value))


def _fields(value: Any) -> tuple[str, ...]:
    """Names of an object's fields, in an order of their own."""
    names = set(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
        names -= FIELDS_LEFT_OUT.get(base, set())
    return tuple(sorted(names - {"__dict__", "__weakref__"}))


def _getter(names: tuple[str, ...]) -> Callable[[Any], Iterable[Any]]:
    """What fetches these fields, all at once where they are all set."""
    at_once: Callable[[Any], tuple[Any, ...]] | None = attrgetter(*names) if len(names) > 1 else None

    def get(value: Any) -> Iterable[Any]:
        if at_once is not None:
            try:
                return at_once(value)
            except AttributeError:
                pass
        return [getattr(value, name, "unset") for name in names]

    return get


Handler = Callable[[Fingerprint, Any], None]
_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()),
)  # fmt: skip
_ITERATORS = tuple(map(type, _EXAMPLES))
_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._list, dict: Fingerprint._dict, Counter: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, Words: Fingerprint._words,
    MaybeCached: Fingerprint._may_be_cached, BornMem: Fingerprint._memory, Mutex: Fingerprint._mutex,
    Lwp: Fingerprint._lwp, GeneratorType: Fingerprint._generator, CellType: Fingerprint._cell, Site: Fingerprint._site,
    range: Fingerprint._iterator,
    **dict.fromkeys(_CALLABLES, Fingerprint._function), **dict.fromkeys(_ITERATORS, Fingerprint._iterator),
    **dict.fromkeys(LEFT_OUT, Fingerprint._constant),
}  # fmt: skip


def _handler_for(kind: type) -> Handler:
    """How a class met for the first time is written down; TypeError for what cannot be looked into."""
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
    return Fingerprint._object
