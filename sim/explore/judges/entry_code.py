"""Judging entry and exit code: what an instruction relies on that the step it stands for does not show.

And that this code is gone from all CPUs once SVS is disabled.
"""

from __future__ import annotations

from sim.explore.cached import translate
from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.hardware.sites import KERNEL_DATA, Site
from sim.kernel.cpuinfo import UTLS_SCRATCH
from sim.kernel.hotpatch import NAMES, PLAIN


class EntryCode:
    """The mode, the tables that map what is read, and the user's registers."""

    def __init__(self, view: View, tally: Tally) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken

    def needs(self, cpu: int, site: Site) -> None:
        """A step is made that needs something."""
        if site.needs == KERNEL_DATA:
            self._kernel_data(cpu, site)
        else:
            self._saved_rax(cpu, site)

    def _kernel_data(self, cpu: int, site: Site) -> None:
        """The CPU's own data are mapped, or reading them is a double fault."""
        view, registers = self.view, self.view.kernel.cpus[cpu].cpu
        self.premise("kernel-mapped")
        if translate(view.mem, registers.cr3_pa, view.kernel.layout.kernel_data)[0] is None:
            tables = view.mem.name(registers.cr3_pa)
            self.broken("kernel-mapped", f"cpu{cpu} in {site} reads the CPU's data, which {tables} does not map")

    def _saved_rax(self, cpu: int, site: Site) -> None:
        """The UTLS scratch word has what the user had in %rax: there is no other place for it yet."""
        lwp = self.view.current[cpu]
        self.premise("user-registers")
        if self.view.kernel.cpus[cpu].ci_svs_utls.v[UTLS_SCRATCH] != lwp.number:
            self.broken("user-registers", f"cpu{cpu} in {site} overwrites %rax of {lwp.l_name}, which is saved nowhere")

    def privileged(self, cpu: int, site: Site) -> None:
        """An instruction is executed that user mode may not execute."""
        self.premise("privileged")
        if self.view.kernel.cpus[cpu].cpu.user:
            self.broken("privileged", f"cpu{cpu} executes {site} in user mode: a general protection fault")

    def loads_tables(self, cpu: int, pa: int, pcid: int, site: Site) -> None:
        """CR3 is written: where CPUs remember contexts, what they note of the loaded one and CR3 change together."""
        registers = self.view.kernel.cpus[cpu].cpu
        if self.view.kernel.design.contexts is None or (pa, pcid) == (registers.cr3_pa, registers.pcid):
            return
        self.premise("kassert")
        if registers.intr:
            self.broken("kassert", f"cpu{cpu} in {site} loads other tables with interrupts on: a shootdown that lands "
                        "just before finds another context noted than is loaded (irqs_disabled())")  # fmt: skip


def disabled(view: View, tally: Tally) -> None:
    """machdep.svs.enabled=0 has returned without an error: no CPU has anything of SVS left."""
    k = view.kernel
    if not all(ci.ci_svs_updirpa for ci in k.cpus):
        return  # it never was on
    tally.premise("disabled-quiet")
    if view.word(k.svs_enabled, 0):
        tally.broken("disabled-quiet", "the sysctl returns, but svs_enabled is still set")
    for at, name in enumerate(NAMES):
        if view.word(k.svs_code, at) != PLAIN:
            tally.broken("disabled-quiet", f"the sysctl returns, but {name} is not patched out of the entry code")
    for ci in k.cpus:
        if not view.pge(ci):
            tally.broken("disabled-quiet", f"the sysctl returns, but cpu{ci.ci_index} has not turned CR4.PGE on")
