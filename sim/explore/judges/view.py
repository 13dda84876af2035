"""What judges may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.explore.cached import BornMem, Cached, MaybeCached, translate
from sim.explore.machine import Machine
from sim.explore.named import Named
from sim.hardware.apic import Apic
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import Fault
from sim.hardware.steps import Access, Step
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.pmap import Pmap


class View:
    """A machine to be looked at and not to be changed.

    What a judge reads decides where it must come in the order of transitions.  The attributes are for what the step
    under judgement touches anyway, or what only its own CPU changes; everything else is read by the methods, which
    note it in the transition's footprint.

    Attributes:
        busy: the CPU that holds each mutex, by the mutex's id.
        named: names, for what is said.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._touched = machine.touched
        self.n = machine.n
        self.user_limit = machine.user_limit
        self.kernel: Kernel = machine.kernel
        self.mem: BornMem = machine.mem
        self.caches: Sequence[MaybeCached] = machine.caches
        self.apics: Sequence[Apic] = machine.apics
        self.current: Sequence[Lwp] = machine.current
        self.steps: Sequence[Step] = machine.steps
        self.in_tlb_handler: Sequence[int] = machine.in_tlb_handler
        self.busy: Mapping[int, int] = machine.busy
        self.named = Named(machine.kernel, machine.mem)

    def own(self, cpu: int, words: Words, index: int) -> Any:
        """What a load by *cpu* would see of a word that is its own."""
        return self._machine.read(cpu, words, index)

    def fault(self, cpu: int, va: int, kind: Access, user: bool) -> Fault | None:
        """What the tables that *cpu* has loaded say of an access."""
        return self._machine.fault(cpu, va, kind, user)

    def in_user_mode(self, ci: CpuInfo) -> bool:
        """Whether a CPU is in user mode."""
        self._touched.looked(("user", ci.ci_index))
        return ci.cpu.user

    def pge(self, ci: CpuInfo) -> bool:
        """Whether a CPU has CR4.PGE on."""
        self._touched.looked(("pge", ci.ci_index))
        return ci.cpu.pge

    def runs(self, ci: CpuInfo, lwp: Lwp) -> bool:
        """Whether a CPU is on an LWP's stack."""
        self._touched.looked((ci.ci_curlwp_word.name, 0))
        return self.current[ci.ci_index] is lwp

    def word(self, words: Words, index: int) -> Any:
        """A word of memory."""
        self._touched.looked((words.name, index))
        return words.v[index]

    def is_held(self, mutex: Mutex) -> bool:
        """Whether a CPU holds a mutex."""
        self._touched.looked(mutex.name)
        return id(mutex) in self.busy

    def entry(self, pmap: Pmap, va: int) -> int:
        """The entry that leads from an address to its page; 0 if there is none."""
        found, words = self.walk(pmap, va)
        if found is None:
            return 0
        table, index = words[-1]
        value: int = table.v[index]
        return value

    def mapping(self, pmap: Pmap, va: int) -> Cached | None:
        """What a pmap's tables say of an address."""
        return self.walk(pmap, va)[0]

    def walk(self, pmap: Pmap, va: int) -> tuple[Cached | None, tuple[tuple[Words, int], ...]]:
        """What a pmap's tables say of an address, and the words that say so, the highest table's first."""
        found, words = translate(self.mem, pmap.pm_pdirpa, va)
        for table, index in words:
            self._touched.looked((table.name, index))
        return found, words
