"""A number for the whole state of an execution: equal numbers, equal futures.

The state is everything that can be reached from the machine, the litmus program's progress and the judges: memory,
registers, store buffers, what may be cached, interrupts, run queues, and the generators of all LWPs with their position
and whatever they hold, named or not.  It is found by walking the objects, not by a list of what matters, so that
nothing a procedure keeps can be forgotten; what is left out is listed below, with the reason.  Objects are numbered as
they are met: where they lie in Python's memory makes no difference, and which of them are one and the same does.

Two states that differ only in the physical addresses of their pages are taken for different: that costs work, never a
verdict.  Numbers have 128 bits (BLAKE2b); among a million states two share one with a chance below 10^-26.
"""

from __future__ import annotations

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

from sim.explore.cached import BornMem
from sim.explore.judges.at_rest import AtRest
from sim.explore.judges.judge import Judge
from sim.explore.judges.locks import Locks
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.view import View
from sim.explore.litmus import Litmus
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
from sim.kernel.rwlock import RwLock

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
    BornMem: {"table_of"},  # noted with each table
    Kernel: {"_with_stack"},  # made when it is first asked for, from what is walked
    Locks: {"_updirs"},  # fixed once exploration begins
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
        words = value.v
        self._out.append(("w", self._table_of.get(id(value), 0), value.ended))
        self._sequence("v", words)

    def _mutex(self, value: Mutex) -> None:
        """Who holds it, for itself and as others see it."""
        self._out.append(("m", self._busy.get(id(value), -1)))
        self._walk(value.owner)
        self._walk(value.word)

    def _generator(self, value: GeneratorType[Any, Any, Any]) -> None:
        """Position, names bound, and all that the frame holds: locals, then what lies on its stack (loops, calls)."""
        frame = value.gi_frame
        if frame is None:
            self._out.append("ended")
            return
        self._out.append((value.gi_code.co_qualname, value.gi_code.co_firstlineno, frame.f_lasti, *frame.f_locals))
        held = [part for part in gc.get_referents(value) if type(part) not in _STATIC]
        self._keep.append(held)
        self._sequence("g", held)

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


Handler = Callable[[Fingerprint, Any], None]
_STATIC = frozenset({CodeType, FrameType, FunctionType, ModuleType})
_EXAMPLES: tuple[Any, ...] = (
    iter(()), iter([]), iter(range(1)), iter(range(1 << 70)), iter({}), iter({}.values()), iter({}.items()),
    iter(set()), iter(""), iter(deque()), reversed([]), reversed(()), enumerate(()), zip(()),
)  # fmt: skip
_ITERATORS = tuple(map(type, _EXAMPLES))
_HANDLERS: dict[type, Handler] = {
    list: Fingerprint._list, deque: Fingerprint._list, dict: Fingerprint._dict, Counter: Fingerprint._dict,
    set: Fingerprint._set, frozenset: Fingerprint._set, Words: Fingerprint._words, Mutex: Fingerprint._mutex,
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
