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

import functools
import gc
import hashlib
import marshal
from collections import Counter, deque
from collections.abc import Callable, Collection
from enum import Enum
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
from sim.explore.judges.at_rest import AtRest
from sim.explore.judges.judge import Judge
from sim.explore.judges.lifetimes import Lifetimes
from sim.explore.judges.locks import Locks
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus import Litmus
from sim.explore.liveness import live_after
from sim.explore.machine import Machine
from sim.explore.ops import Setting
from sim.explore.run import KernelRun
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import Geometry
from sim.hardware.sites import Site
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.layout import Layout
from sim.kernel.lwp import Lwp
from sim.kernel.rwlock import RwLock
from sim.kernel.shootdown import Packet

# Constant from the start of an execution to its end, or kept for people and statistics only.
LEFT_OUT: tuple[type, ...] = (
    Geometry, Layout, Litmus,  # what the program and the profile fix
    Hooks, Tally, Trace,  # nothing in the model reads them
    Touched,  # empty between transitions
    View, UserMode, AtRest, Judge, Setting,  # no state of their own; what they look at is walked anyway
    FrameType, CodeType, ModuleType,  # a generator's position is its f_lasti
)  # fmt: skip

# Fields of otherwise walked classes that decide nothing.
FIELDS_LEFT_OUT = {
    Words: {"name", "shared", "owner", "sharers"},  # cache lines have owners in timed runs only
    Mutex: {"name", "lock_class", "ipl", "since", "waiters"},  # spinners stand in the CPUs' steps; the rest is constant
    RwLock: {"holders"},  # as the LWPs' positions say
    BornMem: {"table_of", "held"},  # noted with each table
    Kernel: {"_with_stack"},  # made when it is first asked for, from what is walked
    Lwp: {"tallies", "tally", "who", "lines", "key"},  # what timed runs keep
    Packet: {"why"},  # a word for statistics
    # What judges are given as they are made; and what is fixed once exploration begins.
    Locks: {"premise", "broken", "view", "_updirs"},
    Lifetimes: {"premise", "broken", "view", "touched", "mailbox", "pending"},
    Uses: {"premise", "broken", "view", "touched", "tally", "lifetimes", "user_vas"},
    # Numbers of stores only tell races apart; what else buffers hold is written by itself, busy with each mutex.
    Machine: {"serial", "buffers", "busy", "touched"},
}

_PLAIN = frozenset({int, str, bool, float, bytes, type(None)})
_MET = [("=", number) for number in range(4096)]  # what is written for an object met before, made once
_CALLABLES = (FunctionType, BuiltinFunctionType, BuiltinMethodType, MethodType)


class Fingerprint:
    """Fingerprints of states of one program; what is known of classes is kept between calls."""

    def __init__(self) -> None:
        self._fields: dict[type, tuple[str, ...]] = {}
        self._seen: dict[int, int] = {}
        self._out: list[Any] = []
        self._keep: list[object] = []  # what the walk made, lest its id be used again
        self._table_of: dict[int, int] = {}
        self._busy: dict[int, int] = {}

    def of(self, run: KernelRun) -> bytes:
        """The fingerprint of the state that *run* is in."""
        self._seen, self._out, self._keep = {}, [], []
        self._table_of, self._busy = run.machine.mem.table_of, run.machine.busy
        self._fields_of(run.machine)
        for buffer in run.machine.buffers:
            self._sequence("b", [(words, index, stored, mutex) for words, index, stored, _, mutex in buffer])
        for part in (run.state, run.judge.uses, run.judge.locks, run.judge.lifetimes):
            self._fields_of(part)
        # Version 2 of marshal's format writes equal lists as equal bytes; later ones mark objects met before.
        return hashlib.blake2b(marshal.dumps(self._out, 2), digest_size=16).digest()

    def _walk(self, value: Any) -> None:
        """Write a value down."""
        kind = type(value)
        if kind in _PLAIN:
            self._out.append(value)
            return
        if kind is tuple:
            self._sequence("t", value)
            return
        number = self._seen.get(id(value))
        if number is not None:
            self._out.append(_MET[number] if number < len(_MET) else ("=", number))
            return
        self._seen[id(value)] = len(self._seen)
        handler = _HANDLERS.get(kind)
        if handler is None:
            handler = _HANDLERS[kind] = _handler_for(kind)
        handler(self, value)

    def _sequence(self, mark: str, values: Collection[Any]) -> None:
        out = self._out
        out.append((mark, len(values)))
        if _PLAIN.issuperset(map(type, values)):  # most are, and this way they cost next to nothing
            out += values
            return
        for value in values:
            if type(value) in _PLAIN:
                out.append(value)
            else:
                self._walk(value)

    def _list(self, value: Collection[Any]) -> None:
        self._sequence("l", value)

    def _named(self, value: tuple[Any, ...]) -> None:
        """A named tuple, or a step: its class and its fields."""
        self._sequence(type(value).__qualname__, value)

    def _dict(self, value: dict[Any, Any]) -> None:
        """Keys in the order of insertion, which a procedure could go by."""
        self._sequence("d", [part for item in value.items() for part in item])

    def _set(self, value: set[Any]) -> None:
        """In an order of its own: nothing in the model goes by the order of a set."""
        self._sequence("s", sorted(value, key=repr))

    def _words(self, value: Words) -> None:
        """Values of memory; a table's address, or 0, by the memory's own list; whether its life is over."""
        pa = self._table_of.get(id(value), 0)
        if pa:  # a table: numbers
            self._out.append((pa, *value.v))
            return
        self._out.append(("w", value.ended))
        self._sequence("v", value.v)

    def _may_be_cached(self, value: MaybeCached) -> None:
        """What may be cached, by place: nothing goes by the order in which it came."""
        for places in (value.entries, value.tables):
            found = [(*place, *entry) for place, entries in places.items() for entry in entries]
            found.sort()
            self._sequence("c", [part for entry in found for part in entry])

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it."""
        self._out.append(("m", self._busy.get(id(value), -1)))
        self._walk(value.owner)
        self._walk(value.word)

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """Position, the variables that can still be read, and what lies on the frame's stack (loops, calls)."""
        frame = value.gi_frame
        if frame is None:
            self._out.append("ended")
            return
        code, bound, at = value.gi_code, frame.f_locals, frame.f_lasti
        live = _live(code)[at]
        held = gc.get_referents(value)  # the frame's variables in the order of the code's, then its stack
        self._keep.append(held)
        names = [name for name in _variables(code) if name in bound]
        first = _place([bound[name] for name in names], held)
        kept = [name for name in names if name in live]
        self._out.append((code.co_qualname, code.co_firstlineno, at, *kept))
        self._sequence("g", [*(bound[name] for name in kept), *held[first + len(names) :]])

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
            self._walk(owner)
        for cell in getattr(value, "__closure__", None) or ():
            self._walk(cell)

    def _cell(self, value: CellType) -> None:
        self._walk(value.cell_contents)

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
        fields = self._fields.get(kind)
        if fields is None:
            fields = self._fields[kind] = _fields(value)
        out, get, walk = self._out, object.__getattribute__, self._walk  # past classes that note who looks at them
        for name in fields:
            try:
                field = get(value, name)
            except AttributeError:
                out.append("unset")
                continue
            if type(field) in _PLAIN:
                out.append(field)
            else:
                walk(field)


def _fields(value: Any) -> tuple[str, ...]:
    """Names of an object's fields, in an order of their own."""
    names = set(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
        names -= FIELDS_LEFT_OUT.get(base, set())
    return tuple(sorted(names - {"__dict__", "__weakref__"}))


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
        for at, value in enumerate(values, first):
            part = held[at]
            if part is not value and not (type(part) is CellType and part.cell_contents is value):
                break
        else:
            return first
    raise TypeError("the variables of a generator are not among what it refers to")


Handler = Callable[[Fingerprint, Any], None]
_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()),
)  # fmt: skip
_ITERATORS = tuple(map(type, _EXAMPLES))
_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._list, dict: Fingerprint._dict, Counter: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, Words: Fingerprint._words,
    MaybeCached: Fingerprint._may_be_cached, Mutex: Fingerprint._mutex,
    GeneratorType: Fingerprint._generator, CellType: Fingerprint._cell, Site: Fingerprint._site,
    range: Fingerprint._iterator,
    **dict.fromkeys(_CALLABLES, Fingerprint._function), **dict.fromkeys(_ITERATORS, Fingerprint._iterator),
    **dict.fromkeys(LEFT_OUT, Fingerprint._constant),
}  # fmt: skip


def _handler_for(kind: type) -> Handler:
    """How a class met for the first time is written down; TypeError for what cannot be looked into."""
    if issubclass(kind, LEFT_OUT):
        return Fingerprint._constant
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
