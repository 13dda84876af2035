"""What the kernel's steps do to registers in an exploration: CR3, CR4.PGE and flushes, flags, level and mode, IPIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sim.explore.cached import BornMem, translate
from sim.explore.judges.judge import Judge
from sim.explore.machine import Machine
from sim.explore.model import ENABLES, READ, WRITE, Broken, Violation
from sim.explore.named import VECTOR_NAMES, address, cpu_set
from sim.explore.trace import Trace
from sim.hardware.cpu import VECTOR_DEVICE, VECTOR_NMI, VECTOR_RESCHED, VECTOR_TIMER, VECTOR_TLB
from sim.hardware.steps import Invpcid, Op, Step
from sim.kernel.kernel import Kernel

VECTORS = ((VECTOR_TLB,), (VECTOR_RESCHED,), (VECTOR_TIMER, VECTOR_DEVICE), (VECTOR_NMI,))
SLOT_OF = {vector: i for i, group in enumerate(VECTORS) for vector in group}


class Ground(Protocol):
    """What these steps work on: a machine, who judges it, and what is noted."""

    machine: Machine
    kernel: Kernel
    mem: BornMem
    judge: Judge
    trace: Trace


def _reads_tables(on: Ground, roots: tuple[int, ...], touched: list[Any] | None) -> None:
    """What a flush or a change of tables leaves cached depends on the order with changes of these words."""
    if touched is None:
        return
    words = {
        (table.name, index): READ
        for root in roots
        for va in on.judge.uses.user_vas + on.judge.uses.kernel_vas
        for table, index in translate(on.mem, root, va)[1]
    }
    touched += words.items()
    touched.append(("freed tables", READ))


def _cr3(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    on.judge.entry_code.privileged(cpu, step[1])
    pa, pcid, noflush = step[2], step[3], step[4]
    _reads_tables(on, (registers.cr3_pa, pa), touched)
    if pa not in on.mem.table_of.values() or on.mem.is_free(pa):
        raise Violation(Broken("one-pmap", f"cpu{cpu}: {step[1]} loads {pa:#x}, which is no live table"))
    on.judge.entry_code.loads_tables(cpu, pa, pcid, step[1])
    registers.write_cr3(pa, pcid, noflush)
    on.machine.refresh(cpu)
    if on.trace.on:
        on.trace.note(f"{step[1]}: CR3 = {on.mem.name(pa)}" + (f", PCID {pcid}" if registers.pcide else ""))


def _pge(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    on.judge.entry_code.privileged(cpu, step[1])
    _reads_tables(on, (registers.cr3_pa,), touched)
    if registers.pge != step[2]:
        registers.write_pge(step[2])
        on.machine.touched.wrote(("pge", cpu))
        on.machine.refresh(cpu)
    if on.trace.on:
        on.trace.note(f"{step[1]}: CR4.PGE = {int(step[2])}")


def _invlpg(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    on.judge.entry_code.privileged(cpu, step[1])
    _reads_tables(on, (registers.cr3_pa,), touched)
    registers.invlpg(step[2])
    on.machine.refresh(cpu)
    if on.trace.on:
        on.trace.note(f"{step[1]}: INVLPG {address(on.kernel, step[2])}")


_FLUSHES = {
    Invpcid.ADDRESS: "address {va}, PCID {pcid}", Invpcid.CONTEXT: "all of PCID {pcid}",
    Invpcid.ALL: "all, globals included", Invpcid.ALL_NONGLOBAL: "all but globals",
}  # fmt: skip


def _invpcid(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    on.judge.entry_code.privileged(cpu, step[1])
    _reads_tables(on, (registers.cr3_pa,), touched)
    kind, pcid, va = step[2], step[3], step[4]
    registers.invpcid(kind, pcid, va)
    on.machine.refresh(cpu)
    if on.trace.on:
        on.trace.note(f"{step[1]}: INVPCID {_FLUSHES[kind].format(pcid=pcid, va=address(on.kernel, va))}")


def _flag(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    on.kernel.cpus[cpu].cpu.intr = step[0] is Op.STI
    if step[0] is Op.STI:
        on.judge.locks.lets_in(cpu, step[1])
    if touched is not None and on.trace.on:
        on.trace.note(f"{step[1]}: interrupts {'on' if step[0] is Op.STI else 'off'}")


def _spl(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> int:
    registers = on.kernel.cpus[cpu].cpu
    old = registers.ipl
    registers.ipl = step[2]
    if step[2] < old:
        on.judge.locks.lowered(cpu)
    if touched is not None and on.trace.on:
        on.trace.note(f"{step[1]}: level {old} -> {step[2]}")
    return old


def _ipi(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    vector = step[2]
    if vector == VECTOR_TLB:
        on.judge.locks.mailbox(cpu, step[1])
    for target in range(on.machine.n):
        if step[3] >> target & 1:
            if touched is not None:
                mode = WRITE if vector in on.machine.apics[target].pending else ENABLES
                touched.append((("i", target, SLOT_OF[vector]), mode))
            on.machine.apics[target].post(vector)
    if on.trace.on:
        on.trace.note(f"{step[1]}: {VECTOR_NAMES[vector]} -> {cpu_set(step[3])}")


def _reg(on: Ground, cpu: int, step: Step, touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    if step[1].needs:
        on.judge.entry_code.needs(cpu, step[1])
    if step[2] == "user":
        registers.user = step[3]
        on.machine.touched.wrote(("user", cpu))
        if on.trace.on:
            on.trace.note(f"{step[1]}: {'user' if step[3] else 'kernel'} mode")
        if step[3]:
            on.judge.locks.barrier(cpu, "goes to user mode")
            on.judge.user_mode.to_user(cpu)
            on.judge.uses.to_user(cpu)
            on.judge.remembered.to_user(cpu)
            registers.rsp = 0  # the program's, which is nobody's business here, and no kernel stack
    elif step[2] in ("rsp", "tss_rsp0"):
        setattr(registers, step[2], step[3])


REGISTERS: dict[Op, Callable[[Ground, int, Step, list[Any] | None], Any]] = {
    Op.CR3: _cr3,
    Op.PGE: _pge,
    Op.INVLPG: _invlpg,
    Op.INVPCID: _invpcid,
    Op.CLI: _flag,
    Op.STI: _flag,
    Op.SPL: _spl,
    Op.IPI: _ipi,
    Op.REG: _reg,
}
