"""What the kernel's steps do in an exploration: to memory through store buffers, to mutexes, to what may be cached;
:mod:`sim.explore.registers` has what they do to registers.

Each handler makes the step's effect and adds what it touched to the transition's footprint (None: a private step).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from sim.explore.cached import translate
from sim.explore.judges.judge import Judge
from sim.explore.machine import Buffered, Machine
from sim.explore.model import ENABLES, NEEDS, READ, SPINS, WRITE, Footprint
from sim.explore.registers import REGISTERS
from sim.explore.trace import Trace
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, A, D, P, U, W
from sim.hardware.steps import Access, Op, Step, conditions

WALKS = object()  # stands for an access that was not made, but a walk that it waits for


class Effects:
    """Makes the effects of steps on a machine, tells the judges, and notes what was done.

    Attributes:
        met: what the accesses of the transition under way have met; ``to_meet``: what they meet if it is made again.
        sends: how many private steps followed its first.
    """

    def __init__(self, machine: Machine, judge: Judge, trace: Trace) -> None:
        self.machine = machine
        self.judge = judge
        self.trace = trace
        self.kernel = machine.kernel
        self.mem = machine.mem
        self.caches = machine.caches
        self.named = judge.view.named
        self.read = machine.read
        self.met: list[Any] = []
        self.sends = 0
        self.to_meet: Iterator[Any] = iter(())
        self.mailbox, self.pending = judge.lifetimes.mailbox, judge.lifetimes.pending

    # --- memory -----------------------------------------------------------------------------------------------------

    def write(self, words: Words, index: int, value: Any) -> None:
        """A store becomes visible; if tables change, every CPU may cache what they lead to now."""
        table = id(words) in self.mem.table_of
        if table:
            self._overwrites(words, index)
            if value & W and not words.v[index] & W:
                self.judge.uses.granted(words, index)
        words.v[index] = value
        if table:
            for cpu in range(self.machine.n):
                self.machine.refresh(cpu)
            self.judge.uses.learn()

    def _overwrites(self, words: Words, index: int) -> None:
        """An entry of a table is about to change: what waited for its A is in no TLB."""
        va = self.machine.walks.overwritten(words, index)
        if va is not None:
            pa = words.v[index] & FRAME
            for cache in self.caches:
                cache.never_walked(va, (pa, self.mem.births.get(pa, 0)))

    def looks(self, words: Words, index: int) -> Footprint:
        """The kernel looks at an entry or changes it: if a user's page is mapped there, whether A is set matters."""
        entry = words.v[index]
        if id(words) not in self.mem.table_of or entry & (P | U) != P | U or entry & FRAME in self.mem.tables:
            return ()
        self.machine.walks.looked(words, index)
        return ((("ad", words.name, index), READ),)

    def drain(self, cpu: int) -> Footprint:
        """The oldest buffered store reaches memory."""
        machine = self.machine
        words, index, value, serial, mutex = machine.buffers[cpu].popleft()
        order: Hashable = ("p", cpu, serial)
        if words is None:
            assert mutex is not None
            machine.busy.pop(id(mutex), None)
            if self.trace.on:
                self.trace.note(f"store buffer drains: {mutex.name} free")
            self.judge.user_mode.released(mutex)
            return ((mutex.name, ENABLES), (order, NEEDS), (("e", cpu), ENABLES), *machine.touched.take())
        looked = self.looks(words, index)
        self.write(words, index, value)
        if self.trace.on:
            self.trace.note(f"store buffer drains: {words.word_name(index)} = {self.named.word(words, value)}")
        return (((words.name, index), WRITE), (order, NEEDS), (("e", cpu), ENABLES), *looked, *machine.touched.take())

    # --- steps ------------------------------------------------------------------------------------------------------

    def _load(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        if step[1].needs:
            self.judge.entry_code.needs(cpu, step[1])
        value = self.read(cpu, words, index)
        self.judge.locks.loads(cpu, words)
        self.judge.guards.loads(cpu, words, step[1])
        if touched is not None:
            touched += [((words.name, index), READ), *self.looks(words, index)]
            if words is self.mailbox:
                self.judge.lifetimes.reads_mailbox(cpu, step[1])
            if self.trace.on:
                self.trace.note(f"{step[1]}: load {words.word_name(index)} -> {self.named.word(words, value)}")
        return value

    def _store(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        words, index, value = step[2], step[3], step[4]
        self.judge.locks.stores(cpu, words, step[1])
        self.judge.guards.stores(cpu, words, step[1], words.v[index], value, locked=False)
        if touched is None or not words.shared:
            words.v[index] = value
            return
        if self.trace.on:
            self.trace.note(f"{step[1]}: store {words.word_name(index)} = {self.named.word(words, value)}")
        if not self.machine.tso:
            touched += [((words.name, index), WRITE), *self.looks(words, index)]
            self.write(words, index, value)
            return
        self.buffer(cpu, (words, index, value, self.machine.serial[cpu], None), touched)

    def buffer(self, cpu: int, entry: Buffered, touched: list[Any]) -> None:
        self.machine.buffers[cpu].append(entry)
        touched.append((("p", cpu, self.machine.serial[cpu]), ENABLES))
        self.machine.serial[cpu] += 1

    def _rmw(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        old = words.v[index]
        new = step[4](old, step[5])
        if new != old:
            self.judge.locks.stores(cpu, words, step[1])
            self.judge.locks.reaches(cpu, words)
            self.judge.guards.stores(cpu, words, step[1], old, new, locked=True)
        if touched is not None:
            touched += [((words.name, index), int(new != old)), *self.looks(words, index)]
            if words is self.pending:
                self.judge.lifetimes.acknowledged(cpu)
            if not old and new != old and (words is self.pending or words is self.mailbox):
                self.judge.locks.mailbox(cpu, step[1])
            if self.trace.on:
                before, after = self.named.word(words, old), self.named.word(words, new)
                self.trace.note(f"{step[1]}: locked {words.word_name(index)} {before} -> {after}")
        if new != old:
            self.write(words, index, new)
        return old

    def _acquire(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        mutex = step[2]
        assert touched is not None
        touched.append((mutex.name, NEEDS))
        self.machine.busy[id(mutex)] = cpu
        mutex.owner = self.kernel.cpus[cpu].cpu
        if self.trace.on:
            self.trace.note(f"{step[1]}: {mutex.name} taken")
        self.judge.locks.acquired(cpu, mutex)
        self.judge.guards.mutex(cpu, mutex, step[1])

    def _release(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        mutex = step[2]
        assert touched is not None
        mutex.owner = None
        self.judge.locks.releasing(cpu, mutex)
        self.judge.guards.mutex(cpu, mutex, step[1])
        if self.trace.on:
            self.trace.note(f"{step[1]}: {mutex.name} released")
        if self.machine.tso:
            self.buffer(cpu, (None, 0, 0, self.machine.serial[cpu], mutex), touched)
            return
        touched.append((mutex.name, ENABLES))
        self.machine.busy.pop(id(mutex), None)
        self.judge.user_mode.released(mutex)

    def _wait(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        assert touched is not None
        touched += [((polled.name, at), SPINS) for polled, at, _ in conditions(step)]
        if self.trace.on:
            self.trace.note(
                f"{step[1]}: {words.word_name(index)} is {self.named.word(words, self.read(cpu, words, index))}"
            )
        return self.read(cpu, words, index)

    def _mwait(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        assert touched is not None
        touched.append(((step[2].name, step[3]), SPINS))
        if self.trace.on:
            self.trace.note(f"{step[1]}: a store to {step[2].word_name(step[3])} ends the wait")

    def _access(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        if step[0] is Op.TOUCH:
            pairs, user = step[2][step[3] :], step[4]
        else:
            pairs, user = ((step[2], step[3]),), step[4]
        root, uses = self.kernel.cpus[cpu].cpu.cr3_pa, self.judge.uses
        for at, (va, kind) in enumerate(pairs):
            of_kernel = va in uses.kernel_vas
            followed = of_kernel or va < self.machine.user_limit
            if touched is not None:
                whose = self.kernel.pmap_kernel if of_kernel else self.machine.current[cpu].l_proc
                words = translate(self.mem, root, va)[1]
                touched += [((w.name, i), READ) for w, i in words]
                touched += [(("ad", w.name, i), READ) for w, i in words[-1:]]  # a walk sets A before
                touched.append((("promised", whose.name), READ))
            fault = uses.access(cpu, va, kind, user, step[1])
            if followed and self.trace.on:
                self.trace.note(
                    f"{step[1]}: {kind.name.lower()} {self.named.address(va)} {'faults' if fault else 'ok'}"
                )
            if fault is not None:
                self.met.append(fault if step[0] is Op.ACCESS else at + step[3])
                return self.met[-1]
            if of_kernel:
                self.walked(root, va, A | D if kind is Access.WRITE else A, touched)
        self.met.append(None if step[0] is Op.ACCESS else -1)
        return self.met[-1]

    def walked(self, root: int, va: int, bits: int, touched: list[Any] | None) -> None:
        """The walk of an access has set A, and D of a page that is written, where they were clear."""
        table, index = translate(self.mem, root, va)[1][-1]
        entry = table.v[index]
        if entry & bits != bits:
            self.write(table, index, entry | bits)
            if touched is not None:
                touched.append(((table.name, index), WRITE))

    def nothing(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        if step[0] is Op.USER and self.trace.on:
            self.trace.note(str(step[1]))


Effect = Callable[[Effects, int, Step, list[Any] | None], Any]
_DO: dict[Op, Effect] = {
    **REGISTERS,
    Op.LOAD: Effects._load,
    Op.STORE: Effects._store,
    Op.RMW: Effects._rmw,
    Op.ACQUIRE: Effects._acquire,
    Op.RELEASE: Effects._release,
    Op.WAIT: Effects._wait,
    Op.MWAIT: Effects._mwait,
    Op.ACCESS: Effects._access,
    Op.TOUCH: Effects._access,
    Op.WORK: Effects.nothing,
    Op.USER: Effects.nothing,
    Op.COST: Effects.nothing,
    Op.TIMER: Effects.nothing,
    Op.SWITCH: Effects.nothing,  # the driver goes on with the other LWP
    Op.HALT: Effects.nothing,  # the driver waits
}
DO: list[Effect] = [_DO[op] for op in Op]  # by Op, which is a number
