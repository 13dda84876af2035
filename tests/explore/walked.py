"""A state written down in the plainest way: depth first, field by field, with nothing kept from one state to the next.

It shares with the fingerprint what is left out, and where a frame's variables are found; how values, containers,
frames and fields are written, and which of them are one and the same, it says in its own way.
"""

from __future__ import annotations

import gc
from collections import deque
from enum import Enum
from types import BuiltinFunctionType, CellType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

from sim.explore.cached import BornMem, MaybeCached
from sim.explore.frames import shape_of
from sim.explore.left_out import FIELDS_LEFT_OUT, LEFT_OUT
from sim.explore.machine import Machine
from sim.explore.run import KernelRun
from sim.explore.touched import Touched
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.sites import Site

ATOMS = (int, str, bool, float, bytes, type(None))
FRAMES = {"frames"}  # which the fingerprint writes in its own way
TABLES = {"_tables", "_stale"}


class Walked:
    """One state in words."""

    def __init__(self, run: KernelRun) -> None:
        Touched.now = Touched()
        self.machine: Machine = run.machine
        self.number: dict[int, int] = {}
        self.kept: list[Any] = []
        judge = run.judge
        buffers = [[entry[:3] + entry[4:] for entry in buffer] for buffer in run.machine.buffers]
        self.roots = (run.machine, run.state, judge.uses, judge.locks, judge.lifetimes, judge.protected, judge.modified)
        self.text = " ".join(self.say(part) for part in (*self.roots, *buffers))

    def say(self, value: Any) -> str:
        """A value, or the number of an object that was met before."""
        if type(value) in ATOMS:
            return repr(value)
        if type(value) is tuple:
            return f"({self.all(value)})"
        if isinstance(value, (Site, Enum, type)):
            return f"{type(value).__name__}:{value}"
        if id(value) in self.number:
            return f"#{self.number[id(value)]}"
        self.number[id(value)] = len(self.kept)
        self.kept.append(value)
        return f"{type(value).__name__}<{self.inside(value)}>"

    def all(self, values: Any) -> str:
        """Values, one after the other."""
        return ", ".join(map(self.say, values))

    def inside(self, value: Any) -> str:
        """What an object holds."""
        if isinstance(value, (list, deque, tuple)):
            return self.all(value)
        if isinstance(value, dict):
            return self.all(value) + " : " + self.all(value.values())
        if isinstance(value, (set, frozenset)):
            return self.all(sorted(value, key=repr))
        if isinstance(value, LEFT_OUT) and all(value is not root for root in self.roots):
            return ""
        if isinstance(value, Words):
            return f"{value.ended} {self.all(list(value.v))}"
        if isinstance(value, MaybeCached):
            return repr([sorted((key, sorted(found)) for key, found in places.items() if found)
                         for places in (value.entries, value.tables)])  # fmt: skip
        if isinstance(value, GeneratorType):
            return self.frame(value)
        if isinstance(value, CellType):
            return self.say(value.cell_contents)
        if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType)):
            owner = getattr(value, "__self__", None)
            closure = getattr(value, "__closure__", None) or ()
            return (
                f"{value.__qualname__} {'' if isinstance(owner, ModuleType) else self.say(owner)} {self.all(closure)}"
            )
        if type(value).__module__ == "builtins":  # iterators
            self.kept.append(parts := value.__reduce__())
            return self.all(parts[1:])
        return self.fields(value)

    def frame(self, value: GeneratorType[Any, Any, Any]) -> str:
        """A generator: where it stands, what can still be read, and its stack."""
        frame = value.gi_frame
        if frame is None:
            return "ended"
        bound, held = frame.f_locals, gc.get_referents(value)
        shape = shape_of(value.gi_code, bound, frame.f_lasti, held)
        return f"{shape.position} {self.all(held[place] for place in shape.kept)}"

    def fields(self, value: Any) -> str:
        """All slots and entries of an object, by their names."""
        left_out = set().union(*(FIELDS_LEFT_OUT.get(base, ()) for base in type(value).__mro__)) - FRAMES - TABLES
        found = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__"):
                    try:
                        found[name] = base.__dict__[name].__get__(value)
                    except AttributeError:
                        found[name] = "unset"
        said = [f"{name}={self.say(found[name])}" for name in sorted(found.keys() - left_out)]
        if isinstance(value, Mutex):
            said = [f"{self.say(value.owner)} {self.say(value.word)} {self.machine.busy.get(id(value))}"]
        if isinstance(value, BornMem):
            said.append(f"{value.pages_in_use()} {value.births}")
        return "; ".join(said)
