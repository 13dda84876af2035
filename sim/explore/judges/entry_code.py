"""Judging entry and exit code: what an instruction relies on that the step it stands for does not show."""

from __future__ import annotations

from sim.explore.cached import translate
from sim.explore.judges.tally import Tally
from sim.explore.judges.view import View
from sim.hardware.sites import KERNEL_DATA, Site
from sim.kernel.cpuinfo import UTLS_SCRATCH


class EntryCode:
    """The tables that map what is read, and the user's registers."""

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
