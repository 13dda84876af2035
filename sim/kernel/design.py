"""The designs under comparison, as objects with one interface.

The kernel calls a design where it enters, leaves, switches LWP, switches pmap, changes an L4 user entry or flushes.  A
design is data plus the few procedures in which it differs; the profiles at the end are the only place with names.
Sources: svs.c 1.10, 1.16, 1.18.2 and later; x86_tlb.c 1.1.2.1 and 1.20; cpufunc.S 1.55.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.paging import NX
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Invpcid, Proc, invlpg, invpcid, store, write_cr3, write_pge
from sim.kernel import entry, pti, svs
from sim.kernel.shootdown2018 import Shootdown2018
from sim.kernel.shootdown2020 import Shootdown2020
from sim.kernel.svs import PCID_KERN, PCID_USER, REVISIONS, SvsRevision
from sim.kernel.variations import vary

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap
    from sim.kernel.shootdown import Flushes, Shootdown


class CpuLoadPmap(Procedure, name="cpu_load_pmap", cause="context switch"):
    lcr3 = site("lcr3")


class Design:
    """No isolation: one set of tables, G on kernel pages.

    Attributes:
        pcid: whether CR4.PCIDE is on and the two halves have PCIDs of their own.
        pge: whether CR4.PGE is on.
        kernel_global: whether kernel mappings keep G.
        isolates: whether user mode runs on tables of its own.
        per_cpu: whether those tables belong to a CPU (SVS) rather than to a process.
    """

    isolates = False
    per_cpu = False
    can_disable = False
    nmi_entry = False

    def __init__(self, name: str, *, pcid: bool, shootdown: Shootdown) -> None:
        self.name = name
        self.pcid = pcid
        self.pge = True
        self.kernel_global = True
        self.shootdown = shootdown

    def boot(self, k: Kernel) -> None:
        """Build what the design needs before the first LWP runs."""
        for ci in k.cpus:
            ci.cpu.pge = self.pge
            ci.cpu.pcide = self.pcid

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """From the syscall instruction to the kernel's stack."""
        return entry.syscall_plain(k, lwp)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """From an interrupt or trap out of user mode to the kernel's stack."""
        return entry.trap_plain(k, lwp)

    def enter_alt(self, k: Kernel, lwp: Lwp, from_user: bool, stack: int) -> Proc:
        """IST entry; returns what :meth:`leave_alt` needs."""
        return entry.alt_plain(k, lwp, from_user, stack)

    def leave_alt(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """IST exit."""
        return entry.leave_alt_plain(k, lwp, from_user)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """NMI entry; returns what :meth:`leave_nmi` needs."""
        return entry.alt_plain(k, lwp, from_user, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """NMI exit."""
        return entry.leave_alt_plain(k, lwp, from_user)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """The way out, after the last check with interrupts off; *how* is ``sysret`` or ``iret``."""
        return entry.leave_plain(k, lwp, how)

    def lwp_switch(self, k: Kernel, ci: CpuInfo, old: Lwp | None, new: Lwp) -> Proc:
        """First thing of a context switch."""
        return entry.nothing()

    def segment_fault(self, k: Kernel, lwp: Lwp) -> Proc:
        """The trap that a bad segment register raises on the way out, in kernel mode, after the CR3 switch."""
        return entry.segment_fault_plain(k, lwp)

    def rsp0(self, ci: CpuInfo, new: Lwp) -> int:
        """What TSS.rsp0 becomes when *new* runs."""
        return new.pcb_rsp0

    def pdir_switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """Just before the CR3 write of a pmap switch."""
        return entry.nothing()

    def load_cr3(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """Load a pmap's tables in kernel mode; flushes the (kernel) PCID's entries."""
        yield write_cr3(pmap.pm_pdirpa, PCID_KERN, False, CpuLoadPmap.lcr3)

    def pmap_create(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """What a new pmap gets besides its L4 page."""
        return entry.nothing()

    def pmap_destroy(self, k: Kernel, pmap: Pmap) -> None:
        """Undo :meth:`pmap_create`."""

    def pmap_sync(self, k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
        """After a change of an L4 user entry."""
        return entry.nothing()

    def sync_now(self, k: Kernel, pmap: Pmap, slot: int) -> None:
        """The effect of :meth:`pmap_sync` in no time, for pages that were there before time began."""

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """Invalidate one page on this CPU."""
        yield invlpg(va, who.invlpg)

    def tlbflush(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """Invalidate what is not global on this CPU."""
        yield write_cr3(ci.cpu.cr3_pa, ci.cpu.pcid, False, who.tlbflush)

    def tlbflushg(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """Invalidate everything on this CPU; without PGE a plain flush."""
        if not ci.cpu.pge:
            yield from self.tlbflush(k, ci, who)
            return
        yield write_pge(False, who.tlbflushg)
        yield write_pge(True, who.tlbflushg)


class Isolated(Design):
    """What SVS and PTI share: two halves, and with PCID flushes that must reach both."""

    isolates = True

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """INVPCID single-address on the user PCID, then INVLPG (cpufunc.S)."""
        if self.pcid:
            yield invpcid(Invpcid.ADDRESS, PCID_USER, va, who.invpcid_user)
        yield invlpg(va, who.invlpg)

    def tlbflush(self, k: Kernel, ci: CpuInfo, who: type[Flushes]) -> Proc:
        """INVPCID of all non-global contexts, or a CR3 reload."""
        if self.pcid:
            yield invpcid(Invpcid.ALL_NONGLOBAL, 0, 0, who.tlbflush)
        else:
            yield write_cr3(ci.cpu.cr3_pa, ci.cpu.pcid, False, who.tlbflush)


class Svs(Isolated):
    """NetBSD's Separate Virtual Space."""

    per_cpu = True

    def __init__(self, name: str, revision: SvsRevision, *, pcid: bool, shootdown: Shootdown) -> None:
        super().__init__(name, pcid=pcid and revision.pcid, shootdown=shootdown)
        self.revision = revision
        self.pge = revision.pge
        self.kernel_global = False
        self.can_disable = revision.can_disable
        self.nmi_entry = revision.nmi_entry

    def boot(self, k: Kernel) -> None:
        """cpu_svs_init on every CPU; before 1.18 CR4.PGE is off, since then kernel mappings lose G (svs_pgg_update)."""
        super().boot(k)
        for ci in k.cpus if self.revision.cpu_ldt else ():
            k.tables.enter(k.layout.entry_page(ci.ci_index, "ldt"), k.mem.alloc_page(f"cpu{ci.ci_index} ldt"), NX)
        if self.revision.pge:
            entry.svs_pgg_update(k, False)
        for ci in k.cpus:
            svs.cpu_svs_init(k, ci, self.revision)

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through UTLS."""
        return entry.syscall_svs(k, lwp, self.pcid)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through TSS.rsp0 and UTLS."""
        return entry.trap_svs(k, lwp, self.pcid)

    def enter_alt(self, k: Kernel, lwp: Lwp, from_user: bool, stack: int) -> Proc:
        """CR3 only if the frame says user."""
        return entry.alt_svs(k, lwp, from_user, self.pcid, stack)

    def leave_alt(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """CR3 back only if the frame says user."""
        return entry.leave_alt_svs(k, lwp, from_user, self.pcid)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """Save the CR3 found and load the kernel's; before 1.18 an NMI was an ordinary IST entry."""
        if self.nmi_entry:
            return entry.nmi_svs(k, lwp, from_user)
        return entry.alt_svs(k, lwp, from_user, self.pcid, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """Restore the CR3 found."""
        if self.nmi_entry:
            return entry.leave_nmi(k, lwp, from_user, token, noflush=False)
        return entry.leave_alt_svs(k, lwp, from_user, self.pcid)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """RSP to the user-only stack page, CR3 to the user tables."""
        return entry.leave_svs(k, lwp, self.pcid, how)

    def lwp_switch(self, k: Kernel, ci: CpuInfo, old: Lwp | None, new: Lwp) -> Proc:
        """svs_lwp_switch."""
        return svs.svs_lwp_switch(k, ci, self.pcid, old, new)

    def segment_fault(self, k: Kernel, lwp: Lwp) -> Proc:
        """Since 1.16 the handler knows that user tables are loaded."""
        return entry.segment_fault_svs(k, lwp, self.pcid, self.revision.segment_faults)

    def rsp0(self, ci: CpuInfo, new: Lwp) -> int:
        """The CPU's own rsp0 VA, whatever the LWP."""
        return ci.ci_svs_rsp0

    def pdir_switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """svs_pdir_switch."""
        return svs.svs_pdir_switch(k, ci, self.revision, self.pcid, pmap)

    def pmap_sync(self, k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
        """svs_pmap_sync."""
        return svs.svs_pmap_sync(k, ci, self.revision, pmap, slot)

    def sync_now(self, k: Kernel, pmap: Pmap, slot: int) -> None:
        """Write the user directory of every CPU that has the pmap."""
        for ci in k.cpus:
            if pmap.pm_kernel_cpus.v[0] >> ci.ci_index & 1:
                ci.ci_svs_updir.v[slot] = pmap.pm_pdir.v[slot]


class Pti(Isolated):
    """A second L4 page for each process, as Linux and FreeBSD have it.

    Attributes:
        text_global: whether the kernel's text keeps G, besides the entry areas.
        defer_user_flush: whether a page's user-half entry is left to the next return to user mode, whose CR3 load then
            flushes that half, in place of an INVPCID now.
    """

    nmi_entry = True

    def __init__(self, name: str, *, pcid: bool, shootdown: Shootdown) -> None:
        super().__init__(name, pcid=pcid, shootdown=shootdown)
        self.kernel_global = False
        self.text_global = False
        self.defer_user_flush = False

    def boot(self, k: Kernel) -> None:
        """Entry areas of all CPUs, shared by all processes' user tables; they keep G."""
        super().boot(k)
        entry.svs_pgg_update(k, False, keep_text=self.text_global)
        pti.boot(k)

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through the CPU's entry stack."""
        return pti.syscall(k, lwp, self.pcid)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through the CPU's entry stack."""
        return pti.trap(k, lwp, self.pcid)

    def enter_alt(self, k: Kernel, lwp: Lwp, from_user: bool, stack: int) -> Proc:
        """Save and restore CR3, as NMIs do."""
        return pti.paranoid(k, lwp, from_user, self.pcid, stack)

    def leave_alt(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """Restore the CR3 found."""
        return entry.leave_nmi(k, lwp, from_user, token, noflush=self.pcid)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """Save the CR3 found and load the kernel's."""
        return pti.paranoid(k, lwp, from_user, self.pcid, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """Restore the CR3 found."""
        return entry.leave_nmi(k, lwp, from_user, token, noflush=self.pcid)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """Copy the frame to the entry stack and switch; a deferred flush of the user half is made up for here."""
        flush = self.defer_user_flush and (yield from pti.take_deferred_flush(lwp.l_cpu))
        yield from pti.leave(k, lwp, self.pcid, how, flush=flush)

    def invlpg(self, k: Kernel, ci: CpuInfo, va: int, who: type[Flushes]) -> Proc:
        """As in every isolated design, unless the user half is flushed later."""
        if self.pcid and self.defer_user_flush:
            yield store(ci.ci_user_flush, 0, 1, who.invpcid_user)
            yield invlpg(va, who.invlpg)
        else:
            yield from super().invlpg(k, ci, va, who)

    def segment_fault(self, k: Kernel, lwp: Lwp) -> Proc:
        """Handled through the CPU's entry stack."""
        return pti.segment_fault(k, lwp, self.pcid)

    def rsp0(self, ci: CpuInfo, new: Lwp) -> int:
        """The CPU's entry stack."""
        return ci.ci_svs_rsp0

    def pdir_switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """Nothing to copy; with PCID the user half of the new process must be flushed."""
        return pti.pdir_switch(k, ci, self.pcid)

    def pmap_create(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """The second L4 page."""
        return pti.pmap_create(k, pmap)

    def pmap_destroy(self, k: Kernel, pmap: Pmap) -> None:
        """Give the second L4 page back."""
        k.mem.free(pmap.pm_updirpa)

    def pmap_sync(self, k: Kernel, ci: CpuInfo, pmap: Pmap, slot: int) -> Proc:
        """Write the user L4 page too."""
        return pti.pmap_sync(k, pmap, slot)

    def sync_now(self, k: Kernel, pmap: Pmap, slot: int) -> None:
        """Write the process's user L4 page."""
        assert pmap.pm_updir is not None
        pmap.pm_updir.v[slot] = pmap.pm_pdir.v[slot]


PROFILES = ("none", "svs-2018-02", "svs-netbsd8", "svs-netbsd9", "svs-netbsd10", "pti")
PCID_PROFILES = frozenset({"svs-netbsd9", "svs-netbsd10", "pti"})


def plain_design(shootdown: Shootdown) -> Design:
    """What is left once SVS is turned off at run time: no isolation, the same shootdown protocol."""
    return Design("none", pcid=False, shootdown=shootdown)


def make_design(profile: str, pcid: bool | None = None) -> Design:
    """Return a fresh design; *pcid* None means on where the profile has it.

    *profile* is a name of ``PROFILES``, perhaps with variations after plus signs: ``pti+no-global``
    (:mod:`sim.kernel.variations`).  Raises KeyError for an unknown profile, ValueError for a variation it cannot have.
    """
    name, *variations = profile.split("+")
    with_pcid = name in PCID_PROFILES and pcid is not False
    if name == "none":
        design = Design(name, pcid=False, shootdown=Shootdown2018())
    elif name == "pti":
        design = Pti(name, pcid=with_pcid, shootdown=Shootdown2018())
    else:
        generation = Shootdown2020 if name == "svs-netbsd10" else Shootdown2018
        design = Svs(name, REVISIONS[name], pcid=with_pcid, shootdown=generation())
    vary(design, variations)
    return design
