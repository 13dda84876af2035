"""The text of a function that is made of a passage: statements, and names for the objects in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from sim.hardware.steps import CLI, REG, RMW, SPL, STI, STORE
from sim.timed.passages.passage import Entry, Line
from sim.timed.passages.views import MISSING
from sim.timed.passages.watch import Read

SMALL = 2  # integers below stand in the text, so that one text does for most CPUs and LWPs


class Text:
    """One function's text, and the objects that it names."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._names: dict[object, str] = {}
        self._lines: list[str] = []

    def function(self, head: str, named: Mapping[str, Any]) -> Callable[..., Any]:
        """The function itself; *head*: its name and what it takes, *named*: further objects by their names.

        All objects are defaults of its own, not variables around it: so they lie side by side, and are its locals.
        """
        names = [*named, *(f"o{n}" for n in range(len(self._objects)))]
        name, taken = head.rstrip(")").split("(")
        body = "".join(f"  {line}\n" for line in self._lines)
        text = f"def {name}({taken}, {', '.join(f'{n}={n}' for n in names)}):\n{body}"
        space: dict[str, Any] = {}
        exec(_compiled(f"def make({', '.join(names)}):\n {text} return {name}\n"), space)
        made: Callable[..., Any] = space["make"](*named.values(), *self._objects)
        return made

    def say(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def name(self, value: Any) -> str:
        """How the function calls a value."""
        if value is None or type(value) in (bool, str) or type(value) is int and abs(value) < SMALL:
            return repr(value)
        if type(value) is int:  # texts that differ in these alone are compiled once
            return self._name_of(("int", value), value)
        return self._name_of(id(value), value)

    def _name_of(self, key: object, value: Any) -> str:
        if key not in self._names:
            self._names[key] = f"o{len(self._objects)}"
            self._objects.append(value)
        return self._names[key]

    def _value(self, read: Read) -> str:
        """The expression that finds what was read."""
        holder = self.name(read.holder)
        if read.kind == "attribute":
            return f"{holder}.{read.key}"
        if read.kind == "length":
            return f"len({holder})"
        if isinstance(read.holder, dict):
            return f"{holder}.get({self.name(read.key)}, MISSING)"
        return f"{holder}[{read.key}]"

    def holds(self, read: Read) -> str:
        """Whether what was read is as it was."""
        same = "==" if type(read.value) in (int, str) else "is"
        return f"{self._value(read)} {same} {'MISSING' if read.value is MISSING else self.name(read.value)}"

    def here(self, line: Line, cpu: int) -> str:
        """Whether the CPU has the line, so that a use of it changes nothing."""
        words = self.name(line.words)
        if line.write:
            alone = f"{words}.sharers.get({line.line}) == {self._name_of('mask', 1 << cpu)}"
            mine = f"{alone} and {words}.owner.get({line.line}) == {self._name_of('index', cpu)}"
        else:
            mine = f"{words}.sharers.get({line.line}, 0) >> {self._name_of('index', cpu)} & 1"
        return f"(not {words}.shared or {mine})"

    def change(self, kind: str, holder: Any, key: Any, value: Any) -> None:
        """Write a value where the procedure has."""
        name = self.name(holder)
        if kind == "attribute":
            self.say(f"{name}.{key} = {self.name(value)}")
        elif value is MISSING:
            self.say(f"{name}.pop({self.name(key)}, None)")
        else:
            self.say(f"{name}[{self.name(key)}] = {self.name(value)}")

    def effect(self, entry: Entry) -> None:
        """Write what a step leaves in a word or in a register of the CPU."""
        op, _, *operands = entry.step
        if op in (STORE, RMW):
            self.say(f"{self.name(operands[0].v)}[{operands[1]}] = {self.name(entry.stored)}")
        elif op in (CLI, STI):
            self.say(f"cpu.intr = {op is STI}")
        elif op is SPL:
            self.say(f"cpu.ipl = {self.name(operands[0])}")
        elif op is REG:
            self.say(f"cpu.{operands[0]} = {self.name(operands[1])}")


@lru_cache(maxsize=4096)
def _compiled(text: str) -> CodeType:
    """The compiled text; passages of the same form differ in their objects only."""
    return compile(text, "<passage>", "exec")
