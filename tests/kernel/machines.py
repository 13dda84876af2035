"""Small machines and a driver that takes steps at once, for tests of single kernel procedures."""

from __future__ import annotations

from typing import Any

from sim.hardware.cpu import Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import Geometry, PhysMem
from sim.hardware.steps import Op, Proc
from sim.hardware.tlb import Tlb
from sim.kernel import process
from sim.kernel.design import make_design
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import LSONPROC, Lwp
from sim.kernel.program import LwpSpec

SMALL = Geometry(bits=3, user_slots=3, pte_slot=3)


class Bench:
    """A kernel with *cpus* CPUs, and LWPs that can be put on them."""

    def __init__(self, profile: str, cpus: int = 2, *, pcid: bool | None = None) -> None:
        self.mem = PhysMem(SMALL)
        hardware = [Cpu(i, Tlb(SMALL), SMALL) for i in range(cpus)]
        self.k = Kernel(hardware, self.mem, SMALL, make_design(profile, pcid))

    def lwp(self, name: str, group: str | None = None, cpu: int = 0, *, system: bool = False) -> Lwp:
        """An LWP of a process of its own (or of the kernel), current on a CPU, nothing loaded yet."""
        proc = self.k.kernel_proc if system else process.first_process(self.k, group or name)
        lwp = process.new_lwp(self.k, LwpSpec(name, iter(()), name, system=system), proc, self.k.cpus[cpu], name)
        self.put(lwp, cpu)
        return lwp

    def put(self, lwp: Lwp, cpu: int) -> None:
        """Make an LWP current on a CPU."""
        ci = self.k.cpus[cpu]
        lwp.l_cpu, lwp.l_stat, ci.ci_curlwp = ci, LSONPROC, lwp

    def load(self, lwp: Lwp) -> None:
        """Load the LWP's pmap as the way to user mode does."""
        from sim.kernel.pmap import pmap_load

        lwp.l_cpu.ci_want_pmapload.v[0] = 1
        self.run(pmap_load(self.k, lwp), lwp.l_cpu.ci_index)

    def run(self, proc: Proc, cpu: int = 0, trace: list[str] | None = None) -> Any:
        """Take all steps of *proc* on a CPU at once; *trace* gets their labels.  Returns the procedure's value."""
        value: Any = None
        while True:
            try:
                step = proc.send(value)
            except StopIteration as stop:
                return stop.value
            if trace is not None:
                trace.append(step[1])
            value = self.take(step, cpu)

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
            case (Op.WAIT, label, words, i, predicate):
                assert predicate(words.v[i]), f"{label} would wait"
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
        return None
