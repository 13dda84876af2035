"""A recorded passage as a Python function: what has to hold, then what happens, in straight lines.

Step by step nearly all of a passage's time goes into finding out what comes next, which is known here.  The function
takes the time and the time of whatever comes next, and returns DIFFERS where something that was read is not as it was,
LATE where there is no room, None where everything has happened, or else the steps that are left to be made one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from sim.hardware.steps import (
    ACCESS,
    ACQUIRE,
    CLI,
    CR3,
    INVLPG,
    INVPCID,
    PGE,
    REG,
    RELEASE,
    RMW,
    SPL,
    STI,
    STORE,
    Step,
)
from sim.timed.passages.recording import LIVE, UNSEEN, Entry, Line, Passage
from sim.timed.passages.views import MISSING
from sim.timed.passages.watch import Read

DIFFERS, LATE = 1, 2
Played = Callable[[int, int], Any]
CALLS = {CR3: "write_cr3", PGE: "write_pge", INVLPG: "invlpg", INVPCID: "invpcid"}


class Machine(NamedTuple):
    """What the function works on; *left* and *stop* make the steps that are left after, or before, a step."""

    cpu: Any
    core: Any
    clock: Any
    account: Any
    watchers: Any
    locks: Any
    add: Callable[[str, int], None]
    access: Callable[[Step], int]
    touch: Callable[[Step], int]
    left: Callable[[Passage, int, int], Any]
    stop: Callable[[Passage, int, int], Any]


class Source:
    """The text of one function, and the objects that it names."""

    def __init__(self, passage: Passage, machine: Machine) -> None:
        self._passage = passage
        self._index: int = machine.core.index
        self._objects: list[Any] = []
        self._names: dict[int, str] = {}
        self._lines: list[str] = []
        self._pending = 0  # cycles of the steps since the clock was last set
        self._machine = machine

    def function(self) -> Played:
        """The function itself."""
        named = dict(self._machine._asdict(), passage=self._passage, MISSING=MISSING)
        self._body()
        arguments = ", ".join([*named, *(f"o{n}" for n in range(len(self._objects)))])
        text = f"def make({arguments}):\n def play(t, limit):\n" + "".join(f"  {line}\n" for line in self._lines)
        space: dict[str, Any] = {}
        exec(_compiled(text + " return play\n"), space)
        played: Played = space["make"](*named.values(), *self._objects)
        return played

    def _say(self, line: str) -> None:
        self._lines.append(line)

    def _name(self, value: Any) -> str:
        """How the function calls a value."""
        if value is None or type(value) in (int, bool, str):
            return repr(value)
        if id(value) not in self._names:
            self._names[id(value)] = f"o{len(self._objects)}"
            self._objects.append(value)
        return self._names[id(value)]

    # --- what has to hold -------------------------------------------------------------------------------------------

    def _body(self) -> None:
        entries = self._passage.entries
        conditions = [self._holds(read) for read in self._passage.reads]
        conditions += [self._free(mutex) for mutex in self._passage.mutexes]
        conditions += [self._here(line) for line in self._passage.lines]
        written = tuple(id(line.words) for line in self._passage.lines if line.write)
        if written:
            conditions.append(f"(not watchers or watchers.keys().isdisjoint({written!r}))")
        self._say(f"if not ({' and '.join(conditions) or 'True'}): return {DIFFERS}")
        self._say(f"if t + {sum(entry.cycles for entry in entries)} >= limit: return {LATE}")
        seen_live = False
        for number, entry in enumerate(entries):
            if seen_live:
                self._look_again(number)
            self._step(number, entry)
            seen_live = seen_live or entry.step[0] in LIVE
        self._end()

    def _value(self, read: Read) -> str:
        """The expression that finds what was read."""
        holder = self._name(read.holder)
        if read.kind == "attribute":
            return f"{holder}.{read.key}"
        if read.kind == "length":
            return f"len({holder})"
        if isinstance(read.holder, dict):
            return f"{holder}.get({self._name(read.key)}, MISSING)"
        return f"{holder}[{read.key}]"

    def _holds(self, read: Read) -> str:
        same = "==" if type(read.value) in (int, str) else "is"
        return f"{self._value(read)} {same} {'MISSING' if read.value is MISSING else self._name(read.value)}"

    def _free(self, mutex: Any) -> str:
        name = self._name(mutex)
        return f"{name}.owner is None and not {name}.waiters"

    def _here(self, line: Line) -> str:
        """Whether this CPU has the line, so that a use of it changes nothing."""
        words = self._name(line.words)
        if line.write:
            alone = f"{words}.sharers.get({line.line}) == {1 << self._index}"
            mine = f"{alone} and {words}.owner.get({line.line}) == {self._index}"
        else:
            mine = f"{words}.sharers.get({line.line}, 0) >> {self._index} & 1"
        return f"(not {words}.shared or {mine})"

    def _look_again(self, number: int) -> None:
        """A walk may have changed words that are read from here on."""
        again = [read for read in self._passage.reads if read.at == number and isinstance(read.holder, list)]
        if again:
            holds = " and ".join(map(self._holds, again))
            self._say(f"if not ({holds}): return stop(passage, {number}, t + {self._pending})")

    # --- what happens -----------------------------------------------------------------------------------------------

    def _step(self, number: int, entry: Entry) -> None:
        step = entry.step
        op = step[0]
        if op in LIVE:
            self._live(number, step)
        elif op in (STORE, RMW):
            self._say(f"{self._name(step[2].v)}[{step[3]}] = {self._name(entry.stored)}")
        elif op in (CLI, STI):
            self._say(f"cpu.intr = {op is STI}")
        elif op is SPL:
            self._say(f"cpu.ipl = {self._name(step[2])}")
        elif op is REG:
            self._say(f"cpu.{step[2]} = {self._name(step[3])}")
        elif op in CALLS:
            self._say(f"cpu.{CALLS[op]}({', '.join(map(self._name, step[2:]))})")
        elif op is ACQUIRE:
            self._say(f"{self._name(step[2])}.owner = cpu; {self._name(step[2])}.since = t + {self._pending}")
        elif op is RELEASE:
            name = self._name(step[2])
            self._say(f"locks.released({self._index}, {name}, t + {self._pending}); {name}.owner = None")
        self._pending += entry.cycles

    def _live(self, number: int, step: Step) -> None:
        """A translation, at its time, by the handler that always makes it."""
        left = sum(entry.cycles for entry in self._passage.entries[number:])
        self._set_clock()
        self._say(f"c = {'access' if step[0] is ACCESS else 'touch'}({self._name(step)})")
        self._say(f"if t + c + {left} >= limit or core.value != {UNSEEN[step[0]]}: return left(passage, {number}, c)")
        self._say("t += c")

    def _set_clock(self) -> None:
        if self._pending:
            self._say(f"t += {self._pending}")
        self._say("clock._now = account.until = t")
        self._pending = 0

    def _end(self) -> None:
        passage = self._passage
        self._set_clock()
        total, owed, counts = sums(passage.entries)
        for name, n in passage.after.items():
            counts[name] = counts.get(name, 0) + n
        self._say("tally = account.charged = account.charging")
        for cause, charged in total.items():
            self._say(f"tally[{cause!r}] = tally.get({cause!r}, 0) + {charged}")
        if passage.entries[-1].charges:
            self._say(f"account.current = {passage.last!r}")
        if owed:
            self._say(f"core.debt[0] += {owed}")
        for name, n in counts.items():
            self._say(f"add({name!r}, {n})")
        for kind, holder, key, value in passage.writes:
            self._write(kind, holder, key, value)

    def _write(self, kind: str, holder: Any, key: Any, value: Any) -> None:
        name = self._name(holder)
        if kind == "attribute":
            self._say(f"{name}.{key} = {self._name(value)}")
        elif value is MISSING:
            self._say(f"{name}.pop({self._name(key)}, None)")
        else:
            self._say(f"{name}[{self._name(key)}] = {self._name(value)}")


def sums(entries: list[Entry]) -> tuple[dict[str, int], int, dict[str, int]]:
    """Charges by cause, what is owed, and counts of some steps."""
    charges: dict[str, int] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        for mine, theirs in ((charges, entry.charges), (counts, entry.counts)):
            for name, n in theirs.items():
                mine[name] = mine.get(name, 0) + n
    return charges, sum(entry.owed for entry in entries), counts


@lru_cache(maxsize=4096)
def _compiled(text: str) -> CodeType:
    """The compiled text; passages of the same form differ in their objects only."""
    return compile(text, "<passage>", "exec")
