"""Judging user mode: what a CPU there has loaded is its LWP's, up to date, and isolated; interrupts leave it alone."""

from __future__ import annotations

from sim.explore.judges.tally import Tally
from sim.explore.judges.user_tables import UserTables
from sim.explore.judges.view import View
from sim.hardware.cpu import VECTOR_NMI
from sim.hardware.lock import Mutex
from sim.hardware.paging import FRAME
from sim.kernel.cpuinfo import TLBSTATE_VALID, UTLS_KPDIRPA, CpuInfo
from sim.kernel.layout import PAGE_SIZE, TRAPFRAME
from sim.kernel.pmap import Pmap


class UserMode:
    """The invariants of a CPU that is in user mode, or goes or comes back there."""

    def __init__(self, view: View, tally: Tally) -> None:
        self.view = view
        self.premise, self.broken = tally.premise, tally.broken
        self.tables = UserTables(view, tally)

    def to_user(self, cpu: int) -> None:
        """A CPU goes to user mode."""
        ci = self.view.kernel.cpus[cpu]
        k = self.view.kernel
        pmap = self._pmap(ci)
        lwp = self.view.current[cpu]
        self.premise("one-pmap")
        if pmap is None or pmap is not lwp.l_proc.pmap:
            self.broken(
                "one-pmap", f"cpu{cpu} goes to user mode with ci_pmap {pmap}, LWP {lwp.l_name} of {lwp.l_proc.name}"
            )
            return
        if not self._in_tables(ci, pmap):
            self.broken("one-pmap", f"cpu{cpu} goes to user mode with CR3 = {self.view.mem.name(ci.cpu.cr3_pa)}")
        self.premise("rsp0-current")
        if ci.cpu.tss_rsp0 != k.design.rsp0(ci, lwp):
            self.broken("rsp0-current", f"cpu{cpu}: {lwp.l_name} goes to user mode with TSS.rsp0 = "
                        f"{ci.cpu.tss_rsp0:#x}, which is not where its next trap belongs")  # fmt: skip
        if k.design.per_cpu:
            self._to_user_svs(ci, pmap)
        elif not k.design.isolates and ci.cpu.cr3_pa != pmap.pm_pdirpa:
            self.premise("disabled-quiet")
            self.broken("disabled-quiet", f"cpu{cpu} goes to user mode with CR3 = {self.view.mem.name(ci.cpu.cr3_pa)}")
        elif not k.svs_enabled.v[0] and not k.design.isolates:
            self.premise("disabled-quiet")
        self._registered(ci, pmap)
        self._updir_current(ci)
        self._as_designed(ci)
        if k.design.isolates:
            self.tables.to_user(ci)

    def _as_designed(self, ci: CpuInfo) -> None:
        """CR4.PGE and the LWP's priority are what they are to be in user mode."""
        lwp, pge = self.view.current[ci.ci_index], self.view.kernel.design.pge
        self.premise("global-pages")
        if self.view.pge(ci) != pge:
            self.broken("global-pages", f"cpu{ci.ci_index} goes to user mode with CR4.PGE {_flag(not pge)}")
        self.premise("lost-ast")
        if lwp.l_kpriority:
            self.broken("lost-ast", f"{lwp.l_name} goes to user mode with the priority that it has had in the kernel: "
                        "who is woken does not preempt it")  # fmt: skip

    def _in_tables(self, ci: CpuInfo, pmap: Pmap) -> bool:
        design = self.view.kernel.design
        if design.per_cpu:
            return ci.cpu.cr3_pa == ci.ci_svs_updirpa
        return ci.cpu.cr3_pa == (pmap.pm_updirpa if design.isolates else pmap.pm_pdirpa) or not design.isolates

    def _to_user_svs(self, ci: CpuInfo, pmap: Pmap) -> None:
        cpu = ci.ci_index
        lwp = self.view.current[cpu]
        k = self.view.kernel
        if ci.ci_svs_utls.v[UTLS_KPDIRPA] != pmap.pm_pdirpa or ci.ci_svs_kpdirpa != pmap.pm_pdirpa:
            found = self.view.mem.name(ci.ci_svs_utls.v[UTLS_KPDIRPA])
            self.broken("one-pmap", f"cpu{cpu} goes to user mode as {pmap.name} with kpdirpa of {found}")
        table, index = ci.ci_svs_rsp0_pte
        stack = k.tables.l1(lwp.pcb_rsp0)
        entry = self.view.own(cpu, table, index)
        if entry & FRAME != stack & FRAME or ci.ci_svs_krsp0 != lwp.pcb_rsp0 - TRAPFRAME:
            self.broken("rsp0-current", f"cpu{cpu}: {lwp.l_name} goes to user mode with another LWP's stack at rsp0")
        if ci.ci_svs_krsp0 % PAGE_SIZE != ci.ci_svs_ursp0 % PAGE_SIZE:
            self.broken("rsp0-current", f"cpu{cpu}: ci_svs_krsp0 is not congruent to ci_svs_ursp0")

    def _registered(self, ci: CpuInfo, pmap: Pmap) -> None:
        bit = 1 << ci.ci_index
        self.premise("kernel-cpus-cover")
        self.premise("cpus-cover")
        if not pmap.pm_kernel_cpus.v[0] & bit:
            self.broken("kernel-cpus-cover", f"cpu{ci.ci_index} is in user mode but not in {pmap.pm_kernel_cpus.name}")
        state = self.view.own(ci.ci_index, ci.ci_tlbstate, 0)
        if not pmap.pm_cpus.v[0] & bit or state != TLBSTATE_VALID:
            self.broken(
                "cpus-cover", f"cpu{ci.ci_index} is in user mode, TLB state {state}, not in {pmap.pm_cpus.name}"
            )

    def _updir_current(self, ci: CpuInfo) -> None:
        """The user slots in use are the pmap's, unless its lock is held: then an update may be on its way."""
        k, pmap = self.view.kernel, self._pmap(ci)
        if pmap is None or not k.design.isolates:
            return
        if self.view.is_held(pmap.pm_lock):
            return
        updir = ci.ci_svs_updir if k.design.per_cpu else pmap.pm_updir
        assert updir is not None
        self.premise("updir-current")
        for slot in range(k.geometry.user_slots):
            if self.view.word(updir, slot) != self.view.word(pmap.pm_pdir, slot):
                entry = self.view.named.entry
                have, want = entry(updir.v[slot]), entry(pmap.pm_pdir.v[slot])
                self.broken(
                    "updir-current",
                    f"cpu{ci.ci_index} is in user mode with {updir.word_name(slot)} = {have}, but "
                    f"{pmap.pm_pdir.word_name(slot)} = {want}, and nobody is updating it",
                )

    def returned(self, cpu: int, vector: int, before: tuple[bool, int, int, bool, int]) -> None:
        """An interrupt frame ended."""
        registers = self.view.kernel.cpus[cpu].cpu
        after = (registers.user, registers.cr3_pa, registers.pcid)
        if vector == VECTOR_NMI or not before[0]:
            self.premise("transparent-interrupt")
            if (registers.intr, registers.ipl) != before[3:]:
                self.broken("transparent-interrupt", f"cpu{cpu} comes back with interrupts {_flag(registers.intr)} at "
                            f"level {registers.ipl} (was {_flag(before[3])}, {before[4]})")  # fmt: skip
            if after != before[:3]:
                was, now = self.view.mem.name(before[1]), self.view.mem.name(after[1])
                self.broken("transparent-interrupt", f"cpu{cpu} comes back with CR3 = {now} (was {was})")
            cache = self.view.caches[cpu]
            for entry in cache.at(registers.pcid, cache.top_at):
                if entry.pa != registers.cr3_pa:
                    other = self.view.mem.name(entry.pa)
                    self.broken("transparent-interrupt", f"cpu{cpu} comes back, and the TLB may hold {other} for the "
                                "recursive slot: the kernel would walk and change that, not what CR3 has")  # fmt: skip

    def released(self, mutex: Mutex) -> None:
        """Others see the mutex free: directories in use must be in step."""
        if mutex.lock_class == "pm_lock":
            for ci in self.view.kernel.cpus:
                if self.view.in_user_mode(ci) and self._pmap(ci) is not None:
                    self._updir_current(ci)

    def _pmap(self, ci: CpuInfo) -> Pmap | None:
        return self.view.kernel.pmaps.get(ci.ci_pmap.v[0])


def _flag(on: bool) -> str:
    return "on" if on else "off"
