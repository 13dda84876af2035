"""The CPUs' page walkers as actors: they set A and D, each by one locked update that looks at the entry once more.

An access in user space that needs a bit that is not set waits until a walk has set it: that is a transition of its own,
so others may act before it, and between it and the access.  Other walks come when they like
(:mod:`sim.explore.walks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sim.explore.cached import translate
from sim.explore.effects import Effects
from sim.explore.machine import Machine
from sim.explore.model import NEEDS, READ, WRITE, Footprint, Wait
from sim.explore.model import Access as Touch
from sim.explore.named import address
from sim.explore.trace import Trace
from sim.explore.walks import Place
from sim.hardware.paging import FRAME, A, D, locked_update
from sim.hardware.steps import Access, Op, Step


class Need(NamedTuple):
    """An access that cannot go on yet: its address, the words on the way of its walk, and whether it writes."""

    va: int
    words: tuple[Place, ...]
    write: bool


def accesses(step: Step) -> Sequence[tuple[int, Access]]:
    """The accesses that a step is still to make: addresses and kinds."""
    if step[0] is Op.TOUCH:
        return step[2][step[3] :] if step[3] else step[2]  # type: ignore[no-any-return]
    return ((step[2], step[3]),) if step[0] is Op.ACCESS else ()


class Walkers:
    """Makes their transitions."""

    def __init__(self, machine: Machine, effects: Effects, trace: Trace) -> None:
        self.machine = machine
        self.effects = effects
        self.trace = trace

    def need(self, cpu: int) -> Need | None:
        """What the CPU's pending step waits for, if it is an access of user space that lacks A or D."""
        machine, step = self.machine, self.machine.steps[cpu]
        for va, kind in accesses(step):
            if va >= machine.user_limit:
                return None
            found, words = translate(machine.mem, machine.kernel.cpus[cpu].cpu.cr3_pa, va)
            if found is None or machine.fault(cpu, va, kind, step[4]) is not None:
                return None
            table, index = words[-1]
            if locked_update(table.v[index], kind is Access.WRITE) != table.v[index]:
                return Need(va, words, kind is Access.WRITE)
        return None

    def due(self) -> list[int]:
        """The walks that can come now and make a difference: somebody looked at their entry, or is about to."""
        machine, walks = self.machine, self.machine.walks
        at = [(step[2], step[3]) for step in machine.steps if step[0] <= Op.RMW]
        at += [(buffer[0][0], buffer[0][1]) for buffer in machine.buffers if buffer and buffer[0][0] is not None]
        return sorted(walks.seen | walks.at(at))

    def waits(self, number: int) -> Wait:
        """What a walk that cannot come now waits for: somebody who comes to its entry, or makes it reachable."""
        actors = tuple(range(2 * self.machine.n)) if number in self.machine.walks.waiting else ()
        return Wait(actors, (("walk", number),))

    def walk(self, cpu: int, need: Need) -> Footprint:
        """The walk that the CPU's pending access waits for; the access is made in a later transition."""
        touched: list[Touch] = [(("c", cpu), WRITE), *self._update(cpu, need.va, need.words, write=need.write)]
        return (*touched, *self.machine.touched.take())

    def walk_early(self, number: int) -> Footprint:
        """A walk that comes by itself."""
        va, words, sets = self.machine.walks.take(number)
        touched: list[Touch] = [(("walk", number), NEEDS)]
        if sets:
            touched += self._update(None, va, words, write=False)
        else:
            touched += [((table.name, index), READ) for table, index in words]
            if len(words) == self.machine.mem.geometry.levels:
                touched.append((("ad", words[-1][0].name, words[-1][1]), WRITE))
            self.trace.note(f"page walk to {address(self.machine.kernel, va)}: nothing to set")
        return (*touched, *self.machine.touched.take())

    def leads(self, cpu: int, number: int) -> bool:
        """Whether the tables that a CPU has loaded lead to the entry of a walk."""
        machine = self.machine
        va, words, _ = machine.walks.place(number)
        return translate(machine.mem, machine.kernel.cpus[cpu].cpu.cr3_pa, va)[1][-1:] == words[-1:]

    def _update(self, cpu: int | None, va: int, words: tuple[Place, ...], *, write: bool) -> list[Touch]:
        """The locked update of the last of *words*: its effect, and what is touched."""
        machine, (table, index) = self.machine, words[-1]
        old = table.v[index]
        new = locked_update(old, write)
        if not old & A:
            page = old & FRAME, machine.mem.births.get(old & FRAME, 0)
            for cache in machine.caches:
                cache.walked(va, page)
        if self.trace.on:
            bits = " and ".join(name for name, bit in (("A", A), ("D", D)) if (new ^ old) & bit)
            who = "" if cpu is None else f" of cpu{cpu}"
            self.trace.note(
                f"page walk{who} to {address(machine.kernel, va)}: locked {table.word_name(index)} gets {bits}"
            )
        table.v[index] = new & ~D | old & D
        if (new ^ old) & D:
            pmap = machine.walks.owner(va, table, index)
            if pmap is not None:
                self.effects.judge.modified.sets(pmap, va, (old & FRAME, machine.mem.births.get(old & FRAME, 0)))
            self.effects.write(table, index, new)
        # What is cached for writing depends on D; that A is set makes a difference to those alone who look for it.
        found: list[Touch] = [((word.name, at), READ) for word, at in words]
        if (new ^ old) & D:
            found.append(((table.name, index), WRITE))
        return [*found, (("ad", table.name, index), WRITE)]
