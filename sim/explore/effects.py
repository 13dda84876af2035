"""What the kernel's steps do in an exploration: to memory through store buffers, to mutexes, to what may be cached.

Each handler makes the step's effect and adds what it touched to the transition's footprint (None: a private step).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from sim.explore.cached import translate
from sim.explore.judges.judge import Judge
from sim.explore.machine import Buffered, Machine
from sim.explore.model import ENABLES, NEEDS, READ, SPINS, WRITE, Broken, Footprint, Violation
from sim.explore.named import Named, cpu_set
from sim.explore.trace import Trace
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.paging import FRAME, A, D, P, U
from sim.hardware.steps import Access, Op, Step, conditions

VECTORS = ((VECTOR_TLB,), (VECTOR_RESCHED,), (VECTOR_TIMER, VECTOR_DEVICE), (VECTOR_NMI,))
SLOT_OF = {vector: i for i, group in enumerate(VECTORS) for vector in group}
VECTOR_NAMES = {
    VECTOR_TLB: "TLB IPI",
    VECTOR_RESCHED: "reschedule IPI",
    VECTOR_TIMER: "timer interrupt",
    VECTOR_DEVICE: "device interrupt",
    VECTOR_NMI: "NMI",
}


class Effects:
    """Makes the effects of steps on a machine, tells the judges, and notes what was done."""

    def __init__(self, machine: Machine, judge: Judge, trace: Trace) -> None:
        self.machine = machine
        self.judge = judge
        self.trace = trace
        self.kernel = machine.kernel
        self.mem = machine.mem
        self.caches = machine.caches
        self.named = Named(machine.kernel, machine.mem)
        self.read = machine.read
        self.mailbox, self.pending = judge.lifetimes.mailbox, judge.lifetimes.pending

    # --- memory -----------------------------------------------------------------------------------------------------

    def write(self, words: Words, index: int, value: Any) -> None:
        """A store becomes visible; if tables change, every CPU may cache what they lead to now."""
        table = id(words) in self.mem.table_of
        if table:
            self._overwrites(words, index)
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

    def _looks(self, words: Words, index: int) -> Footprint:
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
        looked = self._looks(words, index)
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
        if touched is not None:
            touched += [((words.name, index), READ), *self._looks(words, index)]
            self.judge.guards.loads(cpu, words, step[1])
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
            touched += [((words.name, index), WRITE), *self._looks(words, index)]
            self.write(words, index, value)
            return
        self._buffer(cpu, (words, index, value, self.machine.serial[cpu], None), touched)

    def _buffer(self, cpu: int, entry: Buffered, touched: list[Any]) -> None:
        self.machine.buffers[cpu].append(entry)
        touched.append((("p", cpu, self.machine.serial[cpu]), ENABLES))
        self.machine.serial[cpu] += 1

    def _rmw(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        old = words.v[index]
        new = step[4](old, step[5])
        if new != old:
            self.judge.locks.stores(cpu, words, step[1])
            self.judge.guards.stores(cpu, words, step[1], old, new, locked=True)
        if touched is not None:
            touched += [((words.name, index), int(new != old)), *self._looks(words, index)]
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
            self._buffer(cpu, (None, 0, 0, self.machine.serial[cpu], mutex), touched)
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

    def _reads_tables(self, roots: tuple[int, ...], touched: list[Any] | None) -> None:
        """What a flush or a change of tables leaves cached depends on the order with changes of these words."""
        if touched is None:
            return
        words = {
            (table.name, index): READ
            for root in roots
            for va in self.judge.uses.user_vas + self.judge.uses.kernel_vas
            for table, index in translate(self.mem, root, va)[1]
        }
        touched += words.items()
        touched.append(("freed tables", READ))

    def _cr3(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self.judge.entry_code.privileged(cpu, step[1])
        pa, pcid, noflush = step[2], step[3], step[4]
        self._reads_tables((registers.cr3_pa, pa), touched)
        if pa not in self.mem.table_of.values() or self.mem.is_free(pa):
            raise Violation(Broken("one-pmap", f"cpu{cpu}: {step[1]} loads {pa:#x}, which is no live table"))
        registers.write_cr3(pa, pcid, noflush)
        self.machine.refresh(cpu)
        if self.trace.on:
            self.trace.note(f"{step[1]}: CR3 = {self.mem.name(pa)}" + (f", PCID {pcid}" if registers.pcide else ""))

    def _pge(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self.judge.entry_code.privileged(cpu, step[1])
        self._reads_tables((registers.cr3_pa,), touched)
        if registers.pge != step[2]:
            registers.write_pge(step[2])
            self.machine.touched.wrote(("pge", cpu))
            self.machine.refresh(cpu)
        if self.trace.on:
            self.trace.note(f"{step[1]}: CR4.PGE = {int(step[2])}")

    def _invlpg(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self.judge.entry_code.privileged(cpu, step[1])
        self._reads_tables((registers.cr3_pa,), touched)
        registers.invlpg(step[2])
        self.machine.refresh(cpu)
        if self.trace.on:
            self.trace.note(f"{step[1]}: INVLPG {step[2]:#x}")

    def _invpcid(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self.judge.entry_code.privileged(cpu, step[1])
        self._reads_tables((registers.cr3_pa,), touched)
        kind, pcid, va = step[2], step[3], step[4]
        registers.invpcid(kind, pcid, va)
        self.machine.refresh(cpu)
        if self.trace.on:
            self.trace.note(f"{step[1]}: INVPCID {kind.name.lower()} pcid {pcid} va {va:#x}")

    def _flag(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        self.kernel.cpus[cpu].cpu.intr = step[0] is Op.STI
        if touched is not None and self.trace.on:
            self.trace.note(f"{step[1]}: interrupts {'on' if step[0] is Op.STI else 'off'}")

    def _spl(self, cpu: int, step: Step, touched: list[Any] | None) -> int:
        registers = self.kernel.cpus[cpu].cpu
        old = registers.ipl
        registers.ipl = step[2]
        if step[2] < old:
            self.judge.locks.lowered(cpu)
        if touched is not None and self.trace.on:
            self.trace.note(f"{step[1]}: level {old} -> {step[2]}")
        return old

    def _ipi(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        vector = step[2]
        if vector == VECTOR_TLB:
            self.judge.locks.mailbox(cpu, step[1])
        for target in range(self.machine.n):
            if step[3] >> target & 1:
                if touched is not None:
                    mode = WRITE if vector in self.machine.apics[target].pending else ENABLES
                    touched.append((("i", target, SLOT_OF[vector]), mode))
                self.machine.apics[target].post(vector)
        if self.trace.on:
            self.trace.note(f"{step[1]}: {VECTOR_NAMES[vector]} -> {cpu_set(step[3])}")

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
                self.trace.note(f"{step[1]}: {kind.name.lower()} {va:#x} {'faults' if fault else 'ok'}")
            if fault is not None:
                return fault if step[0] is Op.ACCESS else at + step[3]
            if of_kernel:
                self._walked(root, va, A | D if kind is Access.WRITE else A, touched)
        return None if step[0] is Op.ACCESS else -1

    def _walked(self, root: int, va: int, bits: int, touched: list[Any] | None) -> None:
        """The walk of an access has set A, and D of a page that is written, where they were clear."""
        table, index = translate(self.mem, root, va)[1][-1]
        entry = table.v[index]
        if entry & bits != bits:
            self.write(table, index, entry | bits)
            if touched is not None:
                touched.append(((table.name, index), WRITE))

    def _reg(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        if step[1].needs:
            self.judge.entry_code.needs(cpu, step[1])
        if step[2] == "user":
            registers.user = step[3]
            self.machine.touched.wrote(("user", cpu))
            if self.trace.on:
                self.trace.note(f"{step[1]}: {'user' if step[3] else 'kernel'} mode")
            if step[3]:
                self.judge.locks.barrier(cpu, "goes to user mode")
                self.judge.user_mode.to_user(cpu)
                registers.rsp = 0  # the program's, which is nobody's business here, and no kernel stack
        elif step[2] in ("rsp", "tss_rsp0"):
            setattr(registers, step[2], step[3])

    def _nothing(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        if step[0] is Op.USER and self.trace.on:
            self.trace.note(str(step[1]))


Effect = Callable[[Effects, int, Step, list[Any] | None], Any]
_DO: dict[Op, Effect] = {
    Op.LOAD: Effects._load,
    Op.STORE: Effects._store,
    Op.RMW: Effects._rmw,
    Op.ACQUIRE: Effects._acquire,
    Op.RELEASE: Effects._release,
    Op.WAIT: Effects._wait,
    Op.MWAIT: Effects._mwait,
    Op.CR3: Effects._cr3,
    Op.PGE: Effects._pge,
    Op.INVLPG: Effects._invlpg,
    Op.INVPCID: Effects._invpcid,
    Op.CLI: Effects._flag,
    Op.STI: Effects._flag,
    Op.SPL: Effects._spl,
    Op.IPI: Effects._ipi,
    Op.ACCESS: Effects._access,
    Op.TOUCH: Effects._access,
    Op.WORK: Effects._nothing,
    Op.USER: Effects._nothing,
    Op.REG: Effects._reg,
    Op.COST: Effects._nothing,
    Op.TIMER: Effects._nothing,
    Op.SWITCH: Effects._nothing,  # the driver goes on with the other LWP
    Op.HALT: Effects._nothing,  # the driver waits
}
DO: list[Effect] = [_DO[op] for op in Op]  # by Op, which is a number
