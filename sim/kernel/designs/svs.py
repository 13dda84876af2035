"""NetBSD's Separate Virtual Space in four revisions; docs/kernel.rst says what was read for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.hardware.paging import NX
from sim.hardware.steps import Proc
from sim.kernel import entry, segments, svs
from sim.kernel.designs.base import DISABLING_1_11, DISABLING_1_16, Design, Disabling, Isolated, Profile
from sim.kernel.hotpatch import SVS_LEAVE, has_svs
from sim.kernel.shootdown2018 import Shootdown2018
from sim.kernel.shootdown2020 import Shootdown2020

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel
    from sim.kernel.lwp import Lwp
    from sim.kernel.pmap import Pmap
    from sim.kernel.shootdown import Shootdown


@dataclass(frozen=True, slots=True)
class SvsRevision:
    """In what a revision of svs.c differs.

    Attributes:
        pcid: user PCID 1, kernel PCID 0 and CR3 with the no-flush bit, where the machine has PCID and INVPCID.
        pge: CR4.PGE stays on and G is put back on the idt, ldt and own pcpu entry pages (1.18).
        current_first: ``svs_pmap_sync`` does the current CPU first and returns if no other CPU is in the set.
        block_copy: ``svs_pdir_switch`` copies the user slots as a block instead of by locked reads.
        ci_kpdirpa: ``svs_pdir_switch`` notes the kernel CR3 in cpu_info too (``ci_svs_kpdirpa``, gone in 1.18).
        cpu_ldt: each CPU has an LDT page of its own in ``pcpu_area``, for processes with an LDT (there are none here).
        disabling: what ``machdep.svs.enabled`` does; None if the node is read-only.
        segment_faults: faults on the way out are handled (1.16); before, they overran the entry stack.
        nmi_entry: an NMI entry of its own that saves and restores CR3.
        remove_in_batches: ``pmap_remove_all`` removes the mappings itself, with a shootdown for each batch.
        page_locks: pages have locks of their own, and stay locked by their owners from pmap_remove to pmap_update.
    """

    pcid: bool
    pge: bool
    current_first: bool
    block_copy: bool
    ci_kpdirpa: bool
    cpu_ldt: bool
    disabling: Disabling | None
    nmi_entry: bool
    segment_faults: bool
    remove_in_batches: bool = False
    page_locks: bool = False


class Svs(Isolated):
    """NetBSD's Separate Virtual Space.

    Attributes:
        copy_at_return: the user slots are copied again at each return to user mode, as Xen did for its guests.
        patchable: SVS can be turned off at run time, so whoever leaves passes code that is patched then.
    """

    per_cpu = True
    copy_at_return = False

    def __init__(self, name: str, revision: SvsRevision, *, pcid: bool, shootdown: Shootdown) -> None:
        super().__init__(name, pcid=pcid and revision.pcid, shootdown=shootdown)
        self.revision = revision
        self.pge = revision.pge
        self.patchable = revision.disabling is not None
        self.remove_in_batches = revision.remove_in_batches
        self.page_locks = self.owner_until_update = revision.page_locks

    @property
    def disabling(self) -> Disabling | None:
        """By revision."""
        return self.revision.disabling

    def boot(self, k: Kernel) -> None:
        """cpu_svs_init on every CPU; before 1.18 CR4.PGE is off, since then kernel mappings lose G (svs_pgg_update)."""
        super().boot(k)
        for ci in k.cpus if self.revision.cpu_ldt else ():
            k.tables.enter(k.layout.entry_page(ci.ci_index, "ldt"), k.mem.alloc_page(f"cpu{ci.ci_index} ldt"), NX)
        if self.revision.pge:
            entry.svs_pgg_update(k, False)
        for ci in k.cpus:
            svs.cpu_svs_init(k, ci, self.revision)

    def disabled(self) -> Design:
        """No isolation, but the copy at each load of a pmap stays."""
        return Disabled(self)

    def enter_syscall(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through UTLS."""
        return entry.syscall_svs(k, lwp, self.pcid)

    def enter_trap(self, k: Kernel, lwp: Lwp) -> Proc:
        """Through TSS.rsp0 and UTLS."""
        return entry.trap_svs(k, lwp, self.pcid)

    def enter_nmi(self, k: Kernel, lwp: Lwp, from_user: bool) -> Proc:
        """Save the CR3 found and load the kernel's; before 1.18 an NMI was an ordinary IST entry."""
        if self.revision.nmi_entry:
            return entry.nmi_svs(k, lwp, from_user)
        return entry.alt_svs(k, lwp, from_user, self.pcid, 1)

    def leave_nmi(self, k: Kernel, lwp: Lwp, from_user: bool, token: object) -> Proc:
        """Restore the CR3 found."""
        if self.revision.nmi_entry:
            return entry.leave_nmi(k, lwp, from_user, token, noflush=False)
        return entry.leave_alt_svs(k, lwp, from_user, self.pcid)

    def leave(self, k: Kernel, lwp: Lwp, how: str) -> Proc:
        """RSP to the user-only stack page, CR3 to the user tables."""
        if self.copy_at_return:
            yield from svs.copy_user_slots(k, lwp.l_cpu, k.curpmap(lwp.l_cpu), block=True)
        yield from entry.leave_svs(k, lwp, self.pcid, how)

    def leave_to_kernel(self, k: Kernel, ci: CpuInfo) -> None:
        """intrfastexit passes SVS_LEAVE, which looks at the frame itself, as long as the code can be patched."""
        if self.patchable:
            has_svs(k, ci, SVS_LEAVE)

    def lwp_switch(self, k: Kernel, ci: CpuInfo, old: Lwp | None, new: Lwp) -> Proc:
        """svs_lwp_switch."""
        return svs.svs_lwp_switch(k, ci, self.pcid, old, new)

    def segment_fault(self, k: Kernel, lwp: Lwp, where: str) -> Proc:
        """On the entry stack, with user tables loaded."""
        return segments.segment_fault_svs(k, lwp, self.pcid, self.revision.segment_faults, where)

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


class Disabled(Design):
    """SVS turned off at run time: no isolation, but each load of a pmap still fills the user page directory.

    cpu_load_pmap calls svs_pdir_switch whether SVS is on or not, until cpu.c 1.159 (in NetBSD 8.1, not in 8.0).
    """

    def __init__(self, was: Svs) -> None:
        super().__init__("none", pcid=False, shootdown=was.shootdown)
        self.revision = was.revision

    @property
    def disabling(self) -> Disabling | None:
        """By revision."""
        return self.revision.disabling

    def disabled(self) -> Design:
        """It is, already."""
        return self

    def pdir_switch(self, k: Kernel, ci: CpuInfo, pmap: Pmap) -> Proc:
        """svs_pdir_switch."""
        return svs.svs_pdir_switch(k, ci, self.revision, self.pcid, pmap)


def _profile(name: str, says: str, generation: Callable[[], Shootdown], revision: SvsRevision) -> Profile:
    """The profile of one revision."""

    def make(pcid: bool) -> Design:
        return Svs(name, revision, pcid=pcid, shootdown=generation())

    return Profile(name, says, make, pcid=revision.pcid)


PROFILES = (
    _profile(
        "svs-2018-02",
        "svs.c 1.10, 24 February 2018, as documented: no PCID, no global kernel pages",
        Shootdown2018,
        SvsRevision(
            pcid=False,
            pge=False,
            current_first=False,
            block_copy=False,
            ci_kpdirpa=True,
            cpu_ldt=False,
            disabling=DISABLING_1_11,
            nmi_entry=False,
            segment_faults=False,
        ),
    ),
    _profile(
        "svs-netbsd8",
        "svs.c 1.16, as in NetBSD 8.0: disabled at run time with interrupts off",
        Shootdown2018,
        SvsRevision(
            pcid=False,
            pge=False,
            current_first=False,
            block_copy=False,
            ci_kpdirpa=True,
            cpu_ldt=False,
            disabling=DISABLING_1_16,
            nmi_entry=False,
            segment_faults=True,
        ),
    ),
    _profile(
        "svs-netbsd9",
        "as in NetBSD 9, trunk of July 2019: PCID where the CPU has it, global entry pages, NMI entry",
        Shootdown2018,
        SvsRevision(
            pcid=True,
            pge=True,
            current_first=False,
            block_copy=False,
            ci_kpdirpa=False,
            cpu_ldt=False,
            disabling=None,
            nmi_entry=True,
            segment_faults=True,
        ),
    ),
    _profile(
        "svs-netbsd10",
        "as in NetBSD 10: own CPU first in svs_pmap_sync, block copy, own LDT page, the shootdown of December 2019",
        Shootdown2020,
        SvsRevision(
            pcid=True,
            pge=True,
            current_first=True,
            block_copy=True,
            ci_kpdirpa=False,
            cpu_ldt=True,
            disabling=None,
            nmi_entry=True,
            segment_faults=True,
            remove_in_batches=True,
            page_locks=True,
        ),
    ),
)
