"""What the kernel's steps do in an exploration: to memory through store buffers, to mutexes, to what may be cached.

Each handler makes the step's effect and adds what it touched to the transition's footprint (None: a private step).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from sim.errors import MachineCheck
from sim.explore.cached import BornMem, MaybeCached, translate
from sim.explore.judge import Judge
from sim.explore.model import ENABLES, NEEDS, READ, SPINS, WRITE, Broken, Footprint, Violation
from sim.explore.model import Access as Touch
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.memory import Words
from sim.hardware.paging import D
from sim.hardware.steps import Access, Invpcid, Op, Step
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.pmap import Pmap

VECTORS = ((VECTOR_TLB,), (VECTOR_RESCHED,), (VECTOR_TIMER, VECTOR_DEVICE), (VECTOR_NMI,))
SLOT_OF = {vector: i for i, group in enumerate(VECTORS) for vector in group}


class StepEffects:
    """State that steps work on, and their handlers.

    Attributes:
        buffers: each CPU's store buffer, oldest first; *serial* numbers its stores.
        busy: CPU that holds each mutex, by the mutex's id.
        pending: interrupts that have arrived at each CPU and not landed.
        caches: what each CPU's TLB may hold.
        steps: the step that each CPU would make next.
    """

    buffers: list[deque[tuple[Words | None, int, Any, int, Any]]]
    serial: list[int]
    busy: dict[int, int]
    pending: list[dict[int, int]]
    n: int
    tso: bool
    traced: bool
    user_limit: int
    notes: list[str]
    extra: list[Touch]
    mem: BornMem
    kernel: Kernel
    judge: Judge
    caches: list[MaybeCached]
    current: list[Lwp]
    steps: list[Step]

    # --- memory -----------------------------------------------------------------------------------------------------

    def _read(self, cpu: int, words: Words, index: int) -> Any:
        """What a load by *cpu* sees: its own youngest buffered store, or memory."""
        for entry in reversed(self.buffers[cpu]):
            if entry[0] is words and entry[1] == index:
                return entry[2]
        return words.v[index]

    def _write(self, cpu: int, words: Words, index: int, value: Any) -> None:
        """A store becomes visible."""
        words.v[index] = value
        if id(words) in self.mem.table_of:
            self.refresh()

    def refresh(self) -> None:
        """The tables changed: every CPU may cache what they lead to now."""
        for cpu, ci in enumerate(self.kernel.cpus):
            self.caches[cpu].refresh(ci.cpu.cr3_pa, ci.cpu.pcid, ci.cpu.pge)
        self.judge.learn()

    def _drain(self, cpu: int) -> Footprint:
        """The oldest buffered store reaches memory."""
        words, index, value, serial, mutex = self.buffers[cpu].popleft()
        order: Hashable = ("p", cpu, serial)
        if words is None:
            self.busy.pop(id(mutex), None)
            self.note(f"store buffer drains: {mutex.name} free")
            self.judge.released(mutex)
            return ((mutex.name, ENABLES), (order, NEEDS), (("e", cpu), ENABLES), *self._extra())
        self._write(cpu, words, index, value)
        self.note(f"store buffer drains: {words.word_name(index)} = {_show(value)}")
        return (((words.name, index), WRITE), (order, NEEDS), (("e", cpu), ENABLES))

    def also(self, location: Hashable) -> None:
        """The transition under way writes something that is no word of memory but that others' checks read."""
        self.extra.append((location, WRITE))

    def looked(self, location: Hashable) -> None:
        """The transition under way reads something without a step of its own: a check, or a word that is private."""
        self.extra.append((location, READ))

    def looks_at(self, pmap: Pmap, va: int) -> None:
        """The same for what a pmap's tables say of an address."""
        for table, index in translate(self.mem, pmap.pm_pdirpa, va)[1]:
            self.looked((table.name, index))

    def _extra(self) -> list[Touch]:
        extra, self.extra = self.extra, []
        return extra

    def note(self, text: str) -> None:
        """A line for the trace."""
        if self.traced:
            self.notes.append(text)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _load(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        value = self._read(cpu, words, index)
        if touched is not None:
            touched.append(((words.name, index), READ))
            self.note(f"{step[1]}: load {words.word_name(index)} -> {_show(value)}")
        return value

    def _store(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        words, index, value = step[2], step[3], step[4]
        self.judge.stores(cpu, words, step[1])
        if touched is None or not words.shared:
            words.v[index] = value
            return
        self.note(f"{step[1]}: store {words.word_name(index)} = {_show(value)}")
        if not self.tso:
            touched.append(((words.name, index), WRITE))
            self._write(cpu, words, index, value)
            return
        self._buffer(cpu, (words, index, value, self.serial[cpu], None), touched)

    def _buffer(self, cpu: int, entry: tuple[Words | None, int, Any, int, Any], touched: list[Any]) -> None:
        self.buffers[cpu].append(entry)
        touched.append((("p", cpu, self.serial[cpu]), ENABLES))
        self.serial[cpu] += 1

    def _rmw(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        old = words.v[index]
        new = step[4](old, step[5])
        self.judge.stores(cpu, words, step[1], changes=new != old)
        if touched is not None:
            touched.append(((words.name, index), int(new != old)))
            self.note(f"{step[1]}: locked {words.word_name(index)} {_show(old)} -> {_show(new)}")
        if new != old:
            self._write(cpu, words, index, new)
        return old

    def _acquire(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        mutex = step[2]
        assert touched is not None
        touched.append((mutex.name, NEEDS))
        self.busy[id(mutex)] = cpu
        mutex.owner = self.kernel.cpus[cpu].cpu
        if mutex.lock_class == "spc_mutex":
            # The priority of what runs there decides whether that CPU is told to reschedule.  The length of its queue,
            # which it looks at without a step, needs no such care: who is not told finds the queue at its next switch.
            for ci in self.kernel.cpus:
                if ci.ci_runqueue.spc_mutex is mutex and ci.ci_index != cpu:
                    self.looked((ci.ci_curlwp_word.name, 0))
        self.note(f"{step[1]}: {mutex.name} taken")
        self.judge.acquired(cpu, mutex)

    def _release(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        mutex = step[2]
        assert touched is not None
        mutex.owner = None
        self.judge.releasing(cpu, mutex)
        self.note(f"{step[1]}: {mutex.name} released")
        if self.tso:
            self._buffer(cpu, (None, 0, 0, self.serial[cpu], mutex), touched)
            return
        touched.append((mutex.name, ENABLES))
        self.busy.pop(id(mutex), None)
        self.judge.released(mutex)

    def _wait(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        words, index = step[2], step[3]
        assert touched is not None
        touched.append(((words.name, index), SPINS))
        self.note(f"{step[1]}: {words.word_name(index)} is {_show(self._read(cpu, words, index))}")
        return self._read(cpu, words, index)

    def _reads_tables(self, roots: tuple[int, ...], touched: list[Any] | None) -> None:
        """What a flush or a change of tables leaves cached depends on the order with changes of these words."""
        if touched is None:
            return
        words = {
            (table.name, index): READ
            for root in roots
            for va in self.judge.user_vas
            for table, index in translate(self.mem, root, va)[1]
        }
        touched += words.items()
        touched.append(("freed tables", READ))

    def _cr3(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        pa, pcid, noflush = step[2], step[3], step[4]
        if not registers.pcide and (pcid or noflush):
            raise MachineCheck(f"cpu{cpu}: PCID in CR3 while CR4.PCIDE is off (#GP)")
        self._reads_tables((registers.cr3_pa, pa), touched)
        if pa not in self.mem.table_of.values() or self.mem.is_free(pa):
            raise Violation(Broken("one-pmap", f"cpu{cpu}: {step[1]} loads {pa:#x}, which is no live table"))
        registers.cr3_pa, registers.pcid = pa, pcid
        if not registers.pcide or not noflush:
            self.caches[cpu].flush(pcid if registers.pcide else None, globals_too=False)
        self.caches[cpu].refresh(pa, pcid, registers.pge)
        self.note(f"{step[1]}: CR3 = {self.mem.name(pa)}" + (f", PCID {pcid}" if registers.pcide else ""))

    def _pge(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self._reads_tables((registers.cr3_pa,), touched)
        if registers.pge != step[2]:
            registers.pge = step[2]
            self._flush(cpu, None, globals_too=True)
        self.note(f"{step[1]}: CR4.PGE = {int(step[2])}")

    def _flush(self, cpu: int, pcid: int | None, *, globals_too: bool) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self.caches[cpu].flush(pcid, globals_too=globals_too)
        self.caches[cpu].refresh(registers.cr3_pa, registers.pcid, registers.pge)

    def _invlpg(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self._reads_tables((registers.cr3_pa,), touched)
        self.caches[cpu].invlpg(registers.pcid, step[2])
        self.caches[cpu].refresh(registers.cr3_pa, registers.pcid, registers.pge)
        self.note(f"{step[1]}: INVLPG {step[2]:#x}")

    def _invpcid(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        self._reads_tables((registers.cr3_pa,), touched)
        kind, pcid, va = step[2], step[3], step[4]
        if kind is Invpcid.ADDRESS:
            self.caches[cpu].invpcid_address(pcid, va)
            self.caches[cpu].refresh(registers.cr3_pa, registers.pcid, registers.pge)
        elif kind is Invpcid.CONTEXT:
            self._flush(cpu, pcid, globals_too=False)
        else:
            self._flush(cpu, None, globals_too=kind is Invpcid.ALL)
        self.note(f"{step[1]}: INVPCID {kind.name.lower()} pcid {pcid} va {va:#x}")

    def _flag(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        self.kernel.cpus[cpu].cpu.intr = step[0] is Op.STI
        if touched is not None:
            self.note(f"{step[1]}: interrupts {'on' if step[0] is Op.STI else 'off'}")

    def _spl(self, cpu: int, step: Step, touched: list[Any] | None) -> int:
        registers = self.kernel.cpus[cpu].cpu
        old = registers.ipl
        registers.ipl = step[2]
        if touched is not None:
            self.note(f"{step[1]}: level {old} -> {step[2]}")
        return old

    def _ipi(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        vector = step[2]
        for target in range(self.n):
            if step[3] >> target & 1:
                if touched is not None:
                    mode = WRITE if vector in self.pending[target] else ENABLES
                    touched.append((("i", target, SLOT_OF[vector]), mode))
                self.pending[target][vector] = 1
        self.note(f"{step[1]}: {VECTOR_NAMES[vector]} -> {[t for t in range(self.n) if step[3] >> t & 1]}")

    def _access(self, cpu: int, step: Step, touched: list[Any] | None) -> Any:
        if step[0] is Op.TOUCH:
            pairs, user = step[2][step[3] :], step[4]
        else:
            pairs, user = ((step[2], step[3]),), step[4]
        root = self.kernel.cpus[cpu].cpu.cr3_pa
        for at, (va, kind) in enumerate(pairs):
            if touched is not None:
                touched += [((w.name, i), READ) for w, i in translate(self.mem, root, va)[1]]
                touched.append((("promised", self.current[cpu].l_proc.name), READ))
            fault = self.judge.access(cpu, va, kind, user, step[1])
            if va < self.user_limit:
                self.note(f"{step[1]}: {kind.name.lower()} {va:#x} {'faults' if fault else 'ok'}")
            if fault is not None:
                return fault if step[0] is Op.ACCESS else at + step[3]
            if kind is Access.WRITE and va < self.user_limit:
                table, index = translate(self.mem, root, va)[1][-1]
                if not table.v[index] & D:
                    self._write(cpu, table, index, table.v[index] | D)
                    if touched is not None:
                        touched.append(((table.name, index), WRITE))
        return None if step[0] is Op.ACCESS else -1

    def _reg(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        registers = self.kernel.cpus[cpu].cpu
        if step[2] == "user":
            registers.user = step[3]
            self.note(f"{step[1]}: {'user' if step[3] else 'kernel'} mode")
            if step[3]:
                self.judge.to_user(cpu)
        elif step[2] in ("rsp", "tss_rsp0"):
            setattr(registers, step[2], step[3])

    def _nothing(self, cpu: int, step: Step, touched: list[Any] | None) -> None:
        if step[0] is Op.USER:
            self.note(str(step[1]))


VECTOR_NAMES = {
    VECTOR_TLB: "TLB IPI",
    VECTOR_RESCHED: "reschedule IPI",
    VECTOR_TIMER: "timer interrupt",
    VECTOR_DEVICE: "device interrupt",
    VECTOR_NMI: "NMI",
}

DO: dict[Op, Callable[[StepEffects, int, Step, list[Any] | None], Any]] = {
    Op.LOAD: StepEffects._load,
    Op.STORE: StepEffects._store,
    Op.RMW: StepEffects._rmw,
    Op.ACQUIRE: StepEffects._acquire,
    Op.RELEASE: StepEffects._release,
    Op.WAIT: StepEffects._wait,
    Op.CR3: StepEffects._cr3,
    Op.PGE: StepEffects._pge,
    Op.INVLPG: StepEffects._invlpg,
    Op.INVPCID: StepEffects._invpcid,
    Op.CLI: StepEffects._flag,
    Op.STI: StepEffects._flag,
    Op.SPL: StepEffects._spl,
    Op.IPI: StepEffects._ipi,
    Op.ACCESS: StepEffects._access,
    Op.TOUCH: StepEffects._access,
    Op.WORK: StepEffects._nothing,
    Op.USER: StepEffects._nothing,
    Op.REG: StepEffects._reg,
    Op.COST: StepEffects._nothing,
    Op.TIMER: StepEffects._nothing,
}


def _show(value: Any) -> str:
    """A word's value for people."""
    return f"{value:#x}" if isinstance(value, int) and value > 9 else str(value)
