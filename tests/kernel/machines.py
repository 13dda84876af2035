"""Small machines and a driver that takes steps at once, for tests of single kernel procedures."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from sim.hardware.cpu import VECTOR_RESCHED, VECTOR_TLB, Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import Geometry, PhysMem
from sim.hardware.steps import Access, Op, Proc, conditions
from sim.hardware.tlb import Tlb
from sim.kernel import boot, process
from sim.kernel.designs import make_design
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import LSONPROC, Lwp
from sim.kernel.program import LwpSpec

SMALL = Geometry(bits=3, user_slots=3, pte_slot=3)
PRIVATE = frozenset({Op.COST, Op.TOUCH})
VECTOR_NAMES = {VECTOR_TLB: "tlb", VECTOR_RESCHED: "resched"}
ACCESS_NAMES = {Access.READ: "read", Access.WRITE: "write", Access.EXEC: "exec"}


class Bench:
    """A kernel with *cpus* CPUs, and LWPs that can be put on them."""

    def __init__(self, profile: str, cpus: int = 2, *, pcid: bool | None = None) -> None:
        self.mem = PhysMem(SMALL)
        hardware = [Cpu(i, Tlb(SMALL), SMALL) for i in range(cpus)]
        self.k = Kernel(hardware, self.mem, SMALL, make_design(profile, pcid))
        self.shot: list[int] = []

    def lwp(self, name: str, group: str | None = None, cpu: int = 0, *, system: bool = False) -> Lwp:
        """An LWP of a process of its own (or of the kernel), current on a CPU, nothing loaded yet."""
        proc = self.k.kernel_proc if system else boot.first_process(self.k, group or name)
        lwp = process.new_lwp(self.k, LwpSpec(name, iter(()), name, system=system), proc, self.k.cpus[cpu], name)
        self.put(lwp, cpu)
        return lwp

    def put(self, lwp: Lwp, cpu: int) -> None:
        """Make an LWP current on a CPU."""
        ci = self.k.cpus[cpu]
        lwp.l_cpu, lwp.l_stat, ci.ci_curlwp, ci.ci_onproc = ci, LSONPROC, lwp, lwp

    def load(self, lwp: Lwp) -> None:
        """Load the LWP's pmap as the way to user mode does."""
        from sim.kernel.pmap import pmap_load

        lwp.l_cpu.ci_want_pmapload.v[0] = 1
        self.run(pmap_load(self.k, lwp), lwp.l_cpu.ci_index)

    def run(self, proc: Proc, cpu: int = 0, trace: list[str] | None = None, operations: list[str] | None = None) -> Any:
        """Take all steps of *proc* on a CPU at once; returns the procedure's value.

        *trace* gets the labels of the steps, *operations* what they do to memory and registers (:meth:`operation`).
        A step SWITCH ends the run.
        """
        stepping = self.steps(proc, cpu)
        while True:
            try:
                step = next(stepping)
            except StopIteration as stop:
                return stop.value
            if trace is not None:
                trace.append(str(step[1]))
            if operations is not None and step[0] not in PRIVATE:
                operations.append(self.operation(step))
            if step[0] is Op.SWITCH:
                return None

    def steps(self, proc: Proc, cpu: int = 0) -> Generator[tuple[Any, ...], None, Any]:
        """The steps of *proc*, each taken only when the next one is asked for; returns the procedure's value."""
        value: Any = None
        while True:
            try:
                step = proc.send(value)
            except StopIteration as stop:
                return stop.value
            yield step
            value = self.take(step, cpu)

    def operations(self, proc: Proc, cpu: int = 0) -> list[str]:
        """What the steps of *proc* do, one string each."""
        found: list[str] = []
        self.run(proc, cpu, operations=found)
        return found

    def operation(self, step: tuple[Any, ...]) -> str:  # noqa: PLR0911
        """A step as the tests write it: ``store cpu0.ci_tlbstate``, ``cr3 a.pm_pdir``, ``read kstack``."""
        match step:
            case (Op.MWAIT, _, words, _):
                return f"mwait {words.name}"
            case (Op.WAIT, *_):
                return "wait " + " or ".join(words.name for words, _, _ in conditions(step))
            case (Op.LOAD | Op.STORE | Op.RMW, _, words, *_):
                return f"{step[0].name.lower()} {words.name}"
            case (Op.ACQUIRE | Op.RELEASE, _, mutex):
                return f"{step[0].name.lower()} {mutex.name}"
            case (Op.CR3, _, pa, pcid, noflush):
                kept = " no-flush" if noflush else ""
                return f"cr3 {self.mem.name(pa)}" + (f" pcid {pcid}{kept}" if self.k.design.pcid else "")
            case (Op.INVPCID, _, kind, pcid, _):
                return f"invpcid {kind.name.lower()} {pcid}"
            case (Op.INVLPG, _, va):
                return f"invlpg {va:#x}"
            case (Op.SPL, _, ipl):
                return f"spl {ipl}"
            case (Op.IPI, _, vector, targets, broadcast):
                return f"ipi {VECTOR_NAMES[vector]} {targets:b}" + (" broadcast" if broadcast else "")
            case (Op.REG, _, name, value):
                return f"reg {name}" + (f" {value}" if name == "user" else "")
            case (Op.ACCESS, _, va, kind, _):
                return f"{ACCESS_NAMES[kind]} {self.page(va)}"
            case (Op.PGE, _, on):
                return f"pge {on}"
        return str(step[0].name.lower())

    def page(self, va: int) -> str:
        """Name of a kernel page by its VA."""
        layout = self.k.layout
        page = va // 4096 * 4096
        names = {layout.text_user: "text.user", layout.kernel_text: "kernel text", layout.utls: "utls"}
        for ci in self.k.cpus:
            for what in ("tss", "ist1"):
                names[layout.entry_page(ci.ci_index, what)] = what
            names[layout.entry_page(ci.ci_index, "rsp0") + 4096] = "rsp0"
        if page in names:
            return names[page]
        if layout.heap <= page < layout.direct:
            return "kstack"
        return self.base(page) if page < layout.image else hex(page)

    def base(self, page: int) -> str:
        """Which array of entries a page of the recursive space belongs to: L4_BASE, L3_BASE, L2_BASE or PTE_BASE."""
        indexes = [SMALL.index(page, level) for level in range(SMALL.levels, 0, -1)]
        level = next((n for n, index in enumerate(indexes) if index != SMALL.pte_slot), SMALL.levels)
        return "PTE_BASE" if level == 1 else f"L{level}_BASE"

    def take(self, step: tuple[Any, ...], index: int) -> Any:  # noqa: PLR0911
        """Do one step."""
        cpu = self.k.cpus[index].cpu
        match step:
            case (Op.LOAD, _, words, i):
                return words.v[i]
            case (Op.STORE, _, words, i, value):
                words.v[i] = value
            case (Op.RMW, _, words, i, function, operand):
                old = words.v[i]
                words.v[i] = function(old, operand)
                return old
            case (Op.ACQUIRE, label, mutex):
                assert mutex.owner is None, f"{label}: {mutex.name} is held"
                mutex.owner = cpu
            case (Op.RELEASE, _, mutex):
                mutex.owner = None
            case (Op.WAIT, label, words, i, *_):
                if not any(holds(polled.v[at]) for polled, at, holds in conditions(step)):
                    self.deliver()
                assert any(holds(polled.v[at]) for polled, at, holds in conditions(step)), f"{label} would wait"
                return words.v[i]
            case (Op.CR3, _, pa, pcid, noflush):
                cpu.write_cr3(pa, pcid, noflush)
            case (Op.PGE, _, on):
                cpu.write_pge(on)
            case (Op.INVLPG, _, va):
                cpu.invlpg(va)
            case (Op.INVPCID, _, kind, pcid, va):
                cpu.invpcid(kind, pcid, va)
            case (Op.CLI, _):
                cpu.intr = False
            case (Op.STI, _):
                cpu.intr = True
            case (Op.SPL, _, ipl):
                old, cpu.ipl = cpu.ipl, ipl
                return old
            case (Op.ACCESS, _, va, kind, user):
                return translate(cpu, self.mem, va, kind, user)
            case (Op.TOUCH, _, pairs, first, user):
                for i in range(first, len(pairs)):
                    if translate(cpu, self.mem, *pairs[i], user) is not None:
                        return i
                return -1
            case (Op.REG, _, name, value):
                setattr(cpu, name, value)
            case (Op.IPI, _, vector, targets, _):
                if vector == VECTOR_TLB:
                    self.shot += [i for i in range(len(self.k.cpus)) if targets >> i & 1]
        return None

    def deliver(self) -> None:
        """Let the CPUs that were sent a shootdown IPI handle it."""
        shot, self.shot = self.shot, []
        for index in shot:
            cpu = self.k.cpus[index].cpu
            before, cpu.intr = cpu.intr, False
            self.run(self.k.design.shootdown.intr(self.k, self.k.cpus[index]), index)
            cpu.intr = before
